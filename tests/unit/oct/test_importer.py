"""Reading the dialects D0 to D5: what comes out, what is told, and what is refused."""

import json
import re

import pytest

from seatrial.diagnostics import Severity
from seatrial.oct import importer


def take(text, conf=False):
    return importer.read(text.encode(), "old.json", conf_lines=conf)


def repairs(imported):
    return {(one.code, one.path) for one in imported.repairs}


def place(text, part):
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def told(imported, code, path):
    (one,) = [one for one in imported.repairs if (one.code, one.path) == (code, path)]
    return one.line, one.column, one.message.partition(": ")[2]


def test_d0(samples):
    (found,) = take(samples.D0)
    assert (found.dialect, found.outcome) == ("D0", "imported")
    document = found.document
    assert document["Name"] == "Net-001"
    assert (document["Version"], document["Group"], document["License"]) == ("0.1", "Performance/Network", "Apache-2.0")
    assert document["Requires"] == [
        {"Class": "operationOS", "Type": "os", "Distribution": "Ubuntu", "Version": "14.02",
         "Resource": {"CPU": 1, "Disk": "100GB"}},
        {"Class": "ImageA", "Type": "container", "x-engine": "dockerV1.0"},
    ]  # fmt: skip
    assert document["Deploys"] == [{"Object": "hostA", "Class": "operationOS", "Containers": [
        {"Object": "DockerA", "Class": "ImageA", "Cmd": "./docker_run.sh",
         "Files": ["source/docker_run.sh"]}]}]  # fmt: skip
    assert document["Run"] == [{"Object": "DockerA", "Cmd": "ping -c 1 10.0.0.1 > ~/ping.txt"}]
    assert document["Collects"] == [{"Object": "DockerA", "Files": ["/root/ping.txt"]}]
    assert document["x-sources"] == ["docker_run.sh"]
    assert told(found, "OCT012", "root.version") == (4, 16, 'the number 0.1 is the string "0.1"')
    assert told(found, "OCT020", "root.Deploy[0].hostA.class") == (
        13, 27, 'the class "OperationOS" is written operationOS')  # fmt: skip


@pytest.mark.parametrize("name", ["FIVE", "D1", "D2"])
def test_five_parts(samples, name):
    (found,) = take(getattr(samples, name))
    assert (found.dialect, found.outcome) == ("D3" if name == "FIVE" else name, "imported")
    document = found.document
    assert document["Requires"][0] == {
        "Class": "operOS", "Type": "os", "Distribution": "CentOS", "Version": "7",
            "Resource": {"CPU": 2, "Memory": "2GB"},
    }  # fmt: skip
    assert document["Requires"][1] == {
        "Class": "iperf3", "Type": "container", "x-engine": "Docker 1", "Image": {"Dockerfile": "./source/Dockerfile"},
    }  # fmt: skip
    assert document["Deploys"] == [{
        "Object": "hostA", "Class": "operOS", "Cmd": "./t.sh", "Files": ["./source/t.sh"],
        "Containers": [{"Object": "server", "Class": "iperf3"}],
    }]  # fmt: skip
    assert document["Run"] == [{"Object": "hostA", "Cmd": "./t.sh again"}]
    assert document["Collects"] == [{"Object": "hostA", "Files": ["result.json", "/tmp/out.json"]}]
    assert told(found, "OCT022", "Run[0].Object")[:2] == (15, 22)
    collects = "Collect" if name == "D1" else "Collects"
    assert told(found, "OCT033", f"{collects}[0].Files[0]")[2].endswith("paths are relative to source/")
    renamed = {"FIVE": set(), "D1": {("OCT011", "Collect")}, "D2": {("OCT011", "Deploy")}}[name]
    assert repairs(found) >= renamed


def test_d4(samples):
    (found,) = take(samples.D4)
    assert (found.dialect, found.outcome) == ("D4", "imported")
    document = found.document
    assert document["Requires"] == [
        {"Class": "hostA-os", "Type": "os", "Distribution": "Ubuntu", "Version": "14.04",
         "Resource": {"CPU": 1, "Memory": "2GB"}},
        {"Class": "host", "Type": "os"},
        {"Class": "boxA-container", "Type": "container", "x-engine": "Docker", "Image": {"Name": "busybox"}},
    ]  # fmt: skip
    assert document["Deploys"] == [
        {"Object": "hostA", "Class": "hostA-os", "Cmd": "echo a", "x-collect": "ls"},
        {"Object": "boxA-host", "Class": "host", "Containers": [{"Object": "boxA", "Class": "boxA-container"}]},
    ]
    assert document["Run"] == [
        {"Name": "hostA-run", "Object": "hostA", "Cmd": "echo b > r"},
        {"Name": "boxA-run", "Object": "boxA", "Cmd": "echo in"},
    ]  # fmt: skip
    assert document["Collects"] == [{"Object": "hostA", "Files": ["r"]}]
    assert repairs(found) >= {("OCT011", "ID"), ("OCT011", "Units[0].Commands.Collect"), ("OCT014", "Units[0].Memory")}


