"""The fakes of Jenkins and GitLab, and a real Jenkins where one is named."""

import os

import fakes.gitlab
import fakes.hooks
import fakes.jenkins
import pytest


@pytest.fixture(scope="session")
def fake_jenkins():
    """The module of the fake Jenkins."""
    return fakes.jenkins


@pytest.fixture
def fake(fake_jenkins):
    """A fake Jenkins that answers."""
    with fake_jenkins.FakeJenkins() as controller:
        yield controller


@pytest.fixture
def connect(fake):
    """A function that connects to the fake, as its user unless told otherwise."""
    from seatrial.ci.jenkins import Controller

    def to(token=fake.token, user=fake.user, timeout=5.0, url=fake.url):
        return Controller(url, user, token, timeout=timeout)

    return to


@pytest.fixture(params=["fake", pytest.param("live", marks=pytest.mark.live_jenkins)])
def any_jenkins(request):
    """A controller's client: the fake's, and that of JENKINS_URL where one is named."""
    from seatrial.ci.jenkins import Controller

    if request.param == "fake":
        return request.getfixturevalue("connect")()
    url, token = os.environ.get("JENKINS_URL"), os.environ.get("JENKINS_TOKEN")
    if not url or not token:
        pytest.skip("no Jenkins to test against: JENKINS_URL and JENKINS_TOKEN name one")
    return Controller(url, os.environ.get("JENKINS_USER", "admin"), token)


@pytest.fixture
def gitlab():
    """A fake GitLab that answers."""
    with fakes.gitlab.FakeGitLab() as server:
        yield server


@pytest.fixture(scope="session")
def hooks():
    """The module with GitLab's events."""
    return fakes.hooks
