"""The worker: Jenkins asked once, whatever happens; GitLab told what is so."""

import dataclasses
import sqlite3
import threading
import time

import pytest
from fakes.served import until

from seatrial.ci.gitlab import MARK, GitLab
from seatrial.ci.hook import wording, worker
from seatrial.ci.hook.config import Project
from seatrial.ci.hook.events import Asked
from seatrial.ci.hook.store import Build, Store
from seatrial.ci.hook.turns import Turn
from seatrial.ci.hook.worker import Worker
from seatrial.ci.jenkins import Controller
from seatrial.errors import SeatrialError

PROJECT = Project("seatrial", "up/seatrial", "mr", "base", ("t" * 16,), (), "gate", 40)
JOB = (
    "<project><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>{}"
    "</parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties></project>"
)
NAMES = ("SEATRIAL_MERGE_REQUEST", "SEATRIAL_COMMIT", "SEATRIAL_TARGET", "SEATRIAL_EVENT")
A, B = "a" * 40, "b" * 40


class World:
    """Fakes, store and worker; `step` until nothing more happens."""

    def __init__(self, fake, gitlab, path):
        self.fake, self.gitlab, self.path = fake, gitlab, path
        parameter = "<hudson.model.StringParameterDefinition><name>{}</name></hudson.model.StringParameterDefinition>"
        fake.add("mr", JOB.format("".join(parameter.format(name) for name in NAMES)))
        fake.add("base", "<project/>")
        gitlab.commits[1] |= {A, B}
        self.clock, self.said = 0.0, []
        self.restart()

    def restart(self):
        if hasattr(self, "store"):
            self.store.close()
        self.store = Store(self.path)
        client = Controller(self.fake.url, self.fake.user, self.fake.token, timeout=5)
        reporter = GitLab(self.gitlab.url, self.gitlab.token, timeout=5)
        self.worker = Worker(
            {"seatrial": PROJECT}, self.store, lambda: client, lambda: reporter, now=self.now, tell=self.said.append
        )

    def now(self):
        self.clock += 1
        return self.clock

    def event(self, commit=A, number=1, fork=False, what="build", moved=False):
        wanted = Asked(what, "", number, commit, "main", 1, "", fork, moved)
        return self.store.accept(PROJECT, f"{what} {number} {commit} {self.now()}", wanted, self.now())

    def comment(self, what, commit="", author=5):
        wanted = Asked(what, "", 1, commit, project=1, author=author, note=int(self.now()))
        return self.store.accept(PROJECT, f"note {self.now()}", wanted, self.now())

    def steps(self, count=1):
        for _ in range(count):
            self.worker.step()

    def until(self, *states):
        for _ in range(200):
            self.worker.step()
            if self.states() == list(states):
                self.worker.step()
                return
            time.sleep(0.01)
        raise AssertionError(f"{self.states()} instead of {states}; {self.said}")

    def states(self):
        return [build.state for build in self.store.select("1")]


@pytest.fixture
def world(fake, gitlab, tmp_path):
    made = World(fake, gitlab, tmp_path / "s.sqlite")
    yield made
    made.store.close()


def ends(result, cases=None):
    def run(build):
        build.result, build.cases = result, cases

    return run


GOOD, BAD, GONE = ("c", "good", "PASSED"), ("c", "bad", "FAILED"), ("c", "none", "SKIPPED")


def test_a_good_change(world):
    world.fake.run = ends("SUCCESS", [GOOD, GONE])
    world.event()
    world.until("done")
    [build] = world.fake.builds("mr")
    assert build.parameters["SEATRIAL_MERGE_REQUEST"] == "1"
    assert build.parameters["SEATRIAL_COMMIT"] == A
    assert build.parameters["SEATRIAL_TARGET"] == "main"
    assert world.gitlab.states(A)[-1] == "success"
    assert set(world.gitlab.states(A)) <= {"pending", "running", "success"}
    assert {status["project"] for status in world.gitlab.statuses} == {1}, "not the fork's"
    assert {status["ref"] for status in world.gitlab.statuses} == {"refs/merge-requests/1/head"}
    [note] = world.gitlab.notes[1, 1]
    assert note["body"].startswith(MARK)
    assert "1 passed, 0 failed, 1 skipped" in note["body"]
    assert f"{world.fake.url}/job/mr/1/" in note["body"]
    before = len(world.gitlab.requests)
    world.steps(3)
    assert len(world.gitlab.requests) == before, "what is told is not told again"


