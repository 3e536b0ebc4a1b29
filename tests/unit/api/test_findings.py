import json
from http.client import HTTPMessage

import pytest

from seatrial.api.findings import Findings
from seatrial.api.messages import Request, Response
from seatrial.exec import ExpectationError


def answer(status, body=b""):
    return Response(Request("POST", "/x"), status, "", HTTPMessage(), body)


def refusal(status, message):
    return answer(status, json.dumps({"message": message}).encode())


def told(findings):
    with pytest.raises(ExpectationError) as failure:
        findings.check()
    return str(failure.value)


def test_successes_and_refusals_with_a_message_are_no_findings():
    findings = Findings()
    findings.see(answer(201, b"{}"), {})
    findings.see(refusal(400, "no"), {})
    findings.check()
    assert findings.seen == {201: 1, 400: 1}


def test_nothing_asked_is_no_success():
    assert "no request" in told(Findings())


@pytest.mark.parametrize("body", [b"", b"Not Found", b'{"message": ""}', b"[]"])
def test_a_refusal_without_a_message_is_one(body):
    findings = Findings()
    findings.see(answer(404, body), {})
    assert told(findings).startswith("answers of 5xx or without a message: 404 without message\n")


def test_a_failure_with_a_message_is_one_and_the_smallest_request_is_shown():
    findings = Findings()
    findings.see(refusal(500, "cannot use /var/a: b"), {"Long": "x" * 40})
    findings.see(refusal(500, "cannot use /var/c: b"), {"A": 1})
    words = told(findings)
    assert words.startswith("answers of 5xx or without a message: 500 cannot use\n")
    assert '{"A": 1}' in words and "xxxx" not in words


def test_kinds_are_told_apart_by_words_and_not_by_what_was_made_up():
    findings = Findings()
    findings.see(refusal(500, 'bad mode "banana" of st-12345678-c1'), {"Mode": "banana"})
    findings.see(refusal(500, 'bad mode "pear" of 0123456789abcdef'), {"Mode": ["pear"]})
    findings.see(refusal(503, "bad mode of"), {})
    findings.see(refusal(500, "12"), {})
    first = told(findings).splitlines()[0]
    assert first == "answers of 5xx or without a message: 500 bad mode of | 500 in no words | 503 bad mode of"


def test_an_answer_of_two_values_is_known_by_the_first():
    findings = Findings()
    findings.see(answer(500, b'{"message": "unknown filter"}\n{"Volumes": []}'), {})
    assert told(findings).startswith("answers of 5xx or without a message: 500 unknown filter\n")
