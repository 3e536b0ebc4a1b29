"""Start, kill and delete: what they do, and what they refuse in the wrong state."""

import signal

import pytest

from seatrial.exec import FAILURE
from seatrial.oci.bench import refused
from seatrial.oci.bundle import bind

claim, requires = pytest.mark.claim, pytest.mark.requires

# what the probe can take and tell of
TOLD = ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "URG", "WINCH", "PWR")


@pytest.fixture
def running(runtime, bundle):
    box = runtime.run(bundle)
    assert box.seen.pid
    return box


@pytest.fixture
def stopped(running):
    running.kill("KILL")
    running.until("stopped")
    return running


@claim("RT-s-noid")
def test_start_without_an_id_is_an_error(runtime):
    runtime.fails("start")


@claim("RT-s-notcreated-err")
def test_start_of_an_unknown_container_is_an_error(runtime):
    runtime.fails("start", runtime.name())


@claim("RT-s-notcreated-err", "RT-s-notcreated-eff")
def test_start_of_a_running_container_is_an_error_without_effect(runtime, running):
    before = running.state
    runtime.fails("start", running.id)
    assert running.state == before
    assert running.probe.report().pid == 1


@claim("RT-s-notcreated-err", "RT-s-notcreated-eff")
def test_start_of_a_stopped_container_is_an_error_without_effect(runtime, bundle):
    marks = runtime.directory()
    box = runtime.run(bundle.mounted(bind(marks, "/marks")).sh("echo ran >>/marks/ran"))
    box.until("stopped")
    runtime.fails("start", box.id)
    assert box.status == "stopped"
    assert (marks / "ran").read_text() == "ran\n"


@claim("RT-s-run", "RT-life-8")
def test_start_runs_the_program_once(runtime, bundle):
    marks = runtime.directory()
    box = runtime.create(bundle.mounted(bind(marks, "/marks")).sh("echo ran >>/marks/ran; exit 7"))
    assert not (marks / "ran").exists()
    box.start()
    box.until("stopped")
    assert (marks / "ran").read_text() == "ran\n"


@claim("RT-s-run")
def test_start_returns_while_the_program_runs(runtime, running):
    assert running.status == "running"
    assert running.seen.args[-1] == running.nonce


@claim("RT-s-noproc", "CF-proc-req")
def test_start_without_a_process_is_an_error(runtime, bundle):
    box = runtime.place(bundle.without("process"))
    created = box.create(expect=None)
    # a runtime may refuse as early as at create
    refused(box.start(expect=FAILURE) if created.ok else created)
    assert not box.known or box.status != "running"


@claim("RT-s-run", "RT-err-atomic")
def test_a_program_that_is_not_there_is_an_error(runtime, bundle):
    box = runtime.place(bundle.args("/no/such/program"))
    created = box.create(expect=None)
    said = box.start(expect=FAILURE) if created.ok else created
    assert "/no/such/program" in refused(said).stderr
    assert not box.known or box.status in ("created", "stopped")


@claim("RT-k-noid")
def test_kill_without_an_id_is_an_error(runtime):
    runtime.fails("kill")


@claim("RT-k-stopped-err")
def test_kill_of_an_unknown_container_is_an_error(runtime):
    runtime.fails("kill", runtime.name(), "KILL")


@claim("RT-k-stopped-err", "RT-k-stopped-eff")
def test_kill_of_a_stopped_container_is_an_error_without_effect(runtime, stopped):
    before = stopped.state
    runtime.fails("kill", stopped.id, "KILL")
    assert stopped.state == before


@claim("RT-k-send")
@pytest.mark.parametrize("name", TOLD)
def test_kill_sends_the_signal_of_a_name(running, name):
    running.kill(f"SIG{name}")
    running.runtime.until("the signal arrives", lambda: running.probe.signals() == [name])


@claim("RT-k-send")
@pytest.mark.parametrize("name", ["HUP", "USR1", "TERM", "WINCH"])
def test_kill_sends_the_signal_of_a_number(running, name):
    running.kill(str(int(signal.Signals[f"SIG{name}"])))
    running.runtime.until("the signal arrives", lambda: running.probe.signals() == [name])


@claim("RT-k-send")
def test_kill_takes_names_without_their_prefix(running):
    running.kill("USR2")
    running.runtime.until("the signal arrives", lambda: running.probe.signals() == ["USR2"])


@claim("RT-k-send")
def test_kill_sends_each_signal_once_and_in_order(running):
    for number, name in enumerate(("USR1", "HUP", "USR1"), 1):
        running.kill(name)
        running.runtime.until("the signal arrives", lambda: len(running.probe.signals()) == number)  # noqa: B023
    assert running.probe.signals() == ["USR1", "HUP", "USR1"]


@claim("RT-k-send")
def test_kill_sends_term_when_no_signal_is_named(running):
    running.kill()
    running.runtime.until("the signal arrives", lambda: running.probe.signals() == ["TERM"])


@claim("RT-k-send")
def test_kill_stops_and_continues(running):
    def is_stopped():
        return "State:\tT" in running.exec("/bin/cat", "/proc/1/status").stdout

    running.kill("STOP")
    running.runtime.until("the process is stopped", is_stopped)
    running.kill("CONT")
    running.runtime.until("the process goes on", lambda: not is_stopped())
    assert running.probe.signals() == ["CONT"]