def test_a_failing_change_says_what_differs_from_the_target(world):
    world.fake.run = ends("SUCCESS", [GOOD, ("c", "old", "FAILED"), ("c", "lost", "PASSED"), ("c", "cured", "FAILED")])
    item = world.fake.queue(world.fake.jobs["base"], {})
    until(lambda: item.build and item.build.ended.is_set())
    world.fake.run = ends("UNSTABLE", [GOOD, BAD, ("c", "old", "FAILED"), ("c", "cured", "PASSED")])
    world.event()
    world.until("done")
    assert world.gitlab.states(A)[-1] == "failed"
    text = world.gitlab.notes[1, 1][0]["body"]
    assert "Newly failing (1):\n\n- `c::bad`" in text
    assert "Failed before, too (1):\n\n- `c::old`" in text
    assert "Fixed (1):\n\n- `c::cured`" in text
    assert "No longer run (1):\n\n- `c::lost`" in text


@pytest.mark.parametrize(
    ("result", "state"),
    [("FAILURE", "failed"), ("ABORTED", "canceled"), ("NOT_BUILT", "failed"), ("SUCCESS", "success")],
)
def test_results_become_states(world, result, state):
    world.fake.run = ends(result)
    world.event()
    world.until("done")
    assert world.gitlab.states(A)[-1] == state
    assert "No tests were published" in world.gitlab.notes[1, 1][0]["body"]


@pytest.mark.parametrize(
    ("cases", "words"),
    [([GOOD, BAD], "tests failed"), ([GOOD], "the build ended: FAILURE"), (None, "the build ended: FAILURE")],
)
def test_a_step_that_fails_because_tests_failed_is_told_as_that(world, cases, words):
    world.fake.run = ends("FAILURE", cases)
    world.event()
    world.until("done")
    assert world.gitlab.statuses[-1]["description"] == words
    assert f"**Seatrial: {words}**" in world.gitlab.notes[1, 1][0]["body"]


def test_a_branch_whose_tests_fail_is_compared_with(world):
    """Its builds are failures; what was aborted, or published no tests, is passed over."""
    for result, cases in (("FAILURE", [GOOD, BAD]), ("FAILURE", None), ("ABORTED", [GOOD])):
        world.fake.run = ends(result, cases)
        item = world.fake.queue(world.fake.jobs["base"], {})
        until(lambda item=item: item.build and item.build.ended.is_set())
    world.fake.run = ends("FAILURE", [GOOD, BAD])
    world.event()
    world.until("done")
    assert "Failed before, too (1):\n\n- `c::bad`" in world.gitlab.notes[1, 1][0]["body"]


def test_a_newer_commit_ends_the_older_build(world):
    def run(build):
        if build.parameters["SEATRIAL_COMMIT"] == A:
            build.aborted.wait(10)
        else:
            build.result = "SUCCESS"

    world.fake.run = run
    world.event(A)
    world.until("running")
    world.event(B)
    world.until("superseded", "done")
    assert world.fake.builds("mr")[0].ended.wait(5)
    assert world.fake.builds("mr")[0].result == "ABORTED"
    assert world.gitlab.states(A)[-1] == "canceled"
    assert world.gitlab.states(B)[-1] == "success"
    [note] = world.gitlab.notes[1, 1]
    assert B[:12] in note["body"]


def test_what_is_superseded_while_others_are_worked_on_is_not_launched(world):
    """The newer commit comes after the selection, during the requests for another build."""
    world.fake.hold = True
    world.event(B, number=2)
    world.event(A)
    original, seen = world.worker._launch, []

    def launch(build, project):
        if not seen:
            assert world.event("c" * 40) == "queued"
        seen.append(build.commit)
        original(build, project)

    world.worker._launch = launch
    world.steps(1)
    assert seen == [B]
    assert world.states() == ["waiting", "superseded", "queued"]
    world.steps(1)
    assert seen == [B, "c" * 40]
    assert [item.parameters["SEATRIAL_COMMIT"] for item in world.fake.items.values()] == seen


def test_only_what_is_queued_and_wanted_is_claimed(world):
    world.event(A)
    [build] = world.store.select("1")
    world.store.update(build, 1.0, doomed=1)
    assert not world.store.claim(build, 2.0)
    world.store.update(build, 1.0, doomed=0, state="superseded")
    assert not world.store.claim(build, 2.0)
    assert world.states() == ["superseded"]
    world.store.update(build, 1.0, state="queued")
    assert world.store.claim(build, 2.0)
    assert not world.store.claim(build, 3.0)
    assert world.states() == ["launching"]


