"""`cp`, `diff`, `top` and `port`."""

import io
import os
import re
import tarfile

import pytest

from seatrial.exec import run
from seatrial.expecting import exactly, matched

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


@pytest.fixture
def tree(engine):
    root = engine.workdir / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_bytes(bytes(range(256)))
    (root / "file").chmod(0o741)
    (root / "sub/deep").write_text("deep\n")
    (root / "link").symlink_to("sub/deep")
    return root


@claim("cli-012")
def test_cp_takes_a_tree_in_and_out_unchanged(engine, tree):
    c = engine.run()
    engine.cli("cp", str(tree), f"{c.name}:/in")
    seen = c.sh("stat -c %a /in/file; readlink /in/link; cat /in/sub/deep")
    assert seen.lines == ["741", "sub/deep", "deep"]
    out = engine.workdir / "out"
    engine.cli("cp", f"{c.name}:/in", str(out))
    assert (out / "file").read_bytes() == bytes(range(256))
    assert (out / "file").stat().st_mode & 0o777 == 0o741
    assert os.readlink(out / "link") == "sub/deep"
    assert (out / "sub/deep").read_text() == "deep\n"


@claim("cli-012")
@pytest.mark.parametrize("state", ["created", "ended"])
def test_cp_works_without_a_process(engine, tree, state):
    c = engine.create() if state == "created" else engine.run(engine.image, "sh", "-c", "echo said >/said")
    if state == "ended":
        c.wait()
        engine.cli("cp", f"{c.name}:/said", str(engine.workdir / "said"))
        assert (engine.workdir / "said").read_text() == "said\n"
    engine.cli("cp", str(tree / "file"), f"{c.name}:/tmp/")
    engine.cli("cp", f"{c.name}:/tmp/file", str(engine.workdir / "back"))
    assert (engine.workdir / "back").read_bytes() == (tree / "file").read_bytes()


@claim("cli-012")
def test_cp_writes_and_reads_tar_streams(engine):
    c = engine.run()
    seen = engine.cli("cp", f"{c.name}:/etc/passwd", "-")
    with tarfile.open(fileobj=io.BytesIO(seen.out)) as tar:
        assert tar.getnames() == ["passwd"]
        assert tar.extractfile("passwd").read().decode() == c.read("/etc/passwd")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("from-tar")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"tar\n"))
    engine.cli("cp", "-", f"{c.name}:/tmp", stdin=archive.getvalue())
    assert c.read("/tmp/from-tar") == "tar\n"


@claim("cli-012")
def test_cp_of_a_directorys_content_and_into_a_directory(engine, tree):
    c = engine.run()
    engine.cli("cp", f"{tree}/.", f"{c.name}:/tmp")
    assert c.sh("ls /tmp").stdout.split() == ["file", "link", "sub"]
    engine.cli("cp", str(tree), f"{c.name}:/tmp")
    assert c.sh("ls /tmp/tree/sub").text == "deep"


@claim("cli-012")
def test_cp_copies_a_link_and_follows_it_when_asked(engine):
    c = engine.run()
    c.sh("echo target >/target; ln -s /target /link")
    engine.cli("cp", f"{c.name}:/link", str(link := engine.workdir / "link"))
    if engine.trait("cp_follows"):
        assert link.is_symlink()
        assert os.readlink(link) == "/target"
    else:
        assert not link.is_symlink()
        assert link.read_text() == "target\n"
    engine.cli("cp", *engine.trait("cp_follows"), f"{c.name}:/link", str(engine.workdir / "followed"))
    assert (engine.workdir / "followed").read_text() == "target\n"
    assert not (engine.workdir / "followed").is_symlink()


@claim("cli-012")
def test_cp_from_container_to_container(engine):
    a, b = engine.run(), engine.create()
    a.sh("echo from a >/from-a")
    words = ["cp", f"{a.name}:/from-a", f"{b.name}:/tmp/x"]
    if engine.trait("cp_between_containers"):
        engine.cli(*words)
        engine.cli("cp", f"{b.name}:/tmp/x", str(engine.workdir / "x"))
        assert (engine.workdir / "x").read_text() == "from a\n"
    else:
        engine.fails(*words, says="between containers is not supported", code=engine.code("error"))


