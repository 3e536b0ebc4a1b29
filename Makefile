# Sea trials for container engines. `make help` lists the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

# What is tested, and how much of it.
ENGINE ?=
SUITE ?=
N ?= 8
PYTEST_ARGS ?=
# --suite adds the durations of the suites cli and api.
BENCH_ARGS ?=
# What `make stress` does: stress/README.md lists the profiles.
PROFILE ?= mixed
STRESS_ARGS ?=
# As in Docker's own Makefile.
TESTFLAGS ?=
TESTDIRS ?=
# of the whole session: an hour for each engine
DEADLINE := $(shell expr 60 '*' $(words $(or $(ENGINE),one)))m
suites-full suites-runtimes: DEADLINE := 8h
TIMEOUT ?= $(DEADLINE)
export DOCKER_GRAPHDRIVER DOCKER_EXECDRIVER TESTFLAGS

# a kernel of their own (user-mode Linux), for mandatory access control
KERNEL_LABS := docker@bookworm/apparmor podman@bookworm/apparmor runc@bookworm/apparmor runc@bookworm/selinux crun@bookworm/selinux
CGROUP2_LABS := docker@bookworm/cgroup2 podman@bookworm/cgroup2
RUNTIME_LABS := runc@bookworm runc@trixie runc@sid crun@bookworm crun@trixie crun@sid runsc@bookworm
LABS := docker@bookworm docker@trixie docker@sid podman@bookworm podman@trixie podman@sid

engines = $(foreach target,$(ENGINE),--engine '$(target)')
# for what takes one target only
engine = $(if $(word 2,$(ENGINE)),$(error make $@ takes one ENGINE, not several: $(ENGINE)),$(engines))
# read by the plugin: a shell would take a REGEX apart
flags = $(if $(TESTFLAGS),--testflags="$$TESTFLAGS")
paths = $(if $(TESTDIRS),$(TESTDIRS:%=$(1)/%),$(1))
suites = $(if $(SUITE),$(SUITE:%=suites/%),$(call paths,suites))
pytest = $(PY) -m pytest --deadline $(TIMEOUT) $(PYTEST_ARGS) $(flags)

.PHONY: suites-kernels suites-runtimes oct image container-suites shell help setup suites suites-full test lint test-unit test-contract test-self test-integration-cli \
	test-docker-py bench stress stress-ui mutants lab doctor claims clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z<>%-]+:.*## /{gsub("%", "<name>", $$1); printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  variables: ENGINE=\"docker podman\" SUITE=cli N=8 PYTEST_ARGS= TESTFLAGS='-check.f REGEX' TESTDIRS="
	@echo "             TIMEOUT=60m (for each ENGINE; suites-full: 8h) DOCKER_GRAPHDRIVER= DOCKER_EXECDRIVER= (of private daemons)"
	@echo "             DOCKER_PY=CHECKOUT PROFILE=mixed STRESS_ARGS= BENCH_ARGS= OUTER=docker TAG= BASE_IMAGE="

setup: $(READY) ## the virtual environment with all dependencies

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON): apt-get install python3 python3-venv" >&2; exit 4; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: name one with PYTHON=" >&2; exit 4; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 4; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

suites: $(READY) ## the suites against an engine (one is brought up when none is reachable)
	$(pytest) $(suites) -n $(N) $(engines)

suites-full: $(READY) ## the suites with slow tests, by default against all six lab engines
	$(pytest) $(suites) -n $(N) --slow $(or $(engines),$(LABS:%=--engine %))
	$(if $(engines)$(SUITE),,$(MAKE) suites-runtimes suites-kernels)

suites-runtimes: $(READY) ## bare runtimes, with given bundles
	$(pytest) suites/oci/runtime suites/security/test_runtime.py -n $(N) $(RUNTIME_LABS:%=--engine %)

suites-kernels: $(READY) ## AppArmor, SELinux, cgroup v2 and all capabilities, really on: labs with a kernel of their own
	$(pytest) suites/security/test_apparmor.py suites/security/test_selinux.py -n 2 $(KERNEL_LABS:%=--engine %)
	$(pytest) suites/security/test_kernel.py suites/security/test_capabilities.py -k 'cgroups or privileged' -n 1 \
		$(CGROUP2_LABS:%=--engine %)
	$(pytest) suites/oci/runtime/test_cgroup_v2.py -n 2 --engine runc@bookworm/cgroup2 --engine crun@bookworm/cgroup2

