"""One of an engine's builders, and the images that a test makes with it.

An engine may have several (Docker's of old and BuildKit). A test states its expectation once; what
builders do differently by design stands in the dialect as a trait with one value for each builder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatrial.bench import Bench
from seatrial.conversation import Conversation
from seatrial.exec import FAILURE, Expect, ExpectationError, Result, Stdin, check

Files = Mapping[str, str | bytes]
_STEP_IMAGE = re.compile(r"^ ?-{2,3}> ([0-9a-f]{11,12})$", re.MULTILINE)


class Builder:
    """`build` of one engine with one of its builders: "legacy", "buildkit" or "buildah"."""

    def __init__(self, bench: Bench, kind: str) -> None:
        self.bench = bench
        self.kind = kind
        self.env = bench.raw.builders.get(kind, {})

    def trait(self, name: str) -> Any:
        """Return what this builder does, by design, where builders differ."""
        value = self.bench.trait(name)
        return value[self.kind] if isinstance(value, Mapping) else value

    def build(self, dockerfile: str, files: Files | None = None, *options: str, cached: bool = False,
              **settings: Any) -> Image:  # fmt: skip
        """Build an image from a Dockerfile's text and its context.

        `FROM IMAGE` stands for the test image. Unless `cached`, no step is taken from the cache: it
        outlives tests and would answer for the engine.
        """
        context = self.bench.context({"Dockerfile": dockerfile, **(files or {})})
        return self.build_from(str(context), *options, cached=cached, **settings)

    def build_from(self, context: str, *options: str, cached: bool = False, name: str = "",
                   **settings: Any) -> Image:  # fmt: skip
        """Build an image from a context as the command line names it: a directory, `-`, or a URL."""
        name = name or self.bench.image_name()
        result = self.cli("--tag", name, *options, context, cached=cached, **settings)
        return Image(self.bench, name, result)

    def refuses(self, dockerfile: str, files: Files | None = None, *options: str, says: str,
                **settings: Any) -> Result:  # fmt: skip
        """Build what must fail: no image, and a message that `says` (as in `Bench.fails`) describes."""
        context = self.bench.context({"Dockerfile": dockerfile, **(files or {})})
        return self.refuses_from(str(context), *options, says=says, **settings)

    def refuses_from(self, context: str, *options: str, says: str, **settings: Any) -> Result:
        """As `refuses`, from a context as the command line names it."""
        name = self.bench.image_name()
        result = self.cli("--tag", name, *options, context, **{"expect": FAILURE, **settings})
        self.bench.refused(result, says)
        if self.bench.exists(name, "image"):
            raise ExpectationError(f"the refused build left an image\n{result}")
        return result

    def cli(self, *words: str, cached: bool = False, expect: Expect = 0, timeout: float = 120.0,
            env: Mapping[str, str] | None = None, cwd: Path | str | None = None,
            stdin: Stdin = None) -> Result:  # fmt: skip
        """Run `build` with this builder; what its steps leave as images of their own goes after the test."""
        result = self.bench.cli(
            "build", *([] if cached else ["--no-cache"]), *words, expect=None, timeout=timeout, stdin=stdin,
            env={**self.env, **(env or {})}, cwd=cwd,
        )  # fmt: skip
        self._adopt(result)
        return check(result, expect)

    def spawn(self, *words: str) -> Conversation:
        """Start a build and talk to it."""
        return self.bench.spawn("build", "--no-cache", *words, env=self.env)

    def _adopt(self, result: Result) -> None:
        steps = set(_STEP_IMAGE.findall(result.stdout))
        if steps:
            base = self.bench.inspect(self.bench.image, "image")["Id"].removeprefix("sha256:")
            self.bench.track("image", *(step for step in steps if not base.startswith(step)))


class Image:
    """A built image: its name, and what the build said."""

    def __init__(self, bench: Bench, name: str, result: Result) -> None:
        self.bench = bench
        self.name = name
        self.result = result

    def __str__(self) -> str:
        return self.name

    @property
    def output(self) -> str:
        """All that the build printed, wherever the builder prints it."""
        return self.result.output

    def inspect(self) -> dict[str, Any]:
        """Return the engine's description of the image."""
        return self.bench.inspect(self.name, "image")

    @property
    def config(self) -> dict[str, Any]:
        """The `Config` part of the description."""
        config: dict[str, Any] = self.inspect()["Config"]
        return config

    @property
    def layers(self) -> list[str]:
        """The digests of the image's layers, lowest first."""
        layers: list[str] = self.inspect()["RootFS"]["Layers"]
        return layers

    def run(self, *command: str, options: tuple[str, ...] = (), **settings: Any) -> Result:
        """Run the image in the foreground with a command in place of its own."""
        return self.bench.once(*options, self.name, *command, **settings)

    def sh(self, script: str, *options: str, **settings: Any) -> str:
        """Run a shell script in the image, whatever its entry point, and return its output."""
        return self.bench.once(
            *options, "--entrypoint", "sh", self.name, "-c", script, **settings
        ).text  # fmt: skip
