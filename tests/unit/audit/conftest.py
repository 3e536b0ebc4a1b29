import importlib.util
import sys
from pathlib import Path

import pytest

# pytest runs with --import-mode=importlib, so what stands beside the tests is loaded by its path
_spec = importlib.util.spec_from_file_location("seatrial_audit_scenes", Path(__file__).with_name("scenes.py"))
_scenes = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _scenes
_spec.loader.exec_module(_scenes)


@pytest.fixture
def scenes():
    """The module that makes and reads scenes."""
    return _scenes
