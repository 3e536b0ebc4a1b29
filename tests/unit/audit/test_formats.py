"""The forms of an audit, from recorded scenes of two labs."""

import json
import xml.etree.ElementTree as ET
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from seatrial.audit.checks import CHECKS
from seatrial.audit.formats import render, summary
from seatrial.audit.model import Audit, Severity, State, judge

HERE = Path(__file__).parent
SARIF = json.loads(HERE.with_name("sarif-2.1.0.json").read_text())


@pytest.fixture(params=["open", "hardened"])
def audit(request, scenes):
    """The audit of a recorded scene."""
    scene = scenes.load(HERE / f"recorded/{request.param}.json")
    return Audit(scene.target, scene.engine, scene.version, "Linux lab", judge(CHECKS, scene))


def test_json(audit):
    written = json.loads(render([audit], "json"))
    schema = json.loads(resources.files("seatrial.schemas").joinpath("audit.json").read_text("utf-8"))
    jsonschema.validate(written, schema)
    (one,) = written["audits"]
    assert len(one["findings"]) == len(audit.findings) > 100
    assert sum(one["counts"].values()) == len(one["findings"])


def test_sarif(audit):
    written = json.loads(render([audit], "sarif"))
    jsonschema.Draft7Validator(SARIF, format_checker=jsonschema.FormatChecker()).validate(written)
    (run,) = written["runs"]
    failed = [one.check.id for one in audit.failures()]
    assert [one["ruleId"] for one in run["results"]] == failed != []
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    for result in run["results"]:
        assert rules[result["ruleId"]]["help"]["text"]
        assert float(rules[result["ruleId"]]["properties"]["security-severity"]) >= 0
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"][0] != "/"


@pytest.mark.parametrize("breaks", [
    lambda log: log.pop("version"),
    lambda log: log["runs"][0]["results"][0].update(level="bad"),
    lambda log: log["runs"][0]["results"][0].pop("message"),
    lambda log: log["runs"][0]["tool"]["driver"]["rules"][0].update(severity="high"),
    lambda log: log["runs"][0]["results"][0]["locations"][0].update(path="x"),
], ids=["version", "level", "message", "severity", "location"])  # fmt: skip
def test_the_schema_of_sarif_refuses(audit, breaks):
    written = json.loads(render([audit], "sarif"))
    breaks(written)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, SARIF)


def test_junit(audit):
    suite = ET.fromstring(render([audit], "junit")).find("testsuite")
    assert int(suite.get("tests")) == len(audit.findings)
    assert int(suite.get("failures")) == audit.count(State.FAIL) > 0
    undecided = len(audit.findings) - audit.judged
    assert int(suite.get("skipped")) == undecided > 0
    assert {case.find("failure").get("type") for case in suite if case.find("failure") is not None} <= set(Severity)


def test_html(audit, scenes):
    page = render([audit], "html")
    root = ET.fromstring(page.replace("<!doctype html>\n", "").replace("<br>", "<br/>").replace(
        '<meta charset="utf-8">', "").replace(
        '<meta name="viewport" content="width=device-width, initial-scale=1">', "").replace(
        '<link rel="stylesheet" href="report.css">', ""))  # fmt: skip
    rows = [row.get("id") for row in root.iter("tr") if row.get("id")]
    assert rows == [f"{audit.target}-{one.check.id}" for one in audit.failures()]
    assert "<script" not in page
    assert "style=" not in page


def test_html_escapes_names_from_the_engine(scenes):
    scene = scenes.load(HERE / "recorded/open.json")
    scene.containers[0]["Name"] = "/<b>bold</b>"
    page = render([Audit("t", "docker", "1", "h", judge(CHECKS, scene))], "html")
    assert "&lt;b&gt;bold" in page
    assert "<b>" not in page


def test_summary(audit):
    assert summary(audit).startswith("docker@bookworm (docker 20.10")
    assert f"{audit.count(State.FAIL)} fail" in summary(audit)


def test_worst_first(audit):
    scores = [one.check.severity.score for one in audit.failures()]
    assert scores == sorted(scores, reverse=True)
    assert len(audit.failures(Severity.MEDIUM)) < len(audit.failures())
