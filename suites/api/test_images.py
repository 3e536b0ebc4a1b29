"""Images over the API: list, describe, tag, delete, save, load, import, commit, prune."""

import json
import re
import time

import pytest

from seatrial import archive
from seatrial.api.transport import failed
from seatrial.expecting import one

claim, requires = pytest.mark.claim, pytest.mark.requires
TAR = {"Content-Type": "application/x-tar"}


@pytest.fixture
def small(api, engine):
    """Call it with files to get the name of an image of them alone, imported over the API."""

    def make(files, **query):
        name = engine.image_name()
        repo, _, tag = name.rpartition(":")
        query = {"fromSrc": "-", "repo": repo, "tag": tag, **query}
        answer = api.post("/images/create", expect=200, query=query, headers=TAR, body=archive.tree(files))
        assert any("sha256:" in str(record.get("status")) for record in answer.records())
        return name

    return make


@claim("api-008", "api-017")
def test_the_list_has_the_image_with_its_parts(api, small, engine):
    before = int(time.time()) - 1
    name = small({"a": f"{engine.key} 1"})
    row = one(api.get("/images/json", query={"filters": {"reference": [name]}}).json())
    assert row["RepoTags"] == [name]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", row["Id"])
    assert before <= row["Created"] <= time.time() + 1
    assert row["Size"] > 0
    assert row["ParentId"] == ""


@claim("api-015")
@pytest.mark.parametrize(("key", "value", "found"), [
    ("label", "hull=red", True), ("label", "hull", True), ("label", "hull=blue", False), ("dangling", "false", True),
    ("dangling", "true", False),
])  # fmt: skip
def test_filters_of_the_list(api, small, engine, key, value, found):
    name = small({"a": f"{engine.key} 2"}, changes="LABEL hull=red")
    rows = api.get("/images/json", query={"filters": {key: [value], "reference": [name]}}).json()
    assert [row["RepoTags"] for row in rows] == ([[name]] if found else [])


@claim("api-015")
def test_filter_by_age_relative_to_another(api, small, engine):
    one = small({"a": f"{engine.key} 3"})
    time.sleep(1.1)  # images know whole seconds
    two = small({"a": f"{engine.key} 4"})
    mine = f"{one.partition(':')[0][:-1]}*"
    rows = api.get("/images/json", query={"filters": {"since": [one], "reference": [mine]}}).json()
    assert [row["RepoTags"] for row in rows] == [[two]]


@claim("api-016")
def test_an_image_with_two_names_is_listed_once(api, small, engine):
    name = small({"a": f"{engine.key} 5"})
    other = api.image(name)
    rows = [row for row in api.get("/images/json").json() if name in (row["RepoTags"] or [])]
    assert [set(row["RepoTags"]) for row in rows] == [{name, other}]


@claim("api-018")
def test_size_counts_the_bytes_of_all_layers(api, small, engine):
    name = small({"a": b"x" * 500_000, "b": engine.key})
    size = api.get(f"/images/{name}/json").json()["Size"]
    assert 500_000 <= size < 560_000


@claim("api-004", "api-062")
@pytest.mark.parametrize("version", ["", "1.24", "1.40"], ids=["none", "1.24", "1.40"])
def test_an_image_is_described(api, small, engine, version):
    name = small({"a": f"{engine.key} 6"}, changes="ENV A=1")
    answer = api.get(f"/images/{name}/json", version=version)
    told = answer.json()
    assert answer.content_type == "application/json"
    assert told["RepoTags"] == [name]
    assert (told["Os"], told["Architecture"]) == ("linux", "amd64")
    assert "A=1" in told["Config"]["Env"]
    assert told["RootFS"]["Type"] == "layers" and len(told["RootFS"]["Layers"]) == 1
    assert told["Id"] == f"sha256:{engine.image_id(name)}"


@claim("api-004", "api-071")
def test_an_unknown_image_is_not_found(api):
    answer = api.refuses("GET", "/images/nosuch-image:7/json", 404, says="no_such_image")
    assert "nosuch-image" in answer.message


@claim("api-004")
@pytest.mark.parametrize("by", ["id", "short", "digest-like"])
def test_an_image_is_found_by_its_id(api, engine, by):
    id_ = engine.image_id(engine.image)
    word = {"id": id_, "short": id_[:12], "digest-like": f"sha256:{id_}"}[by]
    assert api.get(f"/images/{word}/json").json()["Id"] == f"sha256:{id_}"


