import io
import tarfile

import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
SHOW = "FROM IMAGE\nCOPY file /file\n"


def packed(image, form, **files):
    """Pack a context with files into a tar archive, plain or compressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{form}") as archive:
        for name, text in files.items():
            content = text.replace("IMAGE", image).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@claim("build-225", "build-001")
@pytest.mark.parametrize("form", ["", "gz", "bz2", "xz"])
def test_context_may_come_as_an_archive_on_standard_input(default_builder, form):
    data = packed(default_builder.bench.image, form, Dockerfile=SHOW, file="packed")
    assert default_builder.build_from("-", stdin=data).sh("cat /file") == "packed"


@claim("build-225", "build-001")
def test_dockerfile_alone_may_come_on_standard_input(builder):
    image = builder.build_from("-", stdin=f"FROM {builder.bench.image}\nRUN echo made >/file\n")
    assert image.sh("cat /file") == "made"


@claim("build-225", "build-043")
def test_dockerfile_may_come_on_standard_input_beside_a_context(default_builder):
    context = default_builder.bench.context({"file": "of the context", "Dockerfile": "FROM IMAGE\nRUN exit 1\n"})
    typed = f"FROM {default_builder.bench.image}\nCOPY file /file\n"
    image = default_builder.build_from(str(context), "--file", "-", stdin=typed)
    assert image.sh("cat /file") == "of the context"


@claim("build-225", "build-201")
@pytest.mark.parametrize("data", [b"", b"\x1f\x8bbroken", b"\0" * 1024], ids=["nothing", "broken-gzip", "empty-tar"])
def test_unusable_standard_input_is_refused(default_builder, data):
    default_builder.refuses_from("-", stdin=data, says="Dockerfile|archive|empty|gzip|EOF|FROM|no such file")


@claim("build-225")
def test_context_and_dockerfile_may_be_urls(default_builder, web):
    image = default_builder.bench.image
    site = web({"/plain": f"FROM {image}\nRUN echo plain >/file\n".encode(),
                "/context.tar.gz": packed(image, "gz", Dockerfile=SHOW, file="packed")})  # fmt: skip
    assert default_builder.build_from(f"{site.url}/plain").sh("cat /file") == "plain"
    assert default_builder.build_from(f"{site.url}/context.tar.gz").sh("cat /file") == "packed"
    assert {"/plain", "/context.tar.gz"} <= set(site.requested)


@claim("build-225", "build-201")
def test_context_that_is_not_served_or_does_not_exist_is_refused(default_builder, web):
    site = web({})
    default_builder.refuses_from(f"{site.url}/missing", says=r"404|not found|no (containerfile|dockerfile)")
    missing = "no such file|not found|context must be a directory"
    default_builder.refuses_from("/no/such/directory", says=missing)


@claim("build-043", "build-201")
def test_missing_dockerfile_is_refused(default_builder):
    context = default_builder.bench.context({"file": "x"})
    default_builder.refuses_from(str(context), says="failed to read|cannot locate|no (Containerfile|such file)")
    default_builder.refuses_from(str(context), "--file", "other", says="build_no_dockerfile")
    (context / "Dockerfile").mkdir()
    default_builder.refuses_from(str(context), says="build_dockerfile_is_a_directory")


@claim("build-035", "build-043")
@effect("build --file")
def test_file_option_names_a_dockerfile_inside_or_outside_of_the_context(builder):
    bench = builder.bench
    context = bench.context({"Dockerfile": "FROM IMAGE\nRUN exit 1\n", "sub/Dockerfile.inner": SHOW, "file": "x"})
    inside = builder.build_from(str(context), "--file", str(context / "sub/Dockerfile.inner"))
    assert inside.sh("cat /file") == "x"
    outer = bench.context({"Dockerfile.outer": "FROM IMAGE\nCOPY file /other\n"})
    outside = builder.build_from(str(context), "--file", str(outer / "Dockerfile.outer"))
    assert outside.sh("cat /other") == "x"


@claim("build-035", "build-002")
def test_relative_context_and_file_are_resolved_from_the_working_directory(default_builder):
    context = default_builder.bench.context({"one/Dockerfile": SHOW, "one/file": "one", "one/D2": ""})
    (context / "one/D2").write_text((context / "one/Dockerfile").read_text() + "RUN echo D2 >>/file\n")
    assert default_builder.build_from(".", cwd=context / "one").sh("cat /file") == "one"
    assert default_builder.build_from("one", "-f", "one/D2", cwd=context).sh("cat /file") == "oneD2"


# .dockerignore -> what of the tree below is left
TREE = (
    "a.txt", "b.md", "README.md", "d/a.txt", "d/x.o", "d/deep/a.txt", "d/deep/x.o", ".git/config", "temp1/f",
    "keep/only",
)  # fmt: skip
RULES = {
    "name-anywhere": ("**/*.o\n", {"d/x.o", "d/deep/x.o"}),
    "root-only": ("*.txt\n", {"a.txt"}),
    "one-level": ("*/*.txt\n", {"d/a.txt"}),
    "directory": ("d/deep\n.git/\n", {"d/deep/a.txt", "d/deep/x.o", ".git/config"}),
    "exception": ("*.md\n!README.md\n", {"b.md"}),
    "last-rule-wins": ("!README.md\n*.md\n", {"b.md", "README.md"}),
    "comment-and-blanks": ("# a.txt\n\n   b.md   \n", {"b.md"}),
    "single-letter": ("temp?\n", {"temp1/f"}),
    "leading-slash": ("/a.txt\n", {"a.txt"}),
    "everything-but": ("*\n!keep\n!d/deep/a.txt\n", set(TREE) - {"keep/only", "d/deep/a.txt"}),
    "byte-order-mark-and-crlf": ("\ufeffa.txt\r\nb.md\r\n", {"a.txt", "b.md"}),
}


@claim("build-211")
@pytest.mark.parametrize(("rules", "excluded"), RULES.values(), ids=RULES)
def test_dockerignore_leaves_out_what_its_rules_say(default_builder, rules, excluded):
    image = default_builder.build("FROM IMAGE\nCOPY . /c\n", {".dockerignore": rules, **dict.fromkeys(TREE, "x")})
    found = {path.removeprefix("./") for path in image.sh("cd /c && find . -type f").split()}
    assert set(TREE) - found == excluded


@claim("build-211")
def test_dockerignore_may_exclude_itself_and_the_dockerfile(builder):
    image = builder.build("FROM IMAGE\nCOPY . /c\n", {".dockerignore": "Dockerfile\n.dockerignore\n", "file": "x"})
    assert image.sh("ls -A /c").split() == ["file"]


@claim("build-211", "build-201")
def test_wrong_pattern_in_dockerignore_is_refused(default_builder):
    files = {".dockerignore": "[\n", "file": "x"}
    default_builder.refuses("FROM IMAGE\nCOPY . /c\n", files, says="syntax error in pattern")


@claim("build-212")
def test_context_that_is_itself_a_link_is_followed(default_builder):
    context = default_builder.bench.context({"Dockerfile": SHOW, "file": "x"})
    link = default_builder.bench.workdir / "link"
    link.symlink_to(context)
    assert default_builder.build_from(str(link)).sh("cat /file") == "x"


@claim("build-042")
def test_many_files_and_a_big_file_arrive_whole(default_builder):
    files = {f"many/{number:04}": str(number) for number in range(1500)}
    files["big"] = "Z" * (20 << 20)
    image = default_builder.build("FROM IMAGE\nCOPY many /many\nCOPY big /big\n", files)
    assert image.sh("ls /many | wc -l; cat /many/1499; stat -c ' %s' /big; tail -c 1 /big").split() == [
        "1500", "1499", str(20 << 20), "Z",
    ]  # fmt: skip
