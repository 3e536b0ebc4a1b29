"""The client's configuration and its way to the engine."""

import http.server
import json
import re
import socketserver
import threading

import pytest

from seatrial.errors import SeatrialError
from seatrial.exec import ANY
from seatrial.expecting import matched

claim, requires = pytest.mark.claim, pytest.mark.requires


def configuration(engine, content):
    directory = engine.workdir / "config"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return str(directory)


@claim("cli-007")
@requires("client_settings")
def test_config_directory_sets_the_format_of_ps(engine):
    c = engine.create()
    directory = configuration(engine, {"psFormat": "own {{.Names}}"})
    filters = ["--all", "--filter", f"name={c.name}"]
    assert engine.cli("--config", directory, "ps", *filters).text == f"own {c.name}"
    assert engine.cli("ps", *filters, env={"DOCKER_CONFIG": directory}).text == f"own {c.name}"
    assert "own" not in engine.cli("ps", *filters, env={"HOME": str(engine.home)}).stdout


@claim("cli-007")
@requires("client_settings")
def test_home_holds_the_default_config_directory(engine):
    (engine.home / ".docker").mkdir()
    (engine.home / ".docker/config.json").write_text('{"psFormat": "from home {{.Names}}"}')
    c = engine.create()
    seen = engine.cli("ps", "--all", "--filter", f"name={c.name}", env={"HOME": str(engine.home)})
    assert seen.text == f"from home {c.name}"


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers everything with {} and keeps the headers of the request."""

    def handle_one_request(self):
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.server.seen.append(dict(self.headers))
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n"
                         b"Content-Length: 2\r\nConnection: close\r\n\r\n[]")  # fmt: skip


@claim("cli-007")
@requires("client_settings")
def test_headers_of_the_config_are_sent_with_every_request(engine):
    directory = configuration(engine, {"HttpHeaders": {"X-Seatrial": "a b"}})
    socket = engine.workdir / "s"
    with socketserver.UnixStreamServer(str(socket), _Echo) as server:
        server.seen = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        engine.cli("--config", directory, "-H", f"unix://{socket}", "ps", "-q")
        server.shutdown()
    assert server.seen
    assert {headers.get("X-Seatrial") for headers in server.seen} == {"a b"}


@claim("cli-007")
@requires("client_settings")
def test_a_broken_config_is_named_and_does_not_stop_the_client(engine):
    for content in ("{", '{"psFormat": 1}', "[]"):
        directory = configuration(engine, content)
        seen = engine.cli("--config", directory, "ps", "-q", "--filter", "name=none-of-this-name")
        assert seen.stdout == ""
        assert re.search(rf"WARNING: Error (loading|parsing) config file.*{directory}/config.json", seen.stderr)


@claim("cli-009")
@requires("local_engine", "api")
def test_host_option_and_variable_reach_the_engine_alike(engine):
    c = engine.create()
    address = f"unix://{engine.raw.socket}"
    words = ["ps", "--all", "--no-trunc", "--quiet", "--filter", f"name={c.name}"]
    assert engine.cli("-H", address, *words).text == c.id
    assert engine.cli(*words, env={engine.trait("host_variable"): address}).text == c.id


@claim("cli-009")
def test_a_host_that_nobody_answers_at_is_named(engine):
    for address, named in (("bogus://x", "bogus"), ("unix:///no/such.sock", "/no/such.sock"),
                           ("tcp://127.0.0.1:1", "127.0.0.1:1")):  # fmt: skip
        refused = engine.fails("-H", address, "ps", says="unreachable", code=engine.code("error"))
        assert refused.stdout == ""
        assert named in refused.stderr


@claim("cli-009")
@requires("private_daemon", "daemon")
def test_a_daemon_listens_on_all_sockets_that_it_was_given(private_daemon):
    d = private_daemon("--host", "unix:///run/docker.sock", "--host", "unix:///run/second.sock",
                       "--host", "tcp://127.0.0.1:2399", "--tls=false")  # fmt: skip
    name = d.create().name
    for address in ("unix:///run/docker.sock", "unix:///run/second.sock", "tcp://127.0.0.1:2399"):
        assert d.cli("-H", address, "ps", "--all", "--format", "{{.Names}}").text == name
    d.fails("-H", "tcp://127.0.0.1:2398", "ps", says="unreachable")


@claim("cli-008", "cli-010")
@requires("private_daemon", "daemon")
def test_debug_mode_is_off_until_asked_for(private_daemon):
    d = private_daemon(start=False)
    d.daemon.start()
    assert "level=info" in d.log
    assert "level=debug" not in d.log
    assert d.cli("info", "--format", "{{.Debug}}").text == "false"
    d.daemon.stop()
    d.daemon.argv = (*d.daemon.argv, "--debug")
    d.daemon.start()
    assert "level=debug" in d.log
    assert d.cli("info", "--format", "{{.Debug}}").text == "true"


@claim("cli-008")
@requires("client_settings")
def test_the_client_tells_whether_it_debugs(engine):
    shown = [engine.cli(*words, "info", expect=ANY).stdout for words in ((), ("-D",), ("--debug",))]
    client = [matched(r"^ +Debug Mode: (\w+)", text)[1] for text in shown]
    assert client == ["false", "true", "true"]


@claim("cli-010")
@requires("private_daemon", "daemon")
def test_a_daemon_refuses_an_unknown_log_level_and_obeys_a_known_one(private_daemon):
    d = private_daemon("--log-level", "bogus", start=False)
    with pytest.raises(SeatrialError, match="logging level: bogus"):
        d.daemon.start(timeout=15)

    def logged(level):
        before = len(d.log)
        d.daemon.argv = (d.raw.service, "--log-level", level)
        d.daemon.start()
        d.daemon.stop()
        return d.log[before:]

    assert "level=info" in logged("info")
    assert "level=info" not in logged("error")
