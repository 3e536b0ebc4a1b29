import json

import pytest

from seatrial import snapshot
from seatrial.exec import Result
from seatrial.hosts import NamespaceHost
from seatrial.names import BUSYBOX, TOOLBOX

BUSY, TOOLS, OTHER = ("a1" * 32, "b2" * 32, "c3" * 32)


class Stub:
    """A lab's engine that holds images by name."""

    host = NamespaceHost("stub", 1)

    def __init__(self, prefix, images):
        self.prefix, self.images = prefix, images

    def find(self, kind, label=""):
        return [self.prefix + id_ for id_ in self.images.values()] if kind == "image" and not label else []

    def cli(self, *args, expect=0):
        id_ = self.images.get(args[-1])
        return Result(args, 0 if id_ else 1, json.dumps([{"Id": f"sha256:{id_}"}] if id_ else []).encode(), b"", 0.0)


@pytest.fixture(autouse=True)
def _no_lab(monkeypatch):
    monkeypatch.setattr(snapshot, "_lab", lambda host: {})


@pytest.mark.parametrize("prefix", ["", "sha256:"], ids=["bare", "named"])
def test_images_that_the_harness_brings_in_are_no_leftovers(prefix):
    engine = Stub(prefix, {BUSYBOX: BUSY})
    before = snapshot.take(engine)
    engine.images[TOOLBOX] = TOOLS
    assert snapshot.leaks(before, engine, "run", patience=0) == []
    engine.images["localhost/other:latest"] = OTHER
    assert snapshot.leaks(before, engine, "run", patience=0) == [("image", prefix + OTHER)]
