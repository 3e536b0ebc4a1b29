"""What can go wrong, and how it is told: code, message, cause, hint.

Every error that a user can cause is a `SeatrialError`. It renders itself in full, so neither the
command line nor the pytest plugin needs to know more than how to print it.
"""

from __future__ import annotations

import os
from enum import IntEnum

# E1xx targets and engines, E2xx labs, E3xx files that are read, E4xx files that are written, E5xx how the
# harness is called, and the running session, E6xx Jenkins, GitLab and hooks, E7xx cases of OCT, E8xx load, figures
# and watching. One meaning each; a code is never given another one.
CODES = {
    "E101": "a command cannot be started",
    "E102": "a target string cannot be read",
    "E103": "no target was named and no engine is reachable",
    "E104": "an engine has no API socket that is seen from here",
    "E105": "no driver is registered for an engine",
    "E106": "an engine or a runtime does not answer",
    "E107": "an engine does not say which version it is",
    "E108": "an engine cannot pull the test image",
    "E109": "a command of an engine ended otherwise than it should",
    "E110": "an engine cannot run a container",
    "E111": "the command of a target is not installed on this machine",
    "E112": "an engine answers, but not as it should",
    "E113": "an engine is another one than its target names",
    "E114": "a target must not be used for tests that prune whatever they find",
    "E115": "there is no audit of a target",
    "E201": "there is no lab of such a suite, engine or runtime",
    "E202": "labs cannot be made on this machine",
    "E203": "a root file system cannot be made",
    "E204": "a lab host cannot be made",
    "E205": "an engine did not start in its lab",
    "E206": "a lab needs another kernel",
    "E207": "there is nothing to make the test image from",
    "E208": "a lab is broken and a living run still uses it",
    "E209": "a lab cannot be ended",
    "E210": "a lab does not stand",
    "E211": "a registry did not start",
    "E213": "a lab is asked for and the target is none",
    "E214": "mmdebstrap cannot be installed",
    "E215": "a lab is broken",
    "E216": "there is nothing to make a runtime's bundles from",
    "E217": "the network of a lab on another kernel is not reached from here",
    "E218": "the seccomp filters of a process cannot be read",
    "E219": "the kernel of a lab did not boot",
    "E301": "a results stream cannot be read",
    "E302": "a claims table is broken",
    "E303": "a list of known failures is broken",
    "E304": "a list of required tests cannot be read",
    "E305": "a history is broken",
    "E306": "the claims that a run has kept cannot be read",
    "E307": "two runs have nothing to compare",
    "E308": "the suites cannot be collected",
    "E309": "a history was written by a newer version",
    "E310": "an archive is no tar archive",
    "E312": "a directory is no checkout of docker-py",
    "E313": "a line of a results stream is broken",
    "E314": "there is no run in a directory",
    "E315": "there are no suites in a directory",
    "E316": "there is no such area of claims",
    "E317": "there are no claims tables in a directory",
    "E318": "there are no tests in a place",
    "E319": "a list of figures is broken",
    "E321": "signatures are to be verified and no key is named",
    "E322": "a text is neither a path nor an image of a registry",
    "E323": "a key of signatures cannot be used",
    "E324": "there is no directory of signatures",
    "E325": "an image is asked of what has none",
    "E326": "a text is no URL of a registry",
    "E327": "a file holds no account of a registry",
    "E328": "an account is named for a registry that has none",
    "E329": "the results of another project's suite cannot be read",
    "E401": "a results stream cannot be written",
    "E402": "the link to the latest run cannot be made",
    "E403": "a history cannot be written",
    "E404": "a directory cannot be deleted",
    "E405": "this machine refuses a file",
    "E406": "a report cannot be written",
    "E499": "a report could not be written for a reason that is a defect of the harness",
    "E501": "the lab of a running session is gone",
    "E502": "an option is not a duration",
    "E503": "an option is not a regular expression",
    "E504": "an unknown requirement is named",
    "E505": "a test names an unknown claim",
    "E506": "a test names no claim",
    "E507": "labs are to be taken down and none is named",
    "E508": "a command is to be run in a lab and none is named",
    "E509": "a module that is needed is not installed",
    "E510": "flags cannot be read",
    "E511": "what is to be timed did not succeed",
    "E601": "Jenkins does not answer",
    "E602": "Jenkins refuses a user",
    "E603": "the certificate of Jenkins is not trusted",
    "E604": "Jenkins does not know what it is asked for",
    "E605": "Jenkins cannot answer now",
    "E606": "Jenkins refuses what it is asked for",
    "E607": "an address is that of no Jenkins",
    "E608": "a job has no such parameter",
    "E609": "a text is no name of a job",
    "E610": "a token file cannot be used",
    "E611": "a text is no address of a Jenkins",
    "E612": "there are no certificates in a file",
    "E613": "definitions of nodes and jobs cannot be used",
    "E614": "a controller lacks plugins",
    "E615": "a definition needs a value",
    "E616": "anyone could trigger a job",
    "E617": "a queued build was cancelled",
    "E618": "what was waited for did not happen in time",
    "E619": "an archived file is not taken",
    "E620": "a job's hook does not work",
    "E621": "no address of a Jenkins was named",
    "E622": "a file to be checked cannot be read",
    "E623": "an option is not NAME=VALUE",
    "E624": "there are more tests than GitLab takes",
    "E625": "a value has no place in the definitions",
    "E626": "a build was not for a merge request",
    "E631": "GitLab does not answer",
    "E632": "GitLab refuses a token",
    "E633": "GitLab does not know what it is asked for",
    "E634": "GitLab cannot do what it is asked for",
    "E635": "a project has no such hook",
    "E636": "a text is no address of a GitLab",
    "E637": "no address of a GitLab was named",
    "E638": "a note cannot be read",
    "E641": "the configuration of the receiver cannot be used",
    "E642": "the events of the receiver cannot be opened",
    "E643": "an address cannot be listened on",
    "E644": "a text is no address to listen on",
    "E651": "wheels for another Python cannot be made",
    "E652": "wheels for the image cannot be made",
    "E653": "no container with an engine in it can run",
    "E654": "there is no image of the harness",
    "E655": "a directory is no checkout of the harness",
    "E656": "an event cannot be used to try a hook",
    "E701": "there is no diagnostic of such a code",
    "E702": "there is no case of such a name, or none in a place",
    "E703": "a bundle cannot be made in a place",
    "E704": "a runtime cannot do what a case asks of it",
    "E705": "the records of cases are broken",
    "E706": "the records of cases cannot be read or written",
    "E707": "a text is no list of states",
    "E708": "a state is asked for and no target is named",
    "E709": "there is no such case in a library",
    "E710": "no case of a library is meant by the options",
    "E712": "the service of cases would be open to others without a token",
    "E713": "a cluster would be open to others without keys",
    "E714": "the keys of a cluster cannot be used",
    "E715": "the scheduler of a cluster cannot be used",
    "E721": "the service of cases is asked for what is not there",
    "E722": "a query of the service of cases is not taken",
    "E723": "a bundle that is handed in is refused",
    "E724": "a form has no bundle in it",
    "E725": "a request has too large a body",
    "E726": "a request has no token, or a wrong one",
    "E727": "a request does not come from this machine",
    "E728": "a path or method of the service of cases is unknown",
    "E729": "a request has no bundle as its body",
    "E730": "a task is to do what is no action",
    "E731": "a task cannot do an action in its state",
    "E732": "a task finds no host",
    "E716": "cases that do not validate are to be run on a cluster",
    "E717": "a text is no address of a cluster",
    "E718": "the keys of a cluster cannot be made",
    "E801": "a history of operations cannot be read",
    "E802": "a line of a history of operations is broken",
    "E803": "a history of operations cannot be written",
    "E804": "a profile of a load cannot be used",
    "E805": "there is no profile of such a name",
    "E806": "a stress.json cannot be used",
    "E807": "what is to be put under load cannot do what a profile asks for",
    "E808": "locust has nothing to do",
    "E809": "a jobs.json cannot be used",
    "E810": "a baseline cannot be read",
    "E811": "a text is no name for a baseline",
    "E812": "a run has measured nothing that could be kept as a baseline",
    "E813": "a text is no address of a webhook",
    "E814": "an option of a load has no meaning for its profile",
    "E815": "a profile ends as no load by locust can",
}


