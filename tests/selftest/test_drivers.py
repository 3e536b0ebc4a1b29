"""The drivers of real engines keep the contract."""

import pytest

from seatrial.testkit import EngineContract


class LabContract(EngineContract):
    """The contract against a lab's engine, held by a lease of its own."""

    target = ""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, leased):
        return leased(cls.target)


class TestDocker(LabContract):
    target = "docker@bookworm"


class TestPodman(LabContract):
    target = "podman@bookworm"
