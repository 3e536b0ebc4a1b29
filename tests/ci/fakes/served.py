"""A fake that is served on loopback while a `with` statement lasts."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """`handler` answers the requests and finds this object as its `fake`."""

    handler = BaseHTTPRequestHandler

    def __init__(self):
        self.faults, self.requests = [], []  # a fault is taken by the next request
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (self.handler,), {"fake": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, *request):
        """Write a request down; return the fault that it meets, or None."""
        with self.lock:
            self.requests.append(request)
            return self.faults.pop(0) if self.faults else None


class Handler(BaseHTTPRequestHandler):
    """Says nothing on the terminal and keeps connections."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status, body="", kind="application/json", **headers):
        """Answer; names of headers have underscores for dashes."""
        raw = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind};charset=UTF-8")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def until(holds):
    """Wait for what happens on another thread, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
