"""The loopback registry serves real engines, plain and with TLS and a password."""

import base64
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seatrial.errors import SeatrialError
from seatrial.hosts import LOCAL
from seatrial.lab import images
from seatrial.lab.registry import Registry
from seatrial.names import BUSYBOX

MANIFEST = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
)
ACCOUNT = ("sailor", "pass:word")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["docker@bookworm", "podman@bookworm"])
def engine(request, leased):
    driver = leased(request.param)
    images.provide(driver)
    return driver


@pytest.fixture
def work():
    return Path(f"/tmp/seatrial-registry-{secrets.token_hex(4)}")


@pytest.fixture(params=["plain", "tls-auth"])
def registry(request, engine, work):
    secured = request.param == "tls-auth"
    with Registry.start(engine.host, work, tls=secured, auth=ACCOUNT if secured else None) as started:
        yield started
    assert not engine.host.path(work).exists()


@pytest.fixture
def login(engine, registry, work):
    """The environment of a client that has logged in, where that is needed."""
    if not registry.auth:
        return {}
    config = work / "client"
    engine.host.path(config).mkdir()
    variables = {"DOCKER_CONFIG": str(config), "REGISTRY_AUTH_FILE": str(config / "auth.json")}
    registry.admit(engine)
    engine.cli("login", "-u", ACCOUNT[0], "--password-stdin", registry.address, stdin=ACCOUNT[1],
               env=variables)  # fmt: skip
    return variables


def test_push_pull_delete(engine, registry, login):
    registry.admit(engine)
    reference = registry.reference("fleet/ship", "v1")
    assert reference == f"127.0.0.1:{registry.port}/fleet/ship:v1"
    engine.cli("tag", BUSYBOX, reference)
    engine.cli("push", reference, env=login)
    assert registry.api.get("/v2/_catalog").json() == {"repositories": ["fleet/ship"]}
    engine.cli("rmi", reference)
    engine.cli("pull", reference, env=login)
    assert engine.cli("run", "--rm", reference, "echo", "aye").text == "aye"
    engine.cli("rmi", reference)
    manifest = registry.api.get("/v2/fleet/ship/manifests/v1", headers={"Accept": MANIFEST})
    digest = manifest.headers["docker-content-digest"]
    assert registry.api.delete(f"/v2/fleet/ship/manifests/{digest}", expect=202).status == 202
    assert engine.cli("pull", reference, env=login, expect={1, 125}).code


def test_a_secured_registry_refuses_strangers(engine, work):
    with Registry.start(engine.host, work, tls=True, auth=ACCOUNT) as registry:
        registry.admit(engine)
        assert registry.anonymous.get("/v2/_catalog", expect=401).status == 401
        assert registry.api.get("/v2/_catalog").status == 200
        nowhere = {"DOCKER_CONFIG": f"{work}/client", "REGISTRY_AUTH_FILE": f"{work}/auth.json"}
        engine.cli("login", "-u", ACCOUNT[0], "-p", "wrong", registry.address, expect={1, 125}, env=nowhere)
        installed = engine.host.path(engine.certificates) / registry.address
        assert (installed / "ca.crt").exists()
    assert not installed.exists()


def test_runs_on_this_machine_from_the_lab_files(work):
    with Registry.start(LOCAL, work) as registry:
        assert registry.api.get("/v2/").status == 200


def test_two_stand_side_by_side(engine, work):
    beside = work.with_suffix(".b")
    with Registry.start(engine.host, work) as one, Registry.start(engine.host, beside) as other:
        assert one.port != other.port
        assert one.api.get("/v2/").status == other.api.get("/v2/").status == 200


def test_a_registry_that_cannot_start_says_why(engine, work, monkeypatch):
    monkeypatch.setattr("seatrial.lab.registry._program", lambda _: ["/bin/false"])
    with pytest.raises(SeatrialError, match="E211"):
        Registry.start(engine.host, work)
    assert not engine.host.path(work).exists()


def test_ends_with_its_starter(engine, work):
    """Also when the starter is killed: nobody is left who could call close()."""
    target = str(engine.target)
    script = (
        "import sys, time; from pathlib import Path; from seatrial.lab import labs;"
        "from seatrial.lab.registry import Registry; from seatrial.targets import parse;"
        f"host = labs.find(parse({target!r}).lab_name).host; r = Registry.start(host, Path({str(work)!r}));"
        "print(r.process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "SEATRIAL_RUN": "x"}
    starter = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    with starter:
        pid = int(starter.stdout.readline())
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"SEATRIAL_RUN=x\0" in environment
        assert b"SEATRIAL_LAB=" in environment
        starter.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    subprocess.run(["rm", "-rf", str(engine.host.path(work))], check=True)


def suite(engine, results, *options):
    """Run a part of the suite for registries, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "suites/oci/distribution", "-k", "a_manifest_comes or a_blob_is_mounted",
         "-q", "-p", "no:cacheprovider", "--engine", str(engine.target), "--results", str(results), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip


def test_the_suite_logs_in_to_a_registry_and_keeps_the_password(engine, work, tmp_path):
    """Debian's registry with TLS and a password stands for any; the password is in nothing that is printed or kept."""
    login = tmp_path / "login"
    with Registry.start(LOCAL, work, tls=True, auth=ACCOUNT) as registry:
        options = ["--registry", registry.endpoint.base, "--registry-login", str(login), "--registry-ca",
                   str(registry.endpoint.tls.ca)]  # fmt: skip
        for text, code in ((":".join(ACCOUNT), 0), ("sailor:wrong-word", 1)):
            login.write_text(text)
            login.chmod(0o600)
            ran = suite(engine, tmp_path / f"results-{code}", *options)
            assert ran.returncode == code, ran.stdout + ran.stderr
            kept = [path.read_bytes() for path in (tmp_path / f"results-{code}").rglob("*") if path.is_file()]
            assert len(kept) > 3
            password = text.partition(":")[2]
            coded = base64.b64encode(text.encode()).decode()
            for secret in (password, coded):
                assert secret not in ran.stdout + ran.stderr
                assert not [data for data in kept if secret.encode() in data]
        assert "401" in ran.stdout, "what is refused is told"
        login.chmod(0o644)
        refused = suite(engine, tmp_path / "results", *options)
        assert refused.returncode == 4, refused.stdout + refused.stderr
        assert "E610" in refused.stdout + refused.stderr
        assert "Traceback" not in refused.stdout + refused.stderr


def test_an_account_without_a_registry_of_its_own_is_refused(engine, tmp_path):
    ran = suite(engine, tmp_path, "--registry-login", str(tmp_path / "login"))
    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert "E328" in ran.stdout + ran.stderr
