"""Create: what it makes, what it does not yet do, and what it refuses."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seatrial.exec import FAILURE
from seatrial.oci.bundle import bind, tmpfs

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("RT-c-new", "RT-ops", "RT-scope-1")
def test_a_container_can_be_created_started_signalled_and_deleted(runtime, bundle):
    box = runtime.create(bundle)
    assert box.status == "created"
    box.start()
    assert box.seen.args[-1] == box.nonce
    box.kill("KILL")
    box.until("stopped")
    box.delete()
    assert not box.known


@claim("RT-life-2-norun", "RT-c-noargs")
def test_create_does_not_run_the_program(runtime, bundle):
    marks = runtime.directory()
    box = runtime.create(bundle.mounted(bind(marks, "/marks")).sh("echo ran >/marks/ran; exec sleep 100"))
    assert box.status == "created"
    assert "sleep" not in box.kernel.argv
    assert list(marks.iterdir()) == []
    box.start()
    box.until("running")
    runtime.until("the program has run", lambda: (marks / "ran").exists())


@claim("RT-life-2-upd")
def test_changes_of_the_configuration_after_create_are_not_seen(runtime, bundle):
    box = runtime.create(bundle.with_(hostname="before"))
    changed = box.config
    changed["hostname"] = "after"
    changed["process"]["args"] = ["/bin/false"]
    changed["process"]["env"] = ["CHANGED=1"]
    (box.directory / "config.json").write_text(json.dumps(changed))
    box.start()
    assert box.seen.hostname == "before"
    assert box.seen.args[-1] == box.nonce
    assert not [word for word in box.seen.environ if word.startswith("CHANGED")]


@claim("RT-life-2-upd")
def test_the_configuration_can_be_gone_after_create(runtime, bundle):
    box = runtime.create(bundle)
    (box.directory / "config.json").unlink()
    box.start()
    assert box.seen.args[-1] == box.nonce


@claim("RT-life-2-res", "RT-c-apply", "RT-life-2-env")
@requires("host_kernel")
def test_namespaces_mounts_and_cgroups_are_there_before_start(runtime, bundle):
    limited = bundle.with_(linux={"resources": {"pids": {"limit": 77}}}).mounted(tmpfs("/made", "size=1m"))
    box = runtime.create(limited)
    kernel = box.kernel
    for kind in ("mnt", "pid", "net", "ipc", "uts"):
        assert kernel.namespace(kind) != runtime.keeper.namespace(kind)
    assert kernel.mount("/made").fstype == "tmpfs"
    assert kernel.cgroup("pids") == 77


@claim("RT-c-args")
def test_create_without_an_id_is_an_error(runtime, bundle):
    box = runtime.place(bundle)
    runtime.fails("create", "--bundle", str(box.directory))


@claim("BN-config", "RT-c-args", "RT-err-atomic")
def test_create_of_a_bundle_without_configuration_is_an_error(runtime, bundle):
    box = runtime.place(bundle)
    (box.directory / "config.json").rename(box.directory / "configuration.json")
    box.create(expect=FAILURE)
    assert not box.known
    assert box.leftovers() == []


@claim("BN-config")
def test_create_of_a_bundle_that_is_not_there_is_an_error(runtime):
    runtime.fails("create", "--bundle", str(runtime.path()), runtime.name())


@claim("RT-c-dup", "RT-state-id-uniq")
@pytest.mark.parametrize("status", ["created", "running", "stopped"])
def test_an_id_that_is_taken_is_refused(runtime, bundle, status):
    box = runtime.create(bundle)
    if status != "created":
        box.start()
        assert box.seen.pid
    if status == "stopped":
        box.kill("KILL")
        box.until("stopped")
    runtime.fails("create", "--bundle", str(runtime.place(bundle).directory), box.id)
    assert box.status == status


@claim("RT-c-dup-none")
def test_a_refused_duplicate_does_not_touch_the_first(runtime, bundle):
    box = runtime.run(bundle)
    before = box.state
    runtime.fails("create", "--bundle", str(runtime.place(bundle).directory), box.id)
    assert box.state == before
    assert box.probe.report().pid == 1
    box.end()


@claim("RT-c-dup", "RT-state-id-uniq")
def test_of_creates_with_one_id_at_the_same_time_no_two_succeed(runtime, bundle):
    id_ = runtime.name()
    boxes = [runtime.place(bundle, id_) for _ in range(4)]
    with ThreadPoolExecutor(len(boxes)) as pool:
        results = list(pool.map(lambda box: box.create(expect=None), boxes))
    assert sum(result.ok for result in results) <= 1
    runtime.cli("delete", "--force", id_)
    again = runtime.create(bundle, id_=id_)
    again.start()
    assert again.seen.args[-1] == again.nonce


@claim("RT-c-badid")
@pytest.mark.parametrize("id_", ["", ".", "..", "../up", "a/b"])
def test_an_invalid_id_is_refused(runtime, bundle, id_):
    box = runtime.place(bundle)
    runtime.fails("create", "--bundle", str(box.directory), "--", id_)
    assert not [path for path in runtime.state_dir.parent.iterdir() if path.name == "up"]


@claim("RT-c-new")
@pytest.mark.parametrize("end", ["_", ".", "-", "+", "X9"])
def test_an_id_may_have_letters_digits_and_marks(runtime, bundle, end):
    box = runtime.create(bundle, id_=f"{runtime.name()}{end}1")
    assert box.state["id"] == box.id
    box.start()
    box.end()


@claim("RT-c-cannot", "RT-c-cannot-none", "RT-life-2-err", "RT-err-atomic")
@pytest.mark.parametrize("what", ["mount", "mount type", "namespace", "sysctl", "limit", "device", "cgroup"])
def test_what_cannot_be_applied_is_an_error_that_leaves_nothing(runtime, bundle, what):
    too_many = int(Path("/proc/sys/fs/nr_open").read_text()) + 1  # refused with every capability
    broken = {
        "mount": bundle.mounted(bind("/no/such/place", "/data")),
        "mount type": bundle.mounted({"destination": "/data", "type": "nosuchfs", "source": "none"}),
        "namespace": bundle.in_namespaces("pid", "mount", network="/no/such/namespace"),
        "sysctl": bundle.with_(linux={"sysctl": {"net.no.such.parameter": "1"}}),
        "limit": bundle.with_(process={"rlimits": [{"type": "RLIMIT_NOFILE", "soft": too_many, "hard": too_many}]}),
        "device": bundle.with_(linux={"devices": [{"path": "/etc/motd", "type": "c", "major": 1, "minor": 3}]}),
        "cgroup": bundle.with_(linux={"resources": {"cpu": {"cpus": "4000"}}}),
    }[what]
    box = runtime.refuses(broken)
    assert not box.known
    assert box.leftovers() == []


@claim("RT-c-cannot-none", "RT-err-atomic")
def test_the_id_of_a_failed_create_can_be_used_again(runtime, bundle):
    box = runtime.refuses(bundle.mounted(bind("/no/such/place", "/data")))
    again = runtime.create(bundle, id_=box.id)
    again.start()
    assert again.seen.args[-1] == again.nonce
    again.end()
    assert again.leftovers() == []


@claim("RT-life-2-env", "RT-c-apply")
def test_the_bundle_is_found_in_the_working_directory(runtime, bundle):
    box = runtime.place(bundle)
    runtime.cli("create", box.id, cwd=box.directory)
    runtime.made(box.id)
    assert box.state["bundle"] == str(box.directory)
    box.delete("--force")
