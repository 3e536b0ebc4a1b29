"""The dialects D0 to D4, turned into documents of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.diagnostics import meant
from seatrial.jsontext import Where
from seatrial.oct import conversion, units
from seatrial.oct.model import SCHEMA_VERSION
from seatrial.oct.repairs import Repairs

Fields = dict[str, tuple[Where, Any]]
Json = dict[str, Any]

_TOP = ("Name", "Version", "Summary", "Owner", "License", "URL", "Group", "Description", "Requires", "Deploys", "Run",
        "Collects", "Explains", "Sources", "Destroy", "Tags")  # fmt: skip
_TOP_ALIASES = {"details": "Description", "licence": "License", "deploy": "Deploys", "collect": "Collects",
                "source": "Sources"}  # fmt: skip
_REQUIRE = ("Class", "Type", "Distribution", "Version", "Resource", "Amount", "Files", "Arch")
_OBJECT = ("Object", "Class", "Cmd", "Files", "Containers", "Distribution", "Version")
_OBJECT_ALIASES = {"name": "Object", "setup": "_do", "deploy": "_do", "run": "_do", "collect": "_do", "file": "Files"}
_DO = ("type", "value", "name")


def canonical(value: Json, kind: str, repairs: Repairs) -> Json:
    """Return the document of today; what stands in its way is in the report of `repairs` as an error."""
    where: Where = ()
    if kind == "D0":
        value, where = _unwrapped(value, repairs)
    if kind == "D4":
        return units.canonical(value, repairs)
    fields = repairs.fields(value, where, _TOP, _TOP_ALIASES)
    document = description(fields, repairs)
    parts = _Parts(repairs)
    parts.requires(fields)
    parts.deploys(fields)
    parts.run(fields)
    parts.collects(fields)
    document |= parts.document()
    for name in ("Explains", "Sources"):
        place, old = fields.get(name, ((), None))
        if old:
            repairs.tell("OCT011", f"{name} is kept as x-{name.lower()}", place, key=True)
            document[f"x-{name.lower()}"] = old
    return document


def _unwrapped(value: Json, repairs: Repairs) -> tuple[Json, Where]:
    root = next((key for key in value if key.casefold() == "root"), "")
    if not root:
        return value, ()
    repairs.tell("OCT018", 'the parts are taken out of "root"', (root,), key=True)
    for other in value:
        if other != root:
            repairs.refuse("OCT011", f'"{other}" stands beside "root"', (other,), key=True)
    return repairs.object(value[root], (root,), "root"), (root,)


def description(fields: Fields, repairs: Repairs) -> Json:
    """Return the flat fields that say what a case is."""
    top: Where = next(iter(fields.values()))[0][:-1] if fields else ()
    found: Json = {"SchemaVersion": SCHEMA_VERSION}
    repairs.tell("OCT013", f'SchemaVersion "{SCHEMA_VERSION}" is added', top)
    place, written = fields.get("Name", (top, ""))
    name = repairs.text(written, place)
    if not name:
        repairs.refuse("OCT013", "a case without a Name", top)
    found["Name"] = conversion.name(name) or "unnamed"
    if name and found["Name"] != name:
        repairs.tell("OCT017", f'the name "{name}" is written {found["Name"]}', place)
    for field in ("Version", "Summary", "Description", "Owner", "License", "URL"):
        place, value = fields.get(field, (top, None))
        if value is not None and (text := repairs.text(value, place)):
            found[field] = text
    if "License" in found and (new := conversion.license_(found["License"])) != found["License"]:
        repairs.tell("OCT015", f'the licence "{found["License"]}" is {new}', fields["License"][0])
        found["License"] = new
    if "Summary" not in found:
        found["Summary"] = found.get("Description") or found["Name"]
        repairs.tell("OCT013", "Summary is missing: taken from the description or the name", top)
    _group(found, fields, repairs, top)
    order = ("SchemaVersion", "Name", "Version", "Summary", "Description", "Owner", "License", "URL", "Group")
    return {field: found[field] for field in order if field in found}


def _group(found: Json, fields: Fields, repairs: Repairs, top: Where) -> None:
    place, value = fields.get("Group", (top, None))
    if value is None:
        repairs.tell("OCT013", "Group is missing: taken to be Function", top)
        found["Group"] = "Function"
        return
    old = repairs.text(value, place)
    found["Group"] = conversion.group(old)
    if not found["Group"]:
        repairs.refuse("OCT016", f'"{old}" is no group', place)
    elif found["Group"] != old:
        repairs.tell("OCT016", f'the group "{old}" is {found["Group"]}', place)


class _Parts:
    """Requires, Deploys, Run and Collects of the dialects D0 to D3."""

    def __init__(self, repairs: Repairs) -> None:
        self.repairs = repairs
        self.classes: list[Json] = []
        self.hosts: list[Json] = []
        self.steps: list[Json] = []
        self.collected: list[Json] = []
        self.network: Where | None = None

    def document(self) -> Json:
        return {"Requires": self.classes, "Deploys": self.hosts, "Run": self.steps, "Collects": self.collected}

    # -- Requires ------------------------------------------------------------------------------

    def requires(self, fields: Fields) -> None:
        place, value = fields.get("Requires", ((), []))
        for where, item in self.repairs.items(value, place, "Requires"):
            entry, where = self._named(self.repairs.object(item, where, "a class"), where, "Class")
            found = self.repairs.fields(entry, where, _REQUIRE, {"file": "Files", "name": "Class"})
            self.classes.append(self._require(found, where))

    def _named(self, entry: Json, where: Where, name: str) -> tuple[Json, Where]:
        """Lift what is keyed by its name, as {"hostA": {...}}, which only D0 did."""
        if len(entry) == 1:
            key, inner = next(iter(entry.items()))
            if key.casefold() not in ("class", "object", "name", "files", "cmd") and isinstance(inner, dict):
                self.repairs.tell("OCT018", f'the key "{key}" is its {name}', (*where, key), key=True)
                if not any(one.casefold() in (name.casefold(), "name") for one in inner):
                    return {name: key, **inner}, (*where, key)
                return inner, (*where, key)
        return entry, where

    def _require(self, found: Fields, where: Where) -> Json:
        repairs = self.repairs
        name = repairs.text(found.get("Class", (where, ""))[1], found.get("Class", (where, ""))[0])
        entry: Json = {"Class": conversion.identifier(name)} if name else {}
        place, kind = found.get("Type", (where, ""))
        kind = repairs.text(kind, place)
        if kind:
            entry["Type"] = kind.casefold()
            if kind != kind.casefold():
                repairs.tell("OCT016", f'the type "{kind}" is {kind.casefold()}', place)
        names: tuple[str, ...] = ("Distribution", "Version")
        words = {key: repairs.text(found[key][1], found[key][0]) for key in names if key in found}
        if entry.get("Type") == "container" or conversion.is_engine(words.get("Distribution", "")):
            self._engine(entry, words, found, where)
        else:
            self._host(entry, words, found)
        files = [path for _, path in self._files(found)]
        dockerfile = next((path for path in files if conversion.is_dockerfile(path)), "")
        if dockerfile and entry.get("Type") == "container":
            repairs.tell("OCT018", f"{dockerfile} makes the image", found["Files"][0])
            entry["Image"] = {"Dockerfile": dockerfile}
            files.remove(dockerfile)
        if files:
            entry["Files"] = files
        if "Amount" in found and found["Amount"][1] not in (None, 1):
            entry["Amount"] = found["Amount"][1]
        return entry

    def _engine(self, entry: Json, words: Mapping[str, str], found: Fields, where: Where) -> None:
        engine = " ".join(word for word in (words.get("Distribution", ""), words.get("Version", "")) if word)
        if engine:
            place = found.get("Distribution", found.get("Version", (where, "")))[0]
            self.repairs.tell("OCT055", f'the engine is no part of a case: "{engine}" is kept as x-engine', place)
            entry["x-engine"] = engine

    def _host(self, entry: Json, words: Mapping[str, str], found: Fields) -> None:
        repairs = self.repairs
        name, glued = conversion.distribution(words.get("Distribution", ""))
        version = words.get("Version", "")
        if glued:
            repairs.tell("OCT012", f'"{words["Distribution"]}" is {name}, version {glued}', found["Distribution"][0])
        for field, value in (("Distribution", name), ("Version", version or glued)):
            if value:
                entry[field] = value
        if "Arch" in found:
            entry["Arch"] = repairs.text(found["Arch"][1], found["Arch"][0])
        if "Resource" not in found:
            return
        place, value = found["Resource"]
        sizes = repairs.fields(repairs.object(value, place, "Resource"), place, ("CPU", "Memory", "Disk"))
        resource: Json = {}
        for field, (inner, size) in sizes.items():
            new = self._cpu(size, inner) if field == "CPU" else conversion.quantity(size)
            if not new:
                repairs.refuse("OCT014", f"{size!r} is not a quantity", inner, "examples: 512MiB, 2GB")
                continue
            if new != size and field != "CPU":
                repairs.tell("OCT014", f"{size!r} is written {new}", inner)
            resource[field] = new
        if resource:
            entry["Resource"] = resource

    def _cpu(self, value: Any, where: Where) -> float:
        if isinstance(value, str) and value.strip().isdigit():
            self.repairs.tell("OCT012", f'the string "{value}" is the number {value.strip()}', where)
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return 0
        return value

    # -- Deploys -------------------------------------------------------------------------------

    def deploys(self, fields: Fields) -> None:
        place, value = fields.get("Deploys", ((), []))
        for where, item in self.repairs.items(value, place, "Deploys"):
            found = self._object(item, where)
            if not found:
                continue
            host = self._common(found, where, "os")
            containers = []
            inner = found.get("Containers", (where, []))
            for spot, one in self.repairs.items(inner[1], inner[0], "Containers"):
                if fields_ := self._object(one, spot):
                    containers.append(self._common(fields_, spot, "container"))
            if containers:
                host["Containers"] = containers
            self.hosts.append(host)

    def _object(self, item: Any, where: Where) -> Fields:
        entry = self.repairs.object(item, where, "an object")
        if not entry:
            return {}
        entry, where = self._named(entry, where, "Object")
        return self._do(self.repairs.fields(entry, where, _OBJECT, _OBJECT_ALIASES))

    def _do(self, found: Fields) -> Fields:
        """Turn {"type": "cmd", "value": ...} and {"type": "script", "name": ...} into Cmd."""
        place, old = found.pop("_do", ((), None))
        if old is None or old in ("null", ""):
            if place and old is not None:
                self.repairs.tell("OCT018", f"{old!r} is nothing to do", place)
            return found
        if isinstance(old, str):
            found["Cmd"] = (place, old)
            return found
        parts = self.repairs.fields(self.repairs.object(old, place, "what is done"), place, _DO, {"cmd": "value"})
        kind = str(parts.get("type", (place, "cmd"))[1])
        command = str(parts.get("value", parts.get("name", (place, "")))[1] or "")
        if kind == "script" and command and not command.startswith(("/", "./")):
            command = f"./{command}"
        self.repairs.tell("OCT018", f"this {kind} is the Cmd {command!r}", place)
        found["Cmd"] = (place, command)
        if kind == "script":
            files = found.get("Files", (place, []))[1] or []
            found["Files"] = (place, [*files, f"source/{command.removeprefix('./')}"])
        return found

    def _common(self, found: Fields, where: Where, kind: str) -> Json:
        repairs = self.repairs
        entry: Json = {}
        name = repairs.text(found.get("Object", (where, ""))[1], found.get("Object", (where, ""))[0])
        if not name:
            repairs.refuse("OCT013", "an object without a name", where)
        entry["Object"] = conversion.identifier(name)
        if kind:
            entry["Class"] = self._class(found, where, kind)
        place, command = found.get("Cmd", (where, None))
        command = repairs.text(command, place).strip()
        if command:
            entry["Cmd"] = command
            if command.startswith(("cd ./source", "cd source")) and kind != "container":
                repairs.tell("OCT033", "it goes into source/ by itself: Cwd is the bundle", place)
                entry["Cwd"] = "."
            self._asks(command, place)
        elif "Cmd" in found:
            repairs.tell("OCT018", "an empty command is left out", place)
        files = [path for _, path in self._files(found)]
        if files:
            entry["Files"] = list(dict.fromkeys(files))
        for word in ("Distribution", "Version"):
            if word in found:
                repairs.tell("OCT011", f"{word} belongs into Requires and is left out", found[word][0], key=True)
        return entry

    def _asks(self, command: str, where: Where) -> None:
        """Declare the need for a network, once, where a command asks for one."""
        from seatrial.oct.commands import suspicions

        if self.network is None and any(code == "OCT050" for code, _, _ in suspicions({"Cmd": command}, network=False)):
            self.network = where
            self.repairs.tell("OCT050", "it needs the network, which Requires now says", where)
            self.classes.append({"Class": "outside", "Type": "kernel", "Needs": ["network"]})

    def _class(self, found: Fields, where: Where, kind: str) -> str:
        place, value = found.get("Class", (where, ""))
        klass = conversion.identifier(self.repairs.text(value, place)) if value else ""
        known = [one["Class"] for one in self.classes if "Class" in one]
        if klass in known:
            return klass
        code = "OCT020" if kind == "os" else "OCT021"
        if klass and (near := meant(klass, known)):
            self.repairs.tell(code, f'the class "{klass}" is written {near}', place)
            return near
        klass = klass or ("host" if kind == "os" else "box")
        if klass not in known:
            self.repairs.tell(code, f'the class "{klass}" was never defined: added to Requires', place)
            self.classes.append({"Class": klass, "Type": kind})
        return klass

    def _files(self, found: Fields) -> list[tuple[Where, str]]:
        if "Files" not in found:
            return []
        place, value = found["Files"]
        result = []
        for where, path in self.repairs.texts(value, place):
            new, why = conversion.listed(path)
            if why:
                self.repairs.tell("OCT031", f'"{path}" is {new}: {why}', where)
            result.append((where, new))
        return result

    # -- Run and Collects ----------------------------------------------------------------------

    def run(self, fields: Fields) -> None:
        place, value = fields.get("Run", ((), []))
        if "Run" not in fields:
            self.repairs.tell("OCT013", "Run is missing: what Deploys does is the test", place)
        for where, item in self.repairs.items(value, place, "Run"):
            if self._idle(item, where):
                continue
            found = self._object(item, where)
            if not found:
                continue
            for word in ("Class", "Containers", "Distribution", "Version"):
                if word in found:
                    words = f"{word} is said in Deploys and left out here"
                    self.repairs.tell("OCT011", words, found[word][0], key=True)
                    del found[word]
            step = self._common(found, where, "")
            self._join(step, found, where)

    def _idle(self, item: Any, where: Where) -> bool:
        """Tell whether a step of D0 does nothing: {"hostA": {"run": null}}."""
        idle = isinstance(item, dict) and len(item) == 1 and next(iter(item.values())) in (None, {"run": None})
        if idle:
            self.repairs.tell("OCT018", f'nothing is run on "{next(iter(item))}"', where)
        return idle

    def _join(self, step: Json, found: Fields, where: Where) -> None:
        step["Object"] = self._known(step["Object"], found.get("Object", (where, ""))[0])
        if files := step.pop("Files", []):
            host = next((one for one in self.hosts if one["Object"] == step["Object"]), None)
            if host is not None:
                self.repairs.tell("OCT018", "Files belong to Deploys and are moved there", found["Files"][0], key=True)
                host["Files"] = list(dict.fromkeys([*host.get("Files", []), *files]))
        if "Cmd" in step:
            self.steps.append(step)
        else:
            self.repairs.tell("OCT018", f'a step of "{step["Object"]}" that does nothing is left out', where)

    def _known(self, name: str, where: Where) -> str:
        objects = [one["Object"] for host in self.hosts for one in (host, *host.get("Containers", ()))]
        near = meant(name, objects)
        if near and near != name:
            self.repairs.tell("OCT022", f'the object "{name}" is written {near}', where)
            return near
        return name

    def collects(self, fields: Fields) -> None:
        place, value = fields.get("Collects", ((), []))
        for where, item in self.repairs.items(value, place, "Collects"):
            entry = self.repairs.object(item, where, "what is collected")
            entry, where = self._named(entry, where, "Object")
            found = self.repairs.fields(entry, where, ("Object", "Files"), {"collect": "_do", "name": "Object"})
            files = self.repairs.texts(found["Files"][1], found["Files"][0]) if "Files" in found else []
            files += self._fetched(found)
            spot, name = found.get("Object", (where, ""))
            name = self._known(conversion.identifier(self.repairs.text(name, spot)), spot)
            paths = [self._collected(path, at) for at, path in files if path]
            if paths:
                self.collected.append({"Object": name, "Files": list(dict.fromkeys(paths))})

    def _collected(self, path: str, where: Where) -> str:
        new, why = conversion.collected(path)
        if why:
            self.repairs.tell("OCT033", f'"{path}" is {new}: {why}', where)
        return new

    def _fetched(self, found: Fields) -> list[tuple[Where, str]]:
        place, old = found.get("_do", ((), None))
        if old in (None, "null"):
            return []
        command = old.get("value", "") if isinstance(old, dict) else str(old)
        try:
            paths = conversion.fetched(str(command))
        except ValueError:
            self.repairs.refuse("OCT018", f"{command!r} does not say which file is collected", place)
            return []
        self.repairs.tell("OCT018", f"{command!r} collects {', '.join(paths)}", place)
        return [(place, path) for path in paths]
