"""Each diagnostic: a case that gets it and no other, at its place; and the formats that they are printed in."""

import json
import os
import re
import xml.etree.ElementTree as ET

import pytest

from seatrial import formats
from seatrial.diagnostics import Severity
from seatrial.errors import SeatrialError
from seatrial.oct import importer, library, validate
from seatrial.oct.diagnostics import CATALOGUE, Report

HOST, BOX = {"Class": "host", "Type": "os"}, {"Class": "box", "Type": "container"}
DEPLOYS = [{"Object": "hostA", "Class": "host", "Containers": [{"Object": "boxA", "Class": "box"}]}]
STATE = [{"Step": "boxA", "From": "state", "Equals": "running"}]
EXPECT = [{"Step": "look", "From": "exit", "Equals": 0}]


def run(**fields):
    return {"Run": [{"Name": "look", "Object": "boxA", "Cmd": ["true"], **fields}], "Expect": EXPECT}


def host(**fields):
    return {"Deploys": [{**DEPLOYS[0], **fields}]}


def boxes(*containers):
    return host(Containers=[{"Object": name, "Class": "box", **fields} for name, fields in containers])


# code: changes of the sample, files of the bundle, the place in the document, words of message and hint
CASES = {
    "OCT010": ({"Requires": [{**HOST, "Versioin": "7"}, BOX]}, {}, "Requires[0].Versioin", 'did you mean "Version"?'),
    "OCT011": ({"Details": "x"}, {}, "Details", 'use "Description"'),
    "OCT012": ({"Requires": [{**HOST, "Version": 7}, BOX]}, {}, "Requires[0].Version", 'a number 7; write "7"'),
    "OCT013": ({"Summary": None}, {}, "", 'missing required field "Summary"'),
    "OCT014": ({"Requires": [{**HOST, "Resource": {"Memory": "2XB"}}, BOX]}, {}, "Requires[0].Resource.Memory",
               '"2XB" is not a quantity; examples: 512MiB'),
    "OCT015": ({"License": "Apache 2.0"}, {}, "License", '"Apache-2.0"'),
    "OCT016": ({"Group": "security/x"}, {}, "Group", 'did you mean "Security"?'),
    "OCT017": (run(Timeout=0), {}, "Run[0].Timeout", "0 is not more than 0"),
    "OCT019": ({"SchemaVersion": "2"}, {}, "SchemaVersion", 'this harness reads "1"'),
    "OCT020": (host(Class="Host"), {}, "Deploys[0].Class", 'did you mean "host"?'),
    "OCT021": (host(Containers=[{"Object": "boxA", "Class": "boxx"}]), {}, "Deploys[0].Containers[0].Class",
               'did you mean "box"?'),
    "OCT022": (run(Object="boxa"), {}, "Run[0].Object", 'did you mean "boxA"?'),
    "OCT023": ({"Deploys": [*DEPLOYS, {"Object": "boxA", "Class": "host"}]}, {}, "Deploys[1].Object", "deployed twice"),
    "OCT024": ({"Requires": [HOST, BOX, {"Class": "more", "Type": "os"}]}, {}, "Requires[2].Class",
               '"more" is never used'),
    "OCT025": ({"Requires": [{"Class": "host", "Type": "container"}, BOX]}, {}, "Deploys[0].Class", "not os"),
    "OCT026": ({"Expect": [{"Step": "lok", "From": "exit", "Equals": 0}]}, {}, "Expect[0].Step",
               'did you mean "look"?'),
    "OCT027": (run(Cmd=["echo", "${sise}", "${size}"]) | {"Parameters": {"size": 1}, "Summary": "a"}, {},
               "Run[0].Cmd[1]",
               'did you mean "size"?'),
    "OCT028": ({"Matrix": {"n": [1, 2]}}, {}, "Matrix.n", "never used"),
    "OCT029": ({"Run": [{"Name": "look", "Object": "boxA", "Cmd": ["true"]}] * 2, "Expect": STATE}, {}, "Run[1].Name",
               "two steps"),
    "OCT030": (host(Files=["source/a.sh"]), {"a.sh": ""}, "Deploys[0].Files[0]", 'did you mean "a.sh"?'),
    "OCT031": (host(Files=["../../source/config.json"]), {}, "Deploys[0].Files[0]", "leaves the bundle"),
    "OCT032": ({}, {"source/more.sh": ""}, "Deploys", "source/more.sh is not listed"),
    "OCT033": ({"Collects": [{"Object": "hostA", "Files": ["./source/x"]}], **run(Cmd="echo > x")}, {},
               "Collects[0].Files[0]", "this resolves to source/source/x"),
    "OCT034": ({"Collects": [{"Object": "hostA", "Files": ["/tmp/x"]}], **run(Cmd="echo > x")}, {},
               "Collects[0].Files[0]", "the absolute path"),
    "OCT040": ({"Run": [], "Expect": STATE}, {}, "Deploys", "this case does nothing"),
    "OCT041": ({"Expect": None}, {}, "Expect", '"unverified"'),
    "OCT042": (run(Cmd="false; true"), {}, "Run[0].Cmd", "mixes commands with ';'"),
    "OCT043": (run(Cmd="ping 10.0.0.2"), {}, "Run[0].Cmd", "ping has no end"),
    "OCT044": (run(Cmd="sleep 5 &"), {}, "Run[0].Cmd", 'use "Background": true'),
    "OCT045": ({"Collects": [{"Object": "boxA", "Files": ["/r.json"]}]}, {}, "Collects[0].Files[0]",
               "r.json stands in no"),
    "OCT046": ({"Expect": [{"Step": "look", "From": "stdout", "Match": "(a"}]}, {}, "Expect[0].Match", "no regular"),
    "OCT047": ({"Expect": [{"Step": "look", "From": "stdout", "JsonPath": "a..b", "Op": "==", "Value": 1}]}, {},
               "Expect[0].JsonPath", "no path into JSON"),
    "OCT048": (run(Background=True), {}, "Run[0]", "add WaitFor"),
    "OCT049": ({"Expect": [{"From": "file", "Path": "x", "Equals": "y"}]}, {}, "Expect[0].Path", "not collected"),
    "OCT050": (run(Cmd="wget https://example.org/x"), {}, "Run[0].Cmd", "needs the network"),
    "OCT051": ({"Requires": [HOST, {**BOX, "Image": {"Name": "ubuntu:14.04"}}]}, {}, "Requires[1].Image.Name",
               "not available offline"),
    "OCT052": ({"Requires": [HOST, {**BOX, "x-engine": "rkt"}]}, {}, "Requires[1].x-engine", "retired"),
    "OCT053": (run(Cmd="kill -9 `pidof sleep`"), {}, "Run[0].Cmd", "by a pattern"),
    "OCT054": ({"KnownFail": [{"Engine": "podman", "Reason": "it does otherwise"}]}, {}, "KnownFail[0]", "no Url"),
    "OCT055": (run(Cmd="docker ps"), {}, "Run[0].Cmd", 'names the engine "docker"'),
    "OCT056": ({"Requires": [HOST, BOX, {"Class": "k", "Type": "kernel", "Needs": ["secomp"]}]}, {},
               "Requires[2].Needs[0]", 'did you mean "seccomp"?'),
    "OCT057": (run(Op="stop"), {}, "Run[0]", "both Op and Cmd"),
    "OCT058": ({"Expect": [{**EXPECT[0], "Metric": {"Name": "n", "Unit": "s", "Baseline": 3}}]}, {}, "Expect[0].Metric",
               "needs Better and Tolerance"),
    "OCT070": (boxes(("boxA", {"Args": {"Join": {"pid": "bosA"}}})), {}, "Deploys[0].Containers[0].Args.Join.pid",
               'did you mean "boxA"?'),
    "OCT071": (boxes(("boxA", {"Until": "declared"})), {}, "Run[0].Object", '"boxA" is only declared'),
}  # fmt: skip
# these are not of a document alone; their own tests are below and in test_tarball.py
ELSEWHERE = {"OCT001", "OCT002", "OCT003", "OCT004", "OCT005", "OCT006", "OCT018", "OCT035", "OCT036", "OCT037",
    "OCT038",
             "OCT039", "OCT060", "OCT061", "OCT062"}  # fmt: skip


