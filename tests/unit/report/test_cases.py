"""What cases of OCT did, in every form of a report."""

import json
import re
import xml.etree.ElementTree as ET

import execnet
import pytest

from seatrial import report, results
from seatrial.oct.record import Ending, StepRecord, TaskRecord
from seatrial.report.cases import case_runs, peak
from seatrial.verdict import Verdict


@pytest.fixture
def run_of_cases(tmp_path):
    """The directory of a run with a case that passed and one that failed, and its reports."""
    directory = tmp_path / "run"
    good = TaskRecord("good", "d" * 64, "docker@sid", "t1", "finished", Ending.PASSED, steps=[
        StepRecord("deploy", "boxA", "boxA", "deploy boxA", 0, duration=0.5),
        StepRecord("run", "boxA", "look", "echo 'a|b' <x>", 0, f"begin\n{'x' * 3000}the end\n", "a warning\n", 0.25,
                   evidence=True),
    ], metrics={"speed": {"value": 12.5, "unit": "MB/s", "better": "higher"}},
       peaks={"boxA": {"memory": 3 << 20, "pids": 4, "cpu_nanoseconds": 120_000_000}, "boxB": {}},
       hosts={"hostA": "rack-6"}, spent={"deploying": 0.5, "running": 0.3},
       environment={"engine": "docker 26.1.5", "kernel": "6.1.0", "cgroup": "v1"})  # fmt: skip
    bad = TaskRecord("bad", "e" * 64, "docker@sid", "t2", "finished", Ending.TIMEOUT, steps=[
        StepRecord("run", "boxA", "hang", "sleep 600", None, timed_out=True, duration=2, problem="it did not end"),
    ])  # fmt: skip
    stream = results.Stream(directory / "results.jsonl")
    stream.write(results.Header(
        "20260101-000000-x", "2026-01-01T00:00:00Z", ["pytest"], "0.1.0", {"kernel": "6.1.0", "arch": "x86_64"},
        [results.TargetInfo("docker@sid", "docker", "26.1.5", storage="overlay2", runtime="runc")], 0,
    ))  # fmt: skip
    for record, verdict in ((good, Verdict.PASS), (bad, Verdict.FAIL)):
        path = f"oct/{record.case}.json"
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(json.dumps(record.plain()))
        stream.write(results.TestResult(
            f"oct/cases/{record.case}/case.json::{record.case}", "docker@sid", verdict, "Spec", 1.5,
            message="" if verdict is Verdict.PASS else "timeout: it did not end",
            evidence={"oct": {**record.brief, "case": record.case, "record": path}},
        ))  # fmt: skip
    stream.write(results.TestResult("suites/cli/test_a.py::test_a", "docker@sid", Verdict.PASS, "cli", 0.1))
    stream.write(results.Footer("2026-01-01T00:00:09Z", 9.0, 1, {"PASS": 2, "FAIL": 1}, 3))
    stream.close()
    report.write(directory)
    return directory


WORDS = ("exit code 0, in the container", "timed out", "0.250 s", "memory 3.0 MiB, processes 4, CPU time 0.120 s",
         "docker 26.1.5", "rack-6", "12.5 MB/s", "the end", "a warning", "it did not end", "oct/good.json")  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("name", ["cases.md", "index.html", "junit-docker@sid.xml"])
def test_every_form_has_steps_peaks_and_environment(run_of_cases, name, words):
    text = (run_of_cases / name).read_text()
    plain = text if name.endswith(".md") else re.sub(r"<[^>]+>", " ", text)
    assert words in plain.replace("\\", "") or f'"{words}"' in text


def test_what_reports_show_travels_between_workers():
    step = StepRecord("run", "boxA", "look", "true", 0)
    brief = TaskRecord("good", "d" * 64, "docker@sid", "t1", steps=[step], metrics={"a": {"value": 1.0}}).brief
    assert execnet.loads(execnet.dumps(brief)) == brief


def test_the_stream_and_the_record_have_them_for_programs(run_of_cases):
    run = results.read(run_of_cases / "results.jsonl")
    found = run.results[0].evidence["oct"]
    assert [(step["name"], step["code"], step["duration"]) for step in found["steps"]] == [
        ("boxA", 0, 0.5), ("look", 0, 0.25),
    ]  # fmt: skip
    assert found["peaks"]["boxA"]["memory"] == 3 << 20
    assert found["environment"]["kernel"] == "6.1.0"
    assert "begin" not in found["steps"][1]["output"]  # the end is what reports show
    record = json.loads((run_of_cases / found["record"]).read_text())
    assert record["steps"][1]["stdout"].startswith("begin")


def test_junit_has_the_environment_as_properties_and_no_steps_of_other_tests(run_of_cases):
    root = ET.parse(run_of_cases / "junit-docker@sid.xml").getroot()
    properties = {one.get("name"): one.get("value") for one in root.iter("property")}
    assert properties == {
        "harness": "0.1.0", "kernel": "6.1.0", "arch": "x86_64", "engine": "docker", "version": "26.1.5",
        "runtime": "runc", "storage": "overlay2",
    }  # fmt: skip
    outputs = {case.get("name"): case.findtext("system-out", "") for case in root.iter("testcase")}
    assert outputs["test_a"] == ""
    assert outputs["good"].startswith("passed after 1.50 s: deploying 0.500 s, running 0.300 s\n")
    assert "run hang on boxA: timed out, 2.00 s\n  $ sleep 600\n  ! it did not end" in outputs["bad"]


def test_a_run_without_cases_has_no_page_of_them(run_dir):
    report.write(run_dir)
    assert not (run_dir / "cases.md").exists()
    assert 'id="cases"' not in (run_dir / "index.html").read_text()
    assert case_runs(results.read(run_dir / "results.jsonl").results) == []


def test_the_page_links_the_record_that_is_there(run_of_cases):
    assert '<a href="oct/good.json">oct/good.json</a>' in (run_of_cases / "index.html").read_text()
    (run_of_cases / "oct/good.json").unlink()
    report.write(run_of_cases)
    assert '<a href="oct/good.json">' not in (run_of_cases / "index.html").read_text()


def test_what_a_cgroup_has_not_told_is_left_out():
    assert peak({"pids": 2}) == "processes 2"
