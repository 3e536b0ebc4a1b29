"""What all ways to an engine have in common."""

import pytest

from seatrial.stress.driver import place_of


@pytest.mark.parametrize(("held", "place"), [
    ("127.0.0.1:49153/tcp", ("127.0.0.1", 49153)), (":::49153/udp", ("::", 49153)), ("0.0.0.0:1/tcp", ("0.0.0.0", 1)),
])  # fmt: skip
def test_a_published_port_has_an_address_and_a_number(held, place):
    assert place_of(held) == place


@pytest.mark.parametrize("held", ["", "x", "127.0.0.1:/tcp"])
def test_what_is_no_published_port_is_told(held):
    with pytest.raises(ValueError, match="invalid literal"):
        place_of(held)
