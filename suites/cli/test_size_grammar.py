"""How sizes, weights and references are written, and what becomes of them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

PAGE = os.sysconf("SC_PAGE_SIZE")
UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "M": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "G": 1 << 30}


@claim("cli-042")
@requires("memory", "local_engine")
@examples(8)
@given(number=st.integers(16, 900), unit=st.sampled_from(sorted(UNITS)))
def test_every_size_is_counted_in_powers_of_1024(engine, number, unit):
    size = number * UNITS[unit]
    if size < 16 << 20:
        number, size = (16 << 20) // UNITS[unit] + number, ((16 << 20) // UNITS[unit] + number) * UNITS[unit]
    c = engine.run("--memory", f"{number}{unit}")
    assert c.inspect()["HostConfig"]["Memory"] == size
    assert c.kernel.cgroup("memory") == size // PAGE * PAGE


@claim("cli-043")
@requires("blkio")
def test_a_wrong_device_weight_is_refused(engine):
    name = engine.name()
    for words in ("/dev/null", "/dev/null:x", "/dev/null:9", "/dev/null:1001", "relative:100", ":100"):
        engine.fails("run", "--rm", "--name", name, f"--blkio-weight-device={words}", engine.image, "true",
                     says="bad format|invalid|range|must be", code=125)  # fmt: skip
    assert not engine.exists(name)


@claim("cli-045")
@examples(15)
@given(name=st.from_regex(r"[a-z0-9]{1,8}((_|__|-{1,3}|\.)[a-z0-9]{1,8}){0,2}(/[a-z0-9]{1,8}){0,2}", fullmatch=True),
       tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))  # fmt: skip
def test_every_correct_reference_names_an_image(engine, name, tag):
    reference = f"localhost/seatrial-test/{engine.key}-{name}:{tag}"
    engine.cli("tag", engine.image, reference)
    try:
        assert reference in engine.inspect(reference, "image")["RepoTags"]
    finally:
        engine.cli("rmi", reference)


@claim("cli-045")
def test_a_wrong_reference_is_refused(engine):
    for reference in ("x/Upper:1", "x:", ":1", "x:t a", f"x:{'t' * 129}", "x:.dot", "x:-dash", "a//b", "/a", "a/",
                      "-a/b", "a..b", "x@sha256:abc", "x:a:b"):  # fmt: skip
        engine.fails("tag", "--", engine.image, reference, says="not_a_reference", code=engine.code("error"))


@claim("cli-045")
def test_a_missing_tag_means_latest(engine):
    name = engine.image_name().rpartition(":")[0]
    engine.cli("tag", engine.image, name)
    assert f"{name}:latest" in engine.inspect(name, "image")["RepoTags"]
    assert engine.once(f"{name}:latest", "echo", "ran").text == "ran"


@claim("cli-002")
@requires("registry")
def test_run_pulls_an_absent_image_and_says_so_on_standard_error_only(engine, registry):
    reference = f"{registry.address}/{engine.key}:1"
    engine.track("image", reference)
    engine.cli("tag", engine.image, reference)
    engine.cli("push", reference)
    engine.cli("rmi", reference)
    assert not engine.exists(reference, "image")
    seen = engine.once(reference, "echo", "pulled and run")
    assert seen.stdout == "pulled and run\n"
    assert seen.stderr != ""
    assert engine.exists(reference, "image")
    again = engine.once(reference, "echo", "no second pull")
    assert again.stderr == ""


@claim("cli-002")
@requires("registry")
@effect("create --pull", "run --pull")
@pytest.mark.parametrize("verb", ["create", "run"])
def test_pull_never_leaves_an_image_in_its_registry(engine, registry, verb):
    reference = registry.reference(f"st-{engine.key}")
    engine.track("image", reference)
    engine.cli("tag", engine.image, reference)
    engine.cli("push", reference)
    engine.cli("rmi", reference)
    engine.fails(verb, "--pull", "never", "--name", engine.name(), reference, "true", says="no_such_image",
                 code=engine.code("error") if verb == "create" else 125)  # fmt: skip
    assert not engine.exists(reference, "image")
    engine.cli(verb, "--pull", "missing", "--name", engine.name(), reference, "true")
    assert engine.exists(reference, "image")


@claim("cli-002")
@requires("registry")
def test_pull_always_and_never_decide_over_the_local_image(engine, registry):
    reference = f"{registry.address}/{engine.key}:1"
    engine.track("image", reference)
    engine.cli("tag", engine.image, reference)
    engine.fails("run", "--rm", "--pull", "always", reference, "true", says="manifest unknown|not found", code=125)
    assert engine.once("--pull", "never", reference, "echo", "local").text == "local"
    assert engine.once("--pull", "missing", reference, "echo", "local").text == "local"
