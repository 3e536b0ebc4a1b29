"""The reference tool's configuration, meaning and closing lines."""

import pytest

from seatrial.errors import SeatrialError
from seatrial.stress import reference


def test_its_sample_is_read(tmp_path):
    (tmp_path / "stress.json").write_text('[{"name": "busybox", "args": ["sleep", "2"], "kill": true}]')
    entries = reference.read(tmp_path / "stress.json")
    made = reference.profile(entries, 3, 200, 8.0)
    assert (made.driver, made.count, made.load.clients, made.load.loop) == ("cli", 200, 3, "closed")
    (activity,) = made.activities
    assert (activity.kind, activity.options["after"], activity.options["kill"]) == ("run", 8.0, True)


def test_without_a_list_containers_live_until_they_are_killed():
    made = reference.profile(None, 100, 10_000, 8.0)
    assert (made.driver, made.count, made.load.clients) == ("http", 10_000, 100)
    assert made.activities[0].options == {"seconds": 8.0}
    assert "exits" in made.judged


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '[{"args": []}]', '[{"name": "x", "argz": []}]', '[{"name": "x", "args": "y"}]']
)
def test_a_wrong_list_is_refused(tmp_path, text):
    (tmp_path / "stress.json").write_text(text)
    with pytest.raises(SeatrialError, match="cannot use the configuration") as caught:
        reference.read(tmp_path / "stress.json")
    assert caught.value.code == "E806"


def test_the_closing_lines_are_its_own():
    assert reference.closing(200, 50.0, 3) == [
        "ran 200 containers in 50.00 seconds (4.00 container per sec. or 0.25 sec. per container)", "failures 3",
    ]  # fmt: skip
    assert reference.closing(0, 0.0, 0)[0].startswith("ran 0 containers in 0.00 seconds")
