"""Each checker passes a true history and fails on doctored ones; each doctoring is seen by the one it is for."""

from itertools import count

import pytest

from seatrial.stress import checkers
from seatrial.stress.checkers import CHECKERS, Checker
from seatrial.stress.history import FAIL, OK, UNKNOWN, Op
from seatrial.verdict import Verdict


def op(kind, at, name, value=None, outcome=OK, took=0.1):
    return Op(kind, 0, at, at, at + took, outcome, name, value)


def event(action, at, name):
    return Op("event", -1, at, at, at + 0.01, OK, name, [action, f"id-{name}", 137 if action == "die" else None])


def life(name, at, port="0.0.0.0:49153/tcp"):
    """Return what a container's client and the event stream tell of it, in the order in which it ended."""
    return [
        event("create", at + 0.05, name),
        op("create", at, name, f"id-{name}"),
        event("start", at + 0.15, name),
        op("start", at + 0.1, name, [port]),
        op("logs", at + 0.2, name, [12, 77, 12, 77]),
        op("kill", at + 0.6, name),
        event("die", at + 0.75, name),
        op("wait", at + 0.7, name, [137, [137, 143]]),
        event("destroy", at + 0.85, name),
        op("remove", at + 0.8, name),
    ]


def true_history():
    """Return two containers one after the other on one port, and one beside them on another."""
    ops = life("a", 0.0) + life("b", 1.0) + life("c", 0.3, "0.0.0.0:49154/tcp")
    return sorted(ops, key=lambda entry: entry.ended)


def judged(ops, names=tuple(CHECKERS)):
    found = checkers.run([CHECKERS[name]() for name in names], ops)
    return {judgement.checker: judgement for judgement in found}


def test_a_true_history_passes_all():
    found = judged(true_history())
    assert {name: str(judgement.verdict) for name, judgement in found.items()} == dict.fromkeys(CHECKERS, "PASS")
    assert found["ids"].considered == found["names"].considered == found["ports"].considered == 3
    assert str(found["ids"]) == "ids: 3 operations judged, nothing wrong"


def test_an_empty_history_proves_nothing():
    found = judged([])
    assert len(found) == 7
    assert {judgement.verdict for judgement in found.values()} == {Verdict.UNKNOWN}


def without(kind, name, value=None):
    return lambda ops: [one for one in ops if not (one.kind == kind and one.object == name and
                                                   (value is None or one.value[0] == value))]  # fmt: skip


def changed(kind, name, **fields):
    def change(ops):
        found = [one for one in ops if one.kind == kind and one.object == name]
        assert len(found) == 1
        return [one._replace(**fields) if one == found[0] else one for one in ops]

    return change


def again(kind, name, value=None):
    def repeat(ops):
        found = next(one for one in ops if one.kind == kind and one.object == name and
                     (value is None or one.value[0] == value))  # fmt: skip
        return [*ops, found]

    return repeat


def moved(name, action, to):
    def move(ops):
        found = next(one for one in ops if one.kind == "event" and one.object == name and one.value[0] == action)
        rest = [one for one in ops if one != found]
        return [*rest[:to], found, *rest[to:]]

    return move


def told(name, action, place, what):
    """Let the event stream tell something else of a container: its id (1) or its exit code (2)."""

    def tell(ops):
        (found,) = [one for one in ops if one.kind == "event" and one.object == name and one.value[0] == action]
        value = [*found.value[:place], what, *found.value[place + 1 :]]
        return [one._replace(value=value) if one == found else one for one in ops]

    return tell


