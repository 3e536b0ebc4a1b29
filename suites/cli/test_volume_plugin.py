"""Volume plugins: how a daemon finds one, what it asks it and when, and what it does without it."""

import json
import os
import re
import ssl
import threading
import time

import pytest
import trustme

from seatrial.lab.plugins import SOCKETS, PluginError, PluginStub
from seatrial.lab.plugins_volume import FreeVolumeStub
from seatrial.waiting import wait_until

claim = pytest.mark.claim
pytestmark = pytest.mark.requires("private_daemon", "plugin")


@pytest.fixture
def stub(private_daemon):
    """A daemon of the test's own, and the volume plugin `stub` beside it."""
    engine = private_daemon()
    with FreeVolumeStub(engine.host, "stub") as plugin:
        yield engine, plugin


def asked(plugin, *methods):
    """Return the methods of the volume driver called so far, in order: all of them, or only the named ones."""
    called = [method.rpartition(".")[2] for method in plugin.methods()]
    return [method for method in called if method in methods or not methods]


def bodies(plugin, method):
    """Return the bodies of all calls of a method of the volume driver."""
    return [call.body for call in plugin.called(f"VolumeDriver.{method}")]


# Each unknown plugin costs fifteen seconds: the daemon waits for it. So these are few, and first.


@claim("volume-031", "volume-048", "volume-223")
def test_unknown_plugin_makes_nothing_and_harms_nothing(private_daemon):
    engine = private_daemon()
    name = engine.name()
    began = time.monotonic()
    create = engine.spawn("volume", "create", "--driver", "nobody", "data")
    # what it says is looked at by the next test
    engine.cli("run", "--name", name, "--volume-driver", "nobody", "-v", "data:/data", engine.image, "true", expect=125)
    refused = create.wait(1, timeout=60)
    assert time.monotonic() - began < 60
    assert re.search('plugin "?nobody"? not found', refused.stderr)
    assert not engine.exists(name)
    assert engine.cli("volume", "ls", "--quiet").stdout == ""
    assert engine.sh("echo hello >/x/f; cat /x/f", "-v", "data:/x").stdout == "hello\n"


@claim("volume-048")
def test_run_names_the_plugin_that_is_missing(private_daemon):
    engine = private_daemon()
    options = ["--volume-driver", "nobody", "-v", "data:/data"]
    engine.fails("run", *options, engine.image, "true", says="nobody.* not found")


@claim("volume-031", "volume-034", "volume-223")
def test_volume_whose_plugin_vanished_can_neither_be_mounted_nor_removed(stub):
    engine, plugin = stub
    volume = engine.volume("--driver", "stub")
    c = engine.create("-v", f"{volume}:/x", engine.image, "true")
    plugin.stop()
    began = time.monotonic()
    engine.fails("start", c.name, says="stub|plugin|dial unix", timeout=90)
    assert time.monotonic() - began < 60
    assert c.pid == 0
    assert engine.sh("echo alive").stdout == "alive\n"
    plugin.start()
    engine.cli("start", c.name, timeout=90)
    assert c.wait() == 0
    engine.cli("rm", c.name)
    engine.cli("volume", "rm", volume)
    assert volume not in plugin.volumes


@claim("volume-047", "volume-049")
def test_socket_outside_of_the_plugin_directory_is_not_found(private_daemon):
    engine = private_daemon()
    with FreeVolumeStub(engine.host, "stray", socket="/etc/docker/plugins/stray.sock") as plugin:
        engine.fails("volume", "create", "--driver", "stray", "data", says="stray.* not found", timeout=90)
        assert plugin.calls == []


# -- the protocol ----------------------------------------------------------------------------------


