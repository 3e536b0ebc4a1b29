"""The client's way to a daemon: addresses, TLS in both directions, and what the environment says."""

import json
import os
import re
import socket
import ssl

import pytest
import trustme

claim, requires = pytest.mark.claim, pytest.mark.requires
case = pytest.param
PORT = 2376
FILES = {"cacert": "ca", "cert": "cert", "key": "key"}  # what the options call them: what stands in the directory


@pytest.fixture
def served(private_daemon):
    """A daemon that serves TCP with TLS and asks its clients for a certificate; with directories of certificates."""
    d = private_daemon(start=False)
    authority, stranger = trustme.CA(), trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    directory = d.workdir / "certificates"
    clients = {"mine": (authority, authority.issue_cert("client")),
               "strange-client": (authority, stranger.issue_cert("client")),
               "strange-ca": (stranger, authority.issue_cert("client"))}  # fmt: skip
    for name, (ca, certificate) in {"server": (authority, server), **clients}.items():
        place = directory / name
        place.mkdir(parents=True)
        ca.cert_pem.write_to_path(place / "ca.pem")
        certificate.private_key_pem.write_to_path(place / "key.pem")
        (place / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    mine = directory / "server"
    d.daemon.argv = (d.raw.service, "--host", "unix:///run/docker.sock", "--host", f"tcp://127.0.0.1:{PORT}",
                     "--tlsverify",
                     *(f"--tls{option}={mine}/{file}.pem" for option, file in FILES.items()))  # fmt: skip
    d.daemon.start()
    d.provide_image()
    d.certificates = directory
    return d


def environment(d, name, **more):
    return {"DOCKER_HOST": f"tcp://127.0.0.1:{PORT}", "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(d.certificates / name), **more}  # fmt: skip


@claim("cli-090", "cli-091")
@requires("private_daemon")
def test_three_variables_lead_to_a_daemon_behind_tls(served):
    result = served.cli("run", "--rm", served.image, "echo", "hello", "world", env=environment(served, "mine"))
    assert result.text == "hello world"
    options = ("--host", f"tcp://127.0.0.1:{PORT}", "--tlsverify")
    paths = [f"--tls{option}={served.certificates}/mine/{file}.pem" for option, file in FILES.items()]
    identity = served.cli("info", "--format", "{{.ID}}").text
    assert served.cli(*options, *paths, "info", "--format", "{{.ID}}").text == identity


@claim("cli-090", "cli-091", "cli-115")
@requires("private_daemon")
def test_tls_refuses_strangers_in_both_directions(served):
    for name, variables, says in (
        ("client of another CA", environment(served, "strange-client"),
         "tls: |bad certificate|certificate required|unknown certificate"),
        ("server of another CA", environment(served, "strange-ca"), "certificate signed by unknown authority"),
        ("plain HTTP", {"DOCKER_HOST": f"tcp://127.0.0.1:{PORT}"},
         "HTTP request to an HTTPS server|Is the daemon running"),
        ("no certificates", environment(served, "nowhere"), "no such file|could not read|failed to"),
        ("nobody listens", environment(served, "mine", DOCKER_HOST="tcp://127.0.0.1:1"),
         "connection refused|Cannot connect"),
        ("not an address", {"DOCKER_HOST": "carrier://pigeon"},
         "invalid bind address|unable to parse|unsupported|protocol not available|Invalid"),
    ):
        result = served.cli("ps", env=variables, expect=1)
        assert re.search(says, result.stderr), f"{name}: {result}"
    with pytest.raises(ssl.SSLError):
        handshake(served)


def handshake(served):
    context = ssl.create_default_context(cafile=str(served.certificates / "mine/ca.pem"))

    def talk():
        plain = socket.create_connection(("127.0.0.1", PORT), 5)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as safe:
            safe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return safe.recv(100)

    return served.host.call(talk)


@claim("cli-090")
@requires("private_daemon")
def test_context_holds_what_the_variables_hold(served):
    home = {"HOME": str(served.home)}
    files = ",".join(f"{file}={served.certificates}/mine/{file}.pem" for file in FILES.values())
    made = served.cli("context", "create", "vessel", "--docker", f"host=tcp://127.0.0.1:{PORT},{files}", env=home)
    assert made.stdout == "vessel\n"
    identity = served.cli("info", "--format", "{{.ID}}").text
    assert served.cli("--context", "vessel", "info", "--format", "{{.ID}}", env=home).text == identity
    served.fails("--context", "nobody", "info", says="context.*nobody.*(not found|does not exist)", env=home)


@claim("cli-125")
@requires("private_daemon")
def test_client_and_daemon_agree_on_a_version(served):
    newest = served.cli("version", "--format", "{{.Server.APIVersion}}").text
    oldest = served.cli("version", "--format", "{{.Server.MinAPIVersion}}").text
    assert served.cli("version", "--format", "{{.Client.APIVersion}}",
                      env={"DOCKER_API_VERSION": oldest}).text == oldest  # fmt: skip
    assert served.cli("ps", "--quiet", env={"DOCKER_API_VERSION": newest}).lines == []
    served.fails("ps", env={"DOCKER_API_VERSION": "1.99"},
                 says="client version 1.99 is too new. Maximum supported API version is")  # fmt: skip
    served.fails("ps", env={"DOCKER_API_VERSION": "1.1"},
                 says="client version 1.1 is too old. Minimum supported API version is")  # fmt: skip


@claim("cli-118", "cli-127", "cli-128", "cli-120")
def test_info_and_version_say_what_a_report_needs(engine):
    info = engine.raw.info()
    flat = json.dumps(info)
    assert os.uname().release in flat
    assert engine.facts["os"] == "linux"
    assert tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) >= (3, 10)
    version = engine.raw.version()
    assert version.engine
    assert version.client
    name = engine.raw.host.path("/etc/os-release").read_text()
    assert any(part in flat for part in re.findall(r'(?:PRETTY_NAME|ID)="?([^"\n]+)', name))
