"""The library that leaves a file behind where it is loaded."""

import subprocess
import sys

from seatrial.security.marker import library


def test_it_is_loaded_and_leaves_its_file(tmp_path):
    made, path = tmp_path / "made", tmp_path / "marker.so"
    path.write_bytes(library(str(made)))
    subprocess.run(["cat", str(path)], check=True, capture_output=True)
    assert not made.exists(), "reading it loads nothing"
    script = f"import ctypes; ctypes.CDLL({str(path)!r})"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert made.read_bytes() == b""


def test_it_is_loaded_before_a_program(tmp_path):
    made, path = tmp_path / "a" / ("x" * 40), tmp_path / "marker.so"
    made.parent.mkdir()
    path.write_bytes(library(str(made)))
    ended = subprocess.run(["true"], env={"LD_PRELOAD": str(path)}, capture_output=True, text=True, check=True)
    assert (ended.stderr, made.exists()) == ("", True)
