"""Hooks: that they run, when and where they run, what they are told, and what their failure does."""

import time

import pytest

from seatrial.exec import FAILURE
from seatrial.expecting import matched

claim, requires = pytest.mark.claim, pytest.mark.requires

PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
AT_CREATE = ("prestart", "createRuntime", "createContainer")
IN_RUNTIME = ("prestart", "createRuntime", "poststart", "poststop")
KINDS = (*AT_CREATE, "startContainer", "poststart", "poststop")


def through_life(box):
    """Take a container from create to delete; return the order of its hooks after each operation."""
    seen = []
    # the program's answer says that it runs, and so that everything before it is over
    for act in (box.create, lambda: (box.start(), box.seen), box.end):
        act()
        seen.append(box.hooks.order)
    return seen


@pytest.fixture
def place(hooks, bundle):
    """Write a bundle with the given hooks to disk."""
    def make(**kinds):
        box = hooks.place(bundle.with_(annotations={"org.example.sea": "trial"}), **kinds)
        box.hooks = hooks
        return box

    return make


@claim("RT-life-3", "RT-life-4", "RT-life-5", "RT-life-7", "RT-life-9", "RT-life-13")
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_runs_in_its_operation(place, kind):
    box = place(**{kind: ["a"]})
    orders = through_life(box)
    operation = 0 if kind in AT_CREATE else 2 if kind == "poststop" else 1
    assert orders == [["a"] if number >= operation else [] for number in range(3)]


@claim("RT-life-3", "RT-life-4", "RT-life-5", "RT-life-7", "RT-life-9", "RT-life-13")
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_runs_in_the_life_of_a_container(place, kind):
    box = place(**{kind: ["a"]})
    assert through_life(box)[-1] == ["a"]


@claim("CF-hook-order")
@pytest.mark.parametrize("kind", KINDS)
def test_hooks_of_a_kind_run_in_their_order_and_once(place, kind):
    box = place(**{kind: ["c", "a", "b"]})
    assert through_life(box)[-1] == ["c", "a", "b"]


@claim("CF-hook-t-prestart2", "CF-hook-t-createContainer2", "CF-hook-order")
def test_the_kinds_of_create_run_in_their_order(place):
    box = place(**{kind: [f"{kind}1", f"{kind}2"] for kind in AT_CREATE[::-1]})
    box.create()
    assert box.hooks.order == [f"{kind}{number}" for kind in AT_CREATE for number in (1, 2)]


@claim("CF-hook-order", "CF-hook-t-poststart", "CF-hook-t-startContainer")
def test_the_kinds_run_in_the_order_of_life(place):
    box = place(**{kind: [f"{kind}1", f"{kind}2"] for kind in KINDS[::-1]})
    expected = [f"{kind}{number}" for kind in KINDS for number in (1, 2)]
    assert through_life(box) == [expected[:6], expected[:10], expected]


@claim("CF-hook-ns-prestart", "CF-hook-ns-createRuntime", "CF-hook-ns-poststart", "CF-hook-ns-poststop")
@pytest.mark.parametrize("kind", IN_RUNTIME)
def test_it_is_found_and_runs_in_the_namespaces_of_the_runtime(hooks, place, kind):
    box = place(**{kind: ["a"]})
    through_life(box)
    record = hooks.record("a")
    assert record.found_in == "runtime"
    assert record.namespaces == hooks.of_runtime()


@claim("CF-hook-ns-createContainer")
def test_create_container_is_found_in_the_runtime_and_runs_in_the_container(hooks, place):
    box = place(createContainer=["a"])
    box.create()
    record = hooks.record("a")
    assert record.found_in == "runtime"
    # it runs beside the container's first process, in all of its namespaces that can be entered from there
    ours, theirs = hooks.of_runtime(), box.kernel.namespaces()
    assert {kind: record.namespaces[kind] for kind in ("mnt", "net", "ipc", "uts")} == {
        kind: theirs[kind] for kind in ("mnt", "net", "ipc", "uts")
    }
    assert record.namespaces["mnt"] != ours["mnt"]


@claim("CF-hook-ns-startContainer")
def test_start_container_is_found_and_runs_in_the_container(hooks, place):
    box = place(startContainer=["a"])
    box.create()
    box.start()
    assert box.seen.pid == 1
    record = hooks.record("a")
    assert record.found_in == "container"
    assert record.namespaces == box.kernel.namespaces()
    assert "probe" in record.root


@claim("CF-hook-t-prestart", "CF-hook-t-createRuntime")
@pytest.mark.parametrize("kind", ["prestart", "createRuntime"])
def test_the_namespaces_are_made_and_the_root_is_not_changed_yet(hooks, place, kind):
    box = place(**{kind: ["a"]})
    box.create()
    record = hooks.record("a")
    theirs, ours = record.namespaces_of_container, hooks.of_runtime()
    assert {name for name in theirs if theirs[name] != ours[name]} >= {"mnt", "net", "ipc", "uts"}
    assert record.root_of_container
    assert "probe" not in record.root_of_container


