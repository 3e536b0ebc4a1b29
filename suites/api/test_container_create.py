"""POST /containers/create: what is asked for is in the description and in the container."""

import json

import pytest

from seatrial.expecting import one

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("api-050", "api-054")
def test_create_answers_with_a_full_id_and_nothing_runs(api, engine):
    answer = api.post("/containers/create", expect=201, query={"name": engine.name()}, json={"Image": engine.image})
    made = answer.json()
    assert len(made["Id"]) == 64 and int(made["Id"], 16)
    assert made["Warnings"] in ([], None)
    state = api.get(f"/containers/{made['Id']}/json").json()["State"]
    assert (state["Status"], state["Running"], state["Pid"]) == ("created", False, 0)


@claim("api-050")
def test_a_container_without_a_name_gets_one(api, engine):
    made = api.post("/containers/create", expect=201, json={"Image": engine.image}).json()
    name = api.get(f"/containers/{made['Id']}/json").json()["Name"]
    assert name.startswith("/") and len(name) > 3
    assert api.get(f"/containers{name}/json").json()["Id"] == made["Id"]


CONFIG = [
    ("Hostname", "berth", "hostname", "berth"),
    ("User", "1000:37", "id -u; id -g", "1000\n37"),
    ("User", "operator", "id -un", "operator"),
    ("Env", ["WORD=two words", "EMPTY="], "echo \"[$WORD][$EMPTY]\"", "[two words][]"),
    ("WorkingDir", "/var/tmp", "pwd", "/var/tmp"),
    ("Domainname", "example.org", "cat /proc/sys/kernel/domainname", "example.org"),
    ("Tty", True, "tty", "/dev/pts/0"),
]


@claim("api-051")
@pytest.mark.parametrize(("field", "value", "script", "seen"), CONFIG,
                         ids=[f"{field}-{number}" for number, (field, *_) in enumerate(CONFIG)])  # fmt: skip
def test_settings_are_described_and_take_effect(api, field, value, script, seen):
    c = api.sh(script, **{field: value})
    kept = c.inspect()["Config"][field]
    if isinstance(value, list):
        assert set(value) <= set(kept)
    else:
        assert kept == value
    assert c.wait() == 0
    assert _text(c, terminal=field == "Tty") == seen


@claim("api-051")
@pytest.mark.parametrize(
    ("field", "value"), [("Labels", {"key": "value"}), ("ExposedPorts", {"80/tcp": {}, "53/udp": {}})],
    ids=["Labels", "ExposedPorts"],
)  # fmt: skip
def test_what_is_only_told_is_described(api, field, value):
    c = api.create(**{field: value})
    assert value.items() <= c.inspect()["Config"][field].items()


@claim("api-051")
def test_the_signal_of_a_stop_is_described(api):
    assert api.create(StopSignal="SIGUSR1").inspect()["Config"]["StopSignal"] == "SIGUSR1"


@claim("api-051")
def test_the_signal_of_a_stop_is_what_a_stop_sends(api):
    c = api.sh("trap 'echo usr1; exit 0' USR1; echo ready; while :; do sleep 0.05; done", StopSignal="SIGUSR1")
    c.until("ready", lambda: c.output().stdout)
    c.post("stop", expect=204, query={"t": 20})
    assert c.output().stdout == b"ready\nusr1\n"


def _text(c, *, terminal=False):
    query = {"stdout": True, "stderr": True}
    data = c.get("logs", query=query).body if terminal else c.output().stdout
    return data.decode().replace("\r\n", "\n").strip()


