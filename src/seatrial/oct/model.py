"""A case in the form that runs: frozen objects made from a document that is valid by its schema.

    Case.load(document)             the case as it is written
    case.combinations({"n": "3"})   its variants: one for each combination of its Matrix, parameters set

Variables of Matrix and Parameters are replaced in every text of a variant; those that only a run knows, such as
${server.address}, stay until then.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any

from seatrial.verdict import Level

SCHEMA_VERSION = "1"
GROUPS = ("Spec", "Function", "Performance", "Security", "Reliability", "Boundary")
IMAGES = ("busybox", "toolbox")
SOURCE = "source"

VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z0-9_.-]+)\})")
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip

Command = str | tuple[str, ...]
Exit = int | tuple[int, ...] | str


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of a case."""
    text = resources.files("seatrial.schemas").joinpath("oct-case.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def size(quantity: str) -> int:
    """Return a quantity such as 512MiB in bytes; raises `ValueError`."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?i?B)", quantity)
    if not match or match[2] not in _SIZES:
        raise ValueError(f"{quantity!r} is not a quantity")
    return int(float(match[1]) * _SIZES[match[2]])


def replaced(value: Any, variables: Mapping[str, str]) -> Any:
    """Return a JSON value with its variables replaced; unknown ones and $$ stay."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: variables.get(match[1] or "", match[0]), value)
    if isinstance(value, list):
        return [replaced(item, variables) for item in value]
    if isinstance(value, dict):
        return {name: replaced(item, variables) for name, item in value.items()}
    return value


def expanded(value: Any, variables: Mapping[str, str]) -> Any:
    """Return a JSON value with all variables replaced and $$ as a dollar sign; raises `KeyError` for an unknown one."""
    if isinstance(value, list):
        return [expanded(item, variables) for item in value]
    if isinstance(value, dict):
        return {name: expanded(item, variables) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda match: variables[match[1]] if match[1] else "$", value)


def names_in(value: Any) -> Iterator[str]:
    """List the names of the variables in a JSON value."""
    if isinstance(value, str):
        yield from (match[1] for match in VARIABLE.finditer(value) if match[1])
    elif isinstance(value, dict):
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)


@dataclass(frozen=True)
class Wait:
    """When something that was started is ready; every condition that is named must hold."""

    port: int = 0
    log: str = ""
    file: str = ""
    state: str = ""
    timeout: float = 20.0


@dataclass(frozen=True)
class Require:
    """A class of resources: a host, an image of containers, what the engine, the host or the kernel must have."""

    name: str
    type: str
    distribution: str = ""
    version: str = ""
    arch: str = ""
    cpu: float = 0.0
    memory: int = 0  # bytes
    disk: int = 0  # bytes
    amount: int = 1
    image: str = "busybox"
    dockerfile: str = ""
    rootfs: str = ""
    tool: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Container:
    """A container of a host: what it is made of, and how far Deploys takes it."""

    object: str
    klass: str
    cmd: Command = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    until: str = "running"
    expect_exit: Exit = 0
    timeout: float = 60.0
    wait: Wait | None = None


@dataclass(frozen=True)
class Step:
    """One command on an object, or one operation of the engine on a container."""

    object: str
    name: str
    phase: str  # deploy, run, destroy
    index: int
    cmd: Command = ()
    op: str = ""
    signal: str = ""
    stdin: str = ""
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    timeout: float = 300.0
    background: bool = False
    wait: Wait | None = None
    expect_exit: Exit = 0


@dataclass(frozen=True)
class HostPart:
    """What Deploys says of one host: its files, its command, its containers."""

    object: str
    klass: str
    files: tuple[str, ...]
    step: Step | None
    containers: tuple[Container, ...]


@dataclass(frozen=True)
class Collected:
    """A file that is kept after the run."""

    object: str
    path: str
    name: str
    required: bool = True
    limit: int = 1 << 20


@dataclass(frozen=True)
class Metric:
    """A number that a case measures, and how much worse than its baseline it may be."""

    name: str
    unit: str
    better: str = ""
    baseline: float | None = None
    tolerance: float = 0.0  # percent


@dataclass(frozen=True)
class Expectation:
    """What must hold afterwards: where to look, and what must be seen there."""

    source: str
    step: str = ""
    path: str = ""
    match: str | None = None
    equals: Any = ...
    contains: str | None = None
    json_path: str = ""
    op: str = ""
    value: Any = None
    absent: bool = False
    negative: bool = False
    level: Level = Level.MUST
    why: str = ""
    metric: Metric | None = None


