"""Configurations that are wrong: a clean refusal, and nothing left behind; and odd ones that are right."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.exec import FAILURE
from seatrial.oci.bench import refused

claim, requires = pytest.mark.claim, pytest.mark.requires


def changed(box, change):
    """Rewrite a box's configuration by a function of its JSON."""
    config = box.config
    change(config)
    (box.directory / "config.json").write_text(json.dumps(config))


@claim("CF-ver-req", "CF-valid")
def test_a_configuration_without_a_version_is_refused(runtime, bundle):
    runtime.refuses(bundle.without("ociVersion"))


@claim("CF-ver-semver", "CF-valid")
@pytest.mark.parametrize("version", ["invalid", "", "1", "1.0", "v1.0.0", "99.0.0"])
def test_an_invalid_version_is_refused(runtime, bundle, version):
    box = runtime.refuses(bundle.with_(ociVersion=version))
    assert not box.known


@claim("CF-root-req", "CF-valid")
def test_a_configuration_without_a_root_is_refused(runtime, bundle):
    runtime.refuses(bundle.without("root"))


@claim("CF-root-path-req", "CF-valid")
@pytest.mark.parametrize("root", [{}, {"path": ""}], ids=["none", "empty"])
def test_a_root_without_a_path_is_refused(runtime, bundle, root):
    runtime.refuses(bundle.without("root").with_(root=root))


@claim("CF-valid", "BN-config", "RT-err-atomic")
@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "true", '"text"', "42", "\0", "{}", '{"ociVersion": "1.0.2"}', "{'single': 1}", "\ufeff{}",
], ids=ascii)  # fmt: skip
def test_what_is_no_configuration_is_refused(runtime, bundle, text):
    box = runtime.place(bundle)
    (box.directory / "config.json").write_text(text)
    refused(box.create(expect=FAILURE))
    assert not box.known
    assert box.leftovers() == []


@claim("CF-valid", "RT-err-atomic")
@pytest.mark.parametrize(("path", "value"), [
    ("ociVersion", 1), ("process", []), ("process.args", "sh"), ("process.env", {"A": "B"}), ("process.cwd", 1),
    ("process.user", "root"), ("process.user.uid", "0"), ("process.user.uid", -1), ("process.terminal", "yes"),
    ("process.capabilities", ["CAP_KILL"]), ("process.rlimits", {}), ("root", "rootfs"), ("root.readonly", "yes"),
    ("mounts", {}), ("hostname", 5), ("linux.devices", {}),
    ("linux.sysctl", []), ("linux.resources", []), ("linux.seccomp", []), ("linux.maskedPaths", "/proc"),
    ("hooks", []), ("annotations", []),
], ids=lambda value: value if isinstance(value, str) and value.islower() else type(value).__name__)  # fmt: skip
def test_a_value_of_another_type_is_refused(runtime, bundle, path, value):
    def change(config):
        *above, last = path.split(".")
        for name in above:
            config = config.setdefault(name, {})
        config[last] = value

    box = runtime.place(bundle)
    changed(box, change)
    refused(box.create(expect=FAILURE))
    assert not box.known


@claim("CF-ann-map", "CF-valid")
@pytest.mark.parametrize("value", [5, ["x"], {"a": "b"}], ids=str)
def test_annotations_that_are_no_texts_are_refused(runtime, bundle, value):
    runtime.refuses(bundle.with_(annotations={"org.example": value}))


@claim("CF-ann-unknown")
def test_annotations_that_nobody_knows_are_taken(runtime, bundle):
    words = {"org.example.unknown": "x", "com.example/slash": "y", "odd name": "z", "org.opencontainers.unknown": ""}
    observed = runtime.observe(bundle.with_(annotations=words))
    assert observed.running["annotations"].items() >= words.items()


@claim("CF-ext-ignore")
@pytest.mark.parametrize("path", ["", "process", "process.user", "root", "linux", "linux.resources", "mounts.0"])
def test_properties_that_nobody_knows_are_ignored(runtime, bundle, path):
    def change(config):
        for name in filter(None, path.split(".")):
            config = config[int(name)] if name.isdigit() else config.setdefault(name, {})
        config["unknownProperty"] = {"nested": [1, "two", None]}

    box = runtime.place(bundle)
    changed(box, change)
    box.create()
    box.start()
    assert box.seen.pid == 1


@claim("CF-ext-ignore", "CF-valid")
def test_properties_of_other_platforms_are_ignored_or_refused(runtime, bundle):
    box = runtime.place(bundle.with_(windows={"layerFolders": ["C:\\\\layers"]}, solaris={"milestone": "x"}))
    created = box.create(expect=None)
    if not created.ok:
        refused(created)
    assert created.ok == box.known


