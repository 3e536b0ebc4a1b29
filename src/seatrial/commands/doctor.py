"""`seatrial doctor`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from seatrial.commands import console, say, tell, verb
from seatrial.errors import Exit

if TYPE_CHECKING:
    from rich.console import Console

    from seatrial.doctor import Diagnosis, Possible
    from seatrial.results import TargetInfo

_MORE = """\
Without TARGET: this machine, the target that would be chosen, and all that could be named. A lab that
does not stand is started to be looked at, and taken down again.

examples:
  seatrial doctor
  seatrial doctor docker@trixie podman@sid
  seatrial doctor crun@sid runtime:/usr/sbin/runc
  seatrial doctor --json | jq .targets

exit codes: 0 examined, 4 a target cannot be reached (error code, cause and hint are printed)
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verb(verbs, "doctor", run, "show what this machine and the targets can do, and why not", _MORE)
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="as docker, podman@sid, crun@trixie")
    parser.add_argument("--json", action="store_true", help="as JSON (schema: seatrial/schemas/doctor.json)")


def run(arguments: argparse.Namespace) -> int:
    """Examine and print."""
    from seatrial import doctor

    found, errors = doctor.examine(arguments.targets, say)
    if arguments.json:
        tell(json.dumps(found.json(), indent=1))
    elif found.targets or not errors:
        render(found, console())
    for error in errors:
        say(str(error))
    return Exit.USAGE if errors else Exit.OK


def render(found: Diagnosis, out: Console) -> None:
    """Print a diagnosis as tables."""
    _title(out, "this machine")
    _facts(out, _machine(found))
    for info in found.targets:
        _title(out, info.name + (" (taken when no target is named)" if info.name == found.chosen else ""))
        _facts(out, {**(_runtime(info) if "version_text" in info.facts else _engine(info)), **_own_kernel(info)})
        _requirements(out, info)
    if found.possible:
        _possible(out, found)
    _kernel(out, found)


def _title(out: Console, text: str) -> None:
    from rich.text import Text

    out.print(Text(f"\n{text}", style="bold"))


