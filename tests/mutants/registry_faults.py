"""Faults of registries: each changes one thing in the answers, as a proxy before the registry would."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from seatrial.lab.harbour import error
from seatrial.lab.web import Answer, Asked

Change = Callable[[Asked, Answer], Answer]
Plain = Callable[[Asked], Answer]  # what the registry itself answers
Instead = Callable[[Asked, Plain], Answer]


@dataclass(frozen=True)
class RegistryFault:
    """One fault: of which requests (method, path), what is changed, and which claims that breaks."""

    words: str
    method: str
    path: str
    change: Change
    claims: tuple[str, ...]
    query: str = ""

    def fits(self, asked: Asked) -> bool:
        """Tell whether it concerns a request."""
        found = re.search(self.path, asked.path) and re.search(self.query, asked.target)
        return asked.method == self.method and bool(found)

    def __str__(self) -> str:
        return self.words


def good(change: Callable[[Answer], Answer]) -> Change:
    """Change answers that are no refusals."""
    return lambda _, answer: change(answer) if answer.status < 400 else answer


def status(code: int, of: int = 0) -> Change:
    """Answer with another status; those of one status where it is given, else those that are good."""
    def change(_: Asked, answer: Answer) -> Answer:
        fits = answer.status == of if of else answer.status < 400
        return dataclasses.replace(answer, status=code) if fits else answer

    return change


def header(name: str, value: str | None) -> Change:
    """Replace a header, or take it away."""
    def change(answer: Answer) -> Answer:
        kept = {key: old for key, old in answer.headers.items() if key != name}
        return dataclasses.replace(answer, headers=kept if value is None else {**kept, name: value})

    return good(change)


def body(function: Callable[[bytes], bytes]) -> Change:
    """Change what good answers hold, with its length."""
    def change(answer: Answer) -> Answer:
        data = function(answer.body)
        kept = {key: value for key, value in answer.headers.items() if key != "Content-Length"}
        return dataclasses.replace(answer, headers=kept, body=data)

    return good(change)


def value(function: Callable[[dict], object]) -> Change:
    """Change the JSON that good answers hold."""
    def change(data: bytes) -> bytes:
        loaded = json.loads(data)
        function(loaded)
        return json.dumps(loaded).encode()

    return body(change)


def each(function: Callable[[dict], object]) -> Change:
    """Change each descriptor of a list of referrers."""
    return value(lambda index: [function(one) for one in index["manifests"]])


OTHER = "sha256:" + "0" * 64
MANIFESTS, BLOBS, UPLOADS, UPLOAD = "/manifests/", "/blobs/[a-z0-9]+:", "/blobs/uploads/$", "/blobs/uploads/."
TAGS, REFERRERS = "/tags/list$", "/referrers/"


def _f(words: str, method: str, path: str, change: Change, *claims: str, query: str = "") -> RegistryFault:
    return RegistryFault(words, method, path, change, tuple(f"dist-{claim}" for claim in claims), query)


FAULTS: dict[str, RegistryFault] = {
    "base-404": _f("/v2/ is not there", "GET", "^/v2/$", status(404), "001"),
    "manifest-changed": _f("a manifest loses its white space", "GET", MANIFESTS,
                           body(lambda data: json.dumps(json.loads(data)).encode()), "002", "031"),
    "manifest-cut": _f("a manifest is cut off", "GET", MANIFESTS, body(lambda data: data[:-1]), "002", "031"),
    "manifest-digest-header": _f("a manifest has another digest in its header", "GET", MANIFESTS,
                                 header("Docker-Content-Digest", OTHER), "003"),
    "manifest-no-digest-header": _f("a manifest has no digest in its header", "GET", MANIFESTS,
                                    header("Docker-Content-Digest", None), "003"),
    "manifest-type": _f("manifests have the type of JSON", "GET", MANIFESTS, header("Content-Type", "application/json"),
                        "004", "036"),
    "manifest-charset": _f("the type of manifests has parameters", "GET", MANIFESTS,
                           header("Content-Type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8"), "004"),
    "manifest-unknown-200": _f("an unknown manifest is an empty one", "GET", MANIFESTS, status(200, of=404), "005"),
    "manifest-unknown-500": _f("an unknown manifest is an internal error", "GET", MANIFESTS, status(500, of=404),
                               "005", "006"),
    "repository-unknown-200": _f("an unknown repository has no error", "GET", "-never/manifests", status(200, of=404),
                                 "006"),
    "blob-changed": _f("one byte of a blob is another", "GET", BLOBS,
                       body(lambda data: data[:-1] + bytes([data[-1] ^ 1]) if data else data), "007"),
    "blob-empty": _f("blobs are empty", "GET", BLOBS, body(lambda _: b""), "007"),
    "blob-digest-header": _f("a blob has another digest in its header", "GET", BLOBS,
                             header("Docker-Content-Digest", OTHER), "008"),
    "blob-unknown-200": _f("an unknown blob is an empty one", "GET", BLOBS, status(200, of=404), "009"),
    "blob-unknown-code": _f("the error of an unknown blob has another code", "GET", BLOBS,
                            lambda _, answer: error(404, "UNKNOWN", "") if answer.status == 404 else answer,
                            "009", "061"),
    "head-length": _f("HEAD of a blob has no length", "HEAD", BLOBS, header("Content-Length", "0"), "011"),
    "head-digest": _f("HEAD has no digest", "HEAD", BLOBS, header("Docker-Content-Digest", None), "011"),
    "head-manifest-digest": _f("HEAD of a manifest has no digest", "HEAD", MANIFESTS,
                               header("Docker-Content-Digest", None), "011"),
    "head-manifest-length": _f("HEAD of a manifest says another length", "HEAD", MANIFESTS,
                               header("Content-Length", "1"), "011"),
    "head-404-is-200": _f("HEAD of what is not there answers 200", "HEAD", BLOBS, status(200, of=404), "012"),
    "head-manifest-404-is-200": _f("HEAD of an unknown manifest answers 200", "HEAD", MANIFESTS, status(200, of=404),
                                   "012"),
    "head-405": _f("HEAD is not allowed", "HEAD", BLOBS, status(405), "010"),
    "range-shifted": _f("ranges begin one byte early", "GET", BLOBS,
                        lambda _, answer: dataclasses.replace(answer, body=b"?" + answer.body[:-1])
                        if answer.status == 206 else answer, "013"),
    "range-header": _f("Content-Range is missing", "GET", BLOBS, header("Content-Range", None), "013"),
    "range-416-is-206": _f("a range behind the end is answered with nothing", "GET", BLOBS, status(206, of=416), "013"),
    "upload-200": _f("an upload begins with 200", "POST", UPLOADS, status(200, of=202), "016"),
    "upload-no-location": _f("an upload has no place", "POST", UPLOADS, header("Location", None), "016"),
    "upload-one-place": _f("all uploads have one place", "POST", UPLOADS,
                           lambda asked, answer: dataclasses.replace(answer, headers={
                               **answer.headers, "Location": f"{asked.path}the-same?state=0"})
                           if answer.status == 202 else answer, "017"),
    "blob-200": _f("a stored blob answers 200", "PUT", UPLOAD, status(200, of=201), "018"),
    "blob-location": _f("a stored blob has its place elsewhere", "PUT", UPLOAD, header("Location", "/v2/x/blobs/y"),
                        "019"),
    "single-location": _f("a single POST has its place elsewhere", "POST", UPLOADS,
                          header("Location", f"/v2/x/blobs/{OTHER}"), "020", query=r"\?digest="),
    "single-wrong-digest": _f("a single POST of another digest is taken", "POST", UPLOADS, status(201, of=400), "020",
                              query=r"\?digest="),
    "chunk-200": _f("a chunk answers 200", "PATCH", UPLOAD, status(200), "021"),
    "chunk-range": _f("a chunk answers with another range", "PATCH", UPLOAD, header("Range", "0-0"), "021"),
    "chunk-location": _f("a chunk answers without a place", "PATCH", UPLOAD, header("Location", None), "022"),
    "chunk-order": _f("a chunk out of order is taken", "PATCH", UPLOAD, status(202, of=416), "023"),
    "chunk-order-400": _f("a chunk out of order answers 400", "PATCH", UPLOAD, status(400, of=416), "023"),
    "upload-status-range": _f("an upload says that nothing came", "GET", UPLOAD, header("Range", "0-0"), "025"),
    "upload-status-200": _f("an upload answers 200", "GET", UPLOAD, status(200, of=204), "025"),
    "cancel-202": _f("cancelling an upload answers 202", "DELETE", UPLOAD, status(202), "026"),
    "digest-500": _f("a wrong digest is an internal error", "PUT", UPLOAD, status(500, of=400), "027"),
    "digest-201": _f("a wrong digest is taken", "PUT", UPLOAD, status(201, of=400), "027"),
    "mount-location": _f("a mounted blob is elsewhere", "POST", UPLOADS, header("Location", f"/v2/x/blobs/{OTHER}"),
                         "028", query="mount="),
    "mount-nothing": _f("what is not there is mounted", "POST", UPLOADS, status(201, of=202), "029", query="mount="),
    "mount-anonymous-nothing": _f("what is not there is mounted from nowhere", "POST", UPLOADS, status(201, of=202),
                                  "070", query=r"\?mount=[^&]*$"),
    "mount-anonymous-place": _f("a mount from nowhere has no place", "POST", UPLOADS, header("Location", None), "070",
                                query=r"\?mount=[^&]*$"),
    "stream-refused": _f("a stream is refused", "PATCH", UPLOAD,
                         lambda asked, answer: answer if "content-range" in asked.headers
                         else error(416, "BLOB_UPLOAD_INVALID", ""), "069"),
    "stream-200": _f("a stream answers 200", "PATCH", UPLOAD,
                     lambda asked, answer: answer if "content-range" in asked.headers
                     else dataclasses.replace(answer, status=200), "069"),
    "manifest-200": _f("a stored manifest answers 200", "PUT", MANIFESTS, status(200), "030"),
    "manifest-location": _f("a stored manifest is elsewhere", "PUT", MANIFESTS,
                            header("Location", f"/v2/x/manifests/{OTHER}"), "030"),
    "manifest-put-digest": _f("a stored manifest has another digest", "PUT", MANIFESTS,
                              header("Docker-Content-Digest", OTHER), "032"),
    "manifest-missing-blobs": _f("a manifest of missing blobs is taken", "PUT", MANIFESTS, status(201, of=400), "034",
                                 "035"),
    "manifest-missing-code": _f("a refused manifest has another code", "PUT", MANIFESTS,
                                lambda _, answer: error(400, "UNKNOWN", "") if answer.status == 400 else answer,
                                "034", "035"),
    "artifact-refused": _f("artifacts are refused", "PUT", MANIFESTS + "parts",
                           lambda *_: error(400, "MANIFEST_INVALID", ""), "037"),
    "index-refused": _f("indexes are refused", "PUT", MANIFESTS + "all", lambda *_: error(400, "MANIFEST_INVALID", ""),
                        "036"),
    "nested-refused": _f("an index of indexes is refused", "PUT", MANIFESTS + "nested",
                         lambda *_: error(400, "MANIFEST_INVALID", ""), "071"),
    "empty-refused": _f("an index of nothing is refused", "PUT", MANIFESTS + "empty",
                        lambda *_: error(400, "MANIFEST_INVALID", ""), "071"),
    "data-lost": _f("data is taken out of descriptors", "GET", MANIFESTS + "data",
                    value(lambda told: told["config"].pop("data", None)), "072"),
    "subject-refused": _f("a subject that is not there is refused", "PUT", MANIFESTS,
                          lambda asked, answer: error(400, "MANIFEST_BLOB_UNKNOWN", "")
                          if b'"subject"' in asked.body else answer, "038"),
    "subject-header": _f("a subject is not acknowledged", "PUT", MANIFESTS, header("OCI-Subject", None), "039"),
    "large-413": _f("a manifest of 4 MB is too large", "PUT", MANIFESTS,
                    lambda asked, answer: error(413, "SIZE_INVALID", "") if len(asked.body) > 1 << 20 else answer,
                    "040"),
    "tags-lost": _f("the last tag is not listed", "GET", TAGS, value(lambda told: told["tags"].pop()), "041"),
    "tags-twice": _f("a tag is listed twice", "GET", TAGS, value(lambda told: told["tags"].append(told["tags"][0])),
                     "041"),
    "tags-name": _f("tags are listed under another name", "GET", TAGS, value(lambda told: told.update(name="x")),
                    "041"),
    "tags-order": _f("tags are in no order", "GET", TAGS, value(lambda told: told["tags"].reverse()), "042"),
    "tags-404-is-200": _f("tags of no repository are none", "GET", TAGS, status(200, of=404), "043"),
    "tags-zero": _f("n of 0 has a next page", "GET", TAGS, header("Link", '</v2/x/tags/list>; rel="next"'), "045",
                    query="n=0"),
    "tags-link": _f("there is no next page", "GET", TAGS, header("Link", None), "047"),
    "tags-whole-link": _f("the whole list has a next page", "GET", TAGS,
                          header("Link", '</v2/x/tags/list>; rel="next"'), "044", query="n=100"),
    "referrers-type": _f("referrers are of the type of JSON", "GET", REFERRERS,
                         header("Content-Type", "application/json"), "048"),
    "referrers-none": _f("nothing refers to anything", "GET", REFERRERS,
                         value(lambda index: index.update(manifests=[])), "049", "050"),
    "referrers-size": _f("referrers have other sizes", "GET", REFERRERS, each(lambda one: one.update(size=1)), "049",
                         "048"),
    "referrers-artifact": _f("referrers have no artifactType", "GET", REFERRERS,
                             each(lambda one: one.pop("artifactType", None)), "050"),
    "referrers-annotations": _f("referrers have no annotations", "GET", REFERRERS,
                                each(lambda one: one.pop("annotations", None)), "050"),
    "referrers-invalid": _f("referrers of no digest are none", "GET", REFERRERS, status(200, of=400), "052"),
    "referrers-filter-header": _f("a filter is not named", "GET", REFERRERS, header("OCI-Filters-Applied", None), "053",
                                  query="artifactType"),
    "referrers-page-lost": _f("the second page of referrers is empty", "GET", REFERRERS, value(
        lambda index: index.update(manifests=index["manifests"][:1])), "068"),
    "sha512-other-201": _f("a blob of another SHA-512 is taken", "PUT", UPLOAD, status(201, of=400), "073",
                           query="digest=sha512"),
    "sha512-unknown": _f("blobs by SHA-512 are not found", "GET", "/blobs/sha512:", status(404), "073"),
    "oci-tag-one": _f("of several tags one is named", "PUT", MANIFESTS, header("OCI-Tag", "one"), "065",
                      query="tag=two"),
    "delete-tag-200": _f("a deleted tag answers 200", "DELETE", MANIFESTS + "v1", status(200), "055"),
    "delete-manifest-204": _f("a deleted manifest answers 204", "DELETE", MANIFESTS + "sha256", status(204), "056"),
    "delete-unknown-202": _f("deleting an unknown manifest answers 202", "DELETE", MANIFESTS, status(202, of=404),
                             "057"),
    "delete-blob-200": _f("a deleted blob answers 200", "DELETE", BLOBS, status(200), "058"),
    "delete-blob-unknown-202": _f("deleting an unknown blob answers 202", "DELETE", BLOBS, status(202, of=404), "059"),
    "errors-text": _f("errors are text", "GET", "/(manifests|blobs)/",
                      lambda _, answer: Answer(404, {"Content-Type": "text/plain"}, b"not found")
                      if answer.status == 404 else answer, "060"),
    "errors-one": _f("an error is no list", "GET", "/(manifests|blobs)/",
                     lambda _, answer: dataclasses.replace(answer, body=b'{"errors": {"code": "X"}}')
                     if answer.status == 404 else answer, "060"),
    "errors-lower": _f("codes are in lower case", "GET", "/(manifests|blobs)/",
                       lambda _, answer: dataclasses.replace(answer, body=answer.body.lower())
                       if answer.status == 404 else answer, "060"),
    "upload-unknown-200": _f("an unknown upload has come in part", "GET", UPLOAD, status(204, of=404), "062"),
}  # fmt: skip


def _kept_tag(asked: Asked, plain: Plain) -> Answer:
    """Store the manifest and leave the tag where it was."""
    accept = {"accept": "application/vnd.oci.image.manifest.v1+json"}
    before = plain(Asked("GET", asked.path, accept))
    answered = plain(asked)
    if before.status == 200 and answered.status == 201:
        kind = next(value for name, value in before.headers.items() if name.lower() == "content-type")
        plain(Asked("PUT", asked.path, {"content-type": kind}, before.body))
    return answered


# what is done instead of what was asked for
INSTEAD: dict[str, tuple[RegistryFault, Instead]] = {
    "idle-delete-manifest": (_f("a deleted manifest stays", "DELETE", MANIFESTS + "sha256", status(0), "056", "054"),
                             lambda *_: Answer(202)),
    "idle-delete-tag": (_f("a deleted tag stays", "DELETE", MANIFESTS + "v1", status(0), "055"),
                        lambda *_: Answer(202)),
    "idle-delete-blob": (_f("a deleted blob stays", "DELETE", BLOBS, status(0), "058"), lambda *_: Answer(202)),
    "idle-cancel": (_f("a cancelled upload stays", "DELETE", UPLOAD, status(0), "026"), lambda *_: Answer(204)),
    "idle-tag-move": (_f("a tag does not move", "PUT", MANIFESTS + "v1", status(0), "033"), _kept_tag),
}  # fmt: skip


def every() -> dict[str, RegistryFault]:
    """Return all faults by id."""
    return {**FAULTS, **{id_: fault for id_, (fault, _) in INSTEAD.items()}}


def answering(plain: Plain, id_: str) -> Plain:
    """Return how a registry answers under a fault."""

    def changed(asked: Asked) -> Answer:
        if id_ in INSTEAD:
            fault, instead = INSTEAD[id_]
            return instead(asked, plain) if fault.fits(asked) else plain(asked)
        answered = plain(asked)
        return FAULTS[id_].change(asked, answered) if FAULTS[id_].fits(asked) else answered

    return changed
