"""The service: uvicorn in front, the worker beside it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from seatrial.ci.gitlab import GitLab
from seatrial.ci.hook.app import Receiver
from seatrial.ci.hook.config import Config
from seatrial.ci.hook.store import Store
from seatrial.ci.hook.worker import Worker
from seatrial.ci.jenkins import Controller
from seatrial.errors import SeatrialError


def serve(config: Config, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; what was taken is on the disk and goes on at the next start.

    Raises `SeatrialError` E643 when the address cannot be had, E642 when the file cannot be opened.
    """
    store = Store(config.store)
    jenkins, gitlab = config.jenkins, config.gitlab
    controller = Controller(jenkins["url"], jenkins["user"], jenkins["token"], ca=_path(jenkins.get("ca")))
    reporter = GitLab(gitlab["url"], gitlab["token"], ca=_path(gitlab.get("ca")))
    worker = Worker(config.projects, store, lambda: controller, lambda: reporter, tell=tell)
    receiver = Receiver(config, store, alive=lambda: worker.alive)
    settings = uvicorn.Config(
        receiver.app(), log_level="warning", access_log=False, proxy_headers=False, server_header=False,
        timeout_keep_alive=5, timeout_graceful_shutdown=10, lifespan="off",
    )  # fmt: skip
    server = uvicorn.Server(settings)
    host, port = config.listen
    try:
        # from here on nothing is refused
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except OSError as error:
        store.close()
        raise SeatrialError(
            "E643", f"cannot listen on {host}:{port}", error.strerror or str(error),
            "name another address with --listen HOST:PORT",
        ) from error  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(receiver.bell, stop), name="worker")
    tell(f"listening on http://{host}:{listener.getsockname()[1]}/project/NAME, for {', '.join(config.projects)}")
    thread.start()
    try:
        with contextlib.closing(listener):
            server.run(sockets=[listener])
    finally:
        stop.set()
        receiver.bell.set()
        thread.join()
        store.close()


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
