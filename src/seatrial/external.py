"""Suites of others, run against an engine of ours: docker-py's integration tests.

They prune, join swarms and use fixed names, so they get an engine of their own and run in its network
namespace; the images that they would pull are made offline.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from seatrial import known as known_lists
from seatrial.engines import drivers
from seatrial.engines.base import CliEngine
from seatrial.errors import SeatrialError, not_installed
from seatrial.exec import RUN_VARIABLE, base_environment
from seatrial.external_results import Judged, judge
from seatrial.lab import images, labs
from seatrial.names import BUSYBOX, new_run_id, slug
from seatrial.paths import remove_tree, share_dir
from seatrial.results import TargetInfo
from seatrial.targets import Target

# what docker-py's tests expect to find; each gets an id of its own, because they remove some of them
_IMAGES = ("alpine:3.10", "alpine:latest", "busybox:latest", "hello-world:latest", "hello-world:linux")
_DOCKERFILE = """\
FROM {base}
RUN echo {name} >/etc/image-name && mkdir -p /var/opt \\
 && echo postgres:x:70:70::/var/lib/postgresql:/bin/sh >>/etc/passwd && echo postgres:x:70: >>/etc/group
"""


def docker_py(
    checkout: Path, target: Target, run: str, reports: Path, args: list[str], known: Path | None = None
) -> tuple[int, Judged | None]:
    """Run docker-py's integration tests; return an exit code as pytest's, and what came of the tests.

    `known` is a directory of lists of known failures: where all failures are known, the exit code is 0. The JUnit
    file is `reports/docker-py-<target>.xml`; `args` go to pytest. The checkout is not written to. Raises
    `SeatrialError` E312 when it is none, E114 for an engine that is not ours to spoil.
    """
    if not (checkout / "tests/integration").is_dir() or not (checkout / "docker").is_dir():
        raise SeatrialError(
            "E312", f"{checkout} is no checkout of docker-py", "it has no tests/integration",
            "git clone https://github.com/docker/docker-py, then make test-docker-py DOCKER_PY=docker-py",
        )  # fmt: skip
    if target.address or target.is_runtime:
        raise SeatrialError(
            "E114", f"docker-py's tests do not run against {target}", "they prune whatever they find",
            "name an engine that the harness can start for itself, such as docker or docker@trixie",
        )  # fmt: skip
    if missing := [name for name in ("paramiko", "websocket") if find_spec(name) is None]:
        hint = "make test-docker-py installs it, or pip install 'seatrial[docker-py]'"
        raise not_installed("the suite of docker-py", missing[0], hint)
    lists = known_lists.read(sorted(known.glob("*.toml"))) if known else []
    reports.mkdir(parents=True, exist_ok=True)
    junit = reports.resolve() / f"docker-py-{slug(str(target))}.xml"
    made = labs.private(target, run)
    try:
        engine = drivers.in_lab(target, made.lab)
        _provide(engine, run)
        with tempfile.TemporaryDirectory(prefix="docker-py-") as name:
            copy = Path(name) / "docker-py"
            shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".tox"))
            environment = {
                **base_environment(), "HOME": name, "PYTHONPATH": str(copy),
                "DOCKER_HOST": f"unix://{engine.socket}", "DOCKER_TEST_API_VERSION": _api(engine),
            }  # fmt: skip
            command = [
                "nsenter", f"--net=/proc/{made.lab.pid}/ns/net", "--", sys.executable, "-m", "pytest",
                "tests/integration", "-p", "no:seatrial", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=60",
                f"--junitxml={junit}", "-o", f"junit_suite_name=docker-py.{target}", *args,
            ]  # fmt: skip
            junit.unlink(missing_ok=True)  # an older one is no result of this run
            code = subprocess.run(command, cwd=copy, env=environment, check=False).returncode
            if not junit.exists():
                return code, None
            version = engine.version().engine
            judged = judge(junit, known_lists.deviations(lists, TargetInfo(str(target), target.engine, version)))
            return (0 if code == 1 and not judged.failed else code), judged
    finally:
        made.close()


def _api(engine: CliEngine) -> str:
    """Return the version of the Docker API that is served, which for Podman is not its own."""
    from seatrial.lab.daemon import ping

    return (ping(engine.socket) or {}).get("Api-Version") or engine.version().api


def _provide(engine: CliEngine, run: str) -> None:
    images.provide(engine)
    context = share_dir() / run / "docker-py"
    context.mkdir(parents=True)
    try:
        for name in _IMAGES:
            (context / "Dockerfile").write_text(_DOCKERFILE.format(base=BUSYBOX, name=name))
            full = engine.dialect.traits["short_names_at"] + name
            engine.cli("build", "--tag", full, str(context), env=engine.builders.get("legacy", {}), timeout=120)
    finally:
        remove_tree(share_dir() / run)


def environment_run() -> str:
    """Return a run id and mark this process with it, so that `seatrial clean` knows its children."""
    run = new_run_id()
    os.environ[RUN_VARIABLE] = run
    return run
