"""Labs stand apart: from this machine, from each other, from those of other directories; nothing stays."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from seatrial import doctor, proc, runs
from seatrial.engines import drivers
from seatrial.engines.startable import Wishes
from seatrial.errors import SeatrialError
from seatrial.lab import host as hosts
from seatrial.lab import images, labs, rootfs
from seatrial.names import BUSYBOX, RUN_LABEL
from seatrial.targets import parse

DOCKER = "docker@bookworm"


@pytest.fixture
def here(places, monkeypatch):
    """Let this process use the module's directories as well."""
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


@pytest.fixture
def lab(here):
    """A Docker lab that stands for the user, with the test image."""
    made = labs.acquire(parse(DOCKER), labs.USER)
    images.provide(drivers.in_lab(parse(DOCKER), made))
    yield made
    labs.take_down(made.name)


@pytest.fixture
def dead_run(here):
    """A run whose controller was killed."""
    process = subprocess.Popen(["sleep", "60"])
    live = runs.LiveRun(f"20991231-235959-{process.pid % 0xFFFFFF:06x}", process.pid, "", "", [DOCKER])
    live.started = proc.started(process.pid)
    live.save()
    process.kill()
    process.wait()
    yield live.run
    live.forget()


def machine():
    """What must not change on this machine: links, firewall, mounts, network namespaces."""
    # the lab's iptables in this machine's network, which may have none of its own
    root = ["chroot", str(rootfs.ensure("bookworm"))]
    commands = (
        [*root, "ip", "-o", "link"], [*root, "iptables", "-S"], [*root, "iptables", "-t", "nat", "-S"],
        [*root, "iptables-legacy-save"],
    )  # fmt: skip
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    seen = {" ".join(argv): run(argv).stdout for argv in commands}
    seen["netns"] = sorted(path.name for path in Path("/run/netns").glob("*"))
    mounts = sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return {**seen, "mounts": mounts}


def traces(places):
    """What is left of any lab of these directories."""
    keys = [hosts.key(name) for name in hosts.remains()]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if places["SEATRIAL_DATA"] in line]
    return keys + mounts + [str(path) for path in Path(places["SEATRIAL_DATA"], "labs").glob("*")]


def container(engine, *options):
    return engine.cli("run", "--detach", *options, BUSYBOX, "sleep", "600").text


def inside(lab, *argv):
    return subprocess.run(lab.host.enter(argv), capture_output=True, text=True, timeout=30, check=True).stdout


def test_labs_touch_neither_each_other_nor_this_machine(here, places, project):
    before = machine()
    up = project.seatrial("lab", "up", DOCKER, "podman@trixie", "runc@sid")
    assert up.returncode == 0, up.stderr
    made = [labs.find(parse(target).lab_name) for target in (DOCKER, "podman@trixie", "runc@sid")]
    both = [drivers.in_lab(labs.target_of(lab), lab) for lab in made[:2]]
    for engine in both:
        images.provide(engine)
        container(engine, "--name", "same", "--publish", "18080:80")
    assert machine() == before
    assert [len(engine.find("container")) for engine in both] == [1, 1]
    assert len({os.stat(f"/proc/{lab.pid}/ns/net").st_ino for lab in made} | {os.stat("/proc/self/ns/net").st_ino}) == 4
    assert "docker0" in inside(made[0], "ip", "-o", "link")
    assert "docker0" not in inside(made[1], "ip", "-o", "link")
    assert inside(made[2], "ip", "-o", "link").count("\n") == 1  # its loopback alone
    both[0].remove("container", ["same"])
    assert both[1].inspect("same")["State"]["Running"]
    down = project.seatrial("lab", "down", "--all")
    assert down.returncode == 0, down.stderr
    assert machine() == before
    assert traces(places) == []


