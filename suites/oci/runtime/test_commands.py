"""What the command lines of runtimes have in common beside the specification: run, exec, files, terminals."""

import json
import os
import signal
import subprocess

import pytest

from seatrial.exec import FAILURE
from seatrial.oci.bundle import NAMESPACES, bind
from seatrial.oci.descriptors import DescriptorSocket, size_of
from seatrial.oci.rootfs import PERL, PROBE
from seatrial.spool import Spool

claim, requires = pytest.mark.claim, pytest.mark.requires


# -- run ---------------------------------------------------------------------------------------


@claim("CLI-run-exit")
@pytest.mark.parametrize("code", [0, 1, 7, 42, 127, 255])
def test_run_returns_the_exit_code_of_the_program(runtime, bundle, code):
    runtime.foreground(bundle.sh(f"exit {code}"), expect=code)


@claim("CLI-run-exit")
def test_run_tells_by_which_signal_the_program_ended(runtime, bundle):
    # a first process is not ended by a signal of its own, so a child of it is
    runtime.foreground(bundle.sh("sh -c 'kill -9 $$'; exit $?"), expect=128 + signal.SIGKILL)


@claim("CLI-run-stdio")
def test_run_keeps_output_and_error_apart(runtime, bundle):
    result = runtime.foreground(bundle.sh("echo to out; echo to err >&2; echo more"))
    assert (result.stdout, result.stderr) == ("to out\nmore\n", "to err\n")


@claim("CLI-run-stdio")
def test_run_hands_its_input_on(runtime, bundle):
    result = runtime.foreground(bundle.args("/bin/cat"), stdin="line one\nline two\n")
    assert result.stdout == "line one\nline two\n"


@claim("CLI-run-stdio")
def test_run_takes_much_output(runtime, bundle):
    script = "i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done"
    result = runtime.foreground(bundle.sh(script))
    assert len(result.stdout) == 2000 * 41


@claim("CLI-run-exit", "RT-life-12")
def test_run_leaves_nothing(runtime, bundle):
    box = runtime.place(bundle.sh("exit 0"))
    runtime.cli("run", "--bundle", str(box.directory), box.id)
    assert not box.known
    assert box.leftovers() == []


@claim("CLI-run-exit")
def test_run_in_the_background_leaves_a_running_container(runtime, bundle):
    box = runtime.place(bundle.sh("exec sleep 100"))
    runtime.cli("run", "--detach", "--bundle", str(box.directory), box.id)
    runtime.made(box.id)
    assert box.status == "running"
    assert box.exec("/bin/cat", "/proc/1/cmdline").stdout == "sleep\x00100\x00"
    box.end()


@claim("CLI-run-exit", "RT-c-dup")
def test_run_with_an_id_that_is_taken_is_an_error(runtime, bundle):
    box = runtime.run(bundle)
    runtime.fails("run", "--bundle", str(runtime.place(bundle).directory), box.id)
    assert box.probe.report().pid == 1
    box.end()


# -- files -------------------------------------------------------------------------------------


@claim("CLI-pidfile")
def test_the_pid_file_of_create_has_the_pid(runtime, bundle):
    path = runtime.path("pid")
    box = runtime.create(bundle, "--pid-file", str(path))
    assert path.read_text() == str(box.pid)
    box.start()
    assert box.seen.pid == 1
    assert path.read_text() == str(box.pid)


@claim("CLI-pidfile")
def test_the_pid_file_of_run_has_the_pid(runtime, bundle):
    path = runtime.path("pid")
    box = runtime.place(bundle.sh("exec sleep 100"))
    runtime.cli("run", "--detach", "--pid-file", str(path), "--bundle", str(box.directory), box.id)
    runtime.made(box.id)
    assert path.read_text() == str(box.pid)
    box.end()


@claim("CLI-pidfile", "CLI-exec-ns")
@requires("host_kernel")
def test_the_pid_file_of_exec_has_the_pid(runtime, bundle):
    box = runtime.run(bundle)
    assert box.seen.pid == 1
    path = runtime.path("pid")
    box.exec("/bin/sleep", "100", options=["--detach", "--pid-file", str(path)])
    pid = int(path.read_text())
    runtime.until("it runs", lambda: type(box.kernel)(pid).argv == ["/bin/sleep", "100"])
    assert pid != box.pid


