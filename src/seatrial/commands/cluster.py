"""`seatrial oct scheduler`, `worker`, `keys` and `run --scheduler`: cases on the hosts of a cluster."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.commands import say, tell, verb
from seatrial.errors import Exit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Sequence

    from seatrial.oct.library import Entry

_SCHEDULER = """\
Keeps the books of a cluster: what its workers offer, and who holds them. It is spoken to from this machine alone;
an address that others can reach needs keys. Who may speak to it has its workers run commands.

examples:
  seatrial oct scheduler
  seatrial oct scheduler --listen 10.0.0.5:8786 --tls keys/

exit codes: 0 ended by a signal, 4 it cannot start
"""
_WORKER = """\
Lets a cluster run cases on this host, with the engines that are named. It tells the scheduler what it has:
distribution, version, architecture, engines, CPUs, memory, free disk, commands. The labs of its targets stand for
as long as it runs. Its cases run in sessions of their own, which end when it does and put back what they made.

examples:
  seatrial oct worker 127.0.0.1:8786 --engine docker@bookworm --engine runc@bookworm
  seatrial oct worker 10.0.0.5:8786 --listen 10.0.0.6:0 --tls keys/ --name rack-6 --engine docker

exit codes: 0 ended by a signal, 4 it cannot start, or its scheduler went away
"""
_KEYS = """\
Makes ca.pem, cert.pem and key.pem. Whoever has them may speak to a cluster that uses them: copy the directory to
each of its hosts over a way that you trust, and nowhere else.

examples:
  seatrial oct keys keys/

exit codes: 0 made, 4 they are there already
"""


def add(inner: argparse._SubParsersAction[argparse.ArgumentParser], *clients: argparse.ArgumentParser) -> None:
    """Declare the verbs, and the options of those that have a cluster run cases."""
    for client in clients:
        client.add_argument("--scheduler", metavar="ADDRESS", default="", help="run on a cluster's hosts: HOST:PORT")
    books = verb(inner, "scheduler", run_scheduler, "keep the books of a cluster of hosts", _SCHEDULER)
    books.add_argument("--listen", metavar="ADDRESS", default="127.0.0.1:8786",
                       help="HOST:PORT (default: 127.0.0.1:8786)")  # fmt: skip
    host = verb(inner, "worker", run_worker, "let a cluster run cases on this host", _WORKER)
    host.add_argument("scheduler", metavar="SCHEDULER", help="its address: HOST:PORT")
    host.add_argument("--engine", action="append", metavar="TARGET", help="what is offered; repeat for several")
    host.add_argument("--name", metavar="NAME", default=socket.gethostname(), help="of this host (default: its own)")
    host.add_argument("--listen", metavar="ADDRESS", default="127.0.0.1:0",
                      help="HOST:PORT that the scheduler reaches this worker at (default: 127.0.0.1:0)")  # fmt: skip
    host.add_argument("--slots", metavar="N", type=int, default=1, help="how many cases run at once (default: one)")
    for parser in (*clients, books, host):
        parser.add_argument("--tls", metavar="DIR", type=Path, help="the keys of the cluster, made by `oct keys`")
    keys = verb(inner, "keys", run_keys, "make the keys of a cluster", _KEYS)
    keys.add_argument("directory", metavar="DIR", type=Path, help="where they are put")


def run_across(arguments: argparse.Namespace, entries: Sequence[Entry]) -> int:
    """Run cases on a cluster."""
    from seatrial.oct import freshness
    from seatrial.oct.across import trust
    from seatrial.targets import discover, parse

    place = trust.Place.parse(arguments.scheduler, arguments.tls)
    trust.distributed()
    from seatrial.oct.across import run

    targets = [str(parse(text)) for text in arguments.engine or [str(discover())]]
    todo = run.jobs(arguments.library, entries, targets)
    if arguments.only:
        wanted, store = freshness.states(arguments.only), freshness.Store(arguments.results / freshness.NAME)
        due = {(one.entry.path, target): one for target in targets for one in store.plan(entries, target)
               if one.state in wanted}  # fmt: skip
        todo = [job for job in todo if (job.entry.path, job.target) in due]
        for one in due.values():
            tell(f"  {one.entry.name} on {one.target}: {one.state}: {one.reason}")
    return run.run(place, todo, arguments.results, arguments.set, ["seatrial", *sys.argv[1:]], tell)


def _until_told(serve: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    """Run a service until SIGTERM or SIGINT."""
    import asyncio

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(stop)

    asyncio.run(run())
    return Exit.OK


def run_scheduler(arguments: argparse.Namespace) -> int:
    """Keep the books until a signal ends it."""
    from seatrial.oct.across import trust

    place = trust.Place.parse(arguments.listen, arguments.tls)
    trust.distributed()
    from seatrial.oct.across import ledger

    return _until_told(lambda stop: ledger.serve(place, say, stop))


def run_worker(arguments: argparse.Namespace) -> int:
    """Be a worker until a signal ends it."""
    from seatrial.oct.across import trust
    from seatrial.targets import discover, parse

    place = trust.Place.parse(arguments.scheduler, arguments.tls)
    listen = trust.Place.parse(arguments.listen, arguments.tls)
    trust.distributed()
    from seatrial.oct.across import worker

    targets = [str(parse(text)) for text in arguments.engine or [str(discover())]]
    return _until_told(
        lambda stop: worker.serve(place, listen, arguments.name, targets, arguments.slots, say, stop)
    )


def run_keys(arguments: argparse.Namespace) -> int:
    """Make keys and name their files."""
    from seatrial.oct.across import trust

    for path in trust.make(arguments.directory):
        tell(str(path))
    return Exit.OK
