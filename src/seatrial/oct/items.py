"""Cases as pytest items: each case.json is a file of tests, one for each variant on each target."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seatrial.errors import SeatrialError
from seatrial.fixtures import owner_of
from seatrial.names import slug
from seatrial.oct.record import PROGRESS
from seatrial.outcome import Concluded, Refusal
from seatrial.session import SESSION, TRIAL

if TYPE_CHECKING:
    from seatrial.claims import Claim
    from seatrial.known import Known
    from seatrial.oct.containers import Containers
    from seatrial.oct.freshness import Variant
    from seatrial.oct.model import Case
    from seatrial.oct.offers import Offer
    from seatrial.oct.record import TaskRecord
    from seatrial.oct.site import Site
    from seatrial.outcome import Trial
    from seatrial.results import TargetInfo

_MARGIN = 60.0  # seconds that collecting and destroying may take beyond a case's own time


class CaseError(AssertionError):
    """What a case expects does not hold."""


class CaseFile(pytest.File):
    """A case.json; one that does not validate cannot be collected."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return the variants of the case on every target."""
        from seatrial.oct.bundle import Bundle
        from seatrial.oct.diagnostics import Report
        from seatrial.oct.model import Case
        from seatrial.oct.validate import examine

        report = Report(str(self.path.relative_to(self.config.rootpath)) if self.config.rootpath in self.path.parents
                        else str(self.path))  # fmt: skip
        document = examine(Bundle(self.path.parent, self.path.name), report)
        if report.errors or document is None:
            raise self.CollectError("\n".join(str(one) for one in report.errors))
        session = self.config.stash[SESSION]
        case = Case.load(document.value)
        digest = Bundle(self.path.parent, self.path.name).digest(document.value)
        for variant in case.combinations(settings(self.config)):
            for target in session.names:
                label = f"{target}-{variant.label}" if variant.label else target
                yield CaseItem.from_parent(
                    self, name=f"{case.name}[{label}]", case=variant, digest=digest, target=target
                )


def _teller() -> Callable[[TaskRecord], None]:
    """Return what tells a waiting service how far a case is."""
    place = os.environ.get(PROGRESS)

    def tell(record: TaskRecord) -> None:
        if place:
            with contextlib.suppress(OSError):
                Path(place).write_text(json.dumps({"state": record.state, "steps": len(record.steps)}))

    return tell


def environment(info: TargetInfo, hosts: Mapping[str, Offer]) -> dict[str, str]:
    """Return what of engine, host and harness a result depends on, without what is not known."""
    from seatrial import __version__

    host = next(iter(hosts.values()), None)
    modules = info.facts.get("lsm") or info.facts.get("security") or []
    found = {
        "engine": f"{info.engine} {info.version}", "runtime": info.runtime, "storage": info.storage,
        "cgroup": info.cgroup, "security": ", ".join(map(str, modules)) if isinstance(modules, list) else str(modules),
        "kernel": str(host.facts.get("kernel", "")) if host else "", "arch": host.arch if host else "",
        "distribution": f"{host.distribution} {host.version}".strip() if host else "",
        "CPUs": str(host.cpus) if host else "", "memory": f"{host.memory / 2**30:.1f} GiB" if host else "",
        "harness": __version__,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}


def settings(config: pytest.Config) -> dict[str, str]:
    """Return the parameters of cases that were set by --set; raises `pytest.UsageError`."""
    pairs = [text.partition("=") for text in config.getoption("parameters")]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise pytest.UsageError(f"--set takes NAME=VALUE, not {wrong[0]!r}")
    return {name: value for name, _, value in pairs}


