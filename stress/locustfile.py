"""What locust loads: `seatrial stress PROFILE --locust` and `make stress-ui` start it for an engine."""

from seatrial.stress.locust_user import EngineUser, Stages

__all__ = ["EngineUser", "Stages"]
