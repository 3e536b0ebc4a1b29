"""The probe's image is made anew when the probe has changed; other images are left alone."""

import json

import pytest

from seatrial.exec import Result
from seatrial.lab import images
from seatrial.names import BUSYBOX, PROBE


class Engine:
    """Stands for an engine that holds images with the given labels."""

    def __init__(self, **held):
        self.held, self.made, self.gone = held, [], []

    def cli(self, *args, expect=0):
        if args[1] == "rm":
            self.gone.append(args[2])
            return Result(args, 0, b"", b"", 0.0)
        if args[2] not in self.held:
            return Result(args, 1, b"[]", b"no such image", 0.0)
        shown = [{"Id": f"id-of-{args[2]}", "Config": {"Labels": self.held[args[2]]}}]
        return Result(args, 0, json.dumps(shown).encode(), b"", 0.0)

    def import_image(self, archive, name, changes):
        self.made.append((name, any(change.startswith("LABEL") for change in changes)))


@pytest.fixture(autouse=True)
def archives(monkeypatch, tmp_path):
    monkeypatch.setattr(images, "ensure", lambda name: tmp_path)
    monkeypatch.setattr(images, "key", lambda: "now")


@pytest.mark.parametrize(("labels", "made", "gone"), [
    (None, [(PROBE, True)], [f"id-of-{PROBE}"]),
    ({images.VERSION_LABEL: "before"}, [(PROBE, True)], [f"id-of-{PROBE}"]),
    ({images.VERSION_LABEL: "now"}, [], []),
])  # fmt: skip
def test_probe_of_another_version_is_replaced(labels, made, gone):
    engine = Engine(**{PROBE: labels})
    images.provide(engine, (PROBE,))
    assert (engine.made, engine.gone) == (made, gone)


def test_what_is_not_there_is_brought_in_and_other_images_stay():
    engine = Engine(**{BUSYBOX: None})
    images.provide(engine, (BUSYBOX, PROBE))
    assert (engine.made, engine.gone) == ([(PROBE, True)], [])
