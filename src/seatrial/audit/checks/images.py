"""Images: whom they run as, where they come from, what they carry (CIS section 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.audit.model import Check, Outcome, Severity, absent, failed, manual, passed
from seatrial.audit.scene import Scene

BOTH = ("docker", "podman")
_SECRET = re.compile(r"(?i)\b[\w-]*(passw(or)?d|passphrase|secret|api_?key|private_?key|access_?key|token)[\w-]*=\S+")
_UPDATE = re.compile(r"\b(apt-get|apt|apk|yum|dnf)\s+(-\S+\s+)*update\b")
_INSTALL = re.compile(r"\b(install|add|upgrade)\b")


def _name(image: Mapping[str, Any]) -> str:
    return str((image.get("RepoTags") or [""])[0] or str(image.get("Id", ""))[:19])


def _is_root(user: str) -> bool:
    return user.partition(":")[0] in ("", "0", "root")


def _user(scene: Scene) -> Outcome:
    if not scene.containers:
        return absent("no container runs")
    used = [f"{str(one['Name']).lstrip('/')}" for one in scene.containers
            if _is_root(str((one.get("Config") or {}).get("User") or ""))]  # fmt: skip
    if used:
        return failed("run as root", used)
    return passed("no container runs as root")


def _trust(scene: Scene) -> Outcome:
    if scene.environment.get("DOCKER_CONTENT_TRUST") == "1":
        return passed("this environment takes signed images only")
    return failed("DOCKER_CONTENT_TRUST is not 1 in this environment: a tag is whatever the registry says")


def _healthcheck(scene: Scene) -> Outcome:
    if not scene.images:
        return absent("there are no images")
    without = [_name(image) for image in scene.images
               if not ((image.get("Config") or {}).get("Healthcheck") or image.get("HealthCheck"))]  # fmt: skip
    return failed("no health check", without) if without else passed("every image has a health check")


def _history(scene: Scene, suspect: re.Pattern[str], unless: re.Pattern[str] | None = None) -> list[str]:
    found = []
    for image in scene.images:
        steps: Sequence[str] = scene.histories.get(str(image.get("Id")), ())
        if any(suspect.search(step) and not (unless and unless.search(step)) for step in steps):
            found.append(_name(image))
    return found


def _update(scene: Scene) -> Outcome:
    if not scene.images:
        return absent("there are no images")
    found = _history(scene, _UPDATE, _INSTALL)
    if found:
        return manual("a layer updates lists of packages and installs nothing: later builds use old lists", found)
    return passed("no layer updates lists of packages alone")


def _add(scene: Scene) -> Outcome:
    if not scene.images:
        return absent("there are no images")
    # The classic builder words ADD and COPY alike but for this; what is made from a root file system begins with ADD.
    later = {
        str(image.get("Id")): list(scene.histories.get(str(image.get("Id")), ()))[:-1] for image in scene.images
    }  # fmt: skip
    pattern = re.compile(r"^(/bin/sh -c )?(#\(nop\) )?ADD ")
    found = [_name(image) for image in scene.images if any(map(pattern.search, later[str(image.get("Id"))]))]
    if found:
        return manual("ADD fetches and unpacks; COPY does what it says", found)
    return passed("no layer was made by ADD")


def _secrets(scene: Scene) -> Outcome:
    if not scene.images:
        return absent("there are no images")
    found = set(_history(scene, _SECRET))
    for image in scene.images:
        if any(_SECRET.search(str(pair)) for pair in (image.get("Config") or {}).get("Env") or []):
            found.add(_name(image))
    if found:
        return failed("what looks like a secret stands in the history or the environment", sorted(found))
    return passed("nothing that looks like a secret stands in histories and environments")


def _by_hand(detail: str) -> Outcome:
    return manual(detail)


CHECKS = (
    Check("image-user", "images", "Containers do not run as root", _user, Severity.MEDIUM,
          "Write USER into the Dockerfile, or run with --user.", cis="4.1", engines=BOTH),
    Check("image-base", "images", "Base images are trusted", lambda _: _by_hand("who made the base images?"),
          Severity.HIGH, "Use base images of known origin, by digest.", scored=False, cis="4.2", engines=BOTH),
    Check("image-packages", "images", "Images hold only what they need",
          lambda _: _by_hand("is there a shell, a compiler, a package manager that nobody needs?"), Severity.LOW,
          "Build in stages; copy only the result into the last.", scored=False, cis="4.3", engines=BOTH),
    Check("image-patches", "images", "Images are rebuilt for security updates",
          lambda scene: manual("when were these built?", [
              f"{_name(one)}: {str(one.get('Created', ''))[:10] or 'no date'}" for one in scene.images]),
          Severity.HIGH, "Scan images, and build them again without the cache.", scored=False, cis="4.4",
          engines=BOTH),
    Check("image-content-trust", "images", "Only signed images are taken", _trust, Severity.MEDIUM,
          "export DOCKER_CONTENT_TRUST=1", level=2, cis="4.5"),
    Check("image-healthcheck", "images", "Images have a health check", _healthcheck, Severity.LOW,
          "Write HEALTHCHECK into the Dockerfile.", cis="4.6", engines=BOTH),
    Check("image-update-alone", "images", "Lists of packages are not updated alone", _update, Severity.LOW,
          "Write update and install into one RUN.", scored=False, cis="4.7", engines=BOTH),
    Check("image-setuid", "images", "Images have no needless set-uid programs",
          lambda _: _by_hand("set-uid programs are not looked for in layers"), Severity.MEDIUM,
          "RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +", level=2, scored=False, cis="4.8",
          engines=BOTH),
    Check("image-add", "images", "COPY is used instead of ADD", _add, Severity.LOW,
          "Write COPY; fetch and check what comes from elsewhere in a RUN.", scored=False, cis="4.9", engines=BOTH),
    Check("image-secrets", "images", "Images carry no secrets", _secrets, Severity.HIGH,
          "Use build secrets (RUN --mount=type=secret) and give others at run time; count this one as known.",
          "Whoever can pull the image can read it.", cis="4.10", engines=BOTH),
    Check("image-verified-packages", "images", "Packages are verified",
          lambda _: _by_hand("are signatures of packages checked while building?"), Severity.MEDIUM,
          "Do not switch signature checks off.", level=2, scored=False, cis="4.11", engines=BOTH),
    Check("image-signed-artifacts", "images", "Signed artifacts are validated",
          lambda _: _by_hand("are signatures of what is fetched checked?"), Severity.MEDIUM,
          "Check signatures before use.", level=2, scored=False, cis="4.12", engines=BOTH),
)  # fmt: skip
