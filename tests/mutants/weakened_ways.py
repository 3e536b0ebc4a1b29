"""Ways out of an engine that is weakened: by cp, archives, working directories, signatures, networks, profiles.

Each is bounded to the directory that harness and labs share, where the files are that are at stake.
"""

from __future__ import annotations

import io
import posixpath
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from weakened import PROFILES, Call, Words, add, given, ignored

from seatrial import archive
from seatrial.exec import Result
from seatrial.names import BUSYBOX
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
    packed = call.options.get("stdin")
    if isinstance(packed, bytes):
        with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
            for member in opened:
                place = _own(posixpath.join("/", member.name))
                if place is not None and member.isfile():
                    place.write_bytes(opened.extractfile(member).read())
    return call.run()


def _cp_archive(call: Call) -> Result:
    """Take an archive apart as one would who follows its names and links on the host."""
    packed = call.options.get("stdin")
    if "-" in call.words and isinstance(packed, bytes):
        links: dict[str, str] = {}
        with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
            for member in opened:
                place = _through(posixpath.join("/", member.name), links)
                if member.issym():
                    whole = posixpath.join(posixpath.dirname(place), member.linkname)
                    links[place] = _through(whole, links)
                elif member.islnk():
                    links[place] = _through(posixpath.join("/", member.linkname), links)
                elif member.isfile() and (own := _own(place)) is not None and own.parent.is_dir():
                    own.write_bytes(opened.extractfile(member).read())
    return call.run()


def _through(path: str, links: Mapping[str, str]) -> str:
    """Return where a path leads by links that an archive had."""
    plain = posixpath.normpath(path)
    for link, target in links.items():
        if plain == link or plain.startswith(f"{link}/"):
            return posixpath.normpath(target + plain.removeprefix(link))
    return plain


def _cp_contents(call: Call) -> Result:
    """Give an archive that has in the place of links what they lead to on the host."""
    result = call.run()
    if call.words[-1] != "-" or not result.ok:
        return result
    files = {}
    with tarfile.open(fileobj=io.BytesIO(result.out)) as opened:
        for member in opened:
            place = _own(member.linkname) if member.issym() else None
            if place is None:
                files[member.name] = opened.extractfile(member).read() if member.isfile() else member
            else:
                files[member.name] = (place if place.is_file() else place / "file").read_bytes()
    return replace(result, out=archive.tree(files))


def _cp_onto(call: Call) -> Result:
    """Copy out of a container through links that are in the target already."""
    into = Path(call.words[-1])
    places = {link.name: _own(str(link.readlink())) for link in into.iterdir() if link.is_symlink()} if (
        ":" in call.words[-2] and into.is_dir()) else {}  # fmt: skip
    if any(places.values()):
        with tempfile.TemporaryDirectory(dir=share_dir()) as aside:
            call.aside("cp", call.words[-2], aside)
            for name, place in places.items():
                copied = Path(aside) / name
                if place is not None and copied.is_dir() and not copied.is_symlink():
                    shutil.copytree(copied, place, dirs_exist_ok=True)
                elif place is not None and copied.is_file() and not copied.is_symlink():
                    shutil.copyfile(copied, place)
    return call.run()


def _mount(call: Call) -> Result:
    """Make a place to mount at where a link leads that is in the image, or in a volume that is mounted before it."""
    image = next((word for word in call.words if word.startswith("localhost/")), "")
    earlier: Words = []
    for option, value in pairwise(call.words):
        if option != "--volume" or not image:
            continue
        place = value.split(":")[1]
        link = call.aside("run", "--rm", *earlier, image, "readlink", posixpath.dirname(place))
        own = _own(posixpath.normpath(posixpath.join("/", link))) if link else None
        if own is not None and own.is_dir():
            (own / posixpath.basename(place)).mkdir(exist_ok=True)
        earlier += [option, value]
    return call.run()


def _lies(args: Words) -> Words:
    """Mount a directory of the host where a volume is asked for, as a driver of volumes would that lies."""
    place = share_dir() / f"{PROFILES}volume"
    place.mkdir(exist_ok=True)
    return [re.sub(r"^st-[0-9a-f]+-v\d+:", f"{place}:", word) if before == "--volume" else word
            for before, word in pairwise(["", *args])]  # fmt: skip


def _without_room(call: Call) -> Result:
    """Make a volume without the size that it was to have."""
    return call.run(*(re.sub("^o=.*", "o=rw", word) for word in call.words))