@claim("cli-012")
def test_cp_within_one_container_ends(engine):
    c = engine.run()
    for name in ("a", "b", "c", "d", "e", "f", "g", "h"):  # a lock that is taken twice may be free by luck
        words = ["cp", f"{c.name}:/etc/passwd", f"{c.name}:/tmp/{name}"]
        if engine.trait("cp_between_containers"):
            engine.cli(*words, timeout=20)
            assert c.read(f"/tmp/{name}") == c.read("/etc/passwd")
        else:
            engine.fails(*words, says="between containers is not supported", code=engine.code("error"))


@claim("cli-012")
def test_cp_never_follows_a_link_out_of_the_container(engine):
    c = engine.run()
    secret = engine.workdir / "secret"
    secret.write_text("of the host\n")
    c.sh(f"ln -s {secret} /link; mkdir -p {secret.parent}; echo inside >{secret}; ln -s / /root-link")
    engine.cli("cp", *engine.trait("cp_follows"), f"{c.name}:/link", str(engine.workdir / "a"))
    engine.cli("cp", f"{c.name}:/root-link{secret}", str(engine.workdir / "b"))
    assert [(engine.workdir / name).read_text() for name in "ab"] == ["inside\n", "inside\n"]
    assert secret.read_text() == "of the host\n"


@claim("cli-012")
@pytest.mark.parametrize(("source", "destination", "says"), [
    ("{c}:/no/such", "{w}/x", "could not|No such container:path"),
    ("{w}/no-such", "{c}:/tmp", "no such file"),
    ("{c}:/etc/passwd", "{w}/no/such/dir/x", "does not exist|no such|could not be found"),
    ("{c}:/etc", "{w}/file", "cannot copy directory|must be a directory"),
    ("{w}/file", "{c}:/no/such/dir/", "no such directory|could not|No such container:path|does not exist"),
    ("no-such-container:/x", "{w}/x", "[Nn]o such container|does not exist"),
    ("{w}/file", "{w}/other", "at least one container|cannot be empty|must specify"),
], ids=["no source inside", "no source here", "no directory here", "directory onto file", "no directory inside",
        "no container", "no container named"])  # fmt: skip
def test_cp_of_what_cannot_be_copied_is_refused(engine, source, destination, says):
    c = engine.create()
    (engine.workdir / "file").write_text("kept\n")
    places = {"c": c.name, "w": str(engine.workdir)}
    engine.fails("cp", source.format(**places), destination.format(**places), says=says, code=engine.code("error"))
    assert sorted(path.name for path in engine.workdir.iterdir()) == ["file"]
    assert (engine.workdir / "file").read_text() == "kept\n"


@claim("cli-014")
def test_diff_tells_added_changed_and_deleted(engine):
    c = engine.run()
    before = set(engine.cli("diff", c.name).lines)
    assert before <= {"C /etc"}  # where the engine itself puts files of its own
    c.sh("mkdir -p /new/dir; echo x >/new/dir/file; echo x >>/etc/passwd; rm /etc/nsswitch.conf")
    seen = set(engine.cli("diff", c.name).lines)
    assert seen == {"A /new", "A /new/dir", "A /new/dir/file", "C /etc", "C /etc/passwd", "D /etc/nsswitch.conf"}


@claim("cli-014")
def test_diff_leaves_volumes_out_and_keeps_after_the_end(engine):
    c = engine.run("--volume", "/volume", "--tmpfs", "/scratch", engine.image, "sh", "-c",
                   "touch /volume/no /scratch/no /dev/shm/no /yes")  # fmt: skip
    c.wait()
    seen = engine.cli("diff", c.name).lines
    assert "A /yes" in seen
    assert [line for line in seen if line.endswith("/no")] == []