@claim("RT-k-send")
@pytest.mark.parametrize("word", ["NOSUCHSIGNAL", "SIGNOSUCH", "-1", "4711"])
def test_kill_with_an_unknown_signal_is_an_error(runtime, running, word):
    runtime.fails("kill", "--", running.id, word)
    assert running.probe.signals() == []
    assert running.status == "running"


@claim("RT-k-send", "RT-k-stopped-err")
def test_kill_reaches_a_container_that_is_only_created(runtime, bundle):
    box = runtime.create(bundle)
    box.kill("KILL")
    box.until("stopped")
    box.delete()


@claim("RT-k-send")
def test_kill_reaches_only_the_container_that_is_named(runtime, bundle, running):
    other = runtime.run(bundle)
    assert other.seen.pid
    running.kill("KILL")
    running.until("stopped")
    assert other.status == "running"
    assert other.probe.signals() == []


@claim("RT-state-status", "RT-k-send")
def test_a_program_that_ends_by_itself_makes_a_stopped_container(runtime, bundle):
    box = runtime.run(bundle.sh("exit 3"))
    box.until("stopped")
    runtime.fails("kill", box.id, "KILL")
    box.delete()


@claim("RT-d-noid")
def test_delete_without_an_id_is_an_error(runtime):
    runtime.fails("delete")


@claim("RT-d-notstopped-err")
def test_delete_of_an_unknown_container_is_an_error(runtime):
    runtime.fails("delete", runtime.name())


@claim("RT-d-notstopped-err", "RT-d-notstopped-eff")
def test_delete_of_a_running_container_is_an_error_without_effect(runtime, running):
    before = running.state
    runtime.fails("delete", running.id)
    assert running.state == before
    assert running.probe.report().pid == 1


@claim("RT-d-notstopped-err", "RT-d-notstopped-eff")
def test_delete_of_a_created_container_is_an_error_without_effect(runtime, bundle):
    box = runtime.create(bundle)
    box.delete(expect=FAILURE)
    assert box.status == "created"
    box.start()
    assert box.seen.pid == 1


@claim("RT-d-res", "RT-life-12", "RT-ops")
def test_delete_leaves_nothing(runtime, stopped):
    assert [what for what in stopped.leftovers() if what.startswith("state")]
    stopped.delete()
    assert stopped.leftovers() == []
    assert not stopped.known


@claim("RT-d-res", "RT-life-12")
def test_delete_removes_the_cgroups_that_create_made(runtime, bundle):
    box = runtime.run(bundle.with_(linux={"resources": {"pids": {"limit": 50}}}))
    group = box.kernel.cgroup_path("pids")
    assert group.is_dir()
    box.end()
    assert not group.exists()


@claim("RT-d-res", "RT-life-12")
def test_delete_by_force_ends_a_running_container(runtime, running):
    kernel = running.kernel
    assert kernel.alive
    running.delete("--force")
    assert not running.known
    assert running.leftovers() == []
    runtime.until("the process is gone", lambda: not kernel.alive)


@claim("RT-d-res")
def test_delete_by_force_of_an_unknown_container_makes_nothing(runtime):
    id_ = runtime.name()
    runtime.cli("delete", "--force", id_)
    assert runtime.leftovers(id_) == []


@claim("RT-d-res")
def test_an_id_can_be_used_again_after_delete(runtime, bundle, stopped):
    stopped.delete()
    again = runtime.create(bundle, id_=stopped.id)
    again.start()
    assert again.seen.args[-1] == again.nonce
    again.end()


@claim("RT-d-foreign")
def test_delete_keeps_the_bundle(runtime, stopped):
    before = sorted(path.name for path in stopped.rootfs.iterdir())
    stopped.delete()
    assert sorted(path.name for path in stopped.rootfs.iterdir()) == before
    assert stopped.config["process"]["args"][-1] == stopped.nonce


@claim("RT-d-foreign")
def test_delete_keeps_what_was_bound_into_the_container(runtime, bundle):
    data = runtime.directory()
    (data / "kept").write_text("kept")
    box = runtime.run(bundle.mounted(bind(data, "/data")))
    assert box.probe.read("/data/kept") == "kept"
    box.end()
    assert (data / "kept").read_text() == "kept"


@claim("RT-d-foreign")
def test_delete_keeps_a_namespace_that_was_joined(runtime, bundle, running):
    box = runtime.run(bundle.in_namespaces("pid", "mount", "uts", "ipc", network=f"/proc/{running.pid}/ns/net"))
    assert box.seen.namespace("net") == running.seen.namespace("net")
    box.end()
    assert running.probe.report().namespace("net") == running.seen.namespace("net")


@claim("RT-d-foreign")
@requires("cgroup_v1")
def test_delete_keeps_a_cgroup_that_was_there_before(runtime, bundle):
    name = runtime.name()
    groups = [path / f"{name}-mine" for path in runtime.hierarchies()]
    for group in groups:
        runtime.make_group(group)
    box = runtime.run(bundle.with_(linux={"cgroupsPath": f"/{name}-mine/below"}))
    assert box.kernel.cgroup_path("pids").name == "below"
    box.end()
    assert [group.name for group in groups if not group.is_dir()] == []
    assert [group.name for group in groups if (group / "below").exists()] == []
