"""Every check in both directions: a scene in which all is well, and one in which only this is wrong."""

import copy
from functools import partial

import pytest

from seatrial.audit.checks import CHECKS
from seatrial.audit.model import Severity, State, judge
from seatrial.audit.scene import MASKED, READ_ONLY, Scene, Stat, boolean, options

BY_ID = {check.id: check for check in CHECKS}
RULES = "/etc/audit/audit.rules"
CONTAINER = {
    "Id": "c" * 64, "Name": "/web", "Image": "sha256:aa", "AppArmorProfile": "docker-default",
    "ProcessLabel": "system_u:system_r:container_t:s0:c1,c2",
    "Config": {"User": "1000"},
    "State": {"Health": {"Status": "healthy"}},
    "Mounts": [{"Type": "bind", "Source": "/srv/web", "RW": True, "Propagation": "rprivate"}],
    "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "81/tcp": None},
                        "Networks": {"web": {}}},
    "HostConfig": {
        "CapAdd": ["CHOWN"], "Privileged": False, "NetworkMode": "web", "PidMode": "", "IpcMode": "private",
        "UTSMode": "", "UsernsMode": "", "Memory": 1 << 26, "CpuShares": 512, "NanoCpus": 0, "ReadonlyRootfs": True,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5}, "Devices": [],
        "MaskedPaths": list(MASKED), "ReadonlyPaths": list(READ_ONLY),
        "Ulimits": [{"Name": "nofile"}], "SecurityOpt": ["no-new-privileges"], "CgroupParent": "", "PidsLimit": 100,
    },
}  # fmt: skip
IMAGE = {"Id": "sha256:aa", "RepoTags": ["web:1"], "Created": "2026-01-02T00:00:00Z",
         "Config": {"Healthcheck": {"Test": ["CMD", "true"]}, "Env": ["PATH=/bin"]}}  # fmt: skip
BRIDGE = {"Name": "bridge", "Driver": "bridge", "Options": {"com.docker.network.bridge.enable_icc": "false"}}
INFO = {
    "Driver": "overlay2", "DockerRootDir": "/var/lib/docker", "LoggingDriver": "syslog", "LiveRestoreEnabled": True,
    "SecurityOptions": ["name=seccomp,profile=default", "name=userns", "name=apparmor", "name=selinux"],
    "Plugins": {"Authorization": ["guard"]}, "Swarm": {"LocalNodeState": "inactive"}, "ExperimentalBuild": False,
    "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
                       "IndexConfigs": {"docker.io": {"Secure": True}}},
}  # fmt: skip
CONFIG = ('{"no-new-privileges": true, "userland-proxy": false, "tlsverify": true, "tlscacert": "/tls/ca.pem", '
          '"tlscert": "/tls/cert.pem", "tlskey": "/tls/key.pem", "hosts": ["tcp://0.0.0.0:2376"], '
          '"default-ulimits": {"nofile": {"Hard": 10}}}')  # fmt: skip
SWARM = {"LocalNodeState": "active", "ControlAvailable": True, "Managers": 3, "NodeAddr": "192.0.2.1",
         "Cluster": {"Spec": {"EncryptionConfig": {"AutoLockManagers": True},
                              "CAConfig": {"NodeCertExpiry": 7776000000000000}}}}  # fmt: skip
PODMAN = {"host": {"security": {"rootless": True, "seccompEnabled": True, "apparmorEnabled": True,
                                "selinuxEnabled": True}},
          "store": {"graphRoot": "/var/lib/containers/storage"}}  # fmt: skip
