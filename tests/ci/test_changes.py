"""What is said of a build that has ended, and what differs from the branch that it goes into."""

from seatrial.ci import changes

A = "a" * 40


def test_names_from_the_merge_request_stay_names():
    evil = "x`\n/merge\n<img src=x> @all [a](http://b)"
    report = {"suites": [{"cases": [{"className": evil, "name": evil, "status": "FAILED"}]}]}
    note = changes.note(A, "main", "UNSTABLE", "http://ci/1", report, None)
    assert "\n/merge" not in note
    [line] = [line for line in note.splitlines() if "img" in line]
    assert line.startswith("- ``")
    assert line.endswith("``")
    assert line.count("``") == 2


def test_long_lists_are_counted():
    cases = [{"className": "c", "name": f"t{n:03}", "status": "REGRESSION"} for n in range(60)]
    note = changes.note(A, "main", "UNSTABLE", "http://ci/1", {"suites": [{"cases": cases}]}, {})
    assert "Newly failing (60)" in note
    assert "- and 40 more" in note


def report(**tests):
    """A Jenkins test report: name -> status, or the message of one that was skipped."""
    cases = [
        {"className": "c", "name": name, "status": word} if word in ("PASSED", "FAILED") else
        {"className": "c", "name": name, "status": "SKIPPED", "skippedMessage": word} for name, word in tests.items()
    ]  # fmt: skip
    return {"suites": [{"cases": cases}]}


def test_what_a_run_left_out_by_its_selection_is_no_difference():
    """The branch's build runs the slow tests, a merge request's does not."""
    slow = "DISABLED: slow: runs with --slow (make suites-full)"
    text = changes.note(A, "main", "UNSTABLE", "u", report(a="PASSED", b=slow), report(a="PASSED", b="PASSED"))
    assert "No longer run" not in text
    assert "1 passed, 0 failed, 1 skipped." in text
    assert "No verdict differs" in text
    lacks = report(a="SKIP: no such kernel", b=slow)
    text = changes.note(A, "main", "UNSTABLE", "u", lacks, report(a="PASSED", b="PASSED"))
    assert "No longer run (1):\n\n- `c::a`" in text
    assert "No verdict differs" not in text
    text = changes.note(A, "main", "UNSTABLE", "u", report(a="PASSED"), report(a="PASSED", b="PASSED"))
    assert "No longer run (1):\n\n- `c::b`" in text
    text = changes.note(A, "main", "UNSTABLE", "u", report(a="PASSED", b="FAILED"), report(a="PASSED", b=slow))
    assert "Newly failing (1):\n\n- `c::b`" in text
    assert "No verdict differs" not in text


def test_disabled_is_known_by_what_the_harness_writes():
    from seatrial.report import junit
    from seatrial.results import TestResult
    from seatrial.verdict import Verdict

    made = junit._case(
        TestResult("suites/cli/test_a.py::test_b", "docker", Verdict.DISABLED, "run", 0.0, reason="slow"), {}
    )
    [skipped] = made.skipped
    case = {"className": "c", "name": "n", "status": "SKIPPED", "skippedMessage": skipped["message"]}
    assert changes.verdicts({"suites": [{"cases": [case]}]}) == {"c::n": "disabled"}


def test_nothing_differs():
    report = {"suites": [{"cases": [{"className": "c", "name": "t", "status": "PASSED"}]}]}
    assert "No verdict differs" in changes.note(A, "main", "UNSTABLE", "u", report, report)
    assert "No verdict differs" not in changes.note(A, "main", "UNSTABLE", "u", report, None)
    assert "No verdict differs" not in changes.note(A, "main", "UNSTABLE", "u", None, report)
