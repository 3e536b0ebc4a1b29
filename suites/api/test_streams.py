"""Streams of containers: attach, exec and logs, framed and raw, with half-close, resize and detach keys."""

import time
from datetime import datetime

import pytest

from seatrial.expecting import exactly, matched

claim, requires = pytest.mark.claim, pytest.mark.requires
CAT = {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}


@pytest.fixture
def cat(api, engine):
    """Call it to get a container that repeats what is sent to it, attached and started, and its stream."""

    def make(command=("cat",), *, headers=None, expect=101, attach=None, **body):
        c = api.create(Image=engine.image, Cmd=list(command), **{**CAT, **body})
        stream = c.attach(headers=headers, expect=expect, **(attach or {}))
        c.start()
        return c, stream

    return make


@claim("api-100", "api-034", "api-035", "api-036")
def test_attach_hands_the_connection_over_and_frames_what_comes(cat):
    c, stream = cat(["sh", "-c", "echo out; echo err >&2"])
    assert stream.response.header("Upgrade") == "tcp"
    frames = stream.frames()
    assert (frames.stdout, frames.stderr) == (b"out\n", b"err\n")
    assert c.wait() == 0


@claim("api-100")
def test_attach_without_upgrade_is_a_200_with_the_same_frames(cat):
    _, stream = cat(["echo", "word"], headers={}, expect=200)
    assert stream.response.content_type == "application/vnd.docker.raw-stream"
    assert stream.frames().stdout == b"word\n"


@claim("api-101")
def test_input_reaches_the_process_and_half_close_ends_it(cat):
    c, stream = cat()
    stream.send(b"one\n")
    stream.until(b"one\n")
    stream.send(b"two\n")
    stream.end_input()
    assert stream.frames().stdout == b"one\ntwo\n"
    assert c.wait() == 0


@claim("api-101")
def test_a_megabyte_goes_through_unchanged(cat):
    _, stream = cat()
    data = bytes(range(256)) * 4096
    stream.send(data)
    stream.end_input()
    assert stream.frames(timeout=60).stdout == data


@claim("api-037")
def test_a_terminal_is_not_framed(cat):
    _, stream = cat(["echo", "word"], Tty=True)
    assert stream.rest() == b"word\r\n"


@claim("api-100")
@pytest.mark.parametrize(("stdout", "stderr", "seen"), [(True, False, {1}), (False, True, {2}), (True, True, {1, 2})],
                         ids=["stdout", "stderr", "both"])  # fmt: skip
def test_attach_takes_the_streams_that_are_asked_for(cat, stdout, stderr, seen):
    _, stream = cat(["sh", "-c", "echo out; echo err >&2"], attach={"stdout": stdout, "stderr": stderr})
    assert stream.frames().streams == seen


@claim("api-100")
def test_attach_with_logs_begins_with_what_was_written(api):
    c = api.sh("echo before; sleep 60")
    c.until("written", lambda: c.output().stdout)
    stream = c.attach(logs=True, stdin=False)
    stream.until(b"before\n")


@claim("api-100")
def test_two_clients_see_the_same(api):
    c = api.create(Image=api.bench.image, Cmd=["sh", "-c", "sleep 0.5; echo word"])
    one, two = c.attach(stdin=False), c.attach(stdin=False)
    c.start()
    assert one.frames().stdout == two.frames().stdout == b"word\n"


@claim("api-100")
def test_a_client_that_leaves_does_not_stop_the_container(api):
    c = api.sh("while :; do echo tick; sleep 0.1; done")
    stream = c.attach(stdin=False)
    stream.until(b"tick")
    stream.close()
    assert c.kernel.alive
    again = c.attach(stdin=False)
    again.until(b"tick")


@claim("api-102")
@pytest.mark.parametrize(("keys", "typed"), [("", b"\x10\x11"), ("ctrl-a,x", b"\x01x")], ids=["default", "own"])
def test_detach_keys_end_the_stream_and_not_the_container(cat, keys, typed):
    c, stream = cat(["cat"], Tty=True, StdinOnce=False, attach={"detachKeys": keys} if keys else {})
    stream.send(b"a\n")
    stream.until(b"a")
    for key in typed:
        stream.send(bytes([key]))
        time.sleep(0.2)  # as somebody types: each key comes alone
    stream.rest()
    assert c.kernel.alive


@claim("api-102")
def test_detach_keys_may_come_in_one_piece(cat):
    c, stream = cat(["cat"], Tty=True, StdinOnce=False)
    stream.send(b"a\n")
    stream.until(b"a")
    stream.send(b"\x10\x11")
    stream.rest(timeout=5)
    assert c.kernel.alive


@claim("api-102")
def test_detach_keys_that_are_none_are_refused(api):
    c = api.run()
    query = {"stream": 1, "stdout": 1, "detachKeys": "ctrl-banana"}
    answer = api.post(c.path("attach"), expect=400, query=query)
    assert "ctrl-banana" in answer.text


@claim("api-097")
def test_resize_is_seen_by_the_process(cat):
    c, stream = cat(["sh"], Tty=True)
    c.post("resize", expect=200, query={"h": 33, "w": 111})
    stream.send(b"stty size\n")
    stream.until(rb"33 111")


@claim("api-097")
@pytest.mark.parametrize("query", [{"h": "x", "w": 1}, {"h": 1, "w": "1.5"}], ids=["letters", "fraction"])
def test_a_size_that_is_none_is_refused(api, query):
    c = api.run(Tty=True)
    api.refuses("POST", c.path("resize"), 400, query=query)


