"""The process: arguments, environment, directory, user, limits, privileges."""

import os

import pytest

from seatrial.exec import FAILURE
from seatrial.expecting import matched
from seatrial.oci.bench import refused

claim, requires = pytest.mark.claim, pytest.mark.requires

# one container that answers for most properties at once
ENV = ["PATH=/usr/bin:/bin", "SEA=trial", "EMPTY=", "SPACE=a b", "EQUALS=a=b", "UMLAUT=ä", "SEA2=$SEA"]
LIMITS = {
    "RLIMIT_CORE": ("Max core file size", 4096, 8192),
    "RLIMIT_CPU": ("Max cpu time", 1111, 2222),
    "RLIMIT_DATA": ("Max data size", 1 << 30, 1 << 31),
    "RLIMIT_FSIZE": ("Max file size", 1 << 28, 1 << 29),
    "RLIMIT_MEMLOCK": ("Max locked memory", 65536, 131072),
    "RLIMIT_MSGQUEUE": ("Max msgqueue size", 100000, 200000),
    "RLIMIT_NOFILE": ("Max open files", 555, 777),
    "RLIMIT_NPROC": ("Max processes", 3000, 4000),
    "RLIMIT_RSS": ("Max resident set", 1 << 30, 1 << 31),
    "RLIMIT_SIGPENDING": ("Max pending signals", 333, 444),
    "RLIMIT_STACK": ("Max stack size", 4 << 20, 8 << 20),
    "RLIMIT_AS": ("Max address space", 1 << 33, 1 << 34),
    "RLIMIT_LOCKS": ("Max file locks", 99, 999),
    "RLIMIT_RTTIME": ("Max realtime timeout", 5000, 6000),
}
WORDS = ["two words", "", "*", "$HOME", "ä", "--flag", "quote'\"", "tab\t", "back\\slash"]


@pytest.fixture
def rich(bundle):
    return bundle.with_(
        process={
            "args": [*bundle.config["process"]["args"], "", *WORDS],
            "env": ENV,
            "cwd": "/var",
            "user": {"uid": 1000, "gid": 1001, "additionalGids": [5, 2000, 33], "umask": 0o37},
            "rlimits": [{"type": kind, "soft": soft, "hard": hard} for kind, (_, soft, hard) in LIMITS.items()],
            "oomScoreAdj": 321,
            "noNewPrivileges": True,
        }
    )


@pytest.fixture
def seen(runtime, rich):
    return runtime.observe(rich).seen


@pytest.fixture
def plain(runtime, bundle):
    return runtime.observe(bundle).seen


@claim("CF-proc-args")
def test_args_are_exactly_those_of_the_list(seen, rich):
    assert seen.args[3:] == ["", *WORDS]
    assert seen.args[:2] == rich.config["process"]["args"][:2]


@claim("CF-proc-args")
def test_the_program_is_found_in_the_path_of_its_environment(runtime, bundle):
    box = runtime.run(bundle.with_(process={"args": ["perl", "/probe", "@NONCE@"]}))
    assert box.seen.args == ["perl", "/probe", box.nonce]


@claim("CF-proc-args")
@pytest.mark.parametrize("args", [[], None], ids=["empty", "none"])
def test_a_process_without_args_is_refused(runtime, bundle, args):
    broken = bundle.without("process.args") if args is None else bundle.with_(process={"args": args})
    box = runtime.place(broken)
    created = box.create(expect=None)
    refused(box.start(expect=FAILURE) if created.ok else created)


@claim("CF-proc-env")
def test_the_environment_is_exactly_that_of_the_list(seen):
    assert [line for line in seen.environ if not line.startswith("HOME=")] == ENV


@claim("CF-proc-env")
def test_home_is_kept_when_it_is_set(runtime, bundle):
    seen = runtime.observe(bundle.with_(process={"env": ["PATH=/bin", "HOME=/var/home"]})).seen
    assert seen.environ == ["PATH=/bin", "HOME=/var/home"]


@claim("CF-proc-env")
def test_an_absent_environment_is_empty(runtime, bundle):
    seen = runtime.observe(bundle.without("process.env")).seen
    assert [line for line in seen.environ if not line.startswith("HOME=")] == []


@claim("CF-proc-cwd")
def test_the_working_directory_is_that_of_the_process(seen, plain):
    assert seen.cwd == "/var"
    assert plain.cwd == "/"


@claim("CF-proc-cwd-abs", "CF-valid")
def test_a_relative_working_directory_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(process={"cwd": "var"}))


@claim("CF-proc-cwd")
def test_a_process_without_working_directory_is_refused(runtime, bundle):
    runtime.refuses(bundle.without("process.cwd"))


@claim("CF-user-uid")
def test_the_user_is_that_of_the_process(seen, plain):
    assert seen.uids == [1000] * 4
    assert plain.uids == [0] * 4


