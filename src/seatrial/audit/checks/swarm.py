"""Swarm mode (CIS sections 5.1 and 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from seatrial.audit.model import Check, Outcome, Severity, absent, failed, manual, passed, unseen
from seatrial.audit.scene import Scene


def _swarm(scene: Scene) -> Mapping[str, Any]:
    found: Mapping[str, Any] = scene.info.get("Swarm") or {}
    return found


def _active(scene: Scene) -> bool:
    return bool(_swarm(scene).get("LocalNodeState") == "active")


def _inactive(scene: Scene) -> Outcome:
    if _active(scene):
        return failed("the node is part of a swarm: is it needed?")
    return passed("the node is in no swarm")


def _managed(judge: Callable[[Scene], Outcome], scene: Scene) -> Outcome:
    if not _active(scene):
        return absent("the node is in no swarm")
    if not _swarm(scene).get("ControlAvailable"):
        return unseen("only a manager knows")
    return judge(scene)


def _managers(scene: Scene) -> Outcome:
    count = int(_swarm(scene).get("Managers") or 0)
    if count in (1, 3, 5, 7):
        return passed(f"{count} managers")
    return failed(f"{count} managers: an even number adds what can fail and no vote, more than 7 slow the swarm down")


def _address(scene: Scene) -> Outcome:
    address = str(_swarm(scene).get("NodeAddr") or "")
    return manual("traffic of the management goes here; is it a network of its own?", [address])


def _encrypted(scene: Scene) -> Outcome:
    plain = [str(one.get("Name")) for one in scene.networks
             if one.get("Driver") == "overlay" and not one.get("Ingress")
             and "encrypted" not in (one.get("Options") or {})]  # fmt: skip
    if plain:
        return failed("overlay networks are not encrypted", plain)
    return passed("every overlay network is encrypted")


def _locked(scene: Scene) -> Outcome:
    spec = ((_swarm(scene).get("Cluster") or {}).get("Spec") or {}).get("EncryptionConfig") or {}
    if spec.get("AutoLockManagers"):
        return passed("a manager that starts needs the unlock key")
    return failed("the keys of the swarm lie on the manager's disk in plain text")


def _secrets(scene: Scene) -> Outcome:
    with_secret = [str((one.get("Spec") or {}).get("Name")) for one in scene.services
                   if any(_looks_secret(pair) for pair in _environment(one))]  # fmt: skip
    if with_secret:
        return manual("services have in their environment what looks like a secret", with_secret)
    return manual("no service has in its environment what looks like a secret")


def _environment(service: Mapping[str, Any]) -> list[str]:
    task = ((service.get("Spec") or {}).get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return [str(pair) for pair in task.get("Env") or []]


def _looks_secret(pair: str) -> bool:
    name = pair.partition("=")[0].lower()
    return any(word in name for word in ("password", "passwd", "secret", "token", "private_key", "api_key"))


def _by_hand(detail: str, _: Scene) -> Outcome:
    return manual(detail)


def _rotation(scene: Scene) -> Outcome:
    info = ((_swarm(scene).get("Cluster") or {}).get("Spec") or {}).get("CAConfig") or {}
    days = int(info.get("NodeCertExpiry") or 0) / 86400e9
    return manual(f"certificates of nodes hold for {days:.0f} days")


CHECKS = (
    Check("swarm-inactive", "swarm", "No swarm where none is needed", _inactive, Severity.LOW,
          "docker swarm leave --force", cis="5.1"),
    Check("swarm-managers", "swarm", "The number of managers is odd and small", partial(_managed, _managers),
          Severity.LOW, "docker node demote NODE", cis="7.1"),
    Check("swarm-address", "swarm", "The management is on an address of its own", partial(_managed, _address),
          Severity.MEDIUM, "docker swarm init --advertise-addr ADDRESS --listen-addr ADDRESS", scored=False, cis="7.2"),
    Check("swarm-encrypted", "swarm", "Overlay networks are encrypted", partial(_managed, _encrypted),
          Severity.MEDIUM, "docker network create --driver overlay --opt encrypted NAME", cis="7.3"),
    Check("swarm-secrets", "swarm", "Secrets are kept as secrets", partial(_managed, _secrets), Severity.MEDIUM,
          "docker secret create NAME FILE", level=2, scored=False, cis="7.4"),
    Check("swarm-locked", "swarm", "Managers are locked when they start", partial(_managed, _locked), Severity.MEDIUM,
          "docker swarm update --autolock", cis="7.5"),
    Check("swarm-key-rotation", "swarm", "The unlock key is rotated",
          partial(_managed, partial(_by_hand, "when was the unlock key rotated?")), Severity.LOW,
          "docker swarm unlock-key --rotate", scored=False, cis="7.6"),
    Check("swarm-certificates", "swarm", "Certificates of nodes are rotated", partial(_managed, _rotation),
          Severity.LOW, "docker swarm update --cert-expiry 48h", level=2, scored=False, cis="7.7"),
    Check("swarm-ca", "swarm", "The certificate of the CA is rotated",
          partial(_managed, partial(_by_hand, "when was the CA rotated?")), Severity.LOW,
          "docker swarm ca --rotate", level=2, scored=False, cis="7.8"),
    Check("swarm-data-plane", "swarm", "Management and data have networks of their own",
          partial(_managed, partial(_by_hand, "does --data-path-addr name another network?")), Severity.LOW,
          "docker swarm init --data-path-addr ADDRESS", level=2, scored=False, cis="7.9"),
)  # fmt: skip
