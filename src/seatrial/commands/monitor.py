"""`seatrial monitor`."""

from __future__ import annotations

import argparse
import shlex
import threading
import time
from typing import TYPE_CHECKING

from seatrial.commands import say, tell, verb
from seatrial.errors import Exit

if TYPE_CHECKING:
    from seatrial.stress.alerts import Way

_MORE = """\
Each probe runs a container that echoes behind a published port, talks to it, kills and removes it. What an
earlier probe had to leave is removed. A failure is told by every way that is named, at most --alerts in an hour.

examples:
  seatrial monitor --engine docker --interval 5m --syslog --webhook https://chat.example/hook
  seatrial monitor --engine docker@bookworm --interval 10s --count 6 --alert-command 'logger -t engine'

exit codes: 0 every probe succeeded, 1 one did not, 2 interrupted, 4 it cannot run
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "monitor", run, "probe an engine over and over and tell when it fails", _MORE)
    parser.add_argument("--engine", metavar="TARGET", help="as for pytest (default: the one that is found)")
    parser.add_argument("-t", "--interval", default="300s", metavar="TIME", help="between probes (default 300s)")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N probes (default: never)")
    parser.add_argument("--alerts", type=int, default=6, metavar="N", help="at most N alerts an hour (default 6)")
    group = parser.add_argument_group("whom to tell")
    group.add_argument("--alert-command", metavar="COMMAND",
                       help="run it with the subject as last argument and the text on standard input")  # fmt: skip
    group.add_argument("-e", "--email", nargs="+", default=[], metavar="ADDRESS", help="send mail")
    group.add_argument("--mail-server", default="localhost:25", metavar="HOST[:PORT]", help="(default localhost:25)")
    group.add_argument("--syslog", nargs="?", const="/dev/log", metavar="ADDRESS",
                       help="a socket's path (default /dev/log) or HOST:PORT")  # fmt: skip
    group.add_argument("--webhook", metavar="URL", help="POST the alert there as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Probe until the count is reached or somebody interrupts."""
    from pathlib import Path

    from seatrial import runs
    from seatrial.controller import sweep
    from seatrial.lab import images
    from seatrial.names import new_run_id
    from seatrial.selection import seconds
    from seatrial.stress.alerts import Alerts
    from seatrial.stress.health import Prober
    from seatrial.stress.run import driver_of, reached
    from seatrial.targets import discover, parse

    interval = seconds(arguments.interval)
    alerts = Alerts(_ways(arguments), arguments.alerts)
    target = parse(arguments.engine) if arguments.engine else discover()
    name = new_run_id()
    failures = probes = 0
    with runs.begun(name, Path(), [str(target)]), reached(target, name, say) as engine:
        images.provide(engine)
        prober = Prober(engine, lambda: driver_of("http", engine, name), name)
        try:
            while True:
                began = time.monotonic()
                health = prober.probe()
                probes += 1
                tell(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {target} {health}")
                if health.problem:
                    failures += 1
                    for problem in alerts.tell(f"{target} fails", str(health)):
                        say(f"an alert was not sent: {problem}")
                if probes == arguments.count:
                    break
                threading.Event().wait(max(0.0, interval - (time.monotonic() - began)))
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        finally:
            sweep(engine, name)
            tell(f"{probes} probes, {failures} failures")
    return Exit.FAILED if failures else Exit.OK


def _ways(arguments: argparse.Namespace) -> list[Way]:
    from seatrial.stress import alerts

    ways: list[Way] = []
    if arguments.alert_command:
        ways.append(alerts.Command(shlex.split(arguments.alert_command)))
    if arguments.email:
        ways.append(alerts.Mail(arguments.email, arguments.mail_server))
    if arguments.syslog:
        ways.append(alerts.Syslog(arguments.syslog))
    if arguments.webhook:
        ways.append(alerts.Webhook(arguments.webhook))
    return ways