DOCTORED = {
    "an exit is not seen": (without("wait", "b"), {"exits", "codes"}, "b was started once, seen to exit never"),
    "an exit is seen twice": (again("wait", "b"), {"exits", "events"}, "b was started once, seen to exit twice"),
    "an exit without a start": (without("start", "b"), {"exits", "events"}, "b was started never"),
    "a wrong exit code": (
        changed("wait", "a", value=[1, [137, 143]]), {"codes", "events"},
        "a exited with 1 at 0.800 s, expected 137 or 143",
    ),
    "another exit code in the events": (
        told("a", "die", 2, 99), {"events"}, "a: its client was told the exit code 137, the events tell 99"
    ),
    "another id in the events": (
        told("a", "start", 1, "id-z"), {"events"}, "a has the id id-a, in the events id-z"
    ),
    "an exit that was told before the start": (
        lambda ops: [one._replace(began=0.01, intended=0.01, ended=0.02) if (one.kind, one.object) == ("wait", "b")
                     else one for one in ops],
        {"exits"}, "b was said to have exited at 0.020 s, before its start began at 1.100 s",
    ),
    "what was refused is made all the same": (
        lambda ops: [*ops, op("create", 5.0, "d", None, FAIL), event("create", 5.1, "d"), event("start", 5.2, "d")],
        {"events"}, "d: nothing that was asked of it was done, create in the events",
    ),
    "a container of nobody": (
        lambda ops: [*ops, event("create", 5.1, "d"), event("start", 5.2, "d")],
        {"events"}, "d: nobody has created it, start in the events",
    ),
    "a port of one address within that of all": (
        changed("start", "c", value=["127.0.0.1:49153/tcp"]), {"ports"},
        "127.0.0.1:49153/tcp belonged to c while 0.0.0.0:49153/tcp belonged to a",
    ),
    "a name that several wanted and all got": (
        lambda ops: [*ops, op("claim", 5.0, "x", "id-1"), op("claim", 5.0, "x", "id-2"), op("claim", 5.0, "x", "")],
        {"names", "events"}, "the name x belonged to id-1 and to id-2",
    ),
    "a name that several wanted and nobody got": (
        lambda ops: [*ops, op("claim", 5.0, "x", ""), op("claim", 5.0, "x", "")],
        {"names"}, "the name x was free, and all that wanted it were refused",
    ),
    "an id twice": (changed("create", "c", value="id-a"), {"ids", "events"}, "c got the id id-a that a has"),
    "no id": (changed("create", "c", value=""), {"ids"}, "c got no id"),
    "a log cut off": (changed("logs", "a", value=[12, 77, 11, 5]), {"logs"}, "a wrote 12 bytes, its logs have 11"),
    "a log mangled": (changed("logs", "a", value=[12, 77, 12, 78]), {"logs"}, "the 12 bytes in the logs of a are not"),
    "an event lost": (without("event", "a", "die"), {"events"}, "a: once die, never in the events"),
    "a removal not told": (without("event", "c", "destroy"), {"events"}, "c: once destroy, never in the events"),
    "an event twice": (again("event", "a", "start"), {"events"}, "a: once start, twice in the events"),
    "events out of order": (moved("c", "start", 0), {"events"}, "c: events out of order: start, create, die, destroy"),
    "an event dated back": (
        lambda ops: [one._replace(began=0.01, intended=0.01) if one.kind == "event" and one.object == "a" and
                     one.value[0] == "destroy" else one for one in ops],
        {"events"}, "a: an event is dated before the one",
    ),
    "a port twice": (
        changed("start", "c", value=["0.0.0.0:49153/tcp"]), {"ports"}, "0.0.0.0:49153/tcp belonged to a and to c"
    ),
    "a name twice": (
        lambda ops: [one._replace(object="a") if one.object == "c" else one for one in ops],
        {"names", "events", "exits"}, "the name a belonged to id-a and to id-c",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_history_is_seen_through(name):
    doctor, guilty, words = DOCTORED[name]
    found = judged(doctor(true_history()))
    failed = {checker for checker, judgement in found.items() if judgement.verdict is Verdict.FAIL}
    assert failed <= guilty
    assert any(words in str(found[checker]) for checker in failed), [str(found[checker]) for checker in failed]


def test_each_checker_is_shown_to_fail():
    seen = {checker for doctor, _, _ in DOCTORED.values() for checker, judgement in
            judged(doctor(true_history())).items() if judgement.verdict is Verdict.FAIL}  # fmt: skip
    assert seen == set(CHECKERS)


# -- what is not certain accuses nobody ----------------------------------------------------------


@pytest.mark.parametrize(
    "doctor",
    [
        changed("wait", "b", outcome=UNKNOWN, value=None),
        changed("start", "b", outcome=UNKNOWN, value=None),
        changed("remove", "b", outcome=UNKNOWN, value=None),
        changed("create", "b", outcome=UNKNOWN, value=None),
        changed("kill", "b", outcome=FAIL, value=None),
    ],
    ids=["wait", "start", "remove", "create", "kill"],
)
def test_an_operation_without_an_answer_accuses_nobody(doctor):
    found = judged(doctor(true_history()))
    assert [str(judgement) for judgement in found.values() if judgement.count] == []


def test_what_was_refused_was_not_done():
    refused = [op("create", 5.0, "d", None, FAIL), op("start", 5.1, "d", None, FAIL)]
    assert [str(judgement) for judgement in judged(true_history() + refused).values() if judgement.count] == []


def test_events_of_somebody_else_are_not_judged():
    found = judged([*true_history(), event("die", 5.0, "stranger")])["events"]
    assert (found.verdict, found.considered) == (Verdict.PASS, 3)


def test_without_any_event_events_are_open():
    found = judged([one for one in true_history() if one.kind != "event"])
    assert found["events"].verdict is Verdict.UNKNOWN
    assert found["exits"].verdict is Verdict.PASS


def test_a_name_that_one_of_several_got_is_right():
    ops = [op("claim", 5.0, "x", "id-x"), op("claim", 5.0, "x", ""), event("create", 5.05, "x"),
           event("destroy", 6.05, "x"), op("remove", 6.0, "x")]  # fmt: skip
    assert [str(one) for one in judged(true_history() + ops).values() if one.count] == []


def test_starts_that_nobody_answered_are_nothing_that_could_be_judged():
    found = judged([op("start", number, f"c{number}", None, UNKNOWN) for number in range(5)], ["exits"])["exits"]
    assert (found.considered, found.verdict) == (0, Verdict.UNKNOWN)


def test_a_kill_that_was_refused_gives_no_port_back():
    ops = [
        op("start", 0.1, "a", ["x:1/tcp"]), op("kill", 0.2, "a", None, FAIL), op("start", 0.5, "b", ["x:1/tcp"]),
        op("kill", 1.0, "a"), op("wait", 1.0, "a", [137, [137]]),
    ]  # fmt: skip
    assert judged(ops, ["ports"])["ports"].count == 1


@pytest.mark.parametrize(("died", "count"), [(1.35, 0), (1.45, 1)])
def test_a_container_that_ends_by_itself_holds_its_port_until_shortly_before_an_event_tells(died, count):
    ops = [
        op("start", 0.1, "a", ["x:1/tcp"]), op("start", 0.3, "b", ["x:1/tcp"]), event("die", died, "a"),
        op("wait", 0.2, "a", [0, [0]], took=2),
    ]  # fmt: skip
    found = judged(ops, ["ports"])["ports"]
    assert found.problems == ["x:1/tcp belonged to a and to b at 0.400 s"] * count


def test_a_port_may_be_given_again_before_the_last_answer_is_read():
    ops = [
        op("create", 0.0, "a", "id-a"), op("start", 0.1, "a", ["0.0.0.0:1/tcp"]),
        op("start", 0.55, "b", ["0.0.0.0:1/tcp"]),  # while the removal of a goes on
        op("remove", 0.5, "a", took=0.3), op("remove", 1.0, "b"),
    ]  # fmt: skip
    assert judged(ops, ["ports"])["ports"].count == 0


def test_a_container_that_ends_by_itself_may_have_given_its_port_back_at_once():
    ops = [
        op("start", 0.1, "a", ["x:1/tcp"]), op("start", 0.3, "b", ["x:1/tcp"]), op("wait", 0.3, "a", [0, [0]], took=1),
    ]  # fmt: skip
    assert judged(ops, ["ports"])["ports"].count == 0


def test_a_name_may_be_given_again_before_the_last_answer_is_read():
    ops = [
        op("create", 0.0, "a", "1"), op("create", 0.55, "a", "2"), op("remove", 0.5, "a", took=0.4),
        op("remove", 1.0, "a"),
    ]  # fmt: skip
    assert judged(ops, ["names"])["names"].count == 0


def test_many_problems_are_counted_and_some_are_shown():
    found = judged([op("create", number, f"c{number}", "same") for number in range(50)], ["ids"])["ids"]
    assert (found.count, len(found.problems)) == (49, 20)
    assert str(found).endswith("... and 29 more")


def test_a_checker_that_crashes_is_open_and_leaves_the_others_alone():
    class Crashing(Checker):
        name, claim, kinds = "crashing", "", ("create",)

        def see(self, op):
            raise KeyError(op.object)

    class CrashingLate(Crashing):
        name = "late"
        numbers = count()

        def see(self, op):
            next(self.numbers)

        def end(self):
            raise ZeroDivisionError

    found = checkers.run([Crashing(), CrashingLate(), CHECKERS["ids"]()], true_history())
    assert [judgement.verdict for judgement in found] == [Verdict.UNKNOWN, Verdict.UNKNOWN, Verdict.PASS]
    assert str(found[0]) == "crashing: the checker crashed: KeyError: 'a'"
    assert next(CrashingLate.numbers) == 3


def test_a_checker_that_is_not_there_is_open(tmp_path):
    from seatrial.stress.history import History, HistoryHeader, Recorder

    recorder = Recorder(tmp_path / "h", HistoryHeader("r", "t", "", 0.0, {}, ["ids", "luck"]))
    for one in true_history():
        recorder.add(one)
    recorder.close(1.0)
    found = checkers.judge(History(tmp_path / "h"))
    assert [(one.checker, one.verdict) for one in found] == [("ids", Verdict.PASS), ("luck", Verdict.UNKNOWN)]
