"""What the service answers: one envelope, with the fields of each kind of data, and errors that say what to do."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from seatrial.errors import SeatrialError

T = TypeVar("T")
State = Literal["init", "allocated", "queued", "running", "finished"]


class Answer(BaseModel, Generic[T]):
    """What went well."""

    Status: Literal["ok"]
    Message: str
    Data: T


class Nothing(Answer[None]):
    """A word without data."""


class Trouble(BaseModel):
    """An error of the harness: a stable code, what happened, why, and what to do about it."""

    Code: str = Field(pattern="^E[0-9]{3}$")
    Message: str
    Cause: str
    Hint: str


class Fault(BaseModel):
    """What is wrong with a bundle: a code that `seatrial oct explain` knows, and its place."""

    Code: str
    Line: int
    Column: int
    Path: str
    Message: str


class Failure(BaseModel):
    """What did not go well; Data are the faults of a bundle."""

    Status: Literal["failed"]
    Message: str
    Data: list[Fault] | None
    Error: Trouble


class Index(BaseModel):
    """What there is."""

    Paths: list[str]
    Actions: list[str]


class Repo(BaseModel):
    """A library of cases."""

    ID: str
    Url: str


class CaseRow(BaseModel):
    """A case as it is listed; ID and digest are one."""

    ID: str
    path: str
    name: str
    digest: str
    group: str
    summary: str
    version: str
    tags: list[str]
    needs: list[str]
    variants: int
    broken: str


class RepoCases(Repo):
    """A library with the cases of one page."""

    Cases: list[CaseRow]


class TaskRow(BaseModel):
    """A task as it stands; times are seconds since 1970."""

    id: str
    case_id: str
    target: str
    state: State
    ending: str
    message: str
    created: float
    changed: float


class Collected(BaseModel):
    """Where what a task has found lies."""

    Report: str
    Files: str


class Resource(BaseModel):
    """A host with its engines, as cases are matched with it; sizes are bytes."""

    ID: str
    Name: str
    Class: Literal["os"]
    Distribution: str
    Version: str
    Arch: str
    CPU: int
    Memory: int
    Disk: int
    Engines: list[str]
    Facts: dict[str, Any]


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """An answer that is not what was asked for."""

    def __init__(self, status: int, error: SeatrialError, data: Any = None) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error
        self.data = data


def missing(kind: str, id_: str, hint: str) -> Refused:
    """Return the answer to who asks for what is not there."""
    return Refused(404, SeatrialError("E721", f"there is no {kind} {id_[:80]}", "", hint))


def misfit(name: str, value: object, cause: str, hint: str) -> Refused:
    """Return the answer to a query that is not taken."""
    return Refused(422, SeatrialError("E722", f"{name}={str(value)[:80]} is not taken", cause, hint))


def answer(message: str = "", data: Any = None, status: int = 200) -> JSONResponse:
    """Return what went well."""
    return JSONResponse({"Status": "ok", "Message": message, "Data": data}, status)


def failure(status: int, error: SeatrialError, data: Any = None) -> JSONResponse:
    """Return what did not."""
    told = {"Code": error.code, "Message": error.message, "Cause": error.cause, "Hint": error.hint}
    message = ": ".join(filter(None, (error.message, error.cause)))
    return JSONResponse({"Status": "failed", "Message": message, "Data": data, "Error": told}, status)
