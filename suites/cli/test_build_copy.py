import hashlib
import os
import socket

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires


@claim("build-033", "build-008", "build-030")
@pytest.mark.parametrize("word", ["COPY", "ADD"])
def test_files_land_where_the_destination_says(builder, word):
    image = builder.build(
        f"FROM IMAGE\nWORKDIR /w\n{word} a /new/file\n{word} a /dir/\n{word} a b /two/\n{word} a .\n{word} b rel/\n"
        f'{word} ["with blank", "/x y/"]\n{word} /a /slash\n{word} ./sub/../b /dots\n'
        f"ENV D=/env S=a\n{word} $S ${{D}}/\n",
        {"a": "A", "b": "B", "with blank": "C", "sub/c": "c"},
    )
    places = "new/* dir/* two/* w/a w/rel/* 'x y'/* slash dots env/*"
    listing = image.sh(f'cd /; for f in {places}; do echo "$f $(cat "$f")"; done')
    assert set(listing.splitlines()) == {
        "new/file A", "dir/a A", "two/a A", "two/b B", "w/a A", "w/rel/b B", "x y/with blank C", "slash A",
        "dots B", "env/a A",
    }  # fmt: skip


@claim("build-033", "build-042")
def test_directory_is_copied_by_content_with_dot_files_and_empty_directories(default_builder):
    files = {f"tree/{path}": f"content of {path}" for path in ("a", ".hidden", "deep/er/b", "deep/.x/y")}
    dockerfile = "FROM IMAGE\nCOPY tree /t1\nCOPY tree/ /t2/\nCOPY . /all/\n"
    context = default_builder.bench.context({"Dockerfile": dockerfile, **files})
    (context / "tree/empty").mkdir()
    image = default_builder.build_from(str(context))
    expected = {path.removeprefix("tree/"): hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    for place in ("/t1", "/t2", "/all/tree"):
        sums = image.sh(f"cd {place} && find . -type f | xargs sha256sum; ls -d empty")
        seen = dict(line.split("  ./")[::-1] for line in sums.splitlines() if "  ./" in line)
        assert seen == expected
        assert sums.endswith("empty")


@claim("build-033")
def test_wildcards_choose_files(default_builder):
    image = default_builder.build(
        "FROM IMAGE\nCOPY a*.txt /star/\nCOPY ?.c /question/\nCOPY [xy].h /class/\nCOPY */deep.* /path/\n"
        "COPY maybe* a1.txt /some/\n",
        dict.fromkeys(("a1.txt", "a2.txt", "b1.txt", "p.c", "pp.c", "x.h", "z.h", "d1/deep.o", "d2/d/deep.o"), ""),
    )
    assert image.sh("cd /; ls -d star/* question/* class/* path/* some/*").split() == [
        "class/x.h", "path/deep.o", "question/p.c", "some/a1.txt", "star/a1.txt", "star/a2.txt",
    ]  # fmt: skip


REFUSED = {
    "missing": ("COPY nosuchfile /", "nosuchfile"),
    "several-into-a-file": ("COPY a b /one", "must be a directory|end with a slash"),
    "outside-by-dots": ("COPY ../outside /", r"outside"),
    "excluded": ("COPY secret /", r"secret|no items matching"),
    "missing-absolute": ("COPY /etc/hostname /", "etc/hostname"),
    "onto-a-file-as-directory": ("COPY a /bin/busybox/", r"not a directory|cannot (copy|create)|busybox"),
}


@claim("build-033", "build-211", "build-212", "build-201")
@pytest.mark.parametrize(("line", "says"), REFUSED.values(), ids=REFUSED)
def test_copy_that_cannot_be_done_is_refused(default_builder, line, says):
    files = {"a": "", "b": "", "secret": "x", ".dockerignore": "secret\n"}
    default_builder.refuses(f"FROM IMAGE\n{line}\n", files, says=says)


@claim("build-033")
def test_wildcard_without_a_match_follows_the_builder_s_rule(builder):
    text = "FROM IMAGE\nCOPY nosuch*.c /d/\n"
    if builder.trait("build_empty_wildcard") == "refused":
        builder.refuses(text, {"a": ""}, says="no source files|no such file|no items matching")
    else:
        assert builder.build(text, {"a": ""}).sh("ls /d 2>/dev/null || true") == ""


@claim("build-213")
@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("0:0", "0:0"), ("daemon", "1:1"), ("operator:users", "37:100"), ("1234", "1234:1234"), ("55:66", "55:66"),
        ("daemon:7", "1:7"),
    ],
    ids=str,
)  # fmt: skip
def test_chown_sets_the_owner_of_everything_copied(default_builder, owner, expected):
    dockerfile = f"FROM IMAGE\nCOPY --chown={owner} tree /t\nADD --chown={owner} tree/f /g\n"
    image = default_builder.build(dockerfile, {"tree/f": "x", "tree/d/g": "y"})
    assert set(image.sh("stat -c %u:%g /t /t/f /t/d /t/d/g /g").split()) == {expected}


@claim("build-213")
def test_chown_to_an_unknown_user_is_refused(default_builder):
    default_builder.refuses("FROM IMAGE\nCOPY --chown=nosuchuser a /\n", {"a": ""}, says="nosuchuser|invalid user")


