"""Putting the service on an address: to this machine alone, or with a token to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seatrial import listening
from seatrial.errors import SeatrialError
from seatrial.listening import Address
from seatrial.oct import desk as desk_
from seatrial.oct import hostlist
from seatrial.oct.desk import Desk
from seatrial.oct.office import Office
from seatrial.oct.service import application


def serve(address: Address, directory: Path, libraries: Sequence[Path], target: str, token: str,
          tell: Callable[[str], None], scheduler: str = "", keys: Path | None = None) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; with a scheduler, tasks run on the hosts of its cluster.

    Raises `SeatrialError` E712 for an open address without a token, E643 when the address cannot be had.
    """
    if not address.private and not token:
        raise SeatrialError(
            "E712", f"the service has no token and would be reached from outside on {address}", "",
            "give it --token-file FILE, or let it listen on 127.0.0.1:PORT",
        )  # fmt: skip
    hosts = hostlist.of_cluster(scheduler, keys) if scheduler else None
    command = desk_.on_cluster(scheduler, keys) if scheduler else desk_.session
    office = Office(directory, libraries, target, hosts)
    desk = Desk(directory, office.case_file, command, tell)
    listener = address.listen()
    tell(f"listening on {listening.where(listener)}, {len(office.entries())} cases")
    desk.start()
    try:
        listening.serve(application(office, desk, token), listener)
    finally:
        desk.close()
