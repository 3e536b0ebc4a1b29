"""The history: written, read back, and refused where it is not whole."""

import json
import os
import threading
import time
from contextlib import suppress

import pytest

from seatrial.errors import SeatrialError
from seatrial.stress import checkers
from seatrial.stress.history import FAIL, OK, UNKNOWN, History, HistoryHeader, Op, Recorder

HEADER = HistoryHeader("run-1", "docker@sid", "2026-01-01T00:00:00Z", 1767225600.0, {"name": "churn"}, ["exits"])


def recorded(path, ops, *, closed=True, cause="", header=HEADER):
    recorder = Recorder(path, header)
    for op in ops:
        recorder.add(op)
    if closed:
        recorder.close(9.0, cause)
    else:
        recorder.flush()
        recorder._file.close()
    return path


OPS = [
    Op("create", 0, 0.0, 0.1, 0.2, OK, "a", "id-a"),
    Op("start", 0, 0.2, 0.2, 0.4, UNKNOWN, "a", None, "no answer in time"),
    Op("wait", 0, 0.4, 0.4, 0.5, FAIL, "a", None, "no such container: ü"),
]


def test_what_was_written_is_read(tmp_path):
    history = History(recorded(tmp_path / "h", OPS, cause="interrupted"))
    assert list(history) == OPS
    assert history.header == HEADER
    assert (history.footer.operations, history.footer.duration, history.footer.cause) == (3, 9.0, "interrupted")
    assert list(history) == OPS, "it can be read again"


def test_latency_counts_from_the_intended_start():
    assert Op("start", 0, 1.0, 5.0, 5.5, OK, "a").latency == 4.5


def test_a_history_without_an_end_has_no_footer(tmp_path):
    history = History(recorded(tmp_path / "h", OPS, closed=False))
    assert list(history) == OPS
    assert history.footer is None


def test_half_a_last_line_is_no_operation_and_no_footer(tmp_path):
    path = recorded(tmp_path / "h", OPS, closed=False)
    path.write_text(path.read_text() + '["wait",0,0.4')
    history = History(path)
    assert len(list(history)) == 3
    assert history.footer is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 5"),
        ('["wait",0]', "no operation"),
        ('["wait",0,0.1,0.1,0.2,"maybe","a",null,""]', "no operation"),
        ('["wait",0,0.3,0.1,0.2,"ok","a",null,""]', "ended before it began"),
        ('["wait",0,"0",0.1,0.2,"ok","a",null,""]', "times are numbers"),
        ('{"type": "footer"}', "not valid"),
        ('{"type": "footer", "operations": 7, "duration": 1, "cause": ""}', "counts 7 operations, 3"),
        (json.dumps({"type": "header"}), "not valid"),
        ("null", "no operation"),
    ],
)
def test_a_broken_line_is_told(tmp_path, line, words):
    path = recorded(tmp_path / "h", OPS, closed=False)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(SeatrialError) as caught:
        list(History(path))
    assert caught.value.code == "E802"
    assert words in str(caught.value)


def test_nothing_follows_the_footer(tmp_path):
    path = recorded(tmp_path / "h", OPS)
    path.write_text(path.read_text() + json.dumps(OPS[0]) + "\n")
    with pytest.raises(SeatrialError, match="broken in line 6") as caught:
        list(History(path))
    assert "not the last line" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]\n", '{"type": "header"}\n', '{"type": "footer", "operations": 0}\n'])
def test_a_file_that_does_not_begin_as_one_is_no_history(tmp_path, text):
    path = tmp_path / "h"
    path.write_text(text)
    with pytest.raises(SeatrialError, match="broken in line 1"):
        History(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(SeatrialError, match="cannot read the history"):
        History(tmp_path / "none")


def test_an_older_history_is_not_overwritten(tmp_path):
    recorded(tmp_path / "h", OPS)
    with pytest.raises(SeatrialError, match="cannot write the history"):
        Recorder(tmp_path / "h", HEADER)


def test_a_full_disk_is_told(tmp_path):
    recorder = Recorder(tmp_path / "h", HEADER)
    with open("/dev/full", "w") as full:
        os.dup2(full.fileno(), recorder._file.fileno())
    recorder.add(OPS[0])
    with pytest.raises(SeatrialError, match="cannot write the history") as caught:
        recorder.close(1.0)
    assert caught.value.cause == "No space left on device"
    with suppress(OSError):
        recorder._file.close()


def test_many_threads_write_whole_lines(tmp_path):
    recorder = Recorder(tmp_path / "h", HEADER)

    def work(client):
        for number in range(500):
            recorder.add(Op("create", client, number, number, number, OK, f"{client}-{number}", "x" * 100))

    threads = [threading.Thread(target=work, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close(1.0)
    history = History(tmp_path / "h")
    assert len({op.object for op in history}) == 4000
    assert history.footer.operations == 4000


def million(path):
    """Write the history of a quarter of a million containers: create, start, wait, remove, in turns of eight."""
    every = list(checkers.CHECKERS)
    header = HistoryHeader("run-1", "docker@sid", "2026-01-01T00:00:00Z", 0.0, {}, every)
    with path.open("w") as file:
        recorded(path.with_suffix(".head"), [], closed=False, header=header)
        file.write(path.with_suffix(".head").read_text())
        for n in range(250_000):
            at, begin = n * 0.01, f"{n % 8},{n * 0.01}"
            file.write(
                f'["create",{begin},{at},{at + 0.001},"ok","st-{n}","{n:064x}",""]\n'
                f'["start",{begin},{at + 0.001},{at + 0.002},"ok","st-{n}",["0.0.0.0:{n % 50000}/tcp"],""]\n'
                f'["wait",{begin},{at + 0.002},{at + 0.003},"ok","st-{n}",[0,[0]],""]\n'
                f'["remove",{begin},{at + 0.003},{at + 0.004},"ok","st-{n}",null,""]\n'
            )
        file.write(json.dumps({"type": "footer", "operations": 1_000_000, "duration": 2500.0, "cause": ""}) + "\n")


@pytest.mark.timeout(120)
def test_a_million_operations_are_judged_in_ten_seconds_of_cpu_time(tmp_path):
    million(tmp_path / "h")
    began = time.process_time()
    history = History(tmp_path / "h")
    found = {judgement.checker: judgement for judgement in checkers.judge(history)}
    took = time.process_time() - began
    assert history.footer.operations == 1_000_000
    assert found["ids"].considered == 250_000
    assert sum(judgement.count for judgement in found.values()) == 0
    assert took < 10, f"{took:.1f} s"
