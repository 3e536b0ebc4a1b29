"""`events`: what an engine tells while it works."""

import json
import re
import time

import pytest

from seatrial.exec import parsed
from seatrial.expecting import one
from seatrial.waiting import wait_until

claim, requires = pytest.mark.claim, pytest.mark.requires


def moment():
    """Return the time, as `--since` and `--until` take it."""
    return f"{time.time():.9f}"


def told(engine, since, *filters):
    """Return the actions that the engine tells of since a moment, oldest first."""
    lines = past(engine, since, filters, engine.trait("event_format"))
    return [line.split(":")[0].strip() for line in lines]


def past(engine, since, filters, template):
    """Return what `events` prints of the time since a moment."""
    words = [word for text in filters for word in ("--filter", text)]
    # "until now" is a whole second, and an engine refuses one that lies before the start
    since = f"{float(since) - 1:.9f}"
    return engine.cli("events", "--since", since, *engine.trait("events_so_far"), *words, "--format", template).lines


@claim("cli-015")
def test_events_follow_the_life_of_a_container_in_order(engine):
    words = engine.trait("event_words")
    name = engine.name()
    talk = engine.spawn("events", "--filter", f"container={name}", "--format", engine.trait("event_format"))
    c = engine.create("--name", name)
    engine.cli("start", name)
    talk.wait_for(rf"^{words['start']}\b")
    engine.cli("kill", name)
    talk.wait_for(rf"^{words['die']}\b")
    c.wait()
    engine.cli("rm", name)
    talk.wait_for(rf"^{words['destroy']}\b")
    talk.kill()


@claim("cli-015")
def test_past_events_are_told_from_since_to_until(engine):
    words = engine.trait("event_words")
    before = moment()
    c = engine.run(engine.image, "sh", "-c", "exit 9")
    c.wait()
    engine.cli("rm", c.name)
    seen = wait_until("the removal", lambda: (found := told(engine, before, f"container={c.id}"))
                      and words["destroy"] in found and found)  # fmt: skip
    wanted = [words[key] for key in ("create", "start", "die", "destroy")]
    assert [word for word in seen if word in wanted] == wanted
    time.sleep(1.1)  # `past` looks a second further back
    assert told(engine, moment(), f"container={c.id}") == []


@claim("cli-015")
def test_until_in_the_past_ends_at_once_with_what_was(engine):
    words = engine.trait("event_words")
    before = moment()
    a = engine.create()
    wait_until("its creation", lambda: words["create"] in told(engine, before, f"container={a.id}"))
    time.sleep(0.1)
    between = moment()
    b = engine.create()
    wait_until("its creation", lambda: words["create"] in told(engine, before, f"container={b.id}"))
    seen = engine.cli("events", "--since", before, "--until", between, "--filter", f"container={a.id}", "--filter",
                      f"container={b.id}", timeout=20).stdout  # fmt: skip
    assert a.id in seen
    assert b.id not in seen


@claim("cli-015")
def test_events_carry_who_and_what(engine):
    words = engine.trait("event_words")
    before = moment()
    c = engine.run("--label", "st.event=yes", engine.image, "sh", "-c", "exit 9")
    c.wait()
    filters = [f"container={c.id}", f"event={words['die']}"]
    line = one(wait_until("its end", lambda: past(engine, before, filters, "{{json .}}")))
    flat = json.dumps(parsed(line))
    assert c.id in flat
    assert c.name in flat
    assert engine.image in flat
    assert re.search(r'"(exitCode|ContainerExitCode)": "?9"?', flat)
    assert '"st.event": "yes"' in flat


@claim("cli-015")
def test_filters_of_events_narrow(engine):
    words = engine.trait("event_words")
    before = moment()
    c, other = engine.run("--label", "st.pick=a"), engine.run()
    for x in (c, other):
        wait_until("its start", lambda x=x: words["start"] in told(engine, before, f"container={x.id}"))
    assert told(engine, before, f"container={c.id}", f"event={words['start']}") == [words["start"]]
    assert words["start"] in told(engine, before, "label=st.pick=a", "type=container")
    assert told(engine, before, "label=st.pick=b") == []
    assert told(engine, before, f"container={c.id}", "type=volume") == []


@claim("cli-015")
@requires("freezer")
def test_events_tell_pause_rename_and_kill(engine):
    words = engine.trait("event_words")
    before = moment()
    c, new = engine.run(), engine.name("new")
    engine.cli("pause", c.name)
    engine.cli("unpause", c.name)
    engine.cli("rename", c.name, new)
    engine.cli("kill", new)
    seen = wait_until("the end", lambda: (found := told(engine, before, f"container={c.id}")) and words["die"] in found
                      and found)  # fmt: skip
    wanted = ["pause", "unpause", "rename", "kill"]
    assert [word for word in seen if word in wanted] == wanted


@claim("cli-015")
def test_a_listener_that_leaves_disturbs_nobody(engine):
    words = engine.trait("event_words")
    talk = engine.spawn("events")
    before = moment()
    talk.close_stdout()
    a = engine.run()
    talk.kill()
    wait_until("its start", lambda: words["start"] in told(engine, before, f"container={a.id}"))


@claim("cli-015")
def test_a_moment_that_is_none_is_refused(engine):
    for words in (["--since", "bogus", "--until", "1"], ["--since", "2", "--until", "x1"]):
        refused = engine.fails("events", *words, says="bad_time", code=engine.code("error"), timeout=15)
        assert refused.stdout == ""


@claim("cli-015")
def test_a_wrong_filter_of_events_is_refused(engine):
    refused = engine.fails("events", "--until", "1", "--filter", "noequals", timeout=15,
                           says="bad format|invalid|must be in the form")  # fmt: skip
    assert refused.stdout == ""
