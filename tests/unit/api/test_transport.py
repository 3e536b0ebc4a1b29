import json
from http.client import HTTPMessage

import pytest

from seatrial.api.messages import Request, Response
from seatrial.api.transport import at, failed, well
from seatrial.exec import ExpectationError


def answer(status, *records):
    body = b"\n".join(json.dumps(record).encode() for record in records)
    return Response(Request("POST", "/images/create"), status, "", HTTPMessage(), body)


ERROR = {"errorDetail": {"message": "no such thing"}, "error": "no such thing"}


@pytest.mark.parametrize(
    "seen", [answer(404, {"message": "no such thing"}), answer(500, ERROR), answer(200, {"status": "x"}, ERROR)],
    ids=["status", "status-of-a-stream", "stream"],
)  # fmt: skip
def test_an_error_is_found_in_the_status_or_at_the_end_of_the_stream(seen):
    assert failed(seen) == "no such thing"


@pytest.mark.parametrize("seen", [answer(200), answer(200, {"status": "done"})], ids=["nothing", "success"])
def test_a_success_is_no_failure(seen):
    with pytest.raises(ExpectationError):
        failed(seen)


def test_a_stream_is_well_when_it_says_something_and_no_error():
    assert well(answer(200, {"status": "x"})) == [{"status": "x"}]
    for seen in answer(200), answer(200, ERROR, {"status": "x"}):
        with pytest.raises(ExpectationError):
            well(seen)


def test_the_path_of_a_manifest():
    assert at("127.0.0.1:5000/fleet/a:b") == "/v2/fleet/a/manifests/b"
