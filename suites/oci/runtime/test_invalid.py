"""Configurations that are wrong: a clean refusal, and nothing left behind; and odd ones that are right."""

import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seatrial.examples import examples
from seatrial.exec import FAILURE
from seatrial.oci.bench import refused
from seatrial.oci.rootfs import PERL, PROBE

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

# values that are right, and a few that are none: what is started has to be as it was asked for
names = st.text(st.sampled_from("abcXYZ019_"), min_size=1, max_size=12)
words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
ids = st.integers(0, 70_000) | st.sampled_from([(1 << 31) - 1, 1 << 32, -1])
LIMITS = {"RLIMIT_NOFILE": "Max open files", "RLIMIT_CORE": "Max core file size"}
MASKED = ("/etc/motd", "/home", "/no/such/file")
READ_ONLY = ("/etc/passwd", "/var", "/no/such/place")


rlimits = st.fixed_dictionaries({
    "type": st.sampled_from([*LIMITS, "RLIMIT_NONE"]), "soft": st.integers(10, 500), "hard": st.integers(300, 500),
})  # fmt: skip


def some(**properties):
    """An object with any of these properties."""
    return st.fixed_dictionaries({}, optional=properties)


def subset(things):
    return st.lists(st.sampled_from(things), unique=True)


PARTS = {
    "user": some(process=some(user=some(
        uid=ids, gid=ids, umask=st.integers(0, 0o777), additionalGids=st.lists(ids, max_size=3, unique=True)))),
    "program": some(hostname=names, process=some(
        args=st.lists(words, max_size=3).map(lambda more: [PERL, PROBE, "@NONCE@", "", *more]),
        env=st.dictionaries(names, words, max_size=4).map(lambda all_: [f"{key}={all_[key]}" for key in all_]),
        cwd=st.lists(names, max_size=3).map(lambda parts: "/" + "/".join(parts)))),
    "limits": some(process=some(
        oomScoreAdj=st.integers(0, 1002), noNewPrivileges=st.booleans(),
        rlimits=st.lists(rlimits, max_size=2, unique_by=lambda limit: limit["type"]))),
    "paths": some(root=some(readonly=st.booleans()), linux=some(
        maskedPaths=subset(MASKED), readonlyPaths=subset(READ_ONLY))),
    "parameters": some(linux=some(sysctl=st.dictionaries(
        st.sampled_from(["net.ipv4.ip_default_ttl", "kernel.msgmax", "no.such"]),
        st.integers(1, 255).map(str) | st.just("many"), max_size=2))),
    "resources": some(linux=some(resources=some(
        pids=st.fixed_dictionaries({"limit": st.integers(20, 1 << 16)}),
        cpu=some(shares=st.integers(2, 1 << 18), quota=st.integers(1000, 1 << 17), period=st.integers(999, 1 << 17))))),
}  # fmt: skip


def unlike(box, asked):
    """What of a running container is not as it was asked for: pairs of a property and what was seen."""
    seen, process, linux = box.seen, asked.get("process", {}), asked.get("linux", {})
    user = process.get("user", {})
    found = {"hostname": seen.hostname, "uid": set(seen.uids), "gid": set(seen.gids), "umask": seen.umask,
             "cwd": seen.cwd, "args": seen.args[4:], "noNewPrivileges": seen.no_new_privileges,
             "readonly": "ro" in seen.mount("/").options}  # fmt: skip
    wanted = {name: asked[name] for name in ("hostname",) if name in asked}
    wanted |= {name: {user[name]} for name in ("uid", "gid") if name in user}
    wanted |= {name: user[name] for name in ("umask",) if name in user}
    wanted |= {name: process[name] for name in ("cwd", "noNewPrivileges") if name in process}
    wanted |= {"args": process["args"][4:]} if "args" in process else {}
    wanted |= asked.get("root", {})
    for number in user.get("additionalGids", []):
        found[f"group {number}"], wanted[f"group {number}"] = number in seen.groups, True
    for variable in process.get("env", []):
        found[variable], wanted[variable] = variable in seen.environ, True
    for limit in process.get("rlimits", []):
        found[limit["type"]] = seen.limit(LIMITS[limit["type"]])
        wanted[limit["type"]] = (str(limit["soft"]), str(limit["hard"]))
    for path in set(linux.get("maskedPaths", [])) & set(MASKED[:2]):
        found[path] = box.probe.read(path) if path == MASKED[0] else box.probe.names(path)
        wanted[path] = "" if path == MASKED[0] else set()
    for path in set(linux.get("readonlyPaths", [])) & set(READ_ONLY[:2]):
        found[path], wanted[path] = box.probe.write(path if path == READ_ONLY[0] else f"{path}/new"), "EROFS"
    for name, value in linux.get("sysctl", {}).items():
        found[name], wanted[name] = box.probe.read(f"/proc/sys/{name.replace('.', '/')}").strip(), value
    for name, value in [*linux.get("resources", {}).get("cpu", {}).items(),
                        *linux.get("resources", {}).get("pids", {}).items()]:  # fmt: skip
        limit = "pids" if name == "limit" else f"cpu_{name}"
        found[name], wanted[name] = box.kernel.cgroup(limit), value
    if "oomScoreAdj" in process:
        found["oomScoreAdj"], wanted["oomScoreAdj"] = box.kernel.oom_score_adj, process["oomScoreAdj"]
    return {name: found[name] for name in wanted if found[name] != wanted[name]}


def cannot_be(asked):
    """Tell whether a configuration has a value that is none."""
    process, linux = asked.get("process", {}), asked.get("linux", {})
    user = process.get("user", {})
    numbers = [user.get("uid", 0), user.get("gid", 0), *user.get("additionalGids", [])]
    limits = process.get("rlimits", [])
    return (not all(0 <= number < 1 << 32 for number in numbers) or process.get("oomScoreAdj", 0) > 1000
            or any(one["type"] == "RLIMIT_NONE" or one["soft"] > one["hard"] for one in limits)
            or any(name == "no.such" or value == "many" for name, value in linux.get("sysctl", {}).items())
            or linux.get("resources", {}).get("cpu", {}).get("period", 1000) < 1000)


@claim("CF-valid", "RT-c-cannot-none", "RT-err-atomic", "RT-life-2-env", "RT-life-2-res")
@requires("host_kernel", "cgroup_v1")
@pytest.mark.parametrize("part", sorted(PARTS))
def test_any_configuration_is_run_as_asked_or_refused_cleanly(runtime, bundle, part):
    ended = []

    @settings(examples(8), phases=[Phase.generate])  # a smaller example would cost a minute
    @given(PARTS[part])
    def check(changes):
        box = runtime.place(bundle.with_(**changes))
        made = box.create(expect=None)
        done = box.start(expect=None) if made.ok else made
        ended.append(done.ok)
        if done.ok:
            assert not cannot_be(changes)
            assert unlike(box, changes) == {}
            box.end()
        else:
            refused(done)
            assert cannot_be(changes)
            box.delete("--force", expect=None)
        assert not box.known
        assert box.leftovers() == []

    check()
    assert any(ended)