# -- descriptors -------------------------------------------------------------------------------


def descriptors(box):
    return {number: link for number, link in box.seen.descriptors.items() if link != PROBE}


# opens two files as descriptors 3 and 4, where the runtime counts from, and becomes the runtime
BEFORE = ["sh", "-c", 'exec 3<"$0" 4<"$1"; shift; export LISTEN_PID=$$; exec "$@"']


@claim("CLI-pfds", "RL-fds")
@requires("preserve_fds")
def test_descriptors_are_handed_on_when_they_are_counted(runtime, bundle):
    files = [runtime.path("kept"), runtime.path("kept")]
    for file in files:
        file.write_text(f"content of {file.name}")
    box = runtime.place(bundle)
    box.create("--preserve-fds", "2", before=[*BEFORE, *map(str, files)])
    box.start()
    assert sorted(descriptors(box)) == [0, 1, 2, 3, 4]
    assert [box.probe.read(f"/proc/self/fd/{number}") for number in (3, 4)] == [file.read_text() for file in files]


@claim("CLI-pfds", "RL-fds")
@pytest.mark.parametrize("count", [0, pytest.param(1, marks=requires("preserve_fds"))])
def test_descriptors_are_not_handed_on_when_they_are_not_counted(runtime, bundle, count):
    files = [runtime.path("kept"), runtime.path("kept")]
    for file in files:
        file.write_text("")
    box = runtime.place(bundle)
    box.create(*(["--preserve-fds", str(count)] if count else []), before=[*BEFORE, *map(str, files)])
    box.start()
    assert sorted(descriptors(box)) == list(range(3 + count))


@claim("CLI-pfds")
def test_sockets_of_a_service_manager_are_handed_on(runtime, bundle):
    box = with_sockets(runtime, bundle)
    assert sorted(descriptors(box)) == [0, 1, 2, 3, 4]
    assert [box.probe.read(f"/proc/self/fd/{number}") for number in (3, 4)] == ["content", "content"]


@claim("CLI-pfds")
def test_the_number_of_sockets_of_a_service_manager_is_told(runtime, bundle):
    box = with_sockets(runtime, bundle)
    assert "LISTEN_FDS=2" in box.seen.environ
    assert [line for line in box.seen.environ if line.startswith("LISTEN_PID=")] in ([], ["LISTEN_PID=1"])


def with_sockets(runtime, bundle):
    files = [runtime.path("kept"), runtime.path("kept")]
    for file in files:
        file.write_text("content")
    box = runtime.place(bundle)
    box.create(before=[*BEFORE, *map(str, files)], env={"LISTEN_FDS": "2"})
    box.start()
    return box


# -- exec --------------------------------------------------------------------------------------


@pytest.fixture
def box(runtime, bundle):
    box = runtime.run(bundle.with_(hostname="exec-test"))
    assert box.seen.pid == 1
    return box


@claim("CLI-exec-exit")
@pytest.mark.parametrize("code", [0, 1, 5, 126, 200])
def test_exec_returns_the_exit_code_of_the_program(box, code):
    box.exec("/bin/sh", "-c", f"exit {code}", expect=code)


@claim("CLI-exec-exit")
def test_exec_tells_by_which_signal_the_program_ended(box):
    box.exec("/bin/sh", "-c", "kill -9 $$", expect=128 + signal.SIGKILL)


@claim("CLI-exec-exit", "CLI-run-stdio")
def test_exec_connects_its_streams(box):
    result = box.exec("/bin/sh", "-c", "cat; echo to err >&2", stdin="handed in\n")
    assert (result.stdout, result.stderr) == ("handed in\n", "to err\n")


@claim("CLI-exec-exit")
def test_exec_of_a_program_that_is_not_there_is_an_error(box):
    box.exec("/no/such/program", expect=FAILURE)
    assert box.probe.report().pid == 1