@claim("volume-029", "volume-030", "volume-037", "volume-038", "volume-039", "volume-040", "volume-042", "volume-045")
def test_run_makes_mounts_and_unmounts_a_volume_of_a_plugin(stub):
    engine, plugin = stub
    assert plugin.calls == []
    options = ["--volume-driver", "stub", "-v", "data:/data"]
    c = engine.run(*options, "--stop-signal", "KILL", engine.image, "sh", "-c", "echo hello >/data/f; exec sleep 600")
    c.until("written", lambda: (plugin.files("data") / "f").exists())
    assert (plugin.files("data") / "f").read_text() == "hello\n"
    assert os.path.samefile(c.kernel.file("/data"), plugin.files("data"))
    assert asked(plugin)[0] == "Activate"
    assert asked(plugin, "Activate", "Create", "Mount", "Unmount") == ["Activate", "Create", "Mount"]
    (create,), (mount,) = bodies(plugin, "Create"), bodies(plugin, "Mount")
    assert (create["Name"], not create.get("Opts")) == ("data", True)
    assert (mount["Name"], bool(mount["ID"])) == ("data", True)
    engine.cli("stop", "-t", "0", c.name)
    assert bodies(plugin, "Unmount") == [mount]
    assert asked(plugin, "Remove") == []
    assert {call.body["Name"] for call in plugin.calls if "Name" in call.body} == {"data"}


@claim("volume-027", "volume-034", "volume-039", "volume-044", "volume-025", "volume-041")
def test_create_inspect_and_rm_talk_to_the_plugin(stub):
    engine, plugin = stub
    plugin.scope = "global"
    options = ["--opt", "size=10G", "-o", "a=b=c", "-o", "empty=", "--opt", "path=/x y/é"]
    assert engine.cli("volume", "create", "--driver", "stub", *options, "data").text == "data"
    assert bodies(plugin, "Create") == [
        {"Name": "data", "Opts": {"size": "10G", "a": "b=c", "empty": "", "path": "/x y/é"}}
    ]
    seen = engine.inspect("data", "volume")
    assert (seen["Driver"], seen["Scope"], seen["Mountpoint"]) == ("stub", "global", plugin.mountpoint("data"))
    assert seen["Status"] == {"mounts": 0}
    assert asked(plugin, "Mount") == []
    assert {"Capabilities", "Get"} <= set(asked(plugin))
    assert engine.cli("volume", "rm", "data").text == "data"
    assert bodies(plugin, "Remove") == [{"Name": "data"}]
    assert plugin.volumes == {}
    engine.fails("volume", "inspect", "data", says="no_such_volume")


@claim("volume-032", "volume-044")
def test_volume_that_only_the_plugin_knows_is_listed_and_used(stub):
    engine, plugin = stub
    (plugin.add("theirs") / "f").write_text("made beside\n")
    engine.volume("--driver", "stub")  # the first use activates the plugin
    assert "theirs" in engine.cli("volume", "ls", "--quiet", "--filter", "driver=stub").lines
    assert engine.inspect("theirs", "volume")["Driver"] == "stub"
    assert engine.sh("cat /x/f", "--volume-driver", "stub", "-v", "theirs:/x").stdout == "made beside\n"
    assert "theirs" not in [body["Name"] for body in bodies(plugin, "Create")]
    del plugin.volumes["theirs"]
    assert "theirs" not in engine.cli("volume", "ls", "--quiet").lines


@claim("volume-040", "volume-042")
def test_every_mount_is_undone_once_however_the_container_ends(stub):
    engine, plugin = stub
    volume = engine.volume("--driver", "stub")
    options = ["-v", f"{volume}:/x", engine.image]
    engine.once(*options, "true")
    engine.once(*options, "sh", "-c", "exit 3", expect=3)
    engine.once(*options, "/no/such/program", expect=127)
    killed, removed = engine.run(*options, "sleep", "600"), engine.run("-v", f"{volume}:/x:ro")
    engine.cli("kill", killed.name)
    engine.cli("rm", "--force", removed.name)
    wait_until("five mounts undone", lambda: len(bodies(plugin, "Unmount")) >= 5)
    mounts, unmounts = bodies(plugin, "Mount"), bodies(plugin, "Unmount")
    assert len(mounts) == 5
    assert sorted(body["ID"] for body in mounts) == sorted(body["ID"] for body in unmounts)
    assert len({body["ID"] for body in mounts}) == 5
    engine.cli("rm", killed.name)
    engine.cli("volume", "rm", volume)


@claim("volume-043", "volume-017")
def test_rm_v_removes_anonymous_plugin_volumes_and_keeps_named_ones(stub):
    engine, plugin = stub
    c = engine.create("--volume-driver", "stub", "-v", "/anonymous", "-v", "named:/named")
    assert len(plugin.volumes) == 2
    engine.cli("rm", "--volumes", c.name)
    assert list(plugin.volumes) == ["named"]
    assert [body["Name"] for body in bodies(plugin, "Remove")] != ["named"]
    assert len(bodies(plugin, "Remove")) == 1