@claim("api-009")
def test_history_is_told_newest_first(api, small, engine):
    name = small({"a": f"{engine.key} 7"}, message="first load")
    c = api.create(Image=name, Cmd=["x"])
    repo, _, tag = (newer := engine.image_name()).rpartition(":")
    query = {"container": c.name, "repo": repo, "tag": tag, "comment": "second load"}
    api.post("/commit", expect=201, query=query, json={})
    rows = api.get(f"/images/{newer}/history").json()
    assert len(rows) == 2
    assert set(rows[0]) >= {"Id", "Created", "CreatedBy", "Tags", "Size", "Comment"}
    assert rows[0]["Tags"] == [newer]
    assert rows[1]["Comment"] == "first load"


@claim("api-010")
def test_rows_of_the_cli_are_found_in_the_answers(api, small, engine):
    name = small({"a": f"{engine.key} 8"})
    row = engine.cli("images", "--no-trunc", "--format", "{{.ID}}", name).text
    assert row.removeprefix("sha256:") == api.get(f"/images/{name}/json").json()["Id"].removeprefix("sha256:")


@claim("api-042", "api-049")
def test_tag_gives_another_name_to_the_same_image(api, engine):
    name = api.image()
    assert api.get(f"/images/{name}/json").json()["Id"] == f"sha256:{engine.image_id(engine.image)}"


@claim("api-042")
def test_tag_moves_a_name_from_one_image_to_another(api, small, engine):
    one, two = small({"a": f"{engine.key} 9"}), small({"a": f"{engine.key} 10"})
    repo, _, tag = one.rpartition(":")
    api.post(f"/images/{two}/tag", expect=201, query={"repo": repo, "tag": tag})
    assert api.get(f"/images/{one}/json").json()["Id"] == api.get(f"/images/{two}/json").json()["Id"]


@claim("api-042", "api-071")
@pytest.mark.parametrize("repo", ["UPPER", "a//b", "-a", "a" * 300, "a:b:c"], ids=lambda repo: repo[:8])
def test_tag_with_a_bad_name_is_refused(api, engine, repo):
    api.refuses("POST", f"/images/{engine.image}/tag", 400, query={"repo": repo})


@claim("api-042")
def test_tag_of_an_unknown_image_is_not_found(api, engine):
    api.refuses("POST", "/images/nosuch-image/tag", 404, query={"repo": engine.image_name()[:-7]}, says="no_such_image")


@claim("api-110")
def test_delete_tells_what_was_untagged_and_deleted(api, small, engine):
    name = small({"a": f"{engine.key} 11"})
    id_ = api.get(f"/images/{name}/json").json()["Id"]
    records = api.delete(f"/images/{name}", expect=200).json()
    assert {"Untagged": name} in records
    assert id_.removeprefix("sha256:") in [record.get("Deleted", "").removeprefix("sha256:") for record in records]
    api.get(f"/images/{name}/json", expect=404)


@claim("api-110")
def test_delete_of_one_of_two_names_keeps_the_image(api, small, engine):
    name = small({"a": f"{engine.key} 12"})
    other = api.image(name)
    assert api.delete(f"/images/{other}", expect=200).json() == [{"Untagged": other}]
    api.get(f"/images/{name}/json")


@claim("api-110")
def test_delete_of_an_image_in_use_is_a_conflict(api, small, engine):
    name = small({"a": f"{engine.key} 13"})
    c = api.create(Image=name, Cmd=["x"])
    answer = api.refuses("DELETE", f"/images/{name}", 409)
    assert c.id[:12] in answer.message
    api.get(f"/images/{name}/json")


@claim("api-110")
def test_delete_by_an_id_with_several_names_is_a_conflict(api, small, engine):
    name = small({"a": f"{engine.key} 14"})
    api.image(name)
    api.refuses("DELETE", f"/images/{engine.image_id(name)}", 409)
    api.get(f"/images/{name}/json")


@claim("api-110", "api-071")
def test_delete_of_an_unknown_image_is_not_found(api):
    api.refuses("DELETE", "/images/nosuch-image:1", 404, says="no_such_image")


@claim("api-111")
def test_an_archive_of_an_image_brings_it_back(api, small, engine):
    name = small({"a": f"{engine.key} 15"})
    id_ = api.get(f"/images/{name}/json").json()["Id"]
    saved = api.get(f"/images/{name}/get")
    api.delete(f"/images/{name}", expect=200)
    loaded = api.post("/images/load", expect=200, headers=TAR, body=saved.body)
    assert any(name in str(record.get("stream")) for record in loaded.records())
    assert api.get(f"/images/{name}/json").json()["Id"] == id_


@claim("api-111")
def test_an_archive_is_called_one(api, engine):
    assert api.get(f"/images/{engine.image}/get").content_type == "application/x-tar"


