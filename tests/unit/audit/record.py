"""Records what docker-bench-security and the audit see of the same labs; both need a checkout of the former.

    python tests/unit/audit/record.py CHECKOUT [NAME...]

writes recorded/<name>.json (the scene) and recorded/<name>-bench.json (the verdicts of docker-bench-security).
"""

import json
import shutil
import sys
from pathlib import Path

import trustme
from scenes import Recorder, dump

from seatrial import exec as command
from seatrial import runs
from seatrial.audit.checks import CHECKS
from seatrial.audit.look import look
from seatrial.audit.model import judge
from seatrial.engines import drivers
from seatrial.engines.startable import Wishes
from seatrial.lab import images, labs
from seatrial.names import BUSYBOX, new_run_id
from seatrial.paths import share_dir
from seatrial.targets import parse

HERE = Path(__file__).parent / "recorded"
OPEN = {
    "log-level": "debug", "insecure-registries": ["registry.example:5000"], "default-ulimits": {},
    "icc": True, "iptables": True,
}  # fmt: skip
HARDENED = {
    "icc": False, "no-new-privileges": True, "live-restore": True, "userland-proxy": False, "log-level": "info",
    "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 1024, "Soft": 1024}}, "log-driver": "syslog",
}  # fmt: skip
# on TCP with TLS, and beside it what only a boolean of Go or a look at the kernel tells
TLS = {
    "hosts": ["unix:///run/docker.sock", "tcp://127.0.0.1:2376"], "tlsverify": True, "userland-proxy": False,
    "no-new-privileges": True,
}  # fmt: skip
CONTAINERS = {
    "open": [
        ["--cap-add", "NET_ADMIN", "--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host",
         "--security-opt", "seccomp=unconfined", "--volume", "/etc:/host-etc", "--device", "/dev/null:/dev/x",
         "--restart", "always"],
        ["--publish", "0.0.0.0:81:80", "--volume", "/run/docker.sock:/run/docker.sock"],
        ["--volume", "/usr:/host-usr:ro"],
    ],
    "hardened": [
        ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--memory", "64m",
         "--cpus", "0.5", "--pids-limit", "20", "--user", "1000", "--publish", "127.0.0.1:8081:80",
         "--health-cmd", "true", "--restart", "on-failure:5", "--ulimit", "nofile=100:100",
         "--log-driver", "none"],
    ],
    "tls": [
        ["--volume", "/run:/host-run:ro", "--security-opt", "systempaths=unconfined"],
        ["--security-opt", "no-new-privileges=false", "--volume", "/etc/hosts:/given:ro", "--memory", "64m"],
    ],
}  # fmt: skip


def certificates(place):
    """Make certificates of a daemon in a directory; return the options that name them."""
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    parts = {"ca": authority.cert_pem.bytes(), "key": server.private_key_pem.bytes(),
             "cert": b"".join(blob.bytes() for blob in server.cert_chain_pems)}  # fmt: skip
    place.mkdir(parents=True)
    for part, content in parts.items():
        (place / f"{part}.pem").write_bytes(content)
        (place / f"{part}.pem").chmod(0o400)
    return {f"tls{option}": str(place / f"{part}.pem") for option, part in
            (("cacert", "ca"), ("cert", "cert"), ("key", "key"))}  # fmt: skip


def record(name, config, checkout):
    target = parse("docker@bookworm")
    with runs.begun(new_run_id(), Path(), [str(target)]) as live:
        if config.get("tlsverify"):
            config = {**config, **certificates(share_dir() / f"tls-{live.run}")}
        made = labs.private(target, live.run, Wishes(config=config))
        try:
            engine = drivers.in_lab(target, made.lab)
            images.provide(engine)
            for number, words in enumerate(CONTAINERS[name]):
                engine.cli("run", "--detach", "--init", "--name", f"{name}-{number}", *words, BUSYBOX,
                           "sleep", "1000")  # fmt: skip
            place = share_dir() / f"bench-{name}"
            shutil.copytree(checkout, place, dirs_exist_ok=True)
            command.run(["bash", "docker-bench-security.sh", "-b", "-l", "/tmp/bench"], host=engine.host,
                        cwd=place, timeout=300, expect=command.ANY)  # fmt: skip
            report = json.loads(engine.host.path("/tmp/bench.json").read_text())
            scene = look(engine)
            scene.files = Recorder(scene.files)
            judge(CHECKS, scene)
        finally:
            made.close()
            for place in (f"bench-{name}", f"tls-{live.run}"):
                shutil.rmtree(share_dir() / place, ignore_errors=True)
    verdicts = {one["id"]: one["result"] for section in report["tests"] for one in section["results"]}
    HERE.mkdir(exist_ok=True)
    (HERE / f"{name}.json").write_text(dump(scene) + "\n")
    (HERE / f"{name}-bench.json").write_text(json.dumps(verdicts, indent=1) + "\n")


if __name__ == "__main__":
    scenes_ = {"open": OPEN, "hardened": HARDENED, "tls": TLS}
    for name_ in sys.argv[2:] or scenes_:
        record(name_, scenes_[name_], Path(sys.argv[1]))