def test_labs_of_other_directories_do_not_meet(lab, tmp_path):
    other = {"SEATRIAL_STATE": str(tmp_path / "state"), "SEATRIAL_DATA": f"{os.environ['SEATRIAL_DATA']}-other"}
    environment = {**os.environ, **other}

    def seatrial(*args):
        return subprocess.run(
            [sys.executable, "-m", "seatrial", *args], env=environment, capture_output=True, text=True, timeout=500
        )

    assert seatrial("lab", "list", "--json").stdout.strip() == "[]"
    assert seatrial("lab", "up", DOCKER).returncode == 0
    theirs = json.loads(seatrial("lab", "list", "--json").stdout)[0]
    assert theirs["name"] == lab.name
    assert theirs["pid"] != lab.pid
    assert seatrial("lab", "down", "--all").returncode == 0
    assert seatrial("clean").returncode == 0
    assert proc.started(theirs["pid"]) == ""
    assert lab.alive
    assert drivers.in_lab(parse(DOCKER), lab).trouble() == ""
    subprocess.run(["rm", "-rf", "--one-file-system", other["SEATRIAL_DATA"]], check=True)


def test_up_is_idempotent_and_says_how_to_use_it(lab, project):
    again = project.seatrial("lab", "up", DOCKER)
    assert labs.find(lab.name).pid == lab.pid
    address = re.search(r"DOCKER_HOST=unix://(\S+)", again.stdout)[1]
    assert Path(address).is_socket()
    assert f"pytest suites/ --engine {DOCKER}" in again.stdout


