"""Who may speak to a cluster: this machine alone, or whoever has a certificate of its authority.

What speaks to a scheduler or to a worker has it run code. So beyond loopback both sides show a certificate that the
same authority has signed.
"""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.errors import SeatrialError, not_installed
from seatrial.listening import Address

if TYPE_CHECKING:
    from distributed import Security

FILES = ("ca.pem", "cert.pem", "key.pem")
_MAKE = "seatrial oct keys DIR makes them; copy DIR to each host"


@dataclass(frozen=True)
class Place:
    """An address of a cluster with what is trusted there; `keys` is a directory with `FILES`, None on loopback."""

    address: Address
    keys: Path | None = None

    @classmethod
    def parse(cls, text: str, keys: Path | None) -> Place:
        """Read HOST:PORT, perhaps with tcp:// or tls:// before it.

        Raises `SeatrialError` E644 and E717 for what is no address, E713 for one beyond loopback without keys, E714
        for keys that cannot be used.
        """
        address = Address.parse(text.rpartition("://")[2])
        if address.path or not address.host:
            raise SeatrialError("E717", f"{text!r} is no address of a cluster", "it has no host", "name HOST:PORT")
        if keys is None and not address.private:
            raise SeatrialError(
                "E713", f"{address} can be reached from outside, and nothing says who may speak there",
                "whoever speaks to a cluster has it run commands", f"--tls DIR with {', '.join(FILES)}: {_MAKE}",
            )  # fmt: skip
        if keys is not None:
            _check(keys)
        return cls(address, keys)

    @property
    def protocol(self) -> str:
        """How it is spoken to."""
        return "tcp" if self.keys is None else "tls"

    def __str__(self) -> str:
        return f"{self.protocol}://{self.address}"

    @property
    def security(self) -> Security:
        """What Dask is told of trust."""
        distributed()
        from distributed import Security

        if self.keys is None:
            return Security(require_encryption=False)
        ca, cert, key = (str(self.keys.absolute() / name) for name in FILES)
        return Security(
            require_encryption=True, tls_ca_file=ca, tls_scheduler_cert=cert, tls_scheduler_key=key,
            tls_worker_cert=cert, tls_worker_key=key, tls_client_cert=cert, tls_client_key=key,
        )  # fmt: skip


def _check(keys: Path) -> None:
    ca, cert, key = (keys / name for name in FILES)
    try:
        mode = key.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"others may read {key}: chmod 600")
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        cause = f"{where}{getattr(error, 'strerror', None) or error}"
        raise SeatrialError("E714", f"the keys in {keys} cannot be used", cause, _MAKE) from error


def make(directory: Path) -> list[Path]:
    """Make an authority and one certificate of it that all of a cluster share; raises `SeatrialError` E718."""
    import trustme

    authority = trustme.CA(organization_name="seatrial oct")
    issued = authority.issue_cert("seatrial-oct")
    texts = (authority.cert_pem.bytes(), issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes())
    made = [directory / name for name in FILES]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in zip(made, texts, strict=True):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(text)
    except OSError as error:
        raise SeatrialError(
            "E718", f"keys cannot be made in {directory}", f"{error.filename}: {error.strerror}",
            "name a directory without keys: those that are in use are never written over",
        ) from error  # fmt: skip
    return made


def distributed() -> None:
    """Raise `SeatrialError` E509 when Dask's distributed is not installed."""
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        hint = "pip install 'seatrial[cluster]'"
        raise not_installed("running cases across machines", error.name or "distributed", hint) from error
