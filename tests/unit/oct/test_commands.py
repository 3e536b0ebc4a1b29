"""The command `seatrial oct`: what it prints, writes and returns."""

import json

import jsonschema
import pytest

from seatrial.cli import main
from seatrial.oct import validate
from seatrial.oct.model import schema


@pytest.fixture
def seatrial(capsys):
    """Call it with arguments to get exit code, output and errors of the command."""

    def call(*arguments):
        code = main(["oct", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_new_bundle_validates_without_a_warning(seatrial, tmp_path):
    code, out, _ = seatrial("new", tmp_path / "my-case", "--group", "Security/Things")
    assert code == 0
    assert out.split() == [str(tmp_path / "my-case/case.json"), str(tmp_path / "my-case/source/check.sh")]
    (report,) = validate.validate([tmp_path / "my-case"])
    assert report.diagnostics == []
    assert json.loads((tmp_path / "my-case/case.json").read_text())["Name"] == "my-case"
    assert seatrial("new", tmp_path / "my-case")[0] == 4
    assert seatrial("new", tmp_path / "other", "--group", "Nonsense")[0] == 1


def test_validate_returns_1_for_errors_and_with_strict_for_warnings(seatrial, bundle):
    good, doubtful = bundle(directory="good"), bundle({"License": "GPL"}, directory="doubtful")
    bad = bundle({"Summary": None}, directory="bad")
    assert [seatrial("validate", path)[0] for path in (good, doubtful, bad)] == [0, 0, 1]
    assert [seatrial("validate", path, "--strict")[0] for path in (good, doubtful, bad)] == [0, 1, 1]
    code, out, _ = seatrial("validate", good, doubtful, bad, "--format", "json")
    assert (code, json.loads(out)["checked"]) == (1, 3)


def test_import_prints_a_single_case_and_tells_the_repairs_beside(seatrial, samples, tmp_path):
    (tmp_path / "old.json").write_text(samples.FIVE)
    code, out, err = seatrial("import", tmp_path / "old.json")
    assert code == 0
    jsonschema.validate(json.loads(out), schema())
    column = samples.FIVE.splitlines()[7].index("7,") + 1
    assert f"{tmp_path}/old.json:8:{column}: repair OCT012 Requires[0].Version: repair" in err
    assert err.splitlines()[-1].startswith(f"{tmp_path}/old.json: imported without 2 of its files as five (D3, ")


def test_import_writes_a_library_with_the_files_beside(seatrial, samples, tmp_path):
    for directory, script in (("a", "echo a"), ("b", "echo b")):
        (tmp_path / "old" / directory / "source").mkdir(parents=True)
        (tmp_path / "old" / directory / "five.json").write_text(samples.FIVE)
        (tmp_path / "old" / directory / "source/t.sh").write_text(f"#!/bin/sh\n{script} > result.json; cp * out.json\n")
        (tmp_path / "old" / directory / "source/t.sh").chmod(0o755)
        (tmp_path / "old" / directory / "source/Dockerfile").write_text("FROM busybox\n")
    (tmp_path / "old" / "cases.conf").write_text(samples.D5)
    (tmp_path / "old" / "source").mkdir()
    (tmp_path / "old" / "source/runtimetest").write_text("#!/bin/sh\n")
    (tmp_path / "old" / "source/runtimetest").chmod(0o755)
    code, _, err = seatrial("import", tmp_path / "old", "--out", tmp_path / "new")
    assert code == 0, err
    made = sorted(str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("case.json"))
    assert made == [
        "performance/five-2/case.json", "performance/five/case.json", "spec/readonly0/case.json",
        "spec/readonly1/case.json", "spec/rlimit0/case.json",
    ]  # fmt: skip
    assert (tmp_path / "new/performance/five-2/source/t.sh").read_text().splitlines()[1].startswith("echo b")
    assert 'the name "five" is taken' in err
    reports = validate.validate([tmp_path / "new/performance"])
    assert [report.errors for report in reports] == [[], []]


def test_import_refuses_with_1_and_writes_nothing(seatrial, samples, tmp_path):
    (tmp_path / "old.json").write_text(samples.FIVE[:200])
    code, out, err = seatrial("import", tmp_path / "old.json", "--out", tmp_path / "new")
    assert (code, out) == (1, "")
    assert "refused" in err
    assert not (tmp_path / "new").exists()


def test_explain_lists_and_explains(seatrial):
    code, out, _ = seatrial("explain")
    assert code == 0
    assert len(out.splitlines()) >= 40
    assert "source/source/x" in seatrial("explain", "oct33")[1]


def test_the_printed_schema_is_one(seatrial):
    printed = json.loads(seatrial("schema")[1])
    jsonschema.Draft202012Validator.check_schema(printed)
    assert printed == schema()


def test_no_object_of_the_schema_takes_unknown_fields():
    objects = []

    def walk(part):
        if isinstance(part, dict):
            if "properties" in part:
                objects.append(part)
            for item in part.values():
                walk(item)
        elif isinstance(part, list):
            for item in part:
                walk(item)

    walk(schema())
    assert len(objects) > 12
    assert all(part["additionalProperties"] is False for part in objects)
