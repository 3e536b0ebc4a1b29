"""`ps` and `inspect`: what an engine tells of its containers."""

import re

import pytest

from seatrial.exec import ANY

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


def listed(engine, *words, column="Names"):
    """Return the containers of this test that `ps` lists."""
    own = ["--filter", f"label=seatrial.test={engine.key}"]
    return engine.cli("ps", *own, *words, "--format", f"{{{{.{column}}}}}").lines


@claim("cli-023")
def test_ps_lists_running_containers_and_with_all_the_others(engine):
    running, created, ended = engine.run(), engine.create(), engine.run(engine.image, "true")
    ended.wait()
    assert listed(engine) == [running.name]
    assert sorted(listed(engine, "--all")) == sorted([running.name, created.name, ended.name])
    ids = listed(engine, "--all", "--no-trunc", column="ID")
    assert sorted(ids) == sorted([running.id, created.id, ended.id])


@claim("cli-023")
def test_ps_lists_in_the_order_of_creation(engine):
    names = [engine.create().name for _ in range(3)]
    assert listed(engine, "--all") == (names[::-1] if engine.trait("ps_newest_first") else names)


@claim("cli-023")
def test_ps_columns_tell_what_was_made(engine):
    c = engine.run("--publish", "127.0.0.1::80", engine.image, "sleep", "3621")
    row = engine.cli("ps", "--filter", f"id={c.id}", "--format",
                     "{{.ID}}|{{.Image}}|{{.Command}}|{{.Status}}|{{.Ports}}|{{.Names}}").text.split("|")  # fmt: skip
    assert (row[0], row[1], row[5]) == (c.id[:12], engine.image, c.name)
    assert row[2].strip('"') == "sleep 3621"
    assert re.match(r"Up ", row[3])
    assert re.fullmatch(r"127\.0\.0\.1:\d+->80/tcp", row[4])
    head = engine.cli("ps", "--filter", f"id={c.id}").lines[0]
    columns = head.replace("CONTAINER ID", "ID").split()
    assert columns == ["ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]


@claim("cli-023")
def test_ps_quiet_and_untruncated(engine):
    c = engine.run(engine.image, "sh", "-c", "sleep 3622; : a command that is far too long for the table")
    own = ["ps", "--filter", f"id={c.id}"]
    assert engine.cli(*own, "--quiet").stdout == f"{c.id[:12]}\n"
    assert engine.cli(*own, "--quiet", "--no-trunc").stdout == f"{c.id}\n"
    assert "far too long for the table" in engine.cli(*own, "--no-trunc").stdout
    assert "far too long for the table" not in engine.cli(*own).stdout


@claim("cli-023")
@effect("ps --size")
def test_ps_size_counts_what_was_written(engine):
    c = engine.run(engine.image, "sh", "-c", "head -c 3000000 /dev/zero >/three; echo done; sleep 3600")
    c.until_log("done")
    size = engine.cli("ps", "--size", "--filter", f"id={c.id}", "--format", "{{.Size}}").text
    assert re.match(r"3(\.0\d)?MB \(virtual [4-9](\.\d+)?MB\)", size)
    plain, sized = (engine.cli("ps", *option, "--filter", f"id={c.id}").lines for option in ((), ("--size",)))
    assert "SIZE" not in plain[0]
    assert sized[0].split()[-1] == "SIZE"
    assert sized[1].endswith(size)


@claim("cli-023")
def test_ps_filters_find_what_they_describe(engine):
    a = engine.run("--label", "st.kind=a", "--publish", "127.0.0.1::80")
    b = engine.create("--label", "st.kind=b")
    ended = engine.run(engine.image, "sh", "-c", "exit 17")
    ended.wait()
    cases = {
        f"name={a.name}": [a], f"name=^/?{b.name}$": [b], f"id={b.id[:12]}": [b], "status=running": [a],
        "status=created": [b], "status=exited": [ended], "exited=17": [ended], "exited=18": [], "label=st.kind=b": [b],
        "label=st.kind": [b, a], "label=st.none": [], f"ancestor={engine.image}": [ended, b, a],
        f"before={b.name}": [a], f"since={b.name}": [ended],
    }  # fmt: skip
    seen = {words: sorted(listed(engine, "--all", "--filter", words)) for words in cases}
    assert seen == {words: sorted(c.name for c in found) for words, found in cases.items()}


@claim("cli-023")
def test_ps_filters_of_one_kind_widen_and_of_two_kinds_narrow(engine):
    a, b = engine.run("--label", "st.kind=a"), engine.create("--label", "st.kind=b")
    both = ["--filter", "status=running", "--filter", "status=created"]
    assert sorted(listed(engine, "--all", *both)) == sorted([a.name, b.name])
    assert listed(engine, "--all", *both, "--filter", "label=st.kind=a") == [a.name]


@claim("cli-023")
def test_ps_refuses_a_wrong_filter(engine):
    for words in ("bogus=1", "status=bogus", "noequals", "exited=abc"):
        refused = engine.fails("ps", "--filter", words, says="invalid|bad format|unknown container state|parsing")
        assert refused.stdout == ""


@claim("cli-023")
def test_ps_refuses_a_wrong_number_or_template(engine):
    engine.run()
    engine.fails("ps", "--last", "abc", says="invalid argument", code=engine.code("usage"))
    engine.fails("ps", "--format", "{{.Bogus}}", says="can't evaluate field", code=engine.code("error"))
    engine.fails("ps", "--format", "{{", says="template|unclosed action")


@claim("cli-023", "cli-021")
@requires("freezer")
def test_ps_lists_paused_containers(engine):
    c = engine.run()
    engine.cli("pause", c.name)
    assert listed(engine, "--all", "--filter", "status=paused") == [c.name]
    assert listed(engine) == ([c.name] if engine.trait("paused_counts_as_running") else [])
    engine.cli("unpause", c.name)


@claim("cli-023")
def test_ps_as_json_holds_the_containers(engine):
    c = engine.create()
    loaded = engine.cli("ps", "--all", "--no-trunc", "--filter", f"id={c.id}", "--format", "json").json()
    row = loaded[0] if isinstance(loaded, list) else loaded
    assert row.get("ID", row.get("Id")) == c.id
    assert c.name in (row["Names"] if isinstance(row["Names"], list) else [row["Names"]])


@claim("cli-018")
def test_inspect_describes_what_was_asked_for(engine):
    c = engine.run("--env", "ST=1 & <2>", "--label", "st=x", "--hostname", "st-host", "--memory", "64m",
                   "--user", "nobody")  # fmt: skip
    seen = c.inspect()
    assert seen["Id"] == c.id
    assert seen["Name"].removeprefix("/") == c.name
    assert (seen["Path"], seen["Args"]) == ("sleep", ["3600"])
    config = seen["Config"]
    assert "ST=1 & <2>" in config["Env"]
    assert (config["Labels"]["st"], config["Hostname"], config["User"]) == ("x", "st-host", "nobody")
    assert seen["HostConfig"]["Memory"] == 64 << 20
    state = seen["State"]
    assert (state["Status"], state["Running"], state["Paused"], state["ExitCode"]) == ("running", True, False, 0)
    assert c.kernel.argv == ["sleep", "3600"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)$", state["StartedAt"])


@claim("cli-018")
def test_inspect_finds_containers_and_images(engine):
    c = engine.create()
    both = engine.cli("inspect", c.name, engine.image).json()
    assert [both[0]["Id"], engine.image in both[1]["RepoTags"]] == [c.id, True]
    assert both[1]["Id"].removeprefix("sha256:") == both[0]["Image"].removeprefix("sha256:")
    engine.cli("inspect", "--type", "container", c.name)
    refused = engine.fails("inspect", "--type", "image", c.name, says="no_such_image")
    assert refused.text in ("", "[]")


@claim("cli-018")
def test_inspect_takes_a_template(engine):
    c = engine.create(engine.image, "echo", "<&>")
    seen = engine.cli("inspect", "--format", '{{.State.Status}} {{json .Args}} {{len .Args}} {{index .Args 0}}', c.name)
    assert seen.stdout in ('created ["<&>"] 1 <&>\n', 'created ["\\u003c\\u0026\\u003e"] 1 <&>\n')
    large = engine.create("--memory", "1234567890")
    assert engine.cli("inspect", "-f", "{{.HostConfig.Memory}}", large.name).text == "1234567890"


@claim("cli-018")
def test_inspect_refuses_a_wrong_template(engine):
    c = engine.create()
    for template in ("{{.State.NoSuchField}}", "{{.State", "{{nosuch .}}", "{{index .Args 99}}"):
        engine.fails("inspect", "--format", template, c.name,
                     says="template|no entry for key|can't evaluate|unclosed|not defined|out of range")  # fmt: skip


@claim("cli-018")
def test_inspect_of_an_unknown_name_prints_an_empty_list(engine):
    for words in (["inspect"], ["container", "inspect"], ["image", "inspect"]):
        refused = engine.cli(*words, "no-such-object", expect=engine.code("error"))
        assert refused.json() == []
        assert "no-such-object" in refused.stderr


@claim("cli-018")
def test_inspect_prints_what_it_found_before_it_fails(engine):
    c = engine.create()
    refused = engine.fails("inspect", "--format", "{{.Id}}", c.name, "no-such-object", says="no_such_object",
                           code=engine.code("error"))  # fmt: skip
    assert refused.stdout == f"{c.id}\n"


@claim("cli-018")
def test_inspect_with_a_size_counts_what_was_written(engine):
    c = engine.run(engine.image, "sh", "-c", "head -c 2000000 /dev/zero >/two; echo done; sleep 3600")
    c.until_log("done")
    sizes = engine.cli("inspect", "--size", "--format", "{{.SizeRw}} {{.SizeRootFs}}", c.name).text.split()
    assert 2_000_000 <= int(sizes[0]) < 2_100_000 < int(sizes[1])
    assert engine.cli("inspect", "--format", "{{.SizeRw}}", c.name, expect=ANY).text in ("<nil>", "0", "")
