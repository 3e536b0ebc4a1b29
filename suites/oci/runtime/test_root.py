"""The root file system: read-only, there, and the container's own."""

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("CF-root-ro")
def test_readonly_root_refuses_writes(runtime, bundle):
    box = runtime.run(bundle.with_(root={"readonly": True}))
    assert box.probe.write("/canary") == "EROFS"
    assert box.seen.mount("/").options >= {"ro"}


@claim("CF-root-ro")
def test_writable_root_takes_writes(runtime, bundle):
    box = runtime.run(bundle)
    assert box.probe.write("/canary") == "ok"
    assert (box.rootfs / "canary").read_text() == "x"
