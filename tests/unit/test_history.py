import multiprocessing
import os
import sqlite3
from dataclasses import replace

import pytest

from seatrial import database, history
from seatrial.errors import SeatrialError
from seatrial.history import Change, History
from seatrial.results import Footer, Header, Run, TargetInfo, TestResult, merge_counts
from seatrial.verdict import Verdict

V = Verdict


def make(number, verdicts, target="docker", version="1.0", **footer):
    results = [TestResult(test, target, verdict, "cli", 0.5) for test, verdict in verdicts.items()]
    header = Header(f"run-{number}", f"2026-01-{number:02}T10:00:00+00:00", ["pytest"], "0.1",
                    {}, [TargetInfo(target, "docker", version)], 0)  # fmt: skip
    return Run(header, results, [], Footer("", 1.0, 0, merge_counts(results), len(results), **footer))


@pytest.fixture
def past(tmp_path):
    return History(tmp_path / "sub" / "history.sqlite")


def names(changes):
    return {kind: [change.test for change in getattr(changes, kind)]
            for kind in ("failing", "fixed", "new", "gone", "other") if getattr(changes, kind)}  # fmt: skip


def test_the_first_run_has_nothing_before_it(past):
    run = make(1, {"a": V.PASS})
    assert past.record(run)
    changes = past.changes(run, "docker")
    assert changes.since == ""
    assert not changes.any


def test_every_kind_of_change_is_told(past):
    past.record(make(1, {"same": V.PASS, "breaks": V.PASS, "mends": V.ERROR, "gone": V.PASS, "runs": V.SKIP,
                         "listed": V.FAIL}))  # fmt: skip
    run = make(
        2, {"listed": V.KNOWN, "same": V.PASS, "breaks": V.FAIL, "mends": V.PASS, "runs": V.PASS,
            "new": V.PASS, "bad": V.FAIL},
    )
    past.record(run)
    changes = past.changes(run, "docker")
    assert (changes.since, changes.version, changes.command) == ("run-1", "1.0", ["pytest"])
    assert names(changes) == {
        "failing": ["breaks", "bad"], "fixed": ["mends"], "new": ["new"], "gone": ["gone"], "other": ["listed", "runs"],
    }  # fmt: skip
    assert changes.failing[0] == Change("breaks", V.PASS, V.FAIL)
    assert changes.failing[1] == Change("bad", None, V.FAIL)


def test_red_that_is_not_run_any_more_is_not_fixed(past):
    past.record(make(1, {"a": V.FAIL}))
    assert names(past.changes(make(2, {"a": V.SKIP}), "docker")) == {"other": ["a"]}


def test_runs_of_other_targets_and_later_runs_do_not_count(past):
    past.record(make(1, {"a": V.PASS}))
    past.record(make(2, {"a": V.FAIL}, target="podman"))
    past.record(make(9, {"a": V.FAIL}))
    assert not past.changes(make(3, {"a": V.PASS}), "docker").any
    assert past.changes(make(3, {"a": V.PASS}), "docker").since == "run-1"


def test_times_are_compared_as_instants(past):
    early = make(5, {"a": V.FAIL})
    early.header = replace(early.header, started="2026-01-02T01:00:00+05:00")  # 20:00 on the first in UTC
    past.record(early)
    run = make(2, {"a": V.PASS})
    run.header = replace(run.header, started="2026-01-01T21:00:00Z")
    assert names(past.changes(run, "docker")) == {"fixed": ["a"]}


def test_a_run_of_one_test_makes_the_others_neither_new_nor_lost(past):
    past.record(make(1, {"a": V.PASS, "b": V.FAIL}))
    past.record(make(2, {"a": V.PASS}))
    changes = past.changes(make(3, {"a": V.PASS, "b": V.PASS, "c": V.PASS}), "docker")
    assert names(changes) == {"fixed": ["b"], "new": ["c"]}


def test_incomplete_runs_are_not_kept_and_lose_no_test(past):
    past.record(make(1, {"a": V.PASS, "b": V.PASS}))
    cut = make(2, {"a": V.FAIL})
    cut.footer = None
    for run in (cut, make(2, {"a": V.FAIL}, cause="the engine died"), make(2, {})):
        assert not past.record(run)
        assert "gone" not in names(past.changes(run, "docker"))
    assert past.changes(make(3, {"a": V.PASS}), "docker").since == "run-1"


