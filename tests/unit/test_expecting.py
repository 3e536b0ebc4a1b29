"""What is not there fails the test, and says what was seen."""

import pytest

from seatrial.exec import ExpectationError
from seatrial.expecting import exactly, matched, one


def test_the_only_row_is_returned():
    assert one(["bow"]) == "bow"
    assert one({"bow": 1}.items()) == ("bow", 1)
    assert one(row for row in (None,)) is None


@pytest.mark.parametrize(("rows", "seen"), [([], r"seen 0: \[\]"), (["bow", "stern"], r"seen 2: \['bow', 'stern'\]")])
def test_none_or_several_rows_are_not_one(rows, seen):
    with pytest.raises(ExpectationError, match=f"expected 1, {seen}"):
        one(rows)


def test_as_many_rows_as_are_expected():
    assert exactly(2, iter("ab")) == ["a", "b"]
    assert exactly(0, ()) == []
    for count in (1, 3):
        with pytest.raises(ExpectationError, match=rf"expected {count}, seen 2: \['a', 'b'\]"):
            exactly(count, "ab")


def test_a_match_is_that_of_a_line():
    assert matched(r"^mode: (\w+)$", "deck\nmode: on\n")[1] == "on"
    assert matched(r"n", "on no")[0] == "n"
    with pytest.raises(ExpectationError, match=r"expected a match of /\^mode\$/, seen 'mode: on'"):
        matched("^mode$", "mode: on")
