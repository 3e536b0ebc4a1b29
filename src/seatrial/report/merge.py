"""Many JUnit files into few that Jenkins and GitLab read as they are meant.

Both know a test by classname and name: of doubles GitLab shows the first alone, and Jenkins counts each. A plugin
that runs failing tests again writes every try as a case, those before the last without a failure: read as it
stands, a test that always fails has passed. So each test becomes one case with its worst outcome, and one that was
run several times in the same run is never a pass. Suites of different names are different runs (engines, say): a test
that several of them hold stays in each, with the suite's name in its classname.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from seatrial import foreign
from seatrial.errors import SeatrialError
from seatrial.report.files import save

# GitLab takes at most 30 MB a file, 100 MB a job and 500 000 cases; a little is left for its own counting.
FILE_LIMIT = 25 * 1000 * 1000
TOTAL_LIMIT = 90 * 1000 * 1000
CASE_LIMIT = 500_000
TEXT_LIMIT = 64 * 1024
_LARGEST = 500 * foreign.MIB
_OUTCOMES = ("error", "failure", "skipped")  # from worst to best; nothing is a pass
Key = tuple[str, str]  # classname, name
_KEPT = (*_OUTCOMES, "properties", "system-out", "system-err", "flakyFailure", "rerunFailure")


@dataclass
class Case:
    """One test of one suite, with every try of it that was found: (file, element)."""

    tries: list[tuple[Path, ET.Element]] = field(default_factory=list)

    def outcome(self) -> int:
        """Return the index of the worst outcome, len(_OUTCOMES) for a pass."""
        return min(_rank(element) for _, element in self.tries)

    @property
    def repeated(self) -> bool:
        """Whether one file holds it more than once."""
        files = [path for path, _ in self.tries]
        return len(files) != len(set(files))


def _rank(element: ET.Element) -> int:
    present = {child.tag for child in element}
    return next((rank for rank, tag in enumerate(_OUTCOMES) if tag in present), len(_OUTCOMES))


@dataclass(frozen=True)
class Merged:
    """What came of it: files, and counts of tests, failures, errors, skipped."""

    files: list[Path]
    counts: dict[str, int]


def merge(sources: Sequence[Path], directory: Path, prefix: str = "", limit: int = FILE_LIMIT) -> Merged:
    """Write junit-1.xml, junit-2.xml ... into a directory, none larger than `limit` bytes, older ones removed.

    `prefix` stands before the names of suites and classes. A file that cannot be read, or holds no test, becomes
    an errored case. Raises `SeatrialError` E624 for more cases than GitLab takes, E406 when they cannot be written.
    """
    suites: dict[str, ET.Element] = {}
    cases: dict[str, dict[Key, Case]] = {}
    for path in sources:
        for suite, name, element in _read(path, prefix):
            suites.setdefault(name, suite)
            key = (element.get("classname", ""), element.get("name", ""))
            cases.setdefault(name, {}).setdefault(key, Case()).tries.append((path, element))
    total = sum(len(found) for found in cases.values())
    if total > CASE_LIMIT:
        raise SeatrialError(
            "E624", f"{total:,} tests are more than GitLab takes", f"it takes {CASE_LIMIT:,}",
            "merge each engine's results by themselves, in a job of its own",
        )  # fmt: skip
    made = [
        (name, [_one(case, key) for key, case in found.items()]) for name, found in _apart(cases, prefix).items()
    ]
    _fit([element for _, elements in made for element in elements])
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("junit-*.xml"):
        old.unlink()
    counts = _counts(element for _, elements in made for element in elements)
    texts = _parts(made, suites, limit)
    return Merged([save(directory / f"junit-{number}.xml", text) for number, text in enumerate(texts, 1)], counts)


def _apart(cases: dict[str, dict[Key, Case]], prefix: str) -> dict[str, dict[Key, Case]]:
    """Return the cases of each suite with no key twice in all of them."""
    holders = Counter(key for found in cases.values() for key in found)
    taken = {key for key, count in holders.items() if count == 1}
    made: dict[str, dict[Key, Case]] = {}
    for suite, found in cases.items():
        made[suite] = {}
        for key, case in found.items():
            own = key if holders[key] == 1 else _free(_of_suite(key, suite, prefix), taken)
            taken.add(own)
            made[suite][own] = case
    return made


def _of_suite(key: Key, suite: str, prefix: str) -> Key:
    # dots part packages in Jenkins: those of a suite's name must not
    own = suite.removeprefix(prefix).strip().replace(".", "_")
    rest = key[0].removeprefix(prefix).lstrip(".") if prefix else key[0]
    return ".".join(filter(None, (prefix, own, rest))), key[1]


def _free(key: Key, taken: set[Key]) -> Key:
    names = chain([key[1]], (f"{key[1]} ({number})" for number in count(2)))
    return next((key[0], name) for name in names if (key[0], name) not in taken)


def _read(path: Path, prefix: str) -> Iterator[tuple[ET.Element, str, ET.Element]]:
    """Yield suite, its name and a case, for each case of a file; what is wrong with the file is a case, too."""
    try:
        root = foreign.parse(foreign.legal(path.read_text("utf-8", "replace")), _LARGEST)
        if root.tag not in ("testsuites", "testsuite"):
            raise ValueError(f"it is no JUnit: its root is <{root.tag}>")
    except (OSError, ValueError) as error:
        yield _trouble(path, f"cannot be read: {error}", prefix)
        return
    seen = False
    for suite in root.iter("testsuite"):
        name = " ".join(filter(None, (prefix, suite.get("name") or path.stem)))
        for problem in suite.findall("error"):
            element = ET.Element("testcase", classname=name, name="the suite as a whole")
            element.append(problem)
            yield suite, name, element
            seen = True
        for element in suite.findall("testcase"):
            if prefix:
                element.set("classname", ".".join(filter(None, (prefix, element.get("classname")))))
            yield suite, name, element
            seen = True
    if not seen:
        yield _trouble(path, "holds no test", prefix)


def _trouble(path: Path, what: str, prefix: str) -> tuple[ET.Element, str, ET.Element]:
    name = " ".join(filter(None, (prefix, "seatrial.junit")))
    element = ET.Element("testcase", classname=".".join(filter(None, (prefix, "seatrial.junit"))), name=str(path))
    ET.SubElement(element, "error", message=f"{path.name} {what}"[:500], type="unreadable").text = what
    return ET.Element("testsuite", name=name), name, element


def _one(case: Case, key: Key) -> ET.Element:
    """Return one element for all tries of a test: its worst outcome first, then what else they say."""
    rank = case.outcome()
    ordered = sorted((element for _, element in case.tries), key=_rank)
    made = ET.Element("testcase", {**ordered[0].attrib, "classname": key[0], "name": key[1]})
    made.set("time", f"{sum(_seconds(element) for element in ordered):.3f}")
    if case.repeated and rank == len(_OUTCOMES):
        failure = ET.SubElement(made, "failure", type="rerun")
        failure.set("message", f"it was run {len(case.tries)} times: what passes only when repeated has not passed")
    told = False
    for element in ordered:
        for child in element:
            if child.tag not in _KEPT:
                continue
            if child.tag in _OUTCOMES:
                if told:  # one outcome a case: the second one's text is kept as output
                    child = _as_output(child)
                told = True
            child.text = _clipped(child.text)
            made.append(child)
    return _joined(made)


def _as_output(child: ET.Element) -> ET.Element:
    output = ET.Element("system-err")
    output.text = "\n".join(filter(None, (f"also: {child.get('message', '')}", child.text)))
    return output


def _joined(case: ET.Element) -> ET.Element:
    """Join outputs and properties of several tries, in the order that the format asks for."""
    order = {tag: place for place, tag in enumerate(("properties", *_OUTCOMES, "rerunFailure", "flakyFailure"))}
    first: dict[str, ET.Element] = {}
    for child in list(case):
        if child.tag in ("system-out", "system-err", "properties") and child.tag in first:
            first[child.tag].text = _clipped("\n".join(filter(None, (first[child.tag].text, child.text))))
            first[child.tag].extend(list(child))
            case.remove(child)
        first.setdefault(child.tag, child)
    case[:] = sorted(case, key=lambda child: order.get(child.tag, len(order)))
    return case


def _clipped(text: str | None, limit: int = TEXT_LIMIT) -> str | None:
    if text is None or len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - limit} characters, see the log ...]\n{text[-half:]}"


def _fit(elements: list[ET.Element]) -> None:
    """Shorten the texts of all cases until they are no more in all than GitLab takes of one job."""
    limit = TEXT_LIMIT
    while limit > 256 and sum(len(ET.tostring(element, "utf-8")) for element in elements) > TOTAL_LIMIT:
        limit //= 4
        for element in elements:
            for child in element:
                child.text = _clipped(child.text, limit)


def _seconds(element: ET.Element) -> float:
    try:
        return max(float(element.get("time", "0").replace(",", "")), 0.0)
    except ValueError:
        return 0.0


def _counts(elements: Iterable[ET.Element]) -> dict[str, int]:
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    names = {"error": "errors", "failure": "failures", "skipped": "skipped"}
    for element in elements:
        counts["tests"] += 1
        for child in element:
            if child.tag in names:
                counts[names[child.tag]] += 1
    return counts


def _parts(made: list[tuple[str, list[ET.Element]]], suites: dict[str, ET.Element], limit: int) -> Iterator[str]:
    """Yield documents below a size. A suite that is parted keeps its name: Jenkins joins what has the same one."""
    document = ET.Element("testsuites")
    size = 0
    for name, elements in made:
        part: ET.Element | None = None
        for element in elements:
            weight = len(ET.tostring(element, "utf-8")) + 1
            if size and size + weight > limit - 2000:
                yield _text(document)
                document, size, part = ET.Element("testsuites"), 0, None
            if part is None:
                wanted = {key: suites[name].get(key, "") for key in ("timestamp", "hostname", "id")}
                part = ET.SubElement(document, "testsuite", name=name)
                part.attrib.update({key: value for key, value in wanted.items() if value})
                size += 400
            part.append(element)
            size += weight
    if len(document):
        yield _text(document)


def _text(document: ET.Element) -> str:
    for suite in document:
        numbers = _counts(suite)
        seconds = sum(_seconds(element) for element in suite)
        suite.attrib.update({**{key: str(value) for key, value in numbers.items()}, "time": f"{seconds:.3f}"})
        for element in suite:
            element.tail = "\n"
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(document, encoding="unicode") + "\n"
