import random

import pytest

from seatrial import archive
from seatrial.lab.registry import admit
from seatrial.lab.relay import Relay
from seatrial.paths import remove_tree


def pytest_itemcollected(item):
    item.add_marker(pytest.mark.requires("api"))


@pytest.fixture
def api(engine):
    """The engine's HTTP interface; see `seatrial.api.bound`."""
    return engine.api


@pytest.fixture
def registry(registry_with):
    """A registry with TLS: engines read whom they trust again and again, and what is insecure once."""
    return registry_with(tls=True)


@pytest.fixture
def ship(api, engine):
    """Call it with a registry (or a relay) to get the reference of a new image for it, of one layer.

    `name` is that of the repository: ports come again, and tests must not remove each other's images. The layer
    holds the file `cargo`, of `size` bytes that cannot be packed.
    """
    name = f"fleet/{engine.key}"

    def make(registry, size=1000):
        reference = registry.reference(name)
        repo, _, tag = reference.rpartition(":")
        engine.track("image", reference)
        make.cargo = random.Random(engine.key).randbytes(size)
        body = archive.tree({"cargo": make.cargo, "stamp": engine.key})
        api.post("/images/create", expect=200, query={"fromSrc": "-", "repo": repo, "tag": tag, "changes": 'CMD ["x"]'},
                 headers={"Content-Type": "application/x-tar"}, body=body)  # fmt: skip
        return reference

    make.name = name
    return make


@pytest.fixture
def through(engine):
    """Call it with a registry to get a proxy in front of it that the engine trusts."""

    def make(registry):
        proxy = Relay(registry)
        engine.defer(proxy.close)
        for path in admit(engine.raw, proxy.address, proxy.ca):
            engine.defer(remove_tree, path)
        return proxy

    return make