@claim("cli-030")
@requires("local_engine")
def test_top_lists_the_processes_of_the_cgroup(engine):
    c = engine.run(engine.image, "sh", "-c", "sleep 3611 & sleep 3612 & wait")
    c.until("three processes", lambda: len(c.kernel.cgroup_processes) == 3)
    lines = engine.cli("top", c.name, "-o", "pid,args").lines
    assert lines[0].split() == ["PID", "COMMAND"]
    rows = dict(line.split(None, 1) for line in lines[1:])
    assert sorted(text.strip() for text in rows.values() if "3611 &" not in text) == ["sleep 3611", "sleep 3612"]
    assert len(rows) == 3
    numbers = {int(number) for number in rows}
    if engine.trait("top_shows_host_pids"):
        assert numbers == c.kernel.cgroup_processes
    else:
        inside = [inner_pid(pid) for pid in c.kernel.cgroup_processes]
        assert numbers == set(inside)


def inner_pid(pid):
    """Return the number that a process has inside its pid namespace."""
    with open(f"/proc/{pid}/status") as status:
        return int(matched(r"^NSpid:.*\s(\d+)$", status.read())[1])


@claim("cli-030")
def test_top_without_options_has_the_columns_of_ps(engine):
    c = engine.run()
    head, row = exactly(2, engine.cli("top", c.name).lines)
    assert {"PID", "PPID"} <= set(head.split())
    assert row.rstrip().endswith("sleep 3600")


@claim("cli-030")
def test_top_refuses_what_ps_does_not_know(engine):
    c = engine.run()
    engine.fails("top", c.name, "-eo", "bogus", says="bogus", code=engine.code("error"))
    engine.cli("kill", c.name)
    c.wait()
    engine.fails("top", c.name, says="not running|running containers", code=engine.code("error"))


@claim("cli-022")
@requires("local_engine")
def test_port_tells_what_is_published(engine):
    c = engine.run("--publish", "127.0.0.1::80", "--publish", "127.0.0.1::53/udp", "--expose", "8080")
    seen = dict(line.split(" -> ") for line in engine.cli("port", c.name).lines)
    assert set(seen) == {"80/tcp", "53/udp"}
    for private, public in seen.items():
        assert re.fullmatch(r"127\.0\.0\.1:\d+", public)
        assert engine.cli("port", c.name, private).text == public
    assert engine.cli("port", c.name, "80").text == seen["80/tcp"]
    port = c.inspect()["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    assert seen["80/tcp"].endswith(f":{port}")
    rules = run(["iptables-save", "-t", "nat"], host=engine.raw.host, journal=engine.journal).stdout
    assert re.search(rf"--dport {port} .*DNAT --to-destination {re.escape(c.address)}:80\b", rules)


@claim("cli-022")
def test_a_port_that_is_not_published_is_refused(engine):
    c = engine.run("--publish", "127.0.0.1::80", "--publish", "127.0.0.1::53/udp")
    for port in ("81", "53", "80/udp", "0", "65536", "http", "80/xyz"):
        refused = engine.fails("port", c.name, port, code=engine.code("error"),
                               says="No public port|failed to find published port|invalid|parsing")  # fmt: skip
        assert refused.stdout == ""


@claim("cli-022")
@effect("create --expose")
def test_exposed_ports_are_told(engine):
    c = engine.create("--expose", "80", "--expose", "53/udp", "--publish-all")
    assert sorted(c.inspect()["Config"].get("ExposedPorts", ())) == ["53/udp", "80/tcp"]
    engine.cli("start", c.name)
    public = {line.split(" -> ")[0]: line.rpartition(":")[2] for line in engine.cli("port", c.name).lines}
    assert set(public) == {"53/udp", "80/tcp"}
    rules = run(["iptables-save", "-t", "nat"], host=engine.raw.host, journal=engine.journal).stdout
    for private, port in public.items():
        inside, kind = private.split("/")
        target = f"{re.escape(c.address)}:{inside}"
        assert re.search(rf"-p {kind} .*--dport {port} .*DNAT --to-destination {target}\b", rules)


@claim("cli-022")
def test_port_of_a_container_without_published_ports(engine):
    c = engine.create("--expose", "80")
    assert engine.cli("port", c.name).output == ""
    engine.fails("port", c.name, "80", says="No public port|failed to find published port", code=engine.code("error"))