def test_two_at_once_share_one_lab(here, project):
    argv = [sys.executable, "-m", "seatrial", "lab", "up", "podman@trixie"]
    both = [subprocess.Popen(argv, env=project.environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=90)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({re.search(r"keeper (\d+)", output)[1] for output in outputs}) == 1
    labs.take_down("podman-trixie")


def test_run_passes_input_output_and_exit_code_through(lab, project):
    script = "cat; echo $SEATRIAL_LAB; exit 7"
    done = project.seatrial("lab", "run", DOCKER, "--", "sh", "-c", script, stdin="hi ")
    assert done.returncode == 7
    assert done.stdout.startswith("hi docker-bookworm")
    assert project.seatrial("lab", "run", lab.name, "docker", "ps", "--all").stdout.startswith("CONTAINER ID")
    assert project.seatrial("lab", "run", DOCKER, "--", "no-such-command").returncode == 127


def test_another_default_runtime_runs_the_containers(here):
    made = labs.acquire(parse("docker@sid+crun"), labs.USER)
    try:
        engine = drivers.in_lab(parse("docker@sid+crun"), made)
        images.provide(engine)
        id_ = container(engine)
        # runc keeps a state.json there, crun a status
        states = [path.name for path in made.host.path("/run/docker").glob(f"runtime-*/moby/{id_}/*")]
        assert "status" in states
        assert "state.json" not in states
        assert engine.inspect(id_)["HostConfig"]["Runtime"] == "crun"
    finally:
        labs.take_down(made.name)


@pytest.mark.parametrize(("variable", "value", "field"), [
    ("DOCKER_GRAPHDRIVER", "vfs", "storage"), ("DOCKER_EXECDRIVER", "crun", "runtime")])  # fmt: skip
def test_variables_are_the_defaults_of_private_engines(here, monkeypatch, variable, value, field):
    monkeypatch.setenv(variable, value)
    made = labs.private(parse(DOCKER), "nobody")
    try:
        facts = drivers.in_lab(parse(DOCKER), made.lab).facts()
        assert facts[field] == value
    finally:
        made.close()
    with pytest.raises(SeatrialError) as told:
        labs.private(parse(DOCKER), "nobody", Wishes(storage="no-such-driver"))  # the wish counts more
    assert told.value.code == "E205"


def test_a_lab_whose_engine_died_is_made_anew_but_not_under_a_living_run(lab, tmp_path):
    os.kill(lab.daemon_pid, signal.SIGKILL)
    stand_in = runs.begin("20991231-235959-busy01", tmp_path, [DOCKER])
    held = labs.find(lab.name)
    held.leases.append(stand_in.run)
    labs._save(held)
    try:
        with pytest.raises(SeatrialError) as told:
            labs.acquire(parse(DOCKER), labs.USER)
        assert told.value.code == "E208"
        assert stand_in.run in told.value.cause
        assert labs.find(lab.name).pid == lab.pid
    finally:
        stand_in.forget()
    anew = labs.acquire(parse(DOCKER), labs.USER)
    assert anew.pid != lab.pid
    assert drivers.in_lab(parse(DOCKER), anew).trouble() == ""


def test_nothing_is_left_of_a_lab_whose_keeper_was_killed(lab, places, project):
    container(drivers.in_lab(parse(DOCKER), lab))
    os.kill(lab.pid, signal.SIGKILL)
    assert "broken" in project.seatrial("lab", "list").stdout
    cleaned = project.seatrial("clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert cleaned.stdout == f"removed lab {lab.name} (its keeper is gone)\n"
    assert traces(places) == []


def test_clean_takes_labelled_objects_of_dead_runs_and_nothing_else(lab, dead_run, project):
    engine = drivers.in_lab(parse(DOCKER), lab)
    for run in (dead_run, "somebody-else"):
        label = ["--label", f"{RUN_LABEL}={run}"]
        engine.cli("network", "create", *label, f"net-{run}")
        engine.cli("volume", "create", *label, f"volume-{run}")
        container(engine, *label, "--network", f"net-{run}", "--volume", f"volume-{run}:/data", "--name", f"c-{run}")
        engine.cli("build", *label, "--tag", f"image-{run}", "-", stdin=f"FROM {BUSYBOX}\nENV A={run}\n")
    engine.cli("volume", "create", "users-own")
    dry = project.seatrial("clean", "--dry-run")
    assert dry.stdout.count("would remove") == 4
    cleaned = project.seatrial("clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert cleaned.stdout.count("removed ") == 4
    assert engine.cli("ps", "--all", "--format", "{{.Names}}").lines == ["c-somebody-else"]
    assert set(engine.find("volume")) == {"users-own", "volume-somebody-else"}
    networks = engine.cli("network", "ls", "--format", "{{.Name}}").lines
    assert [name for name in networks if name.startswith("net-")] == ["net-somebody-else"]
    assert not engine.cli("image", "inspect", f"image-{dead_run}", expect=None).ok
    assert engine.cli("image", "inspect", "image-somebody-else", BUSYBOX, expect=None).ok
    assert project.seatrial("clean").stdout == "nothing is left of any run\n"


def test_a_private_lab_goes_with_its_dead_run(here, dead_run, places, project):
    made = labs.private(parse(DOCKER), dead_run)
    assert re.fullmatch(r"docker-bookworm-[0-9a-f]{6}", made.lab.name)
    assert f"removed lab {made.lab.name}" in project.seatrial("clean").stdout
    assert traces(places) == []


@pytest.mark.parametrize("moment", ["host.log", "engine.log"])
def test_killed_while_a_lab_starts(here, places, project, moment):
    process = subprocess.Popen(
        [sys.executable, "-m", "seatrial", "lab", "up", DOCKER], env=project.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wanted = hosts.storage("docker-bookworm") / moment
    deadline = time.monotonic() + 30
    while not wanted.exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.wait()
    project.seatrial("lab", "down", "--all")
    assert project.seatrial("clean").returncode == 0
    assert traces(places) == []


def test_doctor_starts_a_lab_to_look_and_takes_it_down(here, places, project):
    result = project.seatrial("doctor", "--json", DOCKER, "crun@bookworm")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    jsonschema.validate(found, doctor.schema())
    docker, crun = found["targets"]
    assert docker["version"].startswith("20.10")
    assert docker["api"] == "1.41"
    assert docker["storage"] == "overlay2"
    assert docker["requirements"]["api"] == {"holds": True, "reason": ""}
    assert not docker["requirements"]["windows"]["holds"]
    assert docker["requirements"]["windows"]["reason"]
    assert crun["version"].startswith("1.8")
    assert traces(places) == []
    assert list(runs.noted()) == []


def test_doctor_tells_of_one_target_though_another_is_not_there(lab, project):
    result = project.seatrial("doctor", DOCKER, "runtime:/nowhere/runc")
    assert result.returncode == 4
    assert "overlay2" in result.stdout
    assert "E111: runtime:/nowhere/runc" in result.stderr