def test_the_sample_has_no_fault(diagnose):
    assert diagnose() == []


def test_every_code_has_a_test():
    assert set(CASES) | ELSEWHERE == set(CATALOGUE.rules)
    assert not set(CASES) & ELSEWHERE


@pytest.mark.parametrize("code", CASES)
def test_a_fault_gets_its_code_and_no_other(diagnose, code):
    changes, files, path, words = CASES[code]
    (found,) = diagnose(changes, files)
    assert (found.code, found.path) == (code, path)
    assert words in f"{found.message}; {found.hint}"
    assert found.severity is CATALOGUE.rules[code].severity


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"Owner": "${task}"}, ["Owner"]), ({"Version": "${boxA.id}"}, ["Version"]),
        (run(Timeout=3) | {"Expect": [{**EXPECT[0], "Why": "${nonce}"}]}, ["Expect[0].Why"]),
        (run(Cmd=["echo", "${nonce}"], Stdin="${task}", Env={"A": "${boxA.id}"}, Cwd="/${case}", User="${case}",
             WaitFor={"LogMatch": "${nonce}"}), []),
        (boxes(("boxA", {"Args": {"Hostname": "${task}"}, "Env": {"A": "${nonce}"}, "Cwd": "/${task}"})), []),
        ({"Expect": [{"Step": "look", "From": "stdout", "Equals": "${boxA.address}"}]}, []),
        ({"x-note": "${task}"}, []), ({"Owner": "${n}", "Parameters": {"n": "me"}}, []),
    ],
)  # fmt: skip
def test_what_only_a_run_knows_stands_where_a_run_looks(diagnose, changes, places):
    assert [(one.code, one.path) for one in diagnose(changes)] == [("OCT027", place) for place in places]


