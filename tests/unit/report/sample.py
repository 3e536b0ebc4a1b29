# ruff: noqa: E501 - the tables of the sample are easier to read on long lines
"""A run as a real one could look, made without any engine: for tests and for looking at the page.

    python tests/unit/report/sample.py DIRECTORY [--targets N] [--size N] [--cut] [--empty] [--green]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from seatrial.results import Finding, Footer, Header, Stream, TargetInfo, TestResult, merge_counts
from seatrial.verdict import Verdict

TARGETS = {
    "docker@bookworm": TargetInfo(
        "docker@bookworm", "docker", "20.10.24", "1.41", "runc", "overlay2", "v1", {"lsm": ["landlock", "yama"]}
    ),
    "docker@trixie": TargetInfo("docker@trixie", "docker", "26.1.5", "1.45", "runc", "overlay2", "v1"),
    "docker@sid": TargetInfo("docker@sid", "docker", "28.5.2", "1.51", "runc", "overlay2", "v1"),
    "podman@bookworm": TargetInfo("podman@bookworm", "podman", "4.3.1", "1.41", "crun", "overlay", "v1"),
    "podman@trixie": TargetInfo("podman@trixie", "podman", "5.4.2", "1.41", "crun", "overlay", "v1"),
    "podman@sid": TargetInfo("podman@sid", "podman", "5.8.1", "1.41", "crun", "overlay", "v1"),
}
HOST = {
    "kernel": "6.18.5", "system": "Debian GNU/Linux 12 (bookworm)", "arch": "x86_64", "cpus": 2,
    "cpu": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "memory": 8349995008, "lsm": ["landlock", "yama"],
}  # fmt: skip

# area, file, claim, level, sentence, tests
SUITE = [
    ("cli", "test_run", "cli-031", "DOC", "The exit code of `run` is that of the container's main process",
     ["exit_code_of_the_process", "exit_code_when_killed", "exit_code_126_not_executable", "exit_code_127_not_found"]),
    ("cli", "test_exec", "cli-016", "DOC", "`exec` runs a command in a running container and passes streams and exit code",
     ["streams_stay_apart", "exit_code_passes", "refused_on_a_paused_container", "user_by_number"]),
    ("cli", "test_limits", "cli-045", "MUST", "A memory limit is what the kernel enforces on the container's cgroup",
     ["memory_limit_reaches_the_kernel", "cpu_shares_reach_the_kernel", "pids_limit_stops_a_fork"]),
    ("cli", "test_events", "cli-015", "SHOULD", "Events name the container and come in the order in which things happen",
     ["order_of_a_short_life", "filter_by_label", "since_and_until"]),
    ("cli", "test_checkpoint", "cli-090", "DOC", "A container can be checkpointed and restored", ["comes_back"]),
    ("image", "test_commit", "image-002", "DOC", "`commit` keeps author and message in the history",
     ["keeps_author_and_message", "new_image_holds_the_change", "pauses_while_it_copies"]),
    ("image", "test_save", "image-011", "MUST", "A saved image loads again with the same id", ["same_id_again", "two_tags"]),
    ("build", "test_build", "build-001", "DOC", "An image is built from a directory, a URL or standard input",
     ["from_a_directory", "from_standard_input", "ignores_what_dockerignore_names", "refuses_an_empty_dockerfile"]),
    ("build", "test_cache", "build-014", "SHOULD", "An unchanged step comes from the cache", ["second_build_is_cached"]),
    ("network", "test_ports", "network-007", "MUST", "A published port answers on the host's address",
     ["answers_on_the_host", "taken_port_is_refused", "udp", "port_out_of_range"]),
    ("network", "test_dns", "network-012", "DOC", "Containers of a user's network find each other by name",
     ["by_name", "by_alias", "not_across_networks"]),
    ("volume", "test_volume", "volume-003", "MUST", "What is written into a volume outlives the container",
     ["outlives_the_container", "refuses_removal_while_used", "read_only_mount_refuses_writes"]),
]  # fmt: skip
MORE_CLAIMS = [
    ("cli-002", "cli", "DOC", "`run` of an absent image pulls it", ""),
    ("cli-104", "cli", "DOC", "Attach over a slow link loses no byte", "needs a traffic shaper that this machine lacks"),
    ("image-030", "image", "SHOULD", "Content trust refuses an unsigned tag", "needs a notary server"),
    ("network-040", "network", "DOC", "Overlay networks span hosts", "needs two machines"),
    ("volume-009", "volume", "DOC", "A volume driver that does not answer is given up after 15 s", ""),
]
SOURCE = "https://docs.example.org/reference/commandline/"

PORTS = """expected: exit code 125 and a message like /port is already allocated/
seen:     exit code 126

