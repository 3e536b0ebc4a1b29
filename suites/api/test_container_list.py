"""Finding and listing containers: names and ids, the list, its filters, what describes one."""

import time

import pytest

from seatrial.expecting import one

claim, requires = pytest.mark.claim, pytest.mark.requires


@pytest.fixture
def listed(api, engine):
    """Call it with filters and options to get the names of the test's own containers in the list, newest first."""

    def get(filters=None, **query):
        chosen = {"label": [f"seatrial.test={engine.key}"], **(filters or {})}
        rows = api.get("/containers/json", query={"all": True, **query, "filters": chosen}).json()
        return [row["Names"][0].lstrip("/") for row in rows]

    return get


@claim("api-089")
@pytest.mark.parametrize("by", ["name", "slash", "id", "short"])
def test_a_container_is_found_by_name_and_id(api, by):
    c = api.create()
    word = {"name": c.name, "slash": f"/{c.name}", "id": c.id, "short": c.id[:20]}[by]
    assert api.get(f"/containers/{word.lstrip('/')}/json").json()["Id"] == c.id


@claim("api-089")
@pytest.mark.parametrize("word", ["short", "upper", "tail"])
def test_what_is_no_beginning_of_an_id_is_not_found(api, word):
    c = api.create()
    wrong = {"short": f"{c.id[:20]}xyz", "upper": f"{c.id[:19]}Z", "tail": c.id[20:]}[word]
    api.refuses("GET", f"/containers/{wrong}/json", 404, says="no_such_container")


@claim("api-089")
def test_a_name_wins_over_the_beginning_of_an_id(api):
    one = api.create()
    two = api.create(name=one.id[:20])
    assert api.get(f"/containers/{two.name}/json").json()["Id"] == two.id


@claim("api-089")
@pytest.mark.parametrize(
    ("method", "part", "statuses"), [("GET", "/json", (400, 404)), ("DELETE", "", (400, 404, 409))],
    ids=["inspect", "remove"],
)  # fmt: skip
def test_a_beginning_that_several_ids_have_is_refused(api, method, part, statuses):
    made = {}
    while (c := api.create()).id[0] not in made:  # at most one for each digit, and then one more
        made[c.id[0]] = c
    other = made[c.id[0]]
    api.refuses(method, f"/containers/{c.id[0]}{part}", statuses, says="ambiguous_id")
    assert (c.inspect()["Id"], other.inspect()["Id"]) == (c.id, other.id)
    api.request(method, f"/containers/{c.id[:20]}{part}", expect=200 if method == "GET" else 204)
    assert c.get(expect=None).status == (200 if method == "GET" else 404)
    assert other.inspect()["Id"] == other.id


@claim("api-090")
def test_the_list_shows_what_runs_and_all_when_told(listed, api):
    created, running = api.create(), api.run()
    assert listed(all=False) == [running.name]
    assert set(listed()) == {created.name, running.name}


@claim("api-090")
def test_limit_shows_the_newest_also_when_they_do_not_run(api):
    c = api.create()
    rows = api.get("/containers/json", query={"limit": 100}).json()
    assert c.id in [row["Id"] for row in rows]
    assert len(api.get("/containers/json", query={"limit": 1}).json()) == 1


@claim("api-090")
def test_sizes_are_told_when_asked_for(api, engine):
    c = api.sh("dd if=/dev/zero of=/ballast bs=1k count=100 2>/dev/null")
    assert c.wait() == 0
    own = {"label": [f"seatrial.test={engine.key}"]}
    plain = one(api.get("/containers/json", query={"all": True, "filters": own}).json())
    sized = one(api.get("/containers/json", query={"all": True, "size": True, "filters": own}).json())
    assert "SizeRw" not in plain or not plain["SizeRw"]
    assert 102400 <= sized["SizeRw"] < 300000
    assert sized["SizeRootFs"] > sized["SizeRw"]