def test_an_older_result_does_not_take_the_place_of_what_is_newer(world):
    world.event(A)
    [build] = world.store.select("1")
    world.store.update(build, 1.0, state="done", told="done", result="FAILURE", build=1)
    world.fake.hold = True
    world.event(B)
    world.steps(2)
    assert world.states() == ["done", "waiting"]
    assert world.gitlab.notes == {}


def test_a_closed_request_leaves_the_queue(world):
    world.fake.hold = True
    world.event()
    world.until("waiting")
    assert world.event(what="close") == "closed"
    world.until("superseded")
    assert [item.cancelled for item in world.fake.items.values()] == [True]
    assert world.gitlab.states(A) == ["pending", "canceled"]


def test_an_item_that_somebody_cancelled(world):
    world.fake.hold = True
    world.event()
    world.until("waiting")
    next(iter(world.fake.items.values())).cancelled = True
    world.until("cancelled")
    assert world.gitlab.states(A)[-1] == "canceled"


@pytest.mark.parametrize("fault", ["drop", "500", "starting"])
def test_jenkins_away_for_a_while(world, fault):
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event()
    world.fake.faults = [fault] * 3
    world.until("done")
    assert len(world.fake.builds("mr")) == 1
    assert world.gitlab.states(A)[-1] == "success"
    assert len([line for line in world.said if line.startswith("build 1")]) <= 2, "told once, not at every step"


def test_an_answer_that_was_lost_does_not_build_twice(world):
    """The request arrived, the answer did not: the build is found again by its event."""
    world.fake.hold = True
    world.event()
    [build] = world.store.select("1")
    world.store.update(build, 1.0, state="launching")
    world.fake.queue(world.fake.jobs["mr"], {"SEATRIAL_EVENT": build.event})
    world.restart()
    world.until("waiting")
    assert len(world.fake.items) == 1
    world.store.update(build, 1.0, state="launching", item=None)
    world.fake.run = ends("SUCCESS", [GOOD])
    world.fake.hold = False
    world.until("done")
    assert len(world.fake.items) == 1


def test_a_request_that_never_arrived_is_sent_after_a_restart(world):
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event()
    [build] = world.store.select("1")
    world.store.update(build, 1.0, state="launching")
    world.restart()
    world.until("done")
    assert len(world.fake.items) == 1


def test_a_restart_in_the_middle_goes_on(world):
    world.fake.run = lambda build: build.aborted.wait(10)
    world.event()
    world.until("running")
    world.restart()
    world.steps(2)
    assert world.states() == ["running"]
    assert len(world.fake.items) == 1


def test_a_queue_that_jenkins_lost_is_asked_again(world):
    world.fake.hold = True
    world.event()
    world.until("waiting")
    next(iter(world.fake.items.values())).cancelled = True
    world.fake.items.clear()  # a restart of Jenkins forgets all items
    world.fake.hold = False
    world.fake.run = ends("SUCCESS", [GOOD])
    world.until("done")
    assert len(world.fake.builds("mr")) == 1


@pytest.mark.parametrize("event", ["a newer commit", "close"])
def test_what_runs_though_its_item_is_forgotten_is_ended(world, event):
    """Jenkins forgets an item five minutes after it became a build; the receiver was away for as long."""
    world.fake.hold = True
    world.fake.run = lambda build: build.aborted.wait(20)
    world.event(A)
    world.until("waiting")
    world.fake.hold = False
    until(lambda: world.fake.builds("mr"))
    world.fake.items.clear()
    if event == "close":
        assert world.event(what="close") == "closed"
        world.until("superseded")
    else:
        assert world.event(B) == "queued"
        until(lambda: world.steps(1) or world.states()[0] == "superseded")
    assert world.fake.builds("mr")[0].ended.wait(5)
    assert world.fake.builds("mr")[0].result == "ABORTED"


def test_a_forgotten_item_that_never_became_a_build_is_superseded_alone(world):
    world.fake.hold = True
    world.event(A)
    world.until("waiting")
    next(iter(world.fake.items.values())).cancelled = True
    world.fake.items.clear()
    assert world.event(what="close") == "closed"
    world.until("superseded")
    assert world.fake.builds("mr") == []


