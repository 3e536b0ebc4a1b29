"""Bundles: identity, and archives that nobody would unpack by hand."""

import gzip
import io
import os
import shutil
import tarfile
import time

import pytest

from seatrial.oct import tarball, validate
from seatrial.oct.bundle import Bundle
from seatrial.oct.diagnostics import Report

FILES = {"source/a.sh": "#!/bin/sh\necho a\n", "source/b.txt": "b"}
CHANGES = {"Deploys": [{"Object": "hostA", "Class": "host", "Files": ["source/a.sh", "source/b.txt"],
                        "Containers": [{"Object": "boxA", "Class": "box"}]}]}  # fmt: skip


@pytest.fixture
def digest(samples):
    return lambda root, document=None: Bundle(root).digest(document or samples.case(**CHANGES))


def test_two_copies_have_the_same_identity(bundle, digest, tmp_path):
    one = bundle(CHANGES, FILES)
    other = tmp_path / "copy"
    shutil.copytree(one, other, copy_function=shutil.copyfile)
    (other / "source/a.sh").chmod(0o700)
    os.utime(other / "source/b.txt", (1, 1))
    (other / "report.md").write_text("written by a run")
    assert digest(one) == digest(other)
    assert len(digest(one)) == 64


@pytest.mark.parametrize("change", ["content", "mode", "name", "more", "case"])
def test_every_change_is_another_identity(bundle, digest, samples, change):
    root = bundle(CHANGES, FILES)
    before = digest(root)
    document = samples.case(**CHANGES)
    if change == "content":
        (root / "source/b.txt").write_text("c")
    elif change == "mode":
        (root / "source/b.txt").chmod(0o755)
    elif change == "name":
        (root / "source/b.txt").rename(root / "source/c.txt")
    elif change == "more":
        (root / "source/empty").touch()
    else:
        document["Summary"] += "!"
    assert Bundle(root).digest(document) != before


def test_the_order_of_keys_is_no_change(bundle, digest, samples):
    root = bundle(CHANGES, FILES)
    document = samples.case(**CHANGES)
    assert digest(root, document) == digest(root, dict(reversed(document.items())))


def archive(path, *members, packed=True, mode=0o644):
    """Write an archive of TarInfos, or of names with their content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.mode = len(member[1]), mode
                tar.addfile(info, io.BytesIO(member[1]))
    path.write_bytes(gzip.compress(buffer.getvalue()) if packed else buffer.getvalue())
    return path


def special(name, kind, link="", mode=0o644, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, size
    return info


@pytest.mark.parametrize(
    ("member", "code"),
    [
        (("../x", b""), "OCT037"), (("a/../../x", b""), "OCT037"), (("/etc/x", b""), "OCT037"),
        (("a\\..\\b", b""), "OCT037"),
        (("a\nb", b""), "OCT037"), (("d/" * 20 + "x", b""), "OCT037"),
        (special("l", tarfile.SYMTYPE, "/etc/passwd"), "OCT036"),
        (special("l", tarfile.LNKTYPE, "case.json"), "OCT036"), (special("d", tarfile.CHRTYPE), "OCT036"),
        (special("d", tarfile.BLKTYPE), "OCT036"), (special("p", tarfile.FIFOTYPE), "OCT036"),
        (special("s", tarfile.REGTYPE, mode=0o4755), "OCT036"),
        (special("big", tarfile.REGTYPE, size=(16 << 20) + 1), "OCT038"),
        (("case.json", b"{}"), "OCT037"),
    ],
)  # fmt: skip
def test_dangerous_entries_are_refused_before_anything_is_written(tmp_path, samples, member, code):
    good = ("case.json", samples.text(samples.case()).encode())
    path = archive(tmp_path / "b.tar.gz", good, member)
    (tmp_path / "out").mkdir()
    report = Report("b.tar.gz")
    assert not tarball.unpack(path, tmp_path / "out", report)
    assert [one.code for one in report.errors] == [code]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bomb_is_refused_in_little_time_and_space(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    zeros = gzip.compress(bytes(1 << 20), 9)
    path.write_bytes(zeros * 4096)  # 4 GiB unpacked, 4 MiB packed: an archive of nothing but the end mark
    (tmp_path / "out").mkdir()
    report = Report("bomb")
    began = time.monotonic()
    assert not tarball.unpack(path, tmp_path / "out", report)
    assert time.monotonic() - began < 10
    assert [one.code for one in report.errors] == ["OCT038"]


def test_too_many_entries(tmp_path):
    path = archive(tmp_path / "b.tar.gz", *((f"f{number}", b"") for number in range(tarball.ENTRIES + 1)))
    (tmp_path / "out").mkdir()
    report = Report("b")
    assert not tarball.unpack(path, tmp_path / "out", report)
    assert [one.code for one in report.errors] == ["OCT038"]


def test_a_cut_off_archive_is_told_wherever_it_ends(tmp_path, samples):
    good = ("case.json", samples.text(samples.case()).encode())
    whole = archive(tmp_path / "whole.tar.gz", good, ("source/x", os.urandom(3000))).read_bytes()
    lengths = [*range(0, len(whole), 311), len(whole) - 9, len(whole) - 4, len(whole) - 1]
    for length in lengths:
        path = tmp_path / "cut.tar.gz"
        path.write_bytes(whole[:length])
        (report,) = validate.validate([path])
        assert [one.code for one in report.errors] == ["OCT039"], length


@pytest.mark.parametrize("content", [
    b"", b"no archive", b"\x1f\x8b but no gzip", gzip.compress(b"no tar" * 200, mtime=0)])  # fmt: skip
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "x.tgz").write_bytes(content)
    (report,) = validate.validate([tmp_path / "x.tgz"])
    assert [one.code for one in report.errors] == ["OCT039"]


def test_a_good_archive_is_checked_like_its_bundle(bundle, tmp_path):
    root = bundle({**CHANGES, "License": "GPL"}, FILES)
    tarball.pack(root, tmp_path / "b.tar.gz")
    (report,) = validate.validate([tmp_path / "b.tar.gz"])
    assert report.file == f"{tmp_path}/b.tar.gz!case.json"
    assert [one.code for one in report.diagnostics] == ["OCT015"]
    (tmp_path / "out").mkdir()
    assert tarball.unpack(tmp_path / "b.tar.gz", tmp_path / "out", Report(""))
    assert (tmp_path / "out/source/a.sh").stat().st_mode & 0o777 == 0o755


def test_packing_is_repeatable(bundle, tmp_path):
    root = bundle(CHANGES, FILES)
    tarball.pack(root, tmp_path / "1.tar.gz")
    os.utime(root / "case.json", (1, 1))
    tarball.pack(root, tmp_path / "2.tar.gz")
    assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tar.gz").read_bytes()
