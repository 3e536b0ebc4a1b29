"""OCT over HTTP: the paths and the envelope of the original, with real status codes.

    /repo /repo/ID                    libraries of cases
    /case /case/ID /case/ID/report    cases: listed with filters and pages, fetched as bundles, handed in as tar.gz
    /task /task/ID /task/ID/report    tasks: POST a case's id or a bundle; POST apply, deploy, run, collect or destroy
    /resource                         hosts, as they offer themselves

Every answer is {"Status": "ok" | "failed", "Message": ..., "Data": ...}. A command is run only if it stands in a
case of the libraries or in a bundle that was handed in and validates.
"""

from __future__ import annotations

import email
import email.policy
import hmac
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from seatrial import __version__
from seatrial.errors import SeatrialError
from seatrial.listening import is_loopback
from seatrial.oct import hostlist, library, offers, tarball
from seatrial.oct.answers import (
    Answer,
    CaseRow,
    Collected,
    Failure,
    Index,
    Nothing,
    Refused,
    Repo,
    RepoCases,
    Resource,
    State,
    TaskRow,
    answer,
    failure,
    misfit,
    missing,
)
from seatrial.oct.bundle import Bundle
from seatrial.oct.desk import OPEN, Desk, Job
from seatrial.oct.diagnostics import Report
from seatrial.oct.library import Entry, Filter
from seatrial.oct.model import Case, Require, size
from seatrial.oct.office import Office
from seatrial.oct.validate import examine
from seatrial.targets import parse

ACTIONS = ("apply", "deploy", "run", "collect", "destroy")
PAGE = 50
_HELP = "see /docs for what can be asked"
_FAILURES = {
    401: "The token is missing or wrong", 403: "Without a token, only this machine is served",
    404: "There is no such thing", 409: "It cannot be done now", 413: "The body is too large",
    415: "The body is of another kind", 422: "The request cannot be understood, or its bundle is refused",
    503: "The service cannot read or write what it needs",
}  # fmt: skip
Form = Literal["markdown", "html", "junit", "json"]
_FORMS: dict[Form, tuple[str, tuple[str, ...]]] = {
    "markdown": ("text/markdown", ("report.md", "cases.md")), "html": ("text/html", ("index.html",)),
    "junit": ("application/xml", ("junit-*.xml",)), "json": ("application/x-ndjson", ("results.jsonl",)),
}  # fmt: skip
_TEXT = {"schema": {"type": "string"}}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "required": ["tcfile"], "properties": {"tcfile": _BYTES["schema"]}}}
_ARCHIVES = {"application/gzip": _BYTES, "application/octet-stream": _BYTES, "multipart/form-data": _FORM}
_BUNDLE = {"requestBody": {"required": True, "description": "A bundle as tar.gz", "content": _ARCHIVES}}
_CASE_OR_BUNDLE = {
    "requestBody": {
        "required": True, "description": "The id of a case as text, or a bundle as tar.gz",
        "content": {"text/plain": {**_TEXT, "example": "64 hexadecimal digits, see GET /case"}, **_ARCHIVES},
    }
}  # fmt: skip
_ACTION = {
    "requestBody": {
        "required": True, "description": "An action, as text",
        "content": {"text/plain": {"schema": {"type": "string", "enum": list(ACTIONS)}, "example": "run"}},
    }
}  # fmt: skip


def _foreign(request: Request) -> str:
    """Return why a request does not come from this machine's own user: a page in a browser sends them, too."""
    for name in ("host", "origin"):
        text = request.headers.get(name, "")
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
        if text and not is_loopback(host):
            return f"without a token only requests to and from this machine are taken, not {name} {text[:80]}"
    return ""


def paged(items: Sequence[Any], page: int, size: int) -> list[Any]:
    """Return one page of a list, counted from 0; raises `Refused` for a page that cannot be."""
    if page < 0 or not 1 <= size <= 1000:
        name, value = ("Page", page) if page < 0 else ("PageSize", size)
        raise misfit(name, value, "Page is 0 or more, PageSize is 1 to 1000", "Page=0&PageSize=50 are the first fifty")
    return list(items[page * size : (page + 1) * size])


