"""Faults of an engine's HTTP interface, each in one kind of answer; a run's logs tell which tests could notice."""

import dataclasses
import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from faults import Fault

from seatrial.api import streams
from seatrial.verdict import Verdict


@dataclass(frozen=True)
class ApiFault:
    """What is wrong: of which requests (method, path without version, query), and how answers or targets change."""

    name: str
    words: str
    method: str
    path: str
    change: object = None
    request: object = None
    query: str = ""
    aim: str = ""

    def fits(self, method, target):
        path, _, query = target.partition("?")
        path = re.sub(r"^/v\d+\.\d+(?=/)", "", path)
        asked = method == self.method and re.fullmatch(self.path, path) is not None
        return asked and re.search(self.query, query) is not None


# -- how answers change --------------------------------------------------------------------------


def status(code, reason="Changed", of=None):
    """Answer with another status (to answers of status `of`, if given)."""
    return lambda a: a if of and a.status != of else dataclasses.replace(a, status=code, reason=reason)


def value(function):
    """Change the JSON of good answers."""

    def change(a):
        if a.status >= 300:
            return a
        return dataclasses.replace(a, body=json.dumps(function(json.loads(a.body))).encode())

    return change


def body(function):
    """Change the bytes of good answers."""
    return lambda a: a if a.status >= 300 else dataclasses.replace(a, body=function(a.body))


def refusal(function):
    """Change the bytes of refusals."""
    return lambda a: dataclasses.replace(a, body=function(a.body)) if a.status >= 400 else a


def header(name, new):
    """Replace a header, or take it away with None."""

    def change(a):
        kept = [(key, old) for key, old in a.headers if key.lower() != name.lower()]
        return dataclasses.replace(a, headers=kept if new is None else [*kept, (name, new)])

    return change


def frames(function):
    """Change the frames of a multiplexed body."""

    def change(data):
        found = function(streams.demultiplex(data))
        return b"".join(bytes([f.stream, 0, 0, 0]) + len(f.data).to_bytes(4, "big") + f.data for f in found)

    return body(change)


STALE = {"Status": "created", "Running": False, "Pid": 0, "Paused": False, "ExitCode": 0, "Error": "", "StartedAt": ""}


def put(path, new):
    """Set a field, named by a path with dots, of an object."""

    def change(data):
        *way, last = path.split(".")
        place = data
        for name in way:
            place = place[int(name) if isinstance(place, list) else name]
        if callable(new):
            place[last] = new(place[last])
        else:
            place[last] = new
        return data

    return value(change)


def drop(path):
    """Take a field of an object away."""

    def change(data):
        *way, last = path.split(".")
        place = data
        for name in way:
            place = place[name]
        place.pop(last, None)
        return data

    return value(change)


def each(function):
    """Change each entry of a list."""
    return value(lambda rows: [function(row) for row in rows])


def lines(function):
    """Change the JSON values of a stream."""
    return body(lambda data: "\n".join(json.dumps(one) for one in function(streams.json_values(data))).encode() + b"\n")


def without(name):
    """Take a parameter out of the query: it is taken and ignored."""

    def change(target):
        path, _, query = target.partition("?")
        kept = [(key, old) for key, old in parse_qsl(query, keep_blank_values=True) if key != name]
        return f"{path}?{urlencode(kept)}" if kept else path

    return change


def swapped(found):
    """Exchange the streams of frames."""
    return [dataclasses.replace(frame, stream={1: 2, 2: 1}.get(frame.stream, 0)) for frame in found]


def unending(a):
    """Keep the connection open after the answer."""
    return dataclasses.replace(a, headers=[*a.headers, ("X-Unending", "1")])


