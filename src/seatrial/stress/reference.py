"""The reference tool's own way: a list of containers in stress.json, run one after the other by N workers.

An entry has `name` (the image), `flags` (of `run`), `args` (the command), `publish` (ports as for --publish) and
`kill`: whether SIGTERM is sent to the `run` client after the kill time. As there, each container is one process of
the command line, which costs a tenth of the machine; without a stress.json the same load goes over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from seatrial.errors import SeatrialError
from seatrial.stress.activities import WAIT, Client, connected
from seatrial.stress.driver import Driver, RefusedError, SilentError, Spec
from seatrial.stress.over_cli import CliDriver
from seatrial.stress.profile import Activity, Load, Objectives, Profile

CONFIG = "stress.json"
JOBS = "jobs.json"
_ANSWERED = (0, 143, -signal.SIGTERM)  # of a client that was told to end


def schema(name: str = CONFIG) -> dict[str, Any]:
    """Return the JSON Schema of stress.json, or of jobs.json."""
    text = resources.files("seatrial.schemas").joinpath(name).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def read(path: Path) -> list[dict[str, Any]]:
    """Read a stress.json; raises `SeatrialError` E806."""
    entries, problem = _read(path, CONFIG)
    if problem:
        raise SeatrialError(
            "E806", f"cannot use the configuration {path}", problem,
            'a list such as [{"name": "busybox", "args": ["sleep", "2"], "kill": true}]',
        )  # fmt: skip
    return entries


def read_jobs(path: Path) -> list[dict[str, Any]]:
    """Read a jobs.json: image, command, ports, and perhaps for how long; raises `SeatrialError` E809."""
    entries, problem = _read(path, JOBS)
    if problem:
        raise SeatrialError(
            "E809", f"cannot use the list of jobs {path}", problem,
            'a list such as [{"image": "redis", "command": [], "ports": [6379], "seconds": 10}]',
        )  # fmt: skip
    return entries


def _read(path: Path, kind: str) -> tuple[list[dict[str, Any]], str]:
    """Return the entries of a list by its schema, or what is wrong with it."""
    try:
        value: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
        jsonschema.Draft202012Validator(schema(kind)).validate(value)
    except jsonschema.ValidationError as error:
        return [], f"{error.json_path}: {error.message}"
    except (OSError, ValueError) as error:
        return [], str(error)
    return value, ""


def profile(entries: Sequence[Mapping[str, Any]] | None, workers: int, containers: int, kill: float) -> Profile:
    """Return the load that the options mean; without entries each container lives until it is killed."""
    if entries is None:
        activities: tuple[Activity, ...] = (Activity("hold", 1, {"seconds": kill}),)
    else:
        activities = tuple(Activity("run", 1, {**entry, "after": kill}) for entry in entries)
    about = f"{containers} containers, {workers} at once"
    bare = Profile("reference", about, activities, seconds=0.0, count=containers, load=Load(clients=workers))
    if entries is None:
        return replace(bare, judged=("exits", "ids", "events", "names"))
    return replace(bare, driver="cli", objectives=Objectives())


def jobs(entries: Sequence[Mapping[str, Any]], workers: int, containers: int, life: float) -> Profile:
    """Return the load of a jobs.json: each container runs, is connected to, lives, is killed, and is proved gone."""
    activities = tuple(Activity("job", 1, {"seconds": life, **entry}) for entry in entries)
    return Profile(
        "jobs", f"{containers} containers, {workers} at once", activities, seconds=0.0, count=containers,
        load=Load(clients=workers), judged=("exits", "ids", "events", "ports", "names"),
    )  # fmt: skip


def job(client: Client, options: Mapping[str, Any]) -> None:
    """Run one entry of a jobs.json."""
    world, ports = client.world, tuple(options.get("ports", ()))
    name = world.name("j")
    spec = Spec(name, options["image"], tuple(options.get("command", ())), world.labels, ports=ports)
    with client.running(spec) as held:
        for address in held:
            client.do("connect", name, partial(connected, world, address))
        if ports:
            client.do("ports", name, partial(_all, held, ports))
        world.stop.wait(options["seconds"])
        client.kill(name)
        client.wait(name)
    client.do("gone", name, lambda: _gone(client.driver, name))


def _all(held: Sequence[str], wanted: Sequence[int]) -> None:
    if len(held) < len(wanted):
        raise RefusedError(f"{len(wanted)} ports were published, the engine shows {len(held)}")


def _gone(driver: Driver, name: str) -> None:
    """See that the engine says that it knows a container no more."""
    if driver.exists(name):
        raise RefusedError(f"{name} was removed and is still there")


def run(client: Client, options: Mapping[str, Any]) -> None:
    """Run one container by the command line in the foreground, and tell its client to end after the kill time."""
    name = client.world.name("r")
    words = [word for key, value in client.world.labels.items() for word in ("--label", f"{key}={value}")]
    publish = options.get("publish", [])
    for port in [publish] if isinstance(publish, str) else publish:
        words += ["--publish", str(port)]
    argv = ["run", "--name", name, *words, *options.get("flags", []), options["name"], *options.get("args", [])]
    try:
        client.do("run", name, lambda: _foreground(client, argv, options["after"] if options.get("kill") else None))
    finally:
        client.remove(name)


def _foreground(client: Client, argv: Sequence[str], after: float | None) -> None:
    """Raise `RefusedError` when the client ends with an error that nobody asked for."""
    if not isinstance(client.driver, CliDriver):
        raise TypeError("only a command line runs in the foreground")
    process = client.driver.spawn(argv)
    told = False
    try:
        try:
            _, err = process.communicate(timeout=WAIT if after is None else after)
        except subprocess.TimeoutExpired:
            if after is None:
                raise SilentError(f"the client did not end within {WAIT:.0f} s") from None
            told = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            _, err = process.communicate(timeout=WAIT)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode not in (_ANSWERED if told else (0,)):
        last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise RefusedError(last[0])


def closing(containers: int, seconds: float, failures: int) -> list[str]:
    """Return the reference tool's closing lines."""
    rate = containers / seconds if seconds else 0.0
    each = seconds / containers if containers else 0.0
    return [
        f"ran {containers} containers in {seconds:.2f} seconds ({rate:.2f} container per sec. or {each:.2f} sec. "
        "per container)",
        f"failures {failures}",
    ]
