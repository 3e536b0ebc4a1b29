import json
from dataclasses import replace

import pytest

from seatrial.errors import SeatrialError
from seatrial.results import (
    Finding,
    Footer,
    Header,
    Stream,
    TargetInfo,
    TestResult,
    merge_counts,
    passing_again,
    read,
)
from seatrial.verdict import Verdict

TARGET = TargetInfo("docker", "docker", "1")
HEADER = Header("r1", "2026-01-01T00:00:00+00:00", ["pytest"], "0.1.0", {}, [TARGET], 0)
PASS = TestResult("suites/cli/test_a.py::test_a", "docker", Verdict.PASS, "cli", 0.5)
FOOTER = Footer("2026-01-01T00:01:00+00:00", 60.0, 0, {"PASS": 1}, 1)


def write(path, *records):
    stream = Stream(path)
    for record in records:
        stream.write(record)
    stream.close()
    return path


def append(path, text):
    with path.open("a") as handle:
        handle.write(text)
    return path


def test_what_is_written_is_read_back(tmp_path):
    finding = Finding("leftover", "docker", "a container", PASS.test)
    run = read(write(tmp_path / "r.jsonl", HEADER, PASS, finding, FOOTER))
    assert (run.header, run.results, run.findings, run.footer) == (HEADER, [PASS], [finding], FOOTER)
    assert run.complete
    assert run.directory == tmp_path
    assert run.counts() == {Verdict.PASS: 1}


def test_any_text_of_an_engine_survives(tmp_path):
    odd = replace(PASS, message="one\u2028two\x85three\x0bfour\x1cfive\r\nsix \udcff \0 é")
    assert read(write(tmp_path / "r.jsonl", HEADER, odd, FOOTER)).results == [odd]


def test_a_stream_with_line_separators_inside_text_is_read(tmp_path):
    path = append(write(tmp_path / "r.jsonl", HEADER), "")
    append(path, '{"type": "finding", "kind": "k", "target": "", "message": "a\u2028b\x85c"}\n')
    assert read(path).findings[0].message == "a\u2028b\x85c"


def test_a_stream_is_never_overwritten(tmp_path):
    write(tmp_path / "r.jsonl", HEADER)
    with pytest.raises(SeatrialError) as raised:
        Stream(tmp_path / "r.jsonl")
    assert raised.value.code == "E401"


def test_every_line_is_on_disk_before_the_next(tmp_path):
    stream = Stream(tmp_path / "r.jsonl")
    stream.write(HEADER)
    stream.write(PASS)
    assert read(tmp_path / "r.jsonl").results == [PASS]
    stream.close()


def test_no_footer_means_not_complete(tmp_path):
    assert not read(write(tmp_path / "r.jsonl", HEADER, PASS)).complete


def test_half_a_last_line_means_cut_off(tmp_path):
    run = read(append(write(tmp_path / "r.jsonl", HEADER, PASS), '{"type": "foot'))
    assert not run.complete
    assert run.results == [PASS]


@pytest.mark.parametrize(
    ("tail", "line"),
    [
        ('{"type": "res\n{"type": "finding", "kind": "k", "target": "", "message": ""}\n', 4),
        ('{"type": "verdict"}\n', 4),
        ('{"type": "finding", "kind": "late", "target": "", "message": ""}\n', 3),
        ('{"type": "fin', 4),
    ],
)
def test_a_broken_line_is_named(tmp_path, tail, line):
    path = append(write(tmp_path / "r.jsonl", HEADER, PASS, FOOTER), tail)
    with pytest.raises(SeatrialError, match=f"broken in line {line}") as raised:
        read(path)
    assert raised.value.code == "E313"
    assert raised.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "MAYBE"},
        {"duration": -1},
        {"test": ""},
        {"surprise": 1},
        {"level": "MAY"},
        {"claims": "x"},
    ],
)
def test_a_line_against_the_schema_is_refused(tmp_path, change):
    path = write(tmp_path / "r.jsonl", HEADER, PASS)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], json.dumps({**json.loads(lines[1]), **change}), ""]))
    with pytest.raises(SeatrialError, match="line 2"):
        read(path)


@pytest.mark.parametrize("content", ["", "{}", "\n", "not json", "[]"])
def test_a_file_without_header_is_refused(tmp_path, content):
    (tmp_path / "r.jsonl").write_text(content)
    with pytest.raises(SeatrialError) as raised:
        read(tmp_path / "r.jsonl")
    assert raised.value.code == "E313"


def test_two_headers_are_refused(tmp_path):
    with pytest.raises(SeatrialError, match="line 2"):
        read(write(tmp_path / "r.jsonl", HEADER, HEADER))


def test_a_result_before_the_header_is_refused(tmp_path):
    with pytest.raises(SeatrialError, match="line 1"):
        read(write(tmp_path / "r.jsonl", PASS, HEADER))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_file_is_an_error_of_its_own(tmp_path, content):
    path = tmp_path / "r.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SeatrialError, match="cannot read") as raised:
        read(path)
    assert raised.value.code == "E301"


def test_a_full_disk_is_told_and_leaves_no_footer(tmp_path):
    stream = Stream(tmp_path / "r.jsonl")
    stream._file.close()
    stream._file = open("/dev/full", "w")  # noqa: SIM115 - the stream closes it
    with pytest.raises(SeatrialError) as raised:
        stream.write(FOOTER)
    assert (raised.value.code, raised.value.cause) == ("E401", "No space left on device")
    assert raised.value.hint
    with pytest.raises(SeatrialError):
        stream.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SeatrialError) as raised:
        Stream(tmp_path / "file" / "r.jsonl")
    assert raised.value.code == "E401"


def test_counts_are_in_the_order_of_the_verdicts():
    results = [TestResult("t", "x", verdict, "", 0) for verdict in (Verdict.FAIL, Verdict.PASS, Verdict.FAIL)]
    assert list(merge_counts(results).items()) == [("PASS", 1), ("FAIL", 2)]
    assert merge_counts([]) == {}


def test_an_entry_for_all_parameters_is_needed_as_long_as_one_of_them_fails():
    def result(name, verdict, target="docker", reason="it is so"):
        again = verdict is Verdict.PASS
        return TestResult(f"t.py::{name}", target, verdict, "x", 0.1, reason=reason, known_passes=again)

    found = [
        result("a[1]", Verdict.PASS), result("a[2]", Verdict.KNOWN), result("b[1]", Verdict.PASS),
        result("a[1]", Verdict.PASS, target="podman"), result("a[3]", Verdict.PASS, reason="of its own"),
        TestResult("t.py::a[4]", "docker", Verdict.PASS, "x", 0.1),
    ]  # fmt: skip
    assert passing_again(found) == found[2:5]


def test_a_target_is_what_it_is_in_a_line():
    info = TargetInfo("docker@lab", "docker", "20.10", "1.41", runtime="runc 1.1.5", storage="overlay2", cgroup="v1")
    assert info.identity == "docker 20.10, API 1.41, runc 1.1.5, overlay2, cgroup v1"
    assert TargetInfo("runc", "runc", "1.1.5", runtime="runc", cgroup="v1").identity == "runc 1.1.5, cgroup v1"
