"""JUnit of many into what Jenkins and GitLab read as it is meant."""

import xml.etree.ElementTree as ET
from pathlib import Path

import junitparser
import pytest
import xmlschema

from seatrial.cli import main
from seatrial.errors import SeatrialError
from seatrial.report import merge as merging
from seatrial.report.merge import merge

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


@pytest.fixture
def junit(tmp_path):
    """A function that writes a JUnit file of one suite and returns its path."""

    def write(name, cases, suite="docker"):
        path = tmp_path / name
        path.write_text(f'<?xml version="1.0"?><testsuites><testsuite name="{suite}">{cases}</testsuite></testsuites>')
        return path

    return write


def outcomes(merged):
    """What a reader finds in the merged files: (suite, class, name) -> outcome; each file is valid."""
    found = {}
    for path in merged.files:
        SCHEMA.validate(path)
        for suite in junitparser.JUnitXml.fromfile(str(path)):
            for case in suite:
                key = (suite.name, case.classname, case.name)
                assert key[1:] not in {known[1:] for known in found}, "a double, of whatever suite"
                found[key] = type(case.result[0]).__name__ if case.result else "passed"
    return found


PASS = '<testcase classname="c" name="t" time="0.5"/>'
FAIL = '<testcase classname="c" name="t" time="0.5"><failure message="no">trace</failure></testcase>'
ERROR = '<testcase classname="c" name="t"><error message="teardown">late</error></testcase>'
SKIP = '<testcase classname="c" name="t"><skipped message="lacks"/></testcase>'


@pytest.mark.parametrize(
    ("files", "outcome"),
    [([PASS], "passed"), ([FAIL], "Failure"), ([PASS, PASS], "passed"), ([PASS, FAIL], "Failure"),
     ([SKIP, PASS], "Skipped"), ([FAIL + ERROR], "Error"), ([PASS + FAIL], "Failure"), ([PASS + PASS], "Failure"),
     ([SKIP], "Skipped"), ([PASS, SKIP, ERROR], "Error")],
)  # fmt: skip
def test_each_test_once_with_its_worst_outcome(junit, tmp_path, files, outcome):
    merged = merge([junit(f"{n}.xml", cases) for n, cases in enumerate(files)], tmp_path / "out")
    assert outcomes(merged) == {("docker", "c", "t"): outcome}
    assert merged.counts["tests"] == 1


def test_what_passes_only_when_repeated_has_not_passed(junit, tmp_path):
    merged = merge([junit("a.xml", PASS * 3)], tmp_path / "out")
    assert "run 3 times" in merged.files[0].read_text()
    assert merged.counts == {"tests": 1, "failures": 1, "errors": 0, "skipped": 0}


def test_the_second_outcome_of_a_test_is_kept_as_its_output(junit, tmp_path):
    text = merge([junit("a.xml", FAIL + ERROR)], tmp_path / "out").files[0].read_text()
    assert "also: no" in text
    assert "trace" in text
    assert "late" in text


def test_engines_and_cells_stay_apart(junit, tmp_path):
    files = [junit("a.xml", PASS, "docker"), junit("b.xml", FAIL, "podman")]
    merged = merge(files, tmp_path / "out", "trixie")
    assert outcomes(merged) == {
        ("trixie docker", "trixie.docker.c", "t"): "passed", ("trixie podman", "trixie.podman.c", "t"): "Failure",
    }  # fmt: skip