@claim("CF-valid", "RT-c-new")
def test_a_large_configuration_is_taken(runtime, bundle):
    many = [f"VARIABLE_{number}={'x' * 100}" for number in range(3000)]
    box = runtime.run(bundle.with_(process={"env": ["PATH=/bin", *many]}))
    assert [line for line in box.seen.environ if line.startswith("VARIABLE_")] == many


@claim("CF-valid", "CF-ext-ignore")
@pytest.mark.parametrize("depth", [100, 5000])
def test_a_deep_configuration_is_taken_or_refused(runtime, bundle, depth):
    box = runtime.place(bundle)
    text = (box.directory / "config.json").read_text()
    deep = '{"deep": ' + "[" * depth + "]" * depth + ", " + text.lstrip()[1:]
    (box.directory / "config.json").write_text(deep)
    created = box.create(expect=None)
    if not created.ok:
        refused(created)
    assert created.ok == box.known
    assert created.ok or box.leftovers() == []


@claim("CF-valid", "RT-err-atomic", "RT-c-cannot-none")
@pytest.mark.parametrize("text", [b"\xff\xfe{}", b"{\"ociVersion\": \"\xff\"}"], ids=["utf16", "bytes"])
def test_a_configuration_that_is_no_utf8_is_refused(runtime, bundle, text):
    box = runtime.place(bundle)
    (box.directory / "config.json").write_bytes(text)
    refused(box.create(expect=FAILURE))
    assert not box.known
    assert box.leftovers() == []


# -- the space of configurations ---------------------------------------------------------------

names = st.text(st.sampled_from("abcXYZ019_-."), min_size=1, max_size=12)
words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
parts = st.lists(names.filter(lambda name: set(name) != {"."}), max_size=3)
paths = st.builds(lambda found: "/" + "/".join(found), parts)
configurations = st.fixed_dictionaries({}, optional={
    "hostname": names,
    "process": st.fixed_dictionaries({}, optional={
        "args": st.lists(words, max_size=3),
        "env": st.lists(st.builds("{}={}".format, names, words), max_size=4),
        "cwd": paths,
        "umask": st.integers(-1, 0o7777),
        "user": st.fixed_dictionaries({}, optional={
            "uid": st.integers(0, 1 << 32), "gid": st.integers(0, 1 << 16), "umask": st.integers(0, 0o777),
            "additionalGids": st.lists(st.integers(0, 1 << 16), max_size=3),
        }),
        "oomScoreAdj": st.integers(0, 2000),
        "noNewPrivileges": st.booleans(),
        "rlimits": st.lists(st.fixed_dictionaries({
            "type": st.sampled_from(["RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_NONE"]),
            "soft": st.integers(0, 1000), "hard": st.integers(0, 1000),
        }), max_size=2),
    }),
    "root": st.fixed_dictionaries({}, optional={"readonly": st.booleans()}),
    "linux": st.fixed_dictionaries({}, optional={
        "maskedPaths": st.lists(paths, max_size=2),
        "readonlyPaths": st.lists(paths, max_size=2),
        "sysctl": st.dictionaries(
            st.sampled_from(["net.ipv4.ip_default_ttl", "kernel.msgmax", "nosuch"]), names, max_size=2,
        ),
        "resources": st.fixed_dictionaries({}, optional={
            "pids": st.fixed_dictionaries({"limit": st.integers(-1, 1 << 40)}),
            "cpu": st.fixed_dictionaries({}, optional={
                "shares": st.integers(0, 1 << 20), "quota": st.integers(-1, 1 << 20), "period": st.integers(0, 1 << 20),
            }),
        }),
    }),
})  # fmt: skip


@claim("CF-valid", "RT-c-cannot-none", "RT-err-atomic")
@pytest.mark.parametrize("seed", range(6))
def test_any_configuration_is_run_as_asked_or_refused_cleanly(runtime, bundle, seed):
    @settings(max_examples=5, deadline=None, database=None, derandomize=False,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(configurations)
    def check(changes):
        box = runtime.place(bundle.with_(**changes))
        created = box.create(expect=None)
        if not created.ok:
            refused(created)
            assert not box.known
            return
        assert box.status == "created"
        kernel = box.kernel
        pids = box.config["linux"].get("resources", {}).get("pids", {}).get("limit")
        if pids is not None and 0 < pids < 1 << 20:
            assert kernel.cgroup("pids") == pids
        box.delete("--force")
        assert box.leftovers() == []

    check()
