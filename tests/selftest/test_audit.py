"""The audit of real labs: containers and options in both directions, and the command's exit codes."""

import json

import pytest

from seatrial.audit.checks import CHECKS
from seatrial.audit.run import examine
from seatrial.errors import Exit
from seatrial.lab import images
from seatrial.names import BUSYBOX, RUN_LABEL

HARDENED = [
    "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--memory", "64m", "--cpus", "0.5",
    "--pids-limit", "20", "--user", "1000", "--health-cmd", "true", "--restart", "on-failure:5",
]  # fmt: skip
OPEN = [
    "--cap-add", "NET_ADMIN", "--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host",
    "--security-opt", "seccomp=unconfined", "--volume", "/etc:/host-etc", "--device", "/dev/null:/dev/x",
    "--restart", "always", "--pids-limit", "-1", "--volume", "/run:/host-run:ro,rslave",
]  # fmt: skip
# what only the open container fails
EXPECTED = {
    "container-capabilities", "container-host-network", "container-host-pid", "container-host-ipc",
    "container-host-uts", "container-seccomp", "container-host-directories", "container-devices",
    "container-restarts", "container-pids", "container-memory", "container-cpu", "container-read-only",
    "container-no-new-privileges", "container-health", "container-api-socket", "container-unmasked", "image-user",
}  # fmt: skip


@pytest.fixture(params=["docker@bookworm", "podman@bookworm"])
def pair(request, leased):
    """An engine with a container that is hardened and one that is not, and how their names begin."""
    engine = leased(request.param)
    images.provide(engine)
    begin = f"audit-{engine.name}"
    for word, options in (("hardened", HARDENED), ("open", [*OPEN, *engine.dialect.traits["unmask"]])):
        engine.cli("run", "--detach", "--label", f"{RUN_LABEL}=selftest", "--name", f"{begin}-{word}",
                   *options, BUSYBOX, "sleep", "300")  # fmt: skip
    yield engine, begin
    engine.remove("container", [f"{begin}-open", f"{begin}-hardened"])


def test_containers_in_both_directions(pair):
    engine, begin = pair
    audit = examine(engine)
    about = {
        word: {one.check.id for one in audit.findings for item in one.outcome.items
               if item.partition(":")[0] == f"{begin}-{word}"}
        for word in ("open", "hardened")
    }  # fmt: skip
    assert about["open"] >= EXPECTED
    assert about["hardened"] & EXPECTED == set()
    # what the kernel shows, and not what was asked for
    said = {one.check.id: " ".join(one.outcome.items) for one in audit.findings}
    assert f"{begin}-open: no filter is in force" in said["container-seccomp"]
    assert "open: /proc/" in said["container-unmasked"]


def test_the_command(project):
    target = "docker@bookworm"
    made = project.seatrial("audit", target, "--format", "json", "--fail-on", "low")
    assert made.returncode == Exit.FAILED, made.stderr
    (audit,) = json.loads(made.stdout)["audits"]
    assert len(audit["findings"]) == sum("docker" in check.engines for check in CHECKS)
    assert {one["id"]: one["state"] for one in audit["findings"]}["file-docker-socket-mode"] == "pass"
    assert project.seatrial("audit", target, "--fail-on", "critical").returncode == Exit.OK
    page = project.root / "out/audit.html"
    page.parent.mkdir()
    assert project.seatrial("audit", target, "--format", "html", "--output", str(page), "--fail-on",
                            "never").returncode == Exit.OK  # fmt: skip
    assert "<h2>docker@bookworm</h2>" in page.read_text()
    assert page.with_name("report.css").exists()


def test_a_runtime_has_no_audit(project):
    refused = project.seatrial("audit", "runc@bookworm")
    assert (refused.returncode, refused.stderr.split(":")[0]) == (Exit.USAGE, "E115")
