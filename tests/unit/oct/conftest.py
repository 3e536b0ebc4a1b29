import importlib.util
import sys
from pathlib import Path

import pytest

from seatrial.oct import validate as validation

# pytest runs with --import-mode=importlib, so the samples beside the tests are loaded by their path
_spec = importlib.util.spec_from_file_location("seatrial_oct_samples", Path(__file__).with_name("samples.py"))
_samples = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _samples
_spec.loader.exec_module(_samples)


@pytest.fixture
def samples():
    """The module with small cases of every dialect."""
    return _samples


@pytest.fixture
def bundle(tmp_path):
    """Call it with changes of the sample case and with files to get a bundle's directory."""

    def make(changes=None, files=None, directory="bundle", raw=None):
        root = tmp_path / directory
        (root / "source").mkdir(parents=True)
        for name, content in (files or {}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
            (root / name).chmod(0o755 if content.startswith("#!") else 0o644)
        data = raw if raw is not None else _samples.text(_samples.case(**(changes or {})))
        (root / "case.json").write_bytes(data if isinstance(data, bytes) else data.encode())
        return root

    return make


@pytest.fixture
def diagnose(bundle):
    """Call it like `bundle` to get the diagnostics of what it makes."""

    def check(*args, **options):
        (report,) = validation.validate([bundle(*args, **options)])
        return report.diagnostics

    return check