JOIN = {"Args": {"Join": {"network": "boxB"}}}
LATER = {"Until": "declared"}
CREATE_A, CREATE_B = ({"Name": f"c{name}", "Object": name, "Op": "create"} for name in ("boxA", "boxB"))
START_B = {"Name": "s", "Object": "boxB", "Op": "start"}


@pytest.mark.parametrize(
    ("containers", "steps", "words"),
    [
        ((("boxB", {}), ("boxA", JOIN)), [], []),
        ((("boxA", JOIN), ("boxB", {})), [], ['"boxB" is not there yet when boxA joins it']),
        ((("boxA", JOIN),), [], ['"boxB" is no container']),
        ((("boxA", {"Args": {"Join": {"pid": "hostA"}}}),), [], ['"hostA" is no container']),
        ((("boxA", {"Args": {"Join": {"pid": "boxA"}}}),), [], ['"boxA" is not there yet when boxA joins it']),
        ((("boxA", JOIN | LATER), ("boxB", {})), [CREATE_A], []),
        ((("boxA", JOIN | LATER), ("boxB", LATER)), [CREATE_B, CREATE_A], []),
        ((("boxA", JOIN | LATER), ("boxB", LATER)), [CREATE_A, CREATE_B], ['"boxB" is not there yet when boxA joins']),
        ((("boxA", {}), ("boxB", LATER | {"Args": {"Join": {"pid": "no"}}})), [], ['"no" is no container']),
        ((("boxA", {}), ("boxB", LATER)), [START_B, CREATE_B], ['the container "boxB" is only declared, and']),
        ((("boxA", {}), ("boxB", LATER)), [CREATE_B, START_B], []),
        ((("boxA", {}), ("boxB", LATER)), [{"Name": "s", "Object": "boxB", "Op": "state"}], []),
    ],
)  # fmt: skip
def test_containers_are_there_when_they_are_used(diagnose, containers, steps, words):
    look = {"Name": "look", "Object": "boxA", "Cmd": ["true"]}
    found = diagnose(boxes(*containers) | {"Run": [*steps, look], "Expect": EXPECT})
    assert [one.message.startswith(start) for one, start in zip(found, words, strict=True)] == [True] * len(words)
    assert {one.code for one in found} <= {"OCT070", "OCT071"}


def test_line_and_column_are_those_of_the_place(diagnose):
    (found,) = diagnose({"Requires": [{**HOST, "Versioin": "7"}, BOX]})
    assert (found.line, found.column) == (12, 7)


