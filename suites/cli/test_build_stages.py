import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


@claim("build-014", "build-215")
def test_stages_pass_files_by_name_and_number_and_nothing_else(builder):
    image = builder.build(
        "FROM IMAGE AS first\nRUN echo one >/one; mkdir /d; echo two >/d/two; touch /secret\nENV E=first\n"
        "FROM IMAGE as second\nCOPY --from=first /one /copied\nRUN echo second >>/copied\n"
        "FROM IMAGE\nCOPY --from=0 /d /d\nCOPY --from=second /copied /copied\n"
        "COPY --chown=5:6 --from=first /one /owned\n"
    )
    assert image.sh("cat /copied /d/two; stat -c %u:%g /owned; ls /secret 2>/dev/null; echo \"<$E>\"").split() == [
        "one", "second", "two", "5:6", "<>",
    ]  # fmt: skip


@claim("build-014", "build-215")
def test_stage_may_build_on_an_earlier_stage(default_builder):
    image = default_builder.build(
        "FROM IMAGE AS base\nENV A=kept\nWORKDIR /w\nRUN echo base >f\n"
        'FROM base AS next\nRUN echo "next $A" >>f\nFROM next\nCMD ["cat", "f"]\n'
    )
    assert image.run().text.splitlines() == ["base", "next kept"]


@claim("build-215")
@effect("build --target")
def test_target_ends_the_build_at_a_stage(builder):
    text = "FROM IMAGE AS one\nRUN echo one >/f\nFROM one AS two\nRUN echo two >>/f\nFROM two\nRUN exit 1\n"
    assert builder.build(text, None, "--target", "two").sh("cat /f").split() == ["one", "two"]
    assert builder.build(text, None, "--target", "one").sh("cat /f").split() == ["one"]
    builder.refuses(text, None, "--target", "nosuch", says="nosuch|target")


@claim("build-215", "build-206")
def test_arg_is_seen_in_the_stage_that_declares_it_only(default_builder):
    image = default_builder.build(
        'ARG G=global\nFROM IMAGE AS one\nARG G\nARG V=one\nRUN echo "$G $V" >/f\n'
        'FROM IMAGE\nRUN echo "<$G><$V>" >/g\nCOPY --from=one /f /f\n',
        None, "--build-arg", "V=given",
    )
    assert image.sh("cat /f /g").splitlines() == ["global given", "<><>"]


@claim("build-215")
def test_copy_from_another_image(default_builder):
    other = default_builder.build("FROM IMAGE\nRUN echo other >/only-here\n")
    image = default_builder.build(f"FROM IMAGE\nCOPY --from={other} /only-here /copied\n")
    assert image.sh("cat /copied") == "other"


@claim("build-215", "build-201")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FROM IMAGE AS a\nFROM IMAGE\nCOPY --from=a /nosuchfile /x\n", "nosuchfile"),
        # of eight digits: a shorter number may be the beginning of an image's id
        ("FROM IMAGE\nCOPY --from=99999999 /etc/passwd /x\n",
         "index out of bounds|invalid stage index|no stage or image found with that name"),
    ],
    ids=["missing-file", "number-too-big"],
)  # fmt: skip
def test_copy_from_what_is_not_there_is_refused(default_builder, text, says):
    default_builder.refuses(text, says=says)


@claim("build-013", "build-040")
def test_scratch_is_an_empty_image(default_builder):
    busybox = default_builder.build("FROM IMAGE\n")
    image = default_builder.build(
        f'FROM {busybox} AS from\nFROM scratch\nCOPY --from=from /bin/busybox /busybox\nENTRYPOINT ["/busybox"]\n'
        'CMD ["ls", "/"]\n'
    )
    assert len(image.layers) == 1
    assert set(image.run().text.split()) - {"dev", "etc", "proc", "sys", "run"} == {"busybox"}
    bare = default_builder.build("FROM scratch\nLABEL only=label\n")
    assert bare.config["Labels"]["only"] == "label"
    assert bare.inspect()["Size"] < 10_000


@claim("build-215")
@requires("buildkit")
def test_buildkit_skips_stages_that_nothing_needs(modern_builder):
    image = modern_builder.build("FROM IMAGE AS unused\nRUN exit 1\nFROM IMAGE\nRUN echo made >/f\n")
    assert image.sh("cat /f") == "made"


@claim("build-226")
def test_here_documents_are_scripts_and_files(modern_builder):
    image = modern_builder.build(
        "FROM IMAGE\nENV V=value\nRUN <<EOF\nset -e\necho one >/f\necho $V >>/f\nEOF\n"
        "COPY <<EOF /expanded\n$V\nEOF\nCOPY <<'EOF' /literal\n$V\nEOF\nRUN cat <<-X >>/f\n\tindented\n\tX\n"
    )
    assert image.sh("cat /f /expanded /literal").split() == ["one", "value", "indented", "value", "$V"]


@claim("build-227")
@effect("build --secret")
def test_mounts_of_run_are_there_for_one_step_and_leave_nothing(modern_builder):
    bench = modern_builder.bench
    secret = bench.workdir / "secret"
    secret.write_text("hidden-word")
    image = modern_builder.build(
        "FROM IMAGE AS other\nRUN echo bound >/f\nFROM IMAGE\n"
        "RUN --mount=type=secret,id=s cat /run/secrets/s | wc -c >/size\n"
        "RUN --mount=type=bind,from=other,source=/f,target=/bound cat /bound >/copy\n"
        "RUN --mount=type=tmpfs,target=/t touch /t/f && grep -c ' /t tmpfs' /proc/mounts >/mounted\n"
        f"RUN --mount=type=cache,target=/cache,id={bench.key} touch /cache/f\n"
        f"RUN --mount=type=cache,target=/cache,id={bench.key} ls /cache >/cached\n",
        None, "--secret", f"id=s,src={secret}",
    )
    assert image.sh("cat /size /copy /mounted /cached").split() == ["11", "bound", "1", "f"]
    assert image.sh("find /t /cache -type f; cat /run/secrets/s /bound 2>/dev/null || true") == ""
    assert "hidden-word" not in bench.cli("history", "--no-trunc", image.name).stdout
