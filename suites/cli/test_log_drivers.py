"""Log drivers: what is written where, and what cannot be read back."""

import contextlib
import gzip
import socket
from functools import reduce

import pytest

from seatrial.exec import parsed

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param
SPEAK = ("sh", "-c", "echo to-stdout; echo to-stderr >&2")


@contextlib.contextmanager
def sink(engine, kind):
    """Open a socket of a kind on the loopback of the engine's host."""

    def make():
        made = socket.socket(socket.AF_INET, kind)
        made.bind(("127.0.0.1", 0))
        return made

    with engine.raw.host.call(make) as made:
        made.settimeout(20)
        if kind == socket.SOCK_STREAM:
            made.listen()
        yield made


def log_file(engine, c):
    inside = reduce(lambda part, key: part[key], engine.trait("log_file"), c.inspect())
    return engine.raw.host.path(inside)


@claim("cli-076", "cli-078")
def test_default_log_is_a_file_of_the_engine(engine):
    c = engine.create(engine.image, *SPEAK)
    engine.cli("start", "--attach", c.name)
    config = c.inspect()["HostConfig"]["LogConfig"]
    assert config["Type"] == engine.trait("default_log_driver")
    assert engine.cli("info", "--format", engine.trait("info_log_driver")).text == config["Type"]
    text = log_file(engine, c).read_text()
    assert ("to-stdout" in text, "to-stderr" in text) == (True, True)


@claim("cli-075", "cli-076", "cli-079")
def test_json_file_can_be_asked_for_and_read(engine):
    c = engine.create("--log-driver", "json-file", engine.image, *SPEAK)
    engine.cli("start", "--attach", c.name)
    result = c.logs()
    assert (result.lines, result.stderr.splitlines()) == (["to-stdout"], ["to-stderr"])


@claim("cli-076")
@effect("run --log-driver")
@requires("log_json_file")
def test_json_file_holds_one_object_a_line(engine):
    c = engine.create("--log-driver", "json-file", "--log-opt", "env=WHO", "--log-opt", "tag=t-{{.Name}}", "--env",
                      "WHO=me",
                      engine.image, *SPEAK)  # fmt: skip
    engine.cli("start", "--attach", c.name)
    entries = [parsed(line) for line in log_file(engine, c).read_text().splitlines()]
    assert sorted((entry["log"], entry["stream"]) for entry in entries) == [("to-stderr\n", "stderr"),
                                                                            ("to-stdout\n", "stdout")]  # fmt: skip
    assert [entry["attrs"] for entry in entries] == [{"WHO": "me", "tag": f"t-{c.name}"}] * 2


@claim("cli-075", "cli-079")
def test_none_keeps_nothing_and_says_so(engine):
    c = engine.create("--log-driver", "none", engine.image, *SPEAK)
    assert "to-stdout" in engine.cli("start", "--attach", c.name).stdout
    engine.fails("logs", c.name, says="logs_unreadable")


@claim("cli-075", "cli-079")
@requires("log_local")
def test_local_can_be_read(engine):
    c = engine.create("--log-driver", "local", engine.image, *SPEAK)
    engine.cli("start", "--attach", c.name)
    assert c.inspect()["HostConfig"]["LogConfig"]["Type"] == "local"
    assert c.logs().lines == ["to-stdout"]


@claim("cli-076")
@effect("run --log-opt")
def test_max_size_bounds_the_log(engine):
    c = engine.create("--log-opt", "max-size=4k", engine.image, "sh", "-c",
                      "for i in $(seq 2000); do echo line-$i; done")  # fmt: skip
    engine.cli("start", "--attach", c.name)
    assert log_file(engine, c).stat().st_size <= 4096 + 1024
    lines = c.logs().lines
    assert lines[-1] == "line-2000"
    assert "line-1" not in lines


@claim("cli-077", "cli-075")
@requires("log_syslog")
def test_syslog_messages_reach_the_address(engine):
    with sink(engine, socket.SOCK_DGRAM) as listener:
        address = f"udp://127.0.0.1:{listener.getsockname()[1]}"
        engine.once("--log-driver", "syslog", "--log-opt", f"syslog-address={address}", "--log-opt", "tag=vessel",
                    "--log-opt", "syslog-facility=local3", engine.image, *SPEAK)  # fmt: skip
        seen = sorted(listener.recv(65536).decode() for _ in range(2))
    # facility local3 (19) * 8 + severity: error (3) for stderr, info (6) for stdout
    assert [message[: message.index(">") + 1] for message in seen] == ["<155>", "<158>"]
    assert all("vessel[" in message for message in seen)
    assert [message.rpartition(": ")[2].strip() for message in seen] == ["to-stderr", "to-stdout"]


@claim("cli-077", "cli-079", "cli-115")
@requires("log_syslog")
def test_syslog_without_a_listener_is_refused_at_start(engine):
    with sink(engine, socket.SOCK_DGRAM) as listener:
        port = listener.getsockname()[1]
    c = engine.create("--log-driver", "syslog", "--log-opt", f"syslog-address=tcp://127.0.0.1:{port}", engine.image,
                      *SPEAK)  # fmt: skip
    engine.fails("start", c.name, says="failed to (initialize|create) (logging driver|task).*connection refused")
    assert c.status == "created"


@claim("cli-077", "cli-115")
@requires("log_syslog")
def test_bad_syslog_options_are_refused(engine):
    for option, says in (
        ("syslog-address=carrier://pigeon", "syslog-address should be|unsupported scheme"),
        ("syslog-facility=navy", "invalid syslog facility"),
        ("syslog-address=unix:///nowhere/log", "no such file"),
    ):  # fmt: skip
        engine.fails("run", "--rm", "--log-driver", "syslog", "--log-opt", option, engine.image, "true", says=says)


@claim("cli-075")
@requires("log_gelf")
def test_gelf_messages_reach_the_address(engine):
    with sink(engine, socket.SOCK_DGRAM) as listener:
        address = f"udp://127.0.0.1:{listener.getsockname()[1]}"
        engine.once("--log-driver", "gelf", "--log-opt", f"gelf-address={address}", engine.image, "echo", "heave")
        message = parsed(gzip.decompress(listener.recv(65536)))
    assert (message["short_message"], message["version"], message["level"]) == ("heave", "1.1", 6)
    assert message["_image_name"] == engine.image


@claim("cli-075")
@requires("log_fluentd")
def test_fluentd_messages_reach_the_address(engine):
    with sink(engine, socket.SOCK_STREAM) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        engine.run("--log-driver", "fluentd", "--log-opt", f"fluentd-address={address}", "--log-opt", "tag=vessel",
                   engine.image, "echo", "heave")  # fmt: skip
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            data = b""
            while b"heave" not in data:
                received = connection.recv(65536)
                assert received, data
                data += received
    assert b"\xa6vessel" in data  # MessagePack: a string of six bytes
    assert b"stdout" in data


@claim("cli-075", "cli-115")
def test_unknown_log_driver_is_refused(engine):
    engine.fails("run", "--rm", "--log-driver", "pigeon", engine.image, "true", says="log.*driver|logging")


@claim("cli-075", "cli-115")
@requires("log_json_file")
def test_bad_log_options_are_refused(engine):
    for driver, option, says in (
        ("json-file", "pigeon=1", "unknown log opt"), ("none", "tag=x", "invalid logging opts"),
        ("json-file", "max-size=big", "max-size|invalid size"),
        ("json-file", "max-file=0", "max-file"),
    ):  # fmt: skip
        engine.fails("run", "--rm", "--log-driver", driver, "--log-opt", option, engine.image, "true", says=says)
