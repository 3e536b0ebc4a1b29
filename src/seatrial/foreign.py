"""XML that others wrote: read without trusting it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

MIB = 1024 * 1024
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:(\d{1,8})|x([0-9a-fA-F]{1,7}));")


def parse(text: str, most: int = 5 * MIB) -> ET.Element:
    """Parse a document; raises `ValueError` for what is no XML, has more than `most` characters or declares a DTD.

    Jenkins writes XML 1.1, which expat does not read: the declaration is taken off.
    """
    if len(text) > most:
        raise ValueError(f"it is larger than {most // MIB} MiB")
    body = re.sub(r"\A\ufeff?\s*<\?xml[^>]*\?>", "", text)
    if re.search(r"<!(DOCTYPE|ENTITY)", body):
        raise ValueError("it declares a DTD")
    try:
        return ET.fromstring(body)  # noqa: S314 - without a DTD there are no entities to expand
    except ET.ParseError as error:
        raise ValueError(str(error)) from error


def legal(text: str) -> str:
    """Return a document without the characters that XML has no place for, whether written out or as references."""

    def kept(match: re.Match[str]) -> str:
        number = int(match[1]) if match[1] else int(match[2], 16)
        return match[0] if number <= 0x10FFFF and not _ILLEGAL.match(chr(number)) else ""

    return _REFERENCE.sub(kept, _ILLEGAL.sub("", text))
