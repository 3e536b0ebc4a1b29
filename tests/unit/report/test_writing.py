import json
from collections import Counter
from html.parser import HTMLParser
from importlib import resources
from urllib.parse import unquote

import jsonschema
import pytest

from seatrial import report
from seatrial.errors import SeatrialError
from seatrial.report import files
from seatrial.results import read

VOID = {"meta", "link", "br", "rect", "path", "circle"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.ids, self.hrefs, self.text = Counter(), [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.attributes += [(tag, *pair) for pair in attributes]
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.hrefs += [values["href"]] if "href" in values else []
        if tag not in VOID - {"rect", "path", "circle"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(params=["six", "one", "cut", "empty", "green", "thousand"])
def page(request, sample, tmp_path):
    targets = list(sample.TARGETS)
    options = {
        "six": {}, "one": {"targets": targets[:1]}, "cut": {"cut": True}, "empty": {"empty": True},
        "green": {"green": True}, "thousand": {"size": 170},
    }[request.param]  # fmt: skip
    directory = sample.sample(tmp_path / "run", **{"targets": targets, **options})
    report.write(directory)
    return request.param, directory, Page((directory / "index.html").read_text())


def test_the_page_obeys_a_policy_without_scripts_styles_and_other_servers(page):
    _name, directory, parsed = page
    assert not parsed.tags.keys() & {"script", "style", "img", "iframe", "object", "form", "base"}
    names = {attribute for _, attribute, _ in parsed.attributes}
    assert not {one for one in names if one == "style" or one.startswith("on")}
    assert [
        value for tag, attribute, value in parsed.attributes if tag == "link" and attribute == "href"
    ] == ["report.css"]
    style = (directory / "report.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


def test_every_link_leads_somewhere(page):
    _, directory, parsed = page
    assert len(parsed.ids) == len(set(parsed.ids))
    for href in parsed.hrefs:
        if href.startswith("#"):
            assert href[1:] in parsed.ids
        elif not href.startswith("https://"):
            assert (directory / unquote(href)).is_file(), href


def test_the_page_is_well_formed_and_has_landmarks(page):
    _, _, parsed = page
    assert parsed.open == []
    assert (parsed.tags["h1"], parsed.tags["main"], parsed.tags["header"], parsed.tags["nav"]) == (1, 1, 1, 1)
    scopes = [value for tag, attribute, value in parsed.attributes if tag == "th" and attribute == "scope"]
    assert len(scopes) == parsed.tags["th"]


def test_chapters_stand_in_their_order(page):
    _, _, parsed = page
    chapters = [
        "verdict",
        "targets",
        "changes",
        "matrix",
        "failures",
        "not-tested",
        "claims",
        "known",
        "findings",
        "slowest",
    ]
    assert [one for one in parsed.ids if one in chapters] == chapters


def test_the_verdict_is_honest(page):
    name, directory, parsed = page
    word = {
        "six": "FAIL",
        "one": "PASS",
        "cut": "FAIL",
        "empty": "UNKNOWN",
        "green": "PASS",
        "thousand": "FAIL",
    }[name]
    if name == "one":
        word = "FAIL"  # its leftover
    text = " ".join(" ".join(parsed.text).split())
    assert f"{word} " in text[text.index("Skip to the verdict") :][:120]
    assert ("cut off" in text) is (name == "cut")
    assert json.loads((directory / "matrix.json").read_text())["verdict"] == word


def test_text_of_engines_cannot_become_markup(sample, tmp_path):
    directory = sample.sample(tmp_path / "run", ["docker@sid"])
    path = directory / "results.jsonl"
    path.write_text(
        path.read_text().replace("stopped answering", "<script>alert(1)</script>\\u0000\\u001b[31m")
    )
    path.write_text(path.read_text().replace("test_by_name", "test_<b>"))
    report.write(directory)
    text = (directory / "index.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert '<b>"' not in text
    assert not set(text) & {"\0", "\x1b"}


def test_only_web_addresses_become_links(sample, tmp_path):
    directory = sample.sample(tmp_path / "run", ["podman@sid"])
    path = directory / "results.jsonl"
    path.write_text(path.read_text().replace("https://github.com/containers", "javascript:alert(1)//"))
    report.write(directory)
    assert not [href for href in Page((directory / "index.html").read_text()).hrefs if "javascript" in href]


def test_a_failure_on_several_targets_is_shown_once(sample, tmp_path):
    directory = sample.sample(tmp_path / "run")
    report.write(directory)
    text = (directory / "index.html").read_text()
    assert text.count("expected: exit code 125 and a message like") == 2  # its title and its evidence
    command = (
        "test_taken_port_is_refused&#39; --engine podman@bookworm --engine podman@trixie --engine podman@sid"
    )
    assert text.count(command) == 1


def test_each_test_of_a_group_keeps_its_own_evidence(run_dir):
    path = run_dir / "results.jsonl"
    path.write_text(path.read_text().replace('"signature": "no CACHED"', '"signature": "stopped answering"')
                    .replace('"WARN", "area": "build"', '"ERROR", "area": "build"'))  # fmt: skip
    report.write(run_dir)
    text = (run_dir / "index.html").read_text()
    assert text.count("what this test saw") == 1
    assert "seen:     none among 7 lines" in text


def test_the_matrix_obeys_its_schema_and_agrees_with_the_results(page):
    _, directory, _ = page
    matrix = json.loads((directory / "matrix.json").read_text())
    schema = json.loads(resources.files("seatrial.schemas").joinpath("matrix.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(matrix)
    run = read(directory / "results.jsonl")
    counted = Counter()
    for row in matrix["areas"].values():
        for counts in row.values():
            counted.update(counts)
    assert counted == Counter(str(result.verdict) for result in run.results)
    for result in run.results:
        assert matrix["tests"][result.test]["verdicts"][result.target] == result.verdict
    assert matrix["complete"] is run.complete


def test_all_files_are_returned_and_writing_again_gives_the_same(run_dir):
    paths = report.write(run_dir)
    assert sorted(path.name for path in paths) == [
        "index.html", "junit-docker@sid.xml", "junit-podman@trixie.xml", "matrix.json",
        "report.css", "report.md",
    ]  # fmt: skip
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in report.write(run_dir)] == before
    assert not list(run_dir.glob(".*"))
    assert (run_dir.parent / "history.sqlite").exists()


def test_changes_since_the_last_run_are_shown(sample, tmp_path):
    first = sample.sample(tmp_path / "a", ["docker@sid"], run="a", started="2026-01-01T00:00:00Z", green=True)
    second = sample.sample(tmp_path / "b", ["docker@sid"], run="b", started="2026-01-02T00:00:00Z")
    report.write(first, tmp_path / "h.sqlite")
    report.write(second, tmp_path / "h.sqlite")
    assert "first complete run on record" in (first / "index.html").read_text()
    assert "Newly failing" in (second / "report.md").read_text()
    assert (
        "**Newly failing** (1): suites/network/test_dns.py::test_by_alias"
        in (second / "report.md").read_text()
    )


def test_a_run_that_was_cut_off_does_not_enter_the_history(sample, tmp_path):
    cut = sample.sample(tmp_path / "a", ["docker@sid"], run="a", started="2026-01-01T00:00:00Z", cut=True)
    report.write(cut)
    report.write(sample.sample(tmp_path / "b", ["docker@sid"]))
    assert "first complete run on record" in (tmp_path / "b" / "index.html").read_text()


def test_a_broken_history_costs_no_report(run_dir):
    (run_dir.parent / "history.sqlite").write_text("no database" * 100)
    with pytest.raises(SeatrialError) as raised:
        report.write(run_dir)
    assert raised.value.code == "E305"
    assert "the history could not be used" in (run_dir / "index.html").read_text()
    assert "Not known: E305" in (run_dir / "report.md").read_text()
    assert (run_dir / "junit-docker@sid.xml").exists()


def test_absent_claims_are_told(run_dir):
    (run_dir / "claims.json").unlink()
    report.write(run_dir)
    assert "coverage is not known" in (run_dir / "index.html").read_text()


def test_broken_claims_cost_no_report(run_dir):
    (run_dir / "claims.json").write_text('{"claims": [{"id": "x"}]}')
    with pytest.raises(SeatrialError) as raised:
        report.write(run_dir)
    assert raised.value.code == "E306"
    assert (run_dir / "index.html").exists()


def test_coverage_of_claims(run_dir):
    from seatrial.report.view import coverage
    from seatrial.report.writing import read_claims

    rows = {
        row.area: row
        for row in coverage(read_claims(run_dir / "claims.json"), read(run_dir / "results.jsonl").results)
    }
    cli = rows["cli"]
    assert [claim.id for claim in cli.not_run] == ["cli-090"]
    assert [claim.id for claim in cli.excused] == ["cli-104"]
    assert [claim.id for claim in cli.unnamed] == ["cli-002"]
    assert [claim.id for claim in rows["network"].broken] == ["network-007"]
    assert sum(row.total for row in rows.values()) == 17


def test_unreadable_results_write_nothing(tmp_path):
    (tmp_path / "results.jsonl").write_text("{")
    with pytest.raises(SeatrialError) as raised:
        report.write(tmp_path)
    assert raised.value.code == "E313"
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_a_file_appears_whole_by_its_renaming(tmp_path, monkeypatch):
    path = files.save(tmp_path / "index.html", "old")

    def refuse(self, other):
        assert self.read_text() == "new"
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files.Path, "replace", refuse)
    with pytest.raises(SeatrialError):
        files.save(path, "new")
    assert path.read_text() == "old"


def test_a_run_with_missing_results_does_not_enter_the_history(sample, tmp_path):
    short = sample.sample(tmp_path / "a", ["docker@sid"], run="a", started="2026-01-01T00:00:00Z")
    path = short / "results.jsonl"
    path.write_text(path.read_text().replace('"selected": 35', '"selected": 36'))
    report.write(short)
    report.write(sample.sample(tmp_path / "b", ["docker@sid"]))
    assert "first complete run on record" in (tmp_path / "b" / "index.html").read_text()


def test_a_full_disk_keeps_the_older_file_and_leaves_nothing_half(tmp_path, monkeypatch):
    path = files.save(tmp_path / "index.html", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(SeatrialError) as raised:
        files.save(path, "new")
    assert (raised.value.code, raised.value.cause) == ("E406", "No space left on device")
    assert raised.value.hint
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_contrast_meets_aa_in_light_and_dark(run_dir):
    import re

    style = resources.files("seatrial.report").joinpath("templates/report.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in style.split("@media")[:2]
    )
    assert len(light) == len(dark) == 20

    def luminance(colour):
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    def contrast(one, other):
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    tones = ("pass", "fail", "warn", "known", "unknown", "idle")
    for colours in (light, dark):
        for tone in tones:
            for ground in ("panel", "paper", "faint", f"{tone}-soft"):
                assert contrast(colours[tone], colours[ground]) >= 4.5, (tone, ground)
            assert contrast(colours[tone], colours["fail-soft"]) >= 4.5 or tone == "unknown"
        for text in ("ink", "quiet", "link"):
            for ground in ("panel", "paper", "faint"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast("#cfdce6", colours["sea"]) >= 4.5
