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
import hashlib
import hmac
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from seatrial import __version__
from seatrial.errors import SeatrialError
from seatrial.listening import is_loopback
from seatrial.oct import library, offers, tarball
from seatrial.oct.bundle import CASE, Bundle
from seatrial.oct.desk import OPEN, Desk
from seatrial.oct.diagnostics import Report
from seatrial.oct.library import Entry, Filter
from seatrial.oct.model import Case
from seatrial.oct.validate import examine
from seatrial.targets import parse

ACTIONS = ("apply", "deploy", "run", "collect", "destroy")
PAGE = 50
_HELP = "see /docs for what can be asked"


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """An answer that is not what was asked for."""

    def __init__(self, status: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.data = data


def answer(message: str = "", data: Any = None, status: int = 200) -> JSONResponse:
    """Return an envelope."""
    return JSONResponse({"Status": "ok" if status < 400 else "failed", "Message": message, "Data": data}, status)


class Office:
    """What the service knows: libraries, bundles that were handed in, tasks."""

    def __init__(self, directory: Path, libraries: Sequence[Path], target: str) -> None:
        self.directory = directory
        self.target = target
        whole = [path.resolve() for path in libraries]
        self.repos = {hashlib.sha256(str(path).encode()).hexdigest()[:12]: path for path in whole}
        self.taken = directory / "bundles"
        self.taken.mkdir(parents=True, exist_ok=True)
        self._entries: dict[str, tuple[Entry, Path]] = {}
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Read the libraries again."""
        found: dict[str, tuple[Entry, Path]] = {}
        for root in [*self.repos.values(), self.taken]:
            try:
                entries = library.load(root)
            except SeatrialError:  # an empty one
                continue
            for entry in entries:
                if not entry.broken:
                    found[entry.digest] = (entry, root / entry.path)
        with self._lock:
            self._entries = found

    def entries(self) -> list[Entry]:
        """Return all cases, by name."""
        with self._lock:
            return sorted((entry for entry, _ in self._entries.values()), key=lambda entry: (entry.name, entry.digest))

    def place(self, id_: str) -> Path:
        """Return the bundle of a case; raises `KeyError`."""
        with self._lock:
            return self._entries[id_][1]

    def case_file(self, id_: str) -> Path:
        """Return the file of a case that validates now; raises `KeyError` when it does not, or has changed."""
        place = self.place(id_)
        document = examine(Bundle(place), report := Report(str(place / CASE)))
        if document is None or report.errors or Bundle(place).digest(document.value) != id_:
            raise KeyError(id_)
        return place / CASE

    def take(self, data: bytes) -> str:
        """Keep a bundle that was handed in and validates; returns the id of its case. Raises `Refused`."""
        with tempfile.TemporaryDirectory(dir=self.taken, prefix=".") as scratch:
            packed, place = Path(scratch) / "bundle.tar.gz", Path(scratch) / "bundle"
            packed.write_bytes(data)
            place.mkdir()
            report = Report("bundle.tar.gz")
            if tarball.unpack(packed, place, report):
                inner = [one for one in place.iterdir() if one.is_dir()]
                if not (place / CASE).exists() and len(inner) == 1:
                    place = inner[0]
                document = examine(Bundle(place), report)
                if document is not None and not report.errors:
                    id_ = Bundle(place).digest(document.value)
                    target = self.taken / id_
                    if not target.exists():
                        place.rename(target)
                    self.refresh()
                    return id_
            words = [{"Code": one.code, "Line": one.line, "Column": one.column, "Path": one.path,
                      "Message": one.message} for one in report.errors]  # fmt: skip
            raise Refused(422, f"the bundle is refused: {report.errors[0].message}", words)


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
        raise Refused(422, "Page is 0 or more, PageSize is 1 to 1000")
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
    raise Refused(422, "the form has no field tcfile")


async def body_of(request: Request, limit: int) -> bytes:
    """Return the body of a request; raises `Refused` when it is too large, before all of it is read."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > limit:
            raise Refused(413, f"at most {limit} bytes are taken")
    return bytes(data)


def application(office: Office, desk: Desk, token: str = "") -> FastAPI:
    """Return the service; with a token every request has to carry it (Authorization: Bearer ...)."""
    app = FastAPI(title="Seatrial OCT", version=__version__, description=__doc__)

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and not hmac.compare_digest(given.encode(), token.encode()):
            return answer("a token is needed: Authorization: Bearer ...", status=401)
        if not token and (words := _foreign(request)):
            return answer(words, status=403)
        return await go_on(request)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return answer(error.message, error.data, error.status)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return answer(f"{error.detail}; {_HELP}", status=error.status_code)

    @app.exception_handler(SeatrialError)
    async def trouble(_: Request, error: SeatrialError) -> Response:
        return answer(str(error), status=503)

    @app.get("/")
    def index() -> Response:
        return answer(_HELP, {"Paths": ["/repo", "/case", "/task", "/resource"], "Actions": ACTIONS})

    @app.get("/repo")
    def repos() -> Response:
        return answer("", [{"ID": id_, "Url": str(path)} for id_, path in office.repos.items()])

    @app.get("/repo/{id_}")
    def repo(id_: str) -> Response:
        if id_ not in office.repos:
            raise Refused(404, f"there is no repo {id_}")
        cases = [asdict(entry) for entry in office.entries() if office.repos[id_] in office.place(entry.digest).parents]
        return answer("", {"ID": id_, "Url": str(office.repos[id_]), "Cases": cases})

    @app.post("/repo")
    def refresh(Action: str = "") -> Response:  # noqa: N803 - the original's word
        if Action != "Refresh":
            raise Refused(422, f"Action {Action!r} is not supported; Refresh is")
        office.refresh()
        return answer(f"{len(office.entries())} cases")

    @app.get("/case")
    def cases(Group: str = "", Name: str = "", Tag: str = "", Page: int = 0, PageSize: int = PAGE) -> Response:  # noqa: N803
        wanted = Filter(tuple(filter(None, [Group])), tuple(filter(None, [Tag])), tuple(filter(None, [Name])))
        found = library.select(office.entries(), wanted)
        rows = [{"ID": entry.digest, **asdict(entry)} for entry in paged(found, Page, PageSize)]
        return answer(f"{len(found)} cases", rows)

    @app.post("/case")
    async def hand_in(request: Request) -> Response:
        data = await bundle_of(request)
        if data is None:
            raise Refused(415, "hand in a bundle: a tar.gz as the body, or as the field tcfile of a form")
        return answer(office.take(data), status=201)

    def found(id_: str) -> Path:
        try:
            return office.case_file(id_)
        except KeyError:
            raise Refused(404, f"there is no case {id_} that validates") from None

    @app.get("/case/{id_}")
    def case(id_: str) -> Response:
        place = found(id_).parent
        with tempfile.TemporaryDirectory() as scratch:
            tarball.pack(place, Path(scratch) / "bundle.tar.gz")
            data = (Path(scratch) / "bundle.tar.gz").read_bytes()
        return Response(data, media_type="application/gzip",
                        headers={"content-disposition": f'attachment; filename="{place.name}.tar.gz"'})  # fmt: skip

    @app.get("/case/{id_}/report")
    def case_report(id_: str) -> Response:
        for job in desk.jobs("finished", id_):
            if (directory := desk.run_directory(job.id)) and (directory / "report.md").exists():
                return FileResponse(directory / "report.md", media_type="text/markdown")
        raise Refused(404, "Case report is empty")

    @app.get("/resource")
    def resources() -> Response:
        return answer("", [asdict(offers.here(_host(office.target), name=office.target))])

    @app.post("/task")
    async def add(request: Request, Engine: str = "") -> Response:  # noqa: N803
        data = await bundle_of(request)
        id_ = office.take(data) if data is not None else (await body_of(request, 200)).decode("utf-8",
            "replace").strip()
        found(id_)
        try:
            target = str(parse(Engine or office.target))
        except SeatrialError as error:
            raise Refused(422, str(error)) from error
        return answer(desk.add(id_, target).id, status=201)

    @app.get("/task")
    def tasks(Status: str = "", Page: int = 0, PageSize: int = PAGE) -> Response:  # noqa: N803
        jobs = desk.jobs(Status)
        return answer(f"{len(jobs)} tasks", [job.plain for job in paged(jobs, Page, PageSize)])

    def job_of(id_: str) -> Any:
        try:
            return desk.job(id_)
        except KeyError:
            raise Refused(404, f"there is no task {id_}") from None

    @app.get("/task/{id_}")
    def task(id_: str) -> Response:
        return answer("", job_of(id_).plain)

    @app.get("/task/{id_}/report")
    def task_report(id_: str) -> Response:
        job = job_of(id_)
        directory = desk.run_directory(id_)
        if directory is None or not (directory / "report.md").exists():
            raise Refused(409 if job.state != "finished" else 404, f"the task is {job.state} and has no report")
        return FileResponse(directory / "report.md", media_type="text/markdown")

    @app.post("/task/{id_}")
    async def act(id_: str, request: Request) -> Response:
        job = job_of(id_)
        action = (await body_of(request, 200)).decode("utf-8", "replace").strip().strip('"')
        if action not in ACTIONS:
            raise Refused(422, f"Invalid action {action[:40]}; actions are {', '.join(ACTIONS)}")
        return _act(office, desk, job, action, found)

    return app


def _act(office: Office, desk: Desk, job: Any, action: str, found: Callable[[str], Path]) -> Response:
    """Do one of the five actions; deploying and all after it are one session, which always puts back what it made."""
    if action == "apply":
        if job.state != "init":
            raise Refused(409, f"Cannot apply when the current status is: {job.state}")
        document = examine(Bundle(found(job.case_id).parent), Report(""))
        assert document is not None  # noqa: S101 - it has just been found to validate
        placing = offers.place(Case.load(document.value), [offers.here(_host(job.target), name=job.target)])
        if placing.why_not:
            raise Refused(409, f"Cannot apply the resource: {placing.why_not}")
        desk.change(job.id, "allocated")
        return answer("allocated")
    if action in ("deploy", "run"):
        if job.state in OPEN:
            raise Refused(409, f"Cannot {action} when the current status is: {job.state}")
        found(job.case_id)
        desk.queue(job.id)
        return answer("queued: it is deployed, run, collected and destroyed in one go", status=202)
    if action == "collect":
        directory = desk.run_directory(job.id)
        if job.state != "finished":
            raise Refused(409, f"Cannot collect when the current status is: {job.state}")
        return answer(job.ending, {"Report": f"/task/{job.id}/report", "Files": str(directory) if directory else ""})
    desk.cancel(job.id)
    return answer("it puts back what it has made" if job.state == "running" else "nothing of it is left", status=202)


def _host(target: str) -> Any:
    """Return the host that a target is on, as far as it stands; this machine otherwise."""
    from seatrial.hosts import LOCAL
    from seatrial.lab import labs

    parsed = parse(target)
    lab = labs.find(parsed.lab_name) if parsed.is_lab else None
    return lab.host if lab is not None and lab.alive else LOCAL