CONF, POLICY = "/etc/containers/containers.conf", "/etc/containers/policy.json"
FILE = partial(Stat, "file")
WATCHED = (
    "/usr/bin/dockerd", "/run/containerd", "/var/lib/docker", "/var/lib/containers/storage", "/etc/docker",
    "/lib/systemd/system/docker.service", "/run/containerd/containerd.sock", "/lib/systemd/system/docker.socket",
    "/etc/default/docker", "/etc/docker/daemon.json", "/etc/containerd/config.toml", "/etc/sysconfig/docker",
    "/usr/bin/containerd", "/usr/bin/containerd-shim", "/usr/bin/containerd-shim-runc-v1",
    "/usr/bin/containerd-shim-runc-v2", "/usr/bin/runc", "/usr/bin/podman", "/usr/bin/conmon", "/usr/bin/crun",
    "/etc/containers",
)  # fmt: skip


def _files(made):
    stats = {path: FILE(0o644, 0, 0) for path in WATCHED}
    stats |= {
        "/tls/ca.pem": FILE(0o444, 0, 0), "/tls/cert.pem": FILE(0o444, 0, 0), "/tls/key.pem": FILE(0o400, 0, 0),
        "/etc/docker": Stat("directory", 0o755, 0, 0), "/var/lib/docker": Stat("directory", 0o710, 0, 0),
        "/var/lib/containers/storage": Stat("directory", 0o700, 0, 0),
        "/etc/containers": Stat("directory", 0o755, 0, 0),
        "/run/docker.sock": Stat("socket", 0o660, 0, 998),
        "/run/podman": Stat("directory", 0o700, 0, 0), "/run/podman/podman.sock": Stat("socket", 0o600, 0, 0),
        "/run/containerd/containerd.sock": Stat("socket", 0o660, 0, 0),
        "/etc/docker/certs.d/r.example/ca.crt": FILE(0o444, 0, 0),
        "/etc/containers/certs.d/r.example/ca.crt": FILE(0o444, 0, 0),
        "/usr/bin/runc": FILE(0o755, 0, 0), "/usr/bin/crun": FILE(0o755, 0, 0),
    }  # fmt: skip
    texts = {
        "/etc/docker/daemon.json": CONFIG, "/etc/group": "root:x:0:\ndocker:x:998:alice\n",
        RULES: "".join(f"-w {path} -k containers\n" for path in WATCHED),
        CONF: '[containers]\nno_new_privileges = true\nlog_driver = "journald"\n',
        POLICY: '{"default": [{"type": "reject"}]}', "/etc/containers/registries.conf": "",
        "/usr/lib/systemd/system/podman.socket": "[Socket]\nListenStream=%t/podman/podman.sock\n",
    }
    directories = {"/etc/docker/certs.d": ["r.example"], "/etc/containers/certs.d": ["r.example"]}
    return made.MadeFiles(stats, texts, directories)


def well(made, engine="docker", swarm=False):
    """Return a scene in which no check fails."""
    info = copy.deepcopy(INFO if engine == "docker" else PODMAN)
    if swarm:
        info["Swarm"] = copy.deepcopy(SWARM)
    return Scene(
        f"{engine}@made", engine, "1", _files(made), info=info, argv=["dockerd"] if engine == "docker" else None,
        mounts=["/", "/var/lib/docker", "/var/lib/containers/storage"], containers=[copy.deepcopy(CONTAINER)],
        commands={"web": ["httpd"]}, all_containers=1, images=[copy.deepcopy(IMAGE)],
        histories={"sha256:aa": ["COPY a b", "RUN apt-get update && apt-get install -y x", "ADD file:1 in /"]},
        networks=[copy.deepcopy(BRIDGE), {"Name": "o", "Driver": "overlay", "Options": {"encrypted": ""}}],
        environment={"DOCKER_CONTENT_TRUST": "1"},
    )  # fmt: skip


def told(word, value):
    """Change daemon.json."""
    def change(scene):
        import json

        scene.files.texts["/etc/docker/daemon.json"] = json.dumps({**json.loads(CONFIG), word: value})

    return change


def info(*path, value):
    def change(scene):
        place = scene.info
        for word in path[:-1]:
            place = place[word]
        place[path[-1]] = value

    return change


def host(word, value):
    return lambda scene: scene.containers[0]["HostConfig"].update({word: value})


def container(word, value):
    return lambda scene: scene.containers[0].update({word: value})


