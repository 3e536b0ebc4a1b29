"""Usage, help and options that stand before the command."""

import re

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

COMMANDS = (
    "attach", "build", "commit", "cp", "create", "diff", "events", "exec", "export", "history", "images",
    "import", "info", "inspect", "kill", "load", "login", "logout", "logs", "pause", "port", "ps", "pull",
    "push", "rename", "restart", "rm", "rmi", "run", "save", "search", "start", "stats", "stop", "tag", "top",
    "unpause", "version", "wait",
)  # fmt: skip

# what the reference documents of each command, in every version that is tested
OPTIONS = {
    "attach": "--detach-keys --no-stdin --sig-proxy",
    "cp": "--archive",
    "create": "--name --env --label --volume --memory --cpuset-cpus --cidfile --entrypoint --user --workdir",
    "events": "--filter --format --since --until",
    "exec": "--detach --env --interactive --privileged --tty --user --workdir",
    "inspect": "--format --size --type",
    "kill": "--signal",
    "logs": "--follow --since --tail --timestamps --until",
    "ps": "--all --filter --format --last --latest --no-trunc --quiet --size",
    "restart": "--time",
    "rm": "--force --volumes",
    "run": "--rm --detach --init --interactive --tty --publish --cap-add --read-only --sig-proxy --stop-signal",
    "start": "--attach --detach-keys --interactive",
    "stop": "--time",
}


@claim("cli-005")
def test_the_bare_command_prints_usage_and_every_command(engine):
    shown = engine.cli(expect=engine.code("no_subcommand"))
    assert re.search(r"^Usage:", shown.output, re.MULTILINE)
    listed = [command for command in COMMANDS if re.search(rf"^ +{command}\b", shown.output, re.MULTILINE)]
    assert tuple(listed) == COMMANDS
    assert re.search(r"--version\b.*[Vv]ersion", shown.output)


@claim("cli-006")
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_printed_on_standard_output(engine, option):
    shown = engine.cli(option)
    assert re.search(r"^Usage:", shown.stdout, re.MULTILINE)
    assert re.search(r"^ +run +\S", shown.stdout, re.MULTILINE)


@claim("cli-006", "cli-032")
@pytest.mark.parametrize("option", ["-v", "--version"])
def test_version_option_names_the_version_of_the_client(engine, option):
    shown = engine.cli(option)
    client = engine.cli("version", "--format", "{{.Client.Version}}").text
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", client)
    assert shown.stderr == ""
    assert re.fullmatch(rf"{engine.raw.binary} version {re.escape(client)}(, build [0-9a-f]+)?\n", shown.stdout, re.I)


@claim("cli-034")
def test_every_command_explains_itself(engine):
    wrong = {}
    for command in COMMANDS:
        shown = engine.cli(command, "--help")
        words = engine.raw.binary + r" (\w+ )?" + command
        # an option line has a name, then two spaces and a description that starts in this or the next line
        options = re.findall(r"^ +(?:-\w, )?--[\w-]+.*\n?(?: {20,}.*)?", shown.stdout, re.MULTILINE)
        mute = [line for line in options if not re.search(r"--help|--[\w-]+(?: \S+)*?\s{2,}\S", line)]
        if not re.search(rf"^ *{words}\b|Usage:\s+{words}\b", shown.stdout, re.MULTILINE) or shown.stderr or mute:
            wrong[command] = [shown.stdout[:200], shown.stderr, mute]
    assert wrong == {}


@claim("cli-034")
def test_help_lists_the_documented_options(engine):
    missing = []
    for command, options in OPTIONS.items():
        listed = set(re.findall(r"(?<![\w-])--[\w-]+", engine.cli(command, "--help").stdout))
        # --time of stop and restart became --timeout in version 28
        missing += [f"{command} {name}" for name in options.split() if not {name, f"{name}out"} & listed]
    assert missing == []


@claim("cli-037")
@requires("local_engine")
def test_every_command_has_its_manual_page(engine):
    directory = engine.raw.host.path("/usr/share/man/man1")
    pages = {path.name.partition(".")[0] for path in directory.glob(f"{engine.raw.binary}-*.1*")}
    if not pages:
        pytest.skip("no manual pages of this engine are installed here")
    assert [command for command in COMMANDS if f"{engine.raw.binary}-{command}" not in pages] == []


@claim("cli-201")
def test_an_unknown_command_is_refused(engine):
    for word in ("nonsense", "runn", "RUN", "''"):
        refused = engine.fails(word, says="unknown_command", code=engine.code("error"))
        assert refused.stdout == ""


@claim("cli-201")
def test_an_unknown_option_is_refused(engine):
    for command in ("ps", "run", "exec", "version"):
        refused = engine.fails(command, "--frobnicate", says="unknown_flag", code=engine.code("usage"))
        assert refused.stdout == ""
        assert "--frobnicate" in refused.stderr


@claim("cli-201")
def test_a_missing_argument_is_refused(engine):
    demanding = {
        "attach", "cp", "create", "diff", "exec", "inspect", "kill", "logs", "pause", "port", "rename",
        "restart", "rm", "run", "start", "stop", "top", "unpause", "wait",
    }  # fmt: skip
    for command in sorted(demanding):
        refused = engine.fails(command, says="missing_argument", code=engine.code("missing_argument"))
        assert refused.stdout == ""


@claim("cli-201")
def test_a_superfluous_argument_is_refused(engine):
    for words in (("ps", "extra"), ("info", "extra"), ("version", "extra"), ("rename", "a", "b", "c")):
        engine.fails(*words, says=r"accepts no arguments|accepts 2 arg|requires( exactly)? 2 arg|takes no arg",
                     code=engine.code("missing_argument"))  # fmt: skip


@claim("cli-010")
def test_each_documented_log_level_is_accepted(engine):
    levels = engine.trait("log_levels")
    assert levels
    for level in levels:
        engine.cli("--log-level", level, "version", "--format", "{{.Client.Version}}", stdout=r"^\d+\.\d+")


@claim("cli-010")
def test_an_unknown_log_level_is_refused(engine):
    for level in ("bogus", "3", "info "):
        refused = engine.fails("--log-level", level, "version", says="bad_log_level", code=1)
        assert refused.stdout == ""


@claim("cli-010")
def test_help_names_the_default_log_level(engine):
    text = re.sub(r"\s+", " ", engine.cli("--help").stdout)
    level = engine.trait("default_log_level")
    assert re.search(rf'--log-level string .{{0,160}}\(default "?{level}"?\)', text)
