"""The API as docker-py sees it: what it returns, what it raises, and what the raw API says to that."""

import io

import docker.errors
import pytest

from seatrial import archive

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("api-170", "api-061")
def test_run_returns_the_output(client, engine):
    assert client.containers.run(engine.image, ["echo", "word"], remove=True) == b"word\n"


@claim("api-170")
def test_run_raises_with_code_and_error_output(client, engine):
    with pytest.raises(docker.errors.ContainerError) as caught:
        client.containers.run(engine.image, ["sh", "-c", "echo wrong >&2; exit 3"], name=engine.name())
    assert caught.value.exit_status == 3
    assert caught.value.stderr == b"wrong\n"


@claim("api-170", "api-061")
def test_a_container_of_docker_py_is_that_of_the_api(client, api, engine):
    c = client.containers.run(engine.image, ["sleep", "60"], detach=True, name=engine.name(), hostname="berth",
                              environment={"A": "1"}, labels={"a": "b"}, mem_limit="64m", read_only=True)  # fmt: skip
    told = api.get(f"/containers/{c.name}/json").json()
    assert (told["Id"], told["Config"]["Hostname"], told["Config"]["Labels"]["a"]) == (c.id, "berth", "b")
    assert (told["HostConfig"]["Memory"], told["HostConfig"]["ReadonlyRootfs"]) == (64 * 2**20, True)
    assert "A=1" in told["Config"]["Env"]
    c.reload()
    assert c.status == "running"
    assert c.attrs["State"]["Pid"] == told["State"]["Pid"]


@claim("api-170")
def test_the_life_of_a_container(client, engine):
    c = client.containers.create(engine.image, ["sleep", "60"], name=engine.name())
    assert c.status == "created"
    c.start()
    c.reload()
    assert c.status == "running"
    c.rename(engine.name())
    c.stop(timeout=0)
    assert c.wait()["StatusCode"] == 137
    c.remove()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get(c.id)


@claim("api-170")
@requires("freezer")
def test_pause_and_unpause(client, engine):
    c = client.containers.run(engine.image, ["sleep", "60"], detach=True, name=engine.name())
    c.pause()
    c.reload()
    assert c.status == "paused"
    c.unpause()
    c.reload()
    assert c.status == "running"


@claim("api-171")
def test_logs_whole_and_as_a_stream(client, engine):
    c = client.containers.run(engine.image, ["sh", "-c", "echo one; echo two >&2"], detach=True, name=engine.name())
    c.wait()
    assert sorted(c.logs().splitlines()) == [b"one", b"two"]
    assert c.logs(stdout=False) == b"two\n"
    assert b"".join(c.logs(stream=True, stderr=False)) == b"one\n"


@claim("api-171")
def test_exec_run_whole_demultiplexed_and_as_a_stream(client, engine):
    c = client.containers.run(engine.image, ["sleep", "60"], detach=True, name=engine.name())
    code, output = c.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
    assert (code, output) == (4, (b"out\n", b"err\n"))
    assert b"".join(c.exec_run(["echo", "word"], stream=True).output) == b"word\n"
    assert c.exec_run("id -u", user="37").output == b"37\n"


@claim("api-171")
def test_attach_as_a_stream(client, engine):
    c = client.containers.create(engine.image, ["sh", "-c", "sleep 0.5; echo word"], name=engine.name())
    stream = c.attach(stream=True)
    c.start()
    assert b"".join(stream) == b"word\n"


@claim("api-171")
def test_events_as_a_stream(client, api, engine):
    c = api.create()
    events = client.events(decode=True, filters={"container": [c.id]})
    c.start()
    assert next(event for event in events if event["Action"] == "start")["Actor"]["ID"] == c.id
    events.close()


@claim("api-171")
@requires("cgroup_watch")
def test_stats_and_top(client, engine):
    c = client.containers.run(engine.image, ["sleep", "60"], detach=True, name=engine.name())
    assert c.stats(stream=False)["id"] == c.id
    assert "sleep 60" in str(c.top()["Processes"])


@claim("api-061", "api-116")
def test_archives_in_and_out(client, engine):
    c = client.containers.create(engine.image, ["sleep", "60"], name=engine.name())
    assert c.put_archive("/tmp", archive.tree({"cargo": "load"}))
    stream, told = c.get_archive("/tmp/cargo")
    assert told["name"] == "cargo"
    assert archive.content(b"".join(stream), "cargo") == b"load"


@claim("api-061", "api-038")
def test_build_from_a_file_object(client, engine):
    name = engine.image_name()
    text = f'FROM {engine.image}\nLABEL a=b\nCMD ["true"]\n'
    image, log = client.images.build(fileobj=io.BytesIO(text.encode()), tag=name, rm=True)
    assert name in image.tags
    assert image.labels["a"] == "b"
    assert any("FROM" in str(entry.get("stream")) for entry in log)


@claim("api-061", "api-039", "api-172")
def test_a_build_that_fails_raises_with_its_log(client, engine):
    text = io.BytesIO(f"FROM {engine.image}\nRUN exit 7\n".encode())
    with pytest.raises(docker.errors.BuildError) as caught:
        client.images.build(fileobj=text, tag=engine.image_name(), rm=True, forcerm=True, nocache=True)
    assert "7" in str(caught.value)


@claim("api-061", "api-042")
def test_images_are_tagged_listed_saved_and_removed(client, engine):
    repo, _, tag = (name := engine.image_name()).rpartition(":")
    image = client.images.get(engine.image)
    assert image.tag(repo, tag)
    assert name in [one for image in client.images.list(name=repo) for one in image.tags]
    assert "manifest.json" in archive.members(b"".join(client.images.get(name).save(named=True)))
    client.images.remove(name)
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(name)


@claim("api-172")
@pytest.mark.parametrize(
    ("act", "error", "status"),
    [
        (lambda client: client.containers.get("nosuch-container"), docker.errors.NotFound, 404),
        (lambda client: client.images.get("nosuch-image"), docker.errors.ImageNotFound, 404),
        (lambda client: client.networks.get("nosuch-network"), docker.errors.NotFound, 404),
        (lambda client: client.volumes.get("nosuch-volume"), docker.errors.NotFound, 404),
    ],
    ids=["container", "image", "network", "volume"],
)
def test_what_is_unknown_raises_with_status_and_message(client, act, error, status):
    with pytest.raises(error) as caught:
        act(client)
    assert caught.value.status_code == status
    assert caught.value.explanation


@claim("api-172")
def test_a_conflict_raises_with_its_message(client, engine):
    c = client.containers.run(engine.image, ["sleep", "60"], detach=True, name=engine.name())
    with pytest.raises(docker.errors.APIError) as caught:
        c.remove()
    assert caught.value.status_code == 409
    assert "running" in caught.value.explanation


@claim("api-014", "api-006")
@requires("local_engine")
def test_proxies_of_the_environment_are_ignored(monkeypatch, engine):
    from contextlib import closing

    from seatrial.api import dockerpy

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with closing(dockerpy.client(engine)) as client:
        assert client.ping() is True


@claim("api-061")
def test_ping_info_version_and_df(client, api):
    assert client.ping() is True
    assert client.version()["ApiVersion"] == api.get("/version").json()["ApiVersion"]
    assert client.info()["KernelVersion"] == api.get("/info").json()["KernelVersion"]
    assert {"Images", "Containers", "Volumes"} <= set(client.df())
