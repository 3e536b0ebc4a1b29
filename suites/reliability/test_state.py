"""What a daemon has written down is damaged, or cannot be written any more, and a part that it needs stands still."""

import errno
import os
import shutil
import signal

import pytest

from seatrial.exec import FAILURE, run
from seatrial.expecting import one

claim = pytest.mark.claim


@claim("rel-021")
def test_containers_go_on_while_containerd_stands_still_and_new_ones_come_after(private_daemon, descendant, answers):
    d = private_daemon()
    c = d.run(d.image, "sh", "-c", "while :; do echo x >>/ticks; sleep 0.1; done")
    root = c.kernel.pid
    containerd = descendant(d.daemon.pid, "containerd")

    def ticks():
        return os.stat(f"/proc/{root}/root/ticks").st_size

    os.kill(containerd, signal.SIGSTOP)
    try:
        before = ticks()
        c.until("going on", lambda: ticks() > before + 4)
        assert d.cli("ps", "--format", "{{.Names}}").lines == [c.name]
    finally:
        os.kill(containerd, signal.SIGCONT)
    answers("a new container", lambda: d.cli("run", "--rm", d.image, "true", expect=None).ok)
    assert (d.daemon.alive, c.kernel.pid) == (True, root)
    assert c.sh("echo here").text == "here"


def hoarded(directory):
    """Takes all inodes of a file system and returns how many those were."""
    for number in range(100_000):
        try:
            (directory / str(number)).touch()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return number
            raise
    raise AssertionError("there is no end of inodes")


@claim("rel-041")
def test_an_engine_without_inodes_refuses_a_container_and_takes_it_when_there_are_some(small, answers):
    d = small("size=200m,nr_inodes=4000")
    c = d.run()
    hoard = d.host.path("/small/hoard")
    hoard.mkdir()
    taken = hoarded(hoard)
    assert 0 < taken < 4000
    name = d.name()
    refused = d.cli("run", "--name", name, d.image, "true", expect=FAILURE)
    assert "no space left" in refused.stderr.lower()
    assert d.cli("ps", "--format", "{{.Names}}").lines == [c.name]
    assert c.sh("echo here").text == "here"
    shutil.rmtree(hoard)
    d.cli("rm", "--force", name, expect=None)
    answers("a container", lambda: d.cli("run", "--rm", "--name", name, d.image, "true", expect=None).ok)


# what is written down of networks, volumes and references to images, below the directory of the daemon's data
STATE = {"network": "network/files/local-kv.db", "volume": "volumes/metadata.db",
         "reference": "image/overlay2/repositories.json"}  # fmt: skip


@claim("rel-042")
@pytest.mark.parametrize("kind", STATE)
def test_damaged_state_is_named_by_the_daemon_that_cannot_use_it_and_what_it_held_comes_back(
    private_daemon, recover, objects, data, kind
):
    d = private_daemon()
    created, volume = d.create(d.image, "echo", "kept"), d.volume()
    d.network()
    before, file = objects(d), data(d) / STATE[kind]
    d.daemon.kill()
    whole = file.read_bytes()
    assert whole
    file.write_bytes(b"\xff" * len(whole))
    refused = run(["timeout", "30", d.raw.service], host=d.host, journal=d.journal, expect=FAILURE, timeout=60)
    assert refused.code != 124, "it went on with what it cannot read"
    assert kind in one([line for line in refused.stderr.splitlines() if line.startswith("failed to start daemon")])
    file.write_bytes(whole)
    recover(d)
    assert objects(d) == before
    assert volume in before["volume"]
    assert d.cli("start", "--attach", created.name).text == "kept"
