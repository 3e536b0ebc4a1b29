"""Figures that a run brings along: listed, shown, and refused where the list is broken."""

import json

import pytest

from seatrial import report
from seatrial.errors import SeatrialError
from seatrial.report import figures
from seatrial.report.figures import Figure, Table
from seatrial.results import Footer, Header, Stream, TargetInfo, TestResult
from seatrial.verdict import Verdict

FIGURE = Figure(
    "Latency <of> starts", "from the intended start", "plots/a.png", "a curve",
    Table(["operation", "p99"], [["start", 1.25], ["wait", None]]), ["ops.csv", "gone.csv"],
)  # fmt: skip


@pytest.fixture
def run(tmp_path):
    directory = tmp_path / "run"
    stream = Stream(directory / "results.jsonl")
    stream.write(Header("r", "2026-01-01T00:00:00Z", ["seatrial"], "0", {}, [TargetInfo("docker", "docker", "1")], 0))
    stream.write(TestResult("stress::x", "docker", Verdict.PASS, "stress", 0.0))
    stream.write(Footer("2026-01-01T00:00:01Z", 1.0, 0, {"PASS": 1}, 1))
    stream.close()
    (directory / "plots").mkdir()
    (directory / "plots/a.png").write_bytes(b"png")
    (directory / "ops.csv").write_text("a,b\n")
    return directory


def test_figures_are_shown_in_their_order(run):
    figures.add(run, [FIGURE])
    figures.add(run, [Figure("Second")])
    assert [figure.title for figure in figures.read(run)] == ["Latency <of> starts", "Second"]
    assert figures.read(run)[0] == FIGURE
    report.write(run)
    page = (run / "index.html").read_text()
    assert '<img src="plots/a.png" alt="a curve"' in page
    assert "Latency &lt;of&gt; starts" in page
    assert '<a href="ops.csv">ops.csv</a>' in page
    assert "gone.csv" not in page, "no link leads nowhere"
    assert "<td" in page.partition("1.25")[0].rpartition("start")[2]
    assert page.index("Latency &lt;of&gt;") < page.index("<h3>Second</h3>")


def test_a_run_without_figures_has_no_chapter_of_them(run):
    report.write(run)
    assert 'id="figures"' not in (run / "index.html").read_text()


@pytest.mark.parametrize(
    "text",
    ["{", '{"figures": [{}]}', json.dumps({"figures": [{"title": "x", "image": "../../etc/passwd"}]}),
     json.dumps({"figures": [{"title": "x", "files": ["/etc/passwd"]}]})],
)  # fmt: skip
def test_a_broken_list_is_told_and_costs_no_report(run, text):
    (run / "figures.json").write_text(text)
    with pytest.raises(SeatrialError) as caught:
        report.write(run)
    assert caught.value.code == "E319"
    assert "<h1" in (run / "index.html").read_text()
