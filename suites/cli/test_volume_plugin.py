"""Volume plugins: how a daemon finds one, what it asks it and when, and what it does without it."""

import json
import re
import ssl
import threading
import time

import pytest
import trustme

from seatrial.bench import wait_until
from seatrial.lab.volume_plugin import SOCKETS, VolumePlugin

claim = pytest.mark.claim
pytestmark = pytest.mark.requires("private_daemon", "plugin")


@pytest.fixture
def plugged(private_daemon):
    """A daemon of the test's own, and a plugin in its host that listens nowhere yet."""
    engine = private_daemon()
    plugin = VolumePlugin(engine.workdir / "plugin", engine.host)
    engine.defer(plugin.vanish)
    return engine, plugin


@pytest.fixture
def stub(plugged):
    """The daemon and the plugin `stub`, listening on its socket."""
    engine, plugin = plugged
    plugin.listen(f"{SOCKETS}/stub.sock")
    return engine, plugin


# Each unknown plugin costs fifteen seconds: the daemon waits for it. So these are few, and first.


@claim("volume-031", "volume-048", "volume-223")
def test_unknown_plugin_makes_nothing_and_harms_nothing(private_daemon):
    engine = private_daemon()
    name = engine.name()
    began = time.monotonic()
    create = engine.spawn("volume", "create", "--driver", "nobody", "data")
    engine.fails("run", "--name", name, "--volume-driver", "nobody", "-v", "data:/data", engine.image, "true", code=125)
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
    plugin.vanish()
    began = time.monotonic()
    engine.fails("start", c.name, says="stub|plugin|dial unix", timeout=90)
    assert time.monotonic() - began < 60
    assert c.pid == 0
    assert engine.sh("echo alive").stdout == "alive\n"
    plugin.listen(f"{SOCKETS}/stub.sock")
    engine.cli("start", c.name, timeout=90)
    assert c.wait() == 0
    engine.cli("rm", c.name)
    engine.cli("volume", "rm", volume)
    assert volume not in plugin.volumes


@claim("volume-047", "volume-049")
def test_socket_outside_of_the_plugin_directory_is_not_found(plugged):
    engine, plugin = plugged
    plugin.listen("/etc/docker/plugins/stray.sock")
    engine.fails("volume", "create", "--driver", "stray", "data", says="stray.* not found", timeout=90)
    assert plugin.calls == []


# -- the protocol ----------------------------------------------------------------------------------


@claim("volume-029", "volume-030", "volume-037", "volume-038", "volume-039", "volume-040", "volume-042", "volume-045")
def test_run_makes_mounts_and_unmounts_a_volume_of_a_plugin(stub):
    engine, plugin = stub
    assert plugin.calls == []
    options = ["--volume-driver", "stub", "-v", "data:/data"]
    c = engine.run(*options, "--stop-signal", "KILL", engine.image, "sh", "-c", "echo hello >/data/f; exec sleep 600")
    c.until("written", lambda: (plugin.volumes["data"] / "f").exists())
    assert (plugin.volumes["data"] / "f").read_text() == "hello\n"
    assert c.kernel.mount("/data").root.endswith(str(plugin.volumes["data"]))
    assert plugin.asked()[0] == "Activate"
    assert plugin.asked("Activate", "Create", "Mount", "Unmount") == ["Activate", "Create", "Mount"]
    (create,), (mount,) = plugin.bodies("Create"), plugin.bodies("Mount")
    assert (create["Name"], not create.get("Opts")) == ("data", True)
    assert (mount["Name"], bool(mount["ID"])) == ("data", True)
    engine.cli("stop", "-t", "0", c.name)
    assert plugin.bodies("Unmount") == [mount]
    assert plugin.asked("Remove") == []
    assert {call.body["Name"] for call in plugin.calls if "Name" in call.body} == {"data"}
    assert all("application/vnd.docker.plugins" in call.accept for call in plugin.calls)


