import itertools

import pytest

claim, requires = pytest.mark.claim, pytest.mark.requires

# what stands in the Dockerfile -> the words it contributes; None: no such instruction
ENTRYPOINTS = {
    "none": None,
    "exec": 'ENTRYPOINT ["/bin/busybox", "echo", "e"]',
    "shell": "ENTRYPOINT /bin/busybox echo e",
}
CMDS = {
    "none": None,
    "exec": 'CMD ["/bin/busybox", "echo", "c"]',
    "parameters": 'CMD ["p1", "p2"]',
    "shell": "CMD /bin/busybox echo c",
}
# the table of the Dockerfile reference, "Understand how CMD and ENTRYPOINT interact": what is printed
OUTPUT = {
    ("none", "exec"): "c",
    ("none", "shell"): "c",
    ("exec", "none"): "e",
    ("exec", "exec"): "e /bin/busybox echo c",
    ("exec", "parameters"): "e p1 p2",
    ("exec", "shell"): "e /bin/sh -c /bin/busybox echo c",
    ("shell", "none"): "e",
    ("shell", "exec"): "e",
    ("shell", "parameters"): "e",
    ("shell", "shell"): "e",
}
NOTHING_TO_START = {("none", "none"), ("none", "parameters")}


@claim("build-020", "build-021", "build-022", "build-025", "build-026")
@pytest.mark.parametrize(
    ("entrypoint", "cmd"), [pair for pair in itertools.product(ENTRYPOINTS, CMDS) if pair not in NOTHING_TO_START],
    ids="-".join,
)  # fmt: skip
def test_entrypoint_and_cmd_combine_as_documented(default_builder, entrypoint, cmd):
    lines = [line for line in (ENTRYPOINTS[entrypoint], CMDS[cmd]) if line]
    image = default_builder.build("\n".join(["FROM IMAGE", "CMD []", *lines]))
    assert image.run().text == OUTPUT[entrypoint, cmd]


@claim("build-022", "build-201")
def test_container_without_any_command_is_refused(default_builder):
    image = default_builder.build('FROM IMAGE\nCMD ["echo"]\nCMD []\n')
    default_builder.bench.fails("run", "--rm", image.name, says="nothing_to_run")


@claim("build-022", "build-201")
def test_container_whose_command_is_missing_is_refused(default_builder):
    image = default_builder.build('FROM IMAGE\nCMD ["nosuchprogram"]\n')
    default_builder.bench.fails("run", "--rm", image.name, says="executable file not found|no such file", code=127)


@claim("build-020", "build-021")
def test_exec_form_starts_the_program_itself_and_shell_form_a_shell(builder):
    bench = builder.bench
    direct = bench.run(builder.build('FROM IMAGE\nCMD ["sleep", "600"]\n').name)
    assert direct.kernel.argv == ["sleep", "600"]
    shell = bench.run(builder.build("FROM IMAGE\nENV T=600\nCMD sleep $T; true\n").name)
    assert shell.kernel.argv == ["/bin/sh", "-c", "sleep $T; true"]
    for container in (direct, shell):
        bench.cli("rm", "--force", *bench.raw.force("container")[1:], container.name)


@claim("build-020")
def test_exec_form_expands_no_variables(default_builder):
    image = default_builder.build('FROM IMAGE\nENV V=value\nCMD ["echo", "$V", "a  b", "c\\"d"]\n')
    assert image.run().text == '$V a  b c"d'


@claim("build-023", "build-027")
def test_only_the_last_cmd_and_the_last_entrypoint_count(default_builder):
    image = default_builder.build(
        'FROM IMAGE\nCMD ["first"]\nENTRYPOINT ["false"]\nENTRYPOINT ["echo", "last"]\nCMD ["one"]\nCMD ["two"]\n'
    )
    assert image.run().text == "last two"


@claim("build-024", "build-025")
def test_arguments_of_run_replace_cmd_and_follow_the_entrypoint(default_builder):
    image = default_builder.build('FROM IMAGE\nENTRYPOINT ["echo", "e"]\nCMD ["c"]\n')
    assert image.run("given", "-n", "$x").text == "e given -n $x"
    bench = default_builder.bench
    assert bench.once("--entrypoint", "printf", image.name, "%s.", "a", "b").text == "a.b."
    assert bench.once("--entrypoint", "pwd", image.name).text == "/"


@claim("build-026")
def test_shell_form_entrypoint_ignores_arguments_of_run(default_builder):
    image = default_builder.build("FROM IMAGE\nENTRYPOINT echo only\nCMD [\"ignored\"]\n")
    assert image.run("given").text == "only"


@claim("build-022")
def test_entrypoint_resets_the_cmd_of_the_base_image(builder):
    base = builder.build('FROM IMAGE\nCMD ["of-base"]\n')
    child = builder.build(f'FROM {base}\nENTRYPOINT ["echo", "e"]\n')
    assert child.run().text == "e"
    both = builder.build(f'FROM {base}\nCMD ["own"]\nENTRYPOINT ["echo", "e"]\n')
    assert both.run().text == "e own"


@claim("build-006", "build-022")
def test_child_image_inherits_entrypoint_and_cmd(default_builder):
    base = default_builder.build('FROM IMAGE\nENTRYPOINT ["echo", "base"]\nCMD ["c"]\n')
    assert default_builder.build(f"FROM {base}\nLABEL a=b\n").run().text == "base c"
    assert default_builder.build(f'FROM {base}\nCMD ["own"]\n').run().text == "base own"
    assert default_builder.build(f'FROM {base}\nENTRYPOINT []\nCMD ["echo", "free"]\n').run().text == "free"
