"""The cost of the engine itself, on this machine and without an engine."""

import statistics

from seatrial.engines.fake import fake
from seatrial.oct import cost


def test_a_case_costs_little_over_its_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "state"))
    found = list(cost.samples(fake("docker", tmp_path), 30))
    assert len(found) == 30
    over = [whole - commands for commands, whole in found]
    assert all(commands > 0 for commands, _ in found)
    assert statistics.median(over) < 0.2  # `seatrial bench` holds it to a tenth of that, on a quiet machine