@claim("build-214", "build-033")
def test_modes_and_times_of_the_source_are_kept_and_owners_are_not(builder):
    context = builder.bench.context({"Dockerfile": "FROM IMAGE\nCOPY t /t\n", "t/script": "#!/bin/sh\n", "t/d/f": ""})
    for path, mode in {"t/script": 0o751, "t/d": 0o700, "t/d/f": 0o604}.items():
        (context / path).chmod(mode)
        os.chown(context / path, 500, 600)
    os.utime(context / "t/script", (1_000_000_000, 1_000_000_000))
    image = builder.build_from(str(context))
    assert image.sh("stat -c '%n %a %u:%g' /t/script /t/d /t/d/f").splitlines() == [
        "/t/script 751 0:0", "/t/d 700 0:0", "/t/d/f 604 0:0",
    ]  # fmt: skip
    assert image.sh("stat -c %Y /t/script") == "1000000000"


@claim("build-214")
@pytest.mark.parametrize("bit", [0o4755, 0o2755, 0o1777], ids=oct)
def test_special_mode_bits_follow_the_builder_s_rule(builder, bit):
    context = builder.bench.context({"Dockerfile": "FROM IMAGE\nCOPY f /f\n", "f": "x"})
    (context / "f").chmod(bit)
    kept = bit if builder.trait("build_keeps_set_id_bits") else bit & 0o1777
    assert builder.build_from(str(context)).sh("stat -c %a /f") == f"{kept:o}"


@claim("build-212")
def test_links_in_the_context_are_copied_as_links_inside_of_directories(builder):
    bench = builder.bench
    secret = bench.workdir / "secret"
    secret.write_text("of the host")
    dockerfile = "FROM IMAGE\nCOPY t /t\nCOPY inner /followed\n"
    context = bench.context({"Dockerfile": dockerfile, "t/f": "content", "g": "inner"})
    (context / "t/relative").symlink_to("f")
    (context / "t/dangling").symlink_to("nowhere")
    (context / "t/outside").symlink_to(secret)
    (context / "t/up").symlink_to("../../secret")
    (context / "inner").symlink_to("g")
    image = builder.build_from(str(context))
    assert image.sh("cd /t; for l in relative dangling outside up; do readlink $l; done").splitlines() == [
        "f", "nowhere", str(secret), "../../secret",
    ]  # fmt: skip
    seen = image.sh("cat /t/relative /followed; cat /t/outside /t/up 2>/dev/null || echo absent")
    assert seen == "contentinnerabsent"


@claim("build-212")
@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_link_out_of_the_context_gives_nothing_of_the_host(default_builder, kind):
    bench = default_builder.bench
    secret = bench.workdir / "secret"
    secret.write_text("of the host")
    context = bench.context({"Dockerfile": "FROM IMAGE\nCOPY link /copied\n"})
    (context / "link").symlink_to(secret if kind == "absolute" else "../secret")
    name = bench.image_name()
    result = default_builder.cli("--tag", name, str(context), expect=None)
    assert "of the host" not in result.output
    if result.ok:  # a default_builder may copy the link, never what it points to
        assert "of the host" not in bench.once(name, "sh", "-c", "cat /copied; ls -l /copied", expect=None).output
    else:
        assert not bench.exists(name, "image")


@claim("build-033")
def test_existing_link_at_the_destination_is_followed_inside_of_the_image_only(default_builder):
    image = default_builder.build(
        "FROM IMAGE\nRUN mkdir /real; ln -s /real /dir; ln -s ../../../../../../etc/escaped /file\n"
        "COPY a /dir/\nCOPY a /file\n",
        {"a": "A"},
    )
    assert image.sh("cat /real/a") == "A"
    assert image.sh("readlink /dir") == "/real"
    host = default_builder.bench.raw.host.path("/etc/escaped")
    assert not host.exists()


@claim("build-033", "build-214")
def test_copy_merges_into_a_directory_and_replaces_files(default_builder):
    image = default_builder.build(
        "FROM IMAGE\nRUN mkdir -p /t/d /t/e; echo old >/t/f; echo old >/t/d/kept\nCOPY t /t\nCOPY t/f /t/f\n",
        {"t/f": "new", "t/d/added": "added"},
    )
    assert image.sh("cat /t/f; ls /t /t/d").split() == ["new/t:", "d", "e", "f", "/t/d:", "added", "kept"]


@claim("build-033")
def test_hard_links_and_big_sparse_files_keep_their_content(default_builder):
    context = default_builder.bench.context({"Dockerfile": "FROM IMAGE\nCOPY t /t\n", "t/one": "same"})
    os.link(context / "t/one", context / "t/two")
    with (context / "t/sparse").open("wb") as stream:
        stream.truncate(30 << 20)
        stream.seek(20 << 20)
        stream.write(b"middle")
    seen = default_builder.build_from(str(context)).sh("cat /t/one /t/two; stat -c %s /t/sparse; md5sum /t/sparse")
    digest = hashlib.md5((context / "t/sparse").read_bytes()).hexdigest()
    assert seen.split() == ["samesame31457280", digest, "/t/sparse"]


@claim("build-033")
def test_names_of_any_letters_are_copied(default_builder):
    names = ["ümläut", "日本", "a'b", "a\"b", "-dash", "tab\there", "#hash", "a$b", "*star", "[x]", "a\\b", "x" * 200]
    image = default_builder.build("FROM IMAGE\nCOPY names /names\n", {f"names/{name}": name for name in names})
    assert image.sh("cat /names/*").encode() == "".join(sorted(names, key=str.encode)).encode()


@claim("build-033")
def test_socket_in_the_context_is_left_out_or_refused(default_builder):
    context = default_builder.bench.context({"Dockerfile": "FROM IMAGE\nCOPY t /t\n", "t/f": "x"})
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        try:
            os.chdir(context / "t")  # the path of a socket is at most 108 letters
            server.bind("socket")
        finally:
            os.chdir(here)
        image = default_builder.build_from(str(context))
    assert image.sh("ls /t").split()[0] == "f"
