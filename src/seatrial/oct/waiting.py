"""Waiting until something that was started is ready."""

from __future__ import annotations

import re
import socket
import time

from seatrial.hosts import connect
from seatrial.oct.containers import Containers
from seatrial.oct.hostside import HostSide
from seatrial.oct.model import Wait
from seatrial.probes.kernel import Kernel

_PAUSE = 0.05


def wait_for(wait: Wait, name: str, containers: Containers, side: HostSide, deadline: float, step: str = "",
             *, host: bool = False) -> str:  # fmt: skip
    """Wait until every condition holds; return what is not, empty when all is. `step` is a background step's name."""
    until = min(time.monotonic() + wait.timeout, deadline)
    while True:
        missing = _missing(wait, name, containers, side, step, host=host)
        if not missing:
            return ""
        background = side.backgrounds.get(step)
        if background is not None and background.process.poll() is not None:
            out, err = background.output()
            return f"it ended with exit code {background.process.returncode} before {missing}\n{out}{err}".rstrip()
        if time.monotonic() >= until:
            return f"waited {wait.timeout:g} s in vain until {missing}"
        time.sleep(_PAUSE)


def _missing(wait: Wait, name: str, containers: Containers, side: HostSide, step: str, *, host: bool) -> str:
    if wait.state and (seen := containers.state(name)) != wait.state:
        return f"it is {wait.state} (it is {seen})"
    if wait.port and not (_answers(containers, wait.port) if host else _listens(containers, name, wait.port)):
        return f"something listens on port {wait.port}"
    if wait.log:
        out, err = side.backgrounds[step].output() if step in side.backgrounds else containers.logs(name)
        if not re.search(wait.log, out + err, re.MULTILINE):
            return f"/{wait.log}/ is in its output"
    if wait.file:
        found = side.read(name, wait.file, 1 << 30) if host else containers.read(name, wait.file, 1 << 30)
        if found is None:
            return f"the file {wait.file} is there"
    return ""


def _listens(containers: Containers, name: str, port: int) -> bool:
    pid = containers.pid(name)
    return bool(pid) and port in Kernel(pid).listeners()


def _answers(containers: Containers, port: int) -> bool:
    try:
        connection: socket.socket = connect(containers.host, ("127.0.0.1", port), 1.0)
    except OSError:
        return False
    connection.close()
    return True
