import io
import re
import tarfile

import pytest

from seatrial.expecting import exactly

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


@claim("build-016", "build-018")
def test_run_in_shell_form_goes_through_sh(builder):
    image = builder.build("FROM IMAGE\nRUN a=1; tr '\\0' '|' </proc/$$/cmdline >/f; echo; echo $((a+1)) >/g\n")
    assert image.sh("cat /f").startswith("/bin/sh|-c|a=1; tr ")
    assert image.sh("cat /g") == "2"
    history = builder.bench.cli("history", "--no-trunc", "--format", "{{.CreatedBy}}", image.name).stdout
    assert re.search(r"/bin/sh -c .*a=1; tr ", history)


@claim("build-017")
def test_run_in_exec_form_goes_without_a_shell(builder):
    image = builder.build(
        'FROM IMAGE\nENV V=value\nRUN ["touch", "/$HOME-$V", "/a b"]\nRUN ["sh", "-c", "echo $V >/f"]\n'
    )
    assert image.sh("ls -d /*HOME* '/a b'; cat /f").splitlines() == ["/$HOME-$V", "/a b", "value"]


@claim("build-017", "build-020")
def test_malformed_json_is_the_shell_form(default_builder):
    image = default_builder.build("FROM IMAGE\nCMD ['echo', 'x']\n")
    assert image.config["Cmd"] == ["/bin/sh", "-c", "['echo', 'x']"]


@claim("build-016", "build-216")
@pytest.mark.parametrize("code", [1, 37])
def test_failing_run_ends_the_build_and_tells_the_code(builder, code):
    result = builder.refuses(f"FROM IMAGE\nRUN exit {code}\nRUN touch /never-run\n",
                             says=rf"(code:?|status) {code}\b")  # fmt: skip
    assert not re.search(r"(?m)^(Step 3/3|STEP 3/3)", result.output)
    own = builder.trait("build_run_code") == "that of the command"
    assert result.code == (code if own else builder.bench.code("error"))


@claim("build-016", "build-216")
def test_run_of_an_unknown_program_ends_the_build(default_builder):
    default_builder.refuses('FROM IMAGE\nRUN ["/no/such/program"]\n', says=r"no such file or directory|not found")


@claim("build-016", "build-216")
def test_run_killed_by_a_signal_ends_the_build(default_builder):
    default_builder.refuses("FROM IMAGE\nRUN sh -c 'kill -9 $$'; exit $?\n", says=r"(code:?|status) 137\b")


@claim("build-038", "build-039")
def test_runs_happen_one_after_the_other_in_file_order(default_builder):
    clock = "cut -d' ' -f1 /proc/uptime"
    image = default_builder.build(
        f"FROM IMAGE\nRUN {clock} >/t; sleep 0.3; {clock} >>/t\nRUN {clock} >>/t\nRUN {clock} >>/t\n"
    )
    begun, ended, second, third = map(float, exactly(4, image.sh("cat /t").split()))
    assert begun + 0.25 < ended < second < third


@claim("build-016", "build-018")
def test_run_output_is_shown_and_its_standard_input_is_empty(default_builder):
    text = 'FROM IMAGE\nRUN echo to-out; echo to-err >&2; echo "in=$(wc -c)"\n'
    image = default_builder.build(text, stdin="typed\n")
    assert "to-out" in image.output.replace("echo to-out", "")
    assert "to-err" in image.output.replace("echo to-err", "")
    assert "in=0" in image.output


@claim("build-029", "build-053")
def test_env_is_seen_by_later_steps_and_at_run_time(builder):
    image = builder.build(
        'FROM IMAGE\nRUN echo "before=<$A>" >/f\nENV A old style with  blanks\nENV B="two words" C=c\\ c D=$C\n'
        'ENV B=new E=$B F=${NOPE:-fallback} G=${C:+set} H=\\$C PATH=$PATH:/extra\n'
        'RUN echo "$A|$B|$C|$D|$E|$F|$G|$H" >>/f\n'
    )
    expected = "old style with  blanks|new|c c||two words|fallback|set|$C"
    assert image.sh("cat /f").splitlines() == ["before=<>", expected]
    assert image.sh('echo "$A|$B|$C|$D|$E|$F|$G|$H"') == expected
    assert image.sh("echo $PATH").endswith("/bin:/extra")
    assert image.sh("echo $B", "--env", "B=overridden") == "overridden"


