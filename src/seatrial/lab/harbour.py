"""A small registry in memory that has every end point of the distribution specification, also those that few have.

It is what the suite for registries is held against where Debian's has no such API, and what faults are put into.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from seatrial.archive import digest
from seatrial.hosts import Host
from seatrial.lab.web import Answer, Asked, Web

NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
DIGEST = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+"
INDEX = "application/vnd.oci.image.index.v1+json"
_PATH = re.compile(rf"/v2/(?P<name>{NAME})/(?P<kind>manifests|blobs/uploads|blobs|tags|referrers)/(?P<rest>[^/]*)")
_LONGEST = 4 << 20


@dataclass
class _Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # digest -> media type, content
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)


class Harbour(Web):
    """The registry; `change` alters answers (a fault), `referrers` says whether it has that API."""

    def __init__(
        self, host: Host, *, referrers: bool = True, deletion: bool = True,
        change: Callable[[Asked, Answer], Answer] = lambda _, answer: answer,
    ) -> None:  # fmt: skip
        self.repositories: dict[str, _Repository] = {}
        self._referrers = referrers
        self._deletion = deletion
        super().__init__(host, lambda asked: change(asked, self.answer(asked)))

    def store(self, name: str, files: Mapping[str, bytes], tag: str) -> str:
        """Take in the blobs of a layout and give its first manifest a tag, unchecked; return the digest."""
        repository = self.repositories.setdefault(name, _Repository())
        for path, data in files.items():
            if path.startswith("blobs/"):
                repository.blobs[":".join(path.split("/")[1:3])] = data
        described = json.loads(files["index.json"])["manifests"][0]
        sum_: str = described["digest"]
        repository.manifests[sum_] = (described["mediaType"], repository.blobs[sum_])
        repository.tags[tag] = sum_
        return sum_

    # -- requests ------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Answer:
        """Answer a request as the specification says."""
        if asked.path in ("/v2", "/v2/"):
            return Answer(200, {"Content-Type": "application/json"}, b"{}")
        match = _PATH.fullmatch(asked.path)
        if not match:
            return error(404, "NAME_INVALID", "there is no such path")
        name, kind, rest = match["name"], match["kind"], match["rest"]
        writes = asked.method in ("POST", "PUT")
        if name not in self.repositories and not writes:
            return error(404, "NAME_UNKNOWN", f"there is no repository {name}")
        repository = self.repositories.setdefault(name, _Repository())
        handler: dict[str, Callable[[Asked, str, _Repository, str], Answer]] = {
            "manifests": self._manifest, "blobs": self._blob, "blobs/uploads": self._upload, "tags": self._tags,
            "referrers": self._refer,
        }  # fmt: skip
        return handler[kind](asked, name, repository, rest)

    def _blob(self, asked: Asked, name: str, repository: _Repository, sum_: str) -> Answer:
        if not known(sum_):
            return error(400, "DIGEST_INVALID", "no digest")
        if sum_ not in repository.blobs:
            return error(404, "BLOB_UNKNOWN", "there is no such blob")
        if asked.method == "DELETE":
            if not self._deletion:
                return error(405, "UNSUPPORTED", "deletion is disabled")
            del repository.blobs[sum_]
            return Answer(202)
        if asked.method not in ("GET", "HEAD"):
            return error(405, "UNSUPPORTED", "no such method")
        data = repository.blobs[sum_]
        headers = {"Docker-Content-Digest": sum_, "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
                   "Content-Length": str(len(data))}  # fmt: skip
        span = asked.headers.get("range", "")
        if span and (found := re.fullmatch(r"bytes=(\d*)-(\d*)", span)) and (found[1] or found[2]):
            first, last = _span(found[1], found[2], len(data))
            if first >= len(data) or first > last:
                return replace(error(416, "UNSUPPORTED", "out of range"),
                               headers={"Content-Range": f"bytes */{len(data)}"})  # fmt: skip
            part = data[first : last + 1]
            headers |= {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Content-Length": str(len(part))}
            return Answer(206, headers, part)
        return Answer(200, headers, data)

    def _manifest(self, asked: Asked, name: str, repository: _Repository, reference: str) -> Answer:
        if asked.method == "PUT":
            return self._put_manifest(asked, name, repository, reference)
        is_digest = ":" in reference
        if not re.fullmatch(DIGEST if is_digest else TAG, reference):
            return error(404, "MANIFEST_UNKNOWN", "no such form")
        sum_ = reference if is_digest else repository.tags.get(reference, "")
        if sum_ not in repository.manifests:
            return error(404, "MANIFEST_UNKNOWN", f"there is no manifest {reference}")
        if asked.method == "DELETE":
            if not self._deletion:
                return error(405, "UNSUPPORTED", "deletion is disabled")
            if is_digest:
                del repository.manifests[sum_]
                repository.tags = {tag: to for tag, to in repository.tags.items() if to != sum_}
            else:
                del repository.tags[reference]
            return Answer(202)
        if asked.method not in ("GET", "HEAD"):
            return error(405, "UNSUPPORTED", "no such method")
        kind, data = repository.manifests[sum_]
        headers = {"Content-Type": kind, "Docker-Content-Digest": sum_, "Content-Length": str(len(data))}
        return Answer(200, headers, data)

    def _put_manifest(self, asked: Asked, name: str, repository: _Repository, reference: str) -> Answer:
        if len(asked.body) > _LONGEST:
            return error(413, "SIZE_INVALID", "the manifest is too large")
        try:
            value = json.loads(asked.body)
        except ValueError:
            value = None
        if not isinstance(value, dict) or value.get("schemaVersion") != 2:
            return error(400, "MANIFEST_INVALID", "this is no manifest")
        kind = asked.headers.get("content-type", "").partition(";")[0].strip()
        if value.get("mediaType", kind) != kind:
            return error(400, "MANIFEST_INVALID", "Content-Type and mediaType differ")
        sum_ = reference if ":" in reference else digest(asked.body)
        if ":" in reference and (not known(reference) or digest(asked.body, reference.partition(":")[0]) != reference):
            return error(400, "DIGEST_INVALID", "the content has another digest")
        if ":" not in reference and not re.fullmatch(TAG, reference):
            return error(400, "TAG_INVALID", "no tag")
        needed = [value.get("config"), *(value.get("layers") or ())]
        missing = [one["digest"] for one in needed
                   if isinstance(one, dict) and one.get("digest") not in repository.blobs]  # fmt: skip
        missing += [one["digest"] for one in value.get("manifests") or () if one["digest"] not in repository.manifests]
        if missing:
            return error(400, "MANIFEST_BLOB_UNKNOWN", f"{missing[0]} is not there")
        repository.manifests[sum_] = (kind, asked.body)
        headers = {"Location": f"/v2/{name}/manifests/{sum_}", "Docker-Content-Digest": sum_}
        tags = [reference] if ":" not in reference else asked.query.get("tag", [])
        for tag in tags:
            repository.tags[tag] = sum_
        if ":" in reference and tags:
            headers["OCI-Tag"] = ", ".join(tags)
        if self._referrers and isinstance(value.get("subject"), dict):
            headers["OCI-Subject"] = value["subject"]["digest"]
        return Answer(201, headers)

    # -- uploads -------------------------------------------------------------------------------

    def _upload(self, asked: Asked, name: str, repository: _Repository, id_: str) -> Answer:
        if asked.method == "POST" and not id_:
            return self._begin(asked, name, repository)
        if id_ not in repository.uploads:
            return error(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
        data = repository.uploads[id_]
        here = {"Location": f"/v2/{name}/blobs/uploads/{id_}?state={len(data)}"}
        if asked.method == "GET":
            return Answer(204, {**here, "Range": f"0-{max(len(data) - 1, 0)}"})
        if asked.method == "DELETE":
            del repository.uploads[id_]
            return Answer(204)
        if asked.method not in ("PATCH", "PUT"):
            return error(405, "UNSUPPORTED", "no such method")
        span = re.fullmatch(r"(\d+)-(\d+)", asked.headers.get("content-range", ""))
        if span and (int(span[1]) != len(data) or int(span[2]) - int(span[1]) + 1 != len(asked.body)):
            return replace(error(416, "BLOB_UPLOAD_INVALID", "not the next chunk"),
                           headers={**here, "Range": f"0-{max(len(data) - 1, 0)}"})  # fmt: skip
        if asked.method == "PATCH":
            data += asked.body
            return Answer(202, {"Location": f"/v2/{name}/blobs/uploads/{id_}?state={len(data)}",
                                "Range": f"0-{max(len(data) - 1, 0)}"})  # fmt: skip
        return self._store(asked, name, repository, bytes(data) + asked.body, id_)

    def _begin(self, asked: Asked, name: str, repository: _Repository) -> Answer:
        query = asked.query
        if source := query.get("mount"):
            places = [self.repositories[one] for one in query.get("from", ()) if one in self.repositories]
            blob = next((one.blobs[source[0]] for one in places if source[0] in one.blobs), None)
            if blob is not None:
                repository.blobs[source[0]] = blob
                where = f"/v2/{name}/blobs/{source[0]}"
                return Answer(201, {"Location": where, "Docker-Content-Digest": source[0]})
        if "digest" in query:
            return self._store(asked, name, repository, asked.body, "")
        id_ = secrets.token_hex(16)
        repository.uploads[id_] = bytearray()
        return Answer(202, {"Location": f"/v2/{name}/blobs/uploads/{id_}?state=0", "Range": "0-0"})

    def _store(self, asked: Asked, name: str, repository: _Repository, data: bytes, id_: str) -> Answer:
        sum_ = asked.query.get("digest", [""])[0]
        if not known(sum_) or digest(data, sum_.partition(":")[0]) != sum_:
            return error(400, "DIGEST_INVALID", "the content has another digest")
        repository.uploads.pop(id_, None)
        repository.blobs[sum_] = data
        return Answer(201, {"Location": f"/v2/{name}/blobs/{sum_}", "Docker-Content-Digest": sum_})

    # -- discovery -----------------------------------------------------------------------------

    def _tags(self, asked: Asked, name: str, repository: _Repository, rest: str) -> Answer:
        if rest != "list" or asked.method != "GET":
            return error(404, "UNSUPPORTED", "no such path")
        after = asked.query.get("last", [""])[0]
        tags = [tag for tag in sorted(repository.tags) if tag > after]
        limit = asked.query.get("n", [""])[0]
        headers = {"Content-Type": "application/json"}
        if limit.isdigit():
            page = tags[: int(limit)]
            if 0 < int(limit) < len(tags):
                headers["Link"] = f'</v2/{name}/tags/list?n={limit}&last={quote(page[-1])}>; rel="next"'
            tags = page
        return Answer(200, headers, json.dumps({"name": name, "tags": tags}).encode())

    def _refer(self, asked: Asked, name: str, repository: _Repository, sum_: str) -> Answer:
        if not self._referrers:
            return error(404, "UNSUPPORTED", "no referrers")
        if not known(sum_):
            return error(400, "DIGEST_INVALID", "no digest")
        found = [described for key, (kind, data) in repository.manifests.items()
                 if (described := _referrer(key, kind, data, sum_))]  # fmt: skip
        headers = {"Content-Type": INDEX}
        if wanted := asked.query.get("artifactType"):
            found = [one for one in found if one.get("artifactType") == wanted[0]]
            headers["OCI-Filters-Applied"] = "artifactType"
        body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        return Answer(200, headers, json.dumps(body).encode())


def known(sum_: str) -> bool:
    """Tell whether a text is a digest of an algorithm that is calculated here."""
    algorithm, _, encoded = sum_.partition(":")
    return {"sha256": 64, "sha512": 128}.get(algorithm) == len(encoded) and not set(encoded) - set("0123456789abcdef")


def error(status: int, code: str, message: str) -> Answer:
    """Return a refusal as the specification writes it."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": {}}]}).encode()
    return Answer(status, {"Content-Type": "application/json"}, body)


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(size - int(last), 0), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _referrer(key: str, kind: str, data: bytes, subject: str) -> dict[str, Any]:
    value: Mapping[str, Any] = json.loads(data)
    if (value.get("subject") or {}).get("digest") != subject:
        return {}
    type_ = value.get("artifactType") or (value.get("config") or {}).get("mediaType")
    more = {"artifactType": type_, "annotations": value.get("annotations")}
    present = {name: value for name, value in more.items() if value}
    return {"mediaType": kind, "digest": key, "size": len(data), **present}