@claim("api-057")
def test_logs_are_framed_by_stream(api):
    c = api.sh("echo out; echo err >&2")
    c.wait()
    answer = c.get("logs", query={"stdout": True, "stderr": True})
    frames = answer.frames()
    assert (frames.stdout, frames.stderr) == (b"out\n", b"err\n")
    assert c.output(stderr=False).streams == {1}
    assert c.output(stdout=False).streams == {2}


@claim("api-057")
def test_logs_of_neither_stream_are_refused(api):
    c = api.sh("echo out")
    api.refuses("GET", c.path("logs"), 400, says="must choose at least one stream|at least one")


@claim("api-057")
@pytest.mark.parametrize(("tail", "seen"), [("0", []), ("1", [b"3"]), ("2", [b"2", b"3"]), ("all", [b"1", b"2", b"3"]),
                                            ("99", [b"1", b"2", b"3"])])  # fmt: skip
def test_tail_gives_the_last_lines(api, tail, seen):
    c = api.sh("for i in 1 2 3; do echo $i; done")
    c.wait()
    assert c.output(tail=tail).stdout.split() == seen


@claim("api-057")
def test_timestamps_stand_before_each_line(api):
    c = api.sh("echo one; echo two")
    c.wait()
    lines = c.output(timestamps=True).stdout.decode().splitlines()
    assert [line.split()[1] for line in lines] == ["one", "two"]
    stamps = [line.split()[0] for line in lines]
    assert stamps == sorted(stamps)
    assert all(stamp[:4] == c.inspect()["Created"][:4] and "T" in stamp for stamp in stamps)


@claim("api-057")
def test_since_and_until_choose_by_time(api):
    c = api.sh("echo early; sleep 2.2; echo late")
    c.wait()
    early, late = (datetime.fromisoformat(f"{matched(r'[-0-9]+T[0-9:]+', line)[0]}+00:00").timestamp()
                   for line in exactly(2, c.output(timestamps=True).stdout.decode().splitlines()))  # fmt: skip
    cut = int(early) + 1
    assert early < cut < late
    assert c.output(since=0).stdout == c.output(until=int(late) + 2).stdout == b"early\nlate\n"
    assert c.output(until=cut).stdout == b"early\n"
    assert c.output(since=cut).stdout == b"late\n"
    assert c.output(until=int(early) - 1).stdout == c.output(since=int(late) + 2).stdout == b""


@claim("api-057")
def test_follow_goes_on_until_the_container_ends(api):
    c = api.sh("echo one; sleep 0.7; echo two")
    stream = api.open("GET", c.path("logs"), query={"stdout": True, "follow": True})
    assert stream.frames().stdout == b"one\ntwo\n"
    assert c.status == "exited"


@claim("api-057")
def test_follow_ends_when_the_container_is_removed(api):
    c = api.sh("echo one; sleep 60")
    stream = api.open("GET", c.path("logs"), query={"stdout": True, "follow": True})
    stream.until(b"one")
    c.delete(expect=204, query={"force": True})
    assert stream.rest(timeout=20).endswith(b"one\n")


@claim("api-057", "api-037")
def test_logs_of_a_terminal_are_not_framed(api):
    c = api.sh("echo word", Tty=True)
    c.wait()
    assert c.get("logs", query={"stdout": True}).body == b"word\r\n"


@claim("api-057")
def test_the_last_line_without_an_end_is_there(api):
    c = api.sh("printf 'no end'")
    c.wait()
    assert c.output().stdout == b"no end"


@claim("api-057")
def test_a_line_longer_than_a_frame_comes_whole(api):
    c = api.sh("head -c 100000 /dev/zero | tr '\\0' x; echo; echo after")
    c.wait()
    assert c.output().stdout == b"x" * 100000 + b"\nafter\n"


@claim("api-057")
def test_logs_of_a_created_container_are_empty(api):
    assert api.create().output().stdout == b""


@claim("api-096")
@requires("cgroup_watch")
def test_stats_once_have_counters(api):
    c = api.run()
    told = c.get("stats", query={"stream": False}).json()
    assert told["id"] == c.id
    assert told["pids_stats"]["current"] >= 1
    assert told["memory_stats"]["usage"] > 0
    assert told["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert told["networks"]["eth0"]["rx_bytes"] >= 0


@claim("api-096")
@requires("cgroup_watch")
def test_stats_as_a_stream_come_again_and_again(api):
    c = api.sh("while :; do :; done")
    with api.open("GET", c.path("stats")) as stream:
        first, *_, last = stream.records(3, timeout=30)
    assert last["read"] > first["read"]
    assert last["cpu_stats"]["cpu_usage"]["total_usage"] > first["cpu_stats"]["cpu_usage"]["total_usage"]
    assert last["precpu_stats"]["cpu_usage"]["total_usage"] > 0


@claim("api-096")
@requires("cgroup_watch")
def test_stats_of_one_shot_have_nothing_before(api):
    c = api.run()
    told = c.get("stats", query={"stream": False, "one-shot": True}).json()
    assert told["precpu_stats"]["cpu_usage"]["total_usage"] == 0


@claim("api-096")
@requires("cgroup_watch")
def test_a_stream_of_stats_ends_with_the_container(api):
    c = api.run()
    with api.open("GET", c.path("stats")) as stream:
        stream.records(1)
        c.delete(expect=204, query={"force": True})
        stream.rest(timeout=20)