@claim("build-053", "build-206")
def test_env_is_inherited_by_images_built_on_it_and_arg_is_not(default_builder):
    base = default_builder.build("FROM IMAGE\nARG HIDDEN=x\nENV DEBIAN_FRONTEND=noninteractive KEPT=$HIDDEN\n")
    child = default_builder.build(f'FROM {base}\nRUN echo "$DEBIAN_FRONTEND|$KEPT|$HIDDEN" >/f\n')
    assert child.sh('cat /f; echo "$DEBIAN_FRONTEND|$KEPT|$HIDDEN"').splitlines() == ["noninteractive|x|"] * 2


@claim("build-206")
@effect("build --build-arg")
def test_build_arg_replaces_the_default_and_stays_out_of_the_image(builder):
    image = builder.build(
        'FROM IMAGE\nRUN echo "early=<$A>" >/f\nARG A=default\nARG B=default\nARG C\nARG D\n'
        'RUN echo "$A|$B|$C|$D" >>/f; env | grep -c "^A=" >>/f\n',
        None, "--build-arg", "A=given", "--build-arg", "C=", "--build-arg", "D=a b=c",
    )
    assert image.sh("cat /f").splitlines() == ["early=<>", "given|default||a b=c", "1"]
    assert not [entry for entry in image.config["Env"] if entry.startswith(("A=", "B=", "C=", "D="))]


@claim("build-206")
def test_env_wins_over_arg_of_the_same_name(default_builder):
    image = default_builder.build("FROM IMAGE\nARG V=arg\nENV V=env\nRUN echo $V >/f\n", None, "--build-arg", "V=given")
    assert image.sh("cat /f; echo $V").split() == ["env", "env"]


@claim("build-206")
def test_build_arg_without_value_comes_from_the_environment(default_builder):
    image = default_builder.build("FROM IMAGE\nARG FROM_HOST=none\nRUN echo $FROM_HOST >/f\n", None,
                          "--build-arg", "FROM_HOST", env={"FROM_HOST": "seen"})  # fmt: skip
    assert image.sh("cat /f") == "seen"


@claim("build-206")
def test_build_arg_that_nobody_declares_is_named_and_has_no_effect(default_builder):
    image = default_builder.build("FROM IMAGE\nRUN echo \"<$UNKNOWN>\" >/f\n", None, "--build-arg", "UNKNOWN=1")
    assert image.sh("cat /f") == "<>"
    says = default_builder.trait("build_unused_argument")
    assert bool(re.search(r"UNKNOWN\b.*not consumed|not consumed.*UNKNOWN", image.output)) == says


@claim("build-044", "build-206")
def test_proxy_arguments_are_predeclared_and_leave_no_trace(default_builder):
    image = default_builder.build("FROM IMAGE\nENV no_proxy=kept.example\nRUN echo $HTTP_PROXY $no_proxy >/f\n", None,
                          "--build-arg", "HTTP_PROXY=http://secret@proxy.invalid:1")  # fmt: skip
    assert image.sh("cat /f; echo $no_proxy$HTTP_PROXY").splitlines() == [
        "http://secret@proxy.invalid:1 kept.example", "kept.example",
    ]  # fmt: skip
    history = default_builder.bench.cli("history", "--no-trunc", image.name).stdout
    assert "no_proxy" in history
    assert "secret" not in history
    assert "no_proxy=kept.example" in image.config["Env"]


