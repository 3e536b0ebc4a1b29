"""API versions: the range that is served, what is refused, and what old versions answer."""

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def served(api):
    """The oldest and the newest version that the daemon says it serves, as (major, minor)."""
    told = api.get("/version").json()
    return tuple(tuple(int(part) for part in told[name].split(".")) for name in ("MinAPIVersion", "ApiVersion"))


def text(version):
    return ".".join(map(str, version))


@claim("api-058")
def test_every_version_of_the_range_is_served(api, served):
    oldest, newest = served
    assert oldest < newest
    for minor in range(oldest[1], newest[1] + 1):
        version = f"1.{minor}"
        assert api.get("/version", version=version).json()["ApiVersion"] == text(newest)
        assert isinstance(api.get("/containers/json", version=version).json(), list)


@claim("api-058", "api-071")
@pytest.mark.parametrize("ahead", [1, 50], ids=["next", "far"])
def test_a_newer_version_is_refused_with_both_numbers(api, served, ahead):
    newer = f"1.{served[1][1] + ahead}"
    answer = api.refuses("GET", "/containers/json", 400, version=newer)
    assert newer in answer.message and text(served[1]) in answer.message


@claim("api-058")
@pytest.mark.parametrize("path", ["/containers/json", "/_ping", "/version"])
def test_an_older_version_is_refused_with_both_numbers(api, served, path):
    older = f"1.{served[0][1] - 1}"
    answer = api.get(path, expect=400, version=older)
    assert older in answer.text and text(served[0]) in answer.text


@claim("api-058")
@pytest.mark.parametrize("version", ["0.1", "2.0", "1", "1.", "1.x"])
def test_what_is_no_version_is_refused(api, version):
    assert api.get("/containers/json", expect=(400, 404), version=version).text.strip()


@claim("api-058", "api-062")
@pytest.mark.parametrize("path", ["/info", "/images/json", "/networks", "/volumes", "/events?until=1"])
def test_the_version_may_be_left_out(api, served, path):
    path, _, query = path.partition("?")
    pairs = [tuple(query.split("="))] if query else None
    with_version = api.get(path, query=pairs, version=text(served[1]))
    without = api.get(path, query=pairs)
    assert without.content_type == with_version.content_type
    assert type(without.records()) is type(with_version.records())


@claim("api-180")
@requires("legacy_builder")
def test_the_virtual_size_of_images_is_told_until_1_43(api, engine, served):
    version = text(min(served[1], (1, 43)))
    rows = api.get("/images/json", version=version).json()
    assert rows
    assert all(row["VirtualSize"] == row["Size"] for row in rows)
    if served[1] >= (1, 44):
        assert not any("VirtualSize" in row for row in api.get("/images/json").json())


OLD = ["1.12", "1.18", "1.20", "1.22", "1.23"]


@claim("api-180", "api-019")
@pytest.mark.parametrize("version", ["1.12", "1.20", "1.23"])
@requires("api_before_1_24")
def test_copy_is_served_before_1_24(api, version):
    from seatrial import archive

    c = api.run()
    answer = api.post(c.path("copy"), expect=200, json={"Resource": "/etc/passwd"}, version=version)
    assert answer.content_type == "application/x-tar"
    assert "passwd" in archive.members(answer.body)


@claim("api-180", "api-055")
@pytest.mark.parametrize("version", ["1.12", "1.18", "1.23"])
@requires("api_before_1_24")
def test_settings_of_the_host_are_taken_at_start_before_1_24(api, version):
    c = api.create()
    c.post("start", expect=204, json={"Binds": ["/tmp:/at-start"]}, version=version)
    assert "/at-start" in [mount["Destination"] for mount in c.inspect()["Mounts"]]


@claim("api-180")
@requires("api_before_1_24")
def test_settings_of_the_host_are_refused_at_start_since_1_24(api):
    c = api.create()
    api.refuses("POST", c.path("start"), 400, json={"Binds": ["/tmp:/at-start"]}, version="1.24", says="non-empty")
    assert c.status == "created"


@claim("api-180", "api-071")
@pytest.mark.parametrize("version", OLD)
@requires("api_before_1_24")
def test_refusals_are_plain_text_before_1_24(api, version):
    answer = api.get("/containers/nosuch-container/json", expect=404, version=version)
    assert answer.content_type == "text/plain"
    assert answer.text.strip() == "No such container: nosuch-container"


@claim("api-180")
@requires("api_before_1_24")
@pytest.mark.parametrize(("version", "shown"), [("1.18", False), ("1.20", True)])
def test_mounts_are_described_since_1_20(api, version, shown):
    c = api.create(HostConfig={"Binds": ["/tmp:/hold"]})
    told = c.get("json", version=version).json()
    assert ("Mounts" in told) == shown
    assert ("Volumes" in told) != shown


@claim("api-180")
@requires("api_before_1_24")
@pytest.mark.parametrize(("version", "shown"), [("1.20", False), ("1.21", True)])
def test_networks_are_described_since_1_21(api, version, shown):
    c = api.run()
    assert ("Networks" in c.get("json", version=version).json()["NetworkSettings"]) == shown


@claim("api-180")
@pytest.mark.parametrize(("version", "status"), [("1.24", 200), ("1.25", 200), ("1.40", 200)])
def test_a_container_made_by_an_old_client_is_like_any_other(api, version, status):
    c = api.create(version=version, Hostname="berth")
    c.post("start", expect=204, version=version)
    told = c.get("json", expect=status, version=version).json()
    assert (told["Id"], told["Config"]["Hostname"]) == (c.id, "berth")
    c.post("stop", expect=204, query={"t": 0}, version=version)
    c.api.delete(f"/containers/{c.name}", expect=204, version=version)


@claim("api-096", "api-180")
@requires("cgroup_watch")
@pytest.mark.parametrize("version", ["1.24", "1.40"])
def test_networks_of_stats_are_told_by_name(api, version):
    c = api.run()
    assert "eth0" in c.get("stats", query={"stream": False}, version=version).json()["networks"]


@claim("api-173")
def test_docker_py_negotiates_the_newest_version_of_both(client, api):
    import docker.constants

    newest = tuple(map(int, api.get("/version").json()["ApiVersion"].split(".")))
    known = tuple(map(int, docker.constants.DEFAULT_DOCKER_API_VERSION.split(".")))
    chosen = tuple(map(int, client.api.api_version.split(".")))
    assert chosen == newest or chosen == min(newest, known)
