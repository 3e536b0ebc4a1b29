import itertools

import pytest

from seatrial.verdict import Verdict, reduce


def test_nothing_at_all_is_unknown():
    assert reduce([]) is Verdict.UNKNOWN


@pytest.mark.parametrize("verdict", Verdict)
def test_one_verdict_stays_itself(verdict):
    assert reduce([verdict, verdict]) is verdict


def test_red_wins_over_everything_else():
    for verdict in Verdict:
        assert reduce([verdict, Verdict.ERROR]) is Verdict.ERROR
        if verdict is not Verdict.ERROR:
            assert reduce([verdict, Verdict.FAIL]) is Verdict.FAIL


def test_order_and_grouping_do_not_matter():
    for a, b, c in itertools.product(Verdict, repeat=3):
        assert reduce([a, b]) is reduce([b, a])
        assert reduce([reduce([a, b]), c]) is reduce([a, b, c]) is reduce([a, reduce([b, c])])


def test_what_did_not_run_never_reads_as_pass():
    for verdicts in itertools.product([verdict for verdict in Verdict if not verdict.ran], repeat=2):
        assert reduce(verdicts) is not Verdict.PASS


def test_no_verdict_hides_an_unknown_but_red():
    for verdict in Verdict:
        assert reduce([Verdict.UNKNOWN, verdict]) is (verdict if verdict.red else Verdict.UNKNOWN)


def test_what_ran_and_what_is_red():
    assert {verdict for verdict in Verdict if verdict.ran} == {
        Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.KNOWN,
    }  # fmt: skip
    assert {verdict for verdict in Verdict if verdict.red} == {Verdict.FAIL, Verdict.ERROR}