suite-%: $(READY) ## one suite: make suite-cli
	$(pytest) suites/$* -n $(N) $(engines)

oct: $(READY) ## the cases of oct/cases against an engine: make oct ENGINE="docker@sid runc@bookworm"
	$(pytest) oct/cases -n $(N) $(engines)

test-integration-cli: $(READY) ## the CLI suite, under the name that it has in Docker's Makefile
	$(pytest) $(call paths,suites/cli) -n $(N) $(engines)

test: $(READY) lint ## the harness's own tests: lint, unit, contract, self-test
	$(pytest) $(call paths,tests) -n auto

lint: $(READY) ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m mypy

test-unit: $(READY) ## the harness's unit tests; TESTDIRS="report oci" narrows them
	$(pytest) $(call paths,tests/unit) $(if $(TESTDIRS),,tests/ci) -n auto

test-contract: $(READY) ## drivers held against the contract with fake engines
	$(pytest) tests/contract -n auto

test-self: $(READY) ## a slice of the suites against a real lab engine
	$(pytest) tests/selftest -n auto

$(VENV)/.docker-py: $(READY)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[docker-py]'
	@touch $@

test-docker-py: $(VENV)/.docker-py ## docker-py's own integration tests: DOCKER_PY=CHECKOUT ENGINE=docker@trixie
	@[ -n '$(DOCKER_PY)' ] || { echo "name a checkout of docker-py: make test-docker-py DOCKER_PY=DIR" >&2; exit 4; }
	$(PY) -m seatrial docker-py '$(DOCKER_PY)' $(engine)

# the engine that holds the harness's image
OUTER ?= docker
image_options = --engine '$(OUTER)' $(if $(TAG),--tag '$(TAG)')

image: $(READY) ## the harness as an image, offline: make image OUTER=docker@bookworm; BASE_IMAGE=debian:trixie asks a registry
	$(PY) -m seatrial image build $(image_options) $(if $(BASE_IMAGE),--base '$(BASE_IMAGE)')

container-suites: export SEATRIAL_ARGS = $(PYTEST_ARGS)
container-suites: $(READY) ## the suites inside the harness's container, against the engine in it (ENGINE=docker or podman)
	$(PY) -m seatrial image run $(image_options) --env N=$(N) --env SEATRIAL_SUITES='$(suites)' \
		--env SEATRIAL_ENGINE='$(or $(ENGINE),docker)' --env SEATRIAL_ARGS --env TESTFLAGS -- ./autotest.sh

shell: $(READY) ## a shell in the harness's container
	$(PY) -m seatrial image run $(image_options) -- bash

bench: $(READY) ## what the harness itself costs, paired with bare commands in one run (BENCH_ARGS=--suite: and all of suites/cli and api)
	$(PY) -m seatrial bench $(engine) $(BENCH_ARGS)

stress: $(READY) ## an engine under load: make stress PROFILE=churn STRESS_ARGS='--duration 10m'
	$(PY) -m seatrial stress $(PROFILE) $(engine) $(STRESS_ARGS)

stress-ui: $(READY) ## the same by locust, begun and ended on its page on loopback
	$(PY) -m seatrial stress $(PROFILE) $(engine) --ui $(STRESS_ARGS)

mutants: $(READY) ## show that the suites fail on engines that break their claims
	$(PY) tests/mutants/campaign.py $(engine) $(if $(N),-n $(N))

lab: $(READY) ## bring lab engines up and leave them: make lab ENGINE="docker@trixie podman@sid"
	$(PY) -m seatrial lab up $(or $(ENGINE),docker@bookworm)

doctor: $(READY) ## what this machine and its engines can do
	$(PY) -m seatrial doctor $(ENGINE)

claims: $(READY) ## which claims are tested, and why the others are not
	$(PY) -m seatrial claims

clean: ## what killed runs left behind, and caches of tools
	@if [ -x $(PY) ]; then $(PY) -m seatrial clean; fi
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build

distclean: clean ## clean, and the virtual environment
	rm -rf $(VENV)
