"""A fake Jenkins: the few endpoints that the harness asks, answering as a controller 2.516 with its plugins does.

What it answers was compared with a real one by hand; `recorded.json` holds the shapes, and a test holds this fake
to them. It is no Jenkins: it runs builds by a function of the test's, and knows nothing of agents.
"""

import base64
import json
import re
import secrets
import string
import threading
import time
import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, unquote, urlsplit

from fakes.served import Handler, Served

VERSION = "2.516.2"
PLUGINS = {"git": "5.10.1", "gitlab-plugin": "1.9.12", "junit": "1369.v15da_00283f06"}
TRIGGERED = (
    "publishers/hudson.plugins.parameterizedtrigger.BuildTrigger/configs/"
    "hudson.plugins.parameterizedtrigger.BuildTriggerConfig"
)
PREDEFINED = "configs/hudson.plugins.parameterizedtrigger.PredefinedBuildParameters/properties"
NOTE = "\x1b[8mha:////4DSzBSdf9TQXvX7dFxnRlhSLzsXq\x1b[0m"


class Build:
    """One build: what its runner writes, and what the API shows of it."""

    def __init__(self, job, number, item):
        self.job, self.number, self.item = job, number, item
        self.console = bytearray()
        self.result = None
        self.artifacts = {}
        self.cases = None  # [(classname, name, "PASSED" | "FAILED" | "SKIPPED")]
        self.environment = {}
        self.aborted = threading.Event()
        self.ended = threading.Event()

    @property
    def parameters(self):
        return self.item.parameters

    def write(self, text):
        self.console += text.replace("\n", "\r\n").encode()


class Item:
    """A queue item: waits for `quiet` seconds and until it is let go, then becomes a build."""

    def __init__(self, number, job, parameters, cause, environment):
        self.number, self.job, self.parameters, self.cause = number, job, parameters, cause
        self.environment = environment  # what a plugin adds to the build's
        self.cancelled = False
        self.build = None


class Job:
    """A job by its XML."""

    def __init__(self, name, xml):
        self.name, self.builds = name, []
        self.configure(xml)

    def configure(self, xml):
        self.xml = xml
        root = ET.fromstring(re.sub(r"\A\s*<\?xml[^>]*\?>", "", xml))
        self.root = root
        self.folder = root.tag.endswith(".Folder")
        self.parameters = {
            node.findtext("name"): node.findtext("defaultValue") or ""
            for node in root.iter()
            if node.tag.endswith("ParameterDefinition")
        }
        trigger = root.find(".//com.dabsquared.gitlabjenkins.GitLabPushTrigger")
        self.token = None if trigger is None else trigger.findtext("secretToken") or ""

    @property
    def path(self):
        return "/".join(f"job/{part}" for part in self.name.split("/"))


def succeed(build):
    """The runner unless a test names another: three lines, no tests, success."""
    build.write(f"Started by user {NOTE}admin\nBuilding remotely on {NOTE}seatrial-1 in workspace /w\n")
    build.write("Finished: SUCCESS\n")
    build.result = "SUCCESS"


