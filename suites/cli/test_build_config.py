import time

import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires


@claim("build-007", "build-019")
def test_expose_records_ports_and_protocols(builder):
    image = builder.build("FROM IMAGE\nENV P=6000\nEXPOSE 80\nEXPOSE 80/tcp 53/udp\nEXPOSE $P 1 65535\n")
    assert set(image.config["ExposedPorts"]) == {"80/tcp", "53/udp", "6000/tcp", "1/tcp", "65535/tcp"}


@claim("build-007", "build-019")
def test_publish_all_maps_exactly_the_exposed_ports_and_ranges(default_builder):
    bench = default_builder.bench
    image = default_builder.build(
        "FROM IMAGE\nEXPOSE 8080/tcp\nEXPOSE 5353/udp\nEXPOSE 9000-9002\n"
        'CMD ["sh", "-c", "while :; do echo answer | nc -l -p 8080; done"]\n'
    )
    container = bench.run("--publish-all", image.name)
    lines = bench.cli("port", container.name).lines
    assert {line.split(" -> ")[0] for line in lines} == {
        "8080/tcp", "5353/udp", "9000/tcp", "9001/tcp", "9002/tcp",
    }  # fmt: skip
    assert all(1024 < int(line.rpartition(":")[2]) < 65536 for line in lines)
    assert 8080 in container.kernel.listeners()
    bench.cli("kill", container.name)


@claim("build-203")
def test_labels_keep_quotes_continue_lines_and_are_inherited(builder):
    base = builder.build(
        'FROM IMAGE\nENV V=value\nLABEL old style value\nLABEL a=1 "b c"="two words" d=$V \\\n  e="a=b"\nLABEL f=""\n'
    )
    child = builder.build(f"FROM {base}\nLABEL a=2\n", None, "--label", "d=option", "--label", "g")
    labels = child.config["Labels"]
    assert {name: labels.get(name) for name in ("old", "a", "b c", "d", "e", "f", "g")} == {
        "old": "style value", "a": "2", "b c": "two words", "d": "option", "e": "a=b", "f": "", "g": "",
    }  # fmt: skip
    assert base.config["Labels"]["d"] == "value"
    container = builder.bench.create(child.name, "true")
    assert container.inspect()["Config"]["Labels"]["b c"] == "two words"


@claim("build-222")
@effect("build --label")
def test_label_option_wins_over_the_dockerfile_and_finds_the_image(default_builder):
    value = default_builder.bench.name("v")
    image = default_builder.build("FROM IMAGE\nLABEL who=dockerfile\n", None, "--label", f"who={value}")
    assert image.config["Labels"]["who"] == value
    bench = default_builder.bench
    found = bench.look("image", "ls", "--quiet", "--no-trunc", "--filter", f"label=who={value}").lines
    assert [line.removeprefix("sha256:") for line in found] == [image.inspect()["Id"].removeprefix("sha256:")]


@claim("build-015", "build-011")
def test_maintainer_is_the_author(default_builder):
    base = default_builder.build(
        'FROM IMAGE\nMAINTAINER Jane Doe <jane@example.org>\nRUN true\nCMD ["echo", "started"]\n'
    )
    assert base.inspect()["Author"] == "Jane Doe <jane@example.org>"
    assert base.run().text == "started"


@claim("build-028")
def test_volume_of_the_image_is_a_mount_with_the_image_s_content(builder):
    image = builder.build(
        "FROM IMAGE\nRUN mkdir -m 751 /data && echo kept >/data/f && chown -R 5:6 /data\n"
        'VOLUME ["/data", "/with blank"]\nVOLUME /plain /second\n'
    )
    container = builder.bench.run("--name", builder.bench.name(), image.name, "sleep", "600")
    assert {"/data", "/with blank", "/plain", "/second"} <= {mount.target for mount in container.kernel.mounts()}
    assert container.read("/data/f") == "kept\n"
    assert container.sh("stat -c %a,%u,%g /data; stat -c %u,%g /data/f").text.split() == ["751,5,6", "5,6"]
    container.sh("echo changed >/data/f")
    assert image.sh("cat /data/f") == "kept"
    builder.bench.cli("kill", container.name)


@claim("build-028")
def test_changes_to_a_volume_in_later_steps_follow_the_builder_s_rule(builder):
    image = builder.build(
        "FROM IMAGE\nRUN mkdir /data; echo one >/data/f\nVOLUME /data\nRUN echo two >/data/f; touch /data/g\n"
    )
    seen = image.sh("cat /data/f; ls /data")
    assert seen.split() == builder.trait("build_volume_changes")


