"""Alerts reach whom they are for, at most so often, and a way that fails keeps no other from it."""

import json
import socket
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from seatrial.errors import SeatrialError
from seatrial.stress.alerts import Alerts, Command, Mail, Syslog, Webhook


@contextmanager
def served(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_command_gets_the_subject_and_the_text(tmp_path):
    program = tmp_path / "tell"
    program.write_text(f'#!/bin/sh\n{{ echo "$2"; cat; }} >{tmp_path}/told\ntest "$1" = -x\n')
    program.chmod(0o755)
    Command([str(program), "-x"]).send("it fails", "so badly")
    assert (tmp_path / "told").read_text() == "it fails\nso badly"
    with pytest.raises(OSError, match="exit code 1"):
        Command([str(program), "-y"]).send("a", "b")


def test_a_webhook_gets_json_and_an_error_is_one():
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(200 if self.path == "/ok" else 500)
            self.end_headers()

        def log_message(self, *args):
            pass

    with served(HTTPServer(("127.0.0.1", 0), Handler)) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        Webhook(f"{base}/ok").send("s", "t")
        assert seen == [("application/json", {"subject": "s", "text": "t"})]
        with pytest.raises(OSError, match="500"):
            Webhook(f"{base}/no").send("s", "t")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "host/path"])
def test_what_is_no_webhook_is_refused(url):
    with pytest.raises(SeatrialError, match="no address of a webhook"):
        Webhook(url)


def test_syslog_gets_one_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        Syslog(f"127.0.0.1:{receiver.getsockname()[1]}").send("it fails", "one\ntwo")
        assert receiver.recv(1000).rstrip(b"\0") == b"<11>seatrial: it fails: one | two"


def test_a_long_alert_is_cut_off_and_says_so():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        Syslog(f"127.0.0.1:{receiver.getsockname()[1]}").send("it fails", "\u00fc" * 100_000)
        seen = receiver.recv(10_000).rstrip(b"\0").decode()
    assert seen.startswith("<11>seatrial: it fails: \u00fc")
    assert seen.endswith("\u00fc ...")
    assert len(seen.encode()) <= 2048


def test_a_record_that_cannot_be_sent_is_an_error(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        sender = Syslog(str(tmp_path / "log"))
        sender.send("it fails", "")
        assert b"it fails" in receiver.recv(1000)
    (tmp_path / "log").unlink()
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the kernel
        sender.send("it fails", "")


def test_an_answer_that_is_none_ends_no_monitor():
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(b"what do you mean?\r\n\r\n")

    with served(socketserver.TCPServer(("127.0.0.1", 0), Handler)) as server:
        way = Way()
        (problem,) = Alerts([Webhook(f"http://127.0.0.1:{server.server_address[1]}/"), way]).tell("s", "t")
    assert problem.startswith("webhook: what do you mean?")
    assert way.told == [("s", "t")]


def test_mail_goes_to_the_relay():
    seen = []

    class Relay(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 hello\r\n")
            body = False
            for line in self.rfile:
                seen.append(line.decode().strip())
                if body:
                    if line == b".\r\n":
                        body = False
                        self.wfile.write(b"250 taken\r\n")
                elif line.upper().startswith(b"DATA"):
                    body = True
                    self.wfile.write(b"354 go on\r\n")
                elif line.upper().startswith(b"QUIT"):
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 fine\r\n")

    with served(socketserver.TCPServer(("127.0.0.1", 0), Relay)) as server:
        Mail(["a@example.org", "b@example.org"], f"127.0.0.1:{server.server_address[1]}").send("it fails", "so badly")
    assert "rcpt TO:<b@example.org>" in seen
    assert "Subject: it fails" in seen
    assert "so badly" in seen


class Way:
    def __init__(self, broken=False):
        self.told, self.broken = [], broken

    def send(self, subject, text):
        if self.broken:
            raise OSError("nobody is there")
        self.told.append((subject, text))


def test_alerts_are_limited_and_what_was_held_back_is_told():
    now, way = [0.0], Way()
    alerts = Alerts([way], most=2, per=60.0, clock=lambda: now[0])
    for _ in range(5):
        alerts.tell("s", "t")
    assert len(way.told) == 2
    now[0] = 61.0
    alerts.tell("s", "t")
    alerts.tell("s", "t")
    assert [text for _, text in way.told[2:]] == ["t\n3 alerts before this one were held back", "t"]


def test_what_reached_nobody_uses_nothing_up():
    now, way = [0.0], Way(broken=True)
    alerts = Alerts([way], most=2, per=60.0, clock=lambda: now[0])
    for _ in range(5):
        assert alerts.tell("s", "t") == ["way: nobody is there"]
    way.broken = False
    for _ in range(3):
        alerts.tell("s", "t")
    assert (len(way.told), alerts.held_back) == (2, 1)


def test_a_way_that_fails_keeps_no_other_from_it():
    way = Way()
    assert Alerts([Way(broken=True), way]).tell("s", "t") == ["way: nobody is there"]
    assert way.told == [("s", "t")]
