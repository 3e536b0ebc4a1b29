import pytest


def pytest_itemcollected(item):
    item.add_marker(pytest.mark.requires("api"))


@pytest.fixture
def api(engine):
    """The engine's HTTP interface; see `seatrial.api.bound`."""
    return engine.api
