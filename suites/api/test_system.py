"""What the engine tells of itself: info, df, version; swarm endpoints outside of a swarm and in one."""

import base64
import os

import pytest

from seatrial.api.containers import ApiContainer
from seatrial.expecting import one

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("api-150")
def test_info_describes_the_machine_as_the_kernel_does(api, engine):
    told = api.get("/info").json()
    assert told["KernelVersion"] == os.uname().release
    assert told["NCPU"] == os.cpu_count()
    assert told["MemTotal"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert (told["OSType"], told["Architecture"]) == ("linux", engine.trait("api_machine"))
    assert told["Driver"] == engine.facts["storage"]
    assert told["ServerVersion"].startswith(api.get("/version").json()["Version"])


@claim("api-150")
@pytest.mark.exclusive
def test_info_counts_containers_by_state(api):
    api.create(), api.run()
    told = api.get("/info").json()
    assert told["ContainersRunning"] >= 1
    assert told["Containers"] >= told["ContainersRunning"] + 1
    assert told["Containers"] == told["ContainersRunning"] + told["ContainersPaused"] + told["ContainersStopped"]
    assert told["Images"] >= 1


@claim("api-150")
def test_info_names_runtimes_and_drivers(api):
    told = api.get("/info").json()
    assert told["DefaultRuntime"] in told["Runtimes"]
    assert "local" in told["Plugins"]["Volume"]
    assert "bridge" in told["Plugins"]["Network"]


@claim("api-150")
def test_info_names_the_log_driver(api, engine):
    assert api.get("/info").json()["LoggingDriver"] == engine.trait("default_log_driver")


@claim("api-151")
def test_df_lists_what_there_is(api, engine):
    volume = api.volume()
    c = api.sh("dd if=/dev/zero of=/v/x bs=1k count=100 2>/dev/null; dd if=/dev/zero of=/y bs=1k count=50 2>/dev/null",
               HostConfig={"Binds": [f"{volume}:/v"]})  # fmt: skip
    c.wait()
    told = api.get("/system/df").json()
    image = one(row for row in told["Images"] if row["Id"].endswith(engine.image_id(engine.image)))
    assert image["Size"] > 0 and image["Containers"] >= 1
    mine = one(row for row in told["Containers"] if row["Id"] == c.id)
    assert 51200 <= mine["SizeRw"] < 200000
    usage = one(row for row in told["Volumes"] if row["Name"] == volume)["UsageData"]
    assert 102400 <= usage["Size"] < 200000
    assert usage["RefCount"] == 1
    assert told["LayersSize"] >= image["Size"]


SWARM = [("GET", "/swarm"), ("GET", "/nodes"), ("GET", "/services"), ("GET", "/tasks"), ("GET", "/secrets"),
         ("GET", "/configs"), ("POST", "/swarm/leave"), ("GET", "/swarm/unlockkey")]  # fmt: skip


@claim("api-152", "api-071")
@requires("swarm_inactive", "swarm")
@pytest.mark.parametrize(("method", "path"), SWARM, ids=str)
def test_outside_of_a_swarm_its_endpoints_are_refused(api, method, path):
    api.refuses(method, path, 503, says="swarm")


@claim("api-152")
@requires("swarm")
@pytest.mark.parametrize(
    "body", [{"ListenAddr": "banana"}, {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "x"}], ids=["one", "two"]
)
def test_a_swarm_with_a_bad_address_is_refused(api, body):
    api.refuses("POST", "/swarm/init", 400, json=body)
    assert api.get("/info").json()["Swarm"]["LocalNodeState"] == "inactive"


@pytest.fixture
def swarm(private_engine):
    """An engine of the test's own that is a swarm of one node."""
    d = private_engine()
    d.api.post("/swarm/init", expect=200, json={"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"})
    return d


@claim("api-153")
@requires("swarm", "private_daemon")
def test_a_swarm_of_one_node_has_secrets_configs_and_a_manager(swarm):
    api = swarm.api
    node = one(api.get("/nodes").json())
    assert node["Spec"]["Role"] == "manager"
    assert node["ManagerStatus"]["Leader"] is True
    assert api.get("/info").json()["Swarm"]["LocalNodeState"] == "active"
    data = base64.b64encode(b"the word").decode()
    secret = api.post("/secrets/create", expect=201, json={"Name": "word", "Data": data}).json()["ID"]
    told = api.get(f"/secrets/{secret}").json()
    assert told["Spec"]["Name"] == "word"
    assert "Data" not in told["Spec"]
    config = api.post("/configs/create", expect=201, json={"Name": "word", "Data": data}).json()["ID"]
    assert base64.b64decode(api.get(f"/configs/{config}").json()["Spec"]["Data"]) == b"the word"
    api.refuses("POST", "/secrets/create", 409, json={"Name": "word", "Data": data})
    api.refuses("POST", "/secrets/create", 400, json={"Name": "a b", "Data": data})
    api.delete(f"/secrets/{secret}", expect=204)
    api.refuses("DELETE", f"/secrets/{secret}", 404)
    api.refuses("POST", "/swarm/init", 503, json={"ListenAddr": "127.0.0.1:2377"})
    api.refuses("POST", "/swarm/leave", 503)
    api.post("/swarm/leave", expect=200, query={"force": True})
    api.refuses("GET", "/nodes", 503)


@claim("api-153")
@requires("swarm", "private_daemon")
def test_a_service_runs_its_tasks_and_keeps_their_number(swarm):
    api = swarm.api
    made = api.post("/services/create", expect=201, json={
        "Name": "ship", "TaskTemplate": {"ContainerSpec": {"Image": swarm.image, "Command": ["sleep", "600"]}},
        "Mode": {"Replicated": {"Replicas": 2}}}).json()  # fmt: skip

    def running():
        tasks = api.get("/tasks", query={"filters": {"service": ["ship"], "desired-state": ["running"]}}).json()
        return [task for task in tasks if task["Status"]["State"] == "running"]

    tasks = _until(lambda: running() if len(running()) == 2 else None)
    first = tasks[0]["Status"]["ContainerStatus"]["ContainerID"]
    api.delete(f"/containers/{first}", expect=204, query={"force": True})
    _until(lambda: len(running()) == 2 and first not in str(running()))
    told = api.get(f"/services/{made['ID']}").json()
    spec = {**told["Spec"], "Mode": {"Replicated": {"Replicas": 1}}}
    api.post(f"/services/{made['ID']}/update", expect=200, query={"version": told["Version"]["Index"]}, json=spec)
    _until(lambda: len(running()) == 1)
    api.refuses("POST", f"/services/{made['ID']}/update", 500, query={"version": told["Version"]["Index"]}, json=spec,
                says="out of sequence")  # fmt: skip
    api.delete(f"/services/{made['ID']}", expect=200)
    api.refuses("GET", f"/services/{made['ID']}", 404)


@claim("api-153")
@requires("swarm", "private_daemon")
def test_a_service_sees_its_secret_and_its_config_inside(swarm):
    api = swarm.api
    made = {}
    for kind, word in ("secrets", b"the secret word"), ("configs", b"the open word"):
        told = {"Name": f"word-of-{kind}", "Data": base64.b64encode(word).decode()}
        made[kind] = api.post(f"/{kind}/create", expect=201, json=told).json()["ID"]
    seen = {"Name": "inside", "UID": "37", "GID": "38", "Mode": 0o440}
    secret = {"SecretID": made["secrets"], "SecretName": "word-of-secrets", "File": seen}
    config = {"ConfigID": made["configs"], "ConfigName": "word-of-configs", "File": {**seen, "Name": "/etc/open"}}
    spec = {"Image": swarm.image, "Command": ["sleep", "600"], "Secrets": [secret], "Configs": [config]}
    api.post("/services/create", expect=201, json={"Name": "ship", "TaskTemplate": {"ContainerSpec": spec}})

    def running():
        tasks = api.get("/tasks", query={"filters": {"service": ["ship"], "desired-state": ["running"]}}).json()
        return [task["Status"]["ContainerStatus"]["ContainerID"] for task in tasks
                if task["Status"]["State"] == "running"]  # fmt: skip

    id_ = one(_until(running))
    c = ApiContainer(api, id_, id_)
    script = "cat /run/secrets/inside; echo; cat /etc/open; echo; stat -c %u:%g:%a /run/secrets/inside /etc/open"
    lines = c.execute("sh", "-c", script).frames.stdout.decode().splitlines()
    assert lines == ["the secret word", "the open word", "37:38:440", "37:38:440"]
    assert c.execute("sh", "-c", "echo x >>/run/secrets/inside").code != 0
    assert c.kernel.mount("/run/secrets/inside").fstype == "tmpfs"
    assert "the secret word" not in str(c.inspect())
    api.refuses("DELETE", f"/secrets/{made['secrets']}", 400, says="in use")
    api.refuses("DELETE", f"/configs/{made['configs']}", 400, says="in use")


@claim("api-153")
@requires("swarm", "private_daemon")
def test_a_service_of_a_secret_that_is_not_there_is_refused(swarm):
    secret = {"SecretID": "nosuch", "SecretName": "nosuch", "File": {"Name": "a", "UID": "0", "GID": "0", "Mode": 292}}
    spec = {"Image": swarm.image, "Secrets": [secret]}
    swarm.api.refuses("POST", "/services/create", 400, json={"Name": "ship", "TaskTemplate": {"ContainerSpec": spec}},
                      says="secret")  # fmt: skip
    assert swarm.api.get("/services").json() == []


def _until(condition):
    from seatrial.waiting import wait_until

    return wait_until("the tasks of the service", condition, timeout=60, pause=0.5)