def test_a_branch_that_is_pushed_back_is_built_again(world):
    """The build of what it was pushed away from is no longer of use, and its result is not the request's."""
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(A)
    world.until("done")
    world.fake.run = ends("UNSTABLE", [BAD])
    world.event(B, moved=True)
    world.until("done", "done")
    assert B[:12] in world.gitlab.notes[1, 1][0]["body"]
    assert world.event(A) == "known", "a label, say"
    world.fake.run = ends("SUCCESS", [GOOD])
    assert world.event(A, moved=True) == "queued"
    assert world.event(A, moved=True) == "known"
    world.until("done", "done", "done")
    assert [build.parameters["SEATRIAL_COMMIT"] for build in world.fake.builds("mr")] == [A, B, A]
    assert A[:12] in world.gitlab.notes[1, 1][0]["body"]


def test_a_push_back_ends_the_build_of_what_it_leaves(world):
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(A)
    world.until("done")
    world.fake.run = lambda build: build.result or build.aborted.wait(20)
    world.event(B, moved=True)
    world.until("done", "running")
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(A, moved=True)
    world.until("done", "superseded", "done")
    assert world.fake.builds("mr")[1].ended.wait(5)
    assert world.fake.builds("mr")[1].result == "ABORTED"


def test_a_fork_that_is_pushed_back_needs_a_maintainer_again(world):
    world.gitlab.members = {(1, 5): 40}
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(A, fork=True)
    world.comment("gate", A)
    world.until("done")
    assert world.event(B, fork=True, moved=True) == "gated"
    assert world.event(A, fork=True, moved=True) == "gated"
    world.steps(3)
    assert world.states() == ["done", "superseded", "gated"]
    assert len(world.fake.builds("mr")) == 1


def test_more_builds_in_trouble_than_a_page_hold_nobody_up(world, monkeypatch):
    """However many older ones Jenkins refuses, the newest is built within few steps; they are not asked at each."""
    monkeypatch.setattr(worker, "PAGE", 5)
    for number in range(1, 13):
        world.event(f"{number:040x}", number)
    world.gitlab.commits[1] |= {f"{number:040x}" for number in range(1, 14)}
    launch, asked = world.worker._launch, []

    def refuse(build, project):
        asked.append(build.number)
        if build.number < 12:
            raise SeatrialError("E606", "refused")
        launch(build, project)

    world.worker._launch = refuse
    world.worker._adopt = lambda build, project: False
    select = world.store.select
    world.store.select = lambda where, *values, after=0, limit=5: select(where, *values, after=after, limit=limit)
    world.fake.hold = True
    world.steps(3)
    assert 12 in asked, "the third page"
    world.steps(30)
    assert asked.count(12) == 1
    assert set(asked) == set(range(1, 13))
    assert max(asked.count(number) for number in range(1, 12)) <= 8, "of more than 30 steps"


def test_a_build_that_was_deleted(world):
    world.fake.run = lambda build: build.aborted.wait(10)
    world.event()
    world.until("running")
    world.fake.builds("mr").clear()
    world.until("done")
    assert world.gitlab.states(A)[-1] == "failed"


def test_the_gate(world):
    world.gitlab.members = {(1, 5): 40, (1, 6): 30}
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(fork=True)
    world.steps(2)
    assert world.states() == ["gated"]
    assert world.fake.items == {}
    assert world.gitlab.states(A) == ["pending"]
    assert f"seatrial ok {A}" in world.gitlab.notes[1, 1][0]["body"]
    for author in (6, 7):  # a Developer, and a stranger
        world.comment("gate", A, author)
        world.steps(2)
        assert world.states() == ["gated"]
    world.comment("gate", A, 5)
    world.until("done")
    assert len(world.gitlab.notes[1, 1]) == 1
    assert "1 passed" in world.gitlab.notes[1, 1][0]["body"]


def test_again_is_for_members(world):
    world.gitlab.members = {(1, 6): 30}
    world.fake.run = ends("FAILURE", [BAD])
    world.event()
    world.until("done")
    world.comment("again", author=7)
    world.steps(2)
    assert world.states() == ["done"]
    world.comment("again", author=6)
    world.until("done", "done")
    assert len(world.fake.builds("mr")) == 2


def test_gitlab_away_for_a_while(world):
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event()
    world.gitlab.faults = [500] * 4
    world.until("done")
    world.steps(10)
    assert world.gitlab.states(A)[-1] == "success"
    assert len(world.gitlab.notes[1, 1]) == 1


