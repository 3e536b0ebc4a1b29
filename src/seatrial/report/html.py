"""The page: index.html and report.css.

Jenkins serves archived pages without scripts and without inline styles, so all of the look is in the
style sheet beside the page, and bars are drawn as SVG whose lengths are plain attributes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import jinja2

from seatrial import __version__
from seatrial.report import wording
from seatrial.report.conclusion import broken_off
from seatrial.report.files import save
from seatrial.report.view import Group, View, turns
from seatrial.verdict import Verdict

OPEN_GROUPS = 8  # failure groups shown unfolded
OPEN_CASES = 3  # tests of a group shown unfolded


def write(view: View, directory: Path) -> list[Path]:
    """Write index.html and report.css; raises `SeatrialError` E406."""
    style = resources.files("seatrial.report").joinpath("templates/report.css").read_text("utf-8")
    return [save(directory / "report.css", style), save(directory / "index.html", render(view))]


def render(view: View) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("seatrial.report", "templates"),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: wording.clean(value) if isinstance(value, str) else value,
    )  # fmt: skip
    environment.filters.update(
        span=wording.span, moment=wording.moment, size=wording.size, bar=bar,
        href=lambda path: quote(str(path)), css=lambda verdict: f"v-{verdict.lower()}",
    )  # fmt: skip
    environment.tests["web"] = lambda text: str(text).startswith(("https://", "http://"))
    page = environment.get_template("index.html.j2")
    text: str = page.render(
        view=view, run=view.run, host=view.run.header.host, Verdict=Verdict,
        signs=wording.SIGNS, words=wording.WORDS, meanings=wording.MEANINGS, order=wording.ORDER,
        many=wording.many, turns=turns(view.changes),
        broken=broken_off(view.run), where=_where(view.failures + view.warnings), version=__version__,
        open_groups=OPEN_GROUPS, open_cases=OPEN_CASES, shell=shlex.join(view.run.header.command),
    )  # fmt: skip
    return text.lstrip()  # the macros leave blank lines before the doctype


def bar(numbers: Mapping[Verdict, int]) -> list[tuple[Verdict, str, str]]:
    """Return the parts of a stacked bar: verdict, start and length in percent."""
    total = sum(numbers.values())
    parts, start = [], 0.0
    for verdict in wording.ORDER:
        if count := numbers.get(verdict, 0):
            length = 100 * count / total
            parts.append((verdict, f"{start:.3f}%", f"{length:.3f}%"))
            start += length
    return parts


def _where(groups: list[Group]) -> dict[tuple[str, str, Verdict], str]:
    """Map area, target and verdict to the anchor of the first group that holds such a result."""
    found: dict[tuple[str, str, Verdict], str] = {}
    for group in groups:
        for case in group.cases:
            for result in case.results:
                found.setdefault((result.area, result.target, result.verdict), group.anchor)
    return found

