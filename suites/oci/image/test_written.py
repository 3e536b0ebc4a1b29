"""What engines and tools write is valid by the image specification, whatever the form."""


import pytest

from seatrial.archive import digest, tree
from seatrial.exec import ExpectationError, parsed
from seatrial.oci.image import media, validate
from seatrial.oci.image.samples import Layout, write
from seatrial.oci.image.validate import Wishes

claim = pytest.mark.claim


def valid(path, *, images=1):
    """Hold a layout, a directory or an archive against the specification; at least so many images are in it."""
    return judge(validate.path(path, Wishes()), images)


def judge(report, images=1):
    if report.errors:
        raise ExpectationError("it is not valid:\n  " + "\n  ".join(map(str, report.errors)))
    seen = [one.message for one in report.diagnostics if one.code == "OCI000"]
    assert len(seen) >= images, f"{len(seen)} images were found"
    return report


@pytest.fixture
def built(engine):
    """An image of several layers with whiteouts, links and every setting."""
    dockerfile = """FROM IMAGE
COPY deck /deck
RUN ln /deck/a /deck/hard && ln -s a /deck/soft && mkfifo /deck/pipe && chmod 4711 /deck/a && chown 7:8 /deck/b
RUN rm -r /deck/gone /etc/motd && mkdir /deck/gone && echo new >/deck/gone/new && rm /deck/b
ENV TIDE=low
EXPOSE 80/tcp 53/udp
VOLUME /data
WORKDIR /deck
USER 7:8
LABEL deck="upper" org.opencontainers.image.title="ship"
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/echo"]
CMD ["aye"]
"""
    files = {"deck/a": "a\n", "deck/b": "b\n", "deck/gone/one": "1\n", "deck/gone/two": "2\n"}
    return engine.build(dockerfile.replace(" /etc/motd", ""), files).name


@claim("img-written-01")
def test_what_an_engine_saves_is_valid(engine, built):
    forms = engine.trait("save_formats")
    assert forms
    for number, options in enumerate(forms):
        path = engine.workdir / f"saved{number}.tar"
        engine.cli("save", *options, "--output", str(path), built, timeout=120)
        valid(path)


@claim("img-written-01")
def test_several_images_in_one_archive_are_valid(engine, small_image):
    names = [small_image({"f": engine.key + word}) for word in ("one", "two")]
    path = engine.workdir / "saved.tar"
    engine.cli("save", *engine.trait("save_several"), "--output", str(path), *names)
    valid(path, images=2)


@claim("img-written-02")
@pytest.mark.requires("registry")
def test_what_an_engine_pushes_is_valid(engine, built, registry):
    reference = registry.reference("fleet/ship", "v1")
    engine.cli("tag", built, reference)
    engine.track("image", reference)
    engine.cli("push", reference, timeout=120)
    judge(engine.raw.host.call(lambda: validate.registry(reference, Wishes())))


@claim("img-written-03")
def test_what_an_engine_commits_and_imports_is_valid(engine):
    c = engine.create(engine.image, "sh", "-c", "rm /etc/passwd; mkdir /new; echo x >/new/x")
    engine.cli("start", "--attach", c.name)
    engine.cli("commit", "--change", "EXPOSE 80", c.name, committed := engine.image_name())
    engine.cli("import", "-", imported := engine.image_name(), stdin=tree({"etc": None, "etc/motd": engine.key}))
    for name in (committed, imported):
        path = engine.workdir / "saved.tar"
        path.unlink(missing_ok=True)
        engine.cli("save", "--output", str(path), name)
        valid(path)


@pytest.fixture
def layout(engine):
    """A layout of ours."""
    return write(engine.workdir / "layout", Layout().build())


@claim("img-written-04")
@pytest.mark.parametrize("form", ["oci:{}/copied:v1", "oci-archive:{}/copied.tar:v1",
                                  "docker-archive:{}/copied.tar:a/b:v1"])
def test_what_skopeo_copies_is_valid(form, engine, tools, layout):
    tools("skopeo", "--insecure-policy", "copy", f"oci:{layout}:v1", form.format(engine.workdir))
    place = engine.workdir / ("copied" if form.startswith("oci:") else "copied.tar")
    valid(place)


@claim("img-written-04")
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_what_skopeo_packs_anew_is_valid(packing, engine, tools, layout):
    tools("skopeo", "--insecure-policy", "copy", "--dest-compress-format", packing, "--dest-compress",
          f"oci:{write(engine.workdir / 'plain', Layout(compression='', layer_type=media.LAYER).build())}:v1",
          f"oci:{engine.workdir}/copied:v1")
    valid(engine.workdir / "copied")
    kinds = {layer["mediaType"] for layer in manifest_of(engine.workdir / "copied")["layers"]}
    assert kinds == {f"{media.LAYER}+{packing}"}


