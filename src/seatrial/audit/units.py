"""Units of systemd, as far as they say where an API listens (systemd.socket(5))."""

from __future__ import annotations

from seatrial.audit.scene import Scene

# of units of the same name the first one counts (systemd.unit(5)); drop-ins of all places add to it, by their names
PLACES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def files(scene: Scene, unit: str) -> list[str]:
    """Return the files of a unit, in the order in which systemd reads them."""
    main = [f"{place}/{unit}" for place in PLACES if scene.files.text(f"{place}/{unit}") is not None][:1]
    parts: dict[str, str] = {}
    for place in PLACES:
        for name in scene.files.names(f"{place}/{unit}.d"):
            if name.endswith(".conf"):
                parts.setdefault(name, f"{place}/{unit}.d/{name}")
    return main + [parts[name] for name in sorted(parts)]


def values(scene: Scene, unit: str, key: str) -> list[tuple[str, str]]:
    """Return what a unit sets for a key that makes a list, each with its file; an empty value begins anew."""
    found: list[tuple[str, str]] = []
    for path in files(scene, unit):
        for line in (scene.files.text(path) or "").splitlines():
            name, given, value = line.strip().partition("=")
            if given and name.rstrip() == key:
                found = [*found, (value.strip(), path)] if value.strip() else []
    return found


def on_tcp(scene: Scene, unit: str) -> list[tuple[str, str]]:
    """Return the addresses of a socket unit that are no paths, each with the file that says so."""
    return [one for one in values(scene, unit, "ListenStream") if not one[0].startswith(("/", "@", "%"))]
