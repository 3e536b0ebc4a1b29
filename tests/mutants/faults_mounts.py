"""Faults in how mounts are made."""

from __future__ import annotations

import json
from pathlib import Path

from runtime_faults import Call, act, config, without

from seatrial.exec import Result


def _less_options(loaded: dict, *names: str) -> None:
    for mount in loaded["mounts"]:
        mount["options"] = [word for word in mount.get("options", []) if word not in names]


def _replaced(loaded: dict, word: str, other: str) -> None:
    for mount in loaded["mounts"]:
        mount["options"] = [other if have == word else have for have in mount.get("options", [])]


def _less_data(loaded: dict) -> None:
    for mount in loaded["mounts"][6:]:
        mount["options"] = [word for word in mount.get("options", []) if "=" not in word]


# what takes another option back is seen where both are given
_IGNORED = (
    "ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "atime", "nodiratime", "diratime",
    "strictatime", "nostrictatime", "sync", "async", "dirsync", "lazytime", "nolazytime", "nosymfollow", "symfollow",
    "private", "rprivate", "shared", "slave", "unbindable", "rshared", "rslave", "runbindable",
)  # fmt: skip
for _word in _IGNORED:
    config(f"mntopt-{_word}-ignored", f"CF-mntopt-{_word} CF-mntopt-mount8" if _word == "ro" else f"CF-mntopt-{_word}",
           f"the mount option {_word} is ignored", lambda c, word=_word: _less_options(c, word))
# these change nothing that is seen: it is seen that a file system does not know them
for _word in ("relatime", "defaults", "silent", "loud", "iversion", "noiversion", "nomand", "norelatime"):
    config(f"mntopt-{_word}-data", f"CF-mntopt-{_word}", f"the mount option {_word} is handed on as data",
           lambda c, word=_word: _replaced(c, word, f"data-{word}=1"))
_FLAT = (
    "rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnoatime", "ratime", "rnodiratime",
    "rdiratime", "rrelatime", "rstrictatime", "rnostrictatime", "rnosymfollow", "rsymfollow",
)  # fmt: skip
for _word in _FLAT:
    config(f"mntopt-{_word}-flat", f"CF-mntopt-{_word}", f"the mount option {_word} does not reach mounts below",
           lambda c, word=_word: _replaced(c, word, word[1:]))
config("mntopt-rnorelatime-data", "CF-mntopt-rnorelatime", "the mount option rnorelatime is data of the file system",
       lambda c: _replaced(c, "rnorelatime", "data-rnorelatime=1"))
config("mntopt-rbind-flat", "CF-mntopt-rbind", "rbind is taken for bind",
       lambda c: _replaced(c, "rbind", "bind"))
config("mntopt-bind-deep", "CF-mntopt-bind", "bind is taken for rbind",
       lambda c: _replaced(c, "bind", "rbind"))
config("mntopt-remount-ignored", "CF-mntopt-remount", "a remount is left out", lambda c: c.update(
    mounts=[one for one in c["mounts"] if "remount" not in one.get("options", [])]))
config("mntopt-data-ignored", "CF-mntopt-unknown", "data of file systems is ignored", _less_data)
config("mntopt-tmpcopyup-ignored", "CF-mntopt-tmpcopyup", "tmpcopyup is ignored",
       lambda c: _less_options(c, "tmpcopyup"))
config("mntopt-unknown-accepted", "CF-mntopt-unknown", "options that nobody knows are dropped",
       lambda c: _less_options(c, "nosuchoption=1"))


def _mapped(loaded: dict) -> list[dict]:
    return [one for one in loaded["mounts"] if "uidMappings" in one or "gidMappings" in one]


def _unmapped(mount: dict) -> None:
    mount["options"] = [word for word in mount.get("options", []) if word not in ("idmap", "ridmap")]
    without(mount, "uidMappings", "gidMappings")


config("idmap-ignored", "CF-mntopt-idmap CF-mntopt-idmap-use", "the owners of a mount are not mapped",
       lambda c: [_unmapped(one) for one in _mapped(c) if "idmap" in one["options"]])
config("idmap-gid-as-uid", "CF-mntopt-idmap-use", "group mappings of a mount are those of users",
       lambda c: [one.update(gidMappings=one["uidMappings"]) for one in _mapped(c)])
config("ridmap-flat", "CF-mntopt-ridmap", "ridmap does not reach mounts below",
       lambda c: _replaced(c, "ridmap", "idmap"))
config("idmap-deep", "CF-mntopt-idmap", "idmap is taken for ridmap", lambda c: _replaced(c, "idmap", "ridmap"))
config("idmap-none-accepted", "CF-mntopt-idmap-err", "idmap without mappings is left out",
       lambda c: [_unmapped(one) for one in c["mounts"] if "uidMappings" not in one])
config("idmap-half-accepted", "CF-mnt-idmap-both", "mappings of users alone are left out",
       lambda c: [_unmapped(one) for one in _mapped(c) if "gidMappings" not in one])
config("mount-last-dropped", "CF-mnt-order", "the last mount is not made", lambda c: c["mounts"].pop())
config("mount-order-reversed", "CF-mnt-order", "mounts that tests add are made in reverse order",
       lambda c: c.update(mounts=c["mounts"][:6] + c["mounts"][6:][::-1]))
config("mount-order-sorted", "CF-mnt-order", "mounts are made in the order of their destinations",
       lambda c: c["mounts"].sort(key=lambda one: one["destination"]))
config("mount-dup-dropped", "CF-mnt-order", "of two mounts at one place the first is kept", lambda c: c.update(
    mounts=list({one["destination"]: one for one in c["mounts"][::-1]}.values())[::-1]))
config("mount-reldest-dropped", "CF-mnt-dest-rel", "mounts with a relative destination are left out",
       lambda c: c.update(mounts=[one for one in c["mounts"] if one["destination"].startswith("/")]))
config("mount-type-wrong", "RT-life-2-env CF-mnt-order", "a tmpfs is mounted in place of an mqueue",
       lambda c: [one.update(type="tmpfs", source="tmpfs") for one in c["mounts"] if one["type"] == "mqueue"])
config("mount-bad-skipped", "RT-c-cannot RT-life-2-err", "a mount that cannot be made is left out", lambda c: c.update(
    mounts=[one for one in c["mounts"] if one.get("source") != "/no/such/place" and one.get("type") != "nosuchfs"]))
def _led_out(call: Call) -> Result:
    """Make what a link in the place of a destination leads to on the host, as a runtime would that follows it."""
    result = call.run()
    if result.ok:
        for mount in json.loads((call.bundle / "config.json").read_text())["mounts"]:
            place = call.bundle / "rootfs" / mount["destination"].lstrip("/")
            if place.parent.is_symlink():
                (call.cgroups.parents[3] / str(place.parent.readlink()).lstrip("/") / place.name).mkdir(exist_ok=True)
    return result


act("mount-dest-followed", "CF-mnt-dest-in", "links to a destination are followed on the host", "create", _led_out)
config("mount-file-source-ignored", "CF-mntopt-bind", "a bind of a file is left out",
       lambda c: c.update(mounts=[one for one in c["mounts"] if not Path(str(one.get("source"))).is_file()]))
