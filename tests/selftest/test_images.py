"""The test images import and run on real engines."""

import re

import pytest

from seatrial.lab import images
from seatrial.names import BUSYBOX, TOOLBOX

TARGETS = ("docker@bookworm", "podman@bookworm")


@pytest.fixture(scope="module", params=TARGETS)
def engine(request, leased):
    driver = leased(request.param)
    images.provide(driver, (BUSYBOX, TOOLBOX))
    return driver


def inside(engine, image, *argv, options=(), **expectation):
    return engine.cli("run", "--rm", *options, image, *argv, timeout=120, **expectation)


@pytest.mark.parametrize("image", [BUSYBOX, TOOLBOX])
def test_has_users_and_applets(engine, image):
    script = "cat /etc/passwd; stat -c %a /tmp; for tool in ls awk nc httpd; do readlink /bin/$tool; done"
    seen = inside(engine, image, "sh", "-c", script).lines
    assert "root:x:0:0:root:/root:/bin/sh" in seen
    assert "1777" in seen
    assert seen[-4:] == ["busybox"] * 4


def test_shell_is_the_default_command(engine):
    assert engine.cli("run", "--rm", "-i", BUSYBOX, stdin="echo $0\n", timeout=60).text == "sh"


def test_fio_reads_and_writes(engine):
    job = ("--name=j", "--filename=/tmp/f", "--rw=randrw", "--size=1m", "--time_based", "--runtime=1")
    assert re.search(r"READ: bw=", inside(engine, TOOLBOX, "fio", *job).stdout)


def test_iperf3_measures_itself(engine):
    script = "iperf3 -s -1 -D -I /tmp/pid && sleep 1 && iperf3 -c 127.0.0.1 -t 1"
    assert "receiver" in inside(engine, TOOLBOX, "sh", "-c", script, options=["--network", "none"]).stdout


def test_stress_ng_works_for_a_second(engine):
    seen = inside(engine, TOOLBOX, "stress-ng", "--cpu", "1", "--timeout", "1", "--metrics-brief").output
    assert re.search(r"successful run completed|passed: 1", seen)


def test_sysbench_counts_events(engine):
    seen = inside(engine, TOOLBOX, "sysbench", "cpu", "--time=1", "--cpu-max-prime=1000", "run").stdout
    assert int(re.search(r"total number of events:\s+(\d+)", seen)[1]) > 0


def test_ping_reaches_loopback(engine):
    # ping needs its privilege, which Podman's containers do not have by default
    options = ["--cap-add", "NET_RAW", "--network", "none"]
    assert "1 received" in inside(engine, TOOLBOX, "ping", "-c", "1", "127.0.0.1", options=options).stdout
