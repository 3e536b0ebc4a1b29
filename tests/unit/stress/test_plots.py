"""Plots, tables and data of a run, made from its history."""

import csv
import sys

import pytest

from seatrial.report import drawing, figures
from seatrial.stress import objectives, plots
from seatrial.stress.history import FAIL, OK, History, HistoryHeader, Op, Recorder
from seatrial.stress.profile import Objectives


@pytest.fixture
def history(tmp_path):
    recorder = Recorder(tmp_path / "history.jsonl", HistoryHeader("r", "t", "", 0.0, {}, []))
    for number in range(50):
        recorder.add(Op("start", 0, number, number, number + 0.5, OK, f"c{number}"))
        recorder.add(Op("sample", -1, number, number, number, OK, "rss:dockerd", 5e7))
        recorder.add(Op("sample", -1, number, number, number, OK, "mounts", 12))
        recorder.add(Op("sample", -1, number, number, number, OK, "cpu:dockerd", number / 4))
        recorder.add(Op("sample", -1, number, number, number, OK, "cpu of the monitor", number / 100))
        recorder.add(Op("sample", -1, number, number, number, OK, "memory of the harness", 9e7))
    recorder.add(Op("start", 0, 50, 50, 51, FAIL, "c50", None, "500: no"))
    recorder.add(Op("event", -1, 50, 50, 51, OK, "", ["kernel", "Out of memory: Killed process 7", None]))
    recorder.close(51.0)
    return History(tmp_path / "history.jsonl")


def write(history, directory):
    tally, _, _ = objectives.judge(history, Objectives(), 0.0)
    plots.write(directory, tally, history)
    return {figure.title: figure for figure in figures.read(directory)}


def test_everything_is_drawn_and_listed(history, tmp_path):
    found = write(history, tmp_path)
    images = [figure.image for figure in found.values() if figure.image]
    assert len(images) == 7
    assert all((tmp_path / image).read_bytes().startswith(b"\x89PNG") for image in images)
    assert found["Operations"].table.rows == [["start", 50, 1, 0, 0.5, 0.5, 0.5, 0.5, 0.5]]
    assert found["Errors"].table.rows == [["start: N: no", 1]]
    rows = list(csv.DictReader((tmp_path / "operations.csv").read_text().splitlines()))
    assert len(rows) == 52, "51 starts and what the kernel said"
    assert rows[-2]["error"] == "500: no"
    assert len((tmp_path / "samples.csv").read_text().splitlines()) == 251


def test_operations_and_what_was_used_meanwhile_have_one_axis_of_time(history, tmp_path, monkeypatch):
    made = []
    real = drawing.stacked
    monkeypatch.setattr(drawing, "stacked", lambda *args: made.append(real(*args)) or made[-1])
    write(history, tmp_path)
    ((_, panels),) = made
    assert [[line.get_label() for line in panel.get_lines()] for panel in panels] == [
        ["start"], ["start"], ["the engine", "the monitor"], ["the engine", "the harness"],
    ]  # fmt: skip
    assert {panel.get_xlim() for panel in panels} == {panels[0].get_xlim()}
    engine, monitor = panels[2].get_lines()
    assert list(engine.get_ydata()) == [0.25] * 49
    assert list(monitor.get_ydata()) == pytest.approx([0.01] * 49)
    assert list(panels[3].get_lines()[1].get_ydata()) == [90.0] * 50


def test_the_cost_of_the_monitor_is_drawn_beside_the_engines(history, tmp_path, monkeypatch):
    made = {}
    real = plots._series
    monkeypatch.setattr(plots, "_series", lambda path, label, found, *scale: made.update({path.name: list(found)}) or
                        real(path, label, found, *scale))  # fmt: skip
    write(history, tmp_path)
    assert made["cpu.png"] == ["dockerd", "the monitor itself"]


def test_without_matplotlib_the_tables_are_there(history, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found = write(history, tmp_path)
    assert "matplotlib, which is not installed" in found["Plots"].caption
    assert found["Operations"].table.rows
    assert not any(figure.image for figure in found.values())


def test_what_the_kernel_has_logged_is_shown(history, tmp_path):
    found = write(history, tmp_path)["What the kernel has logged"]
    assert found.table.rows == [[50, "Out of memory: Killed process 7"]]
