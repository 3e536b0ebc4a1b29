import os
import re
import signal

import pytest

from seatrial.builder import Builder
from seatrial.exec import run
from seatrial.waiting import wait_until

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


def processes(marker):
    """Return the processes of this machine whose command line holds a marker."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as stream:
                line = stream.read()
        except OSError:
            continue
        if marker.encode() in line and b"build" not in line:
            found.append(int(entry))
    return found


@claim("build-036", "build-216")
def test_build_leaves_no_containers_and_no_processes(builder):
    marker = builder.bench.name("sleeper")
    image = builder.build(
        f"FROM IMAGE\nRUN sh -c 'sleep 300; true' {marker} & sleep 0.2; ps | grep -c '[s]leeper' >/ran\n"
        "RUN echo two >>/ran\n"
    )
    assert image.sh("cat /ran").split()[1:] == ["two"]
    assert image.sh("head -n 1 /ran") != "0"
    assert processes(marker) == []
    ids = re.findall(r"Running in ([0-9a-f]{12})", image.output)
    every = ("--all", *builder.trait("build_containers_too"), "--no-trunc")
    left = builder.bench.look("container", "ls", *every).stdout
    assert marker not in left
    assert not [id_ for id_ in ids if id_ in left]


@claim("build-217", "build-216")
@requires("private_engine")
@pytest.mark.parametrize("number", [0, pytest.param(1, marks=requires("second_builder"))], ids=["default", "second"])
def test_interrupted_build_ends_its_step_and_leaves_nothing(private_engine, number):
    bench = private_engine()
    builder = Builder(bench, bench.facts["builders"][number])
    name, marker = bench.image_name(), bench.name("forever")
    context = bench.context({"Dockerfile": f"FROM IMAGE\nRUN sh -c 'while :; do sleep 0.2; done' {marker}; touch /f\n"})
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        talk = builder.spawn("--tag", name, str(context))
        wait_until("the step runs", lambda: processes(marker), 60)
        talk.signal(signal_)
        assert talk.wait(timeout=40).code != 0
        wait_until(f"the step is ended after {signal_.name}", lambda: not processes(marker), 20)
        assert not bench.exists(name, "image")
        containers = ["container", "ls", "--all", "--quiet", *builder.trait("build_containers_too")]
        wait_until("no container is left", lambda words=containers: not bench.cli(*words).text, 20)


@claim("build-036", "build-037", "build-038")
@requires("legacy_builder")
def test_running_step_is_a_container_that_can_be_entered(engine, legacy_builder):
    context = engine.context({"Dockerfile": "FROM IMAGE\nRUN while [ ! -f /go ]; do sleep 0.1; done; cp /go /f\n"})
    name = engine.image_name()
    talk = legacy_builder.spawn("--tag", name, str(context))
    container = talk.wait_for(r"Running in [0-9a-f]{12}", 60).split()[-1]
    assert engine.inspect(container)["State"]["Running"]
    engine.cli("exec", container, "sh", "-c", "echo entered >/tmp/x; mv /tmp/x /go")
    talk.wait(expect=0, timeout=60)
    assert engine.once(name, "cat", "/f").text == "entered"
    assert not engine.exists(container)


@claim("build-036", "build-035")
@requires("legacy_builder")
def test_rm_false_keeps_the_container_of_each_step(engine, legacy_builder):
    image = legacy_builder.build("FROM IMAGE\nRUN echo kept >/f\n", None, "--rm=false")
    ids = re.findall(r"Running in ([0-9a-f]{12})", image.output)
    engine.track("container", *ids)
    assert engine.inspect(ids[0])["State"]["Status"] == "exited"
    gone = legacy_builder.build("FROM IMAGE\nRUN echo gone >/f\n")
    assert [id_ for id_ in re.findall(r"Running in ([0-9a-f]{12})", gone.output) if engine.exists(id_)] == []


@claim("build-216")
@effect("build --force-rm")
def test_force_rm_removes_the_container_of_a_failed_step(default_builder):
    result = default_builder.refuses("FROM IMAGE\nRUN exit 4\n", None, "--force-rm", says=r"(code:?|status) 4\b")
    for id_ in re.findall(r"Running in ([0-9a-f]{12})", result.output):
        assert not default_builder.bench.exists(id_)
    commands = default_builder.bench.look("container", "ls", "--all", "--no-trunc", "--format", "{{.Command}}")
    assert "exit 4" not in commands.stdout


HOSTS = {
    "umask-077": (["sh", "-c", 'umask 077; exec "$@"', "sh"], {}),
    "umask-000": (["sh", "-c", 'umask 000; exec "$@"', "sh"], {}),
    "locale": ([], {"LANG": "tr_TR.UTF-8", "LC_ALL": "C", "TZ": "Asia/Tokyo"}),
    "variables": ([], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/leak", "SHELL": "/leak", "LEAK": "leak"}),
}


@claim("build-002", "build-055")
@pytest.mark.parametrize(("wrapper", "env"), HOSTS.values(), ids=HOSTS)
def test_image_does_not_depend_on_the_host_s_settings(default_builder, wrapper, env):
    bench = default_builder.bench
    context = bench.context({
        "Dockerfile": "FROM IMAGE\nCOPY d /copied/\nADD f /added/f\nWORKDIR /made/by/workdir\n"
        "RUN touch plain; mkdir dir; umask >mask; env | grep -v -e HOSTNAME -e '^_=' | sort >env; date +%Z >zone\n",
        "d/x": "x", "f": "y",
    })  # fmt: skip
    script = "find /copied /added /made | sort | xargs stat -c '%n %a %u:%g'; cat mask zone env"
    plain = default_builder.build_from(str(context))
    name = bench.image_name()
    words = ["build", "--no-cache", "--label", f"seatrial.test={bench.key}", "--tag", name, str(context)]
    bench.track("image", name)
    run([*wrapper, bench.raw.binary, *words], host=bench.raw.host, journal=bench.journal, timeout=120,
        env={**bench.raw.env, **default_builder.env, **env})  # fmt: skip
    seen = bench.once(name, "sh", "-c", script).text
    assert seen == bench.once(plain.name, "sh", "-c", script).text
    assert "/made/by/workdir/dir 755 0:0" in seen
    assert "leak" not in seen


@claim("build-055", "build-002")
def test_two_builds_of_the_same_context_have_the_same_content(default_builder):
    files = {f"t/{number}": "x" * number for number in range(5)}
    text = "FROM IMAGE\nCOPY t /t\nRUN echo made >/made; mkdir -p /a/b; ln -s /made /a/b/link; chmod 700 /a\nENV A=b\n"
    script = (
        "find /a /t /made /bin /etc/passwd /root /tmp | sort | xargs stat -c '%n %a %u:%g %F'; "
        "find /t /made /bin -type f | sort | xargs md5sum"
    )
    first, second = (default_builder.build(text, files) for _ in range(2))
    assert first.sh(script) == second.sh(script)
    assert first.config["Env"] == second.config["Env"]
    assert first.sh(script).count("\n") > 50


@claim("build-045", "build-039", "build-011")
def test_image_built_with_its_dependencies_runs_its_tests(default_builder):
    image = default_builder.build(
        "FROM IMAGE\nLABEL org.example.role=tests\nRUN mkdir /suite\nCOPY run tests /suite/\nWORKDIR /suite\n"
        'ENTRYPOINT ["sh", "run"]\n',
        {"run": "for t in case-*; do sh $t && echo ok $t || { echo not ok $t; bad=1; }; done; exit ${bad:-0}\n",
         "tests/case-1": "test 1 = 1\n", "tests/case-2": "test $# = 0 && test -d /suite\n"},
    )  # fmt: skip
    assert image.run().text.splitlines() == ["ok case-1", "ok case-2"]
    bad = default_builder.build(f"FROM {image}\nRUN echo 'exit 3' >/suite/case-3\n")
    result = default_builder.bench.once(bad.name, expect=1)
    assert result.text.splitlines()[-1] == "not ok case-3"


@claim("build-039", "build-201")
def test_steps_are_told_in_order_and_stop_at_the_failing_one(default_builder):
    text = "FROM IMAGE\nRUN echo st-one\nRUN echo st-two; exit 6\nRUN echo st-three\n"
    result = default_builder.refuses(text, says=r"(code:?|status) 6\b")
    told = re.findall(r"(?i)(?:step \d/\d ?:|\[\d/\d\]) RUN echo (st-\w+)", result.output)
    assert list(dict.fromkeys(told)) == ["st-one", "st-two"]
    ran = re.findall(r"(?m)^(?:#\d+ [\d.]+ )?(st-\w+)$", result.output)
    assert list(dict.fromkeys(ran)) == ["st-one", "st-two"]
