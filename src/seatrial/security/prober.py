"""The probe in an engine's containers: requests go in at once, answers come back one a request."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from seatrial.bench import Bench
from seatrial.container import Container
from seatrial.exec import ANY, ExpectationError
from seatrial.names import PROBE as IMAGE
from seatrial.oci.observe import name_of
from seatrial.oci.probing import Answers, Request, answers, requests
from seatrial.oci.rootfs import PERL, PROBE
from seatrial.probes import entry32
from seatrial.security.syscalls import BREAKING, LAST


class Prober:
    """Asks the probe in containers of one bench; its image is in the engine."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.image = IMAGE

    def ask(self, *options: str, acts: Sequence[Request] = (), expect: int | None = 0,
            command: Sequence[str] = (PERL, PROBE), timeout: float = 60.0) -> Answers:  # fmt: skip
        """Have the probe of a fresh container do something; `options` are those of `run`."""
        nonce, lines = secrets.token_hex(8), requests(acts)
        result = self.bench.once(
            "--interactive", *options, self.image, *command, nonce, stdin=lines, expect=expect, timeout=timeout,
        )  # fmt: skip
        return answers(result.stdout, nonce, len(acts))

    def start(self, *options: str) -> Container:
        """Start a container of the probe's image that sleeps."""
        return self.bench.run(*options, self.image, "sleep", "3600")

    def inside(self, container: Container, *options: str, acts: Sequence[Request] = ()) -> Answers:
        """Have a probe that `exec` starts in a running container do something; `options` are those of `exec`."""
        nonce, lines = secrets.token_hex(8), requests(acts)
        result = self.bench.cli(
            "exec", "--interactive", *options, container.name, PERL, PROBE, nonce, stdin=lines,
        )  # fmt: skip
        return answers(result.stdout, nonce, len(acts))

    def fates(self, *options: str, calls: Mapping[str, Request]) -> dict[str, str]:
        """Make system calls, each in a child of its own in a fresh container; by name, what became of each."""
        values = self.ask(*options, acts=[("fate", *call) for call in calls.values()]).values
        return dict(zip(calls, map(fate, values), strict=True))

    def fates_i386(self, *options: str, calls: Mapping[str, entry32.Call]) -> dict[str, str]:
        """Make system calls by the 32-bit entry, each in a child of its own; by name, what became of each."""
        path = self.bench.workdir / f"entry32-{secrets.token_hex(4)}"
        path.write_bytes(entry32.program(list(calls.values())))
        path.chmod(0o755)
        made = self.bench.once("--volume", f"{path}:/entry32:ro", *options, self.image, "/entry32", expect=ANY)
        try:
            return dict(zip(calls, entry32.fates(made.out, len(calls)), strict=True))
        except ValueError as error:
            raise ExpectationError(f"the 32-bit program did not come to its end: {error}\n{made}") from error

    def chain(self, *options: str, calls: Sequence[Request]) -> list[str]:
        """Make system calls one after another in one child; "$0" among the words is what the first returned."""
        words: list[str | int | bytes] = []
        for call in calls:
            words += [";", *call] if words else call
        value = self.ask(*options, acts=[("chain", *words)]).values[0]
        return [name_of(error) for error in value["errors"]]

    def call_table(self, *options: str) -> dict[int, str]:
        """Try every system call of the machine in a fresh container; number to what became of it.

        That is "ok", an error's name, "signal N", "ended" or "hung". Calls that would break the probe are left out.
        """
        left_out = sorted(BREAKING)
        value = self.ask(*options, acts=[("calls", 0, LAST, *left_out)], timeout=120.0).values[0]
        return {int(number): fate(words) for number, words in value.items()}


def fate(words: Sequence[str]) -> str:
    """Return in a word what the probe says became of a system call."""
    if words[0] in ("ended", "hung"):
        return words[0]
    if words[0] in ("pipe", "fork"):
        raise ExpectationError(f"the probe could not try a call: no {words[0]}: {name_of(words[1])}")
    return f"signal {words[1]}" if words[0] == "signal" else name_of(words[0])
