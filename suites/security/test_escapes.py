"""Classes of published ways out of a container, looked for and never used: a file of this test is all that is at stake.

advisories.toml says which they are and since when they are closed.
"""

import tarfile

import pytest

from seatrial import archive
from seatrial.exec import run

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


@pytest.fixture
def canary(engine):
    """A file of the host that no container is given."""
    path = engine.workdir / "canary"
    path.write_text("alive\n")
    return path


def link(target):
    info = tarfile.TarInfo()
    info.type, info.linkname = tarfile.SYMTYPE, str(target)
    return info


@pytest.fixture
def image_with(engine, prober):
    """Call it with files, and changes of the configuration, to get an image that has them beside a static shell."""
    def make(files, *changes):
        name = engine.image_name()
        base = engine.create(engine.image, "true")
        whole = engine.raw.cli("export", base.name).out
        options = [word for change in changes for word in ("--change", change)]
        engine.cli("import", *options, "-", name, stdin=merged(whole, files))
        return name

    return make


def merged(base, files):
    """Pack an archive again with other files in place of its own."""
    members = archive.members(base)
    kept = {}
    for path, info in members.items():
        if path and path not in files and not any(path.startswith(f"{name}/") for name in files) and info.isreg():
            kept[path] = archive.content(base, path)
        elif path and path not in files and not any(path.startswith(f"{name}/") for name in files):
            kept[path] = info
    return archive.tree({**kept, **files}, mode=0o755)


@claim("security-179")
def test_working_directory_leads_out_by_no_descriptor(engine, canary, guard, advisory):
    advised = advisory("working-directory")
    script = f"cat ../../../../../../../../../../../..{canary}"
    shut = {}
    for number in range(3, 13):
        result = engine.sh(script, "--workdir", f"/proc/self/fd/{number}", expect=None)
        shut[f"descriptor {number}"] = "read" if "alive" in result.stdout else "refused"
    free = engine.sh(script, "--volume", f"{canary}:{canary}", "--workdir", "/tmp")
    control = "read" if free.stdout == "alive\n" else "refused"
    guard.each(advised.words, shut, dict.fromkeys(shut, control))
    advised.agrees()


@claim("security-179")
def test_working_directory_of_exec_leads_out_by_no_descriptor(engine, canary, guard, advisory):
    advised = advisory("working-directory")
    script = f"cat ../../../../../../../../../../../..{canary}"
    c, open_ = engine.run(), engine.run("--volume", f"{canary}:{canary}")
    shut = {}
    for number in range(3, 13):
        result = engine.cli("exec", "--workdir", f"/proc/self/fd/{number}", c.name, "sh", "-c", script, expect=None)
        shut[f"descriptor {number}"] = "read" if "alive" in result.stdout else "refused"
    control = "read" if open_.sh(script).stdout == "alive\n" else "refused"
    guard.each(advised.words, shut, dict.fromkeys(shut, control), mode="exec")
    advised.agrees()


@claim("security-176")
@pytest.mark.parametrize("form", ["absolute", "upwards"])
def test_cp_into_a_container_follows_no_link_to_the_host(engine, canary, guard, advisory, form):
    advised = advisory("cp-link")
    outside = canary.parent / "outside"
    outside.mkdir()
    (engine.workdir / "cargo").write_text("cargo")
    target = {"absolute": str(outside), "upwards": f"../../../../../../../..{outside}"}[form]
    c = engine.run()
    c.sh(f"ln -s {target} /way; mkdir /real")
    engine.cli("cp", str(engine.workdir / "cargo"), f"{c.name}:/way/cargo", expect=None)
    shut = "written" if (outside / "cargo").exists() else "refused"
    engine.cli("cp", str(engine.workdir / "cargo"), f"{c.name}:/real/cargo")
    guard.holds(advised.words, shut, "written" if c.read("/real/cargo") == "cargo" else "refused",
                mode="cp in")  # fmt: skip
    advised.agrees()