@claim("build-208")
@pytest.mark.parametrize(("signal", "trapped"), [("SIGUSR1", "USR1"), ("12", "USR2"), ("INT", "INT")])
def test_stopsignal_is_what_stop_sends(default_builder, signal, trapped):
    bench = default_builder.bench
    image = default_builder.build(
        f"FROM IMAGE\nSTOPSIGNAL {signal}\n"
        f'CMD ["sh", "-c", "trap \'echo got {trapped}; exit 7\' {trapped}; echo ready; while :; do sleep 0.05; done"]\n'
    )
    container = bench.run(image.name)
    container.until_log("ready")
    began = time.monotonic()
    bench.cli("stop", "--time", "20", container.name)
    assert time.monotonic() - began < 15
    assert f"got {trapped}" in container.logs().stdout
    assert container.state["ExitCode"] == 7


HEALTH = {
    "shell": ("HEALTHCHECK --interval=7s --timeout=3s --retries=4 --start-period=1m CMD test -f /f || exit 1",
              ["CMD-SHELL", "test -f /f || exit 1"]),
    "exec": ('HEALTHCHECK --interval=7s --timeout=3s --retries=4 --start-period=1m CMD ["test", "-f", "/f"]',
             ["CMD", "test", "-f", "/f"]),
}  # fmt: skip


@claim("build-209")
@pytest.mark.parametrize(("line", "test"), HEALTH.values(), ids=HEALTH)
def test_healthcheck_is_recorded_with_its_options_and_inherited(default_builder, line, test):
    options = default_builder.trait("dockers_format")
    base = default_builder.build(f"FROM IMAGE\nHEALTHCHECK CMD first\n{line}\n", None, *options)
    child = default_builder.build(f"FROM {base}\nLABEL a=b\n", None, *options)
    for image in (base, child):
        health = image.config.get("Healthcheck") or image.inspect()["Healthcheck"]
        assert health["Test"] == test
        assert [health[name] // 10**9 for name in ("Interval", "Timeout", "StartPeriod")] == [7, 3, 60]
        assert health["Retries"] == 4


@claim("build-209")
@requires("healthcheck")
def test_healthcheck_of_the_image_runs_and_none_ends_it(default_builder):
    bench = default_builder.bench
    base = default_builder.build("FROM IMAGE\nHEALTHCHECK --interval=1s --retries=1 CMD test ! -f /ill\n")
    container = bench.run(base.name, "sleep", "600")
    container.until("health", lambda: container.state["Health"]["Status"] == "healthy")
    container.sh("touch /ill")
    container.until("illness", lambda: container.state["Health"]["Status"] == "unhealthy")
    without = default_builder.build(f"FROM {base}\nHEALTHCHECK NONE\n")
    healthy = bench.run(without.name, "sleep", "600")
    assert not healthy.state.get("Health")
    bench.cli("kill", container.name, healthy.name)


@claim("build-207")
def test_onbuild_runs_in_the_child_once_and_not_in_the_grandchild(builder):
    options = builder.trait("dockers_format")
    base = builder.build(
        "FROM IMAGE\nRUN echo base >/f\nONBUILD RUN echo trigger >>/f\nONBUILD COPY file /copied\nONBUILD ENV T=set\n",
        None, *options,
    )
    assert base.sh("cat /f; ls /copied 2>/dev/null; echo $T").split() == ["base"]
    child = builder.build(f"FROM {base}\nRUN echo child >>/f\n", {"file": "x"}, *options)
    assert child.sh("cat /f /copied; echo $T").split() == ["base", "trigger", "child", "xset"]
    grandchild = builder.build(f"FROM {child}\nRUN echo grandchild >>/f\n", None, *options)
    assert grandchild.sh("cat /f").split() == ["base", "trigger", "child", "grandchild"]
    assert not grandchild.config.get("OnBuild")


@claim("build-207")
def test_failing_trigger_fails_the_child_s_build(default_builder):
    options = default_builder.trait("dockers_format")
    base = default_builder.build("FROM IMAGE\nONBUILD RUN exit 9\n", None, *options)
    default_builder.refuses(f"FROM {base}\n", None, *options, says=r"(code:?|status) 9\b")


@claim("build-003", "build-041")
def test_build_and_commit_make_the_same_content(default_builder):
    bench = default_builder.bench
    script = (
        "mkdir -p /made/dir && echo text >/made/file && chmod 640 /made/file && ln -s file /made/link && "
        "rm /etc/group"
    )
    image = default_builder.build(f'FROM IMAGE\nRUN {script}\nENV A=b\nCMD ["cat", "/made/file"]\n')
    container = bench.create(bench.image, "sh", "-c", script)
    bench.cli("start", "--attach", container.name)
    committed = bench.image_name("committed")
    bench.cli("commit", "--change", "ENV A=b", "--change", 'CMD ["cat", "/made/file"]', container.name, committed)
    listing = "find /made /etc | sort | xargs stat -c '%n %a %u %g %F'; readlink /made/link; cat /made/file"
    built = bench.once(image.name, "sh", "-c", listing).text
    assert built == bench.once(committed, "sh", "-c", listing).text
    assert "/etc/group" not in built
    assert bench.once(committed).text == image.run().text == "text"
    assert "A=b" in bench.inspect(committed, "image")["Config"]["Env"]