def conf(line):
    def change(scene):
        scene.files.texts[CONF] += line + "\n"

    return change


def text(path, content):
    return lambda scene: scene.files.texts.update({path: content})


def stat_(path, mode, uid=0, gid=0, kind="file"):
    return lambda scene: scene.files.stats.update({path: Stat(kind, mode, uid, gid)})


def unwatched(path):
    def change(scene):
        scene.files.texts[RULES] = scene.files.texts[RULES].replace(f"-w {path} ", "-w /else ")

    return change


def history(step):
    return lambda scene: scene.histories.update({"sha256:aa": [step, "ADD file:1 in /"]})


def mount(source, **more):
    return container("Mounts", [{"Type": "bind", "Source": source, "RW": True, **more}])


def publish(address, port):
    return container("NetworkSettings", {"Ports": {"80/tcp": [{"HostIp": address, "HostPort": port}]}})


def opt(*words):
    return host("SecurityOpt", list(words))


def field(name, value):
    def change(scene):
        setattr(scene, name, value)

    return change


SYSTEM = "/lib/systemd/system"
FILES = {  # id -> path
    "docker-service": f"{SYSTEM}/docker.service", "docker-socket-unit": f"{SYSTEM}/docker.socket",
    "docker-etc": "/etc/docker", "registry-certificates": "/etc/docker/certs.d/r.example/ca.crt",
    "tls-ca": "/tls/ca.pem", "tls-certificate": "/tls/cert.pem", "tls-key": "/tls/key.pem",
    "docker-socket": "/run/docker.sock", "daemon-json": "/etc/docker/daemon.json",
    "default-docker": "/etc/default/docker", "sysconfig-docker": "/etc/sysconfig/docker",
    "containerd-socket": "/run/containerd/containerd.sock", "data-root": "/var/lib/docker",
    "podman-socket": "/run/podman/podman.sock", "podman-run": "/run/podman", "containers-etc": "/etc/containers",
    "containers-conf": CONF, "podman-certificates": "/etc/containers/certs.d/r.example/ca.crt",
    "podman-data": "/var/lib/containers/storage", "runtime": "/usr/bin/runc",
}  # fmt: skip
FAULTS = {  # id -> what makes this check fail
    "host-partition": field("mounts", ["/"]),
    "daemon-icc": lambda scene: scene.networks[0].update(Options={}),
    "daemon-log-level": told("log-level", "debug"),
    "daemon-iptables": told("iptables", False),
    "daemon-insecure-registries": info("RegistryConfig", "InsecureRegistryCIDRs", value=["10.0.0.0/8"]),
    "daemon-aufs": info("Driver", value="aufs"),
    "daemon-tls": told("tlsverify", False),
    "daemon-userns": info("SecurityOptions", value=["name=seccomp,profile=default"]),
    "daemon-cgroup-parent": told("cgroup-parent", "/mine"),
    "daemon-base-size": told("storage-opts", ["dm.basesize=20G"]),
    "daemon-authorization": info("Plugins", "Authorization", value=None),
    "daemon-logging": info("LoggingDriver", value="json-file"),
    "daemon-no-new-privileges": told("no-new-privileges", False),
    "daemon-live-restore": info("LiveRestoreEnabled", value=False),
    "daemon-userland-proxy": told("userland-proxy", True),
    "daemon-seccomp": info("SecurityOptions", value=["name=seccomp,profile=unconfined", "name=userns"]),
    "daemon-experimental": info("ExperimentalBuild", value=True),
    "daemon-debug": info("Debug", value=True),
    "podman-seccomp": info("host", "security", "seccompEnabled", value=False),
    "podman-capabilities": conf('default_capabilities = ["CHOWN", "CAP_SYS_ADMIN"]'),
    "podman-no-new-privileges": text(CONF, "[containers]\n"),
    "podman-pids": conf("pids_limit = 0"),
    "podman-label": conf("label = false"),
    "podman-apparmor": conf('apparmor_profile = "unconfined"'),
    "podman-host-namespaces": conf('netns = "host"'),
    "podman-volumes": conf('volumes = ["/etc:/host"]'),
    "podman-logs": text(CONF, "[containers]\nno_new_privileges = true\n"),
    "podman-insecure-registries": text(
        "/etc/containers/registries.conf", '[[registry]]\nlocation = "r.example:5000"\ninsecure = true\n'),
    "podman-policy": text(POLICY, '{"default": [{"type": "insecureAcceptAnything"}]}'),
    "podman-service-tcp": text("/usr/lib/systemd/system/podman.socket", "[Socket]\nListenStream=0.0.0.0:8080\n"),
    "image-user": lambda scene: scene.containers[0]["Config"].update(User="0:5"),
    "image-content-trust": field("environment", {}),
    "image-healthcheck": lambda scene: scene.images[0].update(Config={"Env": []}),
    "image-secrets": lambda scene: scene.images[0]["Config"].update(Env=["DB_PASSWORD=hunter2"]),
    "container-apparmor": container("AppArmorProfile", "unconfined"),
    "container-selinux": container("ProcessLabel", ""),
    "container-capabilities": host("CapAdd", ["CAP_NET_ADMIN"]),
    "container-privileged": host("Privileged", True),
    "container-host-directories": mount("/etc"),
    "container-sshd": field("commands", {"web": ["sshd"]}),
    "container-low-ports": publish("127.0.0.1", "80"),
    "container-host-network": host("NetworkMode", "host"),
    "container-memory": host("Memory", 0),
    "container-cpu": host("CpuShares", 0),
    "container-read-only": host("ReadonlyRootfs", False),
    "container-bind-address": publish("0.0.0.0", "8080"),
    "container-restarts": host("RestartPolicy", {"Name": "always", "MaximumRetryCount": 0}),
    "container-host-pid": host("PidMode", "host"),
    "container-host-ipc": host("IpcMode", "host"),
    "container-propagation": mount("/srv", Propagation="rshared"),
    "container-host-uts": host("UTSMode", "host"),
    "container-seccomp": opt("no-new-privileges", "seccomp=unconfined"),
    "container-cgroup-parent": host("CgroupParent", "/mine"),
    "container-no-new-privileges": opt("no-new-privileges:false"),
    "container-health": container("State", {}),
    "container-pids": host("PidsLimit", None),
    "container-host-userns": host("UsernsMode", "host"),
    "container-api-socket": mount("/var/run/docker.sock"),
    # as Docker shows a container that was run with systempaths=unconfined: the client forgets the option
    "container-unmasked": lambda scene: scene.containers[0]["HostConfig"].update(MaskedPaths=[], ReadonlyPaths=[]),
    "swarm-inactive": info("Swarm", value=SWARM),
    "swarm-managers": info("Swarm", "Managers", value=2),
    "swarm-encrypted": lambda scene: scene.networks[1].update(Options=None),
    "swarm-locked": info("Swarm", "Cluster", "Spec", "EncryptionConfig", value={"AutoLockManagers": False}),
    **{f"file-{id_}-owner": stat_(path, 0o400, uid=5) for id_, path in FILES.items()},
    **{f"file-{id_}-mode": stat_(path, 0o777) for id_, path in FILES.items()},
    **{check.id: unwatched(
        {"host-watch-data": "/var/lib/docker"}.get(check.id) or check.title.removeprefix("The audit daemon watches "))
       for check in CHECKS if check.id.startswith("host-watch-")},
}  # fmt: skip
SOCKET_UNIT = "/usr/lib/systemd/system/docker.socket"
DROP_IN = "/etc/systemd/system/docker.socket.d/tcp.conf"
COVERED = dict.fromkeys((*MASKED, *READ_ONLY), "ro")
CAPS = "00000000a80425fb"  # Docker's default