class CaseItem(pytest.Item):
    """One variant of a case on one target."""

    def __init__(self, *, case: Case, digest: str, target: str, **more: Any) -> None:
        super().__init__(**more)
        self.case = case
        self.digest = digest
        self.target = target
        self.add_marker(pytest.mark.timeout(case.timeout + _MARGIN))
        for need in case.needs:
            self.add_marker(pytest.mark.requires(need))
        if case.exclusive:
            self.add_marker(pytest.mark.exclusive(scope=case.exclusive))

    @property
    def claims(self) -> list[Claim]:
        """What the case says of a correct engine."""
        from seatrial.claims import Claim

        source = "; ".join(" ".join(filter(None, (ref.spec, ref.version, ref.anchor))) for ref in self.case.refs)
        return [Claim(self.case.name, self.case.level, self.case.summary, source or self.case.group, "",
                      self.case.group.partition("/")[0])]  # fmt: skip

    @property
    def variant(self) -> Variant:
        """What of the case this is: the label of its variant, and the parameters that were set."""
        from seatrial.oct.freshness import Variant

        return Variant.of(self.case.label, self.case.parameters, settings(self.config))

    def known_on(self, info: TargetInfo) -> Known | None:
        """Return the failure that the case itself expects of a target."""
        from seatrial.known import Known

        for known in self.case.known:
            same = known.version == info.version or info.version.startswith(f"{known.version}.")
            if known.engine == info.engine and (not known.version or same):
                return Known(self.case.name, known.reason, known.url)
        return None

    def runtest(self) -> None:
        """Run the case and raise what it ended with."""
        from seatrial.oct import offers
        from seatrial.oct.across.placed import placed
        from seatrial.oct.record import Ending
        from seatrial.oct.task import HostLostError

        trial = self.stash[TRIAL]
        session = self.config.stash[SESSION]
        driver = session.engine(self.target)
        assert driver is not None  # noqa: S101 - a missing one has been told before
        try:
            with placed() as given:
                hosts = given.hosts
                if not hosts:
                    placing = offers.place(self.case, [offers.here(driver.host, name=driver.host.name)])
                    if placing.why_not:
                        pytest.skip(placing.why_not)
                    hosts = placing.hosts
                self._run(trial, hosts, given.away)
        except HostLostError as error:  # before its first step
            trial.evidence = {"oct": {"case": self.case.id, "name": self.case.name, "ending": Ending.LOST.value,
                                      "variant": asdict(self.variant), "digest": self.digest}}  # fmt: skip
            raise Concluded(Ending.LOST.verdict, f"{Ending.LOST}: {error}") from error

    def _run(self, trial: Trial, hosts: Mapping[str, Offer], away: Mapping[str, Site]) -> None:
        from seatrial.oct.bundle import Bundle
        from seatrial.oct.task import Task

        bundle = Bundle(self.path.parent, self.path.name)
        task = Task(self.case, bundle, self._containers(), target=self.target, digest=self.digest, hosts=hosts,
                    away=away, progress=_teller())  # fmt: skip
        task.record.environment = environment(self.config.stash[SESSION].info(self.target), hosts)
        try:
            task.run()
        finally:
            trial.evidence = {"oct": self._evidence(task.record)}
        self._raise(task.record)

    def _containers(self) -> Containers:
        from seatrial.oct.containers import made_by

        driver = self.config.stash[SESSION].engine(self.target)
        assert driver is not None  # noqa: S101 - as above
        return made_by(driver, owner_of(self))

    def _evidence(self, record: TaskRecord) -> dict[str, Any]:
        """Write the whole record beside the logs; return what the results stream keeps of it."""
        session = self.config.stash[SESSION]
        assert session.plan is not None  # noqa: S101 - for the type checker
        path = Path("oct") / slug(self.target) / f"{slug(self.case.id)}-{record.task}.json"
        try:
            (Path(session.plan.directory) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(session.plan.directory) / path).write_text(json.dumps(record.plain(), indent=1))
        except OSError:  # the stream is on the same disk and will tell
            path = Path()
        return {
            **record.brief, "case": self.case.id, "name": self.case.name, "variant": asdict(self.variant),
            "digest": self.digest, "record": str(path) if path.name else "",
        }  # fmt: skip

    def _raise(self, record: TaskRecord) -> None:
        from seatrial.oct.record import Ending
        from seatrial.verdict import Verdict

        verdict = record.ending.verdict
        if record.ending is Ending.UNSUPPORTED:
            self.stash[TRIAL].refusal = Refusal(Verdict.UNSUPPORTED, record.message.splitlines()[0])
            pytest.skip(record.message.splitlines()[0])
        if verdict is Verdict.FAIL:
            raise CaseError(f"{record.ending}: {record.message}")
        if verdict is not Verdict.PASS:
            raise Concluded(verdict, f"{record.ending}: {record.message}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what was expected and seen instead of the source of the harness."""
        if isinstance(excinfo.value, CaseError | Concluded | SeatrialError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the case stands."""
        return self.path, 0, self.name
