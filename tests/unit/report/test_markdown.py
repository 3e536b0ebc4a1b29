import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from seatrial import report
from seatrial.report.markdown import LINES, code, escape
from seatrial.report.wording import flat
from seatrial.results import Stream, TestResult, merge_counts, read
from seatrial.verdict import Verdict

SNAPSHOT = Path(__file__).with_name("report.md")
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


def plain(html):
    assert "<a" not in html
    text = re.sub(r"</?(p|code)>", "", html)
    for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(name, sign)
    return text.strip()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1 _*`[](){}#!|<>~$&@:.+-=\\/\n\t\"'", max_size=30))
def test_escaped_text_is_shown_as_it_is(text):
    assert plain(MARKDOWN.render(escape(text))) == flat(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab` |\\*<\n", min_size=1, max_size=20).filter(str.strip))
def test_code_is_shown_as_it_is(text):
    html = MARKDOWN.render("x " + code(text))
    assert plain(html).removeprefix("x ").strip() == flat(text).replace("|", "¦")


@pytest.mark.parametrize(
    "text", ["@all", "look @root", ":tada:", "see #12", "see !12", "a|b", "~~no~~", "$x$"]
)
def test_nothing_is_a_mention_a_reference_or_an_emoji(text):
    sign = next(sign for sign in "@:#!|~$" if sign in text)
    assert f"\\{sign}" in escape(text)


def test_test_names_and_targets_stay_readable():
    assert escape("suites/cli/test_run.py::test_x docker@bookworm 20:15:00") == (
        "suites/cli/test_run.py::test_x docker@bookworm 20:15:00"
    )


def test_snapshot(run_dir):
    report.write(run_dir)
    assert (run_dir / "report.md").read_text() == SNAPSHOT.read_text()


def test_sections_keep_the_order_of_the_page(run_dir):
    report.write(run_dir)
    text = (run_dir / "report.md").read_text()
    marks = [
        "## ✗ FAIL",
        "| target |",
        "### Since the last run",
        "| area |",
        "### Failures",
        "### Not tested",
        "Claims:",
        "Findings:",
        "Slowest:",
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_a_huge_run_fits_into_sixty_lines(sample, tmp_path):
    directory = sample.sample(tmp_path / "run", list(sample.TARGETS))
    run = read(directory / "results.jsonl")
    (directory / "results.jsonl").unlink()
    stream = Stream(directory / "results.jsonl")
    stream.write(run.header)
    results = [
        TestResult(f"suites/a{n % 40}/t.py::test_{n}\u2028\n", target,
                   list(Verdict)[n % 9], f"area {n % 40}", 1.0,
                   message=f"line {n}\n\x0b\x85more", reason=f"because of {n}\nand more")
        for target in sample.TARGETS for n in range(300)
    ]  # fmt: skip
    for item in [*results, *run.findings * 50]:
        stream.write(item)
    stream.write(run.footer.__class__("", 1.0, 1, merge_counts(results), len(results)))
    stream.close()
    report.write(directory)
    lines = (directory / "report.md").read_text().splitlines()
    assert LINES - 5 < len(lines) <= LINES
    assert "### Failures" in lines
    assert any("more groups" in line for line in lines)
    assert any("more reasons" in line for line in lines)


@pytest.mark.parametrize("options", [{"cut": True}, {"empty": True}])
def test_what_is_not_whole_says_so(sample, tmp_path, options):
    directory = sample.sample(tmp_path / "run", ["docker@sid"], **options)
    report.write(directory)
    assert (directory / "report.md").read_text().startswith("## ? UNKNOWN:") or options == {"cut": True}
    assert "PASS |" not in (directory / "report.md").read_text()
