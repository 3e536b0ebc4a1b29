"""Check a driver: subclass `EngineContract`, give it your driver, and run pytest.

    from seatrial.testkit import EngineContract

    class TestMyEngine(EngineContract):
        @pytest.fixture(scope="class")
        @classmethod
        def engine(cls):
            return MyEngine(Target("mine"))

Every test is one part of the required protocol of `seatrial.engines.base`. The tests make containers,
networks, volumes and images of their own, with labels, and remove them.
"""

# ruff: noqa: S101 - the tests of others: they assert
from __future__ import annotations

import io
import json
import re
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from seatrial import requires
from seatrial.engines.base import KINDS, CliEngine
from seatrial.errors import SeatrialError
from seatrial.exec import ANY, FAILURE, ExpectationError, Journal, Result
from seatrial.names import BUSYBOX
from seatrial.probes import machine

_FULL_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")
# facts that the harness adds itself, about how the engine is reached and what its client has (see `capabilities`)
_REACH = {"kind", "local", "api", "api_oldest", "api_newest", "lab", "private", "private_engine", "project_quota",
          "registry", "fuse_overlayfs", "service", "exec", "plugin_protocol", "links", "client_settings"}


class EngineContract:
    """What every driver must do. Override `engine`, and `image` where the harness's own cannot be made."""

    # seconds that one command of the engine may take at most
    deadline: float = 60.0

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> CliEngine:
        """Return the driver under test; override this."""
        raise NotImplementedError("override the fixture `engine`")

    @pytest.fixture(scope="class")
    @classmethod
    def image(cls, engine: CliEngine) -> str:
        """Return an image that has `sh`, `cat` and `sleep`."""
        from seatrial.lab import images

        images.provide(engine)
        return BUSYBOX

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def answering(cls, engine: CliEngine) -> None:
        """See once that the engine answers: without it each test would wait for its own timeout."""
        assert engine.trouble() == ""

    @pytest.fixture
    def mark(self, engine: CliEngine) -> Iterator[str]:
        """Return a name that is valid for every object and, as the label KEY=NAME, finds them again."""
        name = f"seatrial-contract-{secrets.token_hex(4)}"
        yield name
        for kind in KINDS:
            engine.remove(kind, engine.find(kind, label(name)))

    @pytest.fixture
    def make(self, engine: CliEngine, image: str, mark: str, tmp_path: Path) -> Callable[[str], str]:
        """Return a function that makes a labelled object of a kind and returns its name."""

        def made(kind: str) -> str:
            if kind == "image":
                archive = root_file_system(tmp_path / "root.tar")
                engine.import_image(archive, f"localhost/{mark}:latest", [f"LABEL {label(mark)}"])
                return f"localhost/{mark}:latest"
            if kind == "container":
                words = ["create", "--name", mark, "--label", label(mark), image, "true"]
            else:
                words = [kind, "create", "--label", label(mark), mark]
            engine.cli(*words, timeout=self.deadline)
            return mark

        return made

    # -- who it is -----------------------------------------------------------------------------

    def test_version_says_what_the_binary_says(self, engine: CliEngine) -> None:
        """`version` has an engine and a client, and the client is the one of `--version`."""
        version = engine.version()
        assert re.match(r"\d+\.\d+", version.engine)
        assert re.match(r"\d+\.\d+", version.client)
        printed = engine.cli("--version", timeout=self.deadline).text
        assert re.search(rf"\b{re.escape(version.client)}\b", printed), printed
        assert engine.version() == version

    def test_identity_is_the_drivers_engine(self, engine: CliEngine) -> None:
        """The engine that answers is the one that the driver is for."""
        assert engine.facts().get("identity", engine.name) == engine.name
        assert engine.name == engine.target.engine
        assert engine.version().engine

    def test_facts_have_all_that_requirements_read(self, engine: CliEngine) -> None:
        """No requirement is left unjudged for want of a fact."""
        facts = {**engine.facts(), **dict.fromkeys(_REACH, "")}
        judged = {
            name: requirement.judge({"host": _this_machine(), "engine": facts}).reason
            for name, requirement in requires.REQUIREMENTS.items()
        }
        assert {name: reason for name, reason in judged.items() if "not probed" in reason} == {}

    def test_facts_are_well_formed(self, engine: CliEngine) -> None:
        """Facts go into reports as JSON and are compared by requirements."""
        facts = engine.facts()
        json.dumps(facts)
        assert facts["os"]
        assert facts["architecture"]
        assert facts["storage"]
        assert facts["cgroup"] in ("v1", "v2")
        assert facts["runtime"] in facts["runtimes"]
        assert all(isinstance(value, bool) for value in facts["limits"].values())

    # -- commands ------------------------------------------------------------------------------

    def test_run_gives_both_streams_and_the_exit_code(self, engine: CliEngine, image: str) -> None:
        """A command's output and exit code come back as they were."""
        script = "echo to-out; echo to-err >&2; exit 3"
        result = engine.cli("run", "--rm", image, "sh", "-c", script, expect=ANY, timeout=self.deadline)
        assert result.code == 3
        assert result.text == "to-out"
        assert result.stderr.strip() == "to-err"
        assert result.duration > 0

    def test_standard_input_arrives(self, engine: CliEngine, image: str) -> None:
        """What is given as stdin is what the command reads."""
        text = "one\ntwo\n"
        assert engine.cli("run", "--rm", "-i", image, "cat", stdin=text, timeout=self.deadline).stdout == text

    @pytest.mark.parametrize(
        ("code", "expectation"),
        [
            pytest.param(3, {}, id="code"),
            pytest.param(0, {"expect": 3}, id="other-code"),
            pytest.param(0, {"expect": FAILURE}, id="failure"),
            pytest.param(0, {"stdout": "^never$"}, id="stdout"),
            pytest.param(0, {"stderr": "^never$"}, id="stderr"),
        ],
    )
    def test_a_missed_expectation_is_an_error(
        self, engine: CliEngine, image: str, code: int, expectation: dict[str, Any]
    ) -> None:
        """The error shows the command and what it printed."""
        command = ("run", "--rm", image, "sh", "-c", f"echo seen; exit {code}")
        with pytest.raises(ExpectationError) as caught:
            engine.cli(*command, timeout=self.deadline, **expectation)
        assert "stdout| seen" in str(caught.value)
        assert f"exit {code}" in str(caught.value)

    def test_a_met_expectation_is_none(self, engine: CliEngine, image: str) -> None:
        """The same expectations hold where they are met."""
        command = ("run", "--rm", image, "sh", "-c", "echo seen; echo told >&2; exit 3")
        for expect in (3, {2, 3}, FAILURE, ANY):
            engine.cli(*command, expect=expect, stdout="^seen$", stderr="^told$", timeout=self.deadline)

    def test_a_timeout_ends_the_command(self, engine: CliEngine, image: str, mark: str) -> None:
        """A command that does not end in time is killed and told so."""
        began = time.monotonic()
        with pytest.raises(ExpectationError, match="did not end within"):
            engine.cli("run", "--name", mark, "--label", label(mark), image, "sleep", "120", timeout=3)
        assert time.monotonic() - began < 60
        assert engine.find("container", label(mark)), "the container was never made"

    def test_the_journal_has_every_call(self, engine: CliEngine, image: str) -> None:
        """Calls are noted in order, failed ones too, and can be repeated from the script."""
        journal = Journal()
        engine.cli("run", "--rm", image, "sh", "-c", "exit 0", journal=journal, timeout=self.deadline)
        with pytest.raises(ExpectationError):
            engine.cli("run", "--rm", image, "sh", "-c", "exit 4", journal=journal, timeout=self.deadline)
        assert [call.result.code for call in journal.calls if isinstance(call.result, Result)] == [0, 4]
        assert [call.argv[-1] for call in journal.calls] == ["exit 0", "exit 4"]
        assert "exit 4" in journal.repro()

    def test_talking_to_a_command(self, engine: CliEngine, image: str) -> None:
        """A command that runs can be written to, read from, and ended."""
        with engine.spawn("run", "--rm", "-i", image, "cat") as talk:
            talk.send("hello\n")
            assert talk.wait_for("hello", timeout=self.deadline) == "hello"
            talk.close_stdin()
            talk.wait(expect=0, timeout=self.deadline)

    def test_a_dead_engine_is_trouble(self, engine: CliEngine) -> None:
        """An engine that cannot be asked is told in words, never by an exception."""
        dead = type(engine)(engine.target, engine.host, env=engine.env)
        dead.binary = "/seatrial/no/such/engine"  # of this instance alone
        assert dead.trouble()

    @pytest.mark.parametrize("kind", KINDS)
    def test_errors_are_worded_as_the_dialect_says(self, engine: CliEngine, kind: str) -> None:
        """The dialect recognises the engine's message for an unknown object."""
        result = engine.cli(kind, "inspect", "seatrial-no-such-object", expect=FAILURE, timeout=self.deadline)
        assert re.search(engine.dialect.says[f"no_such_{kind}"], result.stderr, re.IGNORECASE), result

    # -- objects -------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", KINDS)
    def test_inspect_describes_by_name_and_by_id(
        self, engine: CliEngine, make: Callable[[str], str], mark: str, kind: str
    ) -> None:
        """Both ways lead to the same object."""
        name = make(kind)
        (found,) = engine.find(kind, label(mark))
        described = engine.inspect(name, kind)
        assert described
        assert engine.inspect(found, kind) == described

    @pytest.mark.parametrize("kind", KINDS)
    def test_inspect_of_an_unknown_object_is_an_error(self, engine: CliEngine, kind: str) -> None:
        """Unknown is not the same as empty."""
        with pytest.raises(ExpectationError):
            engine.inspect("seatrial-no-such-object", kind)

    @pytest.mark.parametrize("kind", KINDS)
    def test_find_by_label(self, engine: CliEngine, make: Callable[[str], str], mark: str, kind: str) -> None:
        """A label finds what carries it and nothing else; ids are whole."""
        assert engine.find(kind, label(mark)) == []
        make(kind)
        found = engine.find(kind, label(mark))
        assert len(found) == 1
        assert kind == "volume" or _FULL_ID.fullmatch(found[0]), found
        assert set(found) <= set(engine.find(kind))
        assert engine.find(kind, f"{label(mark)}-other") == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_remove(self, engine: CliEngine, make: Callable[[str], str], mark: str, kind: str) -> None:
        """What was removed is gone, and removing it again is no error."""
        name = make(kind)
        engine.remove(kind, [name])
        assert engine.find(kind, label(mark)) == []
        engine.remove(kind, [name])

    @pytest.mark.parametrize("kind", KINDS)
    def test_removing_unknown_things_removes_the_known_ones(
        self, engine: CliEngine, make: Callable[[str], str], mark: str, kind: str
    ) -> None:
        """An unknown name among others stops nothing; no names at all are no command."""
        journal = Journal()
        engine.remove(kind, [], journal=journal)
        assert journal.calls == []
        engine.remove(kind, ["seatrial-no-such-object", make(kind)], journal=journal)
        assert journal.calls
        assert engine.find(kind, label(mark)) == []

    def test_removing_a_running_container(self, engine: CliEngine, image: str, mark: str) -> None:
        """It is ended at once, and its anonymous volumes go with it."""
        options = ["--name", mark, "--label", label(mark), "-v", "/data", "--stop-timeout", "60"]
        engine.cli("run", "-d", *options, image, "sleep", "600", timeout=self.deadline)
        (volume,) = [mount["Name"] for mount in engine.inspect(mark)["Mounts"] if mount["Type"] == "volume"]
        assert volume in engine.find("volume")
        began = time.monotonic()
        engine.remove("container", [mark])
        assert time.monotonic() - began < 45, "it waited for the container to stop by itself"
        assert engine.find("container", label(mark)) == []
        assert volume not in engine.find("volume")

    def test_import_image_keeps_its_configuration(self, engine: CliEngine, mark: str, tmp_path: Path) -> None:
        """A root file system becomes an image with the given name and changes."""
        name = f"localhost/{mark}:latest"
        changes = [f"LABEL {label(mark)}", 'CMD ["/hello", "world"]', "ENV GREETING=hello"]
        engine.import_image(root_file_system(tmp_path / "root.tar"), name, changes)
        config = engine.inspect(name, "image")["Config"]
        assert config["Cmd"] == ["/hello", "world"]
        assert "GREETING=hello" in config["Env"]
        assert config["Labels"] == {"seatrial.contract": mark}

    def test_import_of_something_else_is_an_error(self, engine: CliEngine, mark: str, tmp_path: Path) -> None:
        """What is no archive does not become an image."""
        broken = tmp_path / "broken.tar"
        broken.write_bytes(b"no archive" * 1000)
        with pytest.raises((ExpectationError, SeatrialError)):
            engine.import_image(broken, f"localhost/{mark}:latest", [f"LABEL {label(mark)}"])
        assert engine.find("image", label(mark)) == []


@cache
def _this_machine() -> dict[str, Any]:
    """Return the facts about this machine, without asking the network: what is asked about here are the engine's."""
    return machine.facts("http://127.0.0.1:9")


def label(mark: str) -> str:
    """Return the label that everything of one test carries."""
    return f"seatrial.contract={mark}"


def root_file_system(path: Path) -> Path:
    """Write an archive with one file, `/hello`."""
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("hello")
        member.size = 6
        archive.addfile(member, io.BytesIO(b"world\n"))
    return path