@claim("volume-027", "volume-034", "volume-039", "volume-044", "volume-025", "volume-041")
def test_create_inspect_and_rm_talk_to_the_plugin(stub):
    engine, plugin = stub
    plugin.scope = "global"
    options = ["--opt", "size=10G", "-o", "a=b=c", "-o", "empty=", "--opt", "path=/x y/é"]
    assert engine.cli("volume", "create", "--driver", "stub", *options, "data").text == "data"
    assert plugin.bodies("Create") == [
        {"Name": "data", "Opts": {"size": "10G", "a": "b=c", "empty": "", "path": "/x y/é"}}
    ]
    seen = engine.inspect("data", "volume")
    assert (seen["Driver"], seen["Scope"], seen["Mountpoint"]) == ("stub", "global", str(plugin.volumes["data"]))
    assert seen["Status"] == {"mood": "calm"}
    assert plugin.asked("Mount") == []
    assert {"Capabilities", "Get"} <= set(plugin.asked())
    assert engine.cli("volume", "rm", "data").text == "data"
    assert plugin.bodies("Remove") == [{"Name": "data"}]
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
    assert "theirs" not in [body["Name"] for body in plugin.bodies("Create")]
    plugin.volumes.pop("theirs")
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
    wait_until("five mounts undone", lambda: len(plugin.bodies("Unmount")) >= 5)
    mounts, unmounts = plugin.bodies("Mount"), plugin.bodies("Unmount")
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
    assert [body["Name"] for body in plugin.bodies("Remove")] != ["named"]
    assert len(plugin.bodies("Remove")) == 1


@claim("volume-045", "volume-208")
def test_plugin_gets_names_as_the_user_wrote_them(stub):
    engine, plugin = stub
    names = ["a", "with space", "ünï-中", "a/b", "x" * 300, ".dot", "%41&?#"]
    for name in names:
        assert engine.cli("volume", "create", "--driver", "stub", name).stdout == f"{name}\n"
    assert [body["Name"] for body in plugin.bodies("Create")] == names
    assert set(engine.cli("volume", "ls", "--format", "{{.Name}}").lines) == set(names)
    for name in names:
        engine.cli("volume", "rm", name)
    assert [body["Name"] for body in plugin.bodies("Remove")] == names


@claim("volume-039", "volume-040", "volume-034", "volume-223")
def test_what_the_plugin_refuses_reaches_the_user(stub):
    engine, plugin = stub
    plugin.refuse("Create", "no space on the moon")
    engine.fails("volume", "create", "--driver", "stub", "data", says="no space on the moon", code=1)
    del plugin.replaced["Create"]
    engine.cli("volume", "create", "--driver", "stub", "data")
    plugin.refuse("Mount", "the door is locked")
    c = engine.create("-v", "data:/x", engine.image, "true")
    engine.fails("start", c.name, says="the door is locked")
    assert c.pid == 0
    del plugin.replaced["Mount"]
    engine.cli("start", c.name)
    assert c.wait() == 0
    engine.cli("rm", c.name)
    plugin.refuse("Remove", "it is too dear to me")
    engine.fails("volume", "rm", "data", says="it is too dear to me", code=1)
    assert engine.inspect("data", "volume")["Driver"] == "stub"
    plugin.refuse("Get", "who is asking")
    engine.fails("volume", "inspect", "data")
    assert engine.sh("echo alive").stdout == "alive\n"


@claim("volume-223", "volume-040")
def test_slow_and_senseless_answers_do_not_harm_the_daemon(stub):
    engine, plugin = stub
    engine.cli("volume", "create", "--driver", "stub", "data")
    plugin.replaced["Mount"] = lambda _: b"this is not JSON"
    engine.fails("run", "--rm", "-v", "data:/x", engine.image, "true", says="invalid character|decod", code=125)
    plugin.replaced["Mount"] = lambda _: {"Mountpoint": "/no/such/directory", "Err": ""}
    engine.fails("run", "--rm", "-v", "data:/x", engine.image, "true", says="no such file or directory|/no/such")
    released = threading.Event()
    engine.defer(released.set)

    def slowly(body):
        assert released.wait(60)
        return {"Mountpoint": str(plugin.volumes[body["Name"]]), "Err": ""}

    plugin.replaced["Mount"] = slowly
    slow = engine.spawn("run", "--rm", "-v", "data:/x", engine.image, "echo", "at last")
    wait_until("the plugin is asked", lambda: len(plugin.bodies("Mount")) == 3)
    assert engine.sh("echo alive").stdout == "alive\n"
    released.set()
    assert slow.wait(0, timeout=60).text == "at last"


