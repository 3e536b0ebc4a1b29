"""A Jenkins controller: python-jenkins behind timeouts, TLS verification and errors that tell what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import jenkins
import requests

from seatrial import foreign
from seatrial.errors import SeatrialError

TIMEOUT = 30.0
# What a console's line carries for the browser, hidden from a terminal: ESC[8mha:...ESC[0m
_NOTE = re.compile(r"\x1b\[8mha:.*?\x1b\[0m", re.DOTALL)
_NAME = re.compile(r"[^/\\?*%!@#$^&|<>\[\]:;\x00-\x1f]+")


def words(html: str) -> str:
    """Return what an error page of Jenkins says, on one line of at most 200 characters."""
    text = re.sub(r"(?s)<(script|style|head).*?</\1>|<[^>]*>", " ", html)
    return " ".join(text.split())[:200]


def unreachable(url: str, error: requests.RequestException) -> SeatrialError:
    """Return what is told when no answer came from Jenkins."""
    if isinstance(error, requests.exceptions.SSLError):
        return SeatrialError(
            "E603", f"the certificate of {url} is not trusted", str(error)[:300],
            "name the authority that signed it with --ca FILE",
        )  # fmt: skip
    slow = isinstance(error, requests.exceptions.Timeout)
    return SeatrialError(
        "E601", f"no answer from Jenkins at {url}",
        "it took too long" if slow else _innermost(error),
        "is the controller up, and is this its address? --timeout gives it more time",
    )  # fmt: skip


def _innermost(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    for inner in (reason, error.__cause__, *error.args):
        if isinstance(inner, BaseException) and inner is not error:
            return _innermost(inner)
    return re.sub(r"^<[^>]*>[:,]? *", "", str(error)) or type(error).__name__


class _Client(jenkins.Jenkins):  # type: ignore[misc]
    """python-jenkins, whose failures of transport, rights and server are ours."""

    def _request(self, req: requests.Request, stream: bool | None = None) -> requests.Response:
        try:
            return super()._request(req, stream)  # type: ignore[no-any-return]
        except requests.RequestException as error:
            raise unreachable(self.server.rstrip("/"), error) from error

    def _response_handler(self, response: requests.Response) -> requests.Response:
        status, path = response.status_code, urlsplit(response.url).path
        if status in (401, 403):
            crumb = "crumb" in response.text
            raise SeatrialError(
                "E602", f"Jenkins refuses {path} to this user",
                f"{status}: {words(response.text) or response.reason}",
                "an API token needs no crumb: use one instead of a password" if crumb else
                "check --user and the token; the user needs the right that the request takes",
            )  # fmt: skip
        if status >= 500:
            starting = "getting ready" in response.text or "restarting" in response.text
            raise SeatrialError(
                "E605", f"Jenkins cannot answer {path}",
                "it is starting" if starting else f"{status}: {words(response.text) or response.reason}",
                "wait until it is up" if starting else "its log (Manage Jenkins, System Log) holds the stack trace",
            )  # fmt: skip
        return super()._response_handler(response)  # type: ignore[no-any-return]


class Controller:
    """One controller, as one user. Jobs are named by their full name, folders before a slash."""

    def __init__(
        self, url: str, user: str | None = None, token: str | None = None, *, timeout: float = TIMEOUT,
        ca: Path | None = None,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise SeatrialError(
                "E611", f"{url!r} is no address of a Jenkins", hint="as https://ci.example.org/ or http://host:8080/"
            )
        self.url = url.rstrip("/")
        self._api = _Client(self.url, user, token, timeout=timeout)
        self._user = user
        if ca is not None:
            if not ca.is_file():
                raise SeatrialError("E612", f"there are no certificates in {ca}", "no such file", "--ca FILE in PEM")
            self._api._session.verify = str(ca)

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn what python-jenkins raises for a well-formed refusal into an error about `what`."""
        try:
            yield
        except requests.HTTPError as error:
            answer = error.response
            said = words(answer.text) or answer.reason
            self._refused(what, f"{answer.status_code}: {said}", missing=answer.status_code == 404)
        except jenkins.NotFoundException:
            self._refused(what, "404: there is none", missing=True)
        except (jenkins.JenkinsException, ValueError, KeyError, TypeError) as error:
            self._refused(what, words(str(error)), missing="does not exist" in str(error))

    def _refused(self, what: str, cause: str, *, missing: bool) -> NoReturn:
        if missing:
            raise SeatrialError(
                "E604", f"Jenkins does not know {what}", cause, "check the name (folders before a slash) and the rights"
            )
        raise SeatrialError("E606", f"Jenkins refuses {what}", cause, "the cause is in Jenkins' own words")

    def _json(self, path: str, what: str) -> dict[str, Any]:
        with self._asking(what):
            return dict(json.loads(self._api.jenkins_open(self._get(path))))

    def _get(self, path: str) -> requests.Request:
        return requests.Request("GET", f"{self.url}/{path}")

    def version(self) -> str:
        """Return the version; the first request of a session, so the one that finds bad credentials."""
        with self._asking("its version"):
            # get_version() sends no credentials when it is the first call
            answer = self._api.jenkins_request(self._get("api/json?tree=mode"))
        version = str(answer.headers.get("X-Jenkins", ""))
        if not version:
            raise SeatrialError(
                "E607", f"{self.url} is no Jenkins", "its answer carries no X-Jenkins header",
                "name the controller's own address, not that of a proxy's page",
            )  # fmt: skip
        return version

    def plugins(self) -> dict[str, str]:
        """Return the active plugins: short name -> version."""
        found = self._json("pluginManager/api/json?depth=1", "the list of plugins")["plugins"]
        return {str(plugin["shortName"]): str(plugin["version"]) for plugin in found if plugin.get("active", True)}

    def job(self, name: str) -> dict[str, Any]:
        """Return what Jenkins says about a job."""
        return self._json(f"{job_path(name)}/api/json?depth=0", f"the job {name}")

    def job_config(self, name: str) -> str | None:
        """Return a job's XML, None when there is no such job."""
        return self._config(f"{job_path(name)}/config.xml", f"the job {name}")

    def node_config(self, name: str) -> str | None:
        """Return a node's XML, None when there is no such node."""
        return self._config(f"computer/{quote(name)}/config.xml", f"the node {name}")

    def _config(self, path: str, what: str) -> str | None:
        try:
            with self._asking(what):
                text = str(self._api.jenkins_open(self._get(path)))
                foreign.parse(text)
                return text
        except SeatrialError as error:
            if error.code == "E604":
                return None
            raise

    def create_job(self, name: str, xml: str) -> None:
        """Create a job."""
        with self._asking(f"the new job {name}"):
            self._api.create_job(name, xml)

    def update_job(self, name: str, xml: str) -> None:
        """Give a job another configuration."""
        with self._asking(f"the new configuration of {name}"):
            self._api.reconfig_job(name, xml)

    def create_folder(self, name: str) -> None:
        """Create a folder (the plugin cloudbees-folder makes them)."""
        with self._asking(f"the new folder {name}"):
            self._api.create_job(name, jenkins.EMPTY_FOLDER_XML)

    def create_node(self, name: str, xml: str) -> None:
        """Create a node. python-jenkins makes one without host key verification: it gets its real XML at once."""
        with self._asking(f"the new node {name}"):
            # as a node that nobody launches, until it has its configuration
            self._api.create_node(
                name, numExecutors=1, remoteFS="/nonexistent", exclusive=True, launcher=jenkins.LAUNCHER_JNLP,
                launcher_params={},
            )  # fmt: skip
            self._api.reconfig_node(name, xml)

    def update_node(self, name: str, xml: str) -> None:
        """Give a node another configuration."""
        with self._asking(f"the new configuration of the node {name}"):
            self._api.reconfig_node(name, xml)

    def start(self, name: str, parameters: Mapping[str, str]) -> int:
        """Queue a build and return the queue item's number."""
        declared = parameters_of(self.job(name))
        if unknown := sorted(set(parameters) - set(declared)):
            raise SeatrialError(
                "E608", f"{name} has no parameter {', '.join(unknown)}",
                f"it has: {', '.join(declared) or 'none'}", "Jenkins would drop them without a word",
            )  # fmt: skip
        # a job that has parameters refuses the address for those without; what is not named gets its default
        given = {**parameters, "delay": "0sec"} if declared else None
        with self._asking(f"a build of {name}"):
            return int(self._api.build_job(name, given))

    def queue_item(self, number: int) -> dict[str, Any]:
        """Return what became of a queue item; Jenkins forgets it about five minutes after it left."""
        return self._json(f"queue/item/{number}/api/json?depth=0", f"the queue item {number}")

    def queue(self) -> list[dict[str, Any]]:
        """Return the items that wait."""
        return list(self._json("queue/api/json?depth=0", "the queue")["items"])

    def cancel(self, number: int) -> None:
        """Take an item out of the queue."""
        with self._asking(f"the end of queue item {number}"):
            self._api.cancel_queue(number)

    def builds(self, name: str) -> list[dict[str, Any]]:
        """Return the newest builds (at most 50), each with number, queueId, result and actions."""
        tree = "builds[number,queueId,building,result,actions[parameters[name,value]]]{0,50}"
        return list(self._json(f"{job_path(name)}/api/json?tree={tree}", f"the job {name}").get("builds", []))

    def build(self, name: str, number: int) -> dict[str, Any]:
        """Return what Jenkins says about a build."""
        return self._json(f"{job_path(name)}/{number}/api/json?depth=0", f"build {number} of {name}")

    def stop(self, name: str, number: int) -> None:
        """Abort a build."""
        with self._asking(f"the end of {name} #{number}"):
            self._api.stop_build(name, number)

    def console(self, name: str, number: int, start: int) -> tuple[str, int, bool]:
        """Return the console from an offset in bytes: text with hidden notes, the next offset, whether more comes."""
        path = f"{job_path(name)}/{number}/logText/progressiveText?start={start}"
        with self._asking(f"the console of {name} #{number}"):
            answer = self._api.jenkins_request(self._get(path))
            answer.encoding = "utf-8"
            return answer.text, int(answer.headers["X-Text-Size"]), answer.headers.get("X-More-Data") == "true"

    def test_report(self, name: str, number: int) -> dict[str, Any] | None:
        """Return the test results of a build, None when it published none."""
        with self._asking(f"the test results of {name} #{number}"):
            found = self._api.get_build_test_report(name, number, depth=1)
            return dict(found) if found else None

    def artifact(self, name: str, number: int, path: str) -> requests.Response:
        """Return the streamed answer that holds an archived file; the caller closes it."""
        with self._asking(f"the file {path} of {name} #{number}"):
            answer: requests.Response = self._api.jenkins_open_stream(
                self._get(f"{job_path(name)}/{number}/artifact/{quote(path)}")
            )
            return answer

    def lint(self, jenkinsfile: str) -> list[str]:
        """Return what the controller's own linter has against a declarative Jenkinsfile."""
        request = requests.Request(
            "POST", f"{self.url}/pipeline-model-converter/validate", files={"jenkinsfile": (None, jenkinsfile)}
        )
        with self._asking("to check a Jenkinsfile (the plugin pipeline-model-definition does it)"):
            said = str(self._api.jenkins_open(request)).strip()
        if said == "Jenkinsfile successfully validated.":
            return []
        return [line for line in said.splitlines()[1:] if line.strip()] or [said or "an empty answer"]

    def check_casc(self, yaml: str) -> list[str]:
        """Return what the plugin configuration-as-code has against a document."""
        request = requests.Request(
            "POST", f"{self.url}/configuration-as-code/check", data=yaml.encode(), headers={"Content-Type": "text/yaml"}
        )
        try:
            said = self._api.jenkins_open(request)
        except requests.HTTPError as error:
            if error.response.status_code != 400:
                with self._asking("to check a JCasC document"):
                    raise
            said = error.response.text
        except jenkins.JenkinsException:
            with self._asking("to check a JCasC document (the plugin configuration-as-code does it)"):
                raise
        with self._asking("to check a JCasC document"):
            return [str(problem["message"]) for problem in json.loads(said or "[]")]

    def post_hook(self, job: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a hook to the GitLab plugin's endpoint of a job, as GitLab does: without a login. Returns the status."""
        session = requests.Session()
        session.verify = self._api._session.verify
        path = quote(job)
        try:
            answer = session.post(
                f"{self.url}/project/{path}", data=body, headers=dict(headers), timeout=self._api.timeout,
                allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            raise unreachable(self.url, error) from error
        finally:
            session.close()
        return int(answer.status_code)


def job_path(name: str) -> str:
    """Return the path of a job below the controller: job/FOLDER/job/NAME."""
    parts = name.strip("/").split("/")
    if not all(_NAME.fullmatch(part) and part not in (".", "..") for part in parts):
        raise SeatrialError("E609", f"{name!r} is no name of a job", hint="as NAME or FOLDER/NAME")
    return "/".join(f"job/{quote(part)}" for part in parts)


def parameters_of(job: Mapping[str, Any]) -> dict[str, str]:
    """Return a job's declared parameters: name -> default."""
    return {
        str(parameter["name"]): str((parameter.get("defaultParameterValue") or {}).get("value", ""))
        for entry in job.get("property") or []
        for parameter in entry.get("parameterDefinitions") or []
    }


def plain(console: str) -> str:
    """Return a piece of a console, made of whole lines, as a person reads it."""
    return _NOTE.sub("", console).replace("\r\n", "\n")