def test_a_test_of_several_suites_stays_in_each_under_a_name_of_its_own(junit, tmp_path):
    """GitLab shows the first of those with the same classname and name, so an engine's failure would be gone."""
    other = '<testcase classname="c" name="only here"/><testcase classname="docker_x.c" name="t"/>'
    files = [junit("a.xml", PASS, "docker.x"), junit("b.xml", FAIL, "podman"), junit("c.xml", PASS + other, "crun"),
             junit("d.xml", FAIL, "docker.x")]  # fmt: skip
    assert outcomes(merge(files, tmp_path / "out")) == {
        ("docker.x", "docker_x.c", "t (2)"): "Failure", ("podman", "podman.c", "t"): "Failure",
        ("crun", "crun.c", "t"): "passed", ("crun", "c", "only here"): "passed", ("crun", "docker_x.c", "t"): "passed",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [b"", b"<testsuites><testsuite>", b"<html/>", b"<testsuites/>", b"<testsuite name='s'/>",
     b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><testsuite><testcase name='&e;'/></testsuite>"],
)  # fmt: skip
def test_what_cannot_be_read_or_holds_nothing_is_an_error(tmp_path, content):
    path = tmp_path / "bad.xml"
    path.write_bytes(content)
    merged = merge([path], tmp_path / "out")
    assert list(outcomes(merged).values()) == ["Error"]
    assert merged.counts["errors"] == 1


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    assert merge([tmp_path / "none.xml"], tmp_path / "out").counts["errors"] == 1


def test_control_characters_are_removed(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(
        b'<testsuite name="s"><testcase classname="c" name="t"><failure message="&#27;[31mred&#x1F600;">'
        b"\x1b[1mbold\x00\xff</failure></testcase></testsuite>"
    )
    text = merge([path], tmp_path / "out").files[0].read_text()
    assert "[31mred\N{GRINNING FACE}" in text
    assert "[1mbold\N{REPLACEMENT CHARACTER}<" in text
    assert not set(text) & {chr(code) for code in range(32)} - {"\n"}


def test_files_stay_below_the_limit_and_lose_nothing(junit, tmp_path):
    cases = "".join(
        f'<testcase classname="c" name="t{n}"><system-out>{"x" * 900}</system-out></testcase>' for n in range(100)
    )
    merged = merge([junit("a.xml", cases), junit("b.xml", PASS, "podman")], tmp_path / "out", limit=20_000)
    assert len(merged.files) > 4
    assert max(path.stat().st_size for path in merged.files) < 20_000
    found = outcomes(merged)
    assert len(found) == 101
    assert {suite for suite, _, _ in found} == {"docker", "podman"}


def test_long_texts_keep_both_ends(junit, tmp_path):
    long = "a" * 100_000 + "z" * 100_000
    case = f'<testcase classname="c" name="t"><error>{long}</error></testcase>'
    merged = merge([junit("a.xml", case)], tmp_path / "o")
    text = merged.files[0].read_text()
    assert len(text) < merging.TEXT_LIMIT + 2000
    assert "a" * 1000 in text
    assert "z" * 1000 in text
    assert "characters, see the log" in text


def test_all_files_together_stay_below_what_gitlab_takes_of_a_job(junit, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "TOTAL_LIMIT", 400_000)
    case = '<testcase classname="c" name="t{}"><failure message="no">first {} last</failure></testcase>'
    path = junit("a.xml", "".join(case.format(number, "x" * 30_000) for number in range(60)))
    assert path.stat().st_size > 4 * 400_000
    merged = merge([path], tmp_path / "out", limit=200_000)
    assert sum(file.stat().st_size for file in merged.files) < 420_000
    assert merged.counts == {"tests": 60, "failures": 60, "errors": 0, "skipped": 0}
    texts = [case.find("failure").text for file in merged.files for case in ET.parse(file).iter("testcase")]
    assert len(texts) == 60
    assert all(text.startswith("first ") and text.endswith(" last") and "see the log" in text for text in texts)


def test_more_tests_than_gitlab_takes_are_refused(junit, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "CASE_LIMIT", 1)
    with pytest.raises(SeatrialError) as told:
        merge([junit("a.xml", PASS), junit("b.xml", PASS, "podman")], tmp_path / "out")
    assert told.value.code == "E624"


def test_properties_and_outputs_of_tries_are_joined(junit, tmp_path):
    case = (
        '<testcase classname="c" name="t"><system-out>{0}</system-out>'
        '<properties><property name="claim" value="{0}"/></properties></testcase>'
    )
    merged = merge([junit(f"{n}.xml", case.format(n)) for n in (1, 2)], tmp_path / "out")
    assert outcomes(merged) == {("docker", "c", "t"): "passed"}
    text = merged.files[0].read_text()
    assert text.count("<property ") == 2
    assert text.count("<system-out>") == 1


def test_nested_suites_and_their_errors(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(
        f"<testsuites><testsuite name='outer'><error message='set-up'/><testsuite name='inner'>{PASS}</testsuite>"
        "</testsuite></testsuites>"
    )
    assert outcomes(merge([path], tmp_path / "out")) == {
        ("outer", "outer", "the suite as a whole"): "Error", ("inner", "c", "t"): "passed",
    }  # fmt: skip


def test_older_parts_are_removed(junit, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/junit-7.xml").write_text("<testsuite/>")
    merge([junit("a.xml", PASS)], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["junit-1.xml"]


def test_the_command(junit, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["report", "junit-merge", "--out", out, str(junit("a.xml", FAIL))]) == 0
    seen = capsys.readouterr()
    assert seen.out == f"{out}/junit-1.xml\n"
    assert "1 tests, 1 failures" in seen.err
    assert main(["report", "junit-merge", "--out", out]) == 5
    with pytest.raises(SystemExit) as ended:
        main(["report", "junit-merge"])
    assert ended.value.code == 4
    assert main(["report", "/nowhere"]) == 4