@claim("volume-045", "volume-208")
def test_plugin_gets_names_as_the_user_wrote_them(stub):
    engine, plugin = stub
    names = ["a", "with space", "ünï-中", "a/b", "x" * 300, ".dot", "%41&?#"]
    for name in names:
        assert engine.cli("volume", "create", "--driver", "stub", name).stdout == f"{name}\n"
    assert [body["Name"] for body in bodies(plugin, "Create")] == names
    assert set(engine.cli("volume", "ls", "--format", "{{.Name}}").lines) == set(names)
    for name in names:
        engine.cli("volume", "rm", name)
    assert [body["Name"] for body in bodies(plugin, "Remove")] == names


@claim("volume-039", "volume-040", "volume-034", "volume-223")
def test_what_the_plugin_refuses_reaches_the_user(stub):
    engine, plugin = stub
    plugin.misbehave("VolumeDriver.Create", error="no space on the moon")
    engine.fails("volume", "create", "--driver", "stub", "data", says="no space on the moon", code=1)
    plugin.behave("VolumeDriver.Create")
    engine.cli("volume", "create", "--driver", "stub", "data")
    plugin.misbehave("VolumeDriver.Mount", error="the door is locked")
    c = engine.create("-v", "data:/x", engine.image, "true")
    engine.fails("start", c.name, says="the door is locked")
    assert c.pid == 0
    plugin.behave("VolumeDriver.Mount")
    engine.cli("start", c.name)
    assert c.wait() == 0
    engine.cli("rm", c.name)
    plugin.misbehave("VolumeDriver.Remove", error="it is too dear to me")
    engine.fails("volume", "rm", "data", says="it is too dear to me", code=1)
    assert engine.inspect("data", "volume")["Driver"] == "stub"
    plugin.misbehave("VolumeDriver.Get", error="who is asking")
    engine.fails("volume", "inspect", "data", says=rf"who is asking|{engine.says('no_such_volume')}")
    assert engine.sh("echo alive").stdout == "alive\n"


@claim("volume-223", "volume-040")
def test_slow_and_senseless_answers_do_not_harm_the_daemon(stub):
    engine, plugin = stub
    engine.cli("volume", "create", "--driver", "stub", "data")
    plugin.misbehave("VolumeDriver.Mount", garbage=True)
    engine.fails("run", "--rm", "-v", "data:/x", engine.image, "true", says="invalid character|decod", code=125)
    plugin.behave("VolumeDriver.Mount")
    plugin.reply("VolumeDriver.Mount", lambda _: {"Mountpoint": "/no/such/directory", "Err": ""})
    engine.fails("run", "--rm", "-v", "data:/x", engine.image, "true", says="no such file or directory|/no/such")
    released = threading.Event()
    engine.defer(released.set)

    def slowly(body):
        if not released.wait(60):
            raise PluginError("never released")
        return {"Mountpoint": plugin.mountpoint(body["Name"]), "Err": ""}

    plugin.reply("VolumeDriver.Mount", slowly)
    slow = engine.spawn("run", "--rm", "-v", "data:/x", engine.image, "echo", "at last")
    wait_until("the plugin is asked", lambda: len(bodies(plugin, "Mount")) >= 3)
    assert engine.sh("echo alive").stdout == "alive\n"
    released.set()
    assert slow.wait(0, timeout=60).text == "at last"


class Weather(PluginStub):
    implements = ("Weather",)


@claim("volume-038")
def test_plugin_of_another_kind_is_no_volume_driver(private_daemon):
    engine = private_daemon()
    with Weather(engine.host, "weather") as plugin:
        engine.fails("volume", "create", "--driver", "weather", "data", says="does not implement", timeout=90)
        assert plugin.methods() == ["Plugin.Activate"]


