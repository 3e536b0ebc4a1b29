"""`exec`: another process in a running container."""

import os
import re
import signal

import pytest

from seatrial.exec import FAILURE
from seatrial.expecting import matched, one
from seatrial.probes.kernel import Kernel

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

NAMESPACES = ("mnt", "uts", "ipc", "pid", "net", "cgroup", "user")


@pytest.fixture
def c(engine):
    return engine.run("--env", "ST_OWN=container", "--workdir", "/usr", "--ulimit", "nofile=100:200", "--ulimit",
                      "nproc=1000:1000", engine.image, "sleep", "3600")  # fmt: skip


@claim("cli-016")
def test_exec_passes_streams_and_exit_code(c):
    seen = c.sh("echo out; echo err >&2; exit 43", expect=43)
    assert (seen.stdout, seen.stderr) == ("out\n", "err\n")
    assert c.exec("true").output == ""


@claim("cli-016")
@pytest.mark.parametrize(("command", "code"), [("/no/such/program", 127), ("/etc/passwd", 126)],
                         ids=["missing", "not executable"])  # fmt: skip
def test_exec_tells_a_missing_program_from_one_that_may_not_run(engine, c, command, code):
    # Docker's message about the program went to standard output until version 23
    seen = c.exec(command, expect=code)
    assert re.search(engine.says("cannot_execute"), seen.output)


@claim("cli-016", "cli-208")
def test_exec_input_reaches_the_process_and_ends(c, engine):
    data = bytes(range(256)) * 100
    assert engine.cli("exec", "--interactive", c.name, "cat", stdin=data).out == data
    assert engine.cli("exec", c.name, "wc", "-c", stdin=b"not passed").text == "0"


@claim("cli-016", "cli-209")
def test_exec_with_a_terminal(c, engine):
    seen = engine.cli("exec", "--tty", c.name, "sh", "-c", "test -t 1 && echo out; echo err >&2")
    assert seen.stdout == "out\r\nerr\r\n"
    talk = engine.spawn("exec", "-it", c.name, "sh", tty=True)
    talk.send("echo $((40+2)); exit 5\n")
    talk.wait_for("^42")
    talk.wait(5)


@claim("cli-016")
def test_exec_detached_returns_at_once_and_runs_on(c, engine):
    seen = engine.cli("exec", "--detach", c.name, "sh", "-c", "echo $$ >/pid; exec sleep 3604")
    assert re.fullmatch(r"([0-9a-f]{64}\n)?", seen.stdout)
    c.until("its process", lambda: "sleep 3604" in c.sh("ps -o args").stdout)
    c.sh("kill -9 $(cat /pid)")
    assert c.kernel.alive


@claim("cli-016", "cli-203")
@effect("exec --env")
def test_exec_sees_the_containers_environment_and_its_own(c, engine):
    seen = engine.cli("exec", "--env", "ST_NEW=exec", "--env", "ST_CLIENT", c.name, "env", env={"ST_CLIENT": "client"})
    assert {"ST_OWN=container", "ST_NEW=exec", "ST_CLIENT=client"} <= set(seen.lines)
    assert engine.cli("exec", "--env", "ST_OWN=changed", c.name, "sh", "-c", "echo $ST_OWN").text == "changed"
    assert c.sh("echo $ST_OWN").text == "container"


@claim("cli-016", "cli-204", "cli-205")
@effect("exec --user", "exec --workdir")
def test_exec_takes_directory_and_user(c, engine):
    assert c.exec("pwd").text == "/usr"
    seen = engine.cli("exec", "--workdir", "/var/tmp", "--user", "nobody:adm", c.name, "sh", "-c", "pwd; id -u; id -g")
    assert seen.stdout.split() == ["/var/tmp", "65534", "4"]


@claim("cli-016")
@pytest.mark.parametrize(("option", "value", "says"), [
    ("--user", "no-such-user", "unable to find user|no matching entries"),
    ("--workdir", "/no/such/dir", "chdir|no such file|does not exist"),
], ids=["user", "workdir"])  # fmt: skip
def test_exec_as_a_user_or_in_a_directory_that_is_missing_is_refused(engine, c, option, value, says):
    refused = engine.fails("exec", option, value, c.name, "touch", "/ran", says=says)
    assert refused.stdout == ""
    c.sh("test ! -e /ran")


@claim("cli-016")
def test_exec_of_what_does_not_run_is_refused(engine):
    for c in (engine.create(), engine.run(engine.image, "true")):
        c.until("not running", lambda c=c: not c.state["Running"])
        assert engine.fails("exec", c.name, "true", says="not_running").stdout == ""


@claim("cli-016")
def test_exec_in_an_unknown_container_is_refused(engine):
    refused = engine.fails("exec", "no-such-container", "true", says="no_such_container", code=engine.code("error"))
    assert refused.stdout == ""


@claim("cli-016", "cli-084")
def test_exec_ends_with_its_container(engine, c):
    talk = engine.spawn("exec", c.name, "sh", "-c", "echo ready; sleep 3605")
    talk.wait_for("ready")
    engine.cli("kill", c.name)
    talk.wait(FAILURE, timeout=15)


@claim("cli-016")
def test_exec_in_a_read_only_container_writes_to_tmpfs_only(engine):
    c = engine.run("--read-only", "--tmpfs", "/scratch")
    assert c.sh("touch /x", expect=1).stderr.strip().endswith("Read-only file system")
    assert c.sh("touch /scratch/x && ls /scratch").text == "x"


@claim("cli-044", "cli-084")
@requires("local_engine")
def test_exec_joins_namespaces_cgroups_and_limits_of_the_container(engine, c):
    init = c.kernel
    before = init.cgroup_processes
    talk = engine.spawn("exec", c.name, "sh", "-c", "echo ready; exec sleep 3606")
    talk.wait_for("ready")
    pid = one(c.until("its process", lambda: init.cgroup_processes - before))
    other = Kernel(pid)
    assert {kind: other.namespace(kind) for kind in NAMESPACES} == {kind: init.namespace(kind) for kind in NAMESPACES}
    assert (other.proc / "cgroup").read_text() == (init.proc / "cgroup").read_text()
    assert (other.proc / "root").stat().st_ino == (init.proc / "root").stat().st_ino
    assert other.status["NSpid"].split()[-1] != "1"
    # the soft limit of open files is left out: runc before 1.1.13 races with Go's own raising of it
    assert other.limits["Max open files"][1] == "200"
    assert other.limits["Max processes"] == ("1000", "1000")
    assert other.capabilities("Bnd") == init.capabilities("Bnd")
    assert other.status["Seccomp"] == init.status["Seccomp"]
    os.kill(pid, signal.SIGKILL)
    talk.wait(137)
    assert c.status == "running"


@claim("cli-044")
@requires("local_engine")
def test_an_executed_process_is_no_child_of_the_containers_init(engine, c):
    # its parent lies outside of the container's pid namespace; a child of init would have 1
    assert matched(r"^PPid:\s+(\d+)$", c.sh("grep PPid /proc/$$/status").stdout)[1] == "0"
