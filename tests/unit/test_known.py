import pytest

from seatrial import known
from seatrial.errors import SeatrialError
from seatrial.results import TargetInfo

ENTRY = """
[[known]]
test = "suites/cli/test_run.py::test_x"
reason = "the engine answers with another code"
link = "https://example.org/1"
says = "seen 500$"
"""


def load(path, engine, version):
    return known.deviations(known.read([path]), TargetInfo("t", engine, version))


def listed(tmp_path, text, engine="podman", version="4.3.1"):
    path = tmp_path / "known.toml"
    path.write_text(text)
    return load(path, engine, version).tests


@pytest.mark.parametrize(
    ("engine", "version", "covered"),
    [
        ("podman", "4.3.1", True),
        ("podman", "4.3", True),
        ("podman", "4.30.0", False),
        ("podman", "5.4.3", False),
        ("docker", "4.3.1", False),
    ],
)
def test_a_list_covers_its_engine_and_version(tmp_path, engine, version, covered):
    found = listed(tmp_path, f'engine = "podman"\nversion = "4.3"\n{ENTRY}', engine, version)
    assert bool(found) is covered


def test_an_entry_holds_for_all_parameters_unless_it_names_some(tmp_path):
    narrow = ENTRY.replace("test_x", "test_y[a]")
    found = listed(tmp_path, f'engine = "podman"\nversion = "4"\n{ENTRY}{narrow}')
    path = "suites/cli/test_run.py"
    assert known.match(found, f"{path}::test_x[any]").link == "https://example.org/1"
    assert known.match(found, f"{path}::test_y[a]")
    assert known.match(found, f"{path}::test_y[b]") is None
    assert known.match(found, f"{path}::test_y") is None


@pytest.mark.parametrize(
    "text",
    [
        "engine =",
        'engine = "podman"\n',
        f'engine = "podman"\nversion = "4"\n{ENTRY.replace("https://", "see ")}',
        f'engine = "podman"\nversion = "4"\n{ENTRY.replace("the engine answers with another code", "no")}',
        f'engine = "podman"\nversion = "4"\n{ENTRY}owner = "me"\n',
        f'engine = "podman"\nversion = "4"\n{ENTRY.replace("seen 500", "(seen")}',
        f'engine = "podman"\nversion = "4"\n{ENTRY.partition("says")[0]}',
        f'engine = "podman"\nversion = "4"\n{ENTRY.replace("::", "/")}',
    ],
)
def test_a_broken_list_is_an_error_with_a_hint(tmp_path, text):
    with pytest.raises(SeatrialError) as raised:
        listed(tmp_path, text)
    assert raised.value.code == "E303"
    assert raised.value.hint


LEFTOVER = """
[[leftover]]
kind = "mount"
name = "/var/lib/x/*/merged"
reason = "the engine forgets to unmount it"
link = "https://example.org/2"
"""


def test_what_an_engine_leaves_itself_is_listed_by_kind_and_pattern(tmp_path):
    path = tmp_path / "known.toml"
    path.write_text(f'engine = "podman"\nversion = "4"\n{LEFTOVER}')
    one, = load(path, "podman", "4.3").leftovers
    assert one.covers("mount", "/var/lib/x/0815/merged")
    assert not one.covers("mount", "/var/lib/x/0815/work")
    assert not one.covers("cgroup", "/var/lib/x/0815/merged")


@pytest.mark.parametrize("change", [('"mount"', '"mounts"'), ("/var/lib/x/*/merged", "*"), ("reason", "why")])
def test_a_leftover_names_a_kind_and_more_than_everything(tmp_path, change):
    with pytest.raises(SeatrialError):
        listed(tmp_path, f'engine = "podman"\nversion = "4"\n{LEFTOVER.replace(*change)}')


RACE = """
[[race]]
says = "unpacking failed .* no such file"
reason = "a layer is removed while it is unpacked"
link = "https://example.org/3"
"""


def test_a_race_is_known_by_its_words_alone(tmp_path):
    path = tmp_path / "known.toml"
    path.write_text(f'engine = "podman"\nversion = "5"\n{RACE}')
    one, = load(path, "podman", "5.8").races
    assert one.expects("unpacking failed (mkdir /x: no such file or directory)")
    assert not one.expects("unpacking failed: no space left on device")


@pytest.mark.parametrize("change", [('says = "unpacking failed .* no such file"\n', ""), ("unpacking failed", "(")])
def test_a_race_without_words_to_know_it_by_is_refused(tmp_path, change):
    with pytest.raises(SeatrialError) as raised:
        listed(tmp_path, f'engine = "podman"\nversion = "5"\n{RACE.replace(*change)}')
    assert raised.value.code == "E303"


def test_a_list_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(SeatrialError) as raised:
        known.read([tmp_path / "none.toml"])
    assert raised.value.code == "E303"
