"""`seatrial hook`: the receiver of GitLab's hooks, for a Jenkins without the GitLab plugin."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from seatrial.commands import say, verb
from seatrial.errors import Exit, not_installed

_HOOK = """\
exit codes: those of its verbs
"""
_SERVE = """\
Takes merge request and comment events at /project/NAME, starts the job of that project in Jenkins, and
posts status and note. docs/ci.md shows a configuration and says what is checked. /metrics and /healthz tell
how it does. What was answered is on the disk: it may be stopped at any time.

examples:
  seatrial hook serve --config hook.toml
  seatrial hook serve --config hook.toml --listen 10.0.0.5:8077

exit codes: 143 ended by SIGTERM, 130 by ^C, 4 it cannot start (code, cause and hint are printed)
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verbs."""
    top = verb(verbs, "hook", lambda _: _usage(top), "receive GitLab's hooks and trigger Jenkins", _HOOK)
    inner = top.add_subparsers(title="verbs", metavar="VERB", parser_class=type(top))
    serve = verb(inner, "serve", run_serve, "serve the receiver, on loopback unless told otherwise", _SERVE)
    serve.add_argument("--config", metavar="FILE", type=Path, required=True, help="hook.toml")
    serve.add_argument("--listen", metavar="HOST:PORT",
                       help="where to listen, or a path for a unix socket (default: 127.0.0.1:8077)")  # fmt: skip


def _usage(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return Exit.OK


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    from seatrial.ci.hook import config
    from seatrial.listening import Address

    found = config.load(arguments.config)
    if arguments.listen:
        found = dataclasses.replace(found, listen=Address.parse(arguments.listen))
    try:
        from seatrial.ci.hook.serve import serve
    except ImportError as error:
        raise not_installed("the receiver", error.name or "fastapi", "pip install 'seatrial[service]'") from error
    serve(found, say)
    return Exit.OK