@claim("api-111")
def test_an_archive_of_several_images_has_them_all(api, small, engine):
    one, two = small({"a": f"{engine.key} 16"}), small({"a": f"{engine.key} 17"})
    saved = api.get("/images/get", query=[("names", one), ("names", two)]).body
    manifest = archive.content(saved, "manifest.json").decode()
    assert one in manifest and two in manifest


@claim("api-111", "api-071")
def test_an_archive_of_an_unknown_image_is_not_found(api):
    api.refuses("GET", "/images/nosuch-image/get", 404, says="no_such_image")


@claim("api-112")
@pytest.mark.parametrize("body", [b"nonsense" * 100, archive.tree({"a": "1"})], ids=["text", "no-image"])
def test_what_is_no_image_is_not_loaded(api, body):
    answer = api.post("/images/load", expect="api_load_failed", headers=TAR, body=body)
    assert answer.records()[-1].get("error") or answer.message


@claim("api-112")
@pytest.mark.parametrize("kept", [0.3, 0.9], ids=["early", "late"])
def test_an_archive_that_is_cut_off_makes_no_image(api, small, engine, kept):
    name = small({"a": f"{engine.key} {kept}" + "x" * 90_000})
    saved = api.get(f"/images/{name}/get").body
    api.delete(f"/images/{name}", expect=200)
    answer = api.post("/images/load", expect=None, headers=TAR, body=saved[: int(len(saved) * kept)])
    assert failed(answer)
    api.get(f"/images/{name}/json", expect=404)
    assert api.get("/images/json", query={"filters": {"reference": [name]}}).json() == []
    api.post("/images/load", expect=200, headers=TAR, body=saved)
    api.get(f"/images/{name}/json")


@claim("api-112")
def test_an_archive_whose_layer_is_missing_makes_no_image(api, engine):
    name = engine.image_name()
    layers = {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": layers}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["nosuch/layer.tar"]}]
    body = archive.tree({"config.json": json.dumps(config), "manifest.json": json.dumps(manifest)})
    assert failed(api.post("/images/load", expect=None, headers=TAR, body=body))
    api.get(f"/images/{name}/json", expect=404)


@claim("api-047")
def test_import_makes_an_image_with_changes_and_message(api, small, engine):
    name = small({"cargo": f"{engine.key} 18"}, changes='CMD ["x","y"]', message="from a test")
    told = api.get(f"/images/{name}/json").json()
    assert told["Config"]["Cmd"] == ["x", "y"]
    assert told["Comment"] == "from a test"


@claim("api-047")
def test_import_of_what_is_no_archive_is_refused(api, engine):
    repo = engine.image_name()[:-7]
    api.refuses("POST", "/images/create", 400, query={"fromSrc": "-", "repo": repo}, headers=TAR, body=b"nonsense" * 99)
    api.get(f"/images/{repo}:latest/json", expect=404)


@claim("api-113")
def test_commit_makes_an_image_of_a_container(api, engine):
    c = api.sh("echo cargo >/hold")
    c.wait()
    repo, _, tag = (name := engine.image_name()).rpartition(":")
    query = {"container": c.name, "repo": repo, "tag": tag, "author": "a tester", "changes": "LABEL a=b"}
    made = api.post("/commit", expect=201, json={"Env": ["B=2"]}, query=query).json()
    told = api.get(f"/images/{name}/json").json()
    assert made["Id"].removeprefix("sha256:") == told["Id"].removeprefix("sha256:")
    assert (told["Author"], told["Config"]["Labels"]["a"]) == ("a tester", "b")
    assert api.run(Image=name, Cmd=["grep", "-q", "cargo", "/hold"]).wait() == 0


@claim("api-113")
@pytest.mark.parametrize("query", [{"changes": "RUN true"}, {"repo": "UPPER"}], ids=["changes", "repo"])
def test_commit_with_bad_parameters_is_refused(api, query):
    c = api.create()
    api.refuses("POST", "/commit", 400, query={"container": c.name, **query}, json={})


@claim("api-113", "api-071")
def test_commit_of_an_unknown_container_is_not_found(api):
    api.refuses("POST", "/commit", 404, query={"container": "nosuch"}, json={}, says="no_such_container")


@claim("api-114")
@requires("private_engine")
@pytest.mark.slow
def test_prune_removes_images_without_a_name(private_engine):
    api = private_engine().api
    c = api.create()
    made = api.post("/commit", expect=201, query={"container": c.name}, json={}).json()["Id"]
    c.delete(expect=204)
    told = api.post("/images/prune", expect=200, query={"filters": {"dangling": ["true"]}}).json()
    deleted = [record.get("Deleted", "").removeprefix("sha256:") for record in told["ImagesDeleted"]]
    assert made.removeprefix("sha256:") in deleted
    assert told["SpaceReclaimed"] >= 0
    api.get(f"/images/{api.bench.image}/json")