@claim("CLI-exec-state")
@pytest.mark.parametrize("status", ["stopped", "unknown"])
def test_exec_where_nothing_runs_is_an_error(runtime, box, status):
    if status == "stopped":
        box.kill("KILL")
        box.until("stopped")
    id_ = box.id if status == "stopped" else runtime.name()
    runtime.fails("exec", id_, "/bin/true")


@claim("CLI-exec-ns")
@requires("host_kernel")
def test_exec_is_in_the_namespaces_of_the_container(box):
    seen = box.exec_probe()
    kinds = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup")
    assert {kind: seen.namespace(kind) for kind in kinds} == {kind: box.seen.namespace(kind) for kind in kinds}


@claim("CLI-exec-ns")
def test_exec_sees_processes_files_and_name_of_the_container(box):
    assert box.exec("/bin/cat", "/etc/motd").stdout == "sea trial\n"
    assert box.exec("/bin/cat", "/proc/1/cmdline").stdout.split("\0")[:-1] == box.seen.args
    assert box.exec_probe().hostname == "exec-test"


@claim("CLI-exec-ns")
@requires("cgroup_v1")
def test_exec_is_in_the_cgroups_of_the_container(box):
    assert box.exec_probe().text("/proc/self/cgroup") == box.seen.text("/proc/self/cgroup")


@claim("CLI-exec-ns", "CL-userns-map")
@requires("userns")
def test_exec_is_in_the_user_namespace_of_the_container(runtime, bundle):
    maps = {
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 2000}],
        "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 2000}],
    }
    box = runtime.run(bundle.in_namespaces(*NAMESPACES, "user").with_(linux=maps))
    seen = box.exec_probe("--user", "5:6")
    assert seen.namespace("user") == box.seen.namespace("user")
    assert seen.text("/proc/self/uid_map") == box.seen.text("/proc/self/uid_map")
    assert (seen.uids[0], seen.gids[0]) == (5, 6)


@claim("CLI-exec-proc")
@pytest.mark.parametrize("what", ["environment", "capabilities"])
def test_exec_has_what_the_process_of_the_container_has(runtime, bundle, what):
    look = {
        "environment": lambda seen: [line for line in seen.environ if not line.startswith("HOME=")],
        "capabilities": lambda seen: [seen.capabilities(kind) for kind in ("bounding", "effective", "permitted")],
    }[what]
    plain = runtime.observe(bundle).seen
    box = runtime.run(bundle.with_(process={
        "env": ["PATH=/usr/bin:/bin", "SEA=trial"],
        "capabilities": {"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]},
    }))  # fmt: skip
    assert look(box.seen) != look(plain)
    assert look(box.exec_probe()) == look(box.seen)


@claim("CLI-exec-proc")
def test_exec_takes_user_environment_and_directory(box):
    seen = box.exec_probe("--user", "1000:1001", "--env", "ADDED=one two", "--cwd", "/tmp")
    assert (seen.uids, seen.gids) == ([1000] * 4, [1001] * 4)
    assert "ADDED=one two" in seen.environ
    assert seen.cwd == "/tmp"


@claim("CLI-exec-proc")
def test_exec_takes_capabilities(box):
    seen = box.exec_probe("--cap", "CAP_NET_RAW")
    assert "CAP_NET_RAW" in seen.capabilities("bounding")
    assert "CAP_NET_RAW" not in box.seen.capabilities("bounding")


@claim("CLI-exec-proc")
@requires("exec_no_new_privs")
def test_exec_takes_no_new_privileges(box):
    assert not box.exec_probe().no_new_privileges
    assert box.exec_probe("--no-new-privs").no_new_privileges


PROCESS = {
    "args": [PERL, PROBE, "@NONCE@", "last word"],
    "cwd": "/tmp",
    "env": ["PATH=/bin", "ONLY=this"],
    "user": {"uid": 1000, "gid": 1001, "additionalGids": [5, 2000], "umask": 0o27},
    "noNewPrivileges": True,
    "oomScoreAdj": 222,
    "rlimits": [
        {"type": "RLIMIT_NOFILE", "soft": 123, "hard": 234}, {"type": "RLIMIT_STACK", "soft": 1 << 22, "hard": 1 << 23},
    ],
    "capabilities": {
        "bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"], "inheritable": ["CAP_CHOWN"],
        "effective": ["CAP_CHOWN", "CAP_KILL"], "ambient": ["CAP_CHOWN"],
    },
}  # fmt: skip


