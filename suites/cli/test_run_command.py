"""`run`: the command, its exit code, environment, directory, user and entry point."""

import io
import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.examples import examples

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires

# what an argument of execve can hold: anything but NUL
argument = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
variable = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,15}", fullmatch=True).filter(
    lambda name: name not in {"PATH", "HOME", "HOSTNAME", "TERM", "container"}
)


@claim("cli-027")
@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_run_ends_with_the_exit_code_of_its_process(engine, code):
    seen = engine.sh(f"exit {code}", expect=code)
    assert seen.output == ""


@claim("cli-027")
@pytest.mark.parametrize(("command", "code"), [
    ("/no/such/program", 127), ("no-such-program", 127), ("/etc/passwd", 126), ("/etc", 126),
], ids=["no file", "not in PATH", "not executable", "directory"])  # fmt: skip
def test_run_tells_a_missing_program_from_one_that_may_not_run(engine, command, code):
    name = engine.name()
    refused = engine.fails("run", "--rm", "--name", name, engine.image, command, says="cannot_execute", code=code)
    assert refused.stdout == ""
    assert not engine.exists(name)


@claim("cli-027", "cli-202")
@pytest.mark.parametrize(("options", "says"), [
    (["--memory", "lots"], "bad_memory"),
    (["--env", "=x"], "invalid (environment )?variable"),
    (["--network", "no-such-net"], "no_such_network"),
    (["--publish", "65536:80"], "port_bad"),
    (["--volume", "relative/path:/x:bogus"], "volume_bad_mode"),
], ids=["size", "variable", "network", "port", "mount"])  # fmt: skip
def test_run_refused_by_the_engine_ends_with_125_and_leaves_nothing(engine, options, says):
    name = engine.name()
    refused = engine.fails("run", "--rm", "--name", name, *options, engine.image, "true", says=says, code=125)
    assert refused.stdout == ""
    assert not engine.exists(name)


@claim("cli-027", "cli-045")
def test_run_refuses_a_reference_that_is_none_before_anything_else(engine):
    name = engine.name()
    for reference in ("Upper/Case", "a b", "a:b:c", "x:", ":tag", "a@sha256:12", f"x:{'t' * 129}", "-", "../x"):
        refused = engine.fails("run", "--rm", "--name", name, "--", reference, "true", says="not_a_reference", code=125)
        assert refused.stdout == ""
    assert not engine.exists(name)


@claim("cli-027")
def test_run_without_the_image_and_without_pulling_names_the_image(engine):
    name, image = engine.name(), "localhost/seatrial/no-such-image:1"
    refused = engine.fails("run", "--rm", "--pull", "never", "--name", name, image, says="no_such_image", code=125)
    assert refused.stdout == ""
    assert image in refused.stderr
    assert not engine.exists(name)


@claim("cli-203")
@examples(4)
@given(arguments=st.lists(argument, min_size=1, max_size=30))
def test_arguments_reach_the_process_unchanged(engine, arguments):
    seen = engine.once(engine.image, "sh", "-c", "printf '%s\\0' \"$@\"", "sh", *arguments)
    assert seen.out.split(b"\0")[:-1] == [text.encode() for text in arguments]


@claim("cli-203")
@examples(4)
@given(variables=st.dictionaries(variable, argument, min_size=1, max_size=30))
def test_variables_reach_the_process_unchanged(engine, variables):
    words = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    seen = engine.once(*words, engine.image, "cat", "/proc/self/environ")
    pairs = dict(pair.split(b"=", 1) for pair in seen.out.split(b"\0")[:-1])
    assert {name: pairs.get(name.encode()) for name in variables} == {
        name: value.encode() for name, value in variables.items()
    }


@claim("cli-203")
def test_a_variable_without_value_comes_from_the_client_or_stays_away(engine):
    seen = engine.once("--env", "ST_CLIENT", "--env", "ST_ABSENT", "--env", "ST_EMPTY=", engine.image, "env",
                       env={"ST_CLIENT": "from the client", "ST_OTHER": "not asked for"})  # fmt: skip
    assert "ST_CLIENT=from the client" in seen.lines
    assert "ST_EMPTY=" in seen.lines
    assert "ST_ABSENT" not in seen.stdout
    assert "ST_OTHER" not in seen.stdout


@claim("cli-203")
@effect("run --env", "run --env-file")
def test_the_last_of_two_values_wins(engine):
    file = engine.workdir / "env"
    file.write_text("# comment\n\nST_A=file\nST_B=file with = and 'quotes'\nST_C\n")
    seen = engine.once("--env-file", str(file), "--env", "ST_A=1", "--env", "ST_A=2", engine.image, "env",
                       env={"ST_C": "client"})  # fmt: skip
    own = sorted(line for line in seen.lines if line.startswith("ST_"))
    assert own == ["ST_A=2", "ST_B=file with = and 'quotes'", "ST_C=client"]
    assert "comment" not in seen.stdout


@claim("cli-203")
@pytest.mark.parametrize("content", ["=x\n", None], ids=["no name", "no file"])
def test_a_wrong_environment_file_is_refused(engine, content):
    file = engine.workdir / "env"
    if content is not None:
        file.write_text(content)
    engine.fails("run", "--rm", "--env-file", str(file), engine.image, "true",
                 says="invalid (environment )?variable|no variable name|no such file", code=125)  # fmt: skip