class Exit(IntEnum):
    """Exit codes: pytest's own, and one for the gate."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING = 5
    GATE = 6


class SeatrialError(Exception):
    """An error with a stable code, what happened, why, and what to do about it.

    `code` is one of `CODES`, `message` one sentence, `cause` the underlying reason
    (empty when the message says it all), `hint` the user's next step.
    """

    def __init__(self, code: str, message: str, cause: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message}"]
        if self.cause:
            lines.append(f"  cause: {self.cause}")
        if self.hint:
            lines.append(f"  hint:  {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[type[SeatrialError], tuple[str, str, str, str]]:
        return type(self), (self.code, self.message, self.cause, self.hint)


def refused_by_machine(error: OSError) -> SeatrialError:
    """Return what is told when this machine refuses a file for a reason that nobody foresaw."""
    where = f" {error.filename}" if error.filename else ""
    denied = isinstance(error, PermissionError) and os.geteuid()
    hint = "the harness works as root" if denied else "is its directory writable, and is there space left?"
    return SeatrialError("E405", f"this machine refuses a file{where}", error.strerror or str(error), hint)


def not_installed(what: str, module: str, hint: str, cause: str = "") -> SeatrialError:
    """Return what is told when something of the harness needs a module that is not there."""
    return SeatrialError("E509", f"{what} needs {module}, which is not installed", cause, hint)
