"""All checks of an audit, in the order of their report."""

from __future__ import annotations

from seatrial.audit.checks import containers, daemon, files, host, images, podman, swarm
from seatrial.audit.model import Check

CHECKS: tuple[Check, ...] = (
    *host.CHECKS, *daemon.CHECKS, *podman.CHECKS, *files.CHECKS, *images.CHECKS, *containers.CHECKS, *swarm.CHECKS,
)  # fmt: skip