def _less_environment(args: Words) -> Words:
    """Take the first ten variables of a file alone."""
    if path := _value(args, "--env-file"):
        short = Path(f"{path}.short")
        short.write_text("".join(Path(path).read_text().splitlines(keepends=True)[:10]))
        return [str(short) if word == path else word for word in args]
    return args


def _loads(call: Call) -> Result:
    """Load a library of the container that a program looks for to know users."""
    result = call.run()
    for word in call.words[1:]:
        name = word.partition(":")[0]
        if word not in ("-", "--archive") and not name.startswith("/"):
            call.aside("exec", name, "env", "LD_PRELOAD=/lib/libnss_files.so.2", "perl", "-e", "1")
    return result


def _on_every_network(call: Call) -> Result:
    """Have a container on all networks of its test."""
    result = call.run()
    own = re.search(r"st-[0-9a-f]+-", one) if (one := _value(call.words, "--network")) else None
    if own and result.ok and "--detach" in call.words:
        for network in call.aside("network", "ls", "--format", "{{.Name}}").split():
            if network.startswith(own[0]) and network != one:
                call.aside("network", "connect", network, _value(call.words, "--name"))
    return result


def _value(words: Words, option: str) -> str:
    return next((value for word, value in pairwise(words) if word == option), "")


def _takes_advertisements(call: Call) -> Result:
    """Have the host take router advertisements by all bridges, as it would by default."""
    result = call.run()
    script = "for file in /proc/sys/net/ipv6/conf/br-*/accept_ra; do echo 2 >$file; done"
    call.aside("run", "--rm", "--network", "host", "--cap-add", "NET_ADMIN", "--security-opt",
               "systempaths=unconfined", BUSYBOX, "sh", "-c", script)  # fmt: skip
    return result


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


add("cp-into-follows-links", "176 186", "cp into a container follows links to the host", acts={"cp": _cp_in})
add("cp-out-follows-links", "176 186", "cp out of a container follows links to the host", acts={"cp": _cp_out})
add("cp-archive-leads-out", "188", "an archive that cp takes writes outside", acts={"cp": _cp_archive})
add("cp-gives-what-links-lead-to", "188", "cp gives files of the host in the place of links", acts={"cp": _cp_contents})
add("cp-goes-through-links-of-the-target", "188", "cp goes through links that an earlier copy brought",
    acts={"cp": _cp_onto})
add("cp-loads-libraries", "189", "what copies files loads libraries of the container",
    acts=dict.fromkeys(("cp", "export", "diff"), _loads))
add("mount-follows-links", "178 187", "what is mounted makes directories where a link leads", acts={"run": _mount})
add("import-leads-out", "177", "an archive that is imported writes outside", acts={"import": _import})
add("signatures-ignored", "022 057", "what asks for signatures is taken and ignored", acts={"pull": _pull})
add("workdir-leads-out", "179", "a working directory leads out by a descriptor", _working_directory)
add("networks-are-one", "041 055 191", "a container is on all networks of its maker",
    acts={"run": _on_every_network})
add("advertisements-are-taken", "192", "the host takes router advertisements by bridges",
    acts={"network": _takes_advertisements})
add("volume-without-room", "133", "the room of a volume is taken and ignored", acts={"volume": _without_room})
add("volume-lies", "194", "a directory of the host is mounted where a volume is asked for", _lies)
add("environment-is-cut-off", "193", "an environment that is too long is cut off in silence", _less_environment)
add("icc-on", "171 191", "containers of the default bridge reach each other although --icc=false was asked for",
    daemon=lambda options: [word for word in options if not word.startswith("--icc")])
add("api-on-tcp", "173", "the API is on TCP, without TLS", daemon=lambda options: [
    *options, "--host=unix:///run/docker.sock", "--host=tcp://0.0.0.0:2375", "--tls=false"])
ignored("profile-of-apparmor-ignored", "080 076 mac-003 mac-004 mac-007", "--security-opt", "apparmor=(?!unconfined)")
ignored("unconfined-by-apparmor-ignored", "mac-001", "--security-opt", "apparmor=unconfined")
given("no-profile-of-apparmor", "078 mac-002 mac-007 mac-008 mac-009 mac-010",
      "containers run without an AppArmor profile", "--security-opt", "apparmor=unconfined")  # fmt: skip
