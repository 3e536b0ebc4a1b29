"""The registry under test: the one that --registry names, else Debian's, started beside the engine."""

import functools

import pytest

from seatrial import known
from seatrial.archive import digest
from seatrial.errors import SeatrialError
from seatrial.exec import ExpectationError
from seatrial.lab.harbour import Harbour
from seatrial.lab.registry import Registry
from seatrial.oci.registries import BYTES, NOWHERE, Hub, account, endpoint
from seatrial.results import TargetInfo
from seatrial.selection import split
from seatrial.session import TRIAL, decline

# of Debian's registry in every suite that there are labs of
DEBIAN = TargetInfo("debian", "docker-registry", "2.8")


def pytest_itemcollected(item):
    item.add_marker(pytest.mark.requires("registry"))
    if item.config.getoption("registry") == "debian":
        expected = deviations(item.config.rootpath)
        item.known_on = lambda info: known.match(expected, split(item.nodeid, [info.name])[0])


@functools.cache
def deviations(root):
    """Return what is known of Debian's registry, by test."""
    lists = known.read(sorted((root / "reports" / "known").glob("*.toml")))
    found = known.deviations(lists, DEBIAN).tests
    assert found, "the list of its deviations is gone"
    return found


def place(request, engine):
    """Return where the registry listens."""
    wanted = request.config.getoption("registry")
    if wanted == "harbour":
        made = Harbour(engine.raw.host)
        engine.defer(made.close)
        return endpoint(f"http://{made.address}", host=engine.raw.host)
    if wanted == "debian":
        work = engine.workdir / "registry"
        engine.journal.ignore(work)
        engine.journal.note("the test's registry is not there")
        made = Registry.start(engine.raw.host, work, journal=engine.journal)
        engine.defer(made.close)
        return made.endpoint
    return endpoint(wanted, request.config.getoption("registry_ca"))


def pytest_configure(config):
    """Look at the registry and the account before anything runs: what is wrong is told once."""
    try:
        login(config)
    except SeatrialError as error:
        raise pytest.UsageError(str(error)) from error


@functools.cache
def login(config):
    """Return the account that --registry-login names, None without it."""
    return account(*(config.getoption(name) or "" for name in ("registry", "registry_login", "registry_ca")))


@pytest.fixture
def hub(request, engine):
    """A repository of the registry under test, empty."""
    name = f"seatrial/{engine.run_id.lower()}/{engine.key}"
    return Hub(place(request, engine), name, request.node.stash[TRIAL].journal, login(request.config))


@pytest.fixture
def stranger(request, hub):
    """A client without an account of a registry that asks for one; Debian's is started so."""
    if request.config.getoption("registry") == "debian":
        return request.getfixturevalue("registry_with")(auth=("sailor", "secret")).anonymous
    client = Hub(hub.at, hub.name, hub.journal).api
    if (status := client.get("/v2/", expect=None).status) == 200:
        decline(request.node, f"the registry asks nobody for an account: /v2/ answers {status}")
    return client


@pytest.fixture
def keeping(request, hub):
    """A repository of a registry that deletes neither manifests nor blobs; Debian's is started so."""
    if request.config.getoption("registry") == "debian":
        without = request.getfixturevalue("registry_with")(settings={"storage": {"delete": {"enabled": False}}})
        return Hub(without.endpoint, "fleet/ship", hub.journal)
    for kind in ("manifest", "blob"):
        if not _deletion(kind)(hub):
            decline(request.node, f"the registry deletes: a {kind} of it was")
    return hub


def offers(words, probe):
    """Make a fixture that holds back tests of what the registry says it does not have."""

    @pytest.fixture
    def holds(request, hub):
        if reason := probe(hub):
            decline(request.node, f"the registry has no {words}: {reason}")

    return holds


def _referrers(hub):
    hub.blob(b"so that the repository is there")
    status = hub.api.get(f"{hub.base}/referrers/{NOWHERE}", expect=None).status
    return f"{status}" if status == 404 else ""


def _deletion(kind):
    def probe(hub):
        stored = hub.beside("probe")
        text = stored.push("probe")
        path = {"tag": "manifests/probe", "manifest": f"manifests/{digest(text)}",
                "blob": f"blobs/{stored.blob(b'probe')}"}[kind]
        status = hub.api.delete(f"{stored.base}/{path}", expect=None).status
        return f"deletion answers {status}" if status in (400, 405) else ""

    return probe


def _ranges(hub):
    sum_ = hub.blob(b"0123456789")
    answer = hub.api.get(f"{hub.base}/blobs/{sum_}", expect=(200, 206), headers={"Range": "bytes=0-1"})
    if answer.status == 200 and answer.header("Accept-Ranges") == "bytes":
        raise ExpectationError(f"it claims ranges and gives the whole\n{answer}")
    return "the whole blob comes" if answer.status == 200 else ""


def _mounts(hub):
    sum_ = hub.blob(b"to be mounted")
    path = f"{hub.beside('mounted').base}/blobs/uploads/"
    status = hub.api.post(path, expect=(201, 202), query={"mount": sum_, "from": hub.name}).status
    return "it begins an upload instead" if status == 202 else ""


def _single(hub):
    answer = hub.api.post(f"{hub.base}/blobs/uploads/", expect=(201, 202), query={"digest": digest(b"single")},
                          body=b"single", headers=BYTES)
    return "it begins an upload instead" if answer.status == 202 else ""


def _sha512(hub):
    answer = hub.finish(hub.begin(), b"sha512", digest(b"sha512", "sha512"), expect=(201, 400))
    return "it takes no blob of one" if answer.status == 400 else ""


def _tags_at_once(hub):
    beside = hub.beside("tags")
    text = beside.manifest()
    answer = beside.put(digest(text), text, query=[("tag", "probe")], expect=(201, 400))
    return "" if answer.header("OCI-Tag") else "it names no OCI-Tag"


referrers = offers("referrers", _referrers)
sha512 = offers("digests by SHA-512", _sha512)
tags_at_once = offers("several tags at once", _tags_at_once)
tag_deletion = offers("deletion of tags", _deletion("tag"))
manifest_deletion = offers("deletion of manifests", _deletion("manifest"))
blob_deletion = offers("deletion of blobs", _deletion("blob"))
ranges = offers("ranges", _ranges)
mounts = offers("mounting", _mounts)
single_post = offers("upload in a single POST", _single)