$ docker run --detach --name st-{key}-c2 --publish 127.0.0.1:41873:80 localhost/seatrial/busybox:latest sleep 3600
exit code 126 after 0.412 s
stderr:
  Error: rootlessport listen tcp 127.0.0.1:41873: bind: address already in use
"""
MEMORY = """expected: memory.limit_in_bytes == 67108864
seen:     memory.limit_in_bytes == 9223372036854771712

$ {engine} run --detach --memory 64m --name st-{key}-c1 localhost/seatrial/busybox:latest sleep 3600
exit code 0 after 0.388 s
stdout:
  4f0c{key}a7d1
$ cat /proc/21874/cgroup
  9:memory:/
The option was accepted and has no effect: no group was made for the container.
"""
DEAD = """E106: docker@sid stopped answering in the middle of the test
  cause: /run/seatrial/docker-sid.sock: connection refused
  hint:  its log ends with "fatal error: concurrent map writes"; see daemon.log
"""
CACHED = """expected: a line like /CACHED|Using cache/
seen:     none among 7 lines

$ {engine} build --tag localhost/seatrial-test/{key}-i1:latest /var/lib/seatrial/share/context1
exit code 0 after 1.204 s
"""


def test_id(area: str, file: str, name: str) -> str:
    return f"suites/{area}/{file}.py::test_{name}"


def claims() -> list[dict[str, str]]:
    rows = [
        {"id": id_, "area": area, "level": level, "claim": sentence, "source": SOURCE + file, "untested": ""}
        for area, file, id_, level, sentence, _ in SUITE
    ]
    rows += [
        {"id": id_, "area": area, "level": level, "claim": sentence, "source": "manual, chapter 3", "untested": why}
        for id_, area, level, sentence, why in MORE_CLAIMS
    ]
    return rows


def judge(target: TargetInfo, area: str, name: str, key: str) -> dict[str, object]:
    """Return what is special about a test on a target; most just pass."""
    words = {"key": key, "engine": target.engine}
    if name == "comes_back":
        return {"verdict": Verdict.SKIP, "reason": "criu cannot checkpoint on this kernel (criu check: no mount engine)",
                "requirement": "checkpoint"}
    if name == "udp":
        return {"verdict": Verdict.SKIP, "reason": "no network: registry-1.docker.io:443: Network is unreachable",
                "requirement": "network"}
    if name == "pauses_while_it_copies" and target.engine == "podman":
        return {"verdict": Verdict.UNSUPPORTED, "reason": "the engine reports no freezer", "requirement": "freezer"}
    if name == "since_and_until":
        return {"verdict": Verdict.DISABLED, "reason": "slow tests are switched off (--no-slow)"}
    if name == "taken_port_is_refused" and target.engine == "podman":
        return {"verdict": Verdict.FAIL, "message": PORTS.format(**words), "signature": "exit code 126, not 125"}
    if name == "memory_limit_reaches_the_kernel" and target.name == "podman@bookworm":
        return {"verdict": Verdict.FAIL, "message": MEMORY.format(**words), "signature": "memory.limit_in_bytes"}
    if name == "by_alias" and target.name == "docker@sid":
        return {"verdict": Verdict.ERROR, "message": DEAD, "signature": "stopped answering"}
    if name == "second_build_is_cached" and target.name == "podman@trixie":
        return {"verdict": Verdict.WARN, "message": CACHED.format(**words), "signature": "no CACHED"}
    if name == "keeps_author_and_message" and target.name.startswith("podman"):
        return {"verdict": Verdict.KNOWN, "reason": "the message is dropped for the OCI image format",
                "link": "https://github.com/podman-container-tools/podman/issues/24066",
                "message": "expected: Comment == 'one change'\nseen:     Comment == ''"}
    return {}


def sample(
    directory: Path, targets: Sequence[str] = tuple(TARGETS), *, size: int = 0, cut: bool = False,
    empty: bool = False, green: bool = False, findings: bool = True, run: str = "20261124-201500-1a2bc3",
    started: str = "2026-11-24T20:15:00+00:00", seed: int = 7, overrides: dict[tuple[str, str], Verdict] | None = None,
) -> Path:  # fmt: skip
    """Write results.jsonl, claims.json and the files of failing tests into a new directory.

    `size` pads each target to that many results with parametrised tests; `green` makes everything that
    failed pass; `overrides` maps (target, test function) to a verdict.
    """
    chance = random.Random(seed)
    directory.mkdir(parents=True, exist_ok=True)
    infos = [TARGETS[name] for name in targets]
    (directory / "claims.json").write_text(json.dumps({"claims": claims()}))
    stream = Stream(directory / "results.jsonl")
    engines = [word for name in targets for word in ("--engine", name)]
    stream.write(Header(run, started, ["pytest", "suites/", *engines, "-n", "8"], "0.1.0", HOST, infos, 8))
    results: list[TestResult] = []
    for info in [] if empty else infos:
        plan = [(area, file, claim, level, name) for area, file, claim, level, _, names in SUITE for name in names]
        for number in range(size - len(plan)):
            area, file, claim, level, name = plan[number % len(plan)]
            plan.append((area, file, claim, level, f"{name.partition('[')[0]}_with[{number}-a b|c]"))
        for number, (area, file, claim, level, name) in enumerate(plan):
            key = f"{number:04x}{len(info.name):02x}f3"
            special = judge(info, area, name, key)
            verdict = special.get("verdict", Verdict.PASS)
            if green and verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.WARN):
                special = {}
            if overrides and (info.name, name) in overrides:
                special = {"verdict": overrides[info.name, name], "message": "expected: 1\nseen:     2"}
            verdict = Verdict(special.pop("verdict", Verdict.PASS))
            quick = chance.lognormvariate(-0.4, 0.9)
            duration = round(quick if verdict.ran else 0.001, 4)
            paths = {}
            if verdict.ran or verdict is Verdict.ERROR:
                paths["log"] = f"logs/{info.name}-{key}.log"
            if verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.WARN):
                paths["repro"] = f"repro/{info.name}-{key}/repro.sh"
            for path in paths.values():
                (directory / path).parent.mkdir(parents=True, exist_ok=True)
                (directory / path).write_text("$ true\n")
            result = TestResult(
                test_id(area, file, name), info.name, verdict, area, duration, [claim], level,
                f"suites/{area}/{file}.py", 20 + 7 * number, worker=f"gw{number % 8}", **paths, **special,
            )  # fmt: skip
            results.append(result)
    if cut:
        results = results[: len(results) * 2 // 3]
    for result in results:
        stream.write(result)
    if findings and not empty and not green:
        stream.write(Finding("leftover", targets[-1], "container st-00a30ff3-c1 of this test cannot be removed",
                             test_id("cli", "test_limits", "pids_limit_stops_a_fork")))  # fmt: skip
    if not cut:
        red = any(result.verdict.red for result in results)
        stream.write(Footer("2026-11-24T20:24:10+00:00", 550.4, int(red), merge_counts(results), len(results)))
    stream.close()
    return directory


def main() -> None:
    from seatrial.report import write

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--targets", type=int, default=6)
    parser.add_argument("--size", type=int, default=0)
    for name in ("cut", "empty", "green"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    names = list(TARGETS)[: options.targets]
    before = {("docker@bookworm", "by_name"): Verdict.FAIL, ("podman@sid", "from_standard_input"): Verdict.FAIL}
    for number, overrides in enumerate([{("docker@bookworm", "two_tags"): Verdict.FAIL}, {}, before], 1):
        sample(options.directory / f"earlier{number}", names, run=f"2026112{number}-201500-0a2bc3", green=True,
               started=f"2026-11-2{number}T20:15:00+00:00", overrides=overrides)  # fmt: skip
        write(options.directory / f"earlier{number}")
    run = sample(options.directory / "run", names, size=options.size, cut=options.cut, empty=options.empty,
                 green=options.green, overrides={("docker@bookworm", "two_tags"): Verdict.PASS})  # fmt: skip
    for path in write(run):
        print(path)  # noqa: T201


if __name__ == "__main__":
    main()