class FakeJenkins(Served):
    """The controller. `faults` are taken one a request: slow, drop, 500, starting, html, or None."""

    def __init__(self, run=succeed, quiet=0.0):
        super().__init__()
        self.run, self.quiet = run, quiet
        self.user, self.token, self.password = "admin", secrets.token_hex(16), "hunter2"
        self.plugins, self.jobs, self.nodes, self.items = dict(PLUGINS), {}, {}, {}
        self.crumbs = {}
        self.hold = False  # items wait for an executor
        self.keep_nothing = False  # hooks are answered with 200 and forgotten
        self.lint_answer = "Jenkinsfile successfully validated.\n"
        self.casc_answer = (200, "[]")

    def __exit__(self, *_):
        for job in self.jobs.values():
            for build in job.builds:
                build.aborted.set()
        super().__exit__()

    def add(self, name, xml):
        self.jobs[name] = Job(name, xml)
        return self.jobs[name]

    def queue(self, job, parameters, cause="Started by user admin", environment=None):
        with self.lock:
            item = Item(len(self.items) + 15, job, {**job.parameters, **parameters}, cause, environment or {})
            self.items[item.number] = item
        threading.Thread(target=self._launch, args=(item,), daemon=True).start()
        return item

    def _launch(self, item):
        time.sleep(self.quiet)
        while self.hold and not item.cancelled:
            time.sleep(0.01)
        with self.lock:
            if item.cancelled:
                return
            build = item.build = Build(item.job, len(item.job.builds) + 1, item)
            item.job.builds.append(build)
        try:
            self.run(build)
        except Exception as error:  # shown in the console, as Jenkins does
            build.write(f"{type(error).__name__}: {error}\nFinished: FAILURE\n")
            build.result = "FAILURE"
        if build.aborted.is_set() and build.result is None:
            build.write("Build was aborted\nAborted by admin\nFinished: ABORTED\n")
            build.result = "ABORTED"
        build.ended.set()
        self._trigger(build)

    def _trigger(self, build):
        """What the plugin parameterized-trigger does: the builds that this one's end starts."""
        for config in build.job.root.findall(TRIGGERED):
            text = string.Template(config.findtext(PREDEFINED)).safe_substitute(build.environment)
            given = dict(line.split("=", 1) for line in text.splitlines())
            folder = build.job.name.rpartition("/")[0]
            job = self.jobs.get(f"{folder}/{config.findtext('projects')}".strip("/"))
            if job is None:  # the plugin says nothing, either
                continue
            declared = {name: value for name, value in given.items() if name in job.parameters}
            self.queue(job, declared, f'Started by upstream project "{build.job.name}" build number {build.number}')

    def builds(self, name):
        return self.jobs[name].builds