@claim("api-092", "api-017")
def test_an_entry_has_all_its_parts(api, engine):
    before = int(time.time())
    volume = api.volume()
    c = api.run(Labels={"a": "b"}, ExposedPorts={"80/tcp": {}}, HostConfig={
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}]}, "Binds": [f"{volume}:/v"]})  # fmt: skip
    row = one(api.get("/containers/json", query={"filters": {"id": [c.id]}}).json())
    described = c.inspect()
    assert (row["Id"], row["Names"], row["State"]) == (c.id, [f"/{c.name}"], "running")
    assert (row["Image"], row["ImageID"]) == (engine.image, described["Image"])
    assert row["Command"] == "sleep 3600"
    assert before - 1 <= row["Created"] <= time.time() + 1
    assert row["Labels"]["a"] == "b"
    assert row["Status"].startswith("Up ")
    port = one(row["Ports"])
    assert (port["PrivatePort"], port["Type"], port["IP"]) == (80, "tcp", "127.0.0.1")
    network = one(row["NetworkSettings"]["Networks"].values())
    assert network["IPAddress"] == c.address
    assert [(mount["Name"], mount["Destination"]) for mount in row["Mounts"]] == [(volume, "/v")]


@claim("api-092")
def test_an_entry_tells_its_network_mode(api):
    c = api.create(HostConfig={"NetworkMode": "none"})
    row = one(api.get("/containers/json", query={"all": True, "filters": {"id": [c.id]}}).json())
    assert row.get("HostConfig", {}).get("NetworkMode") == "none"


@claim("api-091")
@pytest.mark.parametrize("state", ["created", "running", "exited"])
def test_filter_by_status(listed, api, state):
    made = {"created": api.create(), "running": api.run(), "exited": api.sh("exit 0")}
    made["exited"].until("exited", lambda: made["exited"].status == "exited")
    made["exited"].until("listed so", lambda: listed({"status": ["exited"]}))
    assert listed({"status": [state]}) == [made[state].name]


@claim("api-091")
@requires("freezer")
def test_filter_by_status_knows_what_is_paused(listed, api):
    running, paused = api.run(), api.run()
    paused.post("pause", expect=204)
    assert listed({"status": ["paused"]}) == [paused.name]
    assert running.name not in listed({"status": ["paused"]})
    paused.post("unpause", expect=204)
    assert listed({"status": ["paused"]}) == []
    assert set(listed({"status": ["running"]})) == {running.name, paused.name}


@claim("api-091")
def test_filter_by_two_statuses_takes_either(listed, api):
    created, running, exited = api.create(), api.run(), api.sh("exit 0")
    exited.until("listed so", lambda: listed({"status": ["exited"]}))
    assert set(listed({"status": ["created", "exited"]})) == {created.name, exited.name}
    assert running.name not in listed({"status": ["created", "exited"]})


@claim("api-091")
@pytest.mark.parametrize("name", ["whole", "part", "pattern"])
def test_filter_by_name(listed, api, name):
    one, two = api.create(), api.create()
    word = {"whole": one.name, "part": one.name[3:], "pattern": f"^/?{one.name}$"}[name]
    assert listed({"name": [word]}) == [one.name]
    assert listed({"name": ["nosuch-name-at-all"]}) == []
    assert set(listed()) == {one.name, two.name}


@claim("api-091")
def test_filter_by_id_and_by_the_beginning_of_one(listed, api):
    one, _ = api.create(), api.create()
    assert listed({"id": [one.id]}) == [one.name]
    assert listed({"id": [one.id[:20]]}) == [one.name]


@claim("api-091")
@pytest.mark.parametrize("label", ["colour", "colour=red"])
def test_filter_by_label(listed, api, engine, label):
    red = api.create(Labels={"colour": "red"})
    api.create(Labels={"shape": "red"})
    assert listed({"label": [label, f"seatrial.test={engine.key}"]}) == [red.name]
    assert listed({"label": ["colour=blue", f"seatrial.test={engine.key}"]}) == []


@claim("api-091")
def test_filter_by_exit_code(listed, api):
    three = api.sh("exit 3")
    four = api.sh("exit 4")
    assert (three.wait(), four.wait()) == (3, 4)
    three.until("both listed so", lambda: len(listed({"status": ["exited"]})) == 2)
    assert listed({"exited": ["3"]}) == [three.name]
    assert set(listed({"exited": ["3", "4"]})) == {three.name, four.name}