C, ONE = "/containers/[^/]+", "/containers/[^/]+/json"
TABLE = [
    ApiFault("ping-body", "ping says something else", "GET", "/_ping", body(lambda _: b"KO")),
    ApiFault("ping-cached", "ping may be cached", "GET", "/_ping",
             header("Cache-Control", None), aim="nobody_may_cache"),
    ApiFault("ping-ostype", "ping does not tell the system", "GET", "/_ping",
             header("Ostype", None), aim="nobody_may_cache"),
    ApiFault("ping-version", "the header Api-Version is another than that of /version", "GET", "/_ping",
             header("Api-Version", "1.7"), aim="refusals_tell"),
    ApiFault("head-ping", "HEAD of ping fails", "HEAD", "/_ping", status(404)),
    ApiFault("version-api", "/version tells another API version", "GET", "/version", put("ApiVersion", "1.7")),
    ApiFault("version-kernel", "/version tells another kernel", "GET", "/version", put("KernelVersion", "0.0.1")),
    ApiFault("info-cpus", "/info tells another number of CPUs", "GET", "/info", put("NCPU", 77)),
    ApiFault("info-memory", "/info tells memory in kilobytes", "GET", "/info",
             put("MemTotal", lambda old: old // 1024)),
    ApiFault("info-driver", "/info names another storage driver", "GET", "/info", put("Driver", "none")),
    ApiFault("df-size", "/system/df does not count volumes", "GET", "/system/df", put("Volumes", [])),
    ApiFault("create-status", "create answers 200", "POST", "/containers/create",
             status(200, "OK", 201), aim="create_answers"),
    ApiFault("create-short-id", "create answers with a short id", "POST", "/containers/create",
             put("Id", lambda old: old[:12]), aim="create_answers"),
    ApiFault("create-warnings", "create answers without Warnings", "POST", "/containers/create",
             drop("Warnings"), aim="create_answers"),
    ApiFault("create-conflict", "a taken name is answered with 400", "POST", "/containers/create",
             status(400, "x", 409), aim="taken"),
    ApiFault("create-no-image", "an unknown image is answered with 400", "POST", "/containers/create",
             status(400, "x", 404), aim="unknown_image"),
    ApiFault("create-name-ignored", "the name is ignored", "POST", "/containers/create",
             request=without("name"), aim="names"),
    ApiFault("refusal-text", "refusals are plain text", "GET", ONE,
             header("Content-Type", "text/plain"), aim="refusals_tell"),
    ApiFault("refusal-no-message", "refusals have no message", "GET", C + "/json",
             refusal(lambda _: b'{"error": "x"}'), aim="not_found"),
    ApiFault("refusal-empty", "refusals are empty", "DELETE", "/networks/[^/]+",
             refusal(lambda _: b""), aim="not_found|in_use"),
    ApiFault("start-again", "start of a running container answers 204", "POST", C + "/start",
             status(204, "x", 304), aim="state|start"),
    ApiFault("stop-again", "stop of a stopped container answers 204", "POST", C + "/stop",
             status(204, "x", 304), aim="state-exited|each_call"),
    ApiFault("stop-time", "the time of stop is ignored", "POST", C + "/stop",
             request=without("t"), aim="kills_after"),
    ApiFault("kill-signal", "the signal of kill is ignored", "POST", C + "/kill",
             request=without("signal"), aim="names_and_numbers"),
    ApiFault("kill-stopped", "kill of a stopped container answers 204", "POST", C + "/kill",
             status(204, "x", 409), aim="each_call"),
    ApiFault("pause-lost", "pause of a paused container answers 204", "POST", C + "/pause",
             status(204, "x", 409), aim="each_call"),
    ApiFault("wait-code", "wait tells another exit code", "POST", C + "/wait",
             put("StatusCode", lambda old: old + 1)),
    ApiFault("wait-text", "wait tells the exit code as text", "POST", C + "/wait", put("StatusCode", str)),
    ApiFault("rename-conflict", "rename to a taken name answers 204", "POST", C + "/rename",
             status(204, "x", 409), aim="taken"),
    ApiFault("delete-running", "delete of a running container answers 204", "DELETE", C,
             status(204, "x", 409), aim="force"),
    ApiFault("delete-volumes", "v of delete is ignored", "DELETE", C, request=without("v"), aim="anonymous"),
    ApiFault("inspect-stale", "inspect tells the state of before", "GET", ONE,
             put("State", STALE), aim="start_gives|new_process"),
    ApiFault("inspect-pid", "inspect tells another pid", "GET", ONE, put("State.Pid", 1), aim="description|process"),
    ApiFault("inspect-code", "inspect tells exit code 0", "GET", ONE, put("State.ExitCode", 0), aim="stop|signal"),
    ApiFault("inspect-env", "inspect loses the environment", "GET", ONE,
             put("Config.Env", []), aim="settings|Env|megabytes"),
    ApiFault("inspect-mounts", "inspect loses mounts", "GET", ONE, put("Mounts", []), aim="mounts|volumes"),
    ApiFault("inspect-name", "inspect tells names without the slash", "GET", ONE,
             put("Name", lambda old: old[1:]), aim="name"),
    ApiFault("inspect-limits", "inspect tells no limits", "GET", ONE,
             put("HostConfig.Memory", 0), aim="limits|update"),
    ApiFault("inspect-size", "size of inspect is ignored", "GET", ONE,
             request=without("size"), query="size", aim="size"),
    ApiFault("list-all", "all of the list is ignored", "GET", "/containers/json",
             request=without("all"), aim="list_shows|status"),
    ApiFault("list-filter", "filters of the list are ignored", "GET", "/containers/json",
             request=without("filters"), aim="filter"),
    ApiFault("list-limit", "limit of the list is ignored", "GET", "/containers/json",
             request=without("limit"), query="limit", aim="limit"),
    ApiFault("list-created", "the list tells times in milliseconds", "GET", "/containers/json",
             each(lambda row: {**row, "Created": row["Created"] * 1000}), aim="parts"),
    ApiFault("list-labels", "the list loses labels", "GET", "/containers/json",
             each(lambda row: {**row, "Labels": {}}), aim="parts"),
    ApiFault("list-ports", "the list loses ports", "GET", "/containers/json",
             each(lambda row: {**row, "Ports": []}), aim="parts"),
    ApiFault("list-image", "the list tells no image id", "GET", "/containers/json",
             each(lambda row: {**row, "ImageID": ""}), aim="parts"),
    ApiFault("logs-swapped", "logs exchange the streams", "GET", C + "/logs", frames(swapped)),
    ApiFault("logs-last-line", "logs lose the last frame", "GET", C + "/logs", frames(lambda found: found[:-1])),
    ApiFault("logs-cut", "logs end within a frame", "GET", C + "/logs", body(lambda data: data[:-1])),
    ApiFault("logs-unframed", "logs are not framed", "GET", C + "/logs",
             body(lambda data: streams.demultiplex(data).stdout), aim="framed"),
    ApiFault("logs-tail", "tail of logs is ignored", "GET", C + "/logs",
             request=without("tail"), query="tail", aim="tail"),
    ApiFault("logs-timestamps", "timestamps of logs are ignored", "GET", C + "/logs",
             request=without("timestamps"), query="timestamps", aim="timestamps"),
    ApiFault("logs-until", "until of logs is ignored", "GET", C + "/logs",
             request=without("until"), query="until", aim="until"),
    ApiFault("logs-neither", "logs of neither stream are empty", "GET", C + "/logs",
             status(200, "OK", 400), aim="neither"),
    ApiFault("logs-unending", "followed logs never end", "GET", C + "/logs", unending, query="follow", aim="follow"),
    ApiFault("attach-swapped", "attach exchanges the streams", "POST", C + "/attach",
             frames(swapped), aim="streams_that|hands_the"),
    ApiFault("attach-status", "attach answers 200 to an upgrade", "POST", C + "/attach",
             status(200, "OK", 101), aim="hands"),
    ApiFault("top-titles", "top loses a title", "GET", C + "/top", put("Titles", lambda old: old[:-1])),
    ApiFault("changes-kind", "changes tell deleted files as modified", "GET", C + "/changes",
             each(lambda row: {**row, "Kind": 0})),
    ApiFault("stats-empty", "stats count nothing", "GET", C + "/stats",
             put("memory_stats", {"usage": 0}), query="stream=false", aim="once"),
    ApiFault("archive-stat", "the description of a path is missing", "GET", C + "/archive",
             header("X-Docker-Container-Path-Stat", None), aim="takes_a_file"),
    ApiFault("archive-head", "HEAD of an archive describes nothing", "HEAD", C + "/archive",
             header("X-Docker-Container-Path-Stat", "e30=")),
    ApiFault("archive-missing", "a missing path is answered with 200", "HEAD", C + "/archive",
             status(200, "OK", 404), aim="does_not_exist"),
    ApiFault("exec-code", "an exec's exit code is 0", "GET", "/exec/[^/]+/json",
             put("ExitCode", 0), aim="start_streams|demulti"),
    ApiFault("exec-running", "a running exec is said to have ended", "GET", "/exec/[^/]+/json",
             put("Running", False), aim="detached"),
    ApiFault("exec-swapped", "exec exchanges the streams", "POST", "/exec/[^/]+/start",
             frames(swapped), aim="streams"),
    ApiFault("exec-again", "an exec is started twice", "POST", "/exec/[^/]+/start",
             status(200, "OK", 409), aim="again|once"),
    ApiFault("images-twice", "an image with two names is listed twice", "GET", "/images/json",
             value(lambda rows: [{**row, "RepoTags": [tag]} for row in rows for tag in row["RepoTags"] or []]),
             aim="two_names"),
    ApiFault("images-filter", "filters of images are ignored", "GET", "/images/json",
             request=without("filters"), aim="filter"),
    ApiFault("image-size", "an image has no size", "GET", "/images/.+/json", put("Size", 0), aim="size"),
    ApiFault("image-os", "an image is for another system", "GET", "/images/.+/json",
             put("Os", "plan9"), aim="described"),
    ApiFault("history-order", "history is told oldest first", "GET", "/images/.+/history",
             value(lambda rows: rows[::-1])),
    ApiFault("tag-status", "tag answers 200", "POST", "/images/.+/tag", status(200, "OK", 201)),
    ApiFault("image-delete-list", "delete of an image tells nothing", "DELETE", "/images/.+",
             value(lambda _: []), aim="tells|keeps"),
    ApiFault("image-in-use", "delete of an image in use answers 200", "DELETE", "/images/.+",
             status(200, "OK", 409), aim="in_use"),
    ApiFault("build-error", "a failed build tells no error", "POST", "/build",
             lines(lambda found: [one for one in found if "error" not in one]), aim="fails"),
    ApiFault("build-aux", "a build does not tell its id", "POST", "/build",
             lines(lambda found: [one for one in found if "aux" not in one]), aim="makes_an_image"),
    ApiFault("build-args", "buildargs are ignored", "POST", "/build",
             request=without("buildargs"), query="buildargs", aim="arguments"),
    ApiFault("build-target", "target is ignored", "POST", "/build",
             request=without("target"), query="target", aim="target"),
    ApiFault("network-subnet", "a network tells another subnet", "GET", "/networks/[^/]+",
             put("IPAM", {"Config": [{"Subnet": "192.0.2.0/24"}]}), aim="described"),
    ApiFault("network-containers", "a network tells no containers", "GET", "/networks/[^/]+",
             put("Containers", {}), aim="connect"),
    ApiFault("networks-filter", "filters of networks are ignored", "GET", "/networks",
             request=without("filters"), aim="filter"),
    ApiFault("network-in-use", "delete of a network in use answers 204", "DELETE", "/networks/[^/]+",
             status(204, "x", 403), aim="in_use"),
    ApiFault("volume-mountpoint", "a volume tells another place", "GET", "/volumes/[^/]+",
             put("Mountpoint", "/nowhere"), aim="description|files"),
    ApiFault("volumes-filter", "filters of volumes are ignored", "GET", "/volumes",
             request=without("filters"), aim="filter|list"),
    ApiFault("volume-in-use", "delete of a volume in use answers 204", "DELETE", "/volumes/[^/]+",
             status(204, "x", 409), aim="in_use"),
    ApiFault("events-order", "events are told newest first", "GET", "/events",
             lines(lambda found: found[::-1]), query="until", aim="filters"),
    ApiFault("events-filter", "filters of events are ignored", "GET", "/events",
             request=without("filters"), query="until", aim="filters"),
    ApiFault("events-lost", "the last event is lost", "GET", "/events",
             lines(lambda found: found[:-1]), query="until", aim="filters"),
    ApiFault("events-unending", "until of events is ignored", "GET", "/events",
             request=without("until"), query="until", aim="until|filters"),
    ApiFault("swarm-status", "endpoints of swarms answer 404", "GET", "/(swarm|nodes|services|tasks)",
             status(404, "x", 503), aim="outside"),
    ApiFault("prune-list", "prune tells nothing", "POST", "/(networks|volumes)/prune",
             value(lambda told: {key: [] if isinstance(old, list) else old for key, old in told.items()})),
]  # fmt: skip
BY_NAME = {fault.name: fault for fault in TABLE}
_LINE = re.compile(r"^\[[\d:.]+\] > ([A-Z]+) (\S+)$", re.MULTILINE)


def _aimed(fault, test):
    return bool(fault.aim) and re.search(fault.aim, test.partition("::")[2]) is not None


def derive(run, most):
    """Return the faults that the tests of a run could notice, with at most `most` tests each."""
    requests = {}
    for result in run.results:
        if result.verdict is Verdict.PASS and result.log:
            seen = set(_LINE.findall((run.directory / result.log).read_text("utf-8", "replace")))
            if seen:
                requests.setdefault(result.test.partition("[")[0], set()).update(seen)
    found = []
    for fault in TABLE:
        users = {test: len(seen) for test, seen in requests.items() if any(fault.fits(*one) for one in seen)}
        tests = sorted(users, key=lambda test, fault=fault: (not _aimed(fault, test), users[test], test))
        found.append(Fault("api", fault.name, tests=tests[:most], words=fault.words))
    return found
