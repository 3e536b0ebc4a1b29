#!/bin/bash
# What a CI job runs inside the harness's container, with the checkout as its working directory:
#   docker run --rm --init --privileged -v "$PWD":/tmp seatrial:latest bash -c "cd /tmp && ./autotest.sh"
# Leaves JUnit in build/junit and the report in build/reports. The exit code is that of the tests.
#
#   SEATRIAL_AUTOTEST  lint, unit, quick (the suites; default), system (the slow tests, then loads), full (build, then
#                      all suites)
#   SEATRIAL_ENGINE    docker (default) or podman: the engine in this container
#   SEATRIAL_SUITES    directories to run (default: suites); SEATRIAL_ARGS: more options for pytest
#   TESTFLAGS          as in Docker's own Makefile: -check.f REGEX
#   SEATRIAL_LOADS     profiles of stress/profiles and how long each (default: churn=2m soak=20m)
#   SEATRIAL_LABEL     stands before the names in JUnit, so that cells of a matrix stay apart
#   N                  workers (default: 8)
set -euo pipefail
cd "$(dirname "$0")"
mode=${SEATRIAL_AUTOTEST:-quick} engine=${SEATRIAL_ENGINE:-docker} label=${SEATRIAL_LABEL:-} workers=${N:-8}
# the checkout is mounted at /tmp: what programs leave in a temporary directory must not land in it
export TMPDIR=/var/tmp PYTHONPATH=$PWD/src PYTHONDONTWRITEBYTECODE=1
rm -rf build/reports build/junit  # an older run is not this one
mkdir -p build/reports build/junit

suites() {
    seatrial-engine "$engine" || return  # starts it, or says why it does not
    local more
    eval "more=(${SEATRIAL_ARGS:-})"  # as typed: quotes join words
    # shellcheck disable=SC2086 # words on purpose
    python3 -m pytest ${SEATRIAL_SUITES:-suites} -n "$workers" --engine "$engine" --results build/reports \
        -p no:cacheprovider ${TESTFLAGS:+--testflags="$TESTFLAGS"} "$@" "${more[@]}"
}

loads() {
    local load code=0
    for load in ${SEATRIAL_LOADS:-churn=2m soak=20m}; do  # each, also where an earlier one did not hold
        python3 -m seatrial stress "${load%%=*}" --duration "${load#*=}" --engine "$engine" --results build/reports \
            || code=$?
    done
    return "$code"
}

code=0
case $mode in
lint)
    ruff check . && mypy
    exit
    ;;
unit)
    python3 -m pytest tests/unit tests/contract -n "$workers" -p no:cacheprovider -o junit_suite_name=unit \
        --junitxml build/reports/unit/junit-unit.xml || code=$?
    ;;
quick) suites || code=$? ;;
system)
    suites --slow -m slow || code=$?
    loads || code=$((code ? code : $?))
    ;;
full)
    pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir build/dist .
    suites --slow || code=$?
    ;;
*)
    echo "SEATRIAL_AUTOTEST is lint, unit, quick, system or full, not: $mode" >&2
    exit 4
    ;;
esac
shopt -s nullglob
found=(build/reports/[!l]*/junit-*.xml)  # not those below the link `latest`
if ((${#found[@]} == 0)); then
    echo "no JUnit was written: nothing was tested" >&2
    exit $((code ? code : 5))
fi
python3 -m seatrial report junit-merge --out build/junit ${label:+--prefix "$label"} "${found[@]}"
exit "$code"