@claim("CF-hook-t-createContainer")
def test_create_container_sees_the_root_before_it_is_changed(hooks, place):
    box = place(createContainer=["a"])
    box.create()
    assert hooks.record("a").root
    assert "probe" not in hooks.record("a").root
    box.start()
    assert "probe" in box.probe.names("/")


@claim("CF-hook-t-createContainer", "CF-hook-t-createRuntime")
def test_what_create_container_mounts_is_seen_inside(hooks, bundle):
    box = hooks.place(bundle, createContainer=[
        {"path": "/bin/mount", "args": ["mount", "-t", "tmpfs", "marked", "@BUNDLE@/rootfs/tmp"]},
    ])
    box.create()
    box.start()
    assert box.seen.mount("/tmp").source == "marked"


@claim("CF-hook-t-startContainer")
def test_start_container_runs_before_the_program(runtime, hooks, bundle):
    script = f"cat {hooks.directory}/order >{hooks.directory}/seen; exec sleep 100"
    box = hooks.place(bundle.sh(script), startContainer=["a"])
    box.create()
    assert hooks.order == []
    box.start()
    runtime.until("the program has run", lambda: (hooks.directory / "seen").exists())
    runtime.until("it has written", lambda: (hooks.directory / "seen").read_text() == "a\n")


@claim("CF-hook-t-poststart")
def test_poststart_runs_after_the_program_was_started_and_before_start_returns(hooks, place):
    box = place(poststart=["a"])
    box.create()
    assert hooks.order == []
    box.start()
    assert hooks.order == ["a"]


@claim("CF-hook-t-poststart")
@requires("host_kernel")
def test_poststart_finds_the_program_started(hooks, place):
    box = place(poststart=["a"])
    box.create()
    box.start()
    assert "probe" in hooks.record("a").root_of_container
    assert box.nonce in hooks.record("a").text("cmdline")


@claim("CF-hook-t-poststop")
def test_poststop_runs_after_the_container_is_gone_and_before_delete_returns(hooks, place):
    box = place(poststop=["a"])
    box.create()
    box.start()
    box.kill("KILL")
    box.until("stopped")
    assert hooks.order == []
    box.delete()
    assert hooks.order == ["a"]


@claim("CF-hook-stdin")
@pytest.mark.parametrize("kind", KINDS)
def test_it_gets_the_state_on_standard_input(hooks, place, kind):
    box = place(**{kind: ["a"]})
    through_life(box)
    state = hooks.record("a").state
    assert state["id"] == box.id
    assert state["annotations"]["org.example.sea"] == "trial"
    assert state["ociVersion"].startswith("1.")


@claim("CF-hook-stdin", "RT-state-bundle")
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_on_standard_input_has_the_bundle(hooks, place, kind):
    box = place(**{kind: ["a"]})
    through_life(box)
    assert hooks.record("a").state["bundle"] == str(box.directory)


@claim("CF-hook-stdin", "RT-state-pid")
@pytest.mark.parametrize("kind", KINDS[:-1])
def test_the_state_on_standard_input_has_the_pid(hooks, place, kind):
    box = place(**{kind: ["a"]})
    box.create()
    pid = box.pid
    box.start()
    assert box.seen.pid == 1
    # a hook inside may be told the pid as the container numbers it
    inside = {1} if kind in ("createContainer", "startContainer") else set()
    assert hooks.record("a").state["pid"] in {pid, *inside}


@claim("CF-hook-stdin")
@pytest.mark.parametrize("kind", IN_RUNTIME)
def test_a_hook_need_not_read_its_input(hooks, place, bundle, kind):
    box = hooks.place(
        bundle.with_(annotations={"org.example.long": "x" * 200_000}),
        **{kind: [{"path": "/bin/true"}, hooks.entry("b")]},
    )
    box.hooks = hooks
    assert through_life(box)[-1] == ["b"]


@claim("CF-hook-stdin")
@pytest.mark.parametrize(("kind", "status"), [
    ("prestart", {"creating", "created"}), ("createRuntime", {"creating", "created"}),
    ("createContainer", {"creating", "created"}), ("startContainer", {"created"}), ("poststart", {"running"}),
    ("poststop", {"stopped"}),
])  # fmt: skip
def test_the_state_on_standard_input_has_the_status_of_the_moment(hooks, place, kind, status):
    box = place(**{kind: ["a"]})
    through_life(box)
    assert hooks.record("a").state["status"] in status


