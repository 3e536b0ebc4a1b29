"""Files in and out of containers: archive, export, copy."""

import base64
import stat

import pytest

from seatrial import archive
from seatrial.exec import parsed

claim = pytest.mark.claim
TAR = {"Content-Type": "application/x-tar"}
SMALL = archive.tree({"a": "1"})


def described(answer):
    return parsed(base64.b64decode(answer.header("X-Docker-Container-Path-Stat")))


@pytest.fixture(params=["running", "created"])
def c(api, request):
    """A container that runs, and one that never did."""
    return api.run() if request.param == "running" else api.create()


@claim("api-116", "api-020")
def test_head_describes_a_path(c):
    told = described(c.api.head(c.path("archive"), query={"path": "/etc/passwd"}))
    assert told["name"] == "passwd"
    assert told["size"] > 0
    assert stat.S_IMODE(told["mode"]) == 0o644


@claim("api-116")
@pytest.mark.parametrize(("path", "leads"), [("/etc/passwd", ""), ("/bin/sh", "/bin/busybox")], ids=["file", "link"])
def test_head_tells_where_a_link_leads(api, path, leads):
    assert described(api.head(api.create().path("archive"), query={"path": path}))["linkTarget"] == leads


@claim("api-116", "api-020")
def test_get_takes_a_file_out(c):
    answer = c.get("archive", query={"path": "/etc/group"})
    assert answer.content_type == "application/x-tar"
    assert archive.content(answer.body, "group").startswith(b"root:")
    assert described(answer)["name"] == "group"


@claim("api-021", "api-020")
def test_get_of_a_directory_takes_its_tree(c):
    names = set(archive.members(c.get("archive", query={"path": "/etc"}).body))
    assert {"etc", "etc/passwd", "etc/group"} <= names


@claim("api-021")
def test_get_of_what_a_directory_holds(api):
    names = set(archive.members(api.run().get("archive", query={"path": "/etc/."}).body))
    assert "passwd" in {name.rpartition("/")[2] for name in names}


@claim("api-116", "api-020")
def test_put_puts_files_in(c):
    c.api.put(c.path("archive"), expect=200, query={"path": "/tmp"}, headers=TAR,
              body=archive.tree({"one": "1", "deep/two": "2"}))  # fmt: skip
    assert archive.content(c.get("archive", query={"path": "/tmp/deep/two"}).body, "two") == b"2"


@claim("api-116")
def test_put_and_get_change_nothing(api):
    c = api.create()
    data = bytes(range(256)) * 1000
    body = archive.tree({"blob": data}, mode=0o640)
    api.put(c.path("archive"), expect=200, query={"path": "/"}, headers=TAR, body=body)
    back = c.get("archive", query={"path": "/blob"}).body
    assert archive.content(back, "blob") == data
    assert archive.members(back)["blob"].mode & 0o777 == 0o640


@claim("api-117")
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_path_that_does_not_exist_is_not_found(api, method):
    c = api.create()
    api.request(method, c.path("archive"), expect=404, query={"path": "/no/such/path"})


@claim("api-117")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_an_archive_without_a_path_is_refused(api, method):
    c = api.create()
    api.request(method, c.path("archive"), expect=400)


@claim("api-117")
def test_put_into_a_directory_that_does_not_exist_is_not_found(api):
    c = api.create()
    api.refuses("PUT", c.path("archive"), 404, query={"path": "/no/such"}, headers=TAR, body=SMALL)


@claim("api-117")
def test_put_into_a_file_is_refused(api):
    c = api.create()
    api.refuses("PUT", c.path("archive"), 400, query={"path": "/etc/passwd"}, headers=TAR, body=SMALL)


@claim("api-117")
def test_put_into_a_read_only_root_is_refused(api):
    c = api.run(HostConfig={"ReadonlyRootfs": True})
    api.refuses("PUT", c.path("archive"), 403, query={"path": "/tmp"}, headers=TAR, body=SMALL)
    assert not c.kernel.file("/tmp/a").exists()


@claim("api-117")
def test_put_of_what_is_no_archive_is_refused(api):
    c = api.create()
    body = b"no archive at all" * 99
    api.refuses("PUT", c.path("archive"), 400, query={"path": "/tmp"}, headers=TAR, body=body)


@claim("api-117")
def test_a_directory_is_not_replaced_by_a_file_when_told_so(api):
    c = api.create()
    api.refuses("PUT", c.path("archive"), 400, headers=TAR, body=archive.tree({"etc": "file"}),
                query={"path": "/", "noOverwriteDirNonDir": True})  # fmt: skip
    assert "etc/passwd" in archive.members(c.get("archive", query={"path": "/etc"}).body)


@claim("api-117")
def test_names_with_dots_stay_inside(api, engine):
    c = api.run()
    name = f"escaped-{engine.key}"
    # more steps up than any storage is deep, so that what is not stopped ends at the root of whoever writes
    body = archive.tree({f"{'../' * 20}run/{name}": "out"})
    answer = api.put(c.path("archive"), expect=None, query={"path": "/tmp"}, headers=TAR, body=body)
    assert not (engine.raw.host.path("/run") / name).exists()
    places = [place for place in ("/run", "/tmp/run") if c.kernel.file(f"{place}/{name}").exists()]
    assert places == engine.trait("api_archive_up_lands")
    answer.check(engine.code("api_archive_up"))


@claim("api-117")
def test_a_link_that_leads_out_is_followed_inside(api, engine):
    c = api.sh("ln -s /etc /out; sleep 60")
    c.until("linked", lambda: c.kernel.file("/out").is_symlink())
    names = archive.members(c.get("archive", query={"path": "/out/passwd"}).body)
    assert set(names) == {"passwd"}


@claim("api-098")
def test_export_holds_the_file_system(api):
    c = api.sh("echo cargo >/hold")
    c.wait()
    answer = c.get("export")
    assert answer.content_type in ("application/octet-stream", "application/x-tar")
    assert archive.content(answer.body, "hold") == b"cargo\n"
    assert {"etc/passwd", "bin/busybox"} <= set(archive.members(answer.body))


@claim("api-098")
def test_export_leaves_volumes_out(api):
    volume = api.volume()
    c = api.sh("echo secret >/v/secret", HostConfig={"Binds": [f"{volume}:/v"]})
    c.wait()
    assert "v/secret" not in archive.members(c.get("export").body)


@claim("api-019")
@pytest.mark.parametrize("version", ["1.24", ""], ids=["since-1.24", "now"])
def test_copy_is_gone(api, version):
    c = api.create()
    api.post(c.path("copy"), expect=404, json={"Resource": "/etc"}, version=version)
