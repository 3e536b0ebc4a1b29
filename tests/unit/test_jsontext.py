"""The reader of JSON that knows places: what it accepts is what json accepts, what it tells has the right place."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.jsontext import read, show

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=20,
)  # fmt: skip


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_reads_what_json_writes(value, indent, ascii_only):
    document = read(json.dumps(value, indent=indent, ensure_ascii=ascii_only))
    assert document.flaws == []
    assert document.value == value
    assert type(document.value) is type(value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_told(text):
    document = read(text)
    try:
        wanted = json.loads(text, parse_constant=lambda _: pytest.fail("a constant that is no JSON"))
    except (ValueError, RecursionError, pytest.fail.Exception):
        assert document.flaws
    else:
        assert document.value == wanted or (isinstance(wanted, float) and math.isinf(wanted))


def told(text):
    document = read(text)
    return [(*document.position(flaw.offset), flaw.kind, show(flaw.where), flaw.mended) for flaw in document.flaws]


@pytest.mark.parametrize(
    ("text", "flaw", "value"),
    [
        ('{\n "a": 1\n "b": 2}', (3, 2, "syntax", "", "comma added"), {"a": 1, "b": 2}),
        ('{"a": [{} \n {}]}', (2, 2, "syntax", "a[1]", "comma added"), {"a": [{}, {}]}),
        ('{"a" "x"}', (1, 6, "syntax", "a", "colon added"), {"a": "x"}),
        ('{"a": 1,}', (1, 8, "trailing", "", "taken away"), {"a": 1}),
        ('{"a": [1, 2,\n]}', (1, 12, "trailing", "a", "taken away"), {"a": [1, 2]}),
        ('{"a": 1\n', (2, 1, "syntax", "", "} added"), {"a": 1}),
        ('{// why\n"a": 1}', (1, 2, "comment", "", "left out"), {"a": 1}),
        ('{/* two\nlines */"a": 1}', (1, 2, "comment", "", "left out"), {"a": 1}),
    ],
)
def test_what_is_mended_has_its_place(text, flaw, value):
    assert told(text) == [flaw]
    assert read(text).value == value
    assert read(text).readable


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", (1, 1)), ("  \n ", (2, 2)), ("{", (1, 2)), ('{"a": {"b": 1', (1, 14)), ('{"a": [1', (1, 9)),
        ('{"a": 1,', (1, 9)), ('{"a"', (1, 5)), ('{"a":}', (1, 6)), ('{"a": "x\n"}', (1, 7)), ("{,}", (1, 2)),
        ('{"a": 01}', (1, 7)), ('{"a": +1}', (1, 7)), ('{"a": .5}', (1, 7)), ('{"a": 1.}', (1, 7)),
        ('{"a": NaN}', (1, 7)),
        ('{"a": TRUE}', (1, 7)), ("{'a': 1}", (1, 2)), ("{a: 1}", (1, 2)), ('{"a": 1}}', (1, 9)),
        ('{"a": "\\x"}', (1, 8)),
        ('{"a": "\\u12"}', (1, 8)), ('{"a": "\\ud800"}', (1, 7)), ("[" * 100 + "]" * 100, (1, 66)), ("[1 2]", (1, 4)),
        ('{"a": ' + "9" * 400 + "}", (1, 7)), ("[1e999]", (1, 2)), ('{"a": "\x01"}', (1, 8)), ("[,]", (1, 2)),
    ],
)  # fmt: skip
def test_what_is_lost_has_its_place(text, place):
    document = read(text)
    assert not document.readable
    assert document.position(next(flaw for flaw in document.flaws if not flaw.mended).offset) == place


def test_an_unclosed_bracket_names_where_it_was_opened():
    document = read('{\n  "a": [1, 2')
    assert document.flaws[-1].message == (
        "expected ',' or ']', found the end of the file (the array opened at 2:8 is never closed)"
    )


def test_each_key_that_stands_twice_names_the_first():
    document = read('{"a": 1,\n "b": {"c": 1, "c": 2},\n "a": 3}')
    found = [(show(flaw.where), document.position(flaw.offset), flaw.message) for flaw in document.flaws]
    assert found == [
        ("b.c", (2, 16), 'the key "c" stands twice (first at 2:8)'),
        ("a", (3, 2), 'the key "a" stands twice (first at 1:2)'),
    ]
    assert not document.readable


def test_places_of_keys_and_values():
    document = read('{\n  "Run": [\n    {"Cmd": "x"}\n  ]\n}')
    assert document.place(("Run", 0, "Cmd")) == (3, 13)
    assert document.place(("Run", 0, "Cmd"), key=True) == (3, 6)
    assert document.place(("Run", 0, "Nothing", 4)) == (3, 5)  # of what is nearest around it
    assert show(("Run", 0, "a b")) == "Run[0]['a b']"