@dataclass(frozen=True)
class SpecRef:
    """A place in a specification, and how binding it is."""

    spec: str
    version: str
    anchor: str
    level: Level


@dataclass(frozen=True)
class KnownFailure:
    """An engine, and the prefix of its versions, on which the case is known to fail."""

    engine: str
    version: str
    reason: str
    url: str


@dataclass(frozen=True)
class Case:
    """One case, or one variant of it."""

    name: str
    version: str
    summary: str
    description: str
    owner: str
    license: str
    group: str
    tags: tuple[str, ...]
    refs: tuple[SpecRef, ...]
    requires: tuple[Require, ...]
    hosts: tuple[HostPart, ...]
    run: tuple[Step, ...]
    collects: tuple[Collected, ...]
    expect: tuple[Expectation, ...]
    destroy: tuple[Step, ...]
    timeout: float
    exclusive: str
    known: tuple[KnownFailure, ...]
    matrix: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, str]
    document: Mapping[str, Any]
    variant: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, document: Mapping[str, Any], variant: Mapping[str, str] | None = None) -> Case:
        """Build a case from a document that is valid by the schema."""
        return _case(document, variant or {})

    @property
    def id(self) -> str:
        """The name with the variant: name, or name[value-value]."""
        return f"{self.name}[{self.label}]" if self.variant else self.name

    @property
    def label(self) -> str:
        """The values of the variant's Matrix, joined by dashes."""
        return "-".join(self.variant.values())

    @property
    def level(self) -> Level:
        """The most binding level of its references, MUST when it has none."""
        return next((level for level in Level if any(ref.level is level for ref in self.refs)), Level.MUST)

    @cached_property
    def classes(self) -> dict[str, Require]:
        """Requires by class."""
        return {require.name: require for require in self.requires}

    @property
    def containers(self) -> list[Container]:
        """All containers, in the order in which they are deployed."""
        return [container for host in self.hosts for container in host.containers]

    @property
    def steps(self) -> list[Step]:
        """All steps of Deploys and Run, in their order."""
        return [*(host.step for host in self.hosts if host.step), *self.run]

    @property
    def needs(self) -> list[str]:
        """Requirements of the harness that the case names."""
        return list(dict.fromkeys(name for require in self.requires for name in require.needs))

    def combinations(self, settings: Mapping[str, str] | None = None) -> list[Case]:
        """Return the variants: one for each combination of the Matrix, with parameters replaced."""
        parameters = {**self.parameters, **{k: v for k, v in (settings or {}).items() if k in self.parameters}}
        names = list(self.matrix)
        found = []
        for values in itertools.product(*self.matrix.values()):
            variant = dict(zip(names, values, strict=True))
            fixed = {key: self.document[key] for key in ("Matrix", "Parameters") if key in self.document}
            document = {**replaced(dict(self.document), {**parameters, **variant}), **fixed}
            found.append(_case(document, variant))
        return found