@claim("security-176")
@pytest.mark.parametrize("form", ["absolute", "upwards", "directory"])
def test_cp_out_of_a_container_follows_no_link_to_the_host(engine, canary, guard, advisory, form):
    advised = advisory("cp-link")
    target = {"absolute": str(canary), "upwards": f"../../../../../../../..{canary}", "directory": str(canary.parent)}
    path = "/way/canary" if form == "directory" else "/way"
    got = engine.workdir / "got"
    c = engine.run()
    c.sh(f"ln -s {target[form]} /way; echo alive >/real")

    def copied(source, *options):
        run(["rm", "-rf", str(got)])
        engine.cli("cp", *options, f"{c.name}:{source}", str(got), expect=None)
        return "read" if got.is_file() and not got.is_symlink() and got.read_text() == "alive\n" else "refused"

    shut = {"cp": copied(path), "cp --follow-link": copied(path, *engine.trait("cp_follows"))}
    guard.each(advised.words, shut, dict.fromkeys(shut, copied("/real")), mode="cp out")
    advised.agrees()


@claim("security-178")
def test_mount_follows_no_link_of_the_image_to_the_host(engine, image_with, canary, guard, advisory):
    advised = advisory("mount-link")
    outside = canary.parent / "outside"
    outside.mkdir()
    image = image_with({"way": link(f"/../../../../..{outside}"), "real/x": None})
    volume = engine.volume()
    engine.sh("touch /v/mark", "--volume", f"{volume}:/v")
    seen = {}
    for which, place in (("shut", "/way/x"), ("free", "/real/x")):
        result = engine.once("--volume", f"{volume}:{place}", image, "sh", "-c", f"ls {place}/mark", expect=None)
        reached = (outside / "x").exists() if which == "shut" else "mark" in result.stdout
        seen[which] = "mounted" if reached else "refused"
    guard.holds(advised.words, seen["shut"], seen["free"])
    assert [entry.name for entry in outside.iterdir()] == []
    advised.agrees()


@claim("security-184")
@pytest.mark.parametrize("form", ["absolute", "upwards"])
def test_working_directory_of_an_image_makes_nothing_on_the_host(engine, image_with, canary, guard, advisory, form):
    """The directory is not there yet, and a link of the image is on the way to it."""
    advised = advisory("working-directory-link")
    outside = canary.parent / "outside"
    outside.mkdir()
    target = {"absolute": str(outside), "upwards": f"../../../../../../../..{outside}"}[form]
    files = {"way": link(target), "real/x": None}
    engine.once(image_with(files, "WORKDIR /way/made"), "true", expect=None)
    free = engine.once(image_with(files, "WORKDIR /real/made"), "pwd")
    guard.holds(advised.words, "made" if (outside / "made").exists() else "refused",
                "made" if free.text == "/real/made" else "refused", mode=form)  # fmt: skip
    assert not (outside / "made").exists()
    advised.agrees()


@claim("security-181")
def test_image_with_a_link_for_proc_gets_no_unmasked_one(engine, image_with, guard, advisory):
    advised = advisory("proc-link")
    image = image_with({"proc": link("/elsewhere"), "elsewhere": None})
    script = "head -c 20 /proc/timer_list; cat /proc/keys; echo end"
    linked = engine.once(image, "sh", "-c", script, expect=None)
    shut = "refused" if not linked.ok or linked.text == "end" else linked.text
    free = engine.sh(script, *engine.trait("unmask")).text
    guard.holds(advised.words, shut, "refused" if free == "end" else "shown")
    advised.agrees()


@claim("security-177", "security-044")
@pytest.mark.parametrize("name", ["../../../../../../../../../..{}", "{}"], ids=["upwards", "absolute"])
def test_archive_of_an_import_writes_nothing_outside(engine, canary, guard, name):
    """Each archive holds one name that leads out."""
    outside = canary.parent / "escaped"
    image = engine.image_name()
    engine.cli("import", "-", image, stdin=archive.tree({name.format(outside): "x", "in": "y"}), expect=None)
    shut = "written" if outside.exists() else "refused"
    plain = engine.image_name()
    engine.cli("import", "-", plain, stdin=archive.tree({"in": "y"}))
    free = archive.members(engine.raw.cli("export", engine.create(plain, "/in").name).out)
    guard.holds("an archive that names a place outside", shut, "written" if "in" in free else "refused", mode="import")


