"""Bare runtimes: their containers' ends are learned from the kernel, and only what they can do is asked of them."""

import subprocess

import pytest

from seatrial.engines.runtime import RuntimeEngine
from seatrial.errors import SeatrialError
from seatrial.stress import over_runtime
from seatrial.stress.driver import SilentError
from seatrial.stress.profile import Activity, Profile
from seatrial.stress.run import fitted
from seatrial.targets import parse


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("exit 0", 0), ("kill -9 $$", 137)])
def test_the_end_of_a_child_is_told_as_a_shell_tells_it(script, code):
    process = subprocess.Popen(["sh", "-c", script])
    assert over_runtime.ended(process.pid, 10.0) == code
    process.returncode = code  # it was waited for


def test_a_child_that_goes_on_is_silence():
    process = subprocess.Popen(["sleep", "60"])
    with pytest.raises(SilentError, match="did not end within 0 s"):
        over_runtime.ended(process.pid, 0.05)
    process.kill()
    process.wait()


def test_a_process_that_is_none_is_silence():
    with pytest.raises(SilentError, match="No such process"):
        over_runtime.ended(2**22 + 1, 0.1)


ORPHAN = """\
import subprocess
from seatrial.stress import over_runtime
over_runtime.adopt()
pid = int(subprocess.run(["sh", "-c", "{ sleep 0.2; exit 5; } >/dev/null 2>&1 & echo $!"], capture_output=True).stdout)
print(over_runtime.ended(pid, 10.0))
"""


def test_an_orphan_is_taken_in_and_its_end_is_learned():
    import sys

    seen = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=60)
    assert seen.stdout == "5\n", seen.stderr


def profile(*kinds):
    return Profile("p", "", tuple(Activity(kind) for kind in kinds), judged=("exits", "events", "codes", "ports"))


def test_what_a_runtime_cannot_do_is_refused_and_what_it_cannot_tell_is_not_judged():
    engine = RuntimeEngine(parse("crun@sid"))
    with pytest.raises(SeatrialError, match="cannot do what the profile p asks for") as caught:
        fitted(profile("container", "build", "volume"), engine)
    assert caught.value.cause == "a runtime has no build, volume"
    found = fitted(profile("container", "hold", "exec"), engine)
    assert (found.driver, found.judged) == ("runtime", ("exits", "codes"))
