import pytest


def pytest_itemcollected(item):
    """Measurements have the machine to themselves and take their time."""
    item.add_marker(pytest.mark.exclusive(scope="machine"))
    item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture
def box(engine, toolbox):
    """A container that has the measuring programs, a volume, a bind mount and a tmpfs, and sleeps."""
    for place in ("bind", "beside"):
        (engine.workdir / place).mkdir()
    return engine.run(
        "--volume", f"{engine.volume()}:/volume", "--volume", f"{engine.workdir / 'bind'}:/bind",
        "--tmpfs", "/tmpfs:size=256m", toolbox, "sh", "-c", "mkdir /layer; exec sleep 36000",
    )  # fmt: skip
