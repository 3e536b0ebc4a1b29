import xml.etree.ElementTree as ET

import pytest

from seatrial.errors import SeatrialError
from seatrial.external_results import id_of, judge
from seatrial.known import Deviations, Known

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="s" errors="1" failures="2" skipped="1" tests="5">
<testcase classname="tests.integration.api_build_test.BuildTest" name="test_squash">
<failure message="E1">no squash</failure></testcase>
<testcase classname="tests.integration.api_build_test.BuildTest" name="test_other">
<failure message="E2">boom</failure></testcase>
<testcase classname="tests.integration.creds.test_store.TestStore" name="test_get">
<error message="init">no helper</error></testcase>
<testcase classname="tests.integration.errors_test" name="test_plain" />
<testcase classname="tests.integration.errors_test" name="test_skip"><skipped message="x" /></testcase>
</testsuite></testsuites>
"""
SQUASH = "tests/integration/api_build_test.py::BuildTest::test_squash"
HELPER = "tests/integration/creds/test_store.py::TestStore::test_get"
LINK = "https://example.org/1"


def listed(*entries, races=()):
    return Deviations({entry.test: entry for entry in entries}, list(races), [])


@pytest.fixture
def junit(tmp_path):
    path = tmp_path / "x.xml"
    path.write_text(JUNIT)
    return path


def cases(path):
    return {case.get("name"): case for case in ET.parse(path).iter("testcase")}


@pytest.mark.parametrize(
    ("classname", "name", "expected"),
    [("tests.integration.api_build_test.BuildTest", "test_x", SQUASH.replace("squash", "x")),
     ("tests.a_test", "test_x[1.2]", "tests/a_test.py::test_x[1.2]"),
     ("tests.b.Outer.Inner", "t", "tests/b.py::Outer::Inner::t")],
)  # fmt: skip
def test_names_of_junit_become_ids(classname, name, expected):
    assert id_of(classname, name) == expected


def test_known_failures_are_skipped_with_their_reason(junit):
    judged = judge(junit, listed(Known(SQUASH, "there is no squash here", LINK, "no squash")))
    assert judged.known == [SQUASH]
    assert judged.failed == [SQUASH.replace("squash", "other"), HELPER]
    assert (judged.passed, judged.skipped) == (["tests/integration/errors_test.py::test_plain"],
                                               ["tests/integration/errors_test.py::test_skip"])  # fmt: skip
    assert str(judged) == "2 failed, 1 known failures, 1 passed, 1 skipped"
    squash = cases(junit)["test_squash"]
    assert squash.find("failure") is None
    assert squash.find("skipped").get("message") == "known: there is no squash here"
    suite = next(ET.parse(junit).iter("testsuite"))
    assert [suite.get(name) for name in ("errors", "failures", "skipped")] == ["1", "1", "2"]


def test_a_failure_in_other_words_is_not_the_known_one(junit):
    judged = judge(junit, listed(Known(SQUASH, "there is no squash here", LINK, "other words")))
    assert SQUASH in judged.failed and judged.known == []
    assert cases(junit)["test_squash"].find("failure") is not None


def test_a_race_may_befall_any_test(junit):
    judged = judge(junit, listed(races=[Known("", "helpers are missing here", LINK, "no helper")]))
    assert judged.known == [HELPER]


def test_a_known_failure_that_passes_is_told(junit):
    name = "tests/integration/errors_test.py::test_plain"
    judged = judge(junit, listed(Known(name, "it fails elsewhere", LINK, "words")))
    assert judged.passing == [name]
    assert name in judged.passed


@pytest.mark.parametrize("text", ["", "no xml", "<!DOCTYPE a><a/>"])
def test_what_is_no_junit_is_told(tmp_path, text):
    path = tmp_path / "x.xml"
    path.write_text(text)
    with pytest.raises(SeatrialError) as error:
        judge(path, listed())
    assert error.value.code == "E329"
