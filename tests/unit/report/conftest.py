import importlib.util
from pathlib import Path

import pytest

# pytest runs with --import-mode=importlib, so the sample beside the tests is loaded by its path
_path = Path(__file__).with_name("sample.py")
_spec = importlib.util.spec_from_file_location("seatrial_report_sample", _path)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def sample():
    """The module that makes sample runs."""
    return _module


@pytest.fixture
def run_dir(sample, tmp_path):
    """A run of two targets with every kind of verdict but UNKNOWN."""
    return sample.sample(tmp_path / "run", ["docker@sid", "podman@trixie"])
