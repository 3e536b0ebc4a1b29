"""The same behaviours on each storage driver that this machine can do, in engines of the tests' own."""

import pytest

from seatrial import archive
from seatrial.exec import run

claim, requires = pytest.mark.claim, pytest.mark.requires
pytestmark = [claim("api-196"), requires("private_engine", "overlay")]
TAR = {"Content-Type": "application/x-tar"}
VOLUME = "/srv/volume.btrfs"
# the file system at a container's root, by driver; with vfs it is that of the storage itself
KINDS = {"overlay": "overlay", "vfs": "", "btrfs": "btrfs", "fuse-overlayfs": "fuse.fuse-overlayfs"}


@pytest.fixture(params=[
    "overlay", "vfs", pytest.param("btrfs", marks=[requires("btrfs_volume"), pytest.mark.slow]),
    pytest.param("fuse-overlayfs", marks=[requires("fuse_overlayfs"), pytest.mark.slow])])  # fmt: skip
def d(request, engine, private_engine):
    """An engine with a storage driver, proved to be the one that containers stand on."""
    name = engine.trait("api_storage_overlay") if request.param == "overlay" else request.param
    made = private_engine(storage=name, start=False)
    if request.param == "btrfs":
        on_btrfs(made, engine.facts["root_dir"])
    made.daemon.start()
    made.provide_image()
    root = made.run().kernel.mount("/")
    assert root.fstype == KINDS[request.param] or (request.param == "vfs" and root.fstype not in KINDS.values())
    return made


def on_btrfs(d, root):
    """Mount a new btrfs in a file at the engine's root directory."""
    file = d.host.path(VOLUME)
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as stream:
        stream.truncate(400 << 20)
    run(["mkfs.btrfs", "--quiet", str(file)], timeout=60)
    run(["mkdir", "-p", root], host=d.host)
    run(["mount", "-o", "loop", VOLUME, root], host=d.host)


def built(d, text, **files):
    """Build an image and return its name."""
    name = d.image_name()
    body = archive.tree({"Dockerfile": text.replace("IMAGE", d.image), **files})
    records = d.api.post("/build", expect=200, query={"t": name}, headers=TAR, body=body, timeout=120).records()
    assert not [record for record in records if "error" in record], records
    return name


def printed(d, image, script):
    """Return what a script in a new container of an image prints."""
    c = d.api.run(Image=image, Cmd=["sh", "-c", script])
    assert c.wait() == 0
    return c.output().stdout.decode()


LAYERS = """\
FROM IMAGE
COPY one /hold/one
COPY two /hold/two
RUN mkdir /hold/deck && echo lower >/hold/deck/lower && ln /hold/one /hold/linked
RUN chown 37:38 /hold/two && chmod 4751 /hold/two
RUN rm /hold/one && rm -r /hold/deck && mkdir /hold/deck && echo upper >/hold/deck/upper
RUN ln -s two /hold/link && echo more >>/hold/two
"""


def test_layers_are_stacked_replaced_and_deleted(d):
    image = built(d, LAYERS, one="1", two="2")
    seen = printed(d, image, "ls /hold /hold/deck; cat /hold/two /hold/linked; stat -c '%a %u:%g' /hold/two")
    listed = ["/hold:", "deck", "link", "linked", "two", "/hold/deck:", "upper"]
    assert seen.split() == [*listed, "2more", "1" + "4751", "37:38"]
    layers = d.api.get(f"/images/{image}/json").json()["RootFS"]["Layers"]
    assert len(layers) - len(d.api.get(f"/images/{d.image}/json").json()["RootFS"]["Layers"]) == 6


def test_containers_do_not_see_each_others_writes(d):
    one, two = d.api.run(), d.api.run()
    assert one.execute("sh", "-c", "echo mine >/mine; echo x >>/etc/passwd; rm /etc/nsswitch.conf").code == 0
    assert two.execute("sh", "-c", "ls /mine").code != 0
    assert two.execute("test", "-e", "/etc/nsswitch.conf").code == 0
    assert two.execute("tail", "-n", "1", "/etc/passwd").frames.stdout != b"x\n"
    changes = {change["Path"]: change["Kind"] for change in one.get("changes").json()}
    assert (changes["/mine"], changes["/etc/passwd"], changes["/etc/nsswitch.conf"]) == (1, 0, 2)
    assert not {"/mine", "/etc/passwd"} & {change["Path"] for change in two.get("changes").json() or []}


def test_a_commit_holds_what_was_written_and_deleted(d):
    c = d.api.sh("echo cargo >/hold; rm /etc/nsswitch.conf; head -c 3000000 /dev/zero >/big")
    c.wait()
    repo, _, tag = (name := d.image_name()).rpartition(":")
    d.api.post("/commit", expect=201, json={}, query={"container": c.name, "repo": repo, "tag": tag})
    c.delete(expect=204)
    script = "cat /hold; stat -c %s /big; test ! -e /etc/nsswitch.conf && echo gone"
    assert printed(d, name, script).split() == ["cargo", "3000000", "gone"]


def test_a_saved_image_is_the_same_when_it_is_loaded(d):
    image = built(d, LAYERS, one="1", two="2")
    told = d.api.get(f"/images/{image}/json").json()
    saved = d.api.get(f"/images/{image}/get").body
    d.api.delete(f"/images/{image}", expect=200, query={"force": True})
    d.api.get(f"/images/{image}/json", expect=404)
    d.api.post("/images/load", expect=200, headers=TAR, body=saved)
    again = d.api.get(f"/images/{image}/json").json()
    assert (again["Id"], again["RootFS"]) == (told["Id"], told["RootFS"])
    assert printed(d, image, "cat /hold/two").split() == ["2more"]


def test_an_export_is_the_whole_file_system(d):
    c = d.api.sh("echo cargo >/hold; rm /etc/nsswitch.conf")
    c.wait()
    body = c.get("export").body
    names = {name.strip("/") for name in archive.members(body)}
    assert archive.content(body, "hold") == b"cargo\n"
    assert "etc/passwd" in names and "etc/nsswitch.conf" not in names


def test_images_and_containers_are_there_after_a_restart(d):
    image = built(d, LAYERS, one="1", two="2")
    c = d.api.create(Image=image, Cmd=["sh", "-c", "echo cargo >>/stays; cat /stays"])
    c.start()
    c.wait()
    d.daemon.restart()
    assert d.api.get(f"/images/{image}/json").json()["RootFS"]["Layers"]
    c.start()
    c.wait()
    assert c.output().stdout.decode() == "cargo\ncargo\ncargo\n"
    assert printed(d, image, "cat /hold/two").split() == ["2more"]


def test_what_is_removed_gives_its_room_back(d):
    root = d.host.path(d.raw.facts()["root_dir"])

    def room():
        return int(run(["du", "-s", "--block-size=1M", str(root)], timeout=60).stdout.split()[0])

    before = room()
    c = d.api.sh("head -c 20000000 /dev/urandom >/big; sync")
    c.wait()
    assert room() >= before + 19
    c.delete(expect=204)
    assert room() <= before + 3