# listens at an abstract address until it is ended
LISTENS = ('socket(S, 1, 1, 0) && bind(S, pack("Sa*", 1, "\\0$ARGV[0]")) && listen(S, 1) or die $!;'
           ' $| = 1; print "ready\\n"; sleep 600')  # fmt: skip


@claim("security-017", "security-157")
@requires("daemon")
def test_sockets_of_shims_are_not_in_the_network_of_the_host(engine, prober, guard, advisory):
    """The control is a socket that is called like a shim's, and that this test has made."""
    advised = advisory("shim-sockets")
    c, name = engine.run("--network", "host"), f"containerd-shim/st-{engine.key}.sock"

    def shims():
        rows = [row.split() for row in c.read("/proc/net/unix").splitlines()[1:]]
        return [row[7] for row in rows if len(row) > 7 and row[7].startswith("@") and "containerd-shim" in row[7]]

    shut = shims()
    ours = engine.run("--network", "host", prober.image, "perl", "-e", LISTENS, name)
    ours.until_log("ready")
    guard.holds(advised.words, " ".join(shut) or "refused", " ".join(set(shims()) - set(shut)) or "refused",
                mode="--network host")  # fmt: skip
    advised.agrees()


@claim("security-046")
@requires("lab", "api")
def test_socket_of_the_engine_is_refused_to_other_users(engine, guard):
    socket = "/" + str(engine.api.endpoint.path).partition("/root/")[2]
    script = ('use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0);'
              'print connect(S, pack_sockaddr_un($ARGV[0])) ? "ok" : "refused"')  # fmt: skip

    def ask(*prefix):
        return run([*prefix, "perl", "-e", script, socket], host=engine.raw.host, journal=engine.journal).text

    guard.holds("the engine's socket, as another user",
                ask("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"), ask())  # fmt: skip


@claim("security-022", "security-057")
def test_unsigned_image_is_refused_where_signatures_are_asked_for(engine, registry, guard):
    trust = engine.trait("only_trusted")
    policy = engine.workdir / "policy.json"
    policy.write_text('{"default": [{"type": "reject"}]}')
    reference = registry.reference("fleet/unsigned")
    engine.track("image", reference)
    engine.cli("tag", engine.image, reference)
    engine.cli("push", reference)
    engine.cli("rmi", reference)
    options = [word.format(policy=policy) for word in trust["options"]]
    shut = engine.cli("pull", *options, reference, env=trust["env"], expect=None)
    assert engine.exists(reference, "image") is shut.ok
    free = engine.cli("pull", reference)
    guard.holds("an unsigned image where signatures are asked for", "ok" if shut.ok else "refused",
                "ok" if free.ok else "refused")  # fmt: skip


@claim("security-021")
def test_secret_of_an_earlier_layer_is_still_in_the_image(engine, guard):
    """What the documentation warns of: it must not be taken for a protection."""
    built = engine.build("FROM IMAGE\nCOPY secret /secret\nRUN rm /secret\n", {"secret": engine.key * 4})
    engine.once(built.name, "sh", "-c", "test ! -e /secret")
    saved = engine.workdir / "saved.tar"
    engine.cli("save", "--output", str(saved), built.name, timeout=120)
    found = engine.key * 4 in saved.read_bytes().decode("latin-1")
    guard.note("a secret that a later layer removes", "still in the image" if found else "gone", state="fact")
    assert found


@claim("security-182")
def test_environment_of_a_container_is_in_no_other_and_in_no_image(engine):
    secret = f"st-{engine.key}-secret"
    c = engine.run("--env", f"WORD={secret}")
    assert secret in c.sh("env").stdout
    assert secret not in engine.sh("env").stdout
    assert secret not in engine.cli("image", "inspect", engine.image).stdout
    assert secret not in engine.cli("history", "--no-trunc", engine.image).stdout
