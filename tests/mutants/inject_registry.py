"""A pytest plugin that puts a fault between tests and their registry: `-p inject_registry`, SEATRIAL_FAULTS=DIR.

A proxy stands in front of whatever registry a test talks to, the harness's own, Debian's or one named by its URL; it
stands there without a fault, too, and then changes no verdict.
"""

from __future__ import annotations

import functools

import pytest
from matrix import NONE, fault_id, pytest_generate_tests, pytest_runtest_makereport
from registry_faults import answering

from seatrial.api.client import Client
from seatrial.api.wire import Endpoint
from seatrial.lab.relay import forward
from seatrial.lab.web import Web
from seatrial.oci.registries import Hub

__all__ = ["fault", "fault_id", "pytest_generate_tests", "pytest_runtest_makereport"]


@pytest.fixture(autouse=True)
def fault(fault_id, monkeypatch):
    proxies = {}
    plain = Hub.__init__

    def proxied(at):
        if at in (proxy for _, proxy in proxies.values()):
            return at
        if at not in proxies:
            handed_on = functools.partial(forward, Client(at))
            served = Web(at.host, handed_on if fault_id == NONE else answering(handed_on, fault_id))
            proxies[at] = served, Endpoint(address=("127.0.0.1", served.port), host=at.host)
        return proxies[at][1]

    monkeypatch.setattr(Hub, "__init__", lambda self, at, *more, **named: plain(self, proxied(at), *more, **named))
    yield
    for served, _ in proxies.values():
        served.close()
