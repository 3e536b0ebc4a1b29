"""The contract holds for fakes that keep it, and each way of being wrong breaks it."""

import sys
from xml.etree import ElementTree

import pytest

from seatrial import exec as command
from seatrial.engines.fake import WRONGS, fake
from seatrial.testkit import EngineContract, root_file_system

ENGINES = ("docker", "podman", "nerdctl")


class FakeContract(EngineContract):
    """The contract against a fake, whose containers run commands of this machine."""

    cli = "docker"
    wrong = ""
    deadline = 20.0

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, tmp_path_factory):
        return fake(cls.cli, tmp_path_factory.mktemp("engine"), cls.wrong)

    @pytest.fixture(scope="class")
    @classmethod
    def image(cls, engine, tmp_path_factory):
        archive = root_file_system(tmp_path_factory.mktemp("image") / "root.tar")
        engine.import_image(archive, "localhost/base:latest", ['CMD ["true"]'])
        return "localhost/base:latest"


class TestFakeDocker(FakeContract):
    cli = "docker"


class TestFakePodman(FakeContract):
    cli = "podman"


class TestFakeNerdctl(FakeContract):
    cli = "nerdctl"


# the tests of the contract that must notice, besides any others
NOTICED = {
    "always-fails": {"test_version_says_what_the_binary_says"},
    "silent-ok": {"test_version_says_what_the_binary_says", "test_run_gives_both_streams_and_the_exit_code"},
    "hangs": {"test_version_says_what_the_binary_says"},
    "lies-version": {"test_version_says_what_the_binary_says"},
    "impostor": {"test_identity_is_the_drivers_engine"},
    "poor-facts": {"test_facts_are_well_formed"},
    "garbage": {"test_version_says_what_the_binary_says", "test_facts_have_all_that_requirements_read"},
    "leaks": {"test_remove", "test_removing_a_running_container"},
    "stops-at-unknown": {"test_removing_unknown_things_removes_the_known_ones"},
    "dies": {"test_run_gives_both_streams_and_the_exit_code", "test_talking_to_a_command"},
    "always-zero": {"test_run_gives_both_streams_and_the_exit_code", "test_a_met_expectation_is_none",
                    "test_a_missed_expectation_is_an_error", "test_the_journal_has_every_call"},
    "merges-streams": {"test_run_gives_both_streams_and_the_exit_code", "test_a_met_expectation_is_none"},
    "forgets-stdin": {"test_standard_input_arrives", "test_talking_to_a_command"},
    "no-filter": {"test_find_by_label"},
    "short-ids": {"test_find_by_label"},
    "drops-changes": {"test_import_image_keeps_its_configuration"},
    "takes-anything": {"test_import_of_something_else_is_an_error"},
    "finds-anything": {"test_inspect_of_an_unknown_object_is_an_error"},
    "other-object": {"test_inspect_describes_by_name_and_by_id"},
    "keeps-volumes": {"test_removing_a_running_container"},
    "mute": {"test_errors_are_worded_as_the_dialect_says"},
    "detaches": {"test_a_timeout_ends_the_command"},
}  # fmt: skip

# tests that are about the driver alone, whatever the engine behind it does
OF_THE_DRIVER = {"test_a_dead_engine_is_trouble"}

CASE = """
from tests.contract.test_fakes import FakeContract

class TestWrong(FakeContract):
    cli = {cli!r}
    wrong = {wrong!r}
"""


def noticed(cli, wrong, directory, root):
    """Run the tests that must notice a wrong fake in a pytest of its own; return the names of failed ones."""
    (directory / "test_wrong.py").write_text(CASE.format(cli=cli, wrong=wrong))
    (directory / "pytest.ini").write_text("[pytest]\n")
    report = directory / "report.xml"
    selected = [f"{directory / 'test_wrong.py'}::TestWrong::{name}" for name in sorted(NOTICED[wrong])]
    result = command.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         *selected, f"--rootdir={directory}", f"--config-file={directory / 'pytest.ini'}"],
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(root), "TMPDIR": str(directory)},
        cwd=root, timeout=240, expect=command.ANY,
    )  # fmt: skip
    assert result.code == 1, f"the contract did not fail\n{result}"
    cases = list(ElementTree.parse(report).iter("testcase"))
    assert len(cases) >= len(selected), result
    return {case.get("name").split("[")[0] for case in cases
            if case.find("failure") is not None or case.find("error") is not None}  # fmt: skip


def test_every_wrong_is_looked_for():
    assert set(NOTICED) == set(WRONGS)


def test_every_test_of_the_contract_can_fail():
    tests = {name for name in vars(EngineContract) if name.startswith("test_")}
    assert set().union(*NOTICED.values()) | OF_THE_DRIVER == tests


@pytest.mark.parametrize("wrong", sorted(WRONGS))
def test_a_wrong_fake_breaks_the_contract(wrong, tmp_path, pytestconfig):
    assert noticed("docker", wrong, tmp_path, pytestconfig.rootpath) == NOTICED[wrong]


@pytest.mark.parametrize("cli", ["podman", "nerdctl"])
@pytest.mark.parametrize("wrong", ["lies-version", "leaks", "garbage"])
def test_other_wrong_fakes_do_too(cli, wrong, tmp_path, pytestconfig):
    assert noticed(cli, wrong, tmp_path, pytestconfig.rootpath) == NOTICED[wrong]


def test_a_fake_is_wrong_in_known_ways_only(tmp_path):
    with pytest.raises(ValueError, match="sideways"):
        fake("docker", tmp_path, "sideways")
