"""The table of system calls: whole, by each entry, and side by side."""

import pytest

from seatrial import report
from seatrial.probes.seccomp import Filters
from seatrial.report import figures
from seatrial.results import Footer, Header, Stream, TargetInfo
from seatrial.security import surface
from seatrial.security.syscalls import LAST, LAST_X32, numbers

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x50001, 0x50026
CALLS = numbers()


def refusing(**answers):
    """A filter that answers some calls of any entry, by their numbers on x86-64, and lets others through."""
    program = [(LOAD, 0, 0, 0)]
    for word, answer in answers.items():
        program += [(EQUAL, 0, 1, CALLS[word]), (RETURN, 0, 0, answer)]
    return Filters(((*program, (RETURN, 0, 0, ALLOW)),))


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "state"))
    stream = Stream(tmp_path / "run/results.jsonl")
    stream.write(Header("r", "2026-01-01T00:00:00Z", ["seatrial"], "0", {}, [TargetInfo("docker", "docker", "1")], 0))
    stream.write(Footer("2026-01-01T00:00:01Z", 1.0, 5, {}, 0))
    stream.close()
    return tmp_path / "run"


def test_every_number_of_every_entry_is_followed():
    says = surface.followed(refusing(mount=EPERM))
    assert {entry: sorted(found) for entry, found in says.items()} == {
        "x86_64": list(range(LAST + 1)), "i386": list(range(LAST + 1)), "x32": list(range(LAST_X32 + 1)),
    }  # fmt: skip
    assert says["x86_64"][CALLS["mount"]] == {"errno 1"}
    assert says["x32"][CALLS["mount"]] == {"allow"}, "with the bit that tells x32 it is another number"
    assert says["x86_64"][CALLS["read"]] == {"allow"}


@pytest.mark.parametrize(("actions", "words"), [
    ({"allow"}, "allow"), ({"errno 1"}, "EPERM"), ({"allow", "errno 38"}, "ENOSYS or allow"),
    ({"kill process"}, "kill process"), ({"errno 999"}, "errno 999"),
])  # fmt: skip
def test_answers_are_words(actions, words):
    assert surface.words(actions) == words


def test_targets_stand_side_by_side_in_the_file_and_in_the_report(directory):
    figures.add(directory, [figures.Figure("Another")])
    for target, answers in (("docker", {"mount": EPERM}), ("podman", {"mount": EPERM, "bpf": ENOSYS})):
        surface.keep(directory, target, surface.followed(refusing(**answers)), ["mount"])
    lines = [line.split("\t") for line in (directory / surface.FILE).read_text().splitlines()]
    assert lines[0] == ["entry", "number", "name", "documented", "docker", "podman"]
    assert len(lines) == 1 + 2 * (LAST + 1) + LAST_X32 + 1
    assert ["x86_64", "165", "mount", "docker podman", "EPERM", "EPERM"] in lines
    assert ["x86_64", "321", "bpf", "", "allow", "ENOSYS"] in lines
    other, figure = figures.read(directory)
    assert (other.title, figure.title, figure.files) == ("Another", surface.TITLE, [surface.FILE])
    rows = {(row[0], row[1]): row[2:] for row in figure.table.rows}
    assert rows["mount*", "x86_64"] == [1, "EPERM", "EPERM"]
    assert rows["bpf", "x86_64"] == [1, "allow", "ENOSYS"]
    assert sum(row[2] for row in figure.table.rows) == len(lines) - 1
    allowed = next(row for row in figure.table.rows if row[1:] == ["x86_64", LAST - 1, "allow", "allow"])
    assert allowed[0].endswith(f"470 to {LAST}")
    report.write(directory)
    page = (directory / "index.html").read_text()
    assert surface.TITLE in page
    assert f'<a href="{surface.FILE}">' in page


def test_a_second_look_takes_the_place_of_the_first(directory):
    for answers in ({"bpf": EPERM}, {"mount": EPERM}):
        surface.keep(directory, "docker", surface.followed(refusing(**answers)), [])
    lines = (directory / surface.FILE).read_text().splitlines()
    assert "x86_64\t321\tbpf\t\tallow" in lines
    assert "x86_64\t165\tmount\t\tEPERM" in lines
    assert len(figures.read(directory)) == 1
