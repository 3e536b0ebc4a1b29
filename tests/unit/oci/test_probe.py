"""The probe and who talks to it: every act answers, and nothing else passes for an answer."""

import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from seatrial.exec import ExpectationError
from seatrial.oci.observe import Seen, capability_names, name_of, parse
from seatrial.oci.probing import Probe
from seatrial.probes.kernel import Kernel

NONCE = "0123abcd"


@pytest.fixture
def started():
    """Start a program with the probe's streams; returns its other end."""
    ends = []

    def start(*argv):
        requests_in, requests_out = os.pipe()
        answers_in, answers_out = os.pipe()
        process = subprocess.Popen(argv, stdin=requests_in, stdout=answers_out)
        os.close(requests_in)
        os.close(answers_out)
        probe = Probe(NONCE, requests_out, answers_in)
        ends.append((probe, process))
        return probe

    yield start
    for probe, process in ends:
        probe.close()
        process.wait(10)


@pytest.fixture
def probe(started):
    with resources.as_file(resources.files("seatrial.oci").joinpath("probe.pl")) as path:
        yield started("perl", str(path), NONCE)


def test_the_report_is_that_of_the_process(probe):
    assert probe.seen.uids[0] == os.getuid()
    assert probe.seen.args[-1] == NONCE
    assert probe.seen.cwd == os.getcwd()
    assert probe.seen.namespace("uts") == os.readlink("/proc/self/ns/uts")
    own = Kernel(os.getpid())
    assert probe.seen.umask == int(own.status["Umask"], 8)
    assert probe.seen.capabilities("bounding") == capability_names(own.capabilities("Bnd"))
    assert probe.seen.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_what_the_kernel_answers_is_what_its_files_say(probe):
    own = Kernel(os.getpid())
    assert len(own.limits) == 16
    assert {title: probe.seen.limit(title) for title in own.limits} == own.limits
    assert probe.seen.affinity == sorted(os.sched_getaffinity(0))
    assert probe.seen.no_new_privileges == (own.status["NoNewPrivs"] == "1")


def test_privileges_that_cannot_be_gained_are_seen(started):
    with resources.as_file(resources.files("seatrial.oci").joinpath("probe.pl")) as path:
        seen = started("setpriv", "--no-new-privs", "perl", str(path), NONCE).seen
    assert seen.no_new_privileges


@pytest.mark.parametrize("look", [
    lambda seen: seen.limit("Max open files"), lambda seen: seen.affinity, lambda seen: seen.no_new_privileges,
], ids=["limit", "affinity", "privileges"])  # fmt: skip
@pytest.mark.parametrize("asked", [{}, {"limits": {}, "affinity": None, "no_new_privs": None}], ids=["none", "null"])
def test_a_kernel_that_does_not_answer_is_told(asked, look):
    with pytest.raises(ExpectationError, match="the kernel in the container"):
        look(Seen({"asked": asked}))


@pytest.mark.parametrize(("line", "expected"), [
    ("CapAmb:\t0000000000000020\n", {"CAP_KILL"}), ("CapAmb:\t0\n", set()), ("Pid:\t1\n", set()),
], ids=["one", "none", "unknown"])  # fmt: skip
def test_a_kernel_without_ambient_capabilities_gives_none(line, expected):
    assert Seen({"files": {"/proc/self/status": line}}).capabilities("ambient") == expected


def test_acts_do_what_they_say(probe, tmp_path):
    file = str(tmp_path / "file ä %41")
    assert probe.write(file, "tab\tand ü\n") == "ok"
    assert probe.read(file) == "tab\tand ü\n"
    assert probe.stat(file).size == len("tab\tand ü\n".encode())
    assert probe.names(str(tmp_path)) == {"file ä %41"}
    assert probe.act("chmod", 0o600, file) == "ok"
    assert probe.stat(file).mode == 0o600
    assert probe.act("unlink", file) == "ok"
    assert not probe.exists(file)
    assert probe.open(file) == "ENOENT"
    assert probe.open("/proc/self/status", os.O_WRONLY) in ("EACCES", "ok", "EPERM")


def test_children_are_told_apart(probe):
    assert probe.exec("/bin/sh", "-c", "echo out; exit 3") == (
        type(probe.exec("/bin/true"))(3, "out\n", "ok")
    )
    assert probe.exec("/bin/sh", "-c", "kill -9 $$").code == -9
    assert probe.exec("/no/such/program").error == "ENOENT"
    assert probe.take(1 << 20).out == str(1 << 20)
    assert probe.fork(3) == (3, "ok")
    assert 0 < probe.spin(1) < 1.1


def test_signals_are_noted_in_their_order(probe):
    pid = probe.seen.pid
    for name in (10, 15, 10):
        os.kill(pid, name)
        probe.report()
    assert probe.signals() == ["USR1", "TERM", "USR1"]


def test_an_unknown_act_is_a_mistake_of_the_test(probe):
    with pytest.raises(ValueError, match="knows no act 'dance'"):
        probe.ask("dance")


@pytest.mark.parametrize(("script", "said"), [
    ("exit 0", "ended without an answer"),
    ("echo Usage: runtime", "ended without an answer; heard instead: 'Usage"),
    (f"echo '{NONCE} {{'", "the probe's answer is broken"),
    (f"printf '{NONCE} {{}}'", "ended without an answer"),
    ("echo 'deadbeef {}'", "ended without an answer"),
    ("yes nonsense", "taken by something that does not end"),
])  # fmt: skip
def test_what_is_no_answer_never_passes(started, script, said):
    probe = started("sh", "-c", script)
    with pytest.raises(ExpectationError, match=said):
        _ = probe.seen


def test_silence_ends(started, monkeypatch):
    monkeypatch.setattr("seatrial.oci.probing.PATIENCE", 0.3)
    with pytest.raises(ExpectationError, match="did not answer within 0 s"):
        _ = started("cat").seen


@pytest.mark.parametrize("line", ["", "x {}\n", f"{NONCE} {{}}", f"{NONCE}{{}}\n", f"{NONCE} \n"])
def test_a_line_is_whole_and_has_the_nonce(line):
    with pytest.raises(ExpectationError):
        parse(line, NONCE)


def test_an_empty_report_answers_nothing():
    seen = Seen({"files": {}})
    with pytest.raises(ExpectationError, match="no readable /proc/self/status"):
        _ = seen.uids


def test_errors_have_names():
    assert (name_of("0"), name_of("2"), name_of(30), name_of("9999")) == ("ok", "ENOENT", "EROFS", "9999")
