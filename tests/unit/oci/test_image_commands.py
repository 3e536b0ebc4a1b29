"""`seatrial oci`: what is printed, in every form, and the exit codes."""

import json
import xml.etree.ElementTree as ET

import pytest

from seatrial import cli
from seatrial.oci.image import samples
from seatrial.oci.image.rules import CATALOGUE
from seatrial.oci.image.samples import Layout, write


@pytest.fixture
def layouts(tmp_path):
    good = write(tmp_path / "good", Layout().build())
    bad = write(tmp_path / "bad", Layout(config=samples.dropping("os")).build())
    return str(good), str(bad)


def test_exit_codes_and_text(layouts, capsys):
    good, bad = layouts
    assert cli.main(["oci", "validate", good]) == 0
    assert cli.main(["oci", "validate", good, bad]) == 1
    out = capsys.readouterr().out
    assert "error OCI070 os is missing (config.md#properties, MUST)" in out
    assert out.splitlines()[-1] == "2 checked, 1 without errors; 1 errors, 0 warnings"


def test_warnings_count_when_strict(tmp_path, capsys):
    place = str(write(tmp_path / "odd", Layout(layers=()).build()))
    assert cli.main(["oci", "validate", place]) == 0
    assert cli.main(["oci", "validate", "--strict", place]) == 1
    assert "warning OCI055" in capsys.readouterr().out


def test_json_junit_and_sarif(layouts, capsys):
    for form in ("json", "junit", "sarif"):
        assert cli.main(["oci", "validate", "--format", form, *layouts]) == 1
        out = capsys.readouterr().out
        if form == "json":
            told = json.loads(out)["files"]
            assert [one["valid"] for one in told] == [True, False]
            (error,) = [one for one in told[1]["diagnostics"] if one["severity"] == "error"]
            assert (error["code"], error["section"], error["level"]) == ("OCI070", "config.md#properties", "MUST")
        elif form == "junit":
            suite = ET.fromstring(out)[0]
            assert [len(case.findall("failure")) for case in suite] == [0, 1]
        else:
            (run,) = json.loads(out)["runs"]
            assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(CATALOGUE.rules)
            assert run["tool"]["driver"]["name"] == "seatrial oci"


def test_explain(capsys):
    assert cli.main(["oci", "explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CATALOGUE.rules)
    assert cli.main(["oci", "explain", "75"]) == 0
    assert "config.md#layer-diffid, MUST" in capsys.readouterr().out
    assert cli.main(["oci", "explain", "OCI999"]) == 4


@pytest.mark.parametrize("words", [
    ["--verify-signature"], ["--verify-signature", "--gpg-key", "k"], ["--verify-signature", "--key", "/nothing"],
    ["--engine", "runc"],
], ids=["no-key", "no-directory", "no-file", "runtime"])
def test_requests_that_cannot_be_carried_out(words, layouts, capsys):
    assert cli.main(["oci", "validate", *words, layouts[0]]) == 4
    assert capsys.readouterr().err.startswith("E32")