def all_of(*changes):
    def change(scene):
        for one in changes:
            one(scene)

    return change


def handed(unit, drop_in=""):
    """A daemon that systemd hands its sockets to, without TLS."""
    return all_of(told("hosts", ["fd://"]), told_more("tlsverify", False), text(SOCKET_UNIT, unit),
                  text(DROP_IN, drop_in))  # fmt: skip


def told_more(word, value):
    """Change daemon.json once more."""
    def change(scene):
        import json

        path = "/etc/docker/daemon.json"
        scene.files.texts[path] = json.dumps({**json.loads(scene.files.texts[path]), word: value})

    return change


def started(*words):
    return field("argv", ["dockerd", *words])


def process(**seen):
    return field("processes", {"web": {"Seccomp": "2", "NoNewPrivs": "1", "CapBnd": CAPS, **seen}})


def volume(**options):
    return all_of(container("Mounts", [{"Type": "volume", "Name": "v", "Source": "/var/lib/docker/volumes/v/_data",
                                        "RW": True}]), field("volumes", {"v": options}))  # fmt: skip


def covered(**changes):
    """What the kernel shows mounted over paths of /proc and /sys; None takes one away."""
    paths = {**COVERED, **{name.replace("__", "/").replace("_", "-"): value for name, value in changes.items()}}
    return all_of(field("kernel_paths", list(COVERED)),
                  field("covered", {"web": {path: seen for path, seen in paths.items() if seen is not None}}))