@claim("CF-hook-args")
@pytest.mark.parametrize("kind", KINDS)
def test_args_and_env_are_those_of_the_hook(hooks, place, kind):
    entry = {"path": str(hooks.program), "args": ["zero", "a", "ok", "two words", ""], "env": [PATH, "SEA=trial", "E="]}
    box = place(**{kind: [entry]})
    through_life(box)
    record = hooks.record("a")
    assert record.args[1:] == ["a", "ok", "two words", ""]
    shell = {"PWD", "SHLVL", "OLDPWD", "_"}
    assert sorted(line for line in record.env if line.split("=")[0] not in shell) == sorted([PATH, "SEA=trial", "E="])


@claim("CF-hook-args")
@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_without_args_gets_its_path(runtime, hooks, bundle, kind):
    program = runtime.path("bare")
    text = f'#!/bin/sh\ncat >/dev/null\necho "$#" >{hooks.directory}/bare\n'
    box = hooks.place(bundle, **{kind: [{"path": str(program)}]})
    for place in (program, box.rootfs / str(program).lstrip("/")):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o755)
    box.hooks = hooks
    through_life(box)
    assert (hooks.directory / "bare").exists(), "the hook was not run"
    assert (hooks.directory / "bare").read_text() == "0\n"


@claim("RT-life-3-fail", "RT-life-4-fail", "RT-life-5-fail", "RT-err-atomic", "RT-c-cannot-none")
@pytest.mark.parametrize("kind", AT_CREATE)
def test_one_that_fails_at_create_destroys_the_container(hooks, place, kind):
    box = place(**{kind: [hooks.entry("a", "fail"), "b"]}, poststop=["after"])
    box.create(expect=FAILURE)
    assert hooks.order[:1] == ["a"]
    assert "b" not in hooks.order
    assert not box.known
    assert box.leftovers() == []


@claim("RT-life-3-fail", "RT-life-4-fail", "RT-life-5-fail", "RT-life-13")
@pytest.mark.parametrize("kind", AT_CREATE)
def test_one_that_fails_at_create_is_followed_by_poststop(hooks, place, kind):
    box = place(**{kind: [hooks.entry("a", "fail"), "b"]}, poststop=["after"])
    box.create(expect=FAILURE)
    assert hooks.order == ["a", "after"]


@claim("RT-life-3-fail", "RT-life-4-fail", "RT-life-5-fail")
@pytest.mark.parametrize("kind", AT_CREATE)
def test_a_second_one_that_fails_at_create_destroys_the_container(hooks, place, kind):
    box = place(**{kind: ["a", hooks.entry("b", "fail")]})
    box.create(expect=FAILURE)
    assert hooks.order == ["a", "b"]
    assert not box.known


@claim("RT-life-7-fail")
def test_start_container_that_fails_keeps_the_program_from_running(runtime, hooks, bundle):
    script = f"echo ran >{hooks.directory}/ran; exec sleep 100"
    box = hooks.place(bundle.sh(script), startContainer=[hooks.entry("a", "fail"), "b"])
    box.create()
    box.start(expect=None)
    # destroyed at once (step 12), or stopped and left to delete, as most do
    runtime.until(f"{box.id} is stopped or destroyed", lambda: not box.known or box.status == "stopped")
    assert hooks.order == ["a"]
    assert not (hooks.directory / "ran").exists()


@claim("RT-life-7-fail")
def test_start_container_that_fails_is_an_error_of_start(hooks, place):
    box = place(startContainer=[hooks.entry("a", "fail")])
    box.create()
    box.start(expect=FAILURE)


@claim("RT-life-9-fail")
@requires("oci_1_3")
def test_poststart_that_fails_is_an_error_of_start_and_stops_the_container(hooks, place):
    box = place(poststart=[hooks.entry("a", "fail"), "b"])
    box.create()
    box.start(expect=FAILURE)
    assert hooks.order == ["a"]
    assert not box.known or box.status == "stopped"


@claim("RT-life-9-warn")
@requires("before_oci_1_3")
def test_poststart_that_fails_keeps_neither_the_next_nor_the_container(hooks, place):
    box = place(poststart=[hooks.entry("a", "fail"), "b", hooks.entry("c", "fail"), "d"], poststop=["after"])
    box.create()
    box.start()
    assert box.seen.pid == 1
    assert hooks.order == ["a", "b", "c", "d"]
    assert box.status == "running"
    box.end()
    assert hooks.order == ["a", "b", "c", "d", "after"]


# a line of a log: how it went, then what failed
TOLD = r"(?i)\b(error|fail\w*|warn\w*)\b.*\bhook\b"


def logged(runtime, *words):
    """What the runtime logs and prints; warnings are below the level that some log by themselves."""
    log = runtime.path("log")
    said = runtime.cli("--debug", f"--log={log}", *words)
    return said.stderr + (log.read_text() if log.exists() else "")


