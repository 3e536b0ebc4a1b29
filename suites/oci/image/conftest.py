"""What the tests of images share: a registry that serves what no engine would write, and tools in a lab."""

import pytest

from seatrial import archive
from seatrial.exec import run
from seatrial.lab import images, labs
from seatrial.lab.harbour import Harbour
from seatrial.lab.registry import admit
from seatrial.names import BUSYBOX
from seatrial.oci.image.samples import TAG, Layout, setting, signed_by
from seatrial.paths import remove_tree

REPOSITORY = "fleet/ship"


class Pier:
    """A registry on the engine's loopback that serves images of the test's own making."""

    def __init__(self, engine):
        self._engine = engine
        self.harbour = Harbour(engine.raw.host)
        engine.defer(self.harbour.close)
        if engine.facts["lab"]:
            for path in admit(engine.raw, self.harbour.address):
                engine.defer(remove_tree, path)

    def offer(self, files, tag=TAG):
        """Serve the image of a layout; return its reference."""
        self.harbour.store(REPOSITORY, files, tag)
        reference = f"{self.harbour.address}/{REPOSITORY}:{tag}"
        self._engine.track("image", reference)
        return reference

    def pull(self, files, tag=TAG, **options):
        """Have the engine pull the image of a layout; return its reference."""
        reference = self.offer(files, tag)
        self._engine.cli("pull", reference, timeout=120, **options)
        return reference


@pytest.fixture
def pier(engine):
    """A registry that serves images of the test's own making."""
    return Pier(engine)


@pytest.fixture
def ship(engine, pier):
    """Call it with layers and how they are packed to get a running container of them, upon the test image's layer."""

    def launch(*layers, **more):
        base = images.ensure(BUSYBOX).read_bytes()
        own = (signed_by(layer, engine.key) for layer in layers)
        layout = Layout(layers=(base, *own), config=setting("config", "Cmd", to=["sleep", "3600"]), **more)
        name = engine.image_name()
        engine.cli("tag", pier.pull(layout.build()), name)
        return engine.run(name, "sleep", "3600")

    return launch


class Tools:
    """skopeo, umoci and buildah on a lab host of the test's own."""

    def __init__(self, host, engine):
        self._host = host
        self._engine = engine

    def __call__(self, *argv, **options):
        return run(argv, host=self._host, journal=self._engine.journal, timeout=120, **options)


@pytest.fixture
def tools(engine):
    """Call it with a command line of skopeo, umoci or buildah; files of the test's directory have the same path."""
    with labs.workbench("bookworm", engine.run_id, ("buildah", "gpg", "gpg-agent", "skopeo", "umoci")) as host:
        yield Tools(host, engine)


@pytest.fixture
def small_image(engine):
    """Call it with files to get the name of an image made of them."""

    def make(files):
        name = engine.image_name()
        engine.cli("import", "-", name, stdin=archive.tree(files))
        return name

    return make