def policy(default, **scopes):
    import json

    transports = {name: {scope: [{"type": kind}] for scope, kind in asked.items()} for name, asked in scopes.items()}
    return text(POLICY, json.dumps({"default": [{"type": default}], "transports": transports}))


ANYTHING = "insecureAcceptAnything"
# other ways to the same fault, and what only looks like one
OTHERWISE = [
    ("container-api-socket", mount("/run"), State.FAIL), ("container-api-socket", mount("/var/run"), State.FAIL),
    ("container-api-socket", mount("/"), State.FAIL), ("container-api-socket", mount("/var"), State.PASS),
    ("container-api-socket", volume(type="none", o="bind", device="/run/docker.sock"), State.FAIL),
    ("container-api-socket", all_of(told("hosts", ["unix:///srv/api/d.sock"]), mount("/srv/api/d.sock")), State.FAIL),
    ("container-api-socket", all_of(
        told("hosts", ["unix:///srv/api/d.sock"]), stat_("/srv/api/d.sock", 0o660, kind="socket"), mount("/srv/api")),
     State.FAIL),
    ("container-api-socket", mount("/srv/api"), State.PASS), ("container-api-socket", mount("/run/docker"), State.PASS),
    *(("container-host-directories", mount(path), State.FAIL) for path in (
        "/", "/etc/shadow", "/usr/bin", "/proc/1", "/home", "/var", "/run", "/var/run", "/var/lib", "/root/.ssh",
        "/etc/hosts", "/lib/x", "/var/lib/docker/volumes")),
    *(("container-host-directories", mount(path), State.PASS) for path in (
        "/home/alice/site", "/srv", "/etcetera", "/opt/x", "/var/lib/web")),
    *(("container-host-directories", mount(path, RW=False), State.PASS) for path in (
        "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/etc/localtime", "/usr/share/zoneinfo/UTC")),
    ("container-host-directories", mount("/etc/shadow", RW=False), State.FAIL),
    ("container-host-directories", volume(type="none", o="bind,rw", device="/etc"), State.FAIL),
    ("container-host-directories", volume(type="none", o="bind", device="/srv/x"), State.PASS),
    ("container-host-directories", volume(type="tmpfs", device="tmpfs"), State.PASS),
    ("container-seccomp", process(Seccomp="0"), State.FAIL), ("container-seccomp", process(), State.PASS),
    ("container-capabilities", process(CapBnd="00000000a80435fb"), State.FAIL),  # NET_ADMIN
    ("container-capabilities", process(), State.PASS),
    ("container-no-new-privileges", process(NoNewPrivs="0"), State.FAIL),
    ("container-no-new-privileges", all_of(opt(), told("no-new-privileges", False), process()), State.PASS),
    ("container-no-new-privileges", all_of(opt(), started("--no-new-privileges=1")), State.PASS),
    ("container-no-new-privileges", all_of(opt(), started("--no-new-privileges=0")), State.FAIL),
    ("container-no-new-privileges", opt("no-new-privileges:0"), State.FAIL),
    ("container-unmasked", host("MaskedPaths", list(MASKED)[1:]), State.FAIL),
    ("container-unmasked", host("ReadonlyPaths", []), State.FAIL),
    ("container-unmasked", host("MaskedPaths", None), State.PASS),
    ("container-unmasked", opt("no-new-privileges", "unmask=/proc/keys"), State.FAIL),
    ("container-unmasked", covered(), State.PASS),
    ("container-unmasked", covered(__proc__keys=None), State.FAIL),
    ("container-unmasked", covered(__proc__sys="rw,nosuid"), State.FAIL),
    *(("daemon-iptables", started(f"--iptables={no}"), State.FAIL) for no in ("0", "false", "False", "F", "f")),
    *(("daemon-iptables", started(f"--iptables={yes}"), State.PASS) for yes in ("1", "true", "T")),
    ("daemon-userland-proxy", started("--userland-proxy=0"), State.PASS),
    ("daemon-userland-proxy", started("--userland-proxy=1"), State.FAIL),
    ("daemon-no-new-privileges", started("--no-new-privileges=t"), State.PASS),
    ("daemon-tls", started("--tlsverify=0", "-H", "tcp://:1"), State.FAIL),
    ("daemon-tls", handed("[Socket]\nListenStream=/run/docker.sock\n"), State.NOT_APPLICABLE),
    ("daemon-tls", handed("[Socket]\nListenStream=0.0.0.0:2375\n"), State.FAIL),
    ("daemon-tls", handed("[Socket]\nListenStream=/run/docker.sock\n", "[Socket]\nListenStream=2375\n"), State.FAIL),
    ("daemon-tls", handed("[Socket]\nListenStream=2375\n", "[Socket]\nListenStream=\n"), State.NOT_APPLICABLE),
    ("daemon-tls", all_of(handed("ListenStream=2375"), told_more("tlsverify", True)), State.PASS),
    ("daemon-tls", field("plain", "tcp://192.0.2.1:2375"), State.FAIL),
    ("daemon-tls", all_of(text("/etc/docker/daemon.json", "{}"), field("listening", ["[::]:2375"])), State.FAIL),
    ("daemon-tls", all_of(text("/etc/docker/daemon.json", '{"metrics-addr": "127.0.0.1:9323"}'),
                          field("listening", ["127.0.0.1:9323"])), State.NOT_APPLICABLE),
    ("daemon-tls", all_of(text("/etc/docker/daemon.json", "{}"), field("listening", ["[::]:2377"]),
                          info("Swarm", value=SWARM)), State.NOT_APPLICABLE),
    ("daemon-tls", all_of(text("/etc/docker/daemon.json", "{}"), field("listening", ["127.0.0.1:8080"])),
     State.NOT_APPLICABLE),  # a port of a container
    ("daemon-tls", all_of(text("/etc/docker/daemon.json", "{}"), field("listening", ["[::]:443"]), field("services", [
        {"Endpoint": {"Ports": [{"PublishedPort": 443}]}}])), State.NOT_APPLICABLE),
    ("podman-policy", policy("reject", docker={"": ANYTHING}), State.FAIL),
    ("podman-policy", policy("reject", docker={"r.example/x": ANYTHING, "": "reject"}), State.FAIL),
    ("podman-policy", policy(ANYTHING, docker={"": "signedBy"}), State.PASS),
    ("podman-policy", policy(ANYTHING, docker={"r.example": "signedBy"}), State.FAIL),
    ("podman-policy", policy("reject", **{"docker-daemon": {"": ANYTHING}}), State.PASS),
    ("podman-policy", text(POLICY, '{"default": [{"type": "reject"}], "transports": {"docker": 1}}'), State.FAIL),
    ("podman-logs", all_of(text(CONF, "[containers]\n"), info("host", "logDriver", value="journald")), State.PASS),
    ("podman-logs", all_of(text(CONF, "[containers]\n"), info("host", "logDriver", value="k8s-file")), State.FAIL),
    ("podman-logs", all_of(text(CONF, '[containers]\nlog_driver = "k8s-file"\n'),
                           info("host", "logDriver", value="journald")), State.FAIL),
    ("podman-service-tcp", text("/etc/systemd/system/podman.service.d/x.conf",
                                "[Service]\nExecStart=\nExecStart=/usr/bin/podman system service tcp:0.0.0.0:1\n"),
     State.FAIL),
]  # fmt: skip
# checks that a person decides -> what makes them come to a verdict themselves, where anything does
BY_HAND = {
    "host-trusted-users": (text("/etc/group", "root:x:0:\n"), State.NOT_APPLICABLE),
    "daemon-rootless": (info("SecurityOptions", value=["name=rootless"]), State.PASS),
    "podman-rootless": (None, State.PASS),
    "daemon-default-ulimit": (None, State.PASS),
    "image-update-alone": (None, State.PASS),
    "image-add": (None, State.PASS),
    "container-ports": (container("NetworkSettings", {}), State.PASS),
    "container-devices": (None, State.PASS),
    "container-ulimits": (None, State.PASS),
    "container-default-bridge": (None, State.PASS),
    **dict.fromkeys(("swarm-address", "swarm-secrets", "swarm-key-rotation", "swarm-certificates", "swarm-ca",
                     "swarm-data-plane"), (info("Swarm", value={}), State.NOT_APPLICABLE)),
}  # fmt: skip
ASKED = {
    "podman-rootless": info("host", "security", "rootless", value=False),
    "daemon-default-ulimit": told("default-ulimits", {}),
    "image-update-alone": history("RUN apt-get update"),
    "image-add": history("ADD https://example.org/x /x"),
    "container-devices": host("Devices", [{"PathOnHost": "/dev/kvm"}]),
    "container-ulimits": host("Ulimits", None),
    "container-default-bridge": container("NetworkSettings", {"Networks": {"bridge": {}}}),
}
ALWAYS_BY_HAND = {
    "host-hardened", "host-version", "image-base", "image-packages", "image-patches", "image-setuid",
    "image-verified-packages", "image-signed-artifacts", "container-exec-privileged", "container-exec-root",
    "container-latest", "sprawl-images", "sprawl-containers",
}  # fmt: skip


