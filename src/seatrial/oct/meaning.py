"""Whether a case makes sense: names, references, files, commands and expectations.

Works on documents that break the schema as well, as far as they go, so that one call tells everything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seatrial.diagnostics import did_you_mean
from seatrial.jsontext import Document, Where
from seatrial.oct import conversion, files, jsonpath, order
from seatrial.oct.bundle import Bundle
from seatrial.oct.commands import suspicions
from seatrial.oct.diagnostics import Report
from seatrial.oct.model import IMAGES, names_in
from seatrial.oct.variables import OF_OBJECT, OF_RUN, may_stand
from seatrial.oct.walk import entries, texts
from seatrial.requires import REQUIREMENTS

_LICENSE = re.compile(r"(LicenseRef-[\w.-]+|[A-Z][A-Za-z0-9]*(?:-[A-Za-z0-9.]+)*\+?)(\s+(?:OR|AND|WITH)\s+[\w.+-]+)*")


@dataclass
class _Names:
    classes: dict[str, str] = field(default_factory=dict)  # class -> type
    hosts: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    steps: Counter[str] = field(default_factory=Counter)

    @property
    def objects(self) -> list[str]:
        return [*self.hosts, *self.containers]


class Check:
    """The examination of one document."""

    def __init__(
        self, document: Document, value: Mapping[str, Any], report: Report, bundle: Bundle | None = None
    ) -> None:
        self.document = document
        self.value = value
        self.report = report
        self.bundle = bundle
        self.names = _Names()

    def tell(self, code: str, message: str, where: Where, hint: str = "", *, key: bool = False) -> None:
        """Report something at a place of the document."""
        self.report.add(code, message, where, self.document.place(where, key=key), hint)

    def all(self) -> None:
        """Look at everything."""
        self._description()
        self._requires()
        self._deploys()
        self._references()
        order.check(self)
        self._variables()
        self._commands()
        self._expectations()
        files.check(self)

    @property
    def network(self) -> bool:
        """Whether the case declares that it needs the network."""
        return any("network" in (entry.get("Needs") or ()) for _, entry in entries(self.value, "Requires"))

    # -- parts ---------------------------------------------------------------------------------

    def _description(self) -> None:
        license_ = self.value.get("License")
        if isinstance(license_, str) and license_:
            known = conversion.license_(license_)
            if known != license_ or not _LICENSE.fullmatch(license_):
                hint = f'use the SPDX identifier "{known}"' if known != license_ else ""
                self.tell("OCT015", f'"{license_}" is no SPDX identifier', ("License",), hint)
        for where, entry in entries(self.value, "KnownFail"):
            if not entry.get("Url"):
                self.tell("OCT054", "this known failure has no Url", where)

    def _requires(self) -> None:
        for where, entry in entries(self.value, "Requires"):
            name, kind = entry.get("Class"), entry.get("Type")
            if not isinstance(name, str) or not isinstance(kind, str):
                continue
            if name in self.names.classes:
                self.tell("OCT023", f'the class "{name}" is defined twice', (*where, "Class"))
            self.names.classes[name] = kind
            if kind in ("engine", "tool", "kernel"):
                self.names.used.add(name)
            image = entry.get("Image")
            wanted = image.get("Name") if isinstance(image, dict) else None
            if isinstance(wanted, str) and wanted not in IMAGES and not self.network:
                self.tell("OCT051", f'the image "{wanted}" is not available offline', (*where, "Image", "Name"),
                          "use busybox or toolbox, or give a Dockerfile or Rootfs")  # fmt: skip
            for step, word in (("Distribution", entry.get("Distribution")), ("x-engine", entry.get("x-engine"))):
                if isinstance(word, str) and re.match(r"(?i)rkt|rocket", word):
                    self.tell("OCT052", f'"{word}" is retired', (*where, step), "name an engine with --engine")
            needs = entry.get("Needs")
            for index, need in enumerate(needs if isinstance(needs, list) else ()):
                if isinstance(need, str) and need not in REQUIREMENTS:
                    self.tell("OCT056", f'"{need}" is no requirement of the harness', (*where, "Needs", index),
                              did_you_mean(str(need), REQUIREMENTS))  # fmt: skip

    def _deploys(self) -> None:
        for where, entry in entries(self.value, "Deploys"):
            self._object(entry, where, "os", "OCT020", self.names.hosts)
            for inner, container in entries(entry, "Containers", where=where):
                self._object(container, inner, "container", "OCT021", self.names.containers)
        for name, kind in self.names.classes.items():
            if name not in self.names.used and kind in ("os", "container"):
                where = next(w for w, e in entries(self.value, "Requires") if e.get("Class") == name)
                self.tell("OCT024", f'the class "{name}" is never used', (*where, "Class"))

    def _object(self, entry: Mapping[str, Any], where: Where, kind: str, code: str, names: list[str]) -> None:
        name, klass = entry.get("Object"), entry.get("Class")
        if isinstance(name, str):
            if name in self.names.objects:
                self.tell("OCT023", f'the object "{name}" is deployed twice', (*where, "Object"))
            names.append(name)
        if not isinstance(klass, str):
            return
        if klass not in self.names.classes:
            classes = self.names.classes
            near = did_you_mean(klass, classes)
            listed = f"Requires has: {', '.join(classes) or 'nothing'}"
            self.tell(code, f'the class "{klass}" is not defined in Requires', (*where, "Class"), near or listed)
            if near:  # meant, though misspelt
                self.names.used.add(near.split('"')[1])
            return
        self.names.used.add(klass)
        if self.names.classes[klass] != kind:
            words = f'the class "{klass}" is of the type {self.names.classes[klass]}, not {kind}'
            self.tell("OCT025", words, (*where, "Class"))

    def _references(self) -> None:
        objects = self.names.objects
        for where, entry in entries(self.value, "Run", "Collects", "Destroy"):
            name = entry.get("Object")
            if isinstance(name, str) and name not in objects:
                hint = did_you_mean(name, objects) or f"deployed are: {', '.join(objects) or 'none'}"
                self.tell("OCT022", f'the object "{name}" is never deployed', (*where, "Object"), hint)
            if "Op" in entry and name in self.names.hosts:
                self.tell("OCT057", f'Op acts on containers, and "{name}" is a host', (*where, "Op"))
        for where, entry in entries(self.value, "Run"):
            if ("Op" in entry) == ("Cmd" in entry):
                both = "has both Op and Cmd" if "Op" in entry else "has neither Cmd nor Op"
                self.tell("OCT057", f"this step {both}", where)
        explicit: set[str] = set()
        for where, entry in entries(self.value, "Deploys", "Run"):
            if "Cmd" not in entry and "Op" not in entry:
                continue
            name = entry.get("Name", entry.get("Object"))
            if not isinstance(name, str):
                continue
            if "Name" in entry and name in explicit:
                self.tell("OCT029", f'two steps have the name "{name}"', (*where, "Name"))
            explicit |= {name} if "Name" in entry else set()
            self.names.steps[name] += 1

    def _variables(self) -> None:
        value = self.value
        own = [name for key in ("Matrix", "Parameters") if isinstance(value.get(key), dict) for name in value[key]]
        known = [*own, *OF_RUN]
        known += [f"{name}.{what}" for name in self.names.containers for what in OF_OBJECT]
        used: set[str] = set()
        for part, content in value.items():
            if part in ("Matrix", "Parameters", "Description", "Summary") or part.startswith("x-"):
                continue
            for where, text in texts(content, (part,)):
                for name in names_in(text):
                    used.add(name)
                    if name not in known:
                        words = f"the variable ${{{name}}} is not defined"
                        self.tell("OCT027", words, where, did_you_mean(name, known))
                    elif name not in own and not may_stand(where):
                        words = f"the variable ${{{name}}} is known only while the case runs, and this is read before"
                        self.tell("OCT027", words, where, "here are variables of Matrix and Parameters only")
        for name in own:
            if name not in used:
                part = "Matrix" if name in value.get("Matrix", {}) else "Parameters"
                self.tell("OCT028", f'the variable "{name}" is never used', (part, name), key=True)

    def _commands(self) -> None:
        value = self.value
        steps = list(entries(value, "Deploys", "Run", "Destroy"))
        inner = [item for where, entry in entries(value, "Deploys")
                 for item in entries(entry, "Containers", where=where)]  # fmt: skip
        if not any(entry.get("Cmd") or entry.get("Op") for _, entry in [*steps, *inner]):
            self.tell("OCT040", "no command stands in Deploys or Run: this case does nothing", ("Deploys",))
        for where, entry in [*steps, *inner]:
            # a container's own command may go on for ever: it ends with the case
            shown = {**entry, "Background": True} if (where, entry) in inner else entry
            for code, message, hint in suspicions(shown, network=self.network):
                self.tell(code, message, (*where, "Cmd"), hint)
            if entry.get("Background") and "WaitFor" not in entry:
                self.tell("OCT048", "nothing waits until this background step is ready", where, "add WaitFor")
            wait = entry.get("WaitFor")
            if isinstance(wait, dict) and isinstance(wait.get("LogMatch"), str):
                self._pattern(wait["LogMatch"], (*where, "WaitFor", "LogMatch"))

    def _expectations(self) -> None:
        if not list(entries(self.value, "Expect")):
            self.tell("OCT041", 'nothing is expected: a run can only be "unverified"', ("Expect",))
        collected = set(files.collected_names(self.value))
        for where, entry in entries(self.value, "Expect"):
            self._reference(entry, where)
            if isinstance(entry.get("Match"), str):
                self._pattern(entry["Match"], (*where, "Match"))
            if isinstance(entry.get("JsonPath"), str):
                try:
                    jsonpath.steps(entry["JsonPath"])
                except ValueError as error:
                    self.tell("OCT047", str(error), (*where, "JsonPath"))
            path = entry.get("Path")
            if entry.get("From") == "file" and path not in collected:
                self.tell("OCT049", f'the file "{path}" is not collected', (*where, "Path"),
                          did_you_mean(str(path), collected))  # fmt: skip
            metric = entry.get("Metric")
            if isinstance(metric, dict) and "Baseline" in metric and not {"Better", "Tolerance"} <= metric.keys():
                self.tell("OCT058", "a Baseline needs Better and Tolerance", (*where, "Metric"))

    def _reference(self, entry: Mapping[str, Any], where: Where) -> None:
        step, steps, source = entry.get("Step"), self.names.steps, entry.get("From")
        if source == "file":
            return
        if step is None:
            if source in ("exit", "stdout", "stderr", "output", "duration", "state"):
                self.tell("OCT013", f'missing field "Step": whose {source} is meant?', where)
        elif source == "state":
            if step not in self.names.containers:
                self.tell("OCT026", f'"{step}" is no container', (*where, "Step"),
                          did_you_mean(str(step), self.names.containers))  # fmt: skip
        elif step in self.names.containers and step not in steps:
            return  # the logs and the exit code of its own command
        elif step not in steps:
            hint = did_you_mean(str(step), steps) or f"steps are: {', '.join(steps) or 'none'}"
            self.tell("OCT026", f'there is no step "{step}"', (*where, "Step"), hint)
        elif steps[step] > 1:
            self.tell("OCT026", f'"{step}" has {steps[step]} steps; give them names', (*where, "Step"))

    def _pattern(self, text: str, where: Where) -> None:
        try:
            re.compile(text)
        except re.error as error:
            self.tell("OCT046", f"{text!r} is no regular expression: {error}", where)
