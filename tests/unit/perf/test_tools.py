"""What measuring programs print, read right."""

import json

import pytest

from seatrial.exec import ExpectationError
from seatrial.perf import tools


class Fio:
    """Does what a job says, and tells it where fio does."""

    def __init__(self):
        self.asked = ()

    def __call__(self, tool, *args, timeout=0.0):
        self.asked = args
        (rw,) = [word.partition("=")[2] for word in args if word.startswith("--rw=")]
        side = "read" if rw.endswith("read") else "write"
        job = {"error": 0, "read": {"iops": 0}, "write": {"iops": 0}, side: {"iops": 77.0}}
        return "a line before\n" + json.dumps({"jobs": [job]})


@pytest.mark.parametrize("job", tools.JOBS)
def test_each_job_of_fio_is_told_its_direction_and_read_where_it_is_told(job):
    fio = Fio()
    assert tools.disk(fio, job, "/volume") == 77.0
    assert ("--time_based" in fio.asked) == (job not in ("small files", "metadata"))


def test_there_is_no_direct_io_on_a_tmpfs():
    fio = Fio()
    tools.disk(fio, "random reads", "/tmpfs")
    assert not [word for word in fio.asked if word.startswith("--direct=")]
    tools.disk(fio, "random reads", "/volume")
    assert "--direct=1" in fio.asked


def test_an_error_of_fio_is_told():
    with pytest.raises(ExpectationError, match="fio ended with error 28"):
        tools.disk(lambda *args, **more: json.dumps({"jobs": [{"error": 28}]}), "random reads", "/volume")


class Net:
    """Carries so many datagrams a second at most; its sender offers so many at most."""

    def __init__(self, carries, offers=10**9):
        self.carries, self.offers, self.asked = carries, offers, []

    def __call__(self, tool, *args, timeout=0.0):
        megabits = int(args[args.index("--bitrate") + 1].removesuffix("M"))
        self.asked.append(megabits)
        sent = min(self.offers, megabits * 1e6 / 8 / 512)
        lost = max(0.0, 100 * (1 - self.carries / sent))
        return json.dumps({"end": {"sum": {"packets": int(sent), "seconds": 1.0, "lost_percent": lost}}})


def test_datagrams_are_offered_ever_faster_until_some_are_lost():
    net = Net(100_000)
    assert tools.datagrams(net, "10.0.0.2", 5201) == pytest.approx(100_000, rel=0.001)
    assert net.asked == [20, 40, 80, 160, 320, 640]


def test_a_sender_that_offers_no_more_is_the_end_of_it():
    net = Net(10**9, offers=50_000)
    assert tools.datagrams(net, "10.0.0.2", 5201) == pytest.approx(50_000, rel=0.001)
    assert net.asked[-1] == 320
