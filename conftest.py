"""Registers the plugin when the package is not installed; nothing else."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("seatrial") is None:
    sys.path.insert(0, str(Path(__file__).parent / "src"))
    pytest_plugins = ["seatrial.plugin"]
