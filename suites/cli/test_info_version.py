"""`info` and `version`: what an engine says about the machine and itself, held against the kernel."""

import functools
import os
import platform
import re

import pytest

from seatrial.exec import run
from seatrial.expecting import matched, one

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def info(engine):
    return ask(engine)


def ask(engine):
    """Return a function that finds a fact in what `info` says now."""
    loaded = engine.cli("info", "--format", "{{json .}}").json()
    places = engine.trait("info_places")
    return lambda name: functools.reduce(lambda value, part: value[part], places[name].split("."), loaded)


@claim("cli-017", "cli-003")
@requires("local_engine")
def test_info_tells_the_truth_about_the_machine(info):
    assert info("kernel") == platform.release()
    assert info("cpus") == os.cpu_count()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert info("memory") == memory
    assert info("os") == "linux"
    assert info("name") != ""


@claim("cli-003")
@requires("local_engine", "kernel")
def test_the_kernel_is_new_enough(info):
    assert tuple(int(part) for part in matched(r"^(\d+)\.(\d+)", info("kernel")).groups()) >= (3, 10)


@claim("cli-017")
@requires("local_engine")
def test_info_tells_where_and_how_things_are_stored(engine, info):
    c = engine.run()
    c.sh(f"echo {engine.key} >/mark-of-this-test")
    mount = c.kernel.mount("/")
    assert info("storage").startswith(mount.fstype)
    upper = one(option.removeprefix("upperdir=") for option in mount.super_options if option.startswith("upperdir="))
    assert upper.startswith(f"{info('root')}/")
    assert (engine.raw.host.path(upper) / "mark-of-this-test").read_text() == f"{engine.key}\n"


@claim("cli-017")
def test_info_is_readable_without_a_format(engine):
    shown = engine.cli("info").stdout
    for words in (r"(?i)server version|version:", r"(?i)kernel( version)?:", r"(?i)storage driver|graphDriverName"):
        assert re.search(words, shown)


@claim("cli-017")
@pytest.mark.exclusive
def test_info_counts_containers(engine, info):
    before = {word: info(word) for word in ("running", "stopped", "containers")}
    engine.run()
    engine.create()
    now = ask(engine)
    assert (now("running"), now("stopped"), now("containers")) == (
        before["running"] + 1, before["stopped"] + 1, before["containers"] + 2)  # fmt: skip


@claim("cli-017", "cli-032")
@pytest.mark.parametrize("command", ["info", "version"])
@pytest.mark.parametrize("template", ["{{.NoSuchField}}", "{{"])
def test_a_wrong_template_is_refused(engine, command, template):
    engine.fails(command, "--format", template, says="can't evaluate field|template|unclosed action")


@claim("cli-032", "cli-001")
def test_version_tells_client_and_server_apart(engine):
    data = engine.cli("version", "--format", "{{json .}}").json()
    client = data["Client"]
    version = re.compile(r"\d+\.\d+\.\d+")
    assert version.match(client["Version"])
    assert re.match(r"go1\.\d+", client["GoVersion"])
    assert (client.get("Os") or client["OsArch"].split("/")[0]) == "linux"
    # an engine without a daemon is its own server
    assert ("Server" in data and data["Server"] is not None) is engine.facts["daemon"]
    if engine.facts["daemon"]:
        assert version.match(data["Server"]["Version"])
        assert data["Server"]["KernelVersion"] == platform.release()


@claim("cli-001")
@requires("daemon_command", "local_engine")
def test_client_and_daemon_are_installed_together(engine):
    version = engine.raw.version()
    daemon = run([engine.raw.service, "--version"], host=engine.raw.host, journal=engine.journal).stdout
    # the package's own addition to the number, as in 20.10.24+dfsg1, is told here only
    assert matched(rf"^\w+ version {re.escape(version.engine)}[+,]", daemon)
    assert matched(rf"^\w+ version {re.escape(version.client)}[+,]", engine.cli("--version").stdout)


@claim("cli-001")
@requires("client_settings", "api")
@pytest.mark.parametrize("api", ["1.24", "99.99", "1.1"])
def test_the_client_talks_the_api_version_it_is_told_to(engine, api):
    words = ["version", "--format", "{{.Client.APIVersion}}"]
    if api == "1.24":
        assert engine.cli(*words, env={"DOCKER_API_VERSION": api}).text == api
        none = engine.cli("ps", "--quiet", "--filter", "name=none-of-this-name", env={"DOCKER_API_VERSION": api})
        assert none.output == ""
    else:
        engine.fails("ps", env={"DOCKER_API_VERSION": api}, says="is too (new|old)", code=1)


@claim("cli-032")
def test_version_without_a_format_names_client_and_engine(engine):
    shown = engine.cli("version").stdout
    assert re.search(r"^Client:", shown, re.MULTILINE)
    assert engine.raw.version().client in shown
    assert ("Server:" in shown) is engine.facts["daemon"]


@claim("cli-032")
def test_version_as_json_is_json(engine):
    assert re.match(r"\d+\.\d+\.\d+", engine.cli("version", "--format", "json").json()["Client"]["Version"])