@claim("volume-037", "volume-038", "volume-042", "volume-058")
def test_restarted_daemon_finds_plugin_and_volume_again(stub):
    engine, plugin = stub
    volume = engine.volume("--driver", "stub")
    script = "echo kept >/x/f; exec sleep 600"
    c = engine.run("--stop-signal", "KILL", "-v", f"{volume}:/x", engine.image, "sh", "-c", script)
    c.until("written", lambda: (plugin.files(volume) / "f").exists())
    assert asked(plugin, "Activate", "Mount", "Unmount") == ["Activate", "Mount"]
    engine.daemon.restart()
    engine.cli("start", c.name)
    assert c.read("/x/f") == "kept\n"
    assert asked(plugin, "Activate", "Mount", "Unmount") == ["Activate", "Mount", "Unmount", "Activate", "Mount"]
    engine.fails("volume", "rm", volume, says="volume_in_use")
    engine.cli("rm", "--force", c.name)
    assert bodies(plugin, "Unmount")[-1] == bodies(plugin, "Mount")[-1]
    engine.cli("volume", "rm", volume)
    assert plugin.volumes == {}


# -- where it is found -----------------------------------------------------------------------------


def write(engine, path, text):
    """Write a file of the daemon's host."""
    seen = engine.host.path(path)
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_text(text)


@claim("volume-026", "volume-046", "volume-047", "volume-049")
def test_plugin_is_found_by_socket_spec_and_json_in_the_documented_order(private_daemon):
    engine = private_daemon()
    nested = FreeVolumeStub(engine.host, "nested", socket=f"{SOCKETS}/nested/nested.sock")
    socketed = FreeVolumeStub(engine.host, "both")
    listed = FreeVolumeStub(engine.host, "listed", socket="/run/listed.sock")
    lower = FreeVolumeStub(engine.host, "lower", socket="/run/lower.sock")
    everybody = [nested, socketed, listed, lower]
    for plugin in everybody:
        plugin.start()
        engine.defer(plugin.close)
    port, lower_port = listed.listen_tcp(), lower.listen_tcp()
    write(engine, "/etc/docker/plugins/both.spec", "unix:///run/listed.sock")
    write(engine, "/etc/docker/plugins/unix.spec", "unix:///run/listed.sock\n")
    write(engine, "/etc/docker/plugins/tcp.spec", f"tcp://127.0.0.1:{port}")
    write(engine, "/etc/docker/plugins/described.json", json.dumps({"Name": "x", "Addr": f"http://127.0.0.1:{port}"}))
    write(engine, "/usr/lib/docker/plugins/tcp.spec", f"tcp://127.0.0.1:{lower_port}")
    write(engine, "/usr/lib/docker/plugins/low.spec", f"tcp://127.0.0.1:{lower_port}")
    expected = {"nested": nested, "both": socketed, "unix": listed, "tcp": listed, "described": listed, "low": lower}
    for driver, answering in expected.items():
        engine.cli("volume", "create", "--driver", driver, f"v-{driver}")
        assert f"v-{driver}" in answering.volumes, driver
    assert sorted(name for one in everybody for name in one.volumes) == sorted(f"v-{driver}" for driver in expected)


@claim("volume-049", "volume-046")
def test_json_description_carries_tls_settings(stub):
    engine, plugin = stub
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    port = plugin.listen_tcp(context)
    client = authority.issue_cert("client@example.org")
    for name, text in (("ca", authority.cert_pem), ("stranger", stranger.cert_pem), ("key", client.private_key_pem),
                       ("cert", client.cert_chain_pems[0])):  # fmt: skip
        write(engine, f"/etc/docker/tls/{name}.pem", text.bytes().decode())
    keys = {"CertFile": "/etc/docker/tls/cert.pem", "KeyFile": "/etc/docker/tls/key.pem"}
    for name, settings in {
        "good": {"CAFile": "/etc/docker/tls/ca.pem", **keys},
        "careless": {"InsecureSkipVerify": True, **keys},
        "wrong": {"CAFile": "/etc/docker/tls/stranger.pem", **keys},
    }.items():
        described = {"Name": name, "Addr": f"https://127.0.0.1:{port}", "TLSConfig": settings}
        write(engine, f"/etc/docker/plugins/{name}.json", json.dumps(described))
    for name in ("good", "careless"):
        engine.cli("volume", "create", "--driver", name, f"v-{name}")
        assert f"v-{name}" in plugin.volumes
    engine.fails("volume", "create", "--driver", "wrong", "v-wrong", says="certificate|x509", timeout=90)
    assert "v-wrong" not in plugin.volumes
