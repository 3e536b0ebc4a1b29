import http.client
import http.server
import ipaddress
import itertools
import socket
import threading
import time

import pytest

from seatrial import archive
from seatrial.builder import Builder
from seatrial.exec import run


@pytest.fixture(
    params=[0, pytest.param(1, marks=pytest.mark.requires("second_builder"))], ids=["default", "second"]
)
def builder(engine, request):
    """The builder that the engine uses by itself, and the other one where it has two."""
    return Builder(engine, engine.facts["builders"][request.param])


@pytest.fixture
def default_builder(engine):
    """The builder that the engine uses by itself."""
    return Builder(engine, engine.facts["builders"][0])


@pytest.fixture
def legacy_builder(engine):
    """Docker's builder of old, for tests that require it."""
    return Builder(engine, "legacy")


@pytest.fixture
def modern_builder(engine):
    """The builder with today's extensions of the Dockerfile: BuildKit where the engine has it."""
    builders = engine.facts["builders"]
    return Builder(engine, "buildkit" if "buildkit" in builders else builders[0])


@pytest.fixture
def small_image(engine):
    """Call it with files and import's options to get the name of an image made of them."""

    def make(files, *options, name=""):
        name = name or engine.image_name()
        engine.cli("import", *options, "-", name, stdin=archive.tree(files))
        return name

    return make


class Site:
    """An HTTP server on the loopback of the engine's host, and the paths that it was asked for."""

    def __init__(self, host, content, modified):
        self.requested = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.requested.append(self.path)
                body = content.get(self.path)
                self.send_response(200 if body is not None else 500 if self.path == "/error" else 404)
                if modified:
                    self.send_header("Last-Modified", modified)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self._server = host.call(lambda: http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def web(engine):
    """Call it with {path: bytes} to serve them to the engine; closed after the test."""

    def serve(content, modified=""):
        site = Site(engine.raw.host, content, modified)
        engine.defer(site.close)
        return site

    return serve


@pytest.fixture
def serve(engine):
    """Call it with a word and options of `run` to have a container serve the word over HTTP at /word."""

    def start(word, *options, port=80):
        script = f"mkdir /www && echo {word} >/www/word && exec httpd -f -p {port} -h /www"
        c = engine.run(*options, engine.image, "sh", "-c", script)
        c.until("listening", lambda: port in c.kernel.listeners())
        return c

    return start


@pytest.fixture
def fetch(engine):
    """Call it with an address and port to get what /word there says, asked by a host; empty when nobody answers."""

    def get(address, port, host=engine.raw.host):
        def ask():
            asking = http.client.HTTPConnection(address, int(port), timeout=5)
            try:
                asking.request("GET", "/word")
                return asking.getresponse().read().decode().strip()
            except OSError:
                return ""
            finally:
                asking.close()

        return host.call(ask)

    return get


@pytest.fixture
def free_port(engine):
    """Call it to get a port of the engine's host that is free, as are the next ones that are asked for."""
    candidates = itertools.count(20000 + int(engine.key, 16) % 1200 * 10, 10)

    def pick(count=1, low=False):
        for start in candidates:
            first = 500 + start % 500 if low else start
            if all(engine.raw.host.call(lambda port=port: _is_free(port)) for port in range(first, first + count)):
                return first
        return None

    return pick


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


@pytest.fixture
def subnet(engine):
    """Call it with a prefix length of 24 or more to get an IPv4 network that no other test uses.

    The networks lie in 198.18.0.0/15, which is reserved for tests and is no engine's own choice.
    """
    numbers = itertools.count(int(engine.key, 16) % 512)

    def choose(prefix):
        return ipaddress.ip_network(f"198.{18 + (number := next(numbers) % 512) // 256}.{number % 256}.0/{prefix}")

    return choose


@pytest.fixture
def host_links(engine):
    """Call it to get the names of the interfaces of the engine's host."""

    def get():
        lines = run(["cat", "/proc/net/dev"], host=engine.raw.host, journal=engine.journal).lines[2:]
        return {line.split(":")[0].strip() for line in lines}

    return get


@pytest.fixture
def reaches():
    """Call it with a container and an address to learn whether a greeter says hello there."""

    def try_it(c, address):
        return c.sh(f"nc -w 2 {address} 80 </dev/null", expect=None).stdout == "hello\n"

    return try_it


@pytest.fixture
def place(engine):
    """Call it with the name of a volume to get its directory as seen from here."""

    def get(volume):
        return engine.raw.host.path(engine.inspect(volume, "volume")["Mountpoint"])

    return get


@pytest.fixture
def ask():
    """Call it with a container, an address or name, and a port to get what /word there says, asked inside."""

    def get(c, address, port=80):
        request = f"printf 'GET /word HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} {port}"
        answer = c.sh(request, expect=None).stdout.splitlines()
        return answer[-1] if answer and answer[0].endswith("200 OK") else ""

    return get


@pytest.fixture
def send_signal():
    """Call it with a client that has shown output of its container, and a signal, to send it the signal.

    A client may show output before it forwards signals (https://github.com/containers/podman/pull/17489), and
    there is nothing to see that by.
    """

    def send(talk, number):
        time.sleep(1.0)
        talk.signal(number)

    return send


@pytest.fixture
def touched(engine):
    """Call it to get a created container that holds a file like no other, so that no two commits are alike.

    An engine that finds a new layer among its own uses that one, and Podman fails when another test
    removes it at that moment.
    """
    numbers = itertools.count(1)

    def make():
        c = engine.create()
        (engine.workdir / "mark").write_text(f"{engine.key} {next(numbers)}\n")
        engine.cli("cp", str(engine.workdir / "mark"), f"{c.name}:/mark")
        return c

    return make