def test_d5(samples):
    found = take(samples.D5, conf=True)
    assert [(one.dialect, one.outcome, one.document["Name"]) for one in found] == [
        ("D5", "imported", "readonly0"), ("D5", "imported", "readonly1"), ("D5", "imported", "rlimit0"),
    ]  # fmt: skip
    containers = [one.document["Deploys"][0]["Containers"][0] for one in found]
    assert containers[0]["Cmd"] == ["./runtimetest", "vro"]
    assert [container["Args"] for container in containers] == [
        {"ReadOnly": True}, {"ReadOnly": False},
        {"Ulimits": {"nofile": "1024:2048"}, "CapAdd": ["CHOWN"], "Hostname": "zen"},
    ]  # fmt: skip
    assert [(one.repairs[0].line, one.repairs[0].column) for one in found] == [(2, 11), (2, 77), (3, 8)]


@pytest.mark.parametrize(
    ("line", "code", "place"),
    [("no equals sign", "OCT001", (1, 1)), ("a= --args=x --wat=1", "OCT011", (1, 4)),
     ("a= --rootfs=r", "OCT040", (1, 4)),
     ("a= --args='x", "OCT001", (1, 4))],
)  # fmt: skip
def test_lines_of_d5_that_are_refused(line, code, place):
    (found,) = take(line, conf=True)
    assert found.document is None
    assert [(one.code, (one.line, one.column)) for one in found.report.errors] == [(code, place)]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ('"Version": "0.1",', '"Version": "0.1"', (5, 3), "comma added"),
        ('"Summary": "five parts"', '"Summary" "five parts"', (3, 13), "colon added"),
        ('"/tmp/out.json"]', '"/tmp/out.json",]', (16, 85), "taken away"),
        ("}]\n}\n", "}]\n", (17, 1), "} added"),
        ('{\n  "Name"', '{\n  // its name\n  "Name"', (2, 3), "left out"),
    ],
)
def test_slips_of_the_pen_are_mended_with_their_place(samples, old, new, place, words):
    (good,) = take(samples.FIVE)
    assert samples.FIVE.count(old) == 1
    (found,) = take(samples.FIVE.replace(old, new))
    assert found.document == good.document
    (mended,) = [one for one in found.repairs if one.code in ("OCT001", "OCT003")]
    assert (mended.line, mended.column) == place
    assert mended.message.endswith(words)


@pytest.mark.parametrize(
    ("old", "new", "code", "at"),
    [
        ('"Cmd": "./t.sh",', '"Cmd": "./t.sh", "Cmd": "./u.sh",', "OCT002", '"Cmd": "./u.sh"'),
        ('"Name": "five"', '"Name": "five", "Namen": {"a": 1}, "Wat": 1', "OCT011", '"Wat"'),
        ('"Group": "Performance/Network"', '"Group": "Weather"', "OCT016", '"Weather"'),
        ('"2GB"', '"much"', "OCT014", '"much"'), ('"2GB"', "[1]", "OCT014", "[1]"),
        ('"Requires": [', '"Requires": "none", "x-y": [', "OCT012", '"none"'),
        ('"Object": "hostA", "class"', '"Object": "", "class"', "OCT013", '{"Object": ""'),
        ('"class": "operOS", ', '"class": "operOS",  "Class": "twice", ', "OCT002", '"Class": "twice"'),
        ('"Name": "five"', '"Name": "fi\nve"', "OCT001", '"fi\n'),
    ],
)  # fmt: skip
def test_what_cannot_be_told_for_sure_is_refused(samples, old, new, code, at):
    assert old in samples.FIVE
    text = samples.FIVE.replace(old, new, 1)
    assert text.count(at) == 1
    (found,) = take(text)
    assert found.outcome == "refused"
    assert (code, place(text, at)) in [(one.code, (one.line, one.column)) for one in found.report.errors]


@pytest.mark.parametrize(
    ("old", "new", "code", "at", "words"),
    [
        ('"./t.sh again"', '"./t.sh "again" now"', "OCT001", (15, 66), "expected ',' or '}', found 'again'"),
        ('"Name": "five"', "'Name': 'five'", "OCT001", (2, 3), "expected a key in double quotes"),
        ('"0.1",', '"0.1",,', "OCT001", (4, 20), "expected a key in double quotes, found ','"),
        ('"Version": 7', '"Version": NaN', "OCT001", (8, 74), "expected a value, found 'NaN'"),
        ('"Name":', "Name:", "OCT001", (2, 3), "expected a key in double quotes, found 'Name'"),
        ('"five parts"', '"five parts', "OCT001", (3, 14), "this string is never closed"),
        ('"./source/t.sh"]', '"./source/t.sh"', "OCT001", (12, 76), "expected ',' or ']'"),
        ('"five parts"', r'"five \d parts"', "OCT001", (3, 20), "is no escape of JSON"),
        ("}]\n}\n", "}]\n}\n}\n", "OCT001", (18, 1), "expected the end of the file"),
        ('"Class": "iperf3", "Type"', '"Class": "iperf3", "Versioin": "1", "Class": "x", "Type"', "OCT002", (9, 42),
         'the key "Class" stands twice (first at 9:6)'),
    ],
)  # fmt: skip
def test_broken_files_are_refused_at_the_place_and_with_the_reason(samples, old, new, code, at, words):
    assert samples.FIVE.count(old) == 1
    (found,) = take(samples.FIVE.replace(old, new))
    assert found.document is None
    error = found.report.errors[0]
    assert (error.code, (error.line, error.column)) == (code, at)
    assert words in error.message


