"""Scenes that are made by hand or were recorded, for tests of checks."""

import json
from dataclasses import asdict, fields

from seatrial.audit.scene import Scene, Stat, without_link


class MadeFiles:
    """Files of a host that there is not: path -> Stat, and path -> text of those that have one."""

    def __init__(self, stats=(), texts=(), directories=(), links=()):
        self.stats, self.texts, self.directories = dict(stats), dict(texts), dict(directories)
        self.links = dict(links)

    def stat(self, path):
        found = self.stats.get(path)
        return found or (Stat("file", 0o644, 0, 0) if path in self.texts else None)

    def text(self, path):
        return self.texts.get(path)

    def names(self, path):
        listed = self.directories.get(path, [])
        return sorted({*listed, *(one.rpartition("/")[2] for one in (*self.stats, *self.texts)
                                  if one.rpartition("/")[0] == path)})  # fmt: skip

    def real(self, path):
        return self.links.get(path) or without_link(path)


class Recorder:
    """Files of a real host that notes what was asked."""

    def __init__(self, files):
        self._files = files
        self.stats, self.texts, self.directories, self.links = {}, {}, {}, {}

    def stat(self, path):
        self.stats[path] = self._files.stat(path)
        return self.stats[path]

    def text(self, path):
        self.texts[path] = self._files.text(path)
        return self.texts[path]

    def names(self, path):
        self.directories[path] = self._files.names(path)
        return self.directories[path]

    def real(self, path):
        self.links[path] = self._files.real(path)
        return self.links[path]


def dump(scene):
    """Return a scene with a Recorder as plain JSON."""
    seen = scene.files
    plain = {one.name: getattr(scene, one.name) for one in fields(scene) if one.name != "files"}
    plain["files"] = {
        "stats": {path: asdict(found) for path, found in seen.stats.items() if found},
        "texts": {path: text for path, text in seen.texts.items() if text is not None},
        "directories": {path: names for path, names in seen.directories.items() if names},
        "links": {path: real for path, real in seen.links.items() if real != without_link(path)},
    }
    return json.dumps(plain, indent=1, sort_keys=True)


def load(path):
    """Return a recorded scene."""
    plain = json.loads(path.read_text())
    files = plain.pop("files")
    stats = {name: Stat(**found) for name, found in files["stats"].items()}
    return Scene(files=MadeFiles(stats, files["texts"], files["directories"], files.get("links", ())), **plain)
