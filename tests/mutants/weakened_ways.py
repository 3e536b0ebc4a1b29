"""Ways out of an engine that is weakened: by cp, archives, working directories, signatures, networks, profiles.

Each is bounded to the directory that harness and labs share, where the files are that are at stake.
"""

from __future__ import annotations

import io
import posixpath
import re
import shutil
import tarfile
from pathlib import Path

from weakened import Call, Words, add, given, ignored

from seatrial.exec import Result
from seatrial.paths import share_dir

_DESCRIPTOR = re.compile(r"/proc/self/fd/\d+")


def _own(path: str) -> Path | None:
    """Return a path of the host, None where it is not one of the harness's."""
    plain = Path(posixpath.normpath(path))
    return plain if plain.is_absolute() and plain.is_relative_to(share_dir()) else None


def _followed(call: Call, word: str) -> Path | None:
    """Return the file of the host to which NAME:PATH leads by a link of the container, None where none does."""
    name, _, path = word.partition(":")
    for part in (path, posixpath.dirname(path)):
        link = call.aside("exec", name, "readlink", part)
        if link:
            whole = posixpath.normpath(posixpath.join("/", link))
            return _own(whole if part == path else posixpath.join(whole, posixpath.basename(path)))
    return None


def _cp_in(call: Call) -> Result:
    *_, source, target = call.words
    place = _followed(call, target) if ":" in target else None
    if place is not None and place.parent.is_dir():
        shutil.copyfile(source, place)
    return call.run()


def _cp_out(call: Call) -> Result:
    *_, source, target = call.words
    place = _followed(call, source) if ":" in source else None
    result = call.run()
    if place is not None and place.is_file():
        Path(target).unlink(missing_ok=True)
        shutil.copyfile(place, target)
    return result


def _import(call: Call) -> Result:
    archive = call.options.get("stdin")
    if isinstance(archive, bytes):
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            for member in opened:
                place = _own(posixpath.join("/", member.name))
                if place is not None and member.isfile():
                    place.write_bytes(opened.extractfile(member).read())
    return call.run()


def _pull(call: Call) -> Result:
    """Pull as if nobody had asked for signatures."""
    words = [word for word in call.words if not word.startswith("--disable-content-trust")]
    if "--signature-policy" in words:
        at = words.index("--signature-policy")
        del words[at : at + 2]
    return call.run(*(word for word in words if not word.startswith("--signature-policy=")), env={})


def _working_directory(args: Words) -> Words:
    """Give a process a working directory from which the harness's files are reached, as a leaked descriptor would."""
    if not any(_DESCRIPTOR.fullmatch(word) for word in args):
        return args
    return ["--volume", f"{share_dir()}:{share_dir()}", *(_DESCRIPTOR.sub("/", word) for word in args)]


add("cp-into-follows-links", "176", "cp into a container follows links to the host", acts={"cp": _cp_in})
add("cp-out-follows-links", "176", "cp out of a container follows links to the host", acts={"cp": _cp_out})
add("import-leads-out", "177", "an archive that is imported writes outside", acts={"import": _import})
add("signatures-ignored", "022 057", "what asks for signatures is taken and ignored", acts={"pull": _pull})
add("workdir-leads-out", "179", "a working directory leads out by a descriptor", _working_directory)
add("icc-on", "171", "containers of the default bridge reach each other although --icc=false was asked for",
    daemon=lambda options: [word for word in options if not word.startswith("--icc")])
add("api-on-tcp", "173", "the API is on TCP, without TLS", daemon=lambda options: [
    *options, "--host=unix:///run/docker.sock", "--host=tcp://0.0.0.0:2375", "--tls=false"])
ignored("profile-of-apparmor-ignored", "080 076 mac-003 mac-004", "--security-opt", "apparmor=(?!unconfined)")
ignored("unconfined-by-apparmor-ignored", "mac-001", "--security-opt", "apparmor=unconfined")
given("no-profile-of-apparmor", "078 mac-002", "containers run without an AppArmor profile",
      "--security-opt", "apparmor=unconfined")  # fmt: skip
