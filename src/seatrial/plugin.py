"""The pytest plugin: options, markers, and the parts that make it up (`session`, `fixtures`, `console`)."""

from __future__ import annotations

import pytest

from seatrial import hooks
from seatrial.errors import Exit
from seatrial.fixtures import (
    bundle,
    client,
    engine,
    guard,
    installed,
    private_daemon,
    private_engine,
    prober,
    prober_in,
    registry,
    registry_with,
    runtime,
    target,
    toolbox,
)
from seatrial.selection import as_options, known_requirements, pattern, seconds
from seatrial.session import SESSION, Session, usable

__all__ = [
    "bundle", "client", "engine", "guard", "installed", "private_daemon", "private_engine", "prober",
    "prober_in",
    "pytest_addhooks", "pytest_addoption", "pytest_cmdline_main", "pytest_configure",
    "pytest_load_initial_conftests", "pytest_plugins",
    "registry", "registry_with", "runtime", "target", "toolbox",
]

# kinds of tests beside functions
pytest_plugins = ("seatrial.oct.plugin", "seatrial.perf.plugin")

MARKERS = (
    "claim(*ids): the claims that the test checks; every test of the suites names one",
    "effect(*options): options whose effect the test sees, such as 'run --memory'; one that an engine accepts and "
    "does not act upon is told apart from one that it refuses",
    "requires(*names): what the test needs; see `seatrial doctor` for the names",
    "exclusive(scope='engine'): alone on its engine, or with scope='machine' alone on the machine",
    "destructive: touches what it did not make; never run on an engine of the user's own",
    "slow: runs only with --slow",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the harness."""
    group = parser.getgroup("seatrial", "sea trials for container engines")
    group.addoption("--engine", action="append", default=[], metavar="TARGET",
                    help="what is tested: docker, podman, docker@trixie, docker+unix:///run/x.sock, ...; repeat for "
                    "several (default: the reachable Docker, else Podman, else docker@bookworm)")  # fmt: skip
    group.addoption("--image", default="", metavar="NAME",
                    help="run containers from this image instead of the harness's own busybox")  # fmt: skip
    group.addoption("--results", default="", metavar="DIR",
                    help="where runs are written (default: reports, beside the suites)")  # fmt: skip
    group.addoption("--required", metavar="FILE", help=f"exit with {int(Exit.GATE)} when a test listed in FILE "
                    "(one id a line) did not run")  # fmt: skip
    group.addoption("--slow", action="store_true", help="run tests marked slow, too")
    group.addoption("--without", action="append", default=[], metavar="REQUIREMENT",
                    help="do not run tests that need this (verdict DISABLED); repeat for several")  # fmt: skip
    group.addoption("--check.f", dest="check_f", metavar="REGEX",
                    help="run the tests whose name matches, as Docker's own -check.f does: Cli.TestRunEcho (or, in a "
                    "class, TestPause.TestFreezes) as --format gocheck prints it, or test_run_echo")  # fmt: skip
    group.addoption("--testflags", metavar="FLAGS", default="",
                    help="what TESTFLAGS of Docker's own Makefile takes, in one word: '-check.f REGEX -check.v', and "
                    "options of pytest")  # fmt: skip
    group.addoption("--format", dest="console", choices=("pytest", "gocheck"), default="pytest",
                    help="gocheck prints a line a test and a summary as Docker's own suite does")  # fmt: skip
    group.addoption("--deadline", metavar="DURATION", default="",
                    help="end the whole session after this time, for example 60m or 1h30m")  # fmt: skip
    group.addoption("--registry", metavar="URL", default="debian",
                    help="the registry that suites/oci/distribution tests: http://HOST:PORT, or harbour for the "
                    "harness's own small one (default: debian, which is Debian's docker-registry)")  # fmt: skip
    group.addoption("--registry-login", metavar="FILE",
                    help="an account at that registry: a line USER:PASSWORD in a file that you alone read")  # fmt: skip
    group.addoption("--registry-ca", metavar="FILE", default="",
                    help="certificates to trust for it, in PEM")  # fmt: skip
    group.addoption("--claims-out", metavar="FILE",
                    help="write which test names which claim, as JSON, after collection")  # fmt: skip


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Put what --testflags holds in its place, before options are read for good."""
    if flags := early_config.known_args_namespace.testflags:
        args += usable(lambda: as_options(flags))


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Offer the harness's own hooks."""
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Look at options that others read while they configure themselves."""
    given = config.getoption("results")
    config.option.results = str(config.invocation_params.dir / given if given else config.rootpath / "reports")
    if config.getoption("deadline"):
        config.option.session_timeout = usable(lambda: seconds(config.getoption("deadline")))
    if config.getoption("check_f"):
        usable(lambda: pattern(config.getoption("check_f")))
    if config.getoption("without"):
        usable(lambda: known_requirements("--without", config.getoption("without")))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register markers and find out what this process is: controller, worker, or neither."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    session = Session(config)
    config.stash[SESSION] = session
    config.pluginmanager.register(session, "seatrial-session")
    if not session.worker and not config.option.collectonly and session.active:
        from seatrial import console

        console.install(config, config.getoption("console"))