@claim("CF-user-gid")
def test_the_group_is_that_of_the_process(seen, plain):
    assert seen.gids == [1001] * 4
    assert plain.gids == [0] * 4


@claim("CF-user-gid", "CF-user-uid")
def test_a_group_alone_leaves_the_user(runtime, bundle):
    seen = runtime.observe(bundle.with_(process={"user": {"gid": 77}})).seen
    assert (seen.uids, seen.gids) == ([0] * 4, [77] * 4)


@claim("CF-user-addgids")
def test_supplementary_groups_are_exactly_those_of_the_list(seen, plain):
    assert sorted(set(seen.groups) - {1001}) == [5, 33, 2000]
    assert set(plain.groups) <= {0}


@claim("CF-user-umask")
def test_the_umask_is_that_of_the_user(seen):
    assert seen.umask == 0o37


@claim("CF-user-umask")
@pytest.mark.parametrize("umask", [0, 0o77, 0o777])
def test_any_umask_can_be_asked_for(runtime, bundle, umask):
    assert runtime.observe(bundle.with_(process={"user": {"umask": umask}})).seen.umask == umask


@claim("CF-user-umask")
def test_without_a_umask_that_of_the_runtime_stays(plain):
    assert plain.umask == 0o22


@claim("CF-rlim-soft", "CF-rlim-get")
@pytest.mark.parametrize("kind", sorted(LIMITS))
def test_the_soft_limit_is_the_one_of_the_list(seen, kind):
    title, soft, _ = LIMITS[kind]
    assert seen.limit(title)[0] == str(soft)


@claim("CF-rlim-hard", "CF-rlim-get")
@pytest.mark.parametrize("kind", sorted(LIMITS))
def test_the_hard_limit_is_the_one_of_the_list(seen, kind):
    title, _, hard = LIMITS[kind]
    assert seen.limit(title)[1] == str(hard)


@claim("CF-rlim-soft", "CF-rlim-hard")
def test_limits_that_are_not_listed_are_the_runtimes(runtime, plain):
    assert plain.limit("Max file size") == runtime.keeper.limits["Max file size"]
    assert plain.limit("Max stack size") == runtime.keeper.limits["Max stack size"]


@claim("CF-rlim-soft", "CF-rlim-hard")
def test_a_limit_on_files_has_its_effect(runtime, bundle):
    box = runtime.run(bundle.with_(process={"rlimits": [{"type": "RLIMIT_FSIZE", "soft": 65536, "hard": 65536}]}))
    assert box.probe.write("/small", "x" * 65530) == "ok"
    ended = box.probe.exec("/bin/sh", "-c", "echo 1234567890 >>/small")
    assert (ended.code, (box.rootfs / "small").stat().st_size) == (-25, 65536)


@claim("CF-rlim-unk", "CF-valid")
@pytest.mark.parametrize("kind", ["RLIMIT_TEST", "NOFILE", "", "rlimit_nofile"])
def test_a_limit_of_an_unknown_type_is_refused(runtime, bundle, kind):
    box = runtime.refuses(bundle.with_(process={"rlimits": [{"type": kind, "soft": 10, "hard": 10}]}))
    assert not box.known


@claim("CF-rlim-type", "CF-valid")
def test_a_limit_without_a_type_is_refused(runtime, bundle):
    runtime.refuses(bundle.with_(process={"rlimits": [{"soft": 10, "hard": 10}]}))


@claim("CF-rlim-dup", "CF-valid")
def test_a_limit_that_stands_twice_is_refused(runtime, bundle):
    twice = [{"type": "RLIMIT_NOFILE", "soft": number, "hard": number} for number in (100, 200)]
    runtime.refuses(bundle.with_(process={"rlimits": twice}))


@claim("CF-rlim-soft", "CF-valid")
def test_a_soft_limit_above_the_hard_one_is_refused(runtime, bundle):
    limits = [{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}]
    box = runtime.place(bundle.with_(process={"rlimits": limits}))
    created = box.create(expect=None)
    assert not (created if not created.ok else box.start(expect=None)).ok


# the host's kernel chooses whom it kills, so that its view of the process is the one that counts
@claim("CF-oom-set")
def test_the_oom_score_is_adjusted(runtime, rich):
    assert runtime.observe(rich).host.oom_score_adj == 321


# gives the runtime a score of its own
SCORED = ["sh", "-c", 'echo 77 >/proc/self/oom_score_adj; exec "$@"', "sh"]


@claim("CF-oom-set")
@pytest.mark.parametrize("score", [0, 78, 1000])
def test_a_score_is_set_whatever_that_of_the_runtime_is(runtime, bundle, score):
    box = runtime.place(bundle.with_(process={"oomScoreAdj": score}))
    box.create(before=SCORED)
    box.start()
    assert box.seen.pid == 1
    assert box.kernel.oom_score_adj == score