@pytest.mark.parametrize(("encoded", "code", "words"), [
    (lambda text: b"\xef\xbb\xbf" + text.encode(), "OCT004", "with a byte order mark"),
    (lambda text: text.encode("utf-16"), "OCT004", "the file is UTF-16"),
    (lambda text: text.replace("five parts", "f\xfcnf").encode("latin-1"), "OCT004", "byte 0xfc is not UTF-8"),
    (lambda _: b"", "OCT001", "the file is empty"), (lambda text: (text + text).encode(), "OCT001", "end of the file"),
    (lambda _: b'{"Requires":' + b"[" * 3000, "OCT005", "nested more than 64 levels deep"),
])  # fmt: skip
def test_what_is_no_text_of_json_is_refused(samples, encoded, code, words):
    (found,) = importer.read(encoded(samples.FIVE), "old.json")
    assert found.document is None
    assert found.report.errors[0].code == code
    assert words in found.report.errors[0].message


@pytest.mark.parametrize("name", ["D0", "D1", "D2", "FIVE", "D4"])
def test_nothing_that_a_case_says_is_lost_without_a_word(samples, name):
    """Each text of the old file stands in the new one, or in a repair that says what became of it."""
    text = getattr(samples, name)
    (found,) = take(text)
    told = "\n".join([found.text, *(one.message for one in found.report.diagnostics)])
    values = [json.loads(one) for one in re.findall(r'(?<=[\[:,] )"[^"]*"(?!:)|(?<=\[)"[^"]*"', text)]
    assert len(values) > 10
    # kinds, what says that there is nothing, and the state of a run, whose keys the repairs name
    dropped = {"null", "cmd", "script", "os", "container", "3f", "init"}
    assert [value for value in values if value.removeprefix("./") not in told and value not in dropped] == []


def test_no_beginning_of_a_file_passes_for_the_whole(samples):
    for name in ("D0", "FIVE", "D4"):
        text = getattr(samples, name).rstrip()
        (whole,) = take(text)
        lengths = range(1, len(text), 19)
        assert len(lengths) > 20
        for length in lengths:
            (found,) = take(text[:length])
            assert found.document in (None, whole.document), text[:length][-40:]


def test_where_only_the_last_brace_is_missing_the_last_part_must_be_there(samples):
    cut = samples.FIVE[: samples.FIVE.index('  "Run"')].rstrip().rstrip(",")
    (found,) = take(cut)
    assert found.outcome == "refused"
    assert "cut off" in found.report.errors[0].message


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"Name": "x"}', '{"a": {"b": 1}}', '{"root": 3}', '{"root": {}}'])
def test_json_that_is_no_case_is_refused(text):
    (found,) = take(text)
    assert found.document is None
    assert found.report.errors


def test_repairs_are_numbered_in_the_order_of_their_places(samples):
    (found,) = take(samples.D0)
    assert [one.message.partition(":")[0] for one in found.repairs] == [
        f"repair {number}" for number in range(1, len(found.repairs) + 1)
    ]
    assert len(found.repairs) > 20
    assert [(one.line, one.column) for one in found.repairs] == sorted((one.line, one.column) for one in found.repairs)


def test_an_import_that_does_nothing_says_so(samples):
    text = samples.FIVE.replace('"Cmd": "./t.sh",', "").replace(', "Cmd": "./t.sh again"', "")
    (found,) = take(text)
    assert found.outcome == "not imported, 1 errors remain"
    assert [one.code for one in found.report.errors] == ["OCT040"]


def test_a_canonical_case_is_taken_as_it_is(samples):
    (found,) = take(samples.text(samples.case()))
    assert (found.dialect, found.outcome, found.repairs) == ("canonical", "imported", [])
    assert json.loads(found.text) == samples.case()


def test_what_is_imported_is_imported_again_without_a_change(samples):
    for name in ("D0", "FIVE", "D4"):
        (first,) = take(getattr(samples, name))
        (second,) = take(first.text)
        assert second.document == first.document
        assert not [one for one in second.report.diagnostics if one.severity is Severity.REPAIR]