@claim("RT-life-9-warn")
@requires("before_oci_1_3")
@pytest.mark.parametrize("action", ["fail", "hang"])
def test_poststart_that_fails_is_told_in_the_log(runtime, hooks, place, action):
    box = place(poststart=[hooks.entry("a", action, timeout=1)])
    box.create()
    log = logged(runtime, "start", box.id)
    assert hooks.order == ["a"]
    assert matched(TOLD, log)


@claim("RT-life-13-fail")
def test_poststop_that_fails_keeps_neither_the_next_nor_delete(hooks, place):
    box = place(poststop=[hooks.entry("a", "fail"), "b", hooks.entry("c", "fail"), "d"])
    box.create()
    box.start()
    box.kill("KILL")
    box.until("stopped")
    box.delete()
    assert hooks.order == ["a", "b", "c", "d"]
    assert not box.known
    assert box.leftovers() == []


@claim("RT-life-13-fail")
def test_a_single_poststop_that_fails_does_not_make_delete_fail(hooks, place):
    box = place(poststop=[hooks.entry("a", "fail")])
    through_life(box)
    assert hooks.order == ["a"]
    assert not box.known


@claim("RT-life-13-fail")
def test_poststop_that_fails_is_told_in_the_log(runtime, hooks, place):
    box = place(poststop=[hooks.entry("a", "fail")])
    box.create()
    box.start()
    box.kill("KILL")
    box.until("stopped")
    log = logged(runtime, "delete", box.id)
    assert hooks.order == ["a"]
    assert matched(TOLD, log)


@claim("CF-hook-path", "CF-valid")
@pytest.mark.parametrize("kind", KINDS)
def test_a_relative_path_is_refused(hooks, bundle, kind):
    box = hooks.place(bundle, **{kind: [{"path": "bin/true"}]})
    created = box.create(expect=None)
    if created.ok and kind in ("startContainer", "poststart"):
        created = box.start(expect=None)
    assert not created.ok


@claim("CF-hook-path", "RT-life-3-fail")
@pytest.mark.parametrize("kind", AT_CREATE)
def test_a_program_that_is_not_there_is_an_error(hooks, bundle, kind):
    box = hooks.place(bundle, **{kind: [{"path": "/no/such/hook"}]})
    box.create(expect=FAILURE)
    assert not box.known


@claim("CF-hook-timeout")
@pytest.mark.parametrize("kind", AT_CREATE)
def test_one_that_hangs_is_ended_by_its_timeout(hooks, place, kind):
    box = place(**{kind: [hooks.entry("a", "hang", timeout=1), "b"]})
    began = time.monotonic()
    box.create(expect=FAILURE)
    assert time.monotonic() - began > 0.9
    assert hooks.order == ["a"]
    assert not box.known


@claim("CF-hook-timeout", "RT-life-7-fail")
def test_start_container_that_hangs_is_ended_by_its_timeout(runtime, hooks, bundle):
    script = f"echo ran >{hooks.directory}/ran; exec sleep 100"
    box = hooks.place(bundle.sh(script), startContainer=[hooks.entry("a", "hang", timeout=1), "b"])
    box.create()
    box.start(expect=None)
    # the hook by itself would hang for eight seconds
    runtime.until(f"{box.id} is stopped or destroyed", lambda: not box.known or box.status == "stopped", timeout=6)
    assert hooks.order == ["a"]
    assert not (hooks.directory / "ran").exists()


@claim("CF-hook-timeout", "RT-life-13-fail")
def test_poststop_that_hangs_is_ended_by_its_timeout(hooks, place):
    box = place(poststop=[hooks.entry("a", "hang", timeout=1), "b"])
    box.create()
    box.start()
    box.kill("KILL")
    box.until("stopped")
    began = time.monotonic()
    box.delete()
    assert 0.9 < time.monotonic() - began < 7
    assert hooks.order == ["a", "b"]
    assert not box.known


@claim("CF-hook-timeout")
def test_one_that_is_quick_is_not_ended_by_its_timeout(hooks, place):
    box = place(createRuntime=[hooks.entry("a", timeout=30)])
    box.create()
    assert hooks.order == ["a"]


@claim("CF-hook-timeout")
@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_that_is_not_above_zero_is_refused(hooks, bundle, timeout):
    box = hooks.place(bundle, createRuntime=[hooks.entry("a", timeout=timeout)])
    box.create(expect=FAILURE)
    assert not box.known


@claim("RT-life-12", "RT-d-foreign")
def test_what_hooks_leave_in_the_runtime_is_kept(hooks, place):
    box = place(createRuntime=["a"], poststop=["b"])
    through_life(box)
    assert hooks.record("a").state["id"] == hooks.record("b").state["id"] == box.id