@pytest.mark.parametrize(
    ("raw", "code", "place"),
    [
        (b'{\n"Name": "x"\n"Group": "y"}', "OCT001", (3, 1)), (b"", "OCT001", (1, 1)), (b"{}{}", "OCT001", (1, 3)),
        (b'{"Name": "x", "Name": "y"}', "OCT002", (1, 15)), (b'{"Name": "x",}', "OCT003", (1, 13)),
        (b'// c\n{"Name": "x"}', "OCT003", (1, 1)), (b"\xef\xbb\xbf{}", "OCT004", (1, 1)),
        (b"\xff\xfe{\x00}\x00", "OCT004", (1, 1)), (b'{\n "\xe4": 1}', "OCT004", (2, 3)),
        (b" " * (1 << 20) + b"{}", "OCT005", (1, 1)),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "OCT005", (1, 326)), (b"[]", "OCT012", (1, 1)), (b"null", "OCT012", (1, 1)),
        (b'{"root": {}}', "OCT018", (1, 1)), (b'{"Units": []}', "OCT018", (1, 1)),
    ],
)  # fmt: skip
def test_bytes_that_are_no_case(diagnose, raw, code, place):
    first = next(one for one in diagnose(raw=raw) if one.code == code)
    assert (first.line, first.column) == place
    assert first.severity is Severity.ERROR


def test_a_file_that_is_not_there(tmp_path):
    (report,) = validate.validate([tmp_path / "no.json"])
    assert [one.code for one in report.diagnostics] == ["OCT006"]
    (report,) = validate.validate([tmp_path])
    assert [one.code for one in report.diagnostics] == ["OCT006"]
    assert "there is no case" in report.diagnostics[0].message


def test_scripts_must_be_startable(diagnose):
    changes = host(Files=["source/t.sh"], Cmd="./t.sh")
    found = diagnose(changes, {"source/t.sh": "echo"})
    assert [(one.code, one.message) for one in found] == [
        ("OCT035", "source/t.sh is not executable"),
        ("OCT035", "source/t.sh has no line that names its interpreter"),
    ]
    assert diagnose(changes, {"source/t.sh": "#!/bin/sh\n"}, directory="good") == []


def test_links_and_pipes_are_refused(bundle):
    root = bundle()
    os.symlink("/etc/passwd", root / "source/link")
    os.mkfifo(root / "source/pipe")
    (report,) = validate.validate([root])
    assert [(one.code, one.message) for one in report.errors] == [
        ("OCT036", "source/link is a symbolic link"), ("OCT036", "source/pipe is a pipe"),
    ]  # fmt: skip


def test_libraries_are_checked_as_a_whole(bundle, tmp_path):
    bundle({"Group": "Security/X"}, directory="lib/security/one")
    bundle({"Name": "other"}, directory="lib/security/two")
    bundle({"Name": "third"}, directory="lib/function/three")
    bundle(directory="lib/function/four")
    reports = validate.validate([tmp_path / "lib"])
    start = f"{tmp_path}/lib/"
    found = {report.file.removeprefix(start): [one.code for one in report.diagnostics] for report in reports}
    assert found == {
        "security/one/case.json": ["OCT061"], "function/four/case.json": ["OCT061"],
        "security/two/case.json": ["OCT062"], "function/three/case.json": [],
    }  # fmt: skip


def test_two_candidates_in_one_directory(bundle, samples):
    root = bundle()
    (root / "case.json").rename(root / "a.json")
    (root / "b.json").write_text(samples.text(samples.case(Name="b")))
    reports = validate.validate([root])
    assert [[one.code for one in report.diagnostics] for report in reports] == [["OCT060"], ["OCT060"]]
    (root / "b.json").unlink()
    (report,) = validate.validate([root])
    assert report.diagnostics == []


def test_historical_cases_are_told_what_to_change(diagnose, samples):
    found = {(one.code, one.path) for one in diagnose(raw=samples.FIVE)}
    assert found >= {
        ("OCT013", ""), ("OCT012", "Requires[0].Version"), ("OCT012", "Requires[0].Resource.CPU"),
        ("OCT010", "Deploys[0].class"), ("OCT022", "Run[0].Object"), ("OCT033", "Collects[0].Files[0]"),
        ("OCT034", "Collects[0].Files[1]"), ("OCT041", "Expect"),
    }  # fmt: skip


@pytest.mark.parametrize("word", ["OCT033", "oct033", "33"])
def test_explain_takes_any_writing(word):
    assert CATALOGUE.explain(word).code == "OCT033"


