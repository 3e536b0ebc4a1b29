"""POST /build: context, parameters, the stream of progress, failures, cancelling."""

import pytest

from seatrial import archive
from seatrial.api.transport import failed
from seatrial.lab.web import Answer, Web
from seatrial.proc import running
from seatrial.waiting import wait_until

claim, requires = pytest.mark.claim, pytest.mark.requires
TAR = {"Content-Type": "application/x-tar"}


@pytest.fixture
def build(api, engine):
    """Call it with a Dockerfile, files and parameters to get the image's name and the records of the build."""

    def make(text, files=None, *, labels=None, **query):
        name = engine.image_name()
        context = {query.get("dockerfile", "Dockerfile"): text.replace("IMAGE", engine.image), **(files or {})}
        query = {"t": name, "labels": {**engine.labels, **(labels or {})}, "rm": True, "forcerm": True, **query}
        answer = api.post("/build", expect=200, headers=TAR, timeout=120, query=query, body=archive.tree(context))
        return name, answer.records()

    return make


def said(records):
    return "".join(record.get("stream", "") for record in records)


@claim("api-038", "api-039")
def test_a_build_makes_an_image_and_streams_its_steps(api, build):
    name, records = build('FROM IMAGE\nENV A=1\nCMD ["true"]\n')
    assert "FROM" in said(records)
    ids = [record["aux"]["ID"] for record in records if "aux" in record]
    told = api.get(f"/images/{name}/json").json()
    assert ids and told["Id"].removeprefix("sha256:").startswith(ids[-1].removeprefix("sha256:")[:12])
    assert "A=1" in told["Config"]["Env"]
    assert not any("error" in record for record in records)


@claim("api-038")
def test_files_of_the_context_are_copied(api, build):
    name, _ = build("FROM IMAGE\nCOPY cargo /hold/\n", {"cargo": "load"})
    assert api.run(Image=name, Cmd=["grep", "-q", "load", "/hold/cargo"]).wait() == 0


@claim("api-039")
def test_output_of_steps_is_streamed(build):
    _, records = build("FROM IMAGE\nRUN echo word-of-$((6 * 7))\n", nocache=True)
    assert "word-of-42" in said(records)


@claim("api-039")
def test_a_step_that_fails_ends_the_stream_with_its_error(api, build):
    name, records = build("FROM IMAGE\nRUN exit 7\n", nocache=True)
    assert "7" in records[-1]["errorDetail"]["message"]
    assert records[-1]["error"]
    api.get(f"/images/{name}/json", expect=404)


@claim("api-040")
def test_another_dockerfile_is_named(api, build):
    name, _ = build("FROM IMAGE\nLABEL which=other\n", {"Dockerfile": "FROM nosuch"}, dockerfile="sub/Other")
    assert api.get(f"/images/{name}/json").json()["Config"]["Labels"]["which"] == "other"


@claim("api-040")
def test_a_context_without_a_dockerfile_is_refused(api, engine):
    name = engine.image_name()
    answer = api.post("/build", expect=None, query={"t": name}, headers=TAR, body=archive.tree({"a": "1"}))
    assert "Dockerfile" in answer.text
    assert answer.status >= 400 or answer.records()[-1]["errorDetail"]
    api.get(f"/images/{name}/json", expect=404)


@claim("api-040")
@pytest.mark.parametrize("dockerfile", ["../Dockerfile", "/etc/passwd", "nosuch"])
def test_a_dockerfile_outside_of_the_context_is_not_read(api, engine, dockerfile):
    name = engine.image_name()
    answer = api.post("/build", expect=None, query={"t": name, "dockerfile": dockerfile}, headers=TAR,
                      body=archive.tree({"Dockerfile": f"FROM {engine.image}\n"}))  # fmt: skip
    assert answer.status >= 400 or answer.records()[-1]["errorDetail"]
    api.get(f"/images/{name}/json", expect=404)


@claim("api-038")
@pytest.mark.parametrize("body", [b"nonsense" * 99, b""], ids=["text", "nothing"])
def test_a_context_that_is_no_archive_is_refused(api, engine, body):
    answer = api.post("/build", expect=None, query={"t": engine.image_name()}, headers=TAR, body=body)
    assert (answer.status >= 400 and answer.message) or answer.records()[-1]["errorDetail"]["message"]


@claim("api-041")
def test_build_arguments_are_seen(build):
    _, records = build("FROM IMAGE\nARG WORD=no\nRUN echo [$WORD]\n", nocache=True, buildargs={"WORD": "yes"})
    assert "[yes]" in said(records)


@claim("api-041")
def test_labels_are_added(api, build):
    name, _ = build("FROM IMAGE\nLABEL a=old\n", labels={"a": "new", "b": "x"})
    labels = api.get(f"/images/{name}/json").json()["Config"]["Labels"]
    assert (labels["a"], labels["b"]) == ("new", "x")


@claim("api-041")
def test_target_ends_the_build_at_a_stage(api, build):
    name, records = build("FROM IMAGE AS one\nLABEL stage=one\nFROM IMAGE AS two\nRUN exit 1\n", target="one")
    assert api.get(f"/images/{name}/json").json()["Config"]["Labels"]["stage"] == "one"
    assert not any("error" in record for record in records)