@pytest.fixture
def processed(box):
    return box.exec_process(PROCESS)


@claim("CLI-exec-proc")
def test_exec_of_a_process_has_its_args_environment_and_directory(processed):
    assert processed.args[3:] == ["last word"]
    assert [line for line in processed.environ if not line.startswith("HOME=")] == PROCESS["env"]
    assert processed.cwd == "/tmp"


@claim("CLI-exec-proc")
def test_exec_of_a_process_has_its_user(processed):
    assert (processed.uids, processed.gids) == ([1000] * 4, [1001] * 4)
    assert sorted(set(processed.groups) - {1001}) == [5, 2000]


@claim("CLI-exec-proc")
def test_exec_of_a_process_has_its_umask(processed):
    assert processed.umask == 0o27


@claim("CLI-exec-proc")
def test_exec_of_a_process_has_its_oom_score(processed):
    assert processed.text("/proc/self/oom_score_adj").strip() == "222"


@claim("CLI-exec-proc")
def test_exec_of_a_process_has_its_limits(processed):
    assert processed.limit("Max open files") == ("123", "234")
    assert processed.limit("Max stack size") == (str(1 << 22), str(1 << 23))


@claim("CLI-exec-proc")
def test_exec_of_a_process_has_its_privileges(processed):
    assert processed.no_new_privileges
    assert processed.capabilities("bounding") == {"CAP_CHOWN", "CAP_KILL"}
    assert processed.capabilities("inheritable") == {"CAP_CHOWN"}
    assert processed.capabilities("ambient") == {"CAP_CHOWN"}


@claim("CLI-exec-proc", "CL-sec-action")
@requires("seccomp", "amd64")
def test_exec_is_under_the_filter_of_the_container(runtime, bundle):
    rule = {"names": ["getsid"], "action": "SCMP_ACT_ERRNO"}
    box = runtime.run(bundle.with_(linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}}))
    assert box.seen.seccomp == 2
    assert box.exec_probe().seccomp == 2


@claim("CLI-exec-ns", "CF-root-ro")
def test_exec_sees_the_same_files(runtime, bundle):
    data = runtime.directory()
    (data / "file").write_text("bound")
    box = runtime.run(bundle.with_(root={"readonly": True}).mounted(bind(data, "/data", "ro")))
    assert box.seen.pid == 1
    assert box.exec("/bin/cat", "/data/file").stdout == "bound"
    result = box.exec("/bin/sh", "-c", "echo >/canary", expect=FAILURE)
    assert "Read-only file system" in result.stderr


@claim("CLI-exec-ns", "RT-d-res")
def test_what_exec_started_ends_with_the_container(runtime, box):
    path = runtime.path("pid")
    box.exec("/bin/sleep", "100", options=["--detach", "--pid-file", str(path)])
    kernel = type(box.kernel)(int(path.read_text()))
    assert kernel.alive
    box.end()
    runtime.until("it is gone", lambda: not kernel.alive)


# -- terminals ---------------------------------------------------------------------------------


@pytest.fixture
def on_terminal(runtime, bundle):
    """Create and start a container with a terminal; return the box and the terminal's other end."""
    def make(**process):
        console = DescriptorSocket(runtime.path("s"))
        runtime.defer(console.close)
        box = runtime.place(bundle.with_(process={"terminal": True, **process}))
        box.create("--console-socket", str(console.path))
        master = console.terminal()
        box.converse(master)
        box.start()
        return box, master

    return make


