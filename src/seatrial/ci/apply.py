"""What a controller should have: plugins, nodes, folders and jobs, from a directory of definitions.

The directory holds plugins.txt, nodes/<name>.xml and jobs/<name>.xml. A plan is made first, of everything;
nothing is changed before it is whole. `${SEATRIAL_...}` in a definition stands for a value of the site: a
named one is filled in, others are left to the controller's global environment, where Jenkins looks there at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from packaging.version import InvalidVersion, Version

from seatrial import foreign
from seatrial.ci import markup
from seatrial.ci.jenkins import Controller, job_path
from seatrial.errors import SeatrialError

_TOKEN = re.compile(r"\$\{(SEATRIAL_[A-Z_]+)\}")
_PLUGIN = re.compile(r"([A-Za-z0-9_.-]+):(\S+)")
SECRET = "secretToken"  # noqa: S105 - the element's name
_STARTED = ".//hudson.plugins.parameterizedtrigger.BuildTriggerConfig/projects"
_TRIGGER = "com.dabsquared.gitlabjenkins.GitLabPushTrigger"


@dataclass(frozen=True)
class Definitions:
    """The definitions of a directory: plugin -> version, node -> XML, job -> XML."""

    plugins: dict[str, str]
    nodes: dict[str, str]
    jobs: dict[str, str]


@dataclass
class Step:
    """One line of a plan: `action` is same, create, update, missing or old; `diff` says what would change.

    An action of lacks tells of a job that another one starts and that is not there: Jenkins would not say so.
    """

    kind: str
    name: str
    action: str
    diff: list[str] = field(default_factory=list)
    act: Callable[[], None] | None = None

    def __str__(self) -> str:
        return f"{self.action:8} {self.kind} {self.name}"

    @property
    def blocks(self) -> bool:
        """Whether nothing may be applied because of it."""
        return self.action in ("missing", "old")

    @property
    def changes(self) -> bool:
        """Whether something is not as wanted that the plan speaks of."""
        return self.action not in ("same", "lacks")


def load(directory: Path, only: Collection[str] = (), values: Mapping[str, str] | None = None) -> Definitions:
    """Read the definitions of a directory, with the site's values in place of their names.

    `only` names the nodes and jobs that are wanted. Raises `SeatrialError` E613 for what cannot be read, E625 for a
    value that stands in none of the definitions, wanted or not.
    """
    if not (directory / "jobs").is_dir():
        raise _broken(directory, "there is no directory jobs in it")
    site = dict(values or {})
    texts = [text for kind in ("nodes", "jobs") for _, text in _texts(directory / kind)]
    known = {name for text in texts for name in _TOKEN.findall(text)}
    if strange := sorted(set(site) - known):
        raise SeatrialError(
            "E625", f"no definition in {directory} has a place for {strange[0]}",
            f"they have places for {', '.join(sorted(known)) or 'nothing'}", "is the name right?",
        )  # fmt: skip
    found = Definitions(
        _plugins(directory / "plugins.txt"),
        dict(_documents(directory / "nodes", only, site)),
        dict(_documents(directory / "jobs", only, site)),
    )
    if missing := set(only) - set(found.nodes) - set(found.jobs):
        raise _broken(directory, f"it defines no {', '.join(sorted(missing))}")
    if not found.nodes and not found.jobs:
        raise _broken(directory, "it defines no node and no job")
    return found


def _broken(path: Path, cause: str) -> SeatrialError:
    return SeatrialError(
        "E613", f"the definitions in {path} cannot be used", cause,
        "it holds plugins.txt, nodes/NAME.xml and jobs/NAME.xml, as jenkins/ in the checkout does",
    )  # fmt: skip


def _plugins(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not (match := _PLUGIN.fullmatch(text)):
            raise _broken(path, f"{text!r} is not PLUGIN:VERSION")
        found[match[1]] = match[2]
    return found


def _texts(directory: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(directory.glob("*.xml")):
        try:
            yield path, path.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise _broken(path, str(error)) from error


def _documents(directory: Path, only: Collection[str], values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path, text in _texts(directory):
        if only and path.stem not in only:
            continue
        try:
            foreign.parse(text)
        except ValueError as error:
            raise _broken(path, str(error)) from error
        yield path.stem, _TOKEN.sub(lambda match: escape(values.get(match[1], match[0])), text)


def plan(controller: Controller, wanted: Definitions, *, folder: str = "", hook_token: str = "") -> list[Step]:
    """Compare what is wanted with what is there. Jobs go into `folder`; `hook_token` is what GitLab will send.

    Raises `SeatrialError` E615 for what needs a value that it was not given and E616 for a job that anyone could
    trigger.
    """
    installed = controller.plugins() if wanted.plugins else {}
    steps = [_plugin_step(name, version, installed.get(name)) for name, version in wanted.plugins.items()]
    steps += [_node_step(controller, name, xml) for name, xml in wanted.nodes.items()]
    if wanted.jobs and folder:
        parts = folder.strip("/").split("/")
        steps += [_folder_step(controller, "/".join(parts[:depth])) for depth in range(1, len(parts) + 1)]
    prefix = f"{folder.strip('/')}/" if folder else ""
    steps += [_job_step(controller, f"{prefix}{name}", xml, hook_token) for name, xml in wanted.jobs.items()]
    started = {name for xml in wanted.jobs.values() for name in _started(xml)} - set(wanted.jobs)
    absent = [name for name in sorted(started) if controller.job_config(f"{prefix}{name}") is None]
    return steps + [Step("job", f"{prefix}{name}, which others start", "lacks") for name in absent]


def _started(xml: str) -> Iterator[str]:
    for node in foreign.parse(xml).iterfind(_STARTED):
        yield from (name.strip() for name in (node.text or "").split(",") if name.strip())


def _plugin_step(name: str, version: str, installed: str | None) -> Step:
    if installed is None:
        return Step("plugin", f"{name} {version}", "missing")
    old = _older(installed, version)
    return Step("plugin", f"{name} {installed}" + (f", needed: {version}" if old else ""), "old" if old else "same")


def _older(installed: str, wanted: str) -> bool:
    """Compare versions of plugins: 1.9.12, 634.vedc7242b_eda_7 (the number counts, the hash does not)."""
    try:
        return Version(installed) < Version(wanted)
    except InvalidVersion:
        numbers = [[int(number) for number in re.findall(r"(?:^|[.-])(\d+)", text)] for text in (installed, wanted)]
        return numbers[0] < numbers[1]


def _node_step(controller: Controller, name: str, xml: str) -> Step:
    _complete(f"the node {name}", xml)
    current = controller.node_config(name)
    if current is None:
        return Step("node", name, "create", _added(xml), lambda: controller.create_node(name, xml))
    diff = markup.difference(current, xml, subset=True)
    return Step("node", name, "update" if diff else "same", diff, lambda: controller.update_node(name, xml))


def _complete(what: str, xml: str) -> None:
    if missing := sorted(set(_TOKEN.findall(xml))):
        raise SeatrialError(
            "E615", f"{what} needs a value for {missing[0]}", "Jenkins fills nothing in there",
            f"--set {missing[0]}=VALUE",
        )  # fmt: skip


def _folder_step(controller: Controller, name: str) -> Step:
    if controller.job_config(name) is not None:
        return Step("folder", name, "same")
    return Step("folder", name, "create", [], lambda: controller.create_folder(name))


def _job_step(controller: Controller, name: str, xml: str, hook_token: str) -> Step:
    job_path(name)
    if foreign.parse(xml).tag.endswith("MultiBranchProject"):
        _complete(f"the job {name}", xml)  # it is scanned without a build, and so without a build's environment
    current = controller.job_config(name)
    wanted, changed = _secured(name, xml, current or "<none/>", hook_token)
    if current is None:
        return Step("job", name, "create", _added(wanted), lambda: controller.create_job(name, wanted))
    diff = markup.difference(current, wanted)
    if changed and not diff:
        diff = [f"-<{SECRET}>(another secret)</{SECRET}>", f"+<{SECRET}>(secret)</{SECRET}>"]
    return Step("job", name, "update" if diff else "same", diff, lambda: controller.update_job(name, wanted))


def _secured(name: str, xml: str, current: str, hook_token: str) -> tuple[str, bool]:
    """Put the hook's secret into a job that a hook starts; say whether it is another one than the job has."""
    if foreign.parse(xml).find(f".//{_TRIGGER}") is None:
        return xml, False
    there = markup.secret_of(current, SECRET)
    token = hook_token or there
    if not token:
        raise SeatrialError(
            "E616", f"anyone could trigger {name}", "it has a GitLab trigger and there is no secret for it",
            "name a file with the token that GitLab's hook will send: --hook-token-file FILE",
        )  # fmt: skip
    # once saved in the browser, Jenkins shows it encrypted: it can no longer be compared
    encrypted = re.fullmatch(r"\{[A-Za-z0-9+/=]+\}", there) is not None
    return markup.with_text(xml, SECRET, token), bool(hook_token) and (encrypted or there != hook_token)


def _added(xml: str) -> list[str]:
    return [f"+{line}" for line in markup.lines(foreign.parse(xml))]


def carry_out(steps: list[Step], tell: Callable[[str], None]) -> int:
    """Do what a plan says and return how many things it changed; raises `SeatrialError` E614 when it is blocked."""
    if blocked := [step for step in steps if step.blocks]:
        raise SeatrialError(
            "E614", "the controller lacks plugins", ", ".join(step.name for step in blocked),
            "install them: Manage Jenkins, Plugins, or in the image jenkins-plugin-cli --plugin-file "
            "jenkins/plugins.txt; then restart. docs/ci.md shows a package's way",
        )  # fmt: skip
    done = 0
    for step in steps:
        if step.action != "same" and step.act is not None:
            step.act()
            tell(f"{step.action}d {step.kind} {step.name}")
            done += 1
    return done