async def bundle_of(request: Request) -> bytes | None:
    """Return the archive in a request, plain or as the field `tcfile` of a form; None when there is none."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith(("multipart/form-data", "application/gzip", "application/x-gzip",
        "application/octet-stream")):
        return None
    data = await body_of(request, tarball.PACKED)
    if not kind.startswith("multipart/"):
        return data
    message = email.message_from_bytes(
        b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + data, policy=email.policy.HTTP
    )
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "tcfile":
            content = part.get_payload(decode=True)
            return content if isinstance(content, bytes) else None
    raise Refused(422, SeatrialError("E724", "the form has no field tcfile", "", "curl -F tcfile=@bundle.tar.gz"))


async def body_of(request: Request, limit: int) -> bytes:
    """Return the body of a request; raises `Refused` when it is too large, before all of it is read."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > limit:
            raise Refused(413, SeatrialError("E725", f"at most {limit} bytes are taken"))
    return bytes(data)


def application(office: Office, desk: Desk, token: str = "") -> FastAPI:
    """Return the service; with a token every request has to carry it (Authorization: Bearer ...)."""
    app = FastAPI(
        title="Seatrial OCT", version=__version__, description=__doc__,
        responses={code: {"model": Failure, "description": words} for code, words in _FAILURES.items()},
    )  # fmt: skip

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and not hmac.compare_digest(given.encode(), token.encode()):
            return failure(401, SeatrialError("E726", "a token is needed", "", "Authorization: Bearer TOKEN"))
        if not token and (words := _foreign(request)):
            return failure(403, SeatrialError("E727", "the request is not taken", words, "give the service a token"))
        return await go_on(request)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return failure(error.status, error.error, error.data)

    @app.exception_handler(RequestValidationError)
    async def unfit(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        told = misfit(str(first["loc"][:2][-1]), first.get("input", ""), str(first["msg"]), _HELP)
        return failure(told.status, told.error)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return failure(error.status_code, SeatrialError("E728", "there is nothing of that kind", error.detail, _HELP))

    @app.exception_handler(SeatrialError)
    async def trouble(_: Request, error: SeatrialError) -> Response:
        return failure(503, error)

    @app.get("/", response_model=Answer[Index])
    def index() -> Response:
        return answer(_HELP, {"Paths": ["/repo", "/case", "/task", "/resource"], "Actions": ACTIONS})

    @app.get("/repo", response_model=Answer[list[Repo]])
    def repos(Url: str = "", Page: int = 0, PageSize: int = PAGE) -> Response:
        """List the libraries whose path has a text in it."""
        found = [{"ID": id_, "Url": str(path)} for id_, path in office.repos.items() if Url in str(path)]
        return answer(f"{len(found)} repos", paged(found, Page, PageSize))

    @app.get("/repo/{id_}", response_model=Answer[RepoCases])
    def repo(
        id_: str, Group: str = "", Name: str = "", Tag: str = "", Page: int = 0, PageSize: int = PAGE
    ) -> Response:
        """Show one library with a page of its cases."""
        if id_ not in office.repos:
            raise missing("repo", id_, "GET /repo lists them")
        root = office.repos[id_]
        own = [entry for entry in office.entries() if root in office.place(entry.digest).parents]
        chosen = library.select(own, _filter(Group, Name, Tag))
        rows = [case_row(entry) for entry in paged(chosen, Page, PageSize)]
        return answer(f"{len(chosen)} cases", {"ID": id_, "Url": str(root), "Cases": rows})

    @app.post("/repo", response_model=Nothing)
    def refresh(Action: Literal["Refresh"]) -> Response:
        """Read the libraries again."""
        office.refresh()
        return answer(f"{len(office.entries())} cases")

    @app.get("/case", response_model=Answer[list[CaseRow]])
    def cases(Group: str = "", Name: str = "", Tag: str = "", Page: int = 0, PageSize: int = PAGE) -> Response:
        """List cases of a group, with a tag, of a name such as root-*."""
        chosen = library.select(office.entries(), _filter(Group, Name, Tag))
        return answer(f"{len(chosen)} cases", [case_row(entry) for entry in paged(chosen, Page, PageSize)])

    @app.post("/case", status_code=201, response_model=Nothing, openapi_extra=_BUNDLE)
    async def hand_in(request: Request) -> Response:
        """Hand a bundle in: it is checked before it is unpacked, and Message is the id of its case."""
        data = await bundle_of(request)
        if data is None:
            raise Refused(415, SeatrialError(
                "E729", "a bundle is to be handed in", "the body is none",
                "a tar.gz as application/gzip, or as the field tcfile of a form",
            ))  # fmt: skip
        return answer(office.take(data), status=201)

    def found(id_: str) -> Path:
        try:
            return office.case_file(id_)
        except KeyError:
            raise missing("case", id_, "GET /case lists those that validate") from None

    @app.get("/case/{id_}", response_class=Response, responses={200: {"content": {"application/gzip": _BYTES}}})
    def case(id_: str) -> Response:
        """Fetch a case as a bundle."""
        place = found(id_).parent
        with tempfile.TemporaryDirectory() as scratch:
            tarball.pack(place, Path(scratch) / "bundle.tar.gz")
            data = (Path(scratch) / "bundle.tar.gz").read_bytes()
        return Response(data, media_type="application/gzip",
                        headers={"content-disposition": f'attachment; filename="{place.name}.tar.gz"'})  # fmt: skip

    @app.get("/case/{id_}/report", response_class=Response, responses={200: {"content": {"text/markdown": _TEXT}}})
    def case_report(id_: str) -> Response:
        """Read the report of the last task of a case."""
        for job in desk.jobs("finished", id_):
            if found := _report(desk.run_directory(job.id), "markdown"):
                return found
        raise missing("report of the case", id_, "POST /task with its id, then POST run to the task")

    def hosts(wish: Require, engine: str) -> list[dict[str, Any]]:
        fitting = [one for one in office.hosts() if not offers.refusals(wish, one)]
        return [hostlist.row(one) for one in fitting if not engine or engine in one.engines]

    @app.get("/resource", response_model=Answer[list[Resource]])
    def resources(
        Class: str = "", Distribution: str = "", Version: str = "", Arch: str = "", CPU: float = 0, Memory: str = "",
        Disk: str = "", Engine: str = "", Page: int = 0, PageSize: int = PAGE,
    ) -> Response:  # fmt: skip
        """List hosts that have what is wished: CPU, Memory and Disk at least, as 4, 2GiB and 10GB."""
        if Class not in ("", "os"):
            raise misfit("Class", Class, "hosts are all there is", "Class=os")
        wish = Require("", "os", Distribution, Version, Arch, CPU, _size("Memory", Memory), _size("Disk", Disk))
        fitting = hosts(wish, Engine)
        return answer(f"{len(fitting)} resources", paged(fitting, Page, PageSize))

    @app.get("/resource/{id_}", response_model=Answer[Resource])
    def resource(id_: str) -> Response:
        """Show one host."""
        for one in hosts(Require("", "os"), ""):
            if one["ID"] == id_:
                return answer("", one)
        raise missing("resource", id_, "GET /resource lists them")

    @app.post("/task", status_code=201, response_model=Nothing, openapi_extra=_CASE_OR_BUNDLE)
    async def add(request: Request, Engine: str = "") -> Response:
        """Make a task of a case, named by its id or handed in as a bundle; Message is the id of the task."""
        data = await bundle_of(request)
        id_ = office.take(data) if data is not None else (await body_of(request, 200)).decode("utf-8",
            "replace").strip()
        found(id_)
        try:
            target = str(parse(Engine or office.target))
        except SeatrialError as error:
            raise Refused(422, error) from error
        return answer(desk.add(id_, target).id, status=201)

    @app.get("/task", response_model=Answer[list[TaskRow]])
    def tasks(Status: State | Literal[""] = "", Page: int = 0, PageSize: int = PAGE) -> Response:
        """List tasks, of one state or all, the newest first."""
        jobs = desk.jobs(Status)
        return answer(f"{len(jobs)} tasks", [job.plain for job in paged(jobs, Page, PageSize)])

    def job_of(id_: str) -> Job:
        try:
            return desk.job(id_)
        except KeyError:
            raise missing("task", id_, "GET /task lists them") from None

    @app.get("/task/{id_}", response_model=Answer[TaskRow])
    def task(id_: str) -> Response:
        """Tell how far a task is."""
        return answer("", job_of(id_).plain)

    @app.get("/task/{id_}/report", response_class=Response,
             responses={200: {"content": {kind: _TEXT for kind, _ in _FORMS.values()}}})  # fmt: skip
    def task_report(id_: str, Format: Form = "markdown") -> Response:
        """Read the report of a task that has finished: verdict, steps, peaks, environment."""
        job = job_of(id_)
        if found := _report(desk.run_directory(id_), Format):
            return found
        if job.state != "finished":
            raise _too_early("report", job)
        raise missing("report of the task", id_, "its session ended without one: the task's message says why")

    @app.post("/task/{id_}", response_model=Answer[Collected | None], openapi_extra=_ACTION,
              responses={202: {"model": Nothing, "description": "It is under way"}})  # fmt: skip
    async def act(id_: str, request: Request) -> Response:
        """Apply, deploy, run, collect or destroy a task."""
        job = job_of(id_)
        action = (await body_of(request, 200)).decode("utf-8", "replace").strip().strip('"')
        if action not in ACTIONS:
            hint = f"actions are {', '.join(ACTIONS)}"
            raise Refused(422, SeatrialError("E730", f"Invalid action {action[:40]}", "", hint))
        return await run_in_threadpool(_act, office, desk, job, action, found)

    return app


def _report(directory: Path | None, form: Form) -> Response | None:
    """Return a run's report in a form, None where there is none."""
    kind, patterns = _FORMS[form]
    paths = [path for pattern in patterns for path in sorted(directory.glob(pattern))] if directory else []
    return Response("\n".join(path.read_text("utf-8") for path in paths), media_type=kind) if paths else None


def _filter(group: str, name: str, tag: str) -> Filter:
    return Filter(tuple(filter(None, [group])), tuple(filter(None, [tag])), tuple(filter(None, [name])))


def case_row(entry: Entry) -> dict[str, Any]:
    """Return a case as it is listed."""
    return {"ID": entry.digest, **asdict(entry)}


def _size(name: str, text: str) -> int:
    try:
        return int(text or 0) if not text.strip("0123456789") else size(text)
    except ValueError as error:
        raise misfit(name, text, str(error), f"{name}=2GiB, or a number of bytes") from error


def _too_early(action: str, job: Job) -> Refused:
    hint = "GET /task/ID tells when that changes"
    return Refused(409, SeatrialError("E731", f"Cannot {action} when the current status is: {job.state}", "", hint))


def _act(office: Office, desk: Desk, job: Job, action: str, found: Callable[[str], Path]) -> Response:
    """Do one of the five actions; deploying and all after it are one session, which always puts back what it made."""
    if action == "apply":
        if job.state != "init":
            raise _too_early(action, job)
        document = examine(Bundle(found(job.case_id).parent), Report(""))
        assert document is not None  # noqa: S101 - it has just been found to validate
        placing = offers.place(Case.load(document.value), office.offered(job.target), job.target)
        if placing.why_not:
            raise Refused(409, SeatrialError("E732", "Cannot apply the resource", placing.why_not, "GET /resource"))
        desk.change(job.id, "allocated")
        return answer("allocated")
    if action in ("deploy", "run"):
        if job.state in OPEN:
            raise _too_early(action, job)
        found(job.case_id)
        desk.queue(job.id)
        return answer("queued: it is deployed, run, collected and destroyed in one go", status=202)
    if action == "collect":
        directory = desk.run_directory(job.id)
        if job.state != "finished":
            raise _too_early(action, job)
        return answer(job.ending, {"Report": f"/task/{job.id}/report", "Files": str(directory) if directory else ""})
    desk.cancel(job.id)
    return answer("it puts back what it has made" if job.state == "running" else "nothing of it is left", status=202)
