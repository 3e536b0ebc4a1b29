"""The dialect D4: a list of Units, each with the host or image that it wants and two commands."""

from __future__ import annotations

from typing import Any

from seatrial.jsontext import Where
from seatrial.oct import conversion, dialects
from seatrial.oct.model import IMAGES
from seatrial.oct.repairs import Repairs

Json = dict[str, Any]

_TOP = ("Name", "Version", "Summary", "Owner", "License", "URL", "Group", "Description", "Units")
_UNIT = ("Name", "Class", "Distribution", "ResName", "Version", "Arch", "CPU", "Memory", "Commands", "ReportURL")
# what an engine once wrote into the case while it ran it
_STATE = ("id", "repoid", "status", "schedulerid", "resourceid", "bundleurl", "testid", "caseid")


def canonical(value: Json, repairs: Repairs) -> Json:
    """Return the document of today."""
    for written in value:
        if written.casefold() in _STATE:
            repairs.tell("OCT011", f'"{written}" is the state of a run and is left out', (written,), key=True)
    plain = {key: item for key, item in value.items() if key.casefold() not in _STATE}
    fields = repairs.fields(plain, (), _TOP, {"licence": "License", "details": "Description"})
    document: Json = {**dialects.description(fields, repairs), "Requires": [], "Deploys": [], "Run": [], "Collects": []}
    place, listed = fields.get("Units", ((), []))
    for number, (where, item) in enumerate(repairs.items(listed, place, "Units"), 1):
        unit = repairs.object(item, where, "a unit")
        plain = {key: one for key, one in unit.items() if key.casefold() not in _STATE}
        _unit(document, repairs.fields(plain, where, _UNIT), where, number, repairs)
    return document


def _unit(document: Json, found: dialects.Fields, where: Where, number: int, repairs: Repairs) -> None:
    def text(field: str) -> str:
        place, value = found.get(field, (where, None))
        return repairs.text(value, place)

    name = conversion.identifier(text("Name") or f"unit{number}")
    kind = (text("Class") or "os").casefold()
    repairs.tell("OCT018", f"the unit is the object {name} of the class {name}-{kind}", where)
    wish: Json = {"Class": f"{name}-{kind}", "Type": "container" if kind == "container" else "os"}
    commands = repairs.fields(
        repairs.object(found.get("Commands", (where, {}))[1] or {}, found.get("Commands", (where, {}))[0], "Commands"),
        found.get("Commands", (where, {}))[0], ("Deploy", "Run", "Collect"),
    )  # fmt: skip
    do = {key: repairs.text(value, place) for key, (place, value) in commands.items()}
    if "Collect" in commands:
        repairs.tell("OCT011", "Collect was never run; it is kept as x-collect", commands["Collect"][0], key=True)
    if wish["Type"] == "container":
        _image(document, wish, text("ResName"), found, where, repairs)
        host = {"Object": f"{name}-host", "Class": "host", "Containers": [{"Object": name, "Class": wish["Class"]}]}
        if not any(one["Class"] == "host" for one in document["Requires"]):
            document["Requires"].append({"Class": "host", "Type": "os"})
        if do.get("Deploy"):
            document["Run"].append({"Name": f"{name}-deploy", "Object": name, "Cmd": do["Deploy"]})
    else:
        _host(wish, found, where, repairs)
        host = {"Object": name, "Class": wish["Class"]}
        if do.get("Deploy"):
            host["Cmd"] = do["Deploy"]
    document["Requires"].append(wish)
    document["Deploys"].append(host)
    if do.get("Collect"):
        host["x-collect"] = do["Collect"]
    if do.get("Run"):
        document["Run"].append({"Name": f"{name}-run", "Object": name, "Cmd": do["Run"]})
    if report := text("ReportURL"):
        new, why = conversion.collected(report)
        if why:
            repairs.tell("OCT033", f'"{report}" is {new}: {why}', found["ReportURL"][0])
        document["Collects"].append({"Object": name, "Files": [new]})


def _image(document: Json, wish: Json, image: str, found: dialects.Fields, where: Where, repairs: Repairs) -> None:
    engine = repairs.text(found.get("Distribution", (where, ""))[1], where)
    if engine:
        place = found["Distribution"][0]
        repairs.tell("OCT055", f'the engine is no part of a case: "{engine}" is kept as x-engine', place)
        wish["x-engine"] = engine
    if not image:
        return
    short = image.removesuffix(":latest")
    wish["Image"] = {"Name": short if short in IMAGES else image}
    if short not in IMAGES and not any(one.get("Needs") for one in document["Requires"]):
        words = f"the image {image} comes over the network, which Requires now says"
        repairs.tell("OCT051", words, found["ResName"][0])
        document["Requires"].append({"Class": "outside", "Type": "kernel", "Needs": ["network"]})


def _host(wish: Json, found: dialects.Fields, where: Where, repairs: Repairs) -> None:
    for field in ("Distribution", "Version", "Arch"):
        place, value = found.get(field, (where, None))
        if value is not None and (text := repairs.text(value, place)):
            wish[field] = text
    resource: Json = {}
    for field in ("CPU", "Memory"):
        place, value = found.get(field, (where, None))
        if not value:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            repairs.refuse("OCT012", f"{field} must be a number", place)
            continue
        resource[field] = value if field == "CPU" else conversion.quantity(value)
        if field == "Memory":
            repairs.tell("OCT014", f"{value} is written {resource[field]}", place)
    if resource:
        wish["Resource"] = resource
