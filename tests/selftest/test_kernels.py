"""A lab with a kernel of its own: commands, streams and signals as everywhere, facts of that kernel, no leftovers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seatrial import exec as command
from seatrial import proc, results
from seatrial.errors import SeatrialError
from seatrial.lab import host as hosts
from seatrial.lab import kernel, labs
from seatrial.names import new_run_id
from seatrial.probes import guest
from seatrial.requires import judge_all
from seatrial.targets import parse
from seatrial.verdict import Verdict
from seatrial.waiting import wait_until

NAME = "runc@bookworm/apparmor"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One lab for the module, in directories of its own."""
    before = {name: os.environ.get(name) for name in ("SEATRIAL_STATE", "SEATRIAL_DATA")}
    token = new_run_id()
    os.environ |= {"SEATRIAL_STATE": f"/run/seatrial-{token}", "SEATRIAL_DATA": f"/var/lib/seatrial-{token}"}
    made = labs.acquire(parse(NAME), labs.USER)
    yield made
    labs.take_down(made.name)
    subprocess.run(["rm", "-rf", os.environ["SEATRIAL_STATE"], os.environ["SEATRIAL_DATA"]], check=True)
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def kernels(made):
    """The processes of the lab's kernel."""
    return [pid for pid in hosts.processes(made.name) if proc.command(pid).startswith("linux.uml")]


def test_commands_are_those_of_another_kernel(lab):
    assert isinstance(lab.host, kernel.KernelHost)
    data = os.urandom(300_000)
    assert command.run(["cat"], host=lab.host, stdin=data).out == data
    ended = command.run(["sh", "-c", "echo out; echo err >&2; pwd; exit 7"], host=lab.host, expect=7, cwd="/usr")
    assert (ended.stdout, ended.stderr) == ("out\n/usr\n", "err\n")
    assert command.run(["sh", "-c", "kill -TERM $$"], host=lab.host, expect=-signal.SIGTERM).code == -15
    missing = command.run(["st-nosuch"], host=lab.host, expect=127)
    assert "cannot execute st-nosuch" in missing.stderr
    assert command.run(["uname", "-r"], host=lab.host).text != os.uname().release
    env = command.run(["sh", "-c", "echo $ST_WORD"], host=lab.host, env={"ST_WORD": "a b"})
    assert env.stdout == "a b\n"


def test_a_slice_of_the_suite_for_apparmor_passes_in_it(lab, tmp_path):
    """A profile that applies, and one that is not there: the lab of this module is the one that they run in."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "suites/security/test_apparmor.py", "-k", "bundle", "-q", "--engine", NAME,
         "--results", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    written = results.read(tmp_path / "latest/results.jsonl")
    found = {one.test.rpartition("::")[2]: one.verdict for one in written.results}
    assert found == dict.fromkeys(
        ["test_profile_of_a_bundle_applies", "test_unknown_profile_of_a_bundle_is_refused"], Verdict.PASS
    )


def test_what_is_killed_here_ends_there(lab):
    slow = command.popen(["sleep", "987"], lab.host, None, None, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)  # fmt: skip

    def there():
        return command.run(["pgrep", "-f", "^sleep 987"], host=lab.host, expect=command.ANY).ok

    wait_until("the command runs", there, 20)
    command.kill_group(slow)
    slow.wait()
    wait_until("the command is gone", lambda: not there(), 20)


def test_what_a_command_leaves_behind_keeps_its_output(lab):
    began = time.monotonic()
    shown = command.run(["sh", "-c", "(sleep 1; echo late) & echo early"], host=lab.host)
    assert shown.stdout == "early\nlate\n"
    assert time.monotonic() - began >= 1


# As a container with cgroups of its own sees them, where an engine is to be started; $1 is the script to prepare them.
NESTED = """
mkdir /sys/fs/cgroup/nest
echo $$ >/sys/fs/cgroup/nest/cgroup.procs
sleep 300 &
other=$!
unshare --cgroup --mount sh -uc '
    mount -t tmpfs none /mnt && mkdir /mnt/c && mount -t cgroup2 none /mnt/c && cd /mnt/c && mkdir inner || exit
    echo +memory 2>/dev/null >cgroup.subtree_control && echo "passed on before"
    [ -e inner/memory.max ] && echo "a limit before"
    sh -c "$1" sh /mnt/c
    echo "exit code: $?"
    echo "controllers: $(cat cgroup.subtree_control)"
    echo "in the root: $(wc -l <cgroup.procs), in init: $(grep -cx -e $$ -e "$2" init/cgroup.procs)"
    echo 64M >inner/memory.max && echo "a limit: $(cat inner/memory.max)"
    rmdir inner
' sh "$1" "$other"
kill "$other"
wait "$other" 2>/dev/null
echo $$ >/sys/fs/cgroup/cgroup.procs
rmdir /sys/fs/cgroup/nest/init /sys/fs/cgroup/nest
# the machine's own root is bound by no such rule, and its processes stay where they are
before=$(cat /proc/1/cgroup)
sh -c "$1"
[ "$(cat /proc/1/cgroup)" = "$before" ] && [ ! -e /sys/fs/cgroup/init ] && echo "left alone"
"""


def test_an_engine_in_a_container_can_limit_what_it_runs(lab):
    script = (Path(__file__).parents[2] / "container/seatrial-cgroups").read_text()
    told = command.run(["sh", "-uc", NESTED, "sh", script], host=lab.host)
    assert told.stderr == ""
    assert told.lines == [
        "exit code: 0", "controllers: cpu io memory pids", "in the root: 0, in init: 2", "a limit: 67108864",
        "left alone",
    ]  # fmt: skip


def test_facts_and_requirements(lab):
    facts = guest.facts(lab.host)
    assert facts["cgroup"] == {"version": "v2", "controllers": ["cpu", "io", "memory", "pids"]}
    assert facts["all_capabilities"] is True
    assert "apparmor" in facts["lsm"]
    assert "selinux" not in facts["lsm"]
    assert {"overlay", "hostfs"} <= set(facts["filesystems"])
    judged = judge_all({"host": facts, "engine": {}})
    assert all(judged[name].holds for name in ("apparmor", "cgroup_v2", "privileged", "sys_resource"))
    assert not judged["selinux"].holds
    assert not judged["cgroup_v1"].holds


def test_a_share_is_seen_on_both_sides(lab):
    place = Path(os.environ["SEATRIAL_DATA"]) / "share" / "both"
    place.write_text("from here")
    assert command.run(["cat", str(place)], host=lab.host).stdout == "from here"
    command.run(["sh", "-c", f"echo from there >{place}"], host=lab.host)
    assert place.read_text() == "from there\n"
    place.unlink()


def test_a_killed_keeper_takes_its_kernel_with_it(lab):
    assert kernels(lab) != []
    os.kill(lab.pid, signal.SIGKILL)
    wait_until("the keeper is gone", lambda: not labs.find(lab.name).alive, 10)
    labs.take_down(lab.name)
    assert list(hosts.processes(lab.name)) == []
    assert not hosts.storage(lab.name).exists()
    assert kernels(lab) == []


@pytest.mark.parametrize("word", ["runc@trixie/apparmor", "runc@bookworm/nosuch"])
def test_kernels_that_there_are_not(word):
    with pytest.raises(SeatrialError) as caught:
        labs.acquire(parse(word), labs.USER)
    assert caught.value.code == "E206"
    assert "runc@bookworm/apparmor" in caught.value.hint