@claim("img-written-05")
def test_what_umoci_writes_is_valid(engine, tools, layout):
    place, root = engine.workdir / "made", engine.workdir / "bundle"
    tools("umoci", "init", "--layout", str(place))
    tools("umoci", "new", "--image", f"{place}:empty")
    assert validate.path(place, Wishes()).errors == []
    tools("umoci", "unpack", "--image", f"{layout}:v1", str(root))
    (root / "rootfs/etc/new").write_text("new\n")
    (root / "rootfs/etc/port").unlink()
    tools("umoci", "repack", "--image", f"{layout}:v2", str(root))
    tools("umoci", "config", "--image", f"{layout}:v2", "--config.env", "TIDE=low", "--config.exposedports", "80/tcp",
          "--config.label", "deck=lower", "--author", "sailor")
    valid(layout, images=2)


@claim("img-written-06")
@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_what_buildah_commits_is_valid(kind, engine, tools):
    store = ("--root", str(engine.workdir / "store"), "--runroot", str(engine.workdir / "run"),
             "--storage-driver", "vfs")
    (engine.workdir / "motd").write_text("welcome\n")
    name = tools("buildah", *store, "from", "scratch").text
    tools("buildah", *store, "copy", name, str(engine.workdir / "motd"), "/etc/motd")
    tools("buildah", *store, "config", "--cmd", "/bin/sail", "--env", "TIDE=low", "--port", "80", "--volume", "/data",
          "--label", "deck=upper", "--workingdir", "/deck", name)
    tools("buildah", *store, "commit", "--format", kind, name, f"oci:{engine.workdir}/copied:v1")
    valid(engine.workdir / "copied")
    tools("buildah", *store, "rm", name)


@claim("img-written-07")
def test_an_image_keeps_its_digest_on_its_way(engine, tools, layout):
    before = manifest_of(layout)
    tools("skopeo", "--insecure-policy", "copy", f"oci:{layout}:v1", f"oci-archive:{engine.workdir}/a.tar:v1")
    tools("skopeo", "--insecure-policy", "copy", f"oci-archive:{engine.workdir}/a.tar:v1", f"oci:{engine.workdir}/b:v1")
    assert manifest_of(engine.workdir / "b") == before
    raw = tools("skopeo", "--insecure-policy", "inspect", "--raw", f"oci:{engine.workdir}/b:v1").out
    assert digest(raw) == entry_of(layout)["digest"]


@claim("img-written-08")
def test_what_an_engine_saves_others_read(engine, tools, built):
    path = engine.workdir / "saved.tar"
    engine.cli("save", "--output", str(path), built, timeout=120)
    tools("skopeo", "--insecure-policy", "copy", f"docker-archive:{path}", f"oci:{engine.workdir}/copied:v1")
    valid(engine.workdir / "copied")
    shown = engine.inspect(built, "image")
    config = blob(engine.workdir / "copied", manifest_of(engine.workdir / "copied")["config"]["digest"])
    assert config["rootfs"]["diff_ids"] == shown["RootFS"]["Layers"]
    assert config["config"]["Entrypoint"] == ["/bin/echo"]


@claim("img-written-09")
def test_simple_signatures_of_skopeo_are_verified(engine, tools, layout):
    from seatrial.oci.image.signature import Keys

    home = engine.workdir / "gpg"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback")
    tools(*gpg, "--passphrase", "", "--quick-gen-key", "sailor@example.com", "rsa2048", "sign", "never")
    key = engine.workdir / "key.asc"
    key.write_bytes(tools(*gpg, "--export", "--armor").out)
    raw = engine.workdir / "manifest.json"
    raw.write_bytes(tools("skopeo", "--insecure-policy", "inspect", "--raw", f"oci:{layout}:v1").out)
    finger = next(line.split(":")[9] for line in tools(*gpg, "--with-colons", "--list-keys").lines
                  if line.startswith("fpr:"))
    place = engine.workdir / "sigstore/fleet" / f"ship@{entry_of(layout)['digest'].replace(':', '=')}"
    place.mkdir(parents=True)
    tools("skopeo", "standalone-sign", str(raw), "example.com/fleet/ship:v1", finger, "--output",
          str(place / "signature-1"), env={"GNUPGHOME": str(home)})
    tools("gpgconf", "--homedir", str(home), "--kill", "all")
    keys = Keys(gpg=key, signatures=engine.workdir / "sigstore")
    report = judge(validate.path(layout, Wishes(keys=keys)))
    assert [one.message for one in report.diagnostics if one.code == "OCI153" and finger in one.message]
    (place / "signature-1").unlink()
    assert validate.path(layout, Wishes(keys=keys)).codes() == {"OCI150"}


def blob(place, name):
    return parsed((place / "blobs" / name.replace(":", "/")).read_bytes())


def entry_of(place):
    return parsed((place / "index.json").read_bytes())["manifests"][0]


def manifest_of(place):
    return blob(place, entry_of(place)["digest"])