@claim("api-091")
def test_filter_by_age_relative_to_another(listed, api):
    one, two, three = api.create(), api.create(), api.create()
    assert set(listed({"before": [three.name]})) == {one.name, two.name}
    assert set(listed({"since": [one.name]})) == {two.name, three.name}
    assert listed({"since": [one.name], "before": [three.name]}) == [two.name]


@claim("api-091")
def test_filter_by_image(listed, api):
    image = api.image()
    c = api.create(Image=image)
    assert listed({"ancestor": [image]}) == [c.name]
    assert listed({"ancestor": ["nosuch/image"]}) == []


@claim("api-091")
@pytest.mark.parametrize("by", ["name", "target"])
def test_filter_by_volume(listed, api, by):
    volume = api.volume()
    c, _ = api.create(HostConfig={"Binds": [f"{volume}:/hold"]}), api.create()
    assert listed({"volume": [volume if by == "name" else "/hold"]}) == [c.name]


@claim("api-091")
def test_filter_by_network(listed, api):
    network = api.network()
    c, _ = api.run(HostConfig={"NetworkMode": network}), api.run()
    assert listed({"network": [network]}) == [c.name]


@claim("api-091")
def test_filter_by_published_port(listed, api):
    ports = {"80/tcp": [{"HostIp": "127.0.0.1"}]}
    c, other = (api.run(ExposedPorts={"80/tcp": {}}, HostConfig={"PortBindings": ports}) for _ in range(2))
    port = one(c.inspect()["NetworkSettings"]["Ports"]["80/tcp"])["HostPort"]
    assert port != one(other.inspect()["NetworkSettings"]["Ports"]["80/tcp"])["HostPort"]
    assert listed({"publish": [port]}) == [c.name]
    assert listed({"publish": [f"{port}/tcp"]}) == [c.name]
    assert listed({"publish": [f"{port}/udp"]}) == []


@claim("api-091")
def test_filter_by_exposed_port(listed, api):
    c, other = api.run(ExposedPorts={"7077/tcp": {}}), api.run(ExposedPorts={"7078/tcp": {}})
    assert listed({"expose": ["7077"]}) == [c.name]
    assert listed({"expose": ["7078/tcp"]}) == [other.name]
    assert set(listed({"expose": ["7070-7080/tcp"]})) == {c.name, other.name}
    assert listed({"expose": ["7077/udp"]}) == []


@claim("api-091")
@pytest.mark.parametrize("health", ["none", "starting"])
def test_filter_by_health_before_any_check(listed, api, health):
    checked = {"Test": ["CMD", "true"], "Interval": 3600 * 10**9, "StartPeriod": 3600 * 10**9}
    made = {"none": api.run(), "starting": api.run(Healthcheck=checked)}
    assert listed({"health": [health]}) == [made[health].name]
    assert listed({"health": ["unhealthy"]}) == []


@claim("api-091")
@requires("healthcheck")
@pytest.mark.parametrize("health", ["healthy", "unhealthy"])
def test_filter_by_health_after_the_first_check(listed, api, health):
    made = {word: api.run(Healthcheck={"Test": ["CMD", command], "Interval": 10**9, "Retries": 1})
            for word, command in (("healthy", "true"), ("unhealthy", "false"))}  # fmt: skip
    for word, c in made.items():
        c.until(word, lambda c=c, word=word: c.state["Health"]["Status"] == word)
    assert listed({"health": [health]}) == [made[health].name]
    assert set(listed({"health": ["healthy", "unhealthy"]})) == {c.name for c in made.values()}


@claim("api-091")
def test_filters_of_two_kinds_must_both_hold(listed, api):
    created, running = api.create(Labels={"a": "1"}), api.run(Labels={"b": "1"})
    assert listed({"status": ["created"], "name": [running.name]}) == []
    assert listed({"status": ["created"], "name": [created.name]}) == [created.name]


@claim("api-091")
def test_filters_in_the_old_form_of_an_object_are_taken(api):
    c = api.create()
    rows = api.get("/containers/json", query={"all": True, "filters": {"id": {c.id: True}}}).json()
    assert [row["Id"] for row in rows] == [c.id]