@claim("volume-038")
def test_plugin_of_another_kind_is_no_volume_driver(stub):
    engine, plugin = stub
    plugin.implements = ["Weather"]
    engine.fails("volume", "create", "--driver", "stub", "data", says="does not implement|not found", timeout=90)
    assert plugin.asked() == ["Activate"]


@claim("volume-037", "volume-038", "volume-042", "volume-058")
def test_restarted_daemon_finds_plugin_and_volume_again(stub):
    engine, plugin = stub
    volume = engine.volume("--driver", "stub")
    c = engine.run("-v", f"{volume}:/x", engine.image, "sh", "-c", "echo kept >/x/f; exec sleep 600")
    c.until("written", lambda: (plugin.volumes[volume] / "f").exists())
    assert plugin.asked("Activate") == ["Activate"]
    engine.daemon.kill()
    engine.daemon.start()
    engine.cli("start", c.name)
    assert c.read("/x/f") == "kept\n"
    assert plugin.asked("Activate") == ["Activate"] * 2
    engine.fails("volume", "rm", volume, says="volume_in_use")
    engine.cli("rm", "--force", c.name)
    assert plugin.bodies("Unmount")[-1] == plugin.bodies("Mount")[-1]
    engine.cli("volume", "rm", volume)
    assert plugin.volumes == {}


# -- where it is found -----------------------------------------------------------------------------


def write(engine, path, text):
    """Write a file of the daemon's host."""
    seen = engine.host.path(path)
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_text(text)


@claim("volume-026", "volume-046", "volume-047", "volume-049")
def test_plugin_is_found_by_socket_spec_and_json_in_the_documented_order(plugged):
    engine, plugin = plugged
    place = engine.workdir

    def another(name):
        made = VolumePlugin(place / name, engine.host)
        engine.defer(made.vanish)
        return made

    socketed, listed, lower = another("socketed"), another("listed"), another("lower")
    plugin.listen(f"{SOCKETS}/nested/nested.sock")
    socketed.listen(f"{SOCKETS}/both.sock")
    listed.listen("/run/listed.sock")
    port, lower_port = listed.listen_tcp(), lower.listen_tcp()
    write(engine, "/etc/docker/plugins/both.spec", "unix:///run/listed.sock")
    write(engine, "/etc/docker/plugins/unix.spec", "unix:///run/listed.sock\n")
    write(engine, "/etc/docker/plugins/tcp.spec", f"tcp://127.0.0.1:{port}")
    write(engine, "/etc/docker/plugins/described.json", json.dumps({"Name": "x", "Addr": f"http://127.0.0.1:{port}"}))
    write(engine, "/usr/lib/docker/plugins/tcp.spec", f"tcp://127.0.0.1:{lower_port}")
    write(engine, "/usr/lib/docker/plugins/low.spec", f"tcp://127.0.0.1:{lower_port}")
    expected = {"nested": plugin, "both": socketed, "unix": listed, "tcp": listed, "described": listed, "low": lower}
    for driver, answering in expected.items():
        engine.cli("volume", "create", "--driver", driver, f"v-{driver}")
        assert f"v-{driver}" in answering.volumes, driver
    everybody = [plugin, socketed, listed, lower]
    assert sorted(name for one in everybody for name in one.volumes) == sorted(f"v-{driver}" for driver in expected)


@claim("volume-049", "volume-046")
def test_json_description_carries_tls_settings(plugged):
    engine, plugin = plugged
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
