"""XML of jobs and nodes: read safely, compared by meaning, shown without its secrets."""

from __future__ import annotations

import difflib
import xml.etree.ElementTree as ET

from seatrial.foreign import parse

SECRETS = frozenset({"secretToken", "password", "passphrase", "privateKey", "apiToken", "authToken"})


def lines(root: ET.Element, within: ET.Element | None = None) -> list[str]:
    """Return a document one element a line, without versions of plugins, secrets masked.

    With `within`, only what that document mentions: Jenkins adds defaults to the configuration of nodes.
    """
    return list(_lines(root, within, ""))


def _lines(node: ET.Element, within: ET.Element | None, pad: str) -> list[str]:
    # "plugin" names the version that wrote the element, not what it says
    attributes = "".join(f' {key}="{value}"' for key, value in sorted(node.attrib.items()) if key != "plugin")
    text = (node.text or "").strip()
    if text and node.tag in SECRETS:
        text = "(secret)"
    children = list(node)
    if within is not None:
        children = [child for child in children if within.find(_tag(child)) is not None]
    if not children:
        body = text.splitlines() or [""]
        if len(body) == 1:
            return [f"{pad}<{node.tag}{attributes}>{text}</{node.tag}>" if text else f"{pad}<{node.tag}{attributes}/>"]
        return [f"{pad}<{node.tag}{attributes}>", *(f"{pad}  {line}" for line in body), f"{pad}</{node.tag}>"]
    made = [f"{pad}<{node.tag}{attributes}>"]
    for child in children:
        made += _lines(child, within.find(_tag(child)) if within is not None else None, pad + "  ")
    return [*made, f"{pad}</{node.tag}>"]


def _tag(node: ET.Element) -> str:
    return f"./{node.tag}"


def difference(current: str, wanted: str, *, subset: bool = False) -> list[str]:
    """Return a unified diff of what two documents mean, empty when they mean the same.

    With `subset`, what `current` says besides `wanted` does not count.
    """
    there, here = parse(current), parse(wanted)
    return [
        line.rstrip("\n")
        for line in difflib.unified_diff(
            lines(there, here if subset else None), lines(here), "on the controller", "here", lineterm="", n=2
        )
    ]


def secret_of(text: str, tag: str) -> str:
    """Return the text of the first element of a name, empty when there is none."""
    found = parse(text).find(f".//{tag}")
    return (found.text or "").strip() if found is not None else ""


def with_text(text: str, tag: str, value: str) -> str:
    """Return a document in which every element of a name holds a text, as a document of its own."""
    root = parse(text)
    for element in root.iter(tag):
        element.text = value
    return "<?xml version='1.0' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode") + "\n"
