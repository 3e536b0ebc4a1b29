import bz2
import gzip
import io
import lzma
import tarfile

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires


def archive(*members, **links):
    """Pack members (name, content) and symbolic links (name=target) into a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid, info.gid, info.mtime = len(content), 0o640, 12, 34, 1_000_000_000
            tar.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


PACKED = archive(("d/f", b"content\n"), ("top", b"top\n"), link="top")
FORMS = {"tar": PACKED, "gzip": gzip.compress(PACKED), "bzip2": bz2.compress(PACKED), "xz": lzma.compress(PACKED)}


@claim("build-032", "build-034")
@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_add_unpacks_an_archive_and_copy_does_not(builder, data):
    image = builder.build("FROM IMAGE\nADD a /add/\nADD a /named\nCOPY a /copy/\n", {"a": data})
    assert image.sh("cat /add/d/f /named/top; readlink /add/link; stat -c '%a %u:%g %Y' /add/top").splitlines() == [
        "content", "top", "top", "640 12:34 1000000000",
    ]  # fmt: skip
    assert image.sh("stat -c %s /copy/a") == str(len(data))


@claim("build-032")
@pytest.mark.parametrize(
    "data", [b"", b"text\n", gzip.compress(b"no archive inside\n"), b"\x1f\x8bbroken"],
    ids=["empty", "text", "gzip-of-text", "broken-gzip"],
)  # fmt: skip
def test_add_copies_what_is_no_archive(default_builder, data):
    image = default_builder.build("FROM IMAGE\nADD a.tar.gz /f\n", {"a.tar.gz": data})
    assert image.sh("stat -c %s /f") == str(len(data))


@claim("build-032", "build-201")
def test_truncated_archive_is_refused(default_builder):
    default_builder.refuses("FROM IMAGE\nADD a /f\n", {"a": archive(("f", b"x" * 5000))[:2000]}, says="unexpected EOF")


@claim("build-032", "build-201")
def test_what_is_too_short_to_be_known_as_an_archive_is_copied_whole(default_builder):
    data = gzip.compress(PACKED)[:60]
    image = default_builder.build("FROM IMAGE\nADD a /f\n", {"a": data})
    assert image.sh("stat -c '%F %s' /f") == f"regular file {len(data)}"


ESCAPES = {
    "dots": archive(("../../../../../../../../seatrial-escaped", b"x"), ("inside", b"x")),
    "absolute": archive(("/seatrial-escaped", b"x"), ("inside", b"x")),
}


@claim("build-229")
@pytest.mark.parametrize("data", ESCAPES.values(), ids=ESCAPES)
def test_archive_entries_that_point_outside_stay_inside_of_the_image(default_builder, data):
    dockerfile = "FROM IMAGE\nADD a /deep/er/\n"
    if data == ESCAPES["dots"] and default_builder.trait("build_refuses_steps_up"):
        default_builder.refuses(dockerfile, {"a": data}, says="invalid entry name")
    else:
        image = default_builder.build(dockerfile, {"a": data})
        assert image.sh("find / -xdev -name seatrial-escaped") == "/deep/er/seatrial-escaped"
    host = default_builder.bench.raw.host.path("/")
    assert not list(host.glob("seatrial-escaped")) + list(host.glob("*/seatrial-escaped"))


@claim("build-229")
def test_archive_link_to_the_root_does_not_lead_out_of_the_image(default_builder):
    first = archive(link="/../../../../../../etc")
    second = archive(("link/seatrial-escaped", b"x"))
    image = default_builder.build("FROM IMAGE\nADD a /\nADD b /\n", {"a": first, "b": second})
    assert not default_builder.bench.raw.host.path("/etc/seatrial-escaped").exists()
    assert image.sh("find / -xdev -name seatrial-escaped") == "/etc/seatrial-escaped"


@claim("build-032", "build-213")
def test_add_unpacks_over_what_is_there(default_builder):
    image = default_builder.build(
        "FROM IMAGE\nRUN mkdir -p /t/d && echo old >/t/top && echo kept >/t/d/kept\nADD a /t\n", {"a": PACKED},
    )
    assert image.sh("cat /t/top /t/d/kept /t/d/f").split() == ["top", "kept", "content"]


@claim("build-031")
def test_add_fetches_a_url_with_mode_600_and_its_time_and_leaves_it_packed(builder, web):
    site = web({"/file": b"fetched\n", "/dir/packed.tar.gz": FORMS["gzip"]}, modified="Sun, 09 Sep 2001 01:46:40 GMT")
    image = builder.build(
        f"FROM IMAGE\nARG SITE\nADD {site.url}/file /named\nADD {site.url}/dir/packed.tar.gz /d/\n"
        "ADD $SITE/file /by-arg\n",
        None, "--build-arg", f"SITE={site.url}", *builder.trait("build_host_network"),
    )
    size = len(FORMS["gzip"])
    assert image.sh("stat -c '%n %a %u:%g %s' /named /d/packed.tar.gz /by-arg").splitlines() == [
        "/named 600 0:0 8", f"/d/packed.tar.gz 600 0:0 {size}", "/by-arg 600 0:0 8",
    ]  # fmt: skip
    assert image.sh("stat -c %Y /named") == "1000000000"
    assert "/file" in site.requested


@claim("build-031", "build-201")
@pytest.mark.parametrize("path", ["/missing", "/error"])
def test_add_of_a_url_that_is_not_served_is_refused(default_builder, web, path):
    site = web({"/file": b"x"})
    default_builder.refuses(f"FROM IMAGE\nADD {site.url}{path} /f\n", says=r"40[34]|not found|50\d|status|response")
    assert path in site.requested


@claim("build-031", "build-201")
def test_add_of_a_url_nobody_listens_on_is_refused(default_builder, web):
    site = web({})
    site.close()
    default_builder.refuses(f"FROM IMAGE\nADD {site.url}/f /f\n", says="refused|connect")


@claim("build-031")
def test_copy_takes_no_url(default_builder):
    default_builder.refuses("FROM IMAGE\nCOPY http://127.0.0.1:1/f /f\n",
                    says="source can't be a URL|not found|no such file|no items matching")  # fmt: skip