class _Handler(Handler):
    fake: FakeJenkins

    def do_GET(self):  # noqa: N802
        self._handle("GET")

    def do_POST(self):  # noqa: N802
        self._handle("POST")

    def _handle(self, method):
        fake = self.fake
        self.body = self.read()
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = parts.path.strip("/")
        fault = fake.asked(method, self.path)
        if fault == "drop":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(1.5)
        if fault in ("500", "starting"):
            said = "Oops! A problem occurred" if fault == "500" else "Please wait while Jenkins is getting ready"
            self._answer(500 if fault == "500" else 503, f"<html><body><h1>{said}</h1></body></html>", "text/html")
            return
        if fault == "html":
            self._answer(200, "<html><body>Sign in to the proxy</body></html>", "text/html")
            return
        if path.startswith("project/"):
            self._hook(unquote(path[len("project/") :]), method)
        elif self._allowed(method):
            self._route(method, path)

    def _allowed(self, method):
        fake = self.fake
        kind, _, encoded = (self.headers.get("Authorization") or "").partition(" ")
        user, _, secret = base64.b64decode(encoded).decode().partition(":") if kind == "Basic" else ("", "", "")
        if user != fake.user or secret not in (fake.token, fake.password):
            status = 401 if kind else 403
            self._answer(status, "<html><body>Authentication required</body></html>", "text/html")
            return False
        if method == "POST" and secret == fake.password:
            session = self.headers.get("Cookie", "").partition("JSESSIONID=")[2]
            if not session or fake.crumbs.get(session) != self.headers.get("Jenkins-Crumb"):
                self._answer(403, "<html><body>No valid crumb was included in the request</body></html>", "text/html")
                return False
        return True

    def _answer(self, status, body="", kind="application/json", **headers):
        self.send(status, body, kind, **({"X_Jenkins": VERSION} if status == 200 else {}), **headers)

    def _json(self, value):
        self._answer(200, json.dumps(value))

    def _missing(self):
        self._answer(404, "<html><body>Not Found</body></html>", "text/html")

    def _route(self, method, path):
        fake = self.fake
        if path == "crumbIssuer/api/json":
            session, crumb = secrets.token_hex(8), secrets.token_hex(16)
            fake.crumbs[session] = crumb
            found = {"_class": "hudson.security.csrf.DefaultCrumbIssuer", "crumb": crumb,
                     "crumbRequestField": "Jenkins-Crumb"}  # fmt: skip
            self._answer(200, json.dumps(found), Set_Cookie=f"JSESSIONID={session}; Path=/")
        elif not path:
            self._answer(200, "<html><body>Dashboard</body></html>", "text/html")
        elif path == "api/json":
            jobs = [{"name": name, "url": f"{fake.url}/{job.path}/"} for name, job in fake.jobs.items()]
            self._json({"_class": "hudson.model.Hudson", "mode": "EXCLUSIVE", "numExecutors": 0, "jobs": jobs})
        elif path == "pluginManager/api/json":
            plugins = [{"shortName": name, "version": v, "active": True} for name, v in fake.plugins.items()]
            self._json({"plugins": plugins})
        elif path == "computer":
            self._answer(200, "<html><body>Nodes</body></html>", "text/html")
        elif path.startswith("computer/"):
            self._computer(method, path.removeprefix("computer/"))
        elif path.startswith("queue/"):
            self._queue(method, path.removeprefix("queue/"))
        elif path == "pipeline-model-converter/validate" and method == "POST":
            self._answer(200, fake.lint_answer, "text/plain")
        elif path == "configuration-as-code/check" and method == "POST":
            self._answer(fake.casc_answer[0], fake.casc_answer[1])
        elif match := re.fullmatch(r"((?:job/[^/]+/)*)createItem", path):
            self._create(unquote(match[1]), method)
        elif match := re.match(r"((?:job/[^/]+/?)+)(.*)", path):
            name = "/".join(unquote(match[1]).strip("/").split("/")[1::2])
            if name not in fake.jobs:
                self._missing()
            else:
                self._job(fake.jobs[name], method, match[2])
        else:
            self._missing()

    def _create(self, prefix, method):
        fake = self.fake
        folder = "/".join(prefix.strip("/").split("/")[1::2]) if prefix else ""
        name = f"{folder}/{self.query['name']}" if folder else self.query["name"]
        if method != "POST":
            self._answer(405, "<html/>", "text/html")
        elif folder and folder not in fake.jobs:
            self._missing()
        elif name in fake.jobs or "xml" not in self.headers.get("Content-Type", ""):
            self._answer(400, "<html><body><h1>Error</h1>A job already exists</body></html>", "text/html")
        else:
            try:
                fake.add(name, self.body.decode())
                self._answer(200)
            except ET.ParseError:
                self._answer(500, "<html><body>Failed to create: bad XML</body></html>", "text/html")

    def _computer(self, method, rest):
        fake = self.fake
        name, _, what = rest.partition("/")
        name = unquote(name)
        if rest == "doCreateItem" and method == "POST":
            form = parse_qs(self.body.decode())
            settings = json.loads(form["json"][0])
            fake.nodes[form["name"][0]] = (
                f"<slave><name>{form['name'][0]}</name><remoteFS>{settings['remoteFS']}</remoteFS>"
                f"<launcher class=\"{settings['launcher']['stapler-class']}\"/></slave>"
            )
            self._answer(302, Location=f"{fake.url}/computer/")
        elif rest.startswith("api/json"):
            self._json({"_class": "hudson.model.ComputerSet", "computer": [{"displayName": n} for n in fake.nodes]})
        elif not what:
            self._answer(200, "<html/>", "text/html")
        elif name not in fake.nodes:
            self._missing()
        elif what == "config.xml" and method == "POST":
            # Jenkins reads the configuration and shows it with its defaults
            xml = re.sub(r"<\?xml[^>]*\?>\s*", "", self.body.decode())
            xml = xml.replace("</slave>", "<userId>admin</userId></slave>")
            fake.nodes[name] = f"<?xml version='1.1' encoding='UTF-8'?>\n{xml}"
            self._answer(200)
        elif what == "config.xml":
            self._answer(200, fake.nodes[name], "application/xml")
        elif what == "doDelete" and method == "POST":
            del fake.nodes[name]
            self._answer(302, Location=f"{fake.url}/computer/")
        else:
            self._json({"_class": "hudson.slaves.SlaveComputer", "displayName": name, "offline": False})

    def _queue(self, method, rest):
        fake = self.fake
        if rest.startswith("cancelItem") and method == "POST":
            with fake.lock:
                item = fake.items.get(int(self.query["id"]))
                if item and item.build is None:
                    item.cancelled = True
            self._answer(204)
        elif rest == "api/json":
            waiting = [item for item in fake.items.values() if item.build is None and not item.cancelled]
            found = [self._item(item) for item in waiting]
            self._json({"_class": "hudson.model.Queue", "discoverableItems": [], "items": found})
        elif match := re.fullmatch(r"item/(\d+)/api/json", rest):
            item = fake.items.get(int(match[1]))
            self._json(self._item(item)) if item else self._missing()
        else:
            self._missing()

    def _actions(self, item):
        values = [{"_class": "hudson.model.StringParameterValue", "name": n, "value": v}
                  for n, v in item.parameters.items()]  # fmt: skip
        return [
            {"_class": "hudson.model.ParametersAction", "parameters": values},
            {"_class": "hudson.model.CauseAction", "causes": [{"shortDescription": item.cause}]},
        ]

    def _item(self, item):
        fake = self.fake
        found = {
            "_class": "hudson.model.Queue$WaitingItem", "actions": self._actions(item), "id": item.number,
            "task": {"name": item.job.name.rpartition("/")[2], "url": f"{fake.url}/{item.job.path}/"},
            "why": "In the quiet period. Expires in 2.6 sec",
        }  # fmt: skip
        if item.cancelled or item.build:
            found |= {"_class": "hudson.model.Queue$LeftItem", "why": None, "cancelled": item.cancelled}
        if item.build:
            url = f"{fake.url}/{item.job.path}/{item.build.number}/"
            found["executable"] = {"number": item.build.number, "url": url}
        return found

    def _job(self, job, method, what):
        fake = self.fake
        if what == "api/json":
            self._json(self._about(job))
        elif what == "config.xml" and method == "POST":
            job.configure(self.body.decode())
            self._answer(200)
        elif what == "config.xml":
            self._answer(200, job.xml, "application/xml")
        elif what == "doDelete" and method == "POST":
            for name in [name for name in fake.jobs if name == job.name or name.startswith(f"{job.name}/")]:
                del fake.jobs[name]
            self._answer(302, Location=fake.url)
        elif what in ("build", "buildWithParameters"):
            if method != "POST":
                self._answer(405, "<html/>", "text/html")
            elif job.parameters and what == "build":
                self._answer(400, "<html><body>Nothing is submitted</body></html>", "text/html")
            elif not job.parameters and what != "build":
                self._answer(500, "<html><body>is not parameterized</body></html>", "text/html")
            else:
                given = {name: value for name, value in self.query.items() if name in job.parameters}
                item = fake.queue(job, given)
                self._answer(201, Location=f"{fake.url}/queue/item/{item.number}/")
        elif (match := re.match(r"(\d+)/(.*)", what)) and 0 < int(match[1]) <= len(job.builds):
            self._build(job.builds[int(match[1]) - 1], method, match[2])
        else:
            self._missing()

    def _about(self, job):
        fake = self.fake
        definitions = [
            {"name": name, "type": "StringParameterDefinition", "defaultParameterValue": {"name": name, "value": value}}
            for name, value in job.parameters.items()
        ]
        properties = [{"_class": "hudson.model.ParametersDefinitionProperty", "parameterDefinitions": definitions}]
        return {
            "_class": "hudson.model.FreeStyleProject", "name": job.name.rpartition("/")[2], "fullName": job.name,
            "url": f"{fake.url}/{job.path}/", "buildable": not job.folder, "nextBuildNumber": len(job.builds) + 1,
            "property": properties if definitions else [],
            "builds": [self._about_build(build) for build in reversed(job.builds)],
        }  # fmt: skip

    def _about_build(self, build):
        actions = self._actions(build.item)
        if build.cases is not None and build.ended.is_set():
            counts = {f"{key}Count": value for key, value in _counts(build).items()}
            actions.append({"_class": "hudson.tasks.junit.TestResultAction", **counts, "urlName": "testReport"})
        ended = build.ended.is_set()
        return {
            "_class": "hudson.model.FreeStyleBuild", "number": build.number, "queueId": build.item.number,
            "building": not ended, "result": build.result if ended else None, "duration": 4472 if ended else 0,
            "actions": actions, "url": f"{self.fake.url}/{build.job.path}/{build.number}/",
            "fullDisplayName": f"{build.job.name} #{build.number}",
            "artifacts": [{"fileName": path.rpartition("/")[2], "relativePath": path} for path in build.artifacts],
        }  # fmt: skip

    def _build(self, build, method, what):
        if what == "api/json":
            self._json(self._about_build(build))
        elif what == "stop" and method == "POST":
            build.aborted.set()
            self._answer(302, Location=self.fake.url)
        elif what == "logText/progressiveText":
            start, console = int(self.query.get("start", 0)), bytes(build.console)
            more = {} if build.ended.is_set() else {"X_More_Data": "true"}
            self._answer(200, console[start:], "text/plain", X_Text_Size=str(len(console)), **more)
        elif what == "consoleText":
            self._answer(200, bytes(build.console), "text/plain")
        elif what == "testReport/api/json":
            if build.cases is None:
                self._missing()
            else:
                counts = {f"{key}Count": value for key, value in _counts(build).items()}
                cases = [{"className": c, "name": n, "status": s} for c, n, s in build.cases]
                self._json({"_class": "hudson.tasks.junit.TestResult", **counts, "suites": [{"cases": cases}]})
        elif what.startswith("artifact/") and unquote(what[9:]) in build.artifacts:
            self._answer(200, build.artifacts[unquote(what[9:])], "application/octet-stream")
        else:
            self._missing()

    def _hook(self, name, method):
        fake = self.fake
        job = fake.jobs.get(name)
        if method != "POST" or job is None or self.headers.get("X-Gitlab-Event") != "Merge Request Hook":
            self._answer(404)
        elif job.token is None or fake.keep_nothing:
            self._answer(200)  # no trigger: whatever the token
        elif job.token and self.headers.get("X-Gitlab-Token") != job.token:
            self._answer(401, "<html><body>Unauthorized</body></html>", "text/html")
        else:
            try:
                event = json.loads(self.body)["object_attributes"]
                event["source"]["name"], event["last_commit"]["id"]
            except (ValueError, KeyError, TypeError):
                self._answer(500, "<html/>", "text/html")
                return
            if event["action"] in ("open", "reopen"):
                variables = {
                    "gitlabMergeRequestIid": str(event["iid"]), "gitlabTargetBranch": event["target_branch"],
                    "gitlabSourceBranch": event["source_branch"],
                    "gitlabMergeRequestLastCommit": event["last_commit"]["id"],
                    "gitlabMergeRequestTargetProjectId": str(event["target_project_id"]),
                }  # fmt: skip
                fake.queue(job, {}, f"Triggered by GitLab Merge Request #{event['iid']}", variables)
            self._answer(200)


def _counts(build):
    states = [state for _, _, state in build.cases]
    return {"pass": states.count("PASSED"), "fail": states.count("FAILED"), "skip": states.count("SKIPPED")}


FakeJenkins.handler = _Handler