@claim("CF-oom-unset")
def test_without_a_score_that_of_the_runtime_stays(runtime, bundle):
    box = runtime.place(bundle)
    box.create(before=SCORED)
    box.start()
    assert box.seen.pid == 1
    assert box.kernel.oom_score_adj == 77


@claim("CF-nnp")
def test_no_new_privileges_is_set_when_asked_for_and_only_then(seen, plain):
    assert seen.no_new_privileges
    assert not plain.no_new_privileges


@claim("CF-nnp")
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "gained"])
def test_a_set_user_id_program_gains_what_it_may(runtime, bundle, kept):
    box = runtime.place(bundle.with_(process={"user": {"uid": 1000}, "noNewPrivileges": kept}))
    program = box.rootfs / "bin/gain"
    program.write_bytes((box.rootfs / "usr/bin/perl").read_bytes())
    program.chmod(0o4755)
    box.create()
    box.start()
    said = box.probe.exec("/bin/gain", "-e", 'print "real $< effective $>"')
    assert said.out == f"real 1000 effective {1000 if kept else 0}"


@claim("RL-fds")
def test_only_the_three_streams_are_open(runtime, bundle):
    # the probe's own script is open as well
    links = runtime.observe(bundle).seen.descriptors
    assert sorted(number for number, link in links.items() if link != "/probe") == [0, 1, 2]


@claim("RL-symlinks")
def test_dev_has_links_to_the_streams(plain):
    links = {name: plain.devices[f"/dev/{name}"].link for name in ("fd", "stdin", "stdout", "stderr")}
    assert links == {
        "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    }  # fmt: skip


@claim("CF-caps-warn")
@requires("oci_1_1")
@pytest.mark.parametrize("kind", ["bounding", "effective", "permitted", "inheritable", "ambient"])
def test_a_capability_that_nobody_knows_is_told_in_a_warning(runtime, bundle, kind):
    kinds = ("bounding", "effective", "permitted", "inheritable", "ambient")
    asked = {**{one: ["CAP_KILL"] for one in kinds}, kind: ["CAP_KILL", "CAP_NO_SUCH"]}
    box = runtime.place(bundle.args("/bin/true").with_(process={"capabilities": asked}))
    # warnings are below the level that some log by themselves
    said = runtime.cli("--debug", "run", "--bundle", str(box.directory), box.id)
    assert matched(r"(?i)\b(warn\w*|unknown|ignor\w*|invalid)\b.*CAP_NO_SUCH", said.stderr)


@claim("CF-caps-nofail", "RT-warn-cont")
def test_a_capability_that_nobody_knows_does_not_keep_it_from_running(runtime, bundle):
    known = ["CAP_KILL", "CAP_CHOWN"]
    kinds = ("bounding", "effective", "permitted")
    seen = runtime.observe(
        bundle.with_(process={"capabilities": {kind: [*known, "CAP_NO_SUCH"] for kind in kinds}})
    ).seen
    assert seen.capabilities("bounding") == set(known)


@claim("CF-sched")
@requires("oci_1_1")
@pytest.mark.parametrize(("scheduler", "number", "nice"), [
    ({"policy": "SCHED_BATCH", "nice": 7}, 3, 7), ({"policy": "SCHED_OTHER", "nice": 5}, 0, 5),
    ({"policy": "SCHED_IDLE"}, 5, None),  # the kernel leaves the nice value of an idle process as it is
], ids=["batch", "other", "idle"])  # fmt: skip
def test_the_scheduler_is_the_one_that_was_asked_for(runtime, bundle, scheduler, number, nice):
    box = runtime.run(bundle.with_(process={"scheduler": scheduler}))
    fields = box.probe.read("/proc/self/stat").rpartition(")")[2].split()
    assert (int(fields[38]), int(fields[16])) == (number, os.nice(0) if nice is None else nice)


@claim("CF-ioprio")
@requires("oci_1_1", "amd64")
@pytest.mark.parametrize(("name", "number", "priority"), [("BE", 2, 6), ("BE", 2, 0), ("IDLE", 3, 7)])
def test_the_priority_of_input_and_output_is_the_one_that_was_asked_for(runtime, bundle, name, number, priority):
    asked = {"class": f"IOPRIO_CLASS_{name}", "priority": priority}
    box = runtime.run(bundle.with_(process={"ioPriority": asked}))
    assert int(box.probe.ask("syscall", 252, 1, 0)["value"]) == number << 13 | priority


@claim("CL-personality")
@requires("amd64")
def test_the_personality_is_the_domain_that_was_asked_for(runtime, bundle):
    box = runtime.run(bundle.with_(linux={"personality": {"domain": "LINUX32"}}))
    assert box.probe.exec("/bin/busybox", "uname", "-m").out == "i686\n"
    plain = runtime.run(bundle)
    assert plain.probe.exec("/bin/busybox", "uname", "-m").out == f"{os.uname().machine}\n"
