"""Libraries: what is listed, which cases are due and why, and records that are broken."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import astuple, replace

import pytest

from seatrial.errors import SeatrialError
from seatrial.oct import library
from seatrial.oct.bundle import Bundle
from seatrial.oct.freshness import NAME, State, Store, Surroundings, Variant, states
from seatrial.oct.library import Filter

HERE = Surroundings("docker 20.10", "busybox 1", "host1", "0.1.0")
PLAIN = Variant()


@pytest.fixture
def cases(bundle, tmp_path):
    bundle({"Name": "a", "Group": "Security/Paths", "Tags": ["quick"]}, directory="lib/security/a")
    bundle({"Name": "b", "Group": "Security/Seccomp", "Matrix": {"n": [1, 2], "m": ["x", "y", "z"]}}, directory="lib/b")
    bundle({"Name": "c", "Group": "Spec", "Requires": [{"Class": "t", "Type": "engine", "Needs": ["runtime"]}]},
           {"source/x": "1"}, directory="lib/c")  # fmt: skip
    return tmp_path / "lib"


def test_listing_tells_what_stands_in_the_cases(cases):
    entries = library.load(cases)
    assert [(entry.path, entry.name, entry.group, entry.variants, entry.broken) for entry in entries] == [
        ("b", "b", "Security/Seccomp", 6, ""), ("c", "c", "Spec", 1, ""), ("security/a", "a", "Security/Paths", 1, ""),
    ]  # fmt: skip
    for entry in entries:
        root = cases / entry.path
        assert entry.digest == Bundle(root).digest(json.loads((root / "case.json").read_text()))


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(), "abc"), (Filter(groups=("security",)), "ab"), (Filter(groups=("Security/Paths",)), "a"),
        (Filter(groups=("Sec",)), ""), (Filter(tags=("quick",)), "a"), (Filter(names=("[bc]",)), "bc"),
        (Filter(engine="engine"), "ab"), (Filter(engine="runtime"), "abc"),
        (Filter(groups=("Spec",), names=("a",)), ""),
    ],
)  # fmt: skip
def test_filters(cases, wanted, names):
    assert sorted(entry.name for entry in library.select(library.load(cases), wanted)) == list(names)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"Name": "x", "Requires": 3}'])
def test_a_broken_case_is_listed_whatever_the_filter(cases, content):
    (cases / "b/case.json").write_text(content)
    (found,) = library.select(library.load(cases), Filter(groups=("Nothing",)))
    assert (found.name, found.digest) == ("b", "")
    assert found.broken


def test_nothing_is_no_library(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(SeatrialError, match="there is no case in"):
            library.load(path)


def test_states_and_their_reasons(cases, tmp_path):
    entries = library.load(cases)
    store = Store(tmp_path / NAME)
    a, b = ({entry.name: entry for entry in entries}[name] for name in "ab")
    store.record("a", "docker", PLAIN, a.digest, HERE, "passed", "run1")
    store.record("b", "docker", PLAIN, b.digest, HERE, "timeout", "run1")
    found = {one.entry.name: (one.state, one.reason) for one in store.plan(entries, "docker", HERE)}
    assert found == {
        "a": (State.CURRENT, "it passed as it is"), "b": (State.FAILED, "it ended as timeout"),
        "c": (State.NEW, "it never ran on docker"),
    }  # fmt: skip
    assert {one.state for one in store.plan(entries, "podman", HERE)} == {State.NEW}
    (cases / "security/a/source/more").write_text("")
    changed = store.plan([entry for entry in library.load(cases) if entry.name == "a"], "docker", HERE)
    assert [(one.state, one.reason) for one in changed] == [(State.CHANGED, "the case or its files have changed")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"engine": "docker 26.1"}, "another engine: docker 20.10 -> docker 26.1"),
     ({"image": "busybox 2"}, "another image"),
     ({"host": "host2"}, "another host"), ({"harness": "0.2.0"}, "another harness: 0.1.0 -> 0.2.0")],
)  # fmt: skip
def test_a_result_holds_only_where_it_was_seen(cases, tmp_path, changes, reason):
    (entry,) = [entry for entry in library.load(cases) if entry.name == "a"]
    store = Store(tmp_path / NAME)
    store.record("a", "docker", PLAIN, entry.digest, HERE, "passed", "run1")
    (planned,) = store.plan([entry], "docker", replace(HERE, **changes))
    assert planned.state is State.CHANGED
    assert planned.reason.startswith(reason)


def test_a_clone_of_the_library_is_as_fresh_as_its_original(cases, tmp_path):
    store = Store(tmp_path / NAME)
    for entry in library.load(cases):
        for label in ("1-x", "1-y", "1-z", "2-x", "2-y", "2-z") if entry.variants > 1 else ("",):
            store.record(entry.name, "docker", Variant(label), entry.digest, HERE, "passed", "run1")
    shutil.copytree(cases, tmp_path / "clone", copy_function=shutil.copyfile)
    assert {one.state for one in store.plan(library.load(tmp_path / "clone"), "docker", HERE)} == {State.CURRENT}


def test_of_several_results_in_one_run_the_failed_one_stays(tmp_path):
    store = Store(tmp_path / NAME)
    for ending in ("passed", "failed", "passed"):
        store.record("b", "docker", PLAIN, "d", HERE, ending, "run1")
    assert store.known("docker")["b"][PLAIN].ending == "failed"
    store.record("b", "docker", PLAIN, "d", HERE, "passed", "run2")
    assert store.known("docker")["b"][PLAIN].ending == "passed"


def planned(store, entry, now=HERE):
    (one,) = store.plan([entry], "docker", now)
    return one.state, one.reason


def test_each_variant_has_a_result_of_its_own(cases, tmp_path):
    (entry,) = [entry for entry in library.load(cases) if entry.name == "b"]
    store = Store(tmp_path / NAME)
    store.record("b", "docker", Variant("1-x"), entry.digest, HERE, "failed", "run1")
    store.record("b", "docker", Variant("1-y"), entry.digest, HERE, "passed", "run2")
    assert planned(store, entry) == (State.FAILED, "[1-x]: it was failed")
    assert {str(variant): known.ending for variant, known in store.known("docker")["b"].items()} == {
        "[1-x]": "failed", "[1-y]": "passed",
    }  # fmt: skip
    store.record("b", "docker", Variant("1-x"), entry.digest, HERE, "passed", "run3")
    assert planned(store, entry) == (State.NEW, "4 of its 6 variants never ran on docker")
    for label in ("1-z", "2-x", "2-y", "2-z"):
        store.record("b", "docker", Variant(label), entry.digest, HERE, "passed", "run4")
    assert planned(store, entry) == (State.CURRENT, "it passed as it is")
    store.record("b", "docker", Variant("2-x"), entry.digest, replace(HERE, image="other"), "passed", "run5")
    assert planned(store, entry) == (State.CHANGED, "[2-x]: another image: other -> busybox 1")


def test_a_result_with_parameters_set_says_nothing_of_the_case_as_it_is(cases, tmp_path):
    (entry,) = [entry for entry in library.load(cases) if entry.name == "a"]
    store = Store(tmp_path / NAME)
    quick = Variant.of("", {"seconds": "10", "size": "1"}, {"seconds": "1", "size": "1", "of-another-case": "x"})
    assert quick == Variant("", "seconds=1")
    store.record("a", "docker", quick, entry.digest, HERE, "passed", "run1")
    assert planned(store, entry) == (State.NEW, "it never ran on docker")
    assert store.known("docker")["a"][quick].state(entry.digest, HERE)[0] is State.CURRENT
    assert Variant.of("", {"seconds": "10"}, {"seconds": "10"}) == PLAIN


def test_records_that_did_not_tell_variants_apart_are_read_and_count_as_changed(cases, tmp_path):
    (entry,) = [entry for entry in library.load(cases) if entry.name == "a"]
    with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
        db.execute(
            "create table results (case_name text not null, target text not null, digest text not null, "
            "engine text not null, image text not null, host text not null, harness text not null, "
            "ending text not null, run text not null, recorded text not null default current_timestamp, "
            "primary key (case_name, target)) without rowid"
        )
        values = ("a", "docker", entry.digest, *astuple(HERE), "passed", "run1", "2026-01-01 00:00:00")
        db.execute(f"insert into results values ({', '.join('?' * len(values))})", values)
        db.execute("pragma user_version = 1")
    store = Store(tmp_path / NAME)
    assert planned(store, entry) == (State.CHANGED, "another harness: 0.1.0 (old records) -> 0.1.0")
    store.record("a", "docker", PLAIN, entry.digest, HERE, "passed", "run2")
    assert planned(store, entry) == (State.CURRENT, "it passed as it is")
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        assert db.execute("select name from sqlite_master where type = 'table'").fetchall() == [("results",)]


def test_broken_records_are_told(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(b"this is no database, though it is long enough to be one " * 20)
    with pytest.raises(SeatrialError) as caught:
        Store(path).known("docker")
    assert (caught.value.code, "every case counts as new" in caught.value.hint) == ("E705", True)
    with sqlite3.connect(tmp_path / "newer.sqlite") as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(SeatrialError, match="are broken") as caught:
        Store(tmp_path / "newer.sqlite").known("docker")
    assert "format 99" in caught.value.cause


def test_records_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SeatrialError) as caught:
        Store(tmp_path / "file" / NAME).record("a", "docker", PLAIN, "d", HERE, "passed", "run1")
    assert caught.value.code == "E706"


def test_lists_of_states():
    assert states("new, failed") == {State.NEW, State.FAILED}
    with pytest.raises(SeatrialError, match="no list of states"):
        states("old")


def test_a_large_library_is_listed_and_planned_in_time(tmp_path, samples):
    count = 2000
    for number in range(count):
        place = tmp_path / f"lib/spec/case{number:05d}"
        (place / "source").mkdir(parents=True)
        (place / "case.json").write_text(samples.text(samples.case(Name=f"case{number:05d}")))
    began = time.process_time()
    entries = library.load(tmp_path / "lib")
    planned = Store(tmp_path / NAME).plan(entries, "docker", HERE)
    spent = time.process_time() - began
    assert len(planned) == count
    assert spent < 3.0 * count / 10_000 * 2  # twice the budget: other tests run beside it
