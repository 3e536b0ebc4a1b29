import subprocess

import pytest

from seatrial import bench as benches
from seatrial.bench import Bench, Owner
from seatrial.engines.base import load_dialect
from seatrial.exec import ExpectationError, Result, check

ID = "ab" * 32


class Stub:
    """An engine that keeps objects in lists: rows as listings show them, and which of them carry a label."""

    def __init__(self, dialect="docker"):
        self.dialect = load_dialect(dialect)
        self.rows = {"container": [], "network": [], "volume": [], "image": []}
        self.labelled = {"container": [], "network": [], "volume": [], "image": []}
        self.kept = set()
        self.order = []
        self.answer = None
        self.trouble = {}

    def find(self, kind, label=""):
        if kind in self.trouble:
            raise self.trouble[kind]
        return list(self.labelled[kind])

    def remove(self, kind, names):
        self.order.append(kind)
        for held in (self.labelled[kind], self.rows[kind]):
            held[:] = [row for row in held if row in self.kept or not any(name in row for name in names)]

    def cli(self, *args, expect=0, **_):
        if self.answer:
            return check(self.answer, expect)
        shown = self.rows[args[0]] if args[1] == "ls" and (args[0] != "container" or "--all" in args) else []
        return Result(args, 0, "\n".join(shown).encode(), b"", 0.0)

    look = cli

    def again(self, ask, _):
        return ask()


@pytest.fixture
def stub():
    return Stub()


@pytest.fixture
def bench(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(benches, "share_dir", lambda: tmp_path)
    return Bench(stub, Owner("run", "0123abcd"))


@pytest.mark.parametrize(("kind", "tracked", "row"), [
    ("image", "localhost/seatrial-test/k-i1:latest", f"localhost/seatrial-test/k-i1:latest {ID}"),
    ("image", "mine", f"docker.io/library/mine:latest sha256:{ID}"),
    ("image", "127.0.0.1:5000/x", f"127.0.0.1:5000/x:latest {ID}"),
    ("image", ID, f"<none>:<none> sha256:{ID}"),
    ("image", f"sha256:{ID}", f"<none>:<none> {ID[:12]}"),
    ("image", ID[:12], f"localhost/x:<none> {ID}"),
    ("volume", "data", "data"),
    ("container", "web", f"web {ID}"),
    ("container", "web", f"st-a,st-b/web {ID}"),
    ("container", ID, f"web {ID[:12]}"),
    ("network", "net", f"net {ID[:12]}"),
])  # fmt: skip
def test_a_tracked_object_that_stays_is_left_behind_although_it_has_no_label(bench, stub, kind, tracked, row):
    stub.rows[kind] = [row]
    stub.kept = {row}
    bench.track(kind, tracked)
    assert bench.close() == [f"{kind} {tracked} of this test cannot be removed"]


@pytest.mark.parametrize(("kind", "tracked", "row"), [
    ("image", ID, f"localhost/somebody-elses:latest {ID}"),
    ("image", "mine:1", f"mine:2 {ID}"),
    ("image", "mine:1", f"not-mine:1 {ID}"),
    ("volume", "data", "data2"),
    ("container", "web", f"web2 {ID}"),
    ("container", "web", f"other {ID}"),
])  # fmt: skip
def test_what_somebody_else_made_is_not_left_behind(bench, stub, kind, tracked, row):
    stub.rows[kind] = [row]
    stub.kept = {row}
    bench.track(kind, tracked)
    assert bench.close() == []


def test_an_image_that_others_are_made_from_goes_at_the_second_attempt(bench, stub):
    rows = [f"<none>:<none> {ID}"]
    stub.rows["image"], stub.kept = rows, set(rows)
    bench.track("image", ID)
    stub.remove = lambda kind, names: rows.clear() if stub.order else stub.order.append(kind)
    assert bench.close() == []


def test_images_that_stand_on_each_other_go_one_after_the_other_though_nobody_named_them(bench, stub):
    stub.labelled["image"] = chain = ["base", "middle", "top"]
    bench.track("image", ID)
    stub.remove = lambda kind, names: chain.remove([name for name in chain if name in names][-1])
    assert bench.close() == []
    assert chain == []


def test_one_failure_keeps_nothing_else_from_being_removed(bench, stub):
    done = []
    stub.trouble = {"container": ExpectationError("did not end within 120 s")}
    stub.labelled["image"] = [ID]
    bench.defer(done.append, 1)
    bench.defer(lambda: check(says("still there"), 0))
    bench.defer(done.append, 2)
    bench.cli("run", "x")
    bench.cli("network", "create", "n")
    bench.track("image", "mine")
    stub.labelled["network"] = ["n"]
    (bench.workdir / "file").touch()
    left = bench.close()
    assert done == [2, 1]
    assert stub.order == ["network", "image"]
    assert not bench.workdir.exists()
    assert [line.partition(":")[0] for line in left] == ["<lambda> failed", "removing containers failed"]
    assert "did not end within 120 s" in left[1]


def test_nothing_is_deleted_through_a_mount(bench, tmp_path):
    inside = tmp_path / "elsewhere"
    inside.mkdir()
    (inside / "precious").touch()
    place = bench.workdir / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "--bind", str(inside), str(place)], capture_output=True).returncode != 0:
        pytest.skip("cannot mount here")
    try:
        left = bench.close()
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert (inside / "precious").exists()
    assert len(left) == 1
    assert "is mounted" in left[0] or "cannot delete" in left[0]


