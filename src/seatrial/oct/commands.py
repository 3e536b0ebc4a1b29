"""What can be seen of a command without running it: warnings about commands that go wrong elsewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

# what is asked of a network: an address that is no variable and not this machine, or a package manager
_NETWORK = re.compile(
    r"\b(?:wget|curl)\b[^|;&]*\bhttps?://(?!\$|localhost|127\.)|\bgit clone\b|\bgo get\b|\bgodep\b"
    r"|\b(?:apt-get|apt|yum|dnf|apk|pip3?|npm)\s+(?:-\S+\s+)*(?:install|update|add)\b|\bdocker\s+pull\b|\bdocker://"
)
_ENGINE = re.compile(r"(?<![\w./-])(docker|podman|nerdctl|rkt|runc|crun)\s+(?=[a-z-])(?!\.)")
_ENDLESS = re.compile(r"\bping6?\b(?![^|;&]*\s-\w*c)|\btail\s+-\w*f|\bsleep\s+inf|\byes\b\s*(?:$|[;&])|\btop\b(?!.*-n)")
_BACKGROUND = re.compile(r"(?<![&>\d])&(?![&>\d])")
_PATTERN = re.compile(
    r"\b(?:pkill|killall)\b|\bkill\b[^;|]*(?:`|\$\()\s*(?:ps|pgrep|pidof)|\b(?:docker|podman)\s+(?:rm|kill|stop)\b[^;|]*(?:`|\$\()"
    r"|\bps\b.*\bgrep\b.*\bkill\b|\b(?:docker|podman)\s+(?:system|container|image)\s+prune"
)
_COMPOUND = re.compile(r"\b(?:do|then|else|done|fi|esac)\b")


def text_of(command: Any) -> str:
    """Return a command, text or list, as one line of shell."""
    if isinstance(command, list | tuple):
        return shlex.join(str(word) for word in command)
    return command if isinstance(command, str) else ""


def suspicions(step: Mapping[str, Any], *, network: bool) -> Iterator[tuple[str, str, str]]:
    """List what is doubtful about a step's command: code, message, hint. `network` tells whether it may use one."""
    text = text_of(step.get("Cmd"))
    shell = isinstance(step.get("Cmd"), str)
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)
    if shell and ";" in bare and not _COMPOUND.search(bare) and not re.match(r"\s*set -\w*e", text):
        yield "OCT042", "mixes commands with ';': a failure before the last one is lost", "use a list, && or set -e"
    endless = _ENDLESS.search(text)
    if endless and not step.get("Background") and "Timeout" not in step:
        word = endless[0].split()[0]
        yield "OCT043", f"{word} has no end of its own and the step has no Timeout", "say -c, or make it Background"
    if shell and _BACKGROUND.search(bare):
        yield "OCT044", "puts a process into the background with &", 'use "Background": true'
    if not network and (asked := _NETWORK.search(text)):
        yield "OCT050", f"needs the network: {asked[0].strip()[:60]}", "put the file into source/, or declare the need"
    if _PATTERN.search(text):
        yield "OCT053", "ends processes or containers by a pattern, those of others too", "let the engine end them"
    if named := _ENGINE.search(text):
        yield "OCT055", f'names the engine "{named[1]}"', "use ${engine}, or Containers and Op"
