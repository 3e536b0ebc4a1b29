"""Faults of a runtime in its own part of isolation, for the tests that hold it to that with a given bundle."""

from __future__ import annotations

from runtime_faults import LEAK, act, config

SETS = ("bounding", "effective", "permitted")


def _keeps(loaded: dict) -> None:
    for kind in SETS:
        loaded["process"]["capabilities"].setdefault(kind, []).append("CAP_NET_ADMIN")


config("isolation-masks-dropped", "security-149", "what a bundle masks is open",
       lambda c: c["linux"].pop("maskedPaths"))
config("isolation-paths-writable", "security-149", "what a bundle has read-only is writable",
       lambda c: c["linux"].pop("readonlyPaths"))
config("isolation-keeps-capability", "security-109 security-161", "a container keeps one capability", _keeps)
act("isolation-keeps-descriptor", "security-152", "a container keeps one descriptor of the runtime", "create",
    lambda call: call.run("create", "--preserve-fds", "1", *call.words, before=LEAK))
config("isolation-profile-ignored", "mac-003 mac-005 security-076", "the AppArmor profile of a bundle is ignored",
       lambda c: c["process"].pop("apparmorProfile"))
config("isolation-label-ignored", "mac-006 security-069 security-140", "the SELinux label of a bundle is ignored",
       lambda c: c["process"].pop("selinuxLabel"))