def state(made, id_, change=None):
    check = BY_ID[id_]
    managed = id_.startswith("swarm-") and id_ != "swarm-inactive"
    scene = well(made, check.engines[0], swarm=managed)
    if change:
        change(scene)
    return check.judge(scene).state


def test_every_check_is_tried():
    assert set(FAULTS) | set(BY_HAND) | ALWAYS_BY_HAND == set(BY_ID)
    assert len(BY_ID) == len(CHECKS)
    assert not set(FAULTS) & (set(BY_HAND) | ALWAYS_BY_HAND)
    assert set(FAULTS) == {check.id for check in CHECKS if check.scored}


@pytest.mark.parametrize("id_", FAULTS)
def test_scored_checks_pass_and_fail(scenes, id_):
    assert (state(scenes, id_), state(scenes, id_, FAULTS[id_])) == (State.PASS, State.FAIL)


@pytest.mark.parametrize(("id_", "change", "expected"), OTHERWISE, ids=[
    f"{number}-{id_}-{expected}" for number, (id_, _, expected) in enumerate(OTHERWISE)
])  # fmt: skip
def test_other_ways_to_a_fault_and_what_only_looks_like_one(scenes, id_, change, expected):
    assert state(scenes, id_, change) is expected


@pytest.mark.parametrize(("text_", "expected"), [
    *((word, True) for word in ("1", "t", "T", "true", "TRUE", "True")),
    *((word, False) for word in ("0", "f", "F", "false", "FALSE", "False")),
    *((word, None) for word in ("", "yes", "tRUE", "2")),
])  # fmt: skip
def test_booleans_are_those_of_go(text_, expected):
    assert boolean(text_) is expected


