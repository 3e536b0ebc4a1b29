"""One SQLite file for several processes: begun once, whoever is quicker, and its troubles told apart."""

import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from seatrial.database import Database, Trouble
from seatrial.errors import SeatrialError
from seatrial.oct.records import records

TABLES = "create table words (word text not null); create index words_by_word on words (word)"
CODES = {Trouble.BROKEN: "E305", Trouble.NEWER: "E309", Trouble.CLOSED: "E403"}


def told(trouble, cause):
    return SeatrialError(CODES[trouble], trouble.name, cause)


def database(path, version=1):
    return Database(path, TABLES, version, told)


def words(path):
    with database(path).open() as db:
        return [word for (word,) in db.execute("select word from words order by word")]


def test_what_is_written_is_there_for_the_next(tmp_path):
    with database(tmp_path / "deep" / "d.sqlite").open() as db:
        db.execute("insert into words values ('one')")
    assert words(tmp_path / "deep" / "d.sqlite") == ["one"]


def test_several_that_begin_the_file_at_once_make_its_tables_once(tmp_path):
    together = Barrier(8)

    def add(word):
        together.wait()
        with database(tmp_path / "d.sqlite").open() as db:
            db.execute("insert into words values (?)", (word,))

    for _ in range(10):
        (tmp_path / "d.sqlite").unlink(missing_ok=True)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, "abcdefgh"))
        assert words(tmp_path / "d.sqlite") == list("abcdefgh")


@pytest.mark.parametrize("use", [lambda made: made.open().__enter__(), lambda made: made.keep_open()],
                         ids=["open", "keep_open"])  # fmt: skip
def test_troubles_are_told_apart(tmp_path, use):
    (tmp_path / "broken").write_bytes(b"no database, but long enough to be looked at" * 40)
    (tmp_path / "directory").mkdir()
    with closing(sqlite3.connect(tmp_path / "newer")) as db:
        db.execute("pragma user_version = 2")
    for name, code in (("broken", "E305"), ("newer", "E309"), ("directory", "E403")):
        with pytest.raises(SeatrialError) as caught:
            use(database(tmp_path / name))
        assert caught.value.code == code
        assert caught.value.cause


def test_a_value_that_cannot_be_read_says_that_the_file_is_broken(tmp_path):
    with pytest.raises(SeatrialError) as caught, database(tmp_path / "d.sqlite").open():
        int("no number")
    assert caught.value.code == "E305"


def test_a_connection_that_is_kept_serves_other_threads_and_keeps_the_file_private(tmp_path):
    with closing(database(tmp_path / "d.sqlite").keep_open()) as db, ThreadPoolExecutor(1) as pool:
        pool.submit(db.execute, "insert into words values ('one')").result()
        assert stat.S_IMODE(os.stat(tmp_path / "d.sqlite").st_mode) == 0o600
        assert words(tmp_path / "d.sqlite") == ["one"]


def test_a_file_of_an_earlier_format_is_brought_to_this_one(tmp_path):
    with database(tmp_path / "d.sqlite").open() as db:
        db.execute("insert into words values ('one')")
    upgrade = "update words set word = word || ' (old)'; create table more (word text)"
    tables = "create table if not exists words (word text not null)"
    for _ in range(2):  # once only
        with Database(tmp_path / "d.sqlite", tables, 2, told, {1: upgrade}).open() as db:
            assert db.execute("select word from words").fetchall() == [("one (old)",)]
            assert db.execute("select count(*) from more").fetchone() == (0,)


def test_records_are_told_by_their_name_with_the_hint_of_their_owner(tmp_path):
    (tmp_path / "d.sqlite").write_bytes(b"no database at all, and long enough to look like one " * 20)
    file = records(tmp_path / "d.sqlite", TABLES, 1, "the tasks of the service", "move it away")
    with pytest.raises(SeatrialError, match="the tasks of the service") as caught, file.open():
        pass
    assert (caught.value.code, caught.value.hint) == ("E705", "move it away")
