"""The program that calls the kernel by its 32-bit entry."""

import os
import subprocess

import pytest

from seatrial.probes import entry32
from seatrial.security.syscalls import numbers

CALLS = numbers("i386")


@pytest.mark.skipif(bool(entry32.missing()), reason="this kernel runs no 32-bit program")
def test_calls_are_made_one_by_one(tmp_path):
    calls = [
        (CALLS["getpid"],), (CALLS["open"], "=/no/such", 0), (CALLS["open"], "=/dev/null", 0), (CALLS["exit"], 7),
        (CALLS["socketcall"], 1, b"\x02\0\0\0\x01\0\0\0\x63\0\0\0"), (CALLS["kill"], 0x7FFFFFFF, 0), (9999,),
    ]  # fmt: skip
    path = tmp_path / "entry32"
    path.write_bytes(entry32.program(calls))
    path.chmod(0o755)
    ended = subprocess.run([str(path)], capture_output=True, timeout=30, check=False)
    assert ended.returncode == 0
    assert entry32.fates(ended.stdout, len(calls)) == [
        "ok", "ENOENT", "ok", "E2BIG", "EPROTONOSUPPORT", "ESRCH", "ENOSYS"]  # fmt: skip


@pytest.mark.parametrize(("status", "fate"), [(0, "ok"), (1 << 8, "EPERM"), (31, "signal 31"), (31 | 0x80, "signal 31"),
                                              (14, "hung"), (250 << 8, "250")])  # fmt: skip
def test_statuses_are_words(status, fate):
    assert entry32.fates(status.to_bytes(4, "little"), 1) == [fate]


def test_what_is_missing_is_told():
    with pytest.raises(ValueError, match="1 calls instead of 2"):
        entry32.fates(bytes(4), 2)
    with pytest.raises(ValueError, match="EAGAIN"):
        entry32.fates((-11).to_bytes(4, "little", signed=True), 1)


def test_a_kernel_without_the_entry_is_told(monkeypatch):
    def refused(*_, **__):
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(subprocess, "run", refused)
    assert "Exec format error" in entry32.missing()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "x", "6", "1", "aarch64")))
    assert entry32.missing() == "the machine is aarch64"


def test_a_program_that_is_ended_has_no_entry(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda argv, **_: subprocess.CompletedProcess(argv, -31, b"", b""))
    assert entry32.missing() == "the program told of 0 calls instead of 1"
