import pytest

from seatrial import archive
from seatrial.builder import Builder


@pytest.fixture(params=[0, pytest.param(1, marks=pytest.mark.requires("second_builder"))], ids=["default", "second"])
def builder(engine, request):
    """The builder that the engine uses by itself, and the other one where it has two."""
    return Builder(engine, engine.facts["builders"][request.param])


@pytest.fixture
def default_builder(engine):
    """The builder that the engine uses by itself."""
    return Builder(engine, engine.facts["builders"][0])


@pytest.fixture
def small_image(engine):
    """Call it with files and import's options to get the name of an image made of them."""

    def make(files, *options, name=""):
        name = name or engine.image_name()
        engine.cli("import", *options, "-", name, stdin=archive.tree(files))
        return name

    return make