def test_a_commit_that_gitlab_no_longer_has(world):
    """The source branch was deleted, and the commit with it: the note still tells."""
    world.fake.run = ends("SUCCESS", [GOOD])
    world.gitlab.commits[1].clear()
    world.event()
    world.until("done")
    world.steps(2)
    assert world.gitlab.statuses == []
    told = [line for line in world.said if line.startswith("status of 1")]
    assert [line for line in told if "success" in line and "404 Commit Not Found" in line] == told[-1:] != []
    assert "1 passed" in world.gitlab.notes[1, 1][0]["body"]


def test_trouble_with_one_build_does_not_stop_another(world):
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(A, 1)
    world.event(B, 2)
    original = world.worker._advance

    def advance(build):
        if build.number == 1:
            from seatrial.errors import SeatrialError

            raise SeatrialError("E605", "x")
        original(build)

    world.worker._advance = advance
    world.until("queued", "done")


def test_an_unforeseen_answer_to_one_build_is_told_and_the_others_go_on(world):
    """A queue without items, as a proxy's JSON: no error of ours, and no end of the worker."""
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(A, 1)
    world.event(B, 2)
    first, _ = world.store.select("1")
    world.store.update(first, 1.0, state="launching")
    client = world.worker._connect_jenkins()
    client.queue = lambda: {}["items"]
    world.until("launching", "done")
    assert world.worker.trouble == f"build {first.id}: KeyError"
    assert [line for line in world.said if "KeyError" in line] == [f"build {first.id}: KeyError: 'items'"], "told once"
    del client.queue
    world.until("done", "done")
    assert world.worker.trouble == ""


def test_a_step_that_fails_does_not_end_the_worker(world):
    world.fake.run = ends("SUCCESS", [GOOD])
    world.event(A)
    original, failed = world.store.wishes, threading.Event()

    def full(after):
        failed.set()
        raise sqlite3.OperationalError("database or disk is full")

    world.store.wishes = full
    bell, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=world.worker.run, args=(bell, stop))
    thread.start()
    try:
        assert failed.wait(10)
        until(lambda: world.worker.trouble == "step: OperationalError")
        assert thread.is_alive()
        failed.clear()
        bell.set()
        assert failed.wait(10), "it tries again"
        world.store.wishes = original

        def done():
            bell.set()
            return world.states() == ["done"] and world.worker.trouble == ""

        until(done)
    finally:
        stop.set()
        bell.set()
        thread.join(10)
    told = [line for line in world.said if "disk is full" in line]
    assert told == ["step: OperationalError: database or disk is full"]


def test_a_transaction_that_fails_leaves_the_file_usable(world):
    world.event(A)
    [build] = world.store.select("1")
    pages = world.store._db.execute("PRAGMA page_count").fetchone()[0]
    world.store._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        world.store.update(build, 1.0, result="x" * 100_000)
    world.store._db.execute("PRAGMA max_page_count=1000000")
    world.store.update(build, 2.0, result="y")
    assert [one.result for one in world.store.select("1")] == ["y"]


BUILD = Build(1, "e", "seatrial", 1, A, "main", 1, False, "done", False, 1, 1, "UNSTABLE", "", "", 0.0, 0.0)


def test_every_state_has_words():
    from seatrial.ci.hook.store import STATES

    assert len(STATES) == 9
    for state in STATES:
        told, words = wording.state(dataclasses.replace(BUILD, state=state))
        assert told in ("pending", "running", "success", "failed", "canceled")
        assert words


def test_trouble_is_put_off_twice_as_long_each_time_and_forgotten_with_its_subject():
    turn, waited, now = Turn(), [], 0.0
    for _ in range(9):
        turn.failed(1, now, "E606")
        waited.append(next(after for after in range(1, 200) if turn.due(1, now + after)))
        now += waited[-1]
    assert waited == [2, 4, 8, 16, 32, 64, 120, 120, 120]
    assert turn.due(2, now)
    turn.done(1)
    assert turn.due(1, now)
    assert turn.failed(1, now, "E606")
    assert not turn.failed(1, now, "E606")
    assert turn.failed(1, now, "KeyError", odd=True)
    assert turn.odd() == {1: "KeyError"}
    turn.proceed([1, 2], 2)
    assert (turn.after, turn.odd()) == (2, {1: "KeyError"})
    turn.proceed([3], 2)
    assert (turn.after, turn.odd()) == (0, {1: "KeyError"})
    turn.proceed([2], 2)
    assert turn.odd() == {}, "a round without it"