@pytest.mark.parametrize("id_", BY_HAND)
def test_others_ask_only_when_there_is_a_question(scenes, id_):
    settles, settled = BY_HAND[id_]
    assert (state(scenes, id_, settles), state(scenes, id_, ASKED.get(id_))) == (settled, State.MANUAL)


@pytest.mark.parametrize("id_", sorted(ALWAYS_BY_HAND))
def test_some_are_for_people_only(scenes, id_):
    assert state(scenes, id_) is State.MANUAL


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_nothing_fails_where_all_is_well(scenes, engine):
    findings = judge(CHECKS, well(scenes, engine))
    assert len(findings) > 70
    assert [one.check.id for one in findings if one.failed] == []


@pytest.mark.parametrize("id_", [id_ for id_, check in BY_ID.items() if check.area == "files" or "watch" in id_])
def test_what_is_hidden_is_never_a_pass(scenes, id_):
    scene = well(scenes, BY_ID[id_].engines[0])
    scene.hidden = "the engine is on another machine"
    assert BY_ID[id_].judge(scene).state is State.INCONCLUSIVE


@pytest.mark.parametrize("id_", [
    "daemon-log-level", "daemon-iptables", "daemon-cgroup-parent", "daemon-userland-proxy", "daemon-base-size",
])  # fmt: skip
def test_without_its_options_a_daemon_is_not_judged(scenes, id_):
    def lost(scene):
        scene.argv = None
        scene.files.texts["/etc/docker/daemon.json"] = "{}"

    assert state(scenes, id_, lost) is State.INCONCLUSIVE