@claim("api-056")
def test_the_description_has_all_its_parts(api, engine):
    c = api.run(Hostname="berth", Labels={"a": "b"}, HostConfig={"RestartPolicy": {"Name": "on-failure",
                "MaximumRetryCount": 3}})  # fmt: skip
    told = c.inspect()
    assert (told["Id"], told["Name"], told["RestartCount"]) == (c.id, f"/{c.name}", 0)
    assert (told["Path"], told["Args"]) == ("sleep", ["3600"])
    assert told["Config"]["Image"] == engine.image
    assert told["Image"].removeprefix("sha256:") == engine.image_id(engine.image)
    assert told["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert told["State"]["Pid"] == c.kernel.pid
    assert told["NetworkSettings"]["Networks"]
    assert told["Driver"] == engine.facts["storage"]
    assert "berth" in engine.raw.host.path(told["HostnamePath"]).read_text()


@claim("api-056")
def test_size_of_the_description_is_told_when_asked_for(api):
    c = api.create()
    assert "SizeRw" not in c.get("json").json()
    assert c.get("json", query={"size": True}).json()["SizeRootFs"] > 0


@claim("api-093")
def test_top_tells_titles_and_rows(api):
    c = api.run()
    told = c.get("top").json()
    assert {"PID", "CMD"} <= set(told["Titles"])
    row = one(told["Processes"])
    assert dict(zip(told["Titles"], row, strict=True))["CMD"] == "sleep 3600"


@claim("api-093")
def test_top_shows_the_columns_that_are_asked_for(api, engine):
    c = api.run()
    c.until("its own command", lambda: c.kernel.argv == ["sleep", "3600"])
    told = c.get("top", query={"ps_args": engine.trait("api_top_columns")}).json()
    assert told["Titles"] == ["PID", "COMMAND"]
    row = one(told["Processes"])
    assert row[1].startswith("sleep")


@claim("api-093")
def test_top_of_what_does_not_run_is_a_conflict(api):
    c = api.create()
    api.refuses("GET", c.path("top"), 409)


@claim("api-094")
def test_changes_tell_what_was_added_modified_and_deleted(api):
    c = api.sh("touch /added; echo >>/etc/group; rm /etc/nsswitch.conf")
    assert c.wait() == 0
    seen = {change["Path"]: change["Kind"] for change in c.get("changes").json()}
    assert (seen["/added"], seen["/etc/group"], seen["/etc"], seen["/etc/nsswitch.conf"]) == (1, 0, 0, 2)


@claim("api-094")
def test_changes_of_an_untouched_container_are_none(api):
    assert api.create().get("changes").json() in ([], None)


@claim("api-001", "api-062")
def test_a_container_of_the_cli_is_like_one_of_the_api(api, engine):
    theirs = engine.create("-h", "berth", "-e", "A=1", "-w", "/tmp", "-u", "37", "--read-only", "--cap-drop", "CHOWN",
                           "--network", "none", "--memory", "64m", "--pids-limit", "50", "--tmpfs", "/run:size=1m",
                           "--add-host", "pier:192.0.2.9", "--restart", "on-failure:2")  # fmt: skip
    two = api.get(f"/containers/{theirs.name}/json").json()
    ours = api.create(**two["Config"], HostConfig=two["HostConfig"])
    one_ = ours.inspect()
    for told in one_, two:
        told["Config"]["Env"].sort()
    assert one_["Config"] == two["Config"]
    assert one_["HostConfig"] == two["HostConfig"]
    for field in ("Path", "Args", "Driver", "Mounts", "Image", "RestartCount", "Platform"):
        assert one_.get(field) == two.get(field)
    assert two["HostConfig"]["Memory"] == 64 << 20 and two["Config"]["User"] == "37"


@claim("api-010")
def test_rows_of_the_cli_are_found_in_the_answer(api, engine):
    c = api.run()
    row = engine.cli("ps", "--no-trunc", "--filter", f"id={c.id}", "--format", "{{.ID}} {{.Names}} {{.Image}}").text
    told = one(api.get("/containers/json", query={"filters": {"id": [c.id]}}).json())
    assert row == f"{told['Id']} {told['Names'][0][1:]} {told['Image']}"
