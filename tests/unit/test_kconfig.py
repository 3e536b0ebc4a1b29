import gzip

import pytest

from seatrial.probes import kconfig

TEXT = "# comment\nCONFIG_NAMESPACES=y\nCONFIG_OVERLAY_FS=m\n# CONFIG_IP_VS is not set\nCONFIG_HZ=250\n"


@pytest.mark.parametrize("packed", [True, False])
def test_states_of_options(tmp_path, packed):
    path = tmp_path / ("config.gz" if packed else "config-6.1")
    path.write_bytes(gzip.compress(TEXT.encode()) if packed else TEXT.encode())
    found = kconfig.read([tmp_path / "absent", path])
    states = {option.name: option.state for option in found.options()}
    assert found.source == str(path)
    assert states["CONFIG_NAMESPACES"] == "built in"
    assert states["CONFIG_OVERLAY_FS"] == "module"
    assert states["CONFIG_IP_VS"] == "missing"
    assert states["CONFIG_NET_NS"] == "missing"


def test_one_line_for_each_option(tmp_path):
    (tmp_path / "config").write_text(TEXT)
    names = [option.name for option in kconfig.read([tmp_path / "config"]).options()]
    assert len(names) == len(set(names)) >= 75
    assert {option.on for option in kconfig.read([tmp_path / "config"]).options()} == {True, False}


@pytest.mark.parametrize("content", [None, b"no gzip at all"])
def test_says_why_nothing_is_readable(tmp_path, content):
    path = tmp_path / "config.gz"
    if content is not None:
        path.write_bytes(content)
    found = kconfig.read([path])
    assert found.source == ""
    assert found.reason.startswith("not readable")
    assert str(path) in found.reason
    assert found.options() == []


@pytest.mark.parametrize(
    ("release", "fine"),
    [("3.10.0-1160.el7", True), ("3.9.9", False), ("2.6.32", False), ("6.18+", True), ("10.0", True), ("odd", False)],
)
def test_gate_on_the_kernel_version(release, fine):
    reason = kconfig.too_old(release)
    assert (reason == "") is fine
    if not fine:
        assert release in reason
        assert "3.10" in reason
