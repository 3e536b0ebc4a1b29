"""Profiles: read, and refused in words that name the place."""

from pathlib import Path

import pytest

from seatrial.errors import SeatrialError
from seatrial.stress import profile
from seatrial.stress.profile import Activity, Load, Objectives

PROFILES = Path(__file__).parents[3] / "stress/profiles"
GOOD = """
about = "containers come and go"
driver = "cli"
duration = "1m30s"
warm_up = "500ms"
count = 12
judged = ["exits", "ids"]

[load]
loop = "open"
rate = 2.5
arrivals = "poisson"
most = 8

[[activity]]
kind = "container"
weight = 3
command = ["false"]
code = 1

[objectives]
error_rate = 0.01
p99 = { start = "2s" }
leaks = false
"""


def test_a_profile_is_read(tmp_path):
    (tmp_path / "x.toml").write_text(GOOD)
    found = profile.load(tmp_path / "x.toml")
    assert (found.name, found.driver, found.seconds, found.warm_up, found.count) == ("x", "cli", 90.0, 0.5, 12)
    assert found.load == Load("open", 4, 2.5, "poisson", 8)
    assert found.activities == (Activity("container", 3, {"command": ["false"], "code": 1}),)
    assert found.objectives == Objectives(0.01, {"start": 2.0}, leaks=False, leftovers=True)
    assert found.as_json()["judged"] == ["exits", "ids"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("about =", "abut =", "'about' is a required property"),
        ('driver = "cli"', 'driver = "ssh"', "driver: 'ssh' is not one of"),
        ('"1m30s"', '"soon"', "duration: 'soon' does not match"),
        ("rate = 2.5\n", "", "load: an open loop needs a rate"),
        ('loop = "open"', 'loop = "closed"', "are of an open loop"),
        ("rate = 2.5", "rate = 0", "load.rate: 0 is less than or equal to the minimum"),
        ('kind = "container"', 'kind = "vm"', "activity[0].kind: 'vm' is not one of"),
        ('"ids"', '"luck"', "judged[1]: 'luck' is not one of"),
        ("error_rate = 0.01", "error_rate = 5", "objectives.error_rate: 5 is greater"),
        ("[load]", "[load", "Expected"),
    ],
)
def test_a_wrong_profile_is_refused_where_it_is_wrong(tmp_path, old, new, words):
    assert old in GOOD
    (tmp_path / "x.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(SeatrialError) as caught:
        profile.load(tmp_path / "x.toml")
    assert caught.value.code == "E804"
    assert words in caught.value.cause


def test_a_profile_without_activities_is_none(tmp_path):
    (tmp_path / "x.toml").write_text('about = "x"\nactivity = []\n')
    with pytest.raises(SeatrialError, match="cannot use the profile"):
        profile.load(tmp_path / "x.toml")


def test_a_profile_is_found_by_word_and_by_path(tmp_path):
    (tmp_path / "x.toml").touch()
    assert profile.find("x", tmp_path) == profile.find(str(tmp_path / "x.toml"), Path()) == tmp_path / "x.toml"
    with pytest.raises(SeatrialError, match="no profile 'y'") as caught:
        profile.find("y", tmp_path)
    assert caught.value.cause.endswith("there are: x")


def test_the_profiles_that_are_there_are_right():
    found = [profile.load(path) for path in sorted(PROFILES.glob("*.toml"))]
    assert {one.name for one in found} >= {"churn", "burst", "services", "exec", "logs", "registry", "build", "mixed"}
    assert all(one.judged for one in found)


STAGES = """
about = "steps"
[[load.stage]]
lasts = "30s"
clients = 2
[[load.stage]]
lasts = "1m"
clients = 8
[[load.stage]]
lasts = "10s"
clients = 4
[[activity]]
kind = "container"
"""


def test_stages_follow_each_other_and_the_last_one_stays(tmp_path):
    (tmp_path / "x.toml").write_text(STAGES)
    found = profile.load(tmp_path / "x.toml")
    assert (found.seconds, found.load.clients) == (100.0, 8)
    assert [found.load.clients_at(at) for at in (0, 29.9, 30, 89.9, 90, 99, 5000)] == [2, 2, 8, 8, 4, 4, 4]
    assert Load.read(found.as_json()["load"]) == found.load


def test_stages_of_an_open_loop_have_rates(tmp_path):
    text = STAGES.replace("[[load.stage]]", '[load]\nloop = "open"\n[[load.stage]]', 1).replace("clients", "rate")
    (tmp_path / "x.toml").write_text(text)
    found = profile.load(tmp_path / "x.toml").load
    assert found.rates == [(30.0, 2), (60.0, 8), (10.0, 4)]
    assert found.rate == 8


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("clients = 8", "rate = 8", "a stage of a closed loop has clients, and no rate"),
        ("clients = 8\n", "", "a stage of a closed loop has clients"),
        ("[[load.stage]]", "[load]\nclients = 3\n[[load.stage]]", "with stages each has its own"),
        ("[[load.stage]]", '[load]\nloop = "open"\n[[load.stage]]', "a stage of an open loop has rate, and no clients"),
        ('lasts = "1m"', 'lasts = "long"', "load.stage[1].lasts: 'long' does not match"),
    ],
)
def test_stages_that_do_not_fit_are_refused(tmp_path, old, new, words):
    (tmp_path / "x.toml").write_text(STAGES.replace(old, new, 1))
    with pytest.raises(SeatrialError) as caught:
        profile.load(tmp_path / "x.toml")
    assert caught.value.code == "E804"
    assert words in caught.value.cause
