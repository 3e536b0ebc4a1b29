"""What a runtime is and can do is asked of itself, and of a container of its own."""

from types import SimpleNamespace

import pytest

from seatrial import requires
from seatrial.engines.runtime import RuntimeEngine
from seatrial.oci.observe import Seen
from seatrial.targets import parse

OURS = "6c1b4b3e-0000-4000-8000-000000000001"
PROGRAM = """#!/bin/sh
case "$1 $2" in
"--version ") echo "runc version 1.1.5" ;;
"create --help") cat <<'END'
CREATE
END
;;
"exec --help") cat <<'END'
EXEC
END
;;
*) exit 1 ;;
esac
"""
# as urfave/cli, argp and Go's flag package print them
MANY = "   --bundle value, -b value  path\n   --preserve-fds value      Pass N\n"
ARGP = " -b, --bundle=DIR   container\n     --preserve-fds=N   pass\n"
FLAG = "  -bundle string\n    \tpath\n  -preserve-fds int\n"
FEW = "  -bundle string\n    \tpath, without --preserve-fds\n"
EXEC = "     --no-new-privs   set it\n"


@pytest.fixture
def runtime(tmp_path):
    """A runtime whose commands have this help."""
    def make(create="", exec_=""):
        program = tmp_path / "runc"
        program.write_text(PROGRAM.replace("CREATE\n", create).replace("EXEC\n", exec_))
        program.chmod(0o755)
        return RuntimeEngine(parse(f"runtime:{program}"))

    return make


def judged(engine, name):
    return requires.REQUIREMENTS[name].judge({"host": {}, "engine": engine.facts()})


@pytest.mark.parametrize("text", [MANY, ARGP, FLAG], ids=["urfave", "argp", "flag"])
def test_an_option_is_found_in_the_help(runtime, text):
    assert judged(runtime(text), "preserve_fds").holds
    assert "bundle" in runtime(text).facts()["commands"]["create"]


def test_an_option_that_the_help_only_speaks_of_is_none(runtime):
    outcome = judged(runtime(FEW, EXEC), "preserve_fds")
    assert (outcome.holds, outcome.reason) == (False, "its command `create` has no --preserve-fds")


def test_each_command_has_its_own_options(runtime):
    assert judged(runtime(FEW, EXEC), "exec_no_new_privs").holds
    assert not judged(runtime(MANY + EXEC), "exec_no_new_privs").holds


class Stub:
    """The bench of a runtime whose containers tell this boot id."""

    told = ""

    def __init__(self, *_):
        self.bundle = SimpleNamespace(sh=lambda _: None)

    def observe(self, _):
        return SimpleNamespace(seen=Seen({"files": {"/proc/sys/kernel/random/boot_id": self.told}}))

    def foreground(self, _):
        return SimpleNamespace(stdout=self.told)

    def on_host(self, *_):
        return SimpleNamespace(stdout=f"{OURS}\n")

    def close(self):
        return []


@pytest.mark.parametrize("hidden", ["", "a kernel of its own"], ids=["seen", "hidden"])
@pytest.mark.parametrize(("told", "holds"), [(f"{OURS}\n", True), (OURS.replace("1", "2"), False), ("", False)],
                         ids=["same", "other", "none"])  # fmt: skip
def test_the_kernel_is_told_by_its_boot(runtime, monkeypatch, told, holds, hidden):
    monkeypatch.setattr("seatrial.oci.bench.Runtime", type("Told", (Stub,), {"told": told}))
    engine = runtime()
    monkeypatch.setattr(type(engine.host), "hidden", hidden, raising=False)
    engine.make_ready("run", "")
    outcome = judged(engine, "host_kernel")
    assert outcome.holds is holds
    assert holds or "a kernel of their own" in outcome.reason


def test_a_kernel_that_was_not_looked_at_is_not_the_hosts(runtime):
    outcome = judged(runtime(), "host_kernel")
    assert not outcome.holds
    assert "not probed" in outcome.reason