@claim("api-041")
def test_an_unknown_target_is_refused(api, build, engine):
    name = engine.image_name()
    answer = api.post("/build", expect=None, query={"t": name, "target": "nosuch"}, headers=TAR,
                      body=archive.tree({"Dockerfile": f"FROM {engine.image} AS one\n"}))  # fmt: skip
    assert "nosuch" in answer.text
    api.get(f"/images/{name}/json", expect=404)


@claim("api-041")
def test_the_cache_is_used_unless_it_is_refused(build, engine):
    dockerfile = f"FROM IMAGE\nENV KEY={engine.key}\nRUN date +%s%N >/stamp\n"
    build(dockerfile)
    _, again = build(dockerfile)
    _, fresh = build(dockerfile, nocache=True)
    assert "sing cache" in said(again)
    assert "sing cache" not in said(fresh)


@claim("api-041")
def test_quiet_says_the_id_alone(api, build):
    name, records = build("FROM IMAGE\nENV Q=1\n", q=True)
    words = said(records).strip()
    assert "FROM" not in words
    assert words.removeprefix("sha256:") in api.get(f"/images/{name}/json").json()["Id"]


@claim("api-041")
def test_extra_hosts_are_seen_by_steps(build):
    _, records = build("FROM IMAGE\nRUN grep pier /etc/hosts\n", nocache=True, extrahosts="pier:192.0.2.9")
    assert "192.0.2.9" in said(records)


@claim("api-041")
def test_network_mode_none_has_no_network(api, build):
    api.run()  # so that the host has links that a step must not see
    step = "RUN echo links: $(tail -n +3 /proc/net/dev | cut -d: -f1)"
    _, records = build(f"FROM IMAGE\n{step}\n", nocache=True, networkmode="none")
    assert "links: lo\n" in said(records)


@claim("api-041")
@requires("memory")
def test_memory_is_the_limit_of_a_step(build):
    files = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
    step = f"RUN for file in {files}; do [ ! -e $file ] || echo limit: $(cat $file); done"
    _, records = build(f"FROM IMAGE\n{step}\n", nocache=True, memory=64 << 20)
    assert f"limit: {64 << 20}\n" in said(records)


@pytest.fixture
def site(engine):
    """A web server on the engine's loopback: `pages` are what it has."""
    pages = {}
    with Web(engine.raw.host, lambda asked: pages.get(asked.path, Answer(404))) as web:
        web.pages = pages
        yield web


@claim("api-041")
@requires("lab")
def test_remote_names_a_context_that_is_fetched(api, engine, site):
    name = engine.image_name()
    text = f"FROM {engine.image}\nCOPY cargo /hold/\n"
    site.pages["/context.tar"] = Answer(200, TAR, archive.tree({"Dockerfile": text, "cargo": "load"}))
    query = {"t": name, "remote": f"http://{site.address}/context.tar", "labels": engine.labels}
    records = api.post("/build", expect=200, query=query).records()
    assert not [record for record in records if "error" in record]
    assert site.paths("GET") == ["/context.tar"]
    assert api.run(Image=name, Cmd=["grep", "-q", "load", "/hold/cargo"]).wait() == 0


@claim("api-041")
@requires("lab")
def test_remote_may_name_a_dockerfile(api, engine, site):
    name = engine.image_name()
    text = f"FROM {engine.image}\nENV A=far\n"
    site.pages["/Dockerfile"] = Answer(200, {"Content-Type": "text/plain"}, text.encode())
    query = {"t": name, "remote": f"http://{site.address}/Dockerfile", "labels": engine.labels}
    records = api.post("/build", expect=200, query=query).records()
    assert not [record for record in records if "error" in record]
    assert "A=far" in api.get(f"/images/{name}/json").json()["Config"]["Env"]


@claim("api-041")
@requires("lab")
def test_a_remote_context_that_is_not_there_is_refused(api, engine, site):
    name = engine.image_name()
    answer = api.post("/build", expect=None, query={"t": name, "remote": f"http://{site.address}/nosuch.tar"})
    assert "/nosuch.tar" in site.paths("GET")
    assert "404" in failed(answer)
    api.get(f"/images/{name}/json", expect=404)


@claim("api-041", "api-077")
@pytest.mark.parametrize("query", [{"buildargs": "{"}, {"labels": "["}], ids=["buildargs", "labels"])
def test_parameters_that_are_no_json_are_refused(api, engine, query):
    name = engine.image_name()
    api.refuses("POST", "/build", 400, query={"t": name, **query}, headers=TAR,
                body=archive.tree({"Dockerfile": f"FROM {engine.image}\n"}))  # fmt: skip


@claim("api-115")
def test_a_build_whose_client_leaves_is_cancelled(api, engine):
    name, mark = engine.image_name(), f"0.{int(engine.key, 16)}"
    # it ends by itself, and in failure, where nobody cancels it
    body = archive.tree({"Dockerfile": f"FROM {engine.image}\nRUN echo begun; sleep 40 {mark}; false\n"})
    query = {"t": name, "nocache": True, "rm": True, "forcerm": True, "labels": engine.labels}
    stream = api.open("POST", "/build", query=query, headers=TAR, body=body)
    stream.until(rb"begun\\n")
    step = ("sleep", "40", mark)
    wait_until("the step", lambda: running(*step))
    engine.defer(lambda: wait_until("the end of the step by itself", lambda: not running(*step), timeout=60))
    stream.close()
    wait_until("the end of the step", lambda: not running(*step), timeout=20)
    api.get(f"/images/{name}/json", expect=404)