def text(value: Any) -> str:
    """Return a scalar as variables hold it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _command(value: Any) -> Command:
    return tuple(value) if isinstance(value, list) else value or ()


def _exit(value: Any) -> Exit:
    return tuple(value) if isinstance(value, list) else value


def _wait(value: Mapping[str, Any] | None) -> Wait | None:
    if value is None:
        return None
    return Wait(value.get("Port", 0), value.get("LogMatch", ""), value.get("File", ""), value.get("State", ""),
                float(value.get("Timeout", 20)))  # fmt: skip


def _require(entry: Mapping[str, Any]) -> Require:
    resource, image = entry.get("Resource", {}), entry.get("Image", {})
    return Require(
        entry["Class"], entry["Type"], entry.get("Distribution", ""), entry.get("Version", ""), entry.get("Arch", ""),
        float(resource.get("CPU", 0)), _bytes(resource.get("Memory")), _bytes(resource.get("Disk")),
        entry.get("Amount", 1), image.get("Name", "" if image else "busybox"), image.get("Dockerfile", ""),
        image.get("Rootfs", ""), entry.get("Tool", ""), tuple(entry.get("Needs", ())),
    )  # fmt: skip


def _bytes(quantity: str | None) -> int:
    if not quantity or VARIABLE.search(quantity):
        return 0
    return size(quantity)


def _container(entry: Mapping[str, Any]) -> Container:
    return Container(
        entry["Object"], entry["Class"], _command(entry.get("Cmd")), entry.get("Env", {}), entry.get("Cwd", ""),
        entry.get("User", ""), entry.get("Args", {}), entry.get("Until", "running"),
        _exit(entry.get("ExpectExit", 0)), float(entry.get("Timeout", 60)), _wait(entry.get("WaitFor")),
    )  # fmt: skip


def _step(entry: Mapping[str, Any], phase: str, index: int) -> Step:
    object_ = entry["Object"]
    return Step(
        object_, entry.get("Name", object_), phase, index, _command(entry.get("Cmd")), entry.get("Op", ""),
        entry.get("Signal", ""), entry.get("Stdin", ""), entry.get("Cwd", ""), entry.get("Env", {}),
        entry.get("User", ""), float(entry.get("Timeout", 60 if phase != "run" else 300)),
        entry.get("Background", False), _wait(entry.get("WaitFor")), _exit(entry.get("ExpectExit", 0)),
    )  # fmt: skip


def _host(entry: Mapping[str, Any], index: int) -> HostPart:
    files = dict.fromkeys(entry.get("Files", ()))
    containers = tuple(_container(one) for one in entry.get("Containers", ()))
    for one in entry.get("Containers", ()):
        files.update(dict.fromkeys(one.get("Files", ())))
    step = _step(entry, "deploy", index) if entry.get("Cmd") else None
    return HostPart(entry["Object"], entry["Class"], tuple(files), step, containers)


def _collected(entries: Iterable[Mapping[str, Any]]) -> Iterator[Collected]:
    for entry in entries:
        for file in entry["Files"]:
            one: Mapping[str, Any] = {"Path": file} if isinstance(file, str) else file
            name = one.get("As") or one["Path"].rsplit("/", 1)[-1]
            yield Collected(entry["Object"], one["Path"], name, one.get("Required", True),
                            one.get("MaxBytes", 1 << 20))  # fmt: skip


def _expectation(entry: Mapping[str, Any]) -> Expectation:
    metric = entry.get("Metric")
    return Expectation(
        entry["From"], entry.get("Step", ""), entry.get("Path", ""), entry.get("Match"), entry.get("Equals", ...),
        entry.get("Contains"), entry.get("JsonPath", ""), entry.get("Op", ""), entry.get("Value"),
        entry.get("Absent", False), entry.get("Negative", False), Level(entry.get("Level", "MUST")),
        entry.get("Why", ""),
        Metric(metric["Name"], metric["Unit"], metric.get("Better", ""), metric.get("Baseline"),
               float(metric.get("Tolerance", 0))) if metric else None,
    )  # fmt: skip


def _case(document: Mapping[str, Any], variant: Mapping[str, str]) -> Case:
    entry = document
    return Case(
        name=entry["Name"], version=entry.get("Version", "0"), summary=entry["Summary"],
        description=entry.get("Description", ""), owner=entry.get("Owner", ""), license=entry.get("License", ""),
        group=entry["Group"], tags=tuple(entry.get("Tags", ())),
        refs=tuple(SpecRef(ref["Spec"], ref.get("Version", ""), ref.get("Anchor", ""), Level(ref["Level"]))
                   for ref in entry.get("SpecRefs", ())),
        requires=tuple(_require(one) for one in entry["Requires"]),
        hosts=tuple(_host(one, index) for index, one in enumerate(entry["Deploys"])),
        run=tuple(_step(one, "run", index) for index, one in enumerate(entry["Run"])),
        collects=tuple(_collected(entry["Collects"])),
        expect=tuple(_expectation(one) for one in entry.get("Expect", ())),
        destroy=tuple(_step(one, "destroy", index) for index, one in enumerate(entry.get("Destroy", ()))),
        timeout=float(entry.get("Timeout", 300)), exclusive=entry.get("Exclusive", ""),
        known=tuple(KnownFailure(one["Engine"], one.get("Version", ""), one["Reason"], one.get("Url", ""))
                    for one in entry.get("KnownFail", ())),
        matrix={name: tuple(map(text, values)) for name, values in entry.get("Matrix", {}).items()},
        parameters={name: text(value) for name, value in entry.get("Parameters", {}).items()},
        document=document, variant=variant,
    )  # fmt: skip
