"""What a driver offers besides when the harness can start its engine itself, in a lab or for one test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from seatrial.hosts import NamespaceHost
from seatrial.lab import daemon as daemons
from seatrial.lab.daemon import Daemon


@dataclass(frozen=True)
class Wishes:
    """What is wanted of an engine that is started; what is empty, its driver chooses."""

    options: Sequence[str] = ()  # of the daemon's command line
    config: Mapping[str, Any] = field(default_factory=dict)  # of the daemon's configuration file
    runtime: str = ""
    storage: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


class Startable(ABC):
    """A driver's class derives from this as well as from `CliEngine`."""

    # the program that has to be there to be started
    service: ClassVar[str]
    # whether it is a daemon with options, a configuration and an environment of its own
    takes_options: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def packages(cls, suite: str) -> Sequence[str]:
        """Return the engine's packages in a Debian suite; none where there is no lab of it."""

    @classmethod
    @abstractmethod
    def daemon(cls, host: NamespaceHost, log: Path, wishes: Wishes) -> Daemon:
        """Write the engine's configuration into a host and describe the process that serves its API.

        Wishes that are no strings are empty unless the engine `takes_options`.
        """

    @classmethod
    def use_registries(cls, host: NamespaceHost, insecure: Sequence[str], mirrors: Sequence[str]) -> None:
        """Write into a host which registries are taken without TLS and which are asked before Docker Hub.

        Both are HOST:PORT; a mirror speaks plain HTTP. An engine that runs already need not notice.
        """
        raise NotImplementedError(f"{cls.__name__} does not say how registries are configured")

    @classmethod
    def answers(cls, socket: Path, timeout: float = 2.0) -> bool:
        """Tell whether the engine answers on its socket; by default as Docker's API does."""
        return daemons.answers(socket, timeout)
