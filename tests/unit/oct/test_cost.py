"""The cost of the engine itself, on this machine and without an engine."""

import statistics
import time

from seatrial.engines.fake import fake
from seatrial.exec import Journal
from seatrial.oct import cost


def test_commands_that_no_journal_has_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_DATA", str(tmp_path / "data"))
    engine, seconds = cost._counting(fake("docker", tmp_path))
    journal = Journal()
    engine.cli("version", journal=journal)
    assert (seconds, len(journal.calls)) == ([], 1)
    result = engine.cli("version")
    assert seconds == [result.duration]
    began = time.perf_counter()
    engine.find("container")
    assert len(seconds) > 1
    assert sum(seconds[1:]) <= time.perf_counter() - began  # nothing is counted twice
    assert all(one >= 0 for one in seconds)


def test_a_case_costs_little_over_its_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "state"))
    found = list(cost.samples(fake("docker", tmp_path), 30))
    assert len(found) == 30
    over = [whole - commands for commands, whole in found]
    assert all(commands > 0 for commands, _ in found)
    assert statistics.median(over) < 0.2  # `seatrial bench` holds it to a tenth of that, on a quiet machine