def _facts(out: Console, rows: Mapping[str, object]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value not in ("", None):
            table.add_row(name, str(value))
    out.print(table)


def _words(values: Iterable[object], none: str = "none") -> str:
    return ", ".join(str(value) for value in values) or none


def _machine(found: Diagnosis) -> dict[str, object]:
    from seatrial.report.wording import size

    host = found.host
    held = [name for name, has in host["capabilities"].items() if has]
    lacking = [name for name, has in host["capabilities"].items() if not has]
    may = "all capabilities" if host.get("all_capabilities") else (
        f"{_words(held)}; not {_words(lacking)}" if lacking else f"{_words(held)}, but not all capabilities"
    )  # fmt: skip
    return {
        "system": f"{host['system']}, {host['arch']}",
        "kernel": host["kernel"] + (f": {found.kernel_too_old}" if found.kernel_too_old else ""),
        "processors": f"{host['cpus']} x {host.get('cpu') or host['arch']}",
        "memory": f"{size(host['memory'])}, {'with' if host['swap'] else 'no'} swap",
        "cgroup": f"{host['cgroup']['version']}: {_words(host['cgroup']['controllers'], 'no controllers')}",
        "security modules": _words(host["lsm"]),
        "seccomp": "yes" if host["seccomp"] else "no",
        "user namespaces": "yes" if host["userns"] else "no (user.max_user_namespaces is 0)",
        "root": f"yes, with {may}" if host["root"] else f"no, with {may}",
        "network": f"none ({host['network']})" if host["network"] else "a registry takes connections",
        "tools": _words(path for path in host["tools"].values() if path),
    }


def _engine(info: TargetInfo) -> dict[str, object]:
    facts = info.facts
    limits = facts.get("limits", {})
    plugins = facts.get("plugins", {})
    return {
        "engine": f"{info.engine} {info.version}",
        "API": info.api or "none",
        "runtime": f"{info.runtime} (has {_words(facts.get('runtimes', []))})",
        "storage": info.storage + (f" in {facts['root_dir']}" if facts.get("root_dir") else ""),
        "cgroup": f"{info.cgroup}, driver {facts.get('cgroup_driver') or 'unknown'}",
        "security": _words(facts.get("security", [])) + (", rootless" if facts.get("rootless") else ""),
        "limits": _words(name.replace("_", " ") for name, has in limits.items() if has),
        "registries": _words(facts.get("registries", [])),
        "plugins": "; ".join(f"{kind}: {_words(names)}" for kind, names in plugins.items() if names),
        "says": "\n".join(facts.get("warnings", [])),
    }


def _own_kernel(info: TargetInfo) -> dict[str, object]:
    if "kernel" not in info.facts:
        return {}
    return {"kernel": info.facts["kernel"], "security modules": _words(info.facts["lsm"])}


_SPECIFICATION = ("ociVersionMin", "ociVersionMax")


def _runtime(info: TargetInfo) -> dict[str, object]:
    features = info.facts["features"]
    linux = features.get("linux") or {}
    group = linux.get("cgroup") or {}
    security = [name for name in ("seccomp", "apparmor", "selinux") if (linux.get(name) or {}).get("enabled")]
    return {
        "runtime": "\n".join(info.facts["version_text"]),
        "features": info.facts["features_reason"],
        "specification": " to ".join(features[name] for name in _SPECIFICATION if name in features),
        "namespaces": _words(linux.get("namespaces") or [], ""),
        "cgroup": _words((name for name, on in group.items() if on), ""),
        "security": _words(security, "none" if features else ""),
        "capabilities": len(linux.get("capabilities") or []) or "",
        "hooks": _words(features.get("hooks") or [], ""),
    }


def _requirements(out: Console, info: TargetInfo) -> None:
    from rich.table import Table

    holds = [name for name, outcome in info.requirements.items() if outcome.holds]
    _facts(out, {"holds": _words(holds)})
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(style="yellow", max_width=40)
    table.add_column(overflow="fold")
    alike: dict[str, list[str]] = {}
    for name, outcome in info.requirements.items():
        if not outcome.holds:
            alike.setdefault(outcome.reason, []).append(name)
    for reason, names in alike.items():
        table.add_row(" ".join(names), reason)
    if table.row_count:
        out.print("\n  does not hold, because")
        out.print(table)


def _possible(out: Console, found: Diagnosis) -> None:
    _title(out, "targets that can be named")
    if found.chosen_reason:
        out.print(f"  {found.chosen or 'none is chosen'}: {found.chosen_reason}")
    rows: dict[str, object] = {}

    def alike(item: Possible) -> tuple[str, str, str]:
        return item.target.partition("@")[0], item.state, item.detail

    for (_, state, detail), items in groupby(found.possible, alike):
        rows[" ".join(item.target for item in items)] = f"{'' if state == 'absent' else 'yes, '}{detail}"
    _facts(out, {name: text if str(text).startswith("yes") else f"no: {text}" for name, text in rows.items()})


def _kernel(out: Console, found: Diagnosis) -> None:
    config = found.kernel_config
    if not config["source"]:
        _title(out, f"kernel options: {config['reason']}")
        return
    _title(out, f"kernel options ({config['source']})")
    if not found.possible:
        missing = [option["name"] for option in config["options"] if option["state"] == "missing"]
        _facts(out, {"missing": _words(missing), "": "`seatrial doctor` without a target lists all"})
        return
    for group, options in groupby(config["options"], lambda option: option["group"]):
        out.print(f"  {group}")
        _options(out, list(options))


def _options(out: Console, options: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 0, 0, 4))
    table.add_column(no_wrap=True, min_width=38)
    table.add_column()
    for option in options:
        table.add_row(option["name"], option["state"], style="yellow" if option["state"] == "missing" else "")
    out.print(table)
