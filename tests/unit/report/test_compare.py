import pytest

from seatrial.cli import main
from seatrial.errors import SeatrialError
from seatrial.report import compare
from seatrial.verdict import Verdict


@pytest.fixture
def runs(sample, tmp_path):
    targets = ["docker@sid", "podman@trixie"]
    before = sample.sample(tmp_path / "a", targets, run="before", green=True,
                           overrides={("docker@sid", "by_name"): Verdict.FAIL})  # fmt: skip
    return before, sample.sample(tmp_path / "b", targets, run="after")


def test_two_runs_target_by_target(runs):
    found = compare(*runs)
    assert found.pairs == [("docker@sid", "docker@sid"), ("podman@trixie", "podman@trixie")]
    rows = {
        (row.test.partition("::test_")[2], row.left_target): (row.left, row.right)
        for row in found.differences
    }
    assert rows == {
        ("by_name", "docker@sid"): (Verdict.FAIL, Verdict.PASS),
        ("by_alias", "docker@sid"): (Verdict.PASS, Verdict.ERROR),
        ("taken_port_is_refused", "podman@trixie"): (Verdict.PASS, Verdict.FAIL),
        ("second_build_is_cached", "podman@trixie"): (Verdict.PASS, Verdict.WARN),
    }
    assert found.same == 70 - 4
    assert found.summary() == "4 tests differ, 2 newly red, 1 no longer red, 66 alike"


def test_two_targets_of_one_run(runs):
    found = compare(runs[1], runs[1], ("docker@sid", "podman@trixie"))
    assert found.pairs == [("docker@sid", "podman@trixie")]
    assert len(found.differences) + found.same == 35
    assert found.differences == compare(runs[1], runs[1]).differences
    assert {row.test.partition("::test_")[2] for row in found.differences} == {
        "by_alias", "taken_port_is_refused", "second_build_is_cached", "keeps_author_and_message",
        "pauses_while_it_copies",
    }  # fmt: skip


def test_text_puts_what_got_worse_first(runs):
    lines = compare(*runs).text().splitlines()
    assert lines[0].startswith("left   before: docker@sid 28.5.2, podman@trixie 5.4.2")
    words = [line.split()[2] for line in lines if " -> " in line]
    assert words == ["FAIL", "ERROR", "PASS", "WARN"]
    assert any("stopped answering" in line for line in lines)


def test_markdown_is_a_table_and_tells_what_only_one_side_has(runs, sample, tmp_path):
    more = sample.sample(tmp_path / "c", ["docker@sid"], run="more", size=37)
    text = compare(runs[1], more).markdown()
    assert "Only on the right:" in text
    assert "with\\[1-a b\\|c\\]" in text
    assert "0 tests differ" in text
    assert "| test | left | right | why |" in compare(*runs).markdown()


def test_an_incomplete_side_is_told(runs, sample, tmp_path):
    cut = sample.sample(tmp_path / "c", ["docker@sid"], run="cut", cut=True)
    found = compare(runs[1], cut)
    assert "cut: The run was cut off" in found.caveats[0]
    assert found.only_left
    assert "cut off" in found.text()
    assert "cut off" in found.markdown()


def test_what_is_not_whole_is_never_no_worse(runs, sample, tmp_path, capsys):
    whole = sample.sample(tmp_path / "w", ["docker@sid"], run="whole", green=True)
    cut = sample.sample(tmp_path / "c", ["docker@sid"], run="cut", green=True, cut=True)
    more = sample.sample(tmp_path / "m", ["docker@sid"], run="more", green=True, size=37)
    again = sample.sample(tmp_path / "again", ["docker@sid"], run="again", green=True)
    for right, code in ((again, 0), (more, 0), (cut, 6), (runs[1], 1)):
        assert main(["compare", str(whole), str(right)]) == code, capsys.readouterr().out
    assert main(["compare", str(more), str(whole)]) == 6


def test_single_targets_are_compared_whatever_their_names(sample, tmp_path):
    left = sample.sample(tmp_path / "a", ["docker@sid"], run="a")
    right = sample.sample(tmp_path / "b", ["podman@sid"], run="b")
    assert compare(left, right).pairs == [("docker@sid", "podman@sid")]


def test_nothing_to_compare_is_an_error_with_a_hint(runs, sample, tmp_path):
    one = sample.sample(tmp_path / "c", ["docker@sid"], run="one")
    other = sample.sample(tmp_path / "d", ["podman@bookworm", "podman@sid"], run="other")
    for arguments in ((one, one), (one, other), (one, one, ("docker@sid", "nerdctl"))):
        with pytest.raises(SeatrialError) as raised:
            compare(*arguments)
        assert raised.value.code == "E307"
        assert raised.value.hint
    with pytest.raises(SeatrialError) as raised:
        compare(one, tmp_path / "nowhere")
    assert raised.value.code == "E301"