@claim("CF-proc-term", "CLI-console")
def test_with_a_terminal_all_streams_are_one(on_terminal):
    box, master = on_terminal()
    assert os.isatty(master)
    assert box.seen.terminals == [True] * 3
    assert {box.seen.descriptors[number] for number in (0, 1, 2)} in ({"/dev/pts/0"}, {"/dev/console"})
    assert box.seen.descriptors[0] == box.seen.descriptors[2]


@claim("CF-proc-term")
def test_without_a_terminal_no_stream_is_one(runtime, bundle):
    assert runtime.observe(bundle).seen.terminals == [False] * 3


@claim("CL-dev-default", "CF-proc-term")
def test_with_a_terminal_there_is_a_console(on_terminal, runtime, bundle):
    box, _ = on_terminal()
    assert box.probe.exec("/bin/busybox", "test", "-c", "/dev/console").code == 0
    assert "/dev/console" not in runtime.observe(bundle).seen.devices


@claim("CF-proc-consize")
def test_the_terminal_has_the_size_that_was_asked_for(on_terminal):
    box, master = on_terminal(consoleSize={"height": 33, "width": 111})
    assert [int(word) for word in box.seen.report["winsize"][:2]] == [33, 111]
    assert size_of(master) == (33, 111)


@claim("CF-proc-consize-ign")
def test_a_size_without_a_terminal_is_ignored(runtime, bundle):
    seen = runtime.observe(bundle.with_(process={"terminal": False, "consoleSize": {"height": 33, "width": 111}})).seen
    assert seen.terminals == [False] * 3


@claim("CLI-console", "CF-proc-term")
def test_the_terminal_can_be_talked_over(on_terminal):
    box, _ = on_terminal()
    assert box.probe.read("/etc/motd") == "sea trial\n"


@claim("CLI-console", "CF-valid")
def test_a_terminal_without_a_console_socket_is_refused(runtime, bundle):
    box = runtime.refuses(bundle.with_(process={"terminal": True}))
    assert not box.known


@claim("CF-execaff")
@requires("oci_1_2_1")
def test_exec_keeps_its_affinity_when_none_is_asked_for(runtime, bundle):
    box = runtime.run(bundle)
    assert box.exec_probe().affinity == box.seen.affinity


def moved_by_hand(box):
    """The affinity of a process that was on the first processor when it was moved into the container's cgroup."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            os.sched_setaffinity(process.pid, {0})
            (box.kernel.cgroup_path("cpuset") / "cgroup.procs").write_text(str(process.pid))
            return sorted(os.sched_getaffinity(process.pid))
        finally:
            process.kill()


@claim("CF-execaff")
@requires("oci_1_2_1", "processors", "cgroup_v1", "host_kernel")
@pytest.mark.parametrize("asked", [{"initial": "0"}, {"initial": "0", "final": ""}], ids=["absent", "empty"])
def test_exec_has_the_affinity_that_the_kernel_chooses_when_no_final_one_is_asked_for(runtime, bundle, asked):
    box = runtime.run(bundle.with_(process={"execCPUAffinity": asked}))
    assert len(box.seen.affinity) > 1
    assert box.exec_probe().affinity == moved_by_hand(box)


@claim("CF-execaff-final")
@requires("oci_1_2_1", "processors")
def test_exec_has_the_final_affinity_that_was_asked_for(runtime, bundle):
    box = runtime.run(bundle.with_(process={"execCPUAffinity": {"initial": "0", "final": "1"}}))
    assert len(box.seen.affinity) > 1
    assert box.exec_probe().affinity == [1]


@claim("CF-execaff-final")
@requires("oci_1_2_1", "processors")
def test_exec_of_a_process_has_its_affinity(runtime, box):
    assert box.exec_process({**PROCESS, "execCPUAffinity": {"final": "1"}}).affinity == [1]


@claim("CLI-exec-proc")
def test_exec_of_a_broken_process_is_refused(runtime, box):
    path = runtime.path("process")
    path.write_text(json.dumps({"args": [], "cwd": "/"}))
    runtime.fails("exec", "--process", str(path), box.id)
    path.write_text("{")
    runtime.fails("exec", "--process", str(path), box.id, spool=Spool())
    assert box.probe.report().pid == 1
