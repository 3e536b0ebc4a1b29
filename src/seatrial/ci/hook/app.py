"""The HTTP side: checked, judged, written down, answered. Never 4xx for what is merely of no use.

GitLab switches a hook off after four answers of 4xx or 5xx in a row.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from seatrial.ci.hook import auth, events
from seatrial.ci.hook.config import Config, Project
from seatrial.ci.hook.store import Store

LARGEST = 1024 * 1024
BODY_SECONDS = 10.0


class TooLargeError(Exception):
    """A body is larger than is read."""


class Receiver:
    """What the requests share: configuration, store, counters, and the bell that wakes the worker."""

    def __init__(
        self, config: Config, store: Store, *, now: Callable[[], float] = time.time,
        alive: Callable[[], bool] = lambda: True, trouble: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self.config, self.store, self.now, self.alive = config, store, now, alive
        self.trouble = trouble
        self.bell = threading.Event()
        self.outcomes: Counter[str] = Counter()

    def app(self) -> FastAPI:
        """Return the application; its paths are /project/NAME, /metrics and /healthz."""
        app = FastAPI(title="seatrial hook", docs_url=None, redoc_url=None, openapi_url=None)
        app.add_api_route("/project/{name}", self.hook, methods=["POST"])
        app.add_api_route("/metrics", self.metrics, methods=["GET"])
        app.add_api_route("/healthz", self.health, methods=["GET"])
        return app

    async def hook(self, name: str, request: Request) -> Response:
        """Take an event."""
        project = self.config.projects.get(name)
        if project is None:
            return self._answer(404, "unknown", "there is no such project")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TooLargeError:
            return self._answer(413, "too-large", f"at most {LARGEST} bytes")
        except TimeoutError:
            return self._answer(408, "too-slow", "the body did not come")
        headers = {key.lower(): value for key, value in request.headers.items()}
        if why := auth.refusal(project, headers, body, self.now()):
            return self._answer(401, "unauthorized", why)
        kind = headers.get("x-gitlab-event", "")
        if kind not in ("Merge Request Hook", "Note Hook"):
            return self._answer(202, "ignored", "such events are not used")
        return await run_in_threadpool(self._take, project, kind, headers, body)

    def _take(self, project: Project, kind: str, headers: dict[str, str], body: bytes) -> Response:
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            return self._answer(400, "broken", "it is no JSON")
        wanted = events.asked(project, kind, payload)
        became = self.store.accept(project, auth.delivery(headers, body), wanted, self.now())
        if became not in ("ignored", "duplicate", "known"):
            self.bell.set()
        return self._answer(202, became, wanted.why if became == "ignored" else "")

    def _answer(self, status: int, outcome: str, why: str = "") -> Response:
        self.outcomes[outcome] += 1
        return JSONResponse({"outcome": outcome, **({"why": why} if why else {})}, status)

    async def metrics(self) -> Response:
        """Show counters and states in Prometheus' text format."""
        counts, oldest = await run_in_threadpool(lambda: (self.store.counts(), self.store.oldest()))
        lines = ["# HELP seatrial_hook_requests_total Requests by what became of them.",
                 "# TYPE seatrial_hook_requests_total counter"]  # fmt: skip
        lines += [f'seatrial_hook_requests_total{{outcome="{name}"}} {count}'
                  for name, count in sorted(self.outcomes.items())]  # fmt: skip
        lines += ["# HELP seatrial_hook_builds Builds by state.", "# TYPE seatrial_hook_builds gauge"]
        lines += [f'seatrial_hook_builds{{state="{name}"}} {count}' for name, count in counts.items()]
        age = max(self.now() - oldest, 0.0) if oldest is not None else 0.0
        lines += ["# HELP seatrial_hook_oldest_seconds Age of the oldest build of which Jenkins has not been told.",
                  "# TYPE seatrial_hook_oldest_seconds gauge", f"seatrial_hook_oldest_seconds {age:.0f}", ""]
        return PlainTextResponse("\n".join(lines))

    async def health(self) -> Response:
        """Tell whether events are taken and worked on."""
        try:
            await run_in_threadpool(self.store.counts)
        except Exception as error:  # whatever is wrong with the file, this is where it shows
            return JSONResponse({"ok": False, "why": type(error).__name__}, 503)
        if not self.alive():
            return JSONResponse({"ok": False, "why": "the worker stands still"}, 503)
        if why := self.trouble():
            return JSONResponse({"ok": False, "why": why[:500]}, 503)
        return JSONResponse({"ok": True})


async def _body(request: Request) -> bytes:
    length: Any = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > LARGEST:
        raise TooLargeError
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise TooLargeError
        parts.append(part)
    return b"".join(parts)
