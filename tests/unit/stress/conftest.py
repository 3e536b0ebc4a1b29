"""A fake engine behind Docker's API on a unix socket: it keeps containers in memory, and can be told to be wrong."""

import json
import re
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest

from seatrial.api.wire import Endpoint


class Fake:
    """What the engine holds, and what is wrong with it."""

    def __init__(self):
        self.lock = threading.Condition()
        self.containers, self.events = {}, []
        self.numbers, self.ports = count(1), count(40001)
        self.wrong, self.slow, self.removal = "", 0.0, "destroy"
        self.requests = 0

    def tell(self, action, container, code=None):
        if self.wrong == "events" and action == "die" and container["number"] % 3 == 0:
            return
        attributes = {"name": container["name"], **({"exitCode": str(code)} if code is not None else {})}
        self.events.append({"Action": action, "time": int(time.time()), "timeNano": time.time_ns(),
                            "Actor": {"ID": container["id"], "Attributes": attributes}})  # fmt: skip
        self.lock.notify_all()

    def end(self, container, code):
        if container["running"]:
            container["running"], container["code"] = False, code
            self.tell("die", container, code)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return ""

    def reply(self, status, value=None, raw=None):
        data = raw if raw is not None else b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self):
        fake = self.server.fake
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if parts.path == "/events":
            self.stream(fake)
            return
        with fake.lock:
            fake.requests += 1
            if fake.wrong == "dead":
                self.close_connection = True
                return
            if fake.wrong == "broken":
                self.reply(500, {"message": "something is wrong"})
                return
            if fake.wrong == "busy" and fake.requests % 5 == 0:
                self.reply(500, {"message": f"cannot do it for {fake.requests:064x} now"})
                return
            if parts.path == "/containers/create":
                self.create(fake, query["name"], json.loads(body))
                return
            found = re.fullmatch(r"/containers/([^/]+)(?:/(\w+))?", parts.path)
            container = fake.containers.get(found[1]) if found else None
            if container is None:
                self.reply(404, {"message": f"No such container: {parts.path}"})
                return
            getattr(self, f"on_{self.command.lower()}_{found[2] or 'container'}")(fake, container)

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the server's names

    def create(self, fake, name, body):
        if fake.wrong == "no names" or (name in fake.containers and fake.wrong != "names"):
            self.reply(409, {"message": f"the name {name} is in use"})
            return
        number = next(fake.numbers)
        id_ = f"{1 if fake.wrong == 'ids' else number:064x}"
        fake.containers[name] = made = {
            "name": name, "id": id_, "number": number, "cmd": body["Cmd"], "running": False, "code": 0,
            "ports": list(body.get("HostConfig", {}).get("PortBindings", {})), "bound": {},
        }  # fmt: skip
        fake.tell("create", made)
        self.reply(201, {"Id": id_})

    def on_post_start(self, fake, container):
        time.sleep(fake.slow)
        container["running"] = True
        for port in container["ports"]:
            given = 40000 if fake.wrong == "ports" else next(fake.ports)
            container["bound"][port] = [{"HostIp": "127.0.0.1", "HostPort": str(given)}]
        fake.tell("start", container)
        if container["cmd"][0] != "sleep":
            fake.end(container, 3 if fake.wrong == "codes" else 0)
        self.reply(204)

    def on_post_wait(self, fake, container):
        if fake.wrong == "mangled":
            self.reply(200, {"StatusCode": None})
            return
        fake.lock.wait_for(lambda: not container["running"], 10)
        self.reply(200, {"StatusCode": container["code"]})

    def on_post_kill(self, fake, container):
        if not container["running"]:
            self.reply(409, {"message": "not running"})
            return
        fake.end(container, 137)
        self.reply(204)

    def on_get_json(self, fake, container):
        self.reply(200, {"NetworkSettings": {"Ports": container["bound"]}})

    def on_get_logs(self, fake, container):
        text = "".join(f"{number}\n" for number in range(1, int(container["cmd"][-1]) + 1)).encode()
        text = text[:-1] if fake.wrong == "logs" else text
        self.reply(200, raw=b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text)

    def on_delete_container(self, fake, container):
        fake.end(container, 137)
        del fake.containers[container["name"]]
        fake.tell(fake.removal, container)
        self.reply(204)

    def stream(self, fake):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        place = 0
        while not self.server.ending:
            with fake.lock:
                if len(fake.events) <= place:
                    fake.lock.wait(0.5)
                new, place = fake.events[place:], len(fake.events)
            for event in new:
                line = json.dumps(event).encode() + b"\n"
                try:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                except OSError:
                    return


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    ending = False

    def __init__(self, path, fake):
        self.fake = fake
        super().__init__(str(path), Handler)

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("local", 0)

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def endpoint(fake, tmp_path):
    server = Server(tmp_path / "api.sock", fake)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield Endpoint(path=tmp_path / "api.sock")
    server.ending = True
    server.shutdown()
    thread.join()
    server.server_close()
