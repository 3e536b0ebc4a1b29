"""Filters are followed on every path that arguments can take."""

import pytest

from seatrial.probes.seccomp import I386, X86_64, Filters
from seatrial.security.syscalls import LAST, name, numbers

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, AND, STORE, RECALL, RETURN = 0x20, 0x15, 0x35, 0x54, 0x02, 0x60, 0x06
ALLOW, EPERM, KILL = 0x7FFF0000, 0x50001, 0x80000000
NUMBER, ARCH, ARGUMENT = 0, 4, 16


def program(*instructions):
    return tuple(instructions)


# what is not x86-64 is killed; call 5 is refused; call 7 is refused when its first argument has the lowest bit
PLAIN = program(
    (LOAD, 0, 0, ARCH), (JUMP_EQUAL, 1, 0, X86_64), (RETURN, 0, 0, KILL),
    (LOAD, 0, 0, NUMBER), (JUMP_EQUAL, 2, 0, 5), (JUMP_EQUAL, 3, 0, 7), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, EPERM),
    (RETURN, 0, 0, ALLOW),
    (LOAD, 0, 0, ARGUMENT), (AND, 0, 0, 1), (JUMP_EQUAL, 0, 1, 1), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW),
)  # fmt: skip


def test_numbers_decide_where_they_can():
    filters = Filters((PLAIN,))
    assert filters.actions(4) == {"allow"}
    assert filters.actions(5) == {"errno 1"}
    assert filters.actions(4, I386) == {"kill process"}


def test_both_sides_are_followed_where_arguments_decide():
    assert Filters((PLAIN,)).actions(7) == {"allow", "errno 1"}


def test_worst_answer_of_several_filters_counts():
    other = program((LOAD, 0, 0, NUMBER), (JUMP_AT_LEAST, 0, 1, 5), (RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW))
    filters = Filters((PLAIN, other))
    assert filters.actions(4) == {"allow"}
    assert filters.actions(5) == filters.actions(7) == {"kill process"}


def test_what_is_stored_is_recalled():
    filters = Filters((program(
        (LOAD, 0, 0, NUMBER), (STORE, 0, 0, 3), (LOAD, 0, 0, ARGUMENT), (RECALL, 0, 0, 3), (JUMP_EQUAL, 0, 1, 9),
        (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW),
    ),))  # fmt: skip
    assert (filters.actions(9), filters.actions(8)) == ({"errno 1"}, {"allow"})


def test_no_filter_allows():
    assert Filters(()).actions(1) == {"allow"}


def test_what_is_no_filter_is_refused():
    with pytest.raises(ValueError, match="0x99"):
        Filters((program((0x99, 0, 0, 0)),)).actions(1)


def test_calls_are_known_on_both_entries():
    assert (numbers()["mount"], numbers("i386")["mount"]) == (165, 21)
    assert (name(165), name(21, "i386"), name(100_000)) == ("mount", "mount", "100000")
    assert max(numbers().values()) <= LAST
    assert "socketcall" not in numbers()


def test_arguments_that_are_given_decide():
    filters = Filters((PLAIN,))
    assert filters.actions(7, arguments=(0b10,)) == {"allow"}
    assert filters.actions(7, arguments=(0b11,)) == {"errno 1"}
    upper = program((LOAD, 0, 0, ARGUMENT + 12), (JUMP_EQUAL, 0, 1, 5), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW))
    assert Filters((upper,)).actions(7, arguments=(0, 5 << 32)) == {"errno 1"}
    assert Filters((upper,)).actions(7, arguments=(0, 5)) == {"allow"}
    assert Filters((upper,)).actions(7, arguments=(0,)) == {"allow", "errno 1"}
