"""A fake GitLab: the few calls of its API that the harness makes, with the rules that matter to them."""

import json
import re
from urllib.parse import parse_qs, unquote, urlsplit

from fakes.served import Handler, Served

REQUEST = r"refs/merge-requests/\d+/head"
BOT = {"id": 7, "username": "seatrial-bot", "name": "Seatrial"}


class FakeGitLab(Served):
    """`closed` projects answer 403 to statuses, as a fork does that the bot has no role in."""

    def __init__(self):
        super().__init__()
        self.token = "glpat-fake"
        self.projects = {"up/seatrial": 1, "fork/seatrial": 2}
        self.closed = set()
        self.hooks, self.notes, self.statuses, self.members = {}, {}, [], {}
        self.commits = {1: set(), 2: set()}
        self.branches = {1: set(), 2: set()}  # the commits that a branch contains; the others are heads of requests
        self.heads = {}  # (project, number) -> the commit of a merge request
        self.sent_tests = []
        self.next = 100

    def number(self):
        self.next += 1
        return self.next

    def states(self, commit):
        """The states of a commit in the target project, in order."""
        return [status["state"] for status in self.statuses if status["sha"] == commit]

    def write(self, project, number, body, author):
        """A note by someone else."""
        note = {"id": self.number(), "body": body, "author": {"id": author}}
        self.notes.setdefault((project, number), []).append(note)
        return note


class _Handler(Handler):
    fake: FakeGitLab

    def _handle(self):
        fake = self.fake
        raw = self.read()
        kind = self.headers.get("Content-Type", "")
        if "json" in kind:
            data = json.loads(raw or b"{}")
        else:
            data = {key: values[0] for key, values in parse_qs(raw.decode()).items()}
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/api/v4")
        fault = fake.asked(self.command, path)
        if fault:
            self._answer(fault, {"message": f"{fault} fault"})
        elif self.headers.get("PRIVATE-TOKEN") != fake.token:
            self._answer(401, {"message": "401 Unauthorized"})
        elif path == "/user":
            self._answer(200, BOT)
        elif match := re.fullmatch(r"/projects/([^/]+)/(.*)", path):
            name = unquote(match[1])
            project = int(name) if name.isdigit() else fake.projects.get(name)
            if project not in fake.projects.values():
                self._answer(404, {"message": "404 Project Not Found"})
            else:
                with fake.lock:
                    self._project(project, match[2], data)
        else:
            self._answer(404, {"error": "404 Not Found"})

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the names that http.server looks for

    def _answer(self, status, body=None):
        self.send(status, "" if body is None else json.dumps(body))

    def _project(self, project, rest, data):
        fake = self.fake
        if rest == "hooks" and self.command == "GET":
            shown = [{k: v for k, v in h.items() if "token" not in k} for h in fake.hooks.get(project, {}).values()]
            self._answer(200, shown)
        elif rest == "hooks":
            hook = {"id": fake.number(), "project_id": project, **data}
            fake.hooks.setdefault(project, {})[hook["id"]] = hook
            self._answer(201, hook)
        elif match := re.fullmatch(r"hooks/(\d+)(/test/(\w+))?", rest):
            self._hook(project, int(match[1]), match[3], data)
        elif (match := re.fullmatch(r"statuses/(\w+)", rest)) and self.command == "POST":
            self._status(project, match[1], data)
        elif (match := re.fullmatch(r"merge_requests/(\d+)", rest)) and (project, int(match[1])) in fake.heads:
            head = fake.heads[project, int(match[1])]
            self._answer(200, {"iid": int(match[1]), "sha": head, "target_branch": "main", "state": "opened"})
        elif match := re.fullmatch(r"merge_requests/(\d+)/notes(?:/(\d+))?", rest):
            self._notes(project, int(match[1]), match[2], data)
        elif match := re.fullmatch(r"members/all/(\d+)", rest):
            level = fake.members.get((project, int(match[1])))
            if level is None:
                self._answer(404, {"message": "404 Not found"})
            else:
                self._answer(200, {"id": int(match[1]), "access_level": level})
        else:
            self._answer(404, {"error": "404 Not Found"})

    def _hook(self, project, number, test, data):
        fake = self.fake
        hooks = fake.hooks.get(project, {})
        if number not in hooks:
            self._answer(404, {"message": "404 Not found"})
        elif test:
            fake.sent_tests.append((number, test))
            self._answer(201, {"message": "201 Created"})
        elif self.command == "DELETE":
            del hooks[number]
            self._answer(204)
        else:
            hooks[number] |= data
            self._answer(200, hooks[number])

    def _status(self, project, commit, data):
        fake = self.fake
        if project in fake.closed:
            self._answer(403, {"message": "403 Forbidden"})
            return
        if commit not in fake.commits[project]:
            self._answer(404, {"message": "404 Commit Not Found"})
            return
        if commit not in fake.branches[project] and not re.fullmatch(REQUEST, data.get("ref", "")):
            self._answer(404, {"message": "404 References for commit Not Found"})
            return
        name = data.get("name", "default")
        last = [status for status in fake.statuses if (status["sha"], status["name"]) == (commit, name)]
        if last and last[-1]["state"] == data["state"]:
            self._answer(400, {"message": f"Cannot transition status via :run from :{data['state']}"})
            return
        status = {"id": fake.number(), "sha": commit, "project": project, **data, "name": name}
        fake.statuses.append(status)
        self._answer(201, status)

    def _notes(self, project, number, note, data):
        fake = self.fake
        notes = fake.notes.setdefault((project, number), [])
        if note is None and self.command == "GET":
            self._answer(200, notes)
        elif note is None:
            made = {"id": fake.number(), "body": data["body"], "author": BOT}
            notes.append(made)
            self._answer(201, made)
        else:
            found = next(one for one in notes if one["id"] == int(note))
            if found["author"]["id"] != BOT["id"]:
                self._answer(403, {"message": "403 Forbidden"})
                return
            found["body"] = data["body"]
            self._answer(200, found)


FakeGitLab.handler = _Handler
