"""Frames and JSON values, whole, cut off, and in pieces of any size."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.api.streams import Demultiplexer, Frame, demultiplex, json_values
from seatrial.exec import ExpectationError


def encoded(frames):
    return b"".join(bytes([f.stream, 0, 0, 0]) + len(f.data).to_bytes(4, "big") + f.data for f in frames)


FRAMES = st.lists(st.builds(Frame, st.integers(0, 2), st.binary(max_size=300)), max_size=8)


@given(FRAMES, st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames, size):
    data = encoded(frames)
    parser = Demultiplexer()
    found = [frame for start in range(0, len(data), size) for frame in parser.feed(data[start : start + size])]
    parser.finish()
    assert found == frames


def test_frames_know_their_streams():
    frames = demultiplex(encoded([Frame(1, b"a"), Frame(2, b"x"), Frame(1, b""), Frame(1, b"b" * 70000)]))
    assert frames.stdout == b"a" + b"b" * 70000
    assert frames.stderr == b"x"
    assert frames.streams == {1, 2}


@pytest.mark.parametrize(
    "data",
    [b"\x03\0\0\0\0\0\0\x01a", b"\x01\0\x01\0\0\0\0\x01a", b"plain text", b"\x01\0\0\0\0\0\0\x02a", b"\x01\0\0"],
    ids=["stream-3", "padding", "text", "cut-data", "cut-header"],
)  # fmt: skip
def test_what_is_no_frame_is_an_engines_failure(data):
    with pytest.raises(ExpectationError):
        demultiplex(data)


VALUES = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3), max_size=5)


@given(VALUES, st.sampled_from(["", "\n", "\r\n", "  "]))
def test_json_values_are_found_with_any_space_between(values, between):
    data = between.join(json.dumps(value) for value in values).encode()
    assert json_values(data) == values


def test_a_cut_off_value_is_told_or_left_out():
    assert json_values(b'{"a": 1}\n{"b"', whole=False) == [{"a": 1}]
    with pytest.raises(ExpectationError, match="no JSON"):
        json_values(b'{"a": 1}\n{"b"')
