"""The same on the fake and on a real Jenkins: JENKINS_URL, JENKINS_USER and JENKINS_TOKEN name one."""

import secrets
from pathlib import Path

import pytest

from seatrial.ci import apply, builds, hook_check
from seatrial.errors import SeatrialError

JENKINS = Path(__file__).parents[2] / "jenkins"
VALUES = {
    "SEATRIAL_REPOSITORY": "https://gitlab.invalid/up/seatrial.git", "SEATRIAL_AGENT_HOST": "192.0.2.1",
    "SEATRIAL_AGENT_KEY_TYPE": "ssh-ed25519",
    "SEATRIAL_AGENT_KEY": "AAAAC3NzaC1lZDI1NTE5AAAAIGPKSBlsNDdCTbVMC0xzaTkmKkZXHsbFTSTDbXgGsp8o",
}  # fmt: skip
ECHO = """<project><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>
<hudson.model.StringParameterDefinition><name>WORD</name><defaultValue>none</defaultValue>
</hudson.model.StringParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties>
<assignedNode>seatrial</assignedNode><canRoam>false</canRoam>
<builders><hudson.tasks.Shell><command>echo "word: $WORD"</command></hudson.tasks.Shell></builders></project>"""


@pytest.fixture
def folder(any_jenkins):
    """A folder of this test's own; it goes with everything in it."""
    name = f"seatrial-check-{secrets.token_hex(4)}"
    any_jenkins.create_folder(name)
    yield name
    any_jenkins._api.delete_job(name)


def test_version_and_plugins(any_jenkins):
    assert any_jenkins.version()[0].isdigit()
    assert "git" in any_jenkins.plugins()


def test_the_definitions_are_taken_and_stay_as_they_are(any_jenkins, folder):
    wanted = apply.load(JENKINS, values=VALUES)
    wanted.nodes.clear()
    wanted.plugins.clear()
    steps = apply.plan(any_jenkins, wanted, folder=folder, hook_token="0123456789abcdef")
    assert apply.carry_out(steps, lambda _: None) == 7
    again = apply.plan(any_jenkins, wanted, folder=folder, hook_token="0123456789abcdef")
    assert [step.diff for step in again if step.diff] == []


def test_a_node_is_made_with_its_host_key(any_jenkins, fake_node_name):
    xml = apply.load(JENKINS, ["seatrial-1"], VALUES).nodes["seatrial-1"].replace("seatrial-1", fake_node_name)
    wanted = apply.Definitions({}, {fake_node_name: xml}, {})
    try:
        assert apply.carry_out(apply.plan(any_jenkins, wanted), lambda _: None) == 1
        assert VALUES["SEATRIAL_AGENT_KEY"] in any_jenkins.node_config(fake_node_name)
        assert [step.action for step in apply.plan(any_jenkins, wanted)] == ["same"]
    finally:
        any_jenkins._api.delete_node(fake_node_name)


@pytest.fixture
def fake_node_name():
    return f"seatrial-check-{secrets.token_hex(4)}"


def test_jenkinsfile_and_casc_are_valid(any_jenkins):
    assert any_jenkins.lint((JENKINS / "Jenkinsfile").read_text()) == []
    paths = sorted((JENKINS / "casc").glob("*.yaml"))
    assert len(paths) == 4
    for path in paths:
        assert any_jenkins.check_casc(path.read_text()) == [], path.name


def test_a_hook_without_a_trigger_is_found_out(any_jenkins, folder):
    any_jenkins.create_job(f"{folder}/echo", ECHO)
    with pytest.raises(SeatrialError) as told:
        hook_check.verify(any_jenkins, f"{folder}/echo", "0123456789abcdef", seconds=3)
    assert told.value.code == "E620"


def test_a_hook_queues_a_build(any_jenkins, folder):
    wanted = apply.load(JENKINS, ["merge_request_head"], VALUES)
    wanted.plugins.clear()
    apply.carry_out(apply.plan(any_jenkins, wanted, folder=folder, hook_token="0123456789abcdef"), lambda _: None)
    said = hook_check.verify(any_jenkins, f"{folder}/merge_request_head", "0123456789abcdef")
    assert "again" in said


def test_a_build_is_triggered_followed_and_collected(any_jenkins, folder, tmp_path):
    """On a real Jenkins this needs an agent with the label seatrial."""
    any_jenkins.create_job(f"{folder}/echo", ECHO)
    patience = builds.Patience(180, 0.1)
    item = any_jenkins.start(f"{folder}/echo", {"WORD": "hello"})
    number = builds.await_start(any_jenkins, item, patience, lambda _: None)
    lines = list(builds.follow(any_jenkins, f"{folder}/echo", number, patience))
    assert lines[-1] == "Finished: SUCCESS"
    assert builds.await_end(any_jenkins, f"{folder}/echo", number, patience)["result"] == "SUCCESS"
    found = builds.collect(any_jenkins, f"{folder}/echo", number, tmp_path)
    assert found.result == "SUCCESS"
    assert (tmp_path / "console.txt").read_text().endswith("Finished: SUCCESS\n")
