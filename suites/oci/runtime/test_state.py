"""The state of a container, as `state` prints it."""

import os
import re

import jsonschema
import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

SCHEMA = {
    "type": "object",
    "required": ["ociVersion", "id", "status", "bundle"],
    "properties": {
        "ociVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$"},
        "id": {"type": "string"},
        "status": {"enum": ["creating", "created", "running", "stopped"]},
        "pid": {"type": "integer", "minimum": 0},
        "bundle": {"type": "string", "pattern": "^/"},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
ANNOTATIONS = {"org.example.sea": "trial", "org.example.empty": ""}


def fits(state):
    problems = [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(state)]
    assert problems == []
    return True


@pytest.fixture
def annotated(bundle):
    return bundle.with_(annotations=ANNOTATIONS)


@claim("RT-state-id", "RT-q-ret")
def test_state_has_the_id(runtime, annotated):
    box = runtime.run(annotated)
    assert box.state["id"] == box.id


@claim("RT-state-ociver")
def test_state_has_a_version_of_the_specification(runtime, annotated):
    observed = runtime.observe(annotated)
    for state in (observed.created, observed.running):
        assert re.fullmatch(r"1\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?", state["ociVersion"])


@claim("RT-state-bundle")
def test_state_has_the_absolute_path_of_the_bundle(runtime, bundle):
    box = runtime.place(bundle)
    box.create()
    assert box.state["bundle"] == str(box.directory)


@claim("RT-state-bundle")
def test_state_has_the_absolute_path_of_a_bundle_that_was_named_otherwise(runtime, bundle):
    box = runtime.place(bundle)
    runtime.cli("create", "--bundle", box.directory.name, box.id, cwd=box.directory.parent)
    runtime.made(box.id)
    assert os.path.normpath(box.state["bundle"]) == str(box.directory)
    assert box.state["bundle"].startswith("/")


@claim("RT-state-schema", "RT-q-ret")
def test_state_is_one_document_that_fits_the_schema(runtime, annotated):
    observed = runtime.observe(annotated)
    assert fits(observed.created)
    assert fits(observed.running)


@claim("RT-state-schema")
def test_state_has_the_annotations(runtime, annotated):
    observed = runtime.observe(annotated)
    assert observed.created["annotations"].items() >= ANNOTATIONS.items()
    assert observed.running["annotations"].items() >= ANNOTATIONS.items()


@claim("RT-state-status", "RT-life-8")
def test_status_goes_from_created_to_running_to_stopped(runtime, bundle):
    box = runtime.create(bundle)
    assert box.status == "created"
    box.start()
    assert box.seen.pid
    assert box.status == "running"
    box.kill("KILL")
    box.until("stopped")
    assert fits(box.state)


@claim("RT-state-status-new")
def test_only_a_paused_container_has_a_status_of_its_own(runtime, bundle):
    box = runtime.run(bundle)
    assert box.seen.pid
    runtime.cli("pause", box.id)
    assert box.status == "paused"
    runtime.cli("resume", box.id)
    assert box.status == "running"


@claim("RT-state-pid")
def test_pid_is_the_process_of_the_container(runtime, bundle):
    box = runtime.create(bundle)
    pid = box.pid
    assert box.kernel.alive
    box.start()
    assert box.seen.pid == 1
    assert box.pid == pid


@claim("RT-state-pid")
@requires("host_kernel")
def test_pid_leads_the_host_to_the_program(runtime, bundle):
    box = runtime.run(bundle)
    assert box.seen.pid == 1
    assert box.kernel.argv[-1] == box.nonce
    assert box.kernel.namespace("pid") == box.seen.namespace("pid")


@claim("RT-state-id-uniq", "RT-q-ret")
def test_each_id_is_asked_for_itself(runtime, bundle):
    one, two = runtime.create(bundle), runtime.create(bundle)
    assert one.state["bundle"] == str(one.directory)
    assert two.state["bundle"] == str(two.directory)
    assert one.pid != two.pid


@claim("RT-q-noid")
def test_state_without_an_id_is_an_error(runtime):
    runtime.fails("state")


@claim("RT-q-noexist")
def test_state_of_an_unknown_container_is_an_error(runtime):
    runtime.fails("state", runtime.name())


@claim("RT-q-noexist")
def test_state_of_a_deleted_container_is_an_error(runtime, bundle):
    box = runtime.run(bundle)
    box.end()
    runtime.fails("state", box.id)


@claim("RT-state-status", "RT-q-ret")
def test_list_knows_what_state_knows(runtime, bundle):
    box = runtime.create(bundle)
    rows = runtime.cli("list", "--format", "json").json()
    assert [(row["id"], row["status"], row["pid"]) for row in rows] == [(box.id, "created", box.pid)]