DEAD = {
    "docker": "Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?",
    "podman": "Error: unable to connect to Podman socket: dial unix /run/podman.sock: connect: no such file",
    "nerdctl": 'level=fatal msg="cannot access containerd socket \\"/run/containerd/containerd.sock\\""',
}


def says(text, code=1):
    return Result(("engine", "x"), code, b"", text.encode(), 0.1)


@pytest.mark.parametrize("engine", DEAD)
def test_that_nobody_answers_is_neither_a_refusal_nor_an_absence(engine):
    stub = Stub(engine)
    bench = Bench(stub, Owner("run", "0123abcd"))
    stub.answer = says(DEAD[engine])
    for ask in (
        lambda: bench.fails("run", "x", says="name_taken"), lambda: bench.exists("x"),
    ):  # fmt: skip
        with pytest.raises(ExpectationError, match="the engine does not answer"):
            ask()
    assert bench.fails("ps", says="unreachable") is not None


def test_a_refusal_and_an_absence_are_told_as_such(bench, stub):
    stub.answer = says("Error: No such container: x")
    assert not bench.exists("x")
    assert bench.fails("rm", "x", says="no_such_container").code == 1
    with pytest.raises(ExpectationError, match="expected a message like /other/"):
        bench.fails("rm", "x", says="other")
    stub.answer = says("")
    with pytest.raises(ExpectationError, match="expected a message like /"):
        bench.fails("rm", "x", says="no_such_container")
    with pytest.raises(ValueError, match="a refusal is known by what it says"):
        bench.fails("rm", "x", says="")
    stub.answer = says("", 0)
    assert bench.exists("x")


@pytest.mark.parametrize(("wanted", "told"), [
    ("memory", True), ("unknown flag", False), ("unknown_flag", False), ("unknown flag: (--)?memory", False)])
def test_that_an_option_is_unknown_is_no_refusal_of_its_value(bench, stub, wanted, told):
    stub.answer = says("unknown flag: --memory-swoppiness", 125)
    if told:
        with pytest.raises(ExpectationError, match="an unknown option is no refusal of its value"):
            bench.fails("run", "--memory-swoppiness=x", says=wanted)
    else:
        assert bench.fails("run", "--memory-swoppiness=x", says=wanted).code == 125


def test_what_is_wrong_with_the_test_is_not_left_behind_by_the_engine(bench, stub):
    stub.labelled["container"] = stub.rows["container"] = ["c1"]
    bench.mark("container")
    bench.defer(lambda: 1 / 0)
    bench.defer(lambda: check(says("still there"), 0))
    with pytest.raises(ExceptionGroup, match="cleaning up broke") as broken:
        bench.close()
    assert [type(error) for error in broken.value.exceptions] == [ZeroDivisionError]
    assert stub.rows["container"] == []
