"""Options of `seatrial stress`: what has no meaning for a profile is refused, not ignored."""

from pathlib import Path

import pytest

from seatrial import cli
from seatrial.commands import stress
from seatrial.errors import SeatrialError
from seatrial.stress.profile import Load

PROFILES = Path(__file__).parents[3] / "stress/profiles"


def chosen(*args):
    arguments = cli.parser().parse_args(["stress", *args])
    return stress._profile(arguments)


def test_a_profile_takes_clients_or_a_rate():
    churn = str(PROFILES / "churn.toml")
    assert chosen(churn, "-c", "3").load == Load(clients=3)
    assert chosen(churn, "--rate", "2").load == Load("open", clients=8, rate=2.0)


@pytest.mark.parametrize(("args", "option"), [
    (["churn", "-k", "8s"], "-k"), (["churn", "--config", "x.json"], "--config"), (["churn", "-b", "/x"], "-b"),
    (["churn", "-c", "3", "--rate", "2"], "-c"), (["mixed", "-c", "3"], "-c"),
])  # fmt: skip
def test_an_option_without_a_meaning_is_refused(args, option):
    with pytest.raises(SeatrialError, match=f"^E814: {option} has no meaning") as caught:
        chosen(str(PROFILES / f"{args[0]}.toml"), *args[1:])
    assert caught.value.code == "E814"


@pytest.mark.parametrize("rate", ["-1", "0", "inf", "nan", "often"])
def test_what_is_no_rate_is_refused(rate, capsys):
    with pytest.raises(SystemExit):
        chosen(str(PROFILES / "churn.toml"), f"--rate={rate}")
    assert "--rate" in capsys.readouterr().err
