"""Addresses that services listen on."""

import contextlib

import pytest

from seatrial.errors import SeatrialError
from seatrial.listening import Address, is_loopback, where


@pytest.mark.parametrize(
    ("text", "private"),
    [("127.0.0.1:0", True), ("[::1]:80", True), ("localhost:65535", True), ("/run/x.sock", True),
     ("0.0.0.0:80", False), ("[::]:80", False), ("10.0.0.1:80", False), ("example.org:80", False), (":80", False)],
)  # fmt: skip
def test_addresses_are_read_and_shown_alike(text, private):
    assert str(Address.parse(text)) == text
    assert Address.parse(text).private is private


@pytest.mark.parametrize("text", ["", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                                  "a:-1", "a:²"])  # fmt: skip
def test_what_is_no_address(text):
    with pytest.raises(SeatrialError) as caught:
        Address.parse(text)
    assert caught.value.code == "E644"


def test_loopback():
    assert [is_loopback(host) for host in ("127.8.0.1", "::1", "localhost", "", "10.0.0.1", "example.org")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_an_address_that_is_taken():
    with contextlib.closing(Address.parse("127.0.0.1:0").listen()) as listener:
        again = where(listener).removeprefix("http://")
        with pytest.raises(SeatrialError, match=f"cannot listen on {again}") as caught:
            Address.parse(again).listen()
    assert caught.value.code == "E643"


def test_a_unix_socket_is_the_users_own_and_takes_the_place_of_a_dead_one(tmp_path):
    path = tmp_path / "s"
    for _ in range(2):
        with contextlib.closing(Address.parse(str(path)).listen()) as listener:
            assert where(listener) == str(path)
            assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_socket_stays(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SeatrialError) as caught:
        Address.parse(str(tmp_path / "file")).listen()
    assert caught.value.code == "E643"
    assert (tmp_path / "file").read_text() == "mine"
