"""Options of the daemon: each with a daemon of the test's own."""

import os
import re
import signal

import pytest

from seatrial.exec import run
from seatrial.probes.kernel import Kernel

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def refused(d, *options, config=None):
    """Let a daemon check its configuration or start; return what it said when it refused."""
    if config is not None:
        d.host.path("/etc/docker/daemon.json").write_text(config)
    return run(["timeout", "20", d.raw.service, *options], host=d.host, journal=d.journal, expect=1, timeout=40).stderr


@claim("cli-056", "cli-073", "cli-074", "cli-072", "cli-076")
@effect("dockerd --default-ulimit", "dockerd --default-shm-size")
@requires("private_daemon")
def test_options_of_the_daemon_are_defaults_of_its_containers(private_daemon):
    d = private_daemon("--debug", "--default-ulimit", "nofile=512:1024", "--log-driver", "local", "--label", "berth=7",
                       "--default-shm-size", "1m", storage="vfs")  # fmt: skip
    info = d.cli("info", "--format", "{{json .}}").json()
    assert (info["Driver"], info["Debug"], info["LoggingDriver"], info["Labels"]) == ("vfs", True, "local", ["berth=7"])
    assert "level=debug" in d.log
    c = d.run()
    assert c.kernel.limits["Max open files"] == ("512", "1024")
    assert c.inspect()["HostConfig"]["LogConfig"]["Type"] == "local"
    assert "size=1024k" in c.kernel.mount("/dev/shm").super_options
    assert c.kernel.mount("/").fstype != "overlay"
    other = d.run("--ulimit", "nofile=64:128", "--log-driver", "none", "--shm-size", "2m")
    assert other.kernel.limits["Max open files"] == ("64", "128")
    assert other.inspect()["HostConfig"]["LogConfig"]["Type"] == "none"
    assert "size=2048k" in other.kernel.mount("/dev/shm").super_options


@claim("cli-059", "cli-132")
@requires("private_daemon")
def test_configuration_file_says_what_options_say(private_daemon):
    d = private_daemon(config={"debug": True, "data-root": "/var/lib/docker/elsewhere", "log-driver": "local",
                               "log-opts": {"max-size": "5m"}, "labels": ["berth=8"], "storage-driver": "vfs",
                               "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 256, "Hard": 512}},
                               })  # fmt: skip
    info = d.cli("info", "--format", "{{json .}}").json()
    assert (info["Driver"], info["Labels"]) == ("vfs", ["berth=8"])
    assert info[d.trait("info_places")["root"]] == "/var/lib/docker/elsewhere"
    assert d.host.path("/var/lib/docker/elsewhere/vfs").is_dir()
    c = d.run()
    assert c.kernel.limits["Max open files"] == ("256", "512")
    assert c.inspect()["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {"max-size": "5m"}}
    assert (d.host.path("/var/lib/docker/elsewhere/containers") / c.id).is_dir()


@claim("cli-059", "cli-056", "cli-073", "cli-115")
@requires("private_daemon")
def test_daemon_refuses_what_it_cannot_be(private_daemon):
    d = private_daemon(start=False)
    for options, config, says in (
        (("--label", "a=1"), '{"labels": ["a=2"]}',
         "directives are specified both as a flag and in the configuration file: labels"),
        ((), '{"no-such-key": 1}', "directives don't match any configuration option: no-such-key"),
        ((), '{"debug": ', "unexpected EOF|unexpected end of JSON"),
        ((), '{"debug": "yes"}', "cannot unmarshal string"),
        (("--storage-driver", "aufs"), "{}", "AUFS was not found|aufs storage-driver has been deprecated and removed"),
        (("--default-ulimit", "bogus=1"), "{}", "invalid ulimit type: bogus"),
        (("--log-level", "loud"), "{}", "(unable to parse|invalid) logging level: loud"),
        (("--no-such-option",), "{}", "unknown flag: --no-such-option"),
    ):
        said = refused(d, *options, config=config)
        assert re.search(says, said), f"{options} {config}: {said}"
        d.fails("ps", says="unreachable")


@claim("cli-059")
@requires("private_daemon")
def test_sighup_reloads_the_configuration_and_keeps_containers(private_daemon):
    d = private_daemon(config={"labels": ["berth=1"]})
    c = d.run()
    pid = c.pid
    d.host.path("/etc/docker/daemon.json").write_text('{"labels": ["berth=2"], "debug": true}')
    os.kill(d.daemon.pid, signal.SIGHUP)
    c.until("reloaded", lambda: d.cli("info", "--format", "{{json .Labels}}").json() == ["berth=2"])
    assert d.cli("info", "--format", "{{.Debug}}").text == "true"
    assert c.pid == pid
    d.host.path("/etc/docker/daemon.json").write_text("not json")
    os.kill(d.daemon.pid, signal.SIGHUP)
    c.until("complaint", lambda: "invalid character" in d.log)
    assert d.cli("info", "--format", "{{json .Labels}}").text == '["berth=2"]'


@claim("cli-060")
@requires("private_daemon")
def test_client_without_the_socket_says_so(private_daemon):
    d = private_daemon(start=False)
    d.daemon.argv = (d.raw.service, "--host", "unix:///run/other.sock")
    d.daemon.socket = "/run/other.sock"
    d.daemon.start()
    d.fails("ps", says="unreachable", code=1)
    assert d.cli("--host", "unix:///run/other.sock", "ps", "--quiet").lines == []
    assert d.cli("ps", "--quiet", env={d.trait("host_variable"): "unix:///run/other.sock"}).lines == []


@claim("cli-133", "cli-132")
@requires("private_daemon")
def test_data_root_may_be_a_link(private_daemon):
    d = private_daemon(start=False)
    target = d.host.path("/var/lib/docker/real")
    target.mkdir()
    d.host.path("/srv/link").symlink_to("/var/lib/docker/real")
    d.daemon.argv = (d.raw.service, "--data-root", "/srv/link")
    d.daemon.start()
    d.provide_image()
    c = d.run()
    assert (target / "containers" / c.id).is_dir()
    assert d.cli("info", "--format", f"{{{{.{d.trait('info_places')['root']}}}}}").text == "/var/lib/docker/real"
    d.sh("echo works")


@claim("cli-126")
@requires("private_daemon")
def test_experimental_is_what_the_daemon_was_told(private_daemon):
    d = private_daemon(config={"experimental": True})
    assert d.cli("version", "--format", "{{.Server.Experimental}}").text == "true"
    d.host.path("/etc/docker/daemon.json").write_text("{}")
    d.daemon.restart()
    assert d.cli("version", "--format", "{{.Server.Experimental}}").text == "false"
    c = d.run()
    d.fails("checkpoint", "create", c.name, "one", says="experimental")


@claim("cli-258")
@requires("private_daemon")
def test_live_restore_keeps_containers_without_their_daemon(private_daemon):
    d = private_daemon(config={"live-restore": True})
    c = d.run("--restart", "no")
    kernel = Kernel(c.pid)
    d.daemon.stop()
    assert kernel.alive
    d.fails("ps", says="unreachable")
    d.daemon.start()
    assert (c.status, c.pid) == ("running", kernel.pid)
    assert c.sh("echo still here").text == "still here"
