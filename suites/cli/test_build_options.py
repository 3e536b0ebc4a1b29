import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples
from seatrial.exec import FAILURE

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
# a builder may look through all images for its cache, and gives up when somebody removes one meanwhile
exclusive = pytest.mark.exclusive
RANDOM = "cat /proc/sys/kernel/random/uuid"
UNIQUE = f"FROM IMAGE\nRUN {RANDOM} >/uuid # KEY\nCOPY file /file\nRUN {RANDOM} >/after\n"
# upper case, tags that begin with a dot or are too long, forbidden characters and first characters
BAD_NAMES = ("[A-Z][A-Za-z]{0,8}", "[a-z]{1,4}:[.-][a-z]{1,4}", "[a-z]{1,4}:[a-z]{129}", "[a-z]{1,4}[ !$%][a-z]{1,4}",
             "-[a-z]{2}/x", "_[a-z]")  # fmt: skip
SEEN = "cat /uuid /after"


@claim("build-035")
def test_every_tag_names_the_same_image(builder):
    second, third = (builder.bench.image_name(word) for word in ("second", "third"))
    first = builder.build("FROM IMAGE\nLABEL a=b\n", None, "-t", second, "--tag", third)
    ids = {builder.bench.inspect(name, "image")["Id"] for name in (first.name, second, third)}
    assert len(ids) == 1
    assert ids != {builder.bench.inspect(builder.bench.image, "image")["Id"]}


@claim("build-035")
def test_tag_moves_to_the_newer_image(default_builder):
    name = default_builder.bench.image_name()
    context = default_builder.bench.context({"Dockerfile": UNIQUE, "file": "x"})
    old = default_builder.build_from(str(context), name=name).inspect()["Id"]
    default_builder.bench.track("image", old)
    assert default_builder.build_from(str(context), name=name).inspect()["Id"] != old
    assert default_builder.bench.exists(old, "image")


@claim("build-035", "build-201")
@examples(12)
@given(name=st.one_of(*(st.from_regex(pattern, fullmatch=True) for pattern in BAD_NAMES)))
def test_bad_tags_are_refused_before_anything_is_built(default_builder, name):
    context = default_builder.bench.context({"Dockerfile": "FROM IMAGE\nRUN echo must-not-run; exit 7\n"})
    result = default_builder.cli(f"--tag={name}", str(context), expect=FAILURE)
    assert re.search(default_builder.bench.says("build_bad_tag"), result.stderr)
    assert "must-not-run\n" not in result.output.replace("echo must-not-run", "")


@claim("build-035")
def test_quiet_prints_the_image_id_alone(builder):
    image = builder.build("FROM IMAGE\nRUN echo noise; echo noise >&2\n", None, "--quiet")
    assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", image.result.text)
    assert image.result.text.removeprefix("sha256:") == image.inspect()["Id"].removeprefix("sha256:")


@claim("build-035", "build-216")
def test_quiet_build_that_fails_says_why(default_builder):
    # a quiet build does not name the container that it keeps of the failed step
    default_builder.refuses("FROM IMAGE\nRUN echo reason-shown; exit 5\n", None, "--quiet", "--force-rm",
                            says=r"(code:?|status) 5\b")  # fmt: skip


@claim("build-218")
@effect("build --iidfile")
def test_iidfile_holds_the_image_id(builder):
    path = builder.bench.workdir / "iid"
    path.write_text("old content that is longer than an image id, so that it has to be truncated: " + "x" * 80)
    image = builder.build("FROM IMAGE\nLABEL a=b\n", None, "--iidfile", str(path))
    assert path.read_text().strip() == "sha256:" + image.inspect()["Id"].removeprefix("sha256:")


@claim("build-218", "build-216")
def test_iidfile_of_a_failed_build_is_not_left(default_builder):
    path = default_builder.bench.workdir / "iid"
    default_builder.refuses("FROM IMAGE\nRUN exit 1\n", None, "--iidfile", str(path), says="build_step_failed")
    assert not path.exists()


@claim("build-005", "build-224")
@exclusive
def test_repeated_build_uses_the_cache_and_no_cache_does_not(builder):
    text = UNIQUE.replace("KEY", f"{builder.bench.run_id} {builder.bench.key}")  # nobody else has this in the cache
    files = {"file": "x"}
    first = builder.build(text, files, cached=True)
    second = builder.build(text, files, cached=True)
    assert second.sh(SEEN) == first.sh(SEEN)
    assert re.search(r"(?i)using cache|CACHED", second.output)
    third = builder.build(text, files)
    assert not set(third.sh(SEEN).split()) & set(first.sh(SEEN).split())


