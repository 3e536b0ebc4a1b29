"""The whole table of operations and states, operations at the same time, and operations while a container is made."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.exec import FAILURE
from seatrial.oci.bench import refused
from seatrial.oci.bundle import bind

claim, requires = pytest.mark.claim, pytest.mark.requires

STATES = ("unknown", "created", "running", "stopped")
# operation -> its claims and the states in which it has to succeed; in all others it is an error without effect
OPERATIONS = {
    "create": (("RT-c-new", "RT-c-dup", "RT-c-dup-none"), {"unknown"}),
    "state": (("RT-q-ret", "RT-q-noexist"), {"created", "running", "stopped"}),
    "start": (("RT-s-run", "RT-s-notcreated-err", "RT-s-notcreated-eff"), {"created"}),
    "kill": (("RT-k-send", "RT-k-stopped-err", "RT-k-stopped-eff"), {"created", "running"}),
    "delete": (("RT-d-res", "RT-d-notstopped-err", "RT-d-notstopped-eff"), {"stopped"}),
}  # fmt: skip
TABLE = [
    pytest.param(operation, state, state in good, id=f"{operation}-{state}", marks=claim(*claims))
    for operation, (claims, good) in OPERATIONS.items() for state in STATES
]  # fmt: skip


def brought(runtime, bundle, state):
    """A container in a state."""
    box = runtime.place(bundle)
    if state != "unknown":
        box.create()
    if state in ("running", "stopped"):
        box.start()
        assert box.seen.pid == 1
    if state == "stopped":
        box.kill("KILL")
        box.until("stopped")
    return box


def done(runtime, bundle, box, operation):
    """What an operation on a container answers; `create` is that of another bundle with its id."""
    if operation == "create":
        return runtime.place(bundle, box.id).create(expect=None)
    return runtime.cli(operation, box.id, *(["KILL"] if operation == "kill" else []), expect=None)


@pytest.mark.parametrize(("operation", "state", "succeeds"), TABLE)
def test_an_operation_succeeds_in_its_states_and_is_an_error_without_effect_in_all_others(
    runtime, bundle, operation, state, succeeds
):
    box = brought(runtime, bundle, state)
    result = done(runtime, bundle, box, operation)
    assert result.ok == succeeds
    if not succeeds:
        refused(result)
    after = {
        "create": "created", "state": state, "start": "running", "kill": "stopped", "delete": "unknown",
    }[operation] if succeeds else state  # fmt: skip
    if after == "stopped":
        box.until("stopped")
    assert (box.status if box.known else "unknown") == after


# -- at the same time --------------------------------------------------------------------------

TOGETHER = 4


def at_once(function):
    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(lambda _: function(), range(TOGETHER)))


@claim("RT-s-run", "RT-s-notcreated-err", "RT-s-notcreated-eff", "RT-life-8")
def test_of_starts_at_the_same_time_one_succeeds_and_the_program_runs_once(runtime, bundle):
    marks = runtime.directory()
    box = runtime.create(bundle.mounted(bind(marks, "/marks")).sh("echo ran >>/marks/ran; exec sleep 100"))
    results = at_once(lambda: box.start(expect=None))
    assert [result.ok for result in results].count(True) == 1
    runtime.until("the program has run", lambda: (marks / "ran").exists())
    assert box.status == "running"
    assert (marks / "ran").read_text() == "ran\n"


@claim("RT-k-send", "RT-k-stopped-eff")
def test_kills_at_the_same_time_end_the_container_and_leave_it_stopped(runtime, bundle):
    box = runtime.run(bundle)
    assert box.seen.pid == 1
    results = at_once(lambda: box.kill("KILL", expect=None))
    assert any(result.ok for result in results)
    box.until("stopped")
    box.delete()


@claim("RT-d-res", "RT-life-12")
def test_deletes_at_the_same_time_leave_nothing(runtime, bundle):
    box = brought(runtime, bundle, "stopped")
    results = at_once(lambda: box.delete(expect=None))
    assert any(result.ok for result in results)
    assert not box.known
    assert box.leftovers() == []
    runtime.run(bundle, id_=box.id).end()


@claim("RT-c-new", "RT-s-run", "RT-state-id-uniq")
def test_lives_at_the_same_time_do_not_disturb_each_other(runtime, bundle):
    boxes = [runtime.place(bundle) for _ in range(TOGETHER)]

    def live(box):
        box.create()
        box.start()
        seen = box.seen
        box.end()
        return seen.args[-1]

    with ThreadPoolExecutor(TOGETHER) as pool:
        assert list(pool.map(live, boxes)) == [box.nonce for box in boxes]


# -- while it is made --------------------------------------------------------------------------


@pytest.fixture
def making(runtime, bundle):
    """A container whose `create` waits in a hook, and what lets it go on and returns its result."""
    here = runtime.directory("making")
    script = f'cat >/dev/null; touch {here}/waits; until [ -e {here}/go ]; do sleep 0.05; done'
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"], "timeout": 15}
    box = runtime.place(bundle.with_(hooks={"createRuntime": [hook]}))
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(box.create, expect=None)
        runtime.until("create waits in its hook", lambda: (here / "waits").exists() or made.done())
        assert not made.done()

        def go_on():
            (here / "go").touch()
            return made.result()

        yield box, go_on
        (here / "go").touch()  # how it ends is the business of tests that ask


@pytest.mark.parametrize(("operation", "words"), [
    pytest.param("start", (), id="start", marks=claim("RT-s-notcreated-err", "RT-s-notcreated-eff")),
    pytest.param("kill", ("KILL",), id="kill", marks=claim("RT-k-stopped-err", "RT-k-stopped-eff")),
    pytest.param("delete", (), id="delete", marks=claim("RT-d-notstopped-err", "RT-d-notstopped-eff")),
])  # fmt: skip
def test_while_it_is_made_an_operation_is_an_error_without_effect(runtime, making, operation, words):
    box, go_on = making
    runtime.fails(operation, box.id, *words)
    assert go_on().ok
    assert box.status == "created"
    box.start()
    assert box.seen.args[-1] == box.nonce


@claim("RT-c-dup", "RT-c-dup-none", "RT-state-id-uniq")
def test_while_it_is_made_its_id_is_taken(runtime, bundle, making):
    box, go_on = making
    runtime.fails("create", "--bundle", str(runtime.place(bundle).directory), box.id)
    assert go_on().ok
    box.start()
    assert box.seen.args[-1] == box.nonce


@claim("RT-state-status")
def test_while_it_is_made_its_status_is_creating(making):
    box, go_on = making
    told = box.status if box.known else "creating"
    assert told == "creating"
    assert go_on().ok
    assert box.status == "created"


@claim("CF-ann-map", "CF-valid")
def test_an_annotation_without_a_name_is_refused(runtime, bundle):
    box = runtime.place(bundle.with_(annotations={"": "x"}))
    refused(box.create(expect=FAILURE))
    assert not box.known
