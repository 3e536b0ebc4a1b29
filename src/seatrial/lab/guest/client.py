"""Runs one command under a lab's own kernel, as if it were a child: streams, signals and exit code are its own.

client.py DIRECTORY CWD ARGV...; DIRECTORY is what agent.pl looks into. Started once for every command, so it
imports nothing of the harness.
"""

import contextlib
import os
import select
import shutil
import signal
import stat
import sys
import time

_PAUSE = 0.004


def _put(path: str, data: bytes) -> None:
    with open(path + ".part", "wb") as file:
        file.write(data)
    os.rename(path + ".part", path)


def _request(wire: str, cwd: str, argv: list[str], *, stream: bool) -> str:
    """Write a request and return its directory."""
    name = f"{os.getpid()}-{time.monotonic_ns()}"
    place = f"{wire}/.{name}"
    os.mkdir(place, 0o700)
    _put(f"{place}/argv", b"".join(os.fsencode(word) + b"\0" for word in argv))
    _put(f"{place}/env", b"".join(os.fsencode(f"{key}={value}") + b"\0" for key, value in os.environ.items()))
    _put(f"{place}/cwd", os.fsencode(cwd))
    if stream:
        _put(f"{place}/stream", b"")
    os.rename(place, f"{wire}/q{name}")
    return f"{wire}/q{name}"


def _guard(place: str) -> None:
    """Leave a process behind that ends the command when this one is killed, and clears away afterwards."""
    ours, theirs = os.pipe()
    if os.fork():
        os.close(ours)
        os.set_inheritable(theirs, True)  # held open by this process and by those that it leaves behind
        return
    os.setsid()
    os.close(theirs)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(ours, 1)
    with contextlib.suppress(OSError):
        if not os.path.exists(f"{place}/closed"):
            _put(f"{place}/signal", b"9")
            for _ in range(500):
                if os.path.exists(f"{place}/exit"):
                    break
                time.sleep(0.01)
        shutil.rmtree(place, ignore_errors=True)
    os._exit(0)


class _Tail:
    """One stream of output: what is appended to a file goes to a descriptor."""

    def __init__(self, path: str, target: int) -> None:
        self.path, self.target, self.at = path, target, 0

    def pump(self) -> bool:
        """Pass on what is new; True when there was something."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read()
        except FileNotFoundError:
            return False
        self.at += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self.target, view):]
        return bool(data)


class _Feed:
    """Standard input: what comes is written into files, one for each piece."""

    def __init__(self, place: str) -> None:
        self.place, self.count, self.open = place, 0, True

    def pump(self) -> bool:
        """Pass on what there is; True when there was something."""
        if not self.open or not select.select([0], [], [], 0)[0]:
            return False
        data = os.read(0, 1 << 18)
        if data:
            _put(f"{self.place}/in.{self.count}", data)
            self.count += 1
        else:
            _put(f"{self.place}/in.eof", str(self.count).encode())
            self.open = False
        return bool(data)


def main(wire: str, cwd: str, argv: list[str]) -> int:
    """Run the command to its end and return its exit code; a signal that ended it ends this process, too."""
    null = os.stat(os.devnull)
    mine = os.fstat(0)
    stream = not (stat.S_ISCHR(mine.st_mode) and mine.st_rdev == null.st_rdev)
    place = _request(wire, cwd, argv, stream=stream)
    _guard(place)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda caught, _: _put(f"{place}/signal", str(caught).encode()))
    tails = [_Tail(f"{place}/out", 1), _Tail(f"{place}/err", 2)]
    feed = _Feed(place)
    feed.open = stream
    while not os.path.exists(f"{place}/exit"):
        busy = tails[0].pump() | tails[1].pump() | feed.pump()
        if not busy:
            time.sleep(_PAUSE)
    code = int(open(f"{place}/exit").read())  # noqa: SIM115
    for tail in tails:
        tail.pump()
    if not os.path.exists(f"{place}/closed") and not _closes(place) and not os.fork():
        while not os.path.exists(f"{place}/closed"):  # the command left a process behind that holds its output
            for tail in tails:
                tail.pump()
            time.sleep(_PAUSE)
        for tail in tails:
            tail.pump()
        os._exit(0)
    if code < 0:
        with contextlib.suppress(OSError):  # that of SIGKILL cannot be set, and need not
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _closes(place: str) -> bool:
    """Wait a moment for what usually comes with the exit code."""
    for _ in range(10):
        if os.path.exists(f"{place}/closed"):
            return True
        time.sleep(_PAUSE)
    return False


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
