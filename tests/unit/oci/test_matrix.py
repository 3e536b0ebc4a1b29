"""A wrapper that injects nothing changes no verdict: how that is seen."""

import pytest


@pytest.fixture
def matrix_run(kit):
    return kit("matrix_run")


def tried(matrix_run, **verdicts):
    return [matrix_run.Tried("none", test, False, verdict, "") for test, verdict in verdicts.items()]


def test_the_same_verdicts_are_no_difference(matrix_run):
    plain = {"a": "PASS", "b": "KNOWN", "c": "FAIL", "d": "UNSUPPORTED", "e": "SKIP"}
    assert matrix_run.differences(plain, tried(matrix_run, a="PASS", b="KNOWN", c="FAIL")) == {}
    assert matrix_run.differences(plain, tried(matrix_run, a="PASS", b="FAIL", c="WARN")) == {}


@pytest.mark.parametrize(("plain", "wrapped"), [("PASS", "FAIL"), ("FAIL", "PASS"), ("KNOWN", "PASS")])
def test_another_verdict_is_a_difference(matrix_run, plain, wrapped):
    found = matrix_run.differences({"a": plain, "b": "PASS"}, tried(matrix_run, a=wrapped, b="PASS"))
    assert found == {"a": (plain, wrapped)}


def test_a_verdict_on_one_side_is_a_difference(matrix_run):
    found = matrix_run.differences({"a": "PASS", "b": "SKIP"}, tried(matrix_run, b="PASS"))
    assert found == {"a": ("PASS", "no verdict"), "b": ("no verdict", "PASS")}


class Kit:
    plugin, options = "none", ()


def campaign(kit, monkeypatch, tmp_path, *rounds):
    """Have each round of tests end with (verdicts without, verdicts with the wrapper)."""
    module = kit("kit")
    matrix_run = kit("matrix_run")
    without, through = [one for one, _ in rounds], [other for _, other in rounds]
    monkeypatch.setattr(module, "run", lambda *_, **__: tried(matrix_run, **through.pop(0)))
    monkeypatch.setattr(module, "bare", lambda *_, **__: without.pop(0))
    return module.unfaulted(Kit, "runc", ["a", "b"], "0", tmp_path)


def test_a_campaign_goes_on_when_nothing_changes(kit, monkeypatch, tmp_path):
    found = campaign(kit, monkeypatch, tmp_path, ({"a": "PASS", "b": "KNOWN"}, {"a": "PASS", "b": "KNOWN"}))
    assert [(one.test, one.verdict) for one in found] == [("a", "PASS"), ("b", "KNOWN")]


def test_a_campaign_goes_on_when_a_difference_does_not_come_again(kit, monkeypatch, tmp_path):
    found = campaign(kit, monkeypatch, tmp_path, ({"a": "PASS"}, {"a": "FAIL"}), ({"a": "PASS"}, {"a": "PASS"}))
    assert [one.verdict for one in found] == ["FAIL"]


def test_a_wrapper_that_changes_a_verdict_ends_the_campaign(kit, monkeypatch, tmp_path):
    same = ({"a": "PASS", "b": "PASS"}, {"a": "FAIL", "b": "PASS"})
    with pytest.raises(SystemExit, match="a: PASS without the wrapper, FAIL with it"):
        campaign(kit, monkeypatch, tmp_path, same, same)


@pytest.mark.parametrize(("with_fault", "without"), [
    ("t.py::test[fault=none]", "t.py::test"), ("t.py::test[a-fault=none]", "t.py::test[a]"),
    ("t.py::test[fault=none---tmpfs-/full]", "t.py::test[--tmpfs-/full]"),
    ("t.py::test[a--b-fault=none-c]", "t.py::test[a--b-c]"), ("t.py::test[fault=nones]", "t.py::test[fault=nones]"),
])  # fmt: skip
def test_a_test_is_known_without_its_fault(kit, monkeypatch, tmp_path, with_fault, without):
    monkeypatch.setenv("SEATRIAL_FAULTS", str(tmp_path))
    for name, content in (("faults", "{}"), ("unspared", "[]")):
        (tmp_path / f"{name}.json").write_text(content)
    assert kit("matrix").without_fault(with_fault, "none") == without