@claim("cli-204")
@effect("run --workdir")
def test_workdir_is_the_directory_of_the_process(engine):
    c = engine.run("--workdir", "/usr/bin")
    assert c.kernel.cwd == "/usr/bin"
    assert c.exec("pwd").text == "/usr/bin"


@claim("cli-204")
def test_a_workdir_that_is_missing_is_made_or_refused(engine):
    words = ["run", "--rm", "--workdir", "/new/dir", engine.image, "stat", "-c", "%F %u", "."]
    if engine.trait("makes_workdir"):
        assert engine.cli(*words).text == "directory 0"
    else:
        engine.fails(*words, says="does not exist", code=engine.code("bad_workdir"))


@claim("cli-204")
@pytest.mark.parametrize("path", ["/etc/passwd", "relative"])
def test_a_workdir_that_cannot_be_is_refused(engine, path):
    refused = engine.fails("run", "--rm", "--workdir", path, engine.image, "pwd", says="bad_workdir",
                           code=engine.code("bad_workdir"))  # fmt: skip
    assert path in refused.stderr


@claim("cli-205")
@effect("run --user")
@pytest.mark.parametrize(("user", "uid", "gid", "groups"), [
    ("nobody", 65534, 65534, []), ("operator", 37, 37, [10]), ("5000", 5000, 0, []), ("5000:6000", 5000, 6000, []),
    ("nobody:adm", 65534, 4, []), ("0:100", 0, 100, []), ("2147483647:1", 2147483647, 1, []),
])  # fmt: skip
def test_user_sets_the_ids_of_the_process(engine, user, uid, gid, groups):
    status = engine.run("--user", user).kernel.status
    assert status["Uid"].split() == [str(uid)] * 4
    assert status["Gid"].split() == [str(gid)] * 4
    assert [int(group) for group in status["Groups"].split() if int(group) != gid] == groups


@claim("cli-205")
def test_a_user_that_does_not_exist_is_refused(engine):
    name = engine.name()
    for user in ("no-such-user", "nobody:no-such-group", "2147483648", "4294967296", "0:2147483648", "-1"):
        refused = engine.fails("run", "--rm", "--name", name, f"--user={user}", engine.image, "true",
                               says="unable to find (user|group)|must be in range|no matching entries",
                               code=engine.code("bad_user"))  # fmt: skip
        assert refused.stdout == ""
    assert not engine.exists(name)


@claim("cli-205")
@effect("run --group-add")
def test_added_groups_are_supplementary(engine):
    status = engine.run("--user", "nobody", "--group-add", "adm", "--group-add", "4711").kernel.status
    assert {"4", "4711"} <= set(status["Groups"].split())
    assert status["Gid"].split()[0] == "65534"
    engine.fails("run", "--rm", "--group-add", "no-such-group", engine.image, "true", says="unable to find group",
                 code=engine.code("bad_user"))  # fmt: skip


@pytest.fixture
def with_entrypoint(engine):
    name = engine.image_name()
    base = engine.create()
    engine.cli("commit", "--change", 'ENTRYPOINT ["/bin/echo", "entry"]', "--change", 'CMD ["word"]', base.name, name)
    return name


@claim("cli-206")
def test_entrypoint_of_the_image_takes_the_command_as_arguments(engine, with_entrypoint):
    assert engine.once(with_entrypoint).text == "entry word"
    assert engine.once(with_entrypoint, "other", "words").text == "entry other words"


@claim("cli-206")
@effect("run --entrypoint")
def test_entrypoint_option_replaces_entrypoint_and_command_of_the_image(engine, with_entrypoint):
    assert engine.once("--entrypoint", "/bin/expr", with_entrypoint, "2", "+", "3").text == "5"
    assert engine.once("--entrypoint", "/bin/echo", with_entrypoint).stdout == "\n"
    assert engine.once("--entrypoint", "", with_entrypoint, "echo", "plain").text == "plain"


@claim("cli-206", "cli-087", "cli-115", "image-006")
def test_an_image_without_entrypoint_and_command_needs_one(engine):
    name, archive = engine.image_name(), io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    engine.cli("import", "-", name, stdin=archive.getvalue())
    engine.fails("run", "--rm", name, says="nothing_to_run", code=125)
    engine.fails("run", "--rm", name, "/given", says="cannot_execute", code=127)


@claim("cli-207")
@effect("run --init")
def test_init_is_process_one_and_reaps_zombies(engine):
    c = engine.run("--init", engine.image, "sh", "-c", "echo $$; exec sleep 3600")
    assert c.kernel.argv[1:] == ["--", "sh", "-c", "echo $$; exec sleep 3600"]
    assert c.until_log(r"\d").strip() != "1"
    c.sh("(sleep 0.1 & exec true) & sleep 0.3")
    c.until("one child of init", lambda: c.sh("ps -o stat,comm | grep -c '^Z' || true").text == "0")
    engine.cli("kill", "--signal", "TERM", c.name)
    assert c.wait() == 143


@claim("cli-207")
def test_without_init_the_command_is_process_one(engine):
    c = engine.run(engine.image, "sleep", "3600")
    assert c.kernel.argv == ["sleep", "3600"]
    assert re.search(r"^1\s", c.sh("ps -o pid,args | grep '[s]leep 3600'").text)
