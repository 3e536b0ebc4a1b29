"""Health checks: states, retries, what a check may be, and who may be asked."""

import pytest

claim, effect, requires = pytest.mark.claim, pytest.mark.effect, pytest.mark.requires
case = pytest.param


def checked(engine, command, *options, run=("sleep", "3600")):
    """Start a container with a health check that comes often, or by hand where the engine has no clock of its own."""
    return engine.run("--health-cmd", command, *engine.trait("often"), *options, engine.image, *run)


def health(engine, c):
    for by_hand in engine.trait("check_by_hand"):
        engine.cli(*by_hand, c.name, expect=None)
    return c.state["Health"]


def until(engine, c, status):
    return c.until(status, lambda: (seen := health(engine, c))["Status"] == status and seen)


@claim("cli-093")
def test_check_that_succeeds_makes_healthy(engine):
    c = checked(engine, "echo fine; exit 0")
    seen = until(engine, c, "healthy")
    assert (seen["FailingStreak"], seen["Log"][-1]["ExitCode"]) == (0, 0)
    assert seen["Log"][-1]["Output"].strip() == "fine"


@claim("cli-093")
@effect("run --health-retries")
def test_check_that_fails_makes_unhealthy_after_the_retries(engine):
    c = checked(engine, "echo adrift; exit 1", "--health-retries", "5")  # the default is 3
    seen = until(engine, c, "unhealthy")
    assert seen["FailingStreak"] >= 5
    assert (seen["Log"][-1]["ExitCode"], seen["Log"][-1]["Output"].strip()) == (1, "adrift")
    assert c.status == "running"


@claim("cli-093")
def test_health_follows_the_check(engine):
    c = checked(engine, "test -e /up", "--health-retries", "1")
    until(engine, c, "unhealthy")
    c.sh("touch /up")
    assert until(engine, c, "healthy")["FailingStreak"] == 0
    c.sh("rm /up")
    until(engine, c, "unhealthy")


@claim("cli-093")
@effect("run --health-cmd")
@requires("healthcheck")
def test_health_starts_as_starting_and_stands_in_the_status(engine):
    c = engine.run("--health-cmd", "true", "--health-interval", "1h")
    assert c.state["Health"]["Status"] == "starting"
    assert "(health: starting)" in engine.cli("ps", "--filter", f"id={c.id}", "--format", "{{.Status}}").text
    healthy = checked(engine, "true")
    until(engine, healthy, "healthy")
    assert "(healthy)" in engine.cli("ps", "--filter", f"id={healthy.id}", "--format", "{{.Status}}").text


@claim("cli-093")
@effect("run --health-timeout")
@requires("healthcheck")
def test_check_that_hangs_fails_by_its_timeout(engine):
    c = checked(engine, "sleep 600", "--health-retries", "1", "--health-timeout", "300ms")
    seen = until(engine, c, "unhealthy")
    assert seen["Log"][-1]["ExitCode"] == -1
    assert "exceeded timeout" in seen["Log"][-1]["Output"]


@claim("cli-092")
@pytest.mark.parametrize(
    ("status", "word"),
    [case("200 OK", "healthy", id="200"), case("400 Bad Request", "unhealthy", id="400")],
)
def test_check_by_http_follows_the_status(engine, status, word):
    answer = f"HTTP/1.0 {status}\\r\\nContent-Length: 2\\r\\n\\r\\nok"
    serve = f"while :; do printf '{answer}' | nc -l -p 8080 >/dev/null; done"
    c = checked(engine, "for i in 1 2 3; do wget -q -O - http://127.0.0.1:8080/ && exit; sleep 0.1; done; exit 1",
                "--health-retries", "2", run=("sh", "-c", serve))  # fmt: skip
    until(engine, c, word)


@claim("cli-094")
@pytest.mark.parametrize(("port", "word"), [case(8080, "healthy", id="open"), case(8081, "unhealthy", id="closed")])
def test_check_by_tcp_follows_the_port(engine, port, word):
    serve = ("sh", "-c", "while :; do nc -l -p 8080 >/dev/null </dev/null; done")
    c = checked(engine, f"for i in 1 2 3; do nc -w 1 127.0.0.1 {port} </dev/null && exit; sleep 0.1; done; exit 1",
                "--health-retries", "2", run=serve)  # fmt: skip
    until(engine, c, word)


@claim("cli-093")
def test_check_runs_inside_the_container(engine):
    c = checked(engine, "echo $(hostname) $WHO", "--hostname", "vessel", "--env", "WHO=pilot")
    assert until(engine, c, "healthy")["Log"][-1]["Output"].strip() == "vessel pilot"


@claim("cli-093")
@effect("run --no-healthcheck")
def test_images_check_can_be_turned_off(engine):
    image = engine.build("FROM IMAGE\nHEALTHCHECK CMD exit 1\n", None, *engine.trait("dockers_format")).name
    kept = engine.inspect(image, "image")
    assert "exit 1" in (kept.get("Healthcheck") or kept["Config"]["Healthcheck"])["Test"]
    c = engine.run("--no-healthcheck", image, "sleep", "3600")
    assert not (c.state.get("Health") or {}).get("Status")


@claim("cli-093", "cli-115")
def test_bad_health_options_are_refused(engine):
    for options, says in (
        (("--no-healthcheck", "--health-cmd", "true"),
         "--no-healthcheck conflicts with|cannot specify both --no-healthcheck"),
        (("--health-cmd", "true", "--health-retries=-1"), "retries cannot be negative|strconv.ParseUint: parsing"),
        (("--health-cmd", "true", "--health-interval", "often"), "invalid duration"),
        (("--health-cmd", "true", "--health-timeout=-1s"), "timeout (cannot be negative|must be at least)"),
    ):  # fmt: skip
        engine.fails("run", "--rm", *options, engine.image, "true", says=says)