@claim("build-204")
def test_user_applies_to_later_steps_and_to_the_container(builder):
    image = builder.build(
        "FROM IMAGE\nRUN mkdir -m 777 /w; echo 'made:x:777:888::/home:/bin/sh' >>/etc/passwd\n"
        "USER made\nRUN id -u >/w/name; id -g >>/w/name\nUSER 1234:4321\nRUN id -u >/w/numbers; id -g >>/w/numbers\n"
        "USER operator:users\nCOPY file /w/\n",
        {"file": "x"},
    )
    assert image.sh("cat /w/name /w/numbers").split() == ["777", "888", "1234", "4321"]
    assert image.run("sh", "-c", "id -u; id -g; stat -c %u:%g /w/file").text.split() == ["37", "100", "0:0"]
    assert image.config["User"] == "operator:users"


@claim("build-204")
def test_user_that_does_not_exist_is_refused_by_the_next_run(default_builder):
    default_builder.refuses("FROM IMAGE\nUSER nosuchuser\nRUN true\n",
                            says="unable to find user|no matching entries|unknown user")  # fmt: skip


@claim("build-205")
def test_workdir_is_made_resolved_and_used_by_all_that_follows(builder):
    image = builder.build(
        "FROM IMAGE\nENV D=/base\nWORKDIR $D/one\nRUN pwd >/f\nWORKDIR two/../three\nRUN pwd >>/f\n"
        "COPY file .\nWORKDIR /last/\n",
        {"file": "x"},
    )
    assert image.sh("cat /f; ls -d /base/one/three/file; pwd; stat -c %a,%u /base/one").splitlines() == [
        "/base/one", "/base/one/three", "/base/one/three/file", "/last", "755,0",
    ]  # fmt: skip
    assert image.config["WorkingDir"].rstrip("/") == "/last"


@claim("build-210")
def test_shell_replaces_the_shell_of_run_cmd_and_entrypoint(default_builder):
    options = default_builder.trait("dockers_format")
    image = default_builder.build(
        'FROM IMAGE\nSHELL ["/bin/sh", "-euxc"]\nRUN echo $- >/f\nSHELL ["/bin/busybox", "echo", "not run:"]\n'
        "RUN touch /never\nCMD touch /never\n", None, *options,
    )
    flags, missing = exactly(2, image.sh("cat /f; ls /never 2>&1 || true").splitlines())
    assert {"e", "u", "x"} <= set(flags)
    assert "No such file" in missing
    assert image.run().text == "not run: touch /never"


@claim("build-036", "build-040")
def test_only_steps_that_write_files_make_layers(builder):
    base = builder.bench.inspect(builder.bench.image, "image")["RootFS"]["Layers"]
    image = builder.build(
        "FROM IMAGE\nENV A=b\nLABEL c=d\nEXPOSE 80\nUSER daemon\nVOLUME /v\nSTOPSIGNAL SIGINT\nARG X\n"
        'ENTRYPOINT ["echo"]\nCMD ["hello"]\nUSER root\nRUN touch /one\nCOPY file /two\n',
        {"file": "x"},
    )
    assert image.layers[: len(base)] == base
    assert len(image.layers) == len(base) + 2
    assert image.run().text == "hello"


@claim("build-016", "build-041")
def test_what_the_engine_puts_into_build_containers_stays_out_of_the_image(builder):
    image = builder.build("FROM IMAGE\nRUN echo mine >/f; cat /etc/hosts >/hosts; ls /proc/1/ns >/ns\n")
    container = builder.bench.create(image.name, "true")
    with tarfile.open(fileobj=io.BytesIO(builder.bench.cli("export", container.name).out)) as archive:
        sizes = {member.name.removeprefix("./"): member.size for member in archive}
    assert sizes["hosts"] > 0  # there was something to keep out
    assert sizes["ns"] > 0
    assert [sizes.get(f"etc/{name}", 0) for name in ("hosts", "resolv.conf", "hostname")] == [0, 0, 0]
    assert not [name for name in sizes if name.startswith(("proc/", "sys/", "run/secrets/"))]
