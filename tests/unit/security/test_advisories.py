"""Versions held against advisories, and the table against the tests that use it."""

import ast
from pathlib import Path

import pytest

from seatrial.exec import ExpectationError
from seatrial.security.advisories import Advised, affected, compare, load, upstream

SUITE = Path(__file__).parents[3] / "suites/security"
TABLE = load(SUITE / "advisories.toml")
BY_NUMBER = {one.number: one for kind in TABLE.values() for one in kind.advisories}


@pytest.mark.parametrize(("less", "more"), [
    ("1.1.9", "1.1.12"), ("1.0.0-rc95", "1.0.0"), ("1.0.0-rc9", "1.0.0-rc10"), ("1.0.0~rc95", "1.0.0-rc96"),
    ("18.09.7", "20.10"), ("1.1.5+ds1-1", "1.1.5+ds1-1+deb12u1"), ("1.6.20~ds1", "1.6.20"), ("1.0", "1.0.1"),
])  # fmt: skip
def test_versions_are_compared_as_dpkg_does(less, more):
    assert compare(less, more) < 0 < compare(more, less)
    assert compare(less, less) == 0


@pytest.mark.parametrize(("version", "plain"), [
    ("1.1.5+ds1-1+deb12u1", "1.1.5"), ("20.10.24+dfsg1-1+deb12u1+b6", "20.10.24"), ("1.6.20~ds1-1+deb12u3", "1.6.20"),
    ("1:4.3.1+ds1-8", "4.3.1"), ("1.0.0-rc95", "1.0.0-rc95"), ("1.28-1", "1.28"), ("1.0.0~rc93+ds1-5", "1.0.0~rc93"),
])  # fmt: skip
def test_upstreams_part_of_a_version(version, plain):
    assert upstream(version) == plain


@pytest.mark.parametrize(("number", "version", "expected"), [
    ("CVE-2023-27561", "1.0.0-rc94", False), ("CVE-2023-27561", "1.0.0-rc95", True),
    ("CVE-2023-27561", "1.1.4", True), ("CVE-2023-27561", "1.1.5+ds1-1+deb12u1", False),
    ("CVE-2019-19921", "1.0.0-rc9", True), ("CVE-2019-19921", "1.0.0-rc10", False),
    ("CVE-2020-15257", "1.3.8", True), ("CVE-2020-15257", "1.3.9", False), ("CVE-2020-15257", "1.4.2", True),
    ("CVE-2024-21626", "1.0.0-rc92", False), ("CVE-2024-21626", "1.1.11", True), ("CVE-2024-21626", "1.1.12", False),
    ("CVE-2024-21626", "1.1.5+ds1-1", True), ("CVE-2024-21626", "1.1.5+ds1-1+deb12u1", False),
    ("CVE-2024-21626", "1.1.5+ds1-1+deb12u2", False), ("CVE-2024-21626", "1.1.4+ds1-1+deb12u1", True),
    ("CVE-2022-2989", "4.1.1+ds1-3", True), ("CVE-2022-2989", "4.3.1+ds1-8+deb12u1+b3", False),
])  # fmt: skip
def test_ranges_and_backports(number, version, expected):
    assert affected(BY_NUMBER[number], version) is expected


def test_refusal_has_to_agree_with_what_is_installed():
    kind = TABLE["working-directory"]
    for fixed in ({"runc": "1.1.15-1"}, {"crun": "0.1"}, {}):
        Advised(kind, fixed).agrees()
    with pytest.raises(ExpectationError, match=r"runc 1\.1\.4-1 \(CVE-2024-21626\) is affected"):
        Advised(kind, {"runc": "1.1.4-1", "crun": "1.8"}).agrees()
    Advised(TABLE["release-agent"], {"linux": "4.19"}).agrees()


@pytest.mark.parametrize("content", [
    '[a]\nwhat = "x"\nadvisory = []\n',
    '[a]\nwhat = "x"\nadvisory = [{number = "N", software = "S", affected = []}]\n',
    '[a]\nwhat = "x"\nadvisory = [{number = "N", software = "S", affected = [["2", "1"]]}]\n',
    '[a]\nwhat = "x"\nfixed = "1"\nadvisory = [{number = "N", software = "S", affected = [["", "1"]]}]\n',
], ids=["none", "no range", "backwards", "unknown key"])  # fmt: skip
def test_broken_table_is_refused(tmp_path, content):
    (tmp_path / "t.toml").write_text(content)
    with pytest.raises(ValueError, match=r"range|belong"):
        load(tmp_path / "t.toml")


def uses(function):
    """The classes that a test asks for, and whether it holds their versions against what it saw."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    asked = {node.args[0].value for node in calls if isinstance(node.func, ast.Name) and node.func.id == "advisory"}
    judged = any(isinstance(node.func, ast.Attribute) and node.func.attr == "agrees" for node in calls)
    return asked, judged


def test_every_class_is_looked_for_and_held_against_the_versions():
    used = set()
    for path in SUITE.glob("test_*.py"):
        for function in ast.parse(path.read_text()).body:
            asked, judged = uses(function)
            assert judged is bool(asked), (path.name, function)
            used |= asked
    assert used == set(TABLE) != set()
