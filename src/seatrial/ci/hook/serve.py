"""The service: uvicorn in front, the worker beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from seatrial import listening
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
    receiver = Receiver(config, store, alive=lambda: worker.alive and thread.is_alive(), trouble=lambda: worker.trouble)
    try:
        listener = config.listen.listen()
    except SeatrialError:
        store.close()
        raise
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(receiver.bell, stop), name="worker")
    tell(f"listening on {listening.where(listener)}, /project/NAME for {', '.join(config.projects)}")
    thread.start()
    try:
        listening.serve(receiver.app(), listener)
    finally:
        stop.set()
        receiver.bell.set()
        thread.join()
        store.close()


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