def test_explain_names_the_nearest():
    with pytest.raises(SeatrialError, match="E701") as caught:
        CATALOGUE.explain("OCT063")
    assert caught.value.hint.startswith("seatrial oct explain OCT06")


@pytest.fixture
def reports():
    good, bad = Report("good.json"), Report("dir/bad.json")
    bad.add("OCT012", "must be <a> string", ("Requires", 0, "Version"), (3, 7), "write it")
    bad.add("OCT041", "nothing", ("Expect",))
    return [good, bad]


def test_text_form(reports):
    assert formats.render(reports, "text", CATALOGUE).splitlines() == [
        "dir/bad.json:3:7: error OCT012 Requires[0].Version: must be <a> string; write it",
        "dir/bad.json:1:1: warning OCT041 Expect: nothing",
        "2 checked, 1 without errors; 1 errors, 1 warnings",
    ]


def test_json_form(reports):
    found = json.loads(formats.render(reports, "json", CATALOGUE))
    assert found["checked"] == 2
    assert [file["valid"] for file in found["files"]] == [True, False]
    assert found["files"][1]["diagnostics"][0] == {
        "code": "OCT012", "severity": "error", "file": "dir/bad.json", "line": 3, "column": 7,
        "path": "Requires[0].Version", "message": "must be <a> string", "hint": "write it",
    }  # fmt: skip


def test_junit_form(reports):
    suite = ET.fromstring(formats.render(reports, "junit", CATALOGUE))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite] == ["good.json", "dir/bad.json"]
    assert "OCT012" in suite[1][0].get("message")


def test_sarif_form(reports):
    (found,) = json.loads(formats.render(reports, "sarif", CATALOGUE))["runs"]
    assert [(one["ruleId"], one["level"]) for one in found["results"]] == [("OCT012", "error"), ("OCT041", "warning")]
    place = found["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "dir/bad.json"}, "region": {"startLine": 3, "startColumn": 7}}
    assert {rule["id"] for rule in found["tool"]["driver"]["rules"]} == set(CATALOGUE.rules)


def test_codes_are_explained_in_full_sentences():
    assert len(CATALOGUE.rules) >= 40
    for rule in CATALOGUE.rules.values():
        assert re.fullmatch(r"OCT0\d\d", rule.code)
        assert rule.why.endswith("."), rule.code
        assert len(rule.why) > 40, rule.code


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "case.json")
    assert [one.code for report in validate.validate([tmp_path / "case.json"]) for one in report.errors] == ["OCT006"]
    (found,) = importer.load(tmp_path / "case.json")
    assert [one.code for one in found.report.errors] == ["OCT006"]
    with pytest.raises(SeatrialError, match="there is no case"):
        library.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"Requires": [{"Class": {"a": 1}, "Type": "os"}]},
        {"Requires": [{"Class": "t", "Type": "kernel", "Needs": 2.5}]},
        {"Requires": [{"Class": "t", "Type": "kernel", "Needs": [{}]}]}, {"Requires": [None, 3, "x", []]},
        {"Deploys": [{"Object": [], "Class": {}}]}, {"Deploys": {"Object": "x"}}, {"Run": [{"Object": {}, "Cmd": {}}]},
        {"Run": [{"Object": "boxA", "Name": [], "Op": []}]},
        {"Collects": [{"Object": "boxA", "Files": [{"Path": {}}]}]},
        {"Expect": [{"Step": {}, "From": [], "Match": 3, "JsonPath": {}, "Metric": []}]}, {"Matrix": [1]},
        {"Deploys": [{"Object": "h", "Class": "host", "Containers": [{"Object": "c", "Args": {"Join": [1]}}, {
            "Object": "d", "Args": {"Join": {"pid": {}}}}, {"Object": {}, "Until": "declared", "Args": 3}]}]},
        {"Matrix": {"a": {}}}, {"Parameters": 3}, {"License": {}}, {"Group": []}, {"KnownFail": [3]}, {"Name": {}},
    ],
)  # fmt: skip
def test_values_of_any_shape_are_told_and_never_end_in_a_traceback(diagnose, change):
    found = diagnose(change)
    assert {one.code for one in found} & {"OCT012", "OCT016", "OCT013"}
