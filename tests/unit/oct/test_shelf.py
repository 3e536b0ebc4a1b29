"""Imports into a library: which files come along, and that nothing is put there that would not validate."""

import json
import os

import pytest

from seatrial.cli import main
from seatrial.oct import tarball, validate


@pytest.fixture
def old(samples, tmp_path):
    """Call it with changes of the old case's text and with files beside it to get the file of the case."""

    def make(*changes, files=None):
        place = tmp_path / "old"
        place.mkdir()
        text = samples.FIVE
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        (place / "five.json").write_text(text)
        for name, content in (files or {}).items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(content)
            (place / name).chmod(0o755 if content.startswith("#!") else 0o644)
        return place / "five.json"

    return make


@pytest.fixture
def take(tmp_path, capsys):
    """Call it with a file to import it into a library: exit code, errors, and the files that are there then."""

    def run(path):
        code = main(["oct", "import", str(path), "--out", str(tmp_path / "new")])
        made = [one for one in (tmp_path / "new").rglob("*") if not one.is_dir()]
        return code, capsys.readouterr().err, sorted(str(one.relative_to(tmp_path / "new")) for one in made)

    return run


WHERE = "./source/Dockerfile"
FILES = {"source/t.sh": "#!/bin/sh\necho > result.json; cp * out.json\n", "source/Dockerfile": "FROM busybox\n"}
SCRIPT = {"source/t.sh": FILES["source/t.sh"]}


def test_files_beside_source_come_along_and_what_is_no_part_of_the_case_stays(old, take, tmp_path):
    path = old((WHERE, "./image/Dockerfile"), files={**SCRIPT, "image/Dockerfile": "FROM busybox\n", "other.txt": "x"})
    code, err, made = take(path)
    assert code == 0, err
    assert made == ["performance/five/case.json", "performance/five/image/Dockerfile", "performance/five/source/t.sh"]
    assert os.access(tmp_path / "new/performance/five/source/t.sh", os.X_OK)
    assert [report.errors for report in validate.validate([tmp_path / "new"])] == [[]]


@pytest.mark.parametrize("files", [{}, SCRIPT])
def test_a_case_whose_files_are_missing_is_not_put(old, take, files):
    code, err, made = take(old(files=files))
    assert (code, made) == (1, [])
    assert f'the file "{WHERE[2:]}" does not exist in the bundle' in err
    assert f"not imported, {2 - len(files)} errors remain (D3, " in err.splitlines()[-1]


def test_what_has_errors_of_another_kind_is_not_put(old, take):
    path = old(('"Cmd": "./t.sh",', ""), (', "Cmd": "./t.sh again"', ""), files=FILES)
    code, err, made = take(path)
    assert (code, made) == (1, [])
    assert "error OCT040" in err
    assert "not imported, 1 errors remain" in err


@pytest.mark.parametrize("link", ["image", "image/Dockerfile", "source/t.sh"])
def test_links_are_not_followed(old, take, tmp_path, link):
    path = old((WHERE, "./image/Dockerfile"), files={**SCRIPT, "image/Dockerfile": "FROM busybox\n"})
    (path.parent / link).rename(tmp_path / "secret")
    (path.parent / link).symlink_to(tmp_path / "secret")
    code, err, made = take(path)
    assert (code, made) == (1, [])
    assert f"error OCT036 {link} is a symbolic link" in err


def test_paths_that_leave_the_directory_are_not_copied(samples, take, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "old").mkdir()
    case = samples.case()
    case["Deploys"][0]["Files"] = ["../secret"]
    (tmp_path / "old/case.json").write_text(samples.text(case))
    code, err, made = take(tmp_path / "old/case.json")
    assert (code, made) == (1, [])
    assert 'error OCT031 Deploys[0].Files[0]: the path "../secret" leaves the bundle' in err


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [("FILE", 20, "source/t.sh has 44 bytes, at most 20 are allowed"), ("ENTRIES", 1, "it has 2 files, at most 1"),
     ("TOTAL", 30, "its files have more than 0 MiB")],
)  # fmt: skip
def test_sizes_have_the_limits_of_archives(old, take, monkeypatch, limit, value, words):
    path = old(files=FILES)
    monkeypatch.setattr(tarball, limit, value)
    code, err, made = take(path)
    assert (code, made) == (1, [])
    assert f"error OCT038 {words}" in err.replace(": error OCT038 ", " error OCT038 ")


def test_a_taken_place_gets_a_number_whatever_lies_there(old, take, tmp_path):
    (tmp_path / "new/performance/five/mine").mkdir(parents=True)
    code, err, made = take(old(files=FILES))
    assert code == 0, err
    assert "performance/five-2/case.json" in made
    assert json.loads((tmp_path / "new/performance/five-2/case.json").read_text())["Name"] == "five-2"