def test_a_host_pid_container_shows_the_hosts_sshd(scenes):
    def both(scene):
        FAULTS["container-host-pid"](scene)
        FAULTS["container-sshd"](scene)

    assert state(scenes, "container-sshd", both) is State.PASS
    assert state(scenes, "container-host-pid", both) is State.FAIL


@pytest.mark.parametrize(("id_", "kind"), [
    ("container-host-network", "net"), ("container-host-pid", "pid"), ("container-host-ipc", "ipc"),
    ("container-host-uts", "uts"),
])  # fmt: skip
def test_what_the_kernel_shows_counts_where_the_engine_is_silent(scenes, id_, kind):
    assert state(scenes, id_, field("shared", {"web": [kind]})) is State.FAIL
    assert state(scenes, id_, field("shared", {"web": []})) is State.PASS


def test_nothing_runs(scenes):
    assert state(scenes, "container-memory", field("containers", [])) is State.NOT_APPLICABLE


@pytest.mark.parametrize(("argv", "expected"), [
    (["dockerd", "--icc=false", "-H", "unix:///x", "-Htcp://:1", "-D"],
     {"icc": ["false"], "host": ["unix:///x", "tcp://:1"], "debug": ["true"]}),
    (["dockerd", "--log-level", "warn", "--live-restore", "--config-file=/x.json"],
     {"log-level": ["warn"], "live-restore": ["true"], "config-file": ["/x.json"]}),
    (["dockerd", "--insecure-registry"], {"insecure-registry": [""]}),
    (["dockerd"], {}),
])  # fmt: skip
def test_options_of_the_daemon(argv, expected):
    assert options(argv) == expected


def test_severities_are_ordered():
    scores = [one.score for one in Severity]
    assert scores == sorted(scores, reverse=True)
    assert Severity.CRITICAL.at_least(Severity.HIGH)
    assert not Severity.LOW.at_least(Severity.MEDIUM)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_says_what_to_do(check):
    assert check.remedy
    assert check.title[0] == check.title[0].upper() or check.title.startswith(("/", "daemon.json", "docker."))
    assert check.level in (1, 2)