def test_writing_twice_changes_nothing(past):
    run = make(1, {"a": V.PASS, "b": V.FAIL})
    past.record(run)
    before = dump(past)
    past.record(run)
    assert dump(past) == before
    assert len([line for line in before if 'INTO "results"' in line]) == 2


def dump(past):
    db = sqlite3.connect(past.path)
    lines = list(db.iterdump())
    db.close()
    return lines


def wavering(past, *verdicts, version="1.0"):
    for number, verdict in enumerate(verdicts, 1):
        past.record(make(number, {"a": verdict, "steady": V.PASS}, version=version))
    return [(found.test, found.verdicts) for found in past.flaky("docker", "1.0")]


def test_there_and_back_is_flaky(past):
    assert wavering(past, V.PASS, V.FAIL, V.PASS) == [("a", [V.PASS, V.FAIL, V.PASS])]


@pytest.mark.parametrize(
    "verdicts", [[V.PASS, V.FAIL, V.FAIL], [V.PASS, V.SKIP, V.PASS], [V.WARN, V.PASS, V.WARN]]
)
def test_one_change_or_a_skip_is_not_flaky(past, verdicts):
    assert wavering(past, *verdicts) == []


def test_other_versions_and_old_runs_do_not_make_flaky(past):
    assert wavering(past, V.PASS, V.FAIL, V.PASS, version="2.0") == []
    for number in range(4, 4 + history.WINDOW):
        past.record(make(number, {"a": V.PASS}, version="2.0"))
    assert past.flaky("docker", "2.0") == []
    assert past.flaky("docker", "2.0", window=99) != []


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to look at" * 50, b"SQLite format 3\0" + b"x" * 4000]
)
def test_a_broken_database_is_told_and_left_alone(past, content):
    past.path.parent.mkdir()
    past.path.write_bytes(content)
    with pytest.raises(SeatrialError) as raised:
        past.record(make(1, {"a": V.PASS}))
    assert raised.value.code == "E305"
    assert raised.value.hint
    assert past.path.read_bytes() == content


def test_a_database_of_another_program_is_told(past):
    past.path.parent.mkdir()
    db = sqlite3.connect(past.path)
    db.executescript("create table runs (x); pragma user_version = 1")
    db.close()
    with pytest.raises(SeatrialError) as raised:
        past.record(make(1, {"a": V.PASS}))
    assert raised.value.code == "E305"


def test_a_newer_format_is_not_touched(past):
    past.record(make(1, {"a": V.PASS}))
    db = sqlite3.connect(past.path)
    db.execute(f"pragma user_version = {history.FORMAT + 1}")
    db.close()
    with pytest.raises(SeatrialError, match="newer") as raised:
        past.changes(make(2, {"a": V.PASS}), "docker")
    assert raised.value.code == "E309"


def test_a_locked_database_is_told(past, monkeypatch):
    past.record(make(1, {"a": V.PASS}))
    monkeypatch.setattr(database, "WAIT", 0.1)
    db = sqlite3.connect(past.path, isolation_level=None)
    db.execute("begin exclusive")
    try:
        with pytest.raises(SeatrialError) as raised:
            past.record(make(2, {"a": V.PASS}))
    finally:
        db.close()
    assert (raised.value.code, raised.value.cause) == ("E403", "database is locked")


def test_a_directory_in_its_place_is_told(past):
    past.path.mkdir(parents=True)
    with pytest.raises(SeatrialError) as raised:
        past.record(make(1, {"a": V.PASS}))
    assert raised.value.code == "E403"


def _write(path, number):
    run = make(number, {f"t{n}": V.PASS for n in range(50)})
    os._exit(0 if History(path).record(run) else 1)


def test_writers_at_the_same_time_wait_for_each_other(past):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(past.path, number)) for number in range(1, 7)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 6
    db = sqlite3.connect(past.path)
    assert db.execute("select count(*) from results").fetchone() == (300,)
    assert db.execute("select count(*) from tests").fetchone() == (50,)
    db.close()
