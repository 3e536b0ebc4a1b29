"""A property on an engine is tried with as many examples as it says, and with the same ones each time."""

from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples


def drawn():
    seen = []

    @examples(7)
    @given(st.integers())
    def check(number):
        seen.append(number)

    check()
    return seen


def test_the_examples_are_as_many_as_asked_for_and_the_same_again():
    first = drawn()
    assert len(first) == 7
    assert drawn() == first