@claim("build-224")
@exclusive
def test_cache_ends_at_the_first_step_that_differs(builder):
    text = UNIQUE.replace("KEY", f"{builder.bench.run_id} {builder.bench.key}")

    def made(content, *, line="ENV A=1", mode=0o644):
        context = builder.bench.context({"Dockerfile": text.replace("COPY", f"{line}\nCOPY"), "file": content})
        (context / "file").chmod(mode)
        return builder.build_from(str(context), cached=True).sh(SEEN).split()

    content = "x"
    before, after = made(content)
    assert made(content) == [before, after]
    same, changed = made(content + "changed")
    assert same == before
    assert changed != after
    same, changed = made(content, line="ENV A=2")
    assert same == before
    assert changed != after
    same, changed = made(content, mode=0o755)
    assert same == before
    assert changed != after


@claim("build-224", "build-206")
@exclusive
def test_build_arg_is_part_of_the_cache_key_from_its_first_use(default_builder):
    files = {"file": "x"}
    key = f"{default_builder.bench.run_id} {default_builder.bench.key}"
    text = UNIQUE.replace("KEY", key).replace("COPY", "ARG V\nCOPY")

    def made(value):
        return default_builder.build(text, files, "--build-arg", f"V={value}", cached=True).sh(SEEN).split()

    before, after = made("1")
    assert made("1") == [before, after]
    same, changed = made("2")
    assert same == before
    assert changed != after


@claim("build-219")
@effect("build --network")
def test_network_none_leaves_build_steps_with_loopback_only(builder):
    image = builder.build("FROM IMAGE\nRUN ls /sys/class/net | sort | tr '\\n' ' ' >/f\n", None, "--network", "none")
    assert image.sh("cat /f").split() == ["lo"]


@claim("build-219")
def test_network_host_is_the_engine_s_network(default_builder, web):
    site = web({"/f": b"answered"})
    image = default_builder.build(f"FROM IMAGE\nRUN wget -q -O /f {site.url}/f\n", None, "--network", "host")
    assert image.sh("cat /f") == "answered"
    assert site.requested == ["/f"]


@claim("build-220")
@effect("build --add-host")
def test_add_host_is_seen_by_build_steps_and_not_by_the_image(default_builder):
    image = default_builder.build("FROM IMAGE\nRUN grep extra.example /etc/hosts >/f\n", None,
                          "--add-host", "extra.example:10.9.8.7")  # fmt: skip
    assert image.sh("cat /f").split() == ["10.9.8.7", "extra.example"]
    assert "extra.example" not in image.sh("cat /etc/hosts")


@claim("build-220", "build-201")
def test_bad_add_host_is_refused(default_builder):
    default_builder.refuses("FROM IMAGE\nRUN true\n", None, "--add-host", "nocolon", says="build_bad_host")


@claim("build-221")
@effect("build --memory")
@requires("memory", "cgroup_v1")
def test_memory_limit_holds_for_build_steps(default_builder):
    limit = 64 << 20
    image = default_builder.build(
        "FROM IMAGE\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes >/f\n", None, "--memory", "64m"
    )
    assert image.sh("cat /f") == str(limit)


@claim("build-223")
@requires("registry")
def test_pull_asks_the_registry_for_a_newer_base(default_builder, registry):
    bench = default_builder.bench
    reference = registry.reference(f"st-{bench.key}/base")
    old = default_builder.build("FROM IMAGE\nRUN echo old >/v\n")
    new = default_builder.build("FROM IMAGE\nRUN echo new >/v\n")
    bench.track("image", reference)
    bench.cli("tag", new.name, reference)
    bench.cli("push", reference)
    bench.cli("tag", old.name, reference)
    text = f"FROM {reference}\nRUN cp /v /seen\n"
    assert default_builder.build(text).sh("cat /seen") == "old"
    assert default_builder.build(text, None, *default_builder.trait("build_pull")).sh("cat /seen") == "new"


@claim("build-004", "build-009", "build-013")
@requires("registry")
def test_absent_base_is_pulled_and_the_result_deployed_from_a_registry(default_builder, registry):
    bench = default_builder.bench
    base, result = (registry.reference(f"st-{bench.key}/{word}") for word in ("base", "result"))
    made = default_builder.build("FROM IMAGE\nRUN echo base >/v\n")
    bench.cli("tag", made.name, base)
    bench.cli("push", base)
    digest = registry.api.head(f"/v2/st-{bench.key}/base/manifests/latest", headers={
        "Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json",
    }).headers["docker-content-digest"]  # fmt: skip
    assert f"Untagged: {base}" in bench.cli("image", "rm", base).lines
    bench.track("image", base, result)
    assert not bench.exists(base, "image")
    image = default_builder.build(f"FROM {base}\nRUN echo child >>/v\nCMD [\"cat\", \"/v\"]\n")
    by_digest = default_builder.build(f"FROM {base.removesuffix(':latest')}@{digest}\nRUN cp /v /w\n")
    assert by_digest.sh("cat /w") == "base"
    bench.cli("tag", image.name, result)
    bench.cli("push", result)
    bench.cli("image", "rm", result, image.name)
    assert bench.once(result).text.split() == ["base", "child"]


@claim("build-013", "build-201")
@requires("registry")
def test_base_that_no_registry_has_is_refused(default_builder, registry):
    default_builder.refuses(f"FROM {registry.reference('no/such')}\n", says="not found|manifest unknown")