HOST = [
    ("ReadonlyRootfs", True, "touch /x 2>/dev/null || echo refused", "refused"),
    ("Dns", ["192.0.2.7"], "grep -c 192.0.2.7 /etc/resolv.conf", "1"),
    ("DnsSearch", ["example.org"], "grep -o example.org /etc/resolv.conf", "example.org"),
    ("DnsOptions", ["ndots:3"], "grep -o ndots:3 /etc/resolv.conf", "ndots:3"),
    ("ExtraHosts", ["pier:192.0.2.8"], "grep -c '192.0.2.8.*pier' /etc/hosts", "1"),
    ("CapDrop", ["CHOWN"], "chown 1 /etc 2>/dev/null || echo refused", "refused"),
    ("NetworkMode", "none", "ls /sys/class/net", "lo"),
    ("ShmSize", 1048576, "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "1024"),
    ("OomScoreAdj", 77, "cat /proc/self/oom_score_adj", "77"),
    ("Init", True, "tr '\\0' ' ' </proc/1/cmdline | grep -c init", "1"),
    ("GroupAdd", ["37"], "id -G | tr ' ' '\\n' | grep -x 37", "37"),
    ("Sysctls", {"net.ipv4.ip_default_ttl": "77"}, "cat /proc/sys/net/ipv4/ip_default_ttl", "77"),
    ("Devices", [{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/pier", "CgroupPermissions": "r"}],
     "head -c 7 /dev/pier | wc -c", "7"),
    ("SecurityOpt", ["no-new-privileges"], "grep NoNewPrivs /proc/self/status | tr -d '\\t'", "NoNewPrivs:1"),
    ("IpcMode", "none", "grep -q ' /dev/shm ' /proc/mounts || echo none", "none"),
    ("MaskedPaths", ["/proc/meminfo"], "wc -c </proc/meminfo", "0"),
    ("ReadonlyPaths", ["/etc"], "touch /tmp/x && ! touch /etc/x 2>/dev/null && echo refused", "refused"),
]  # fmt: skip


@claim("api-051")
@pytest.mark.parametrize(("field", "value", "script", "seen"), HOST, ids=[field for field, *_ in HOST])
def test_settings_of_the_host_are_described_and_take_effect(api, field, value, script, seen):
    c = api.sh(script, HostConfig={field: value})
    assert c.wait() == 0, c.output()
    assert c.output().stdout.decode().strip() == seen
    assert c.inspect()["HostConfig"].get(field) == value


@claim("api-051")
@requires("seccomp")
@pytest.mark.parametrize(
    ("value", "seen"),
    [pytest.param(True, "Seccomp:0", marks=requires("privileged"), id="on"),
     pytest.param(False, "Seccomp:2", id="off")],
)  # fmt: skip
def test_privileges_are_described_and_take_the_filter_away(api, value, seen):
    c = api.sh("grep ^Seccomp: /proc/self/status | tr -d '\\t'", HostConfig={"Privileged": value})
    assert c.wait() == 0, c.output()
    assert c.output().stdout.decode().strip() == seen
    assert c.inspect()["HostConfig"]["Privileged"] is value


@claim("api-051")
def test_volumes_of_another_are_described_and_shared(api):
    volume = api.volume()
    owner = api.create(HostConfig={"Binds": [f"{volume}:/hold"]})
    c = api.sh("echo cargo >/hold/cargo", HostConfig={"VolumesFrom": [owner.name]})
    assert c.wait() == 0, c.output()
    reader = api.sh("cat /hold/cargo", HostConfig={"VolumesFrom": [owner.name]})
    assert reader.wait() == 0, reader.output()
    assert reader.output().stdout == b"cargo\n"
    assert [(mount["Name"], mount["Destination"]) for mount in c.inspect()["Mounts"]] == [(volume, "/hold")]
    assert c.inspect()["HostConfig"]["VolumesFrom"] == [owner.name]


@claim("api-051")
def test_a_log_driver_is_described_and_nothing_is_kept_by_none(api):
    kept, lost = api.sh("echo word"), api.sh("echo word", HostConfig={"LogConfig": {"Type": "none", "Config": {}}})
    assert (kept.wait(), lost.wait()) == (0, 0)
    assert kept.output().stdout == b"word\n"
    assert lost.inspect()["HostConfig"]["LogConfig"]["Type"] == "none"
    assert b"word\n" not in lost.get("logs", expect=None, query={"stdout": True}).body


KINDS = {"IpcMode": "ipc", "PidMode": "pid", "UTSMode": "uts"}


@claim("api-051")
@pytest.mark.parametrize("field", list(KINDS))
def test_the_hosts_namespace_is_described_and_joined(api, host_namespace, field):
    c = api.run(HostConfig={field: "host"})
    assert {name: c.kernel.namespace(kind) == host_namespace(kind) for name, kind in KINDS.items()} == {
        name: name == field for name in KINDS
    }
    assert c.inspect()["HostConfig"][field] == "host"


@claim("api-051")
@pytest.mark.parametrize("field", ["IpcMode", "PidMode"])
def test_the_namespace_of_another_is_described_and_joined(api, field):
    owner, stranger = (api.run(HostConfig={"IpcMode": "shareable"}) for _ in range(2))
    c = api.run(HostConfig={field: f"container:{owner.id}"})
    kind = KINDS[field]
    assert c.kernel.namespace(kind) == owner.kernel.namespace(kind) != stranger.kernel.namespace(kind)
    assert c.inspect()["HostConfig"][field] == f"container:{owner.id}"


@claim("api-051")
def test_a_link_address_is_described_and_that_of_the_interface(api):
    c = api.sh("cat /sys/class/net/eth0/address; sleep 60", MacAddress="02:42:ac:77:00:07")
    c.until("its address", lambda: c.output().stdout)
    assert c.output().stdout == b"02:42:ac:77:00:07\n"
    network = one(c.inspect()["NetworkSettings"]["Networks"].values())
    assert network["MacAddress"] == "02:42:ac:77:00:07"


@claim("api-051")
def test_all_exposed_ports_are_published_when_told_so(api):
    exposed = {"80/tcp": {}, "53/udp": {}}
    c, other = (api.run(ExposedPorts=exposed, HostConfig={"PublishAllPorts": all_}) for all_ in (True, False))
    ports = c.inspect()["NetworkSettings"]["Ports"]
    assert set(ports) == set(exposed)
    assert all(0 < int(bindings[0]["HostPort"]) < 65536 for bindings in ports.values())
    assert not any((other.inspect()["NetworkSettings"]["Ports"] or {}).values())
    assert [made.inspect()["HostConfig"]["PublishAllPorts"] for made in (c, other)] == [True, False]


@claim("api-051")
def test_a_tmpfs_is_described_and_mounted(api):
    c = api.sh("grep ' /scratch tmpfs ' /proc/mounts", HostConfig={"Tmpfs": {"/scratch": "size=64k"}})
    assert c.wait() == 0
    assert b"size=64k" in c.output().stdout
    assert "size=64k" in c.inspect()["HostConfig"]["Tmpfs"]["/scratch"]


@claim("api-051")
def test_ulimits_are_described_and_reach_the_process(api, engine):
    # both that some engines raise to the kernel's most when one alone is named, which not every root can
    asked = {"nofile": (111, 222), "nproc": (4000, 5000)}
    c = api.run(HostConfig={
        "Ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in asked.items()]})  # fmt: skip
    assert c.kernel.limits["Max open files"] == ("111", "222")
    assert c.kernel.limits["Max processes"] == ("4000", "5000")
    described = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in c.inspect()["HostConfig"]["Ulimits"]}
    names = engine.trait("api_ulimit_names")
    assert {name: described.get(names[name]) for name in asked} == asked


LIMITS = [
    ("Memory", 67108864, "memory", "memory"),
    ("CpuShares", 512, "cpu_shares", "cpu_shares"),
    ("CpuQuota", 50000, "cpu_quota", "cpu_quota"),
    ("CpuPeriod", 20000, "cpu_period", "cpu_period"),
    ("PidsLimit", 44, "pids", "pids"),
    ("MemoryReservation", 33554432, "memory_reservation", "memory"),
]


@claim("api-051")
@pytest.mark.parametrize(
    ("field", "value", "limit"), [pytest.param(*row[:3], marks=requires(row[3]), id=row[0]) for row in LIMITS]
)
def test_limits_are_described_and_reach_the_kernel(api, field, value, limit):
    c = api.run(HostConfig={field: value})
    assert c.inspect()["HostConfig"][field] == value
    assert c.kernel.cgroup(limit) == value


@claim("api-051")
@requires("memory", "swap")
def test_a_limit_of_memory_and_swap_is_described_and_reaches_the_kernel(api):
    c = api.run(HostConfig={"Memory": 67108864, "MemorySwap": 134217728})
    assert c.inspect()["HostConfig"]["MemorySwap"] == 134217728
    assert (c.kernel.cgroup("memory"), c.kernel.cgroup("memory_and_swap")) == (67108864, 134217728)


@claim("api-051")
@requires("cpuset")
def test_processors_are_described_and_reach_the_kernel(api):
    c = api.run(HostConfig={"CpusetCpus": "0"})
    assert c.inspect()["HostConfig"]["CpusetCpus"] == "0"
    assert c.kernel.cgroup_text("cpus") == c.kernel.status["Cpus_allowed_list"] == "0"


@claim("api-052")
@requires("memory")
def test_a_limit_at_the_top_of_the_body_is_that_of_old_clients(api):
    c = api.run(Memory=67108864)
    assert c.inspect()["HostConfig"]["Memory"] == 67108864
    assert c.kernel.cgroup("memory") == 67108864


@claim("api-051")
@pytest.mark.parametrize("command", ["echo word", ["echo", "word"]], ids=["string", "array"])
def test_the_command_is_a_string_or_an_array(api, engine, command):
    c = api.create(Image=engine.image, Cmd=command)
    assert c.inspect()["Config"]["Cmd"] == ([command] if isinstance(command, str) else command)


@claim("api-051")
def test_entrypoint_and_command_make_the_process(api, engine):
    c = api.run(Image=engine.image, Entrypoint=["echo", "-n"], Cmd=["two  words", "$HOME"])
    assert c.wait() == 0
    assert c.output().stdout == b"two  words $HOME"
    described = c.inspect()
    assert (described["Path"], described["Args"]) == ("echo", ["-n", "two  words", "$HOME"])


@claim("api-051")
def test_an_empty_entrypoint_takes_that_of_the_image_away(api, engine):
    image = engine.image_name()
    built = api.create(Image=engine.image)
    repo, tag = image.rsplit(":", 1)
    api.post("/commit", expect=201, query={"container": built.name, "repo": repo, "tag": tag,
             "changes": 'ENTRYPOINT ["false"]'}, json={})  # fmt: skip
    c = api.run(Image=image, Entrypoint=[""], Cmd=["true"])
    assert c.wait() == 0


@claim("api-051", "api-056")
def test_mounts_are_described_and_seen(api, engine):
    (engine.workdir / "cargo").write_text("seen\n")
    volume = api.volume()
    c = api.sh(
        "cat /from-host/cargo && ! touch /from-host/x 2>/dev/null && touch /vol/x",
        HostConfig={"Binds": [f"{engine.workdir}:/from-host:ro"],
                    "Mounts": [{"Type": "volume", "Source": volume, "Target": "/vol"}]},
    )  # fmt: skip
    assert c.wait() == 0, c.output()
    assert c.output().stdout == b"seen\n"
    mounts = {mount["Destination"]: mount for mount in c.inspect()["Mounts"]}
    assert (mounts["/from-host"]["Type"], mounts["/from-host"]["Source"]) == ("bind", str(engine.workdir))
    assert (mounts["/from-host"]["RW"], mounts["/vol"]["RW"]) == (False, True)
    assert (mounts["/vol"]["Type"], mounts["/vol"]["Name"]) == ("volume", volume)


@claim("api-051", "api-056")
def test_published_ports_are_described_while_it_runs(api):
    c = api.create(ExposedPorts={"80/tcp": {}}, HostConfig={"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}]}})
    c.start()
    bindings = c.inspect()["NetworkSettings"]["Ports"]["80/tcp"]
    assert bindings[0]["HostIp"] == "127.0.0.1"
    assert 0 < int(bindings[0]["HostPort"]) < 65536


@claim("api-051")
def test_volumes_of_the_body_are_anonymous_volumes(api, engine):
    c = api.create(Volumes={"/data": {}})
    mount = one(c.inspect()["Mounts"])
    assert (mount["Type"], mount["Destination"], len(mount["Name"])) == ("volume", "/data", 64)
    engine.track("volume", mount["Name"])
    assert engine.exists(mount["Name"], "volume")


@claim("api-051")
def test_a_container_with_autoremove_is_gone_after_its_end(api):
    c = api.sh("true", HostConfig={"AutoRemove": True})
    c.until("gone", lambda: c.get(expect=None).status == 404)


@claim("api-053", "api-071")
def test_an_unknown_image_is_not_found_and_nothing_is_made(api, engine):
    name = engine.name()
    api.refuses("POST", "/containers/create", 404, query={"name": name}, json={"Image": "nosuch/image:1"},
                says="no_such_image")  # fmt: skip
    api.get(f"/containers/{name}/json", expect=404)


@claim("api-053")
def test_a_name_that_is_taken_is_a_conflict_that_names_the_owner(api, engine):
    c = api.create()
    query, body = {"name": c.name}, {"Image": engine.image}
    answer = api.refuses("POST", "/containers/create", 409, query=query, json=body)
    assert c.id in answer.message and c.name in answer.message
    assert c.inspect()["Id"] == c.id


@claim("api-053", "api-099")
@pytest.mark.parametrize("name", ["a", "a b", "-a", "_a", ".a", "a/b", "a:b", "ü", "a\n", "/"], ids=ascii)
def test_bad_names_are_refused(api, engine, name):
    api.refuses("POST", "/containers/create", 400, query={"name": name}, json={"Image": engine.image})


@claim("api-099")
@pytest.mark.parametrize("tail", ["A", "_", ".", "-", "0", "x" * 200], ids=["A", "_", ".", "-", "0", "long"])
def test_good_names_are_taken_as_they_are(api, engine, tail):
    c = api.create(name=engine.name() + tail)
    assert c.inspect()["Name"] == f"/{c.name}"


REFUSED = [
    {"HostConfig": {"Memory": 1}},
    {"HostConfig": {"Memory": -5}},
    {"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}},
    {"HostConfig": {"RestartPolicy": {"Name": "always"}, "AutoRemove": True}},
    {"HostConfig": {"PortBindings": {"banana/tcp": [{}]}}},
    {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}},
    {"HostConfig": {"Binds": ["relative:/a:rx"]}},
    {"HostConfig": {"Binds": ["/a:relative"]}},
    {"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/nosuch-source", "Target": "/a"}]}},
    {"HostConfig": {"Mounts": [{"Type": "banana", "Target": "/a"}]}},
    {"HostConfig": {"CapAdd": ["BANANA"]}},
    {"HostConfig": {"OomScoreAdj": 5000}},
    {"HostConfig": {"ShmSize": -1}},
    {"Env": ["=x"]},
    {"StopSignal": "SIGBANANA"},
    {"WorkingDir": "relative"},
    {"Healthcheck": {"Interval": 1}},
]


@claim("api-051", "api-071")
@pytest.mark.parametrize("body", REFUSED, ids=json.dumps)
def test_settings_that_make_no_sense_are_refused(api, engine, body):
    name = engine.name()
    api.refuses("POST", "/containers/create", 400, query={"name": name},
                json={"Image": engine.image, **body})  # fmt: skip
    api.get(f"/containers/{name}/json", expect=404)
