"""Each test once for each fault that it could notice: what the plugins that inject faults share.

SEATRIAL_FAULTS names a directory. Its faults.json maps the ids of faults to the tests that are tried,
passed.json (if it is there) names the tests that pass without a fault: no others notice anything. What
happened goes into outcomes/; killed/ holds a file for each fault that was noticed, which spares the others
but for the pairs in unspared.json.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from matrix_run import NOT_RUN

DIRECTORY = Path(os.environ["SEATRIAL_FAULTS"])
TESTS: dict[str, list[str]] = json.loads((DIRECTORY / "faults.json").read_text())
PASSED = set(json.loads(path.read_text())) if (path := DIRECTORY / "passed.json").exists() else None
UNSPARED = {tuple(pair) for pair in json.loads((DIRECTORY / "unspared.json").read_text())}
# what injects nothing: it shows that the injection by itself changes no verdict
NONE = "none"


def pytest_generate_tests(metafunc):
    if "target" in metafunc.fixturenames:
        test = metafunc.definition.nodeid
        ids = [id_ for id_, tests in TESTS.items() if test in tests]
        metafunc.parametrize("fault_id", ids, indirect=True, ids=[f"fault={id_}" for id_ in ids])


@pytest.fixture
def fault_id(request):
    test = request.node.nodeid.partition("[")[0]
    if (DIRECTORY / "killed" / request.param).exists() and (request.param, test) not in UNSPARED:
        pytest.skip("already noticed")
    return request.param


def without_fault(test, id_):
    """The id of a test as it is when no faults are injected."""
    own = re.escape(f"fault={id_}")
    # parameters may begin with hyphens, too
    return re.sub(rf"{own}-|-?{own}(?=\])", "", test, count=1).replace("[]", "")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    id_ = item.callspec.params.get("fault_id") if hasattr(item, "callspec") else None
    value = getattr(report, "seatrial", None)
    if id_ and value and value["verdict"] not in NOT_RUN:
        test = without_fault(value["test"], id_)
        # an ERROR is the harness's own: it names nothing that is wrong with what is tested; what is found while it is
        # cleaned up after a test was not found by the test
        failed = value["verdict"] in ("FAIL", "WARN") and not value["message"].startswith("teardown: ")
        noticed = failed and (PASSED is None or test in PASSED)
        with (DIRECTORY / "outcomes" / f"{os.getpid()}.jsonl").open("a") as out:
            line = {
                "fault": id_, "test": test, "noticed": noticed, "verdict": value["verdict"], "how": value["signature"],
            }  # fmt: skip
            out.write(json.dumps(line) + "\n")
        if noticed and id_ != NONE:
            (DIRECTORY / "killed" / id_).touch()
    return report
