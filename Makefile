# Everything that a target needs is set up by that target, inside this folder, from the lock file.
# Needed on the machine: make, and Python 3.11 or later with venv and pip.
#
#   .tools/python     the interpreter chosen (PYTHON=... chooses another)
#   .tools/uv         installs the rest
#   .venv             tests and checks
#   .tools/sam        the AWS SAM CLI
#   .tools/ministack  the AWS emulator; it runs the functions, so it must see none of .venv
#   .tools/runtime    what the Python runtime of Lambda brings
#   .tools/checkov    looks for weak settings in the template
#   .tools/audit      looks locked packages up in the advisories of osv.dev

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
LOCK_FLAGS ?=
PYENV_ROOT ?= $(HOME)/.pyenv
# The template's version first. Each is tried by running it: a shim may be there without a Python.
CANDIDATES := $(or $(PYTHON),python3.13 $(wildcard $(PYENV_ROOT)/versions/3.13*/bin/python3.13) \
	python3.14 python3.12 python3.11 python3)
FITS := import ensurepip, ssl, sys, venv; \
	assert sys.version_info >= (3, 11); print(sys.executable)

UV := .tools/uv/bin/uv
UV_FLAGS := UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 UV_NO_PROGRESS=1 VIRTUAL_ENV=
SYNC = $(UV_FLAGS) UV_PROJECT_ENVIRONMENT=$(@D) $(UV) sync --quiet --frozen --python "$$(cat .tools/python)"
BIN := .venv/bin

# Nothing here may reach an AWS account: made-up keys, and no profile of the user's.
# The SAM builds run another make, which must not take this one's variables.
SAM := env -u MAKEFLAGS -u MAKELEVEL -u AWS_PROFILE -u AWS_SESSION_TOKEN \
	AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 \
	AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true \
	SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR="$(CURDIR)/.tools/sam-home" \
	PATH="$(CURDIR)/.tools/uv/bin:$$PATH" "$(CURDIR)/.tools/sam/bin/sam"

# Nothing of the user's may skip a check, or send the template anywhere.
CHECKOV := env -i PATH="$$PATH" HOME="$(CURDIR)/.tools/checkov" LC_ALL=C.UTF-8 \
	.tools/checkov/bin/checkov --framework cloudformation --skip-download --quiet --compact
TRANSLATED := .aws-sam/translated.json

# Import paths are those of pytest, said once in pyproject.toml.
PATHS := import os, tomllib; print(os.pathsep.join(map(os.path.abspath, \
	tomllib.load(open("pyproject.toml", "rb"))["tool"]["pytest"]["ini_options"]["pythonpath"])))
LOCAL = PYTHONPATH="$$($(BIN)/python -c '$(PATHS)')"

SOURCES := template.yaml $(shell find statemachine layers functions -type f -not -name '*.pyc' 2>/dev/null)
BUILT := .aws-sam/build/template.yaml
TOOLS := .venv/.stamp .tools/sam/.stamp .tools/ministack/.stamp .tools/runtime/.stamp
CHECKERS := .tools/checkov/.stamp .tools/audit/.stamp
GROUPS := dev sam ministack runtime checkov audit uv
OSV_URL ?= https://api.osv.dev/v1/query

.PHONY: help run local test outage budget chaos prove bench check lint types template-check lock-check audit usersig ops build setup lock clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(TOOLS) $(BUILT) ## Deploy to an emulator on this machine, send messages, show what became of each user
	@$(LOCAL) $(BIN)/python -m local.run

local: $(TOOLS) $(BUILT) ## The same set-up, left running, with commands to try
	@$(LOCAL) $(BIN)/python -m local.run --stay

# Four at a time also on two cores: many of them wait more than they work.
test: $(TOOLS) $(CHECKERS) $(BUILT) ## Run all tests
	$(BIN)/pytest -n 4 --dist loadfile

outage: .venv/.stamp ## Simulate a four-hour outage of TIMPush in seconds
	@$(LOCAL) $(BIN)/python -m reliability.outage

budget: .venv/.stamp .tools/ministack/.stamp ## Measure how much of the budget a full queue uses, and that it holds (ARGS="--cpu 0.29": on Lambda's part of a processor)
	@$(LOCAL) $(BIN)/python -m reliability.budget $(ARGS)

chaos: .venv/.stamp .tools/ministack/.stamp ## Remove the tags of 100,000 users while everything goes wrong
	@$(LOCAL) $(BIN)/python -m reliability.chaos

prove: .venv/.stamp ## Try the properties with many examples, new each time
	HYPOTHESIS_PROFILE=many $(BIN)/pytest tests/properties

bench: $(TOOLS) $(BUILT) ## Compare with the other ways to do it, side by side; writes docs/benchmarks.md
	@$(LOCAL) $(BIN)/python -m benchmarks

check: lint types template-check lock-check ## Run all checks that are no tests

lint: .venv/.stamp ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.stamp ## Check types
	$(BIN)/mypy

template-check: .venv/.stamp .tools/sam/.stamp .tools/checkov/.stamp ## Check the template, as written and as translated
	$(SAM) validate --lint --template template.yaml
	@$(LOCAL) $(BIN)/python -m template.translate $(TRANSLATED)
	$(CHECKOV) --file template.yaml $(TRANSLATED)

lock-check: .venv/.stamp ## Check that what is pinned is what the lock file says
	$(UV_FLAGS) $(UV) lock --check --quiet --python "$$(cat .tools/python)"
	$(EXPORT_LAYER) | diff layers/timpush/requirements.txt -
	$(EXPORT_UV) | diff .ci/uv-requirements.txt -

# No part of check: it needs the network, and what it finds changes by the day. It stops at the first
# environment with a finding, or when the advisories cannot be had; the layer, which is deployed, first.
audit: .tools/audit/.stamp ## Look the locked packages up in the advisories of osv.dev (needs the network)
	@folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; \
	for group in $(GROUPS); do $(EXPORT) --only-group "$$group" > "$$folder/$$group.txt"; done; \
	cp layers/timpush/requirements.txt "$$folder/layer.txt"; \
	for name in layer $(GROUPS); do \
	  echo "$$name:"; \
	  .tools/audit/bin/pip-audit --strict --disable-pip --progress-spinner off \
	    --vulnerability-service osv --osv-url "$(OSV_URL)" --requirement "$$folder/$$name.txt" || { \
	      echo "The audit of $$name failed: a package has an advisory, or $(OSV_URL) could not be asked." >&2; \
	      exit 1; }; \
	done

usersig: .tools/python ## Sign, decode or verify a UserSig (ARGS="decode"; without: how)
	@PYTHONPATH=layers/timpush "$$(cat .tools/python)" -B tools/usersig.py $(or $(ARGS),--help)

ops: .venv/.stamp ## The operator's commands (ARGS="doctor --stack-name NAME"; without: how)
	@$(BIN)/python -B tools/timpush_ops $(or $(ARGS),--help)

build: $(BUILT) ## Build the functions and the layer with sam

setup: $(TOOLS) $(CHECKERS) ## Only set up what the other targets need

lock: .tools/uv/.stamp ## Bring uv.lock and the layer's pins in step (LOCK_FLAGS=--upgrade: newest versions)
	$(UV_FLAGS) $(UV) lock $(LOCK_FLAGS) --python "$$(cat .tools/python)"
	$(EXPORT_LAYER) > layers/timpush/requirements.txt
	$(EXPORT_UV) > .ci/uv-requirements.txt

clean: ## Remove everything that make set up or built
	rm -rf .venv .tools .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find functions layers tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

EXPORT = $(UV_FLAGS) $(UV) export --quiet --frozen --no-header --no-annotate --python "$$(cat .tools/python)"
EXPORT_LAYER = $(EXPORT) --no-default-groups
EXPORT_UV = $(EXPORT) --only-group uv

$(BUILT): $(SOURCES) .tools/sam/.stamp
	$(SAM) build

# Written only when it changes, so that what depends on it is redone only then.
.tools/python: FORCE
	@mkdir -p $(@D)
	@for python in $(CANDIDATES); do \
	  chosen="$$("$$python" -c '$(FITS)' 2>/dev/null)" && break || chosen=; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "No Python 3.11 or later with venv, pip and ssl among: $(strip $(CANDIDATES))" >&2; exit 1; \
	fi; \
	[ "$$chosen" = "$$(cat $@ 2>/dev/null)" ] || { echo "Python: $$chosen"; echo "$$chosen" > $@; }

.tools/uv/.stamp: .tools/python .ci/uv-requirements.txt
	"$$(cat .tools/python)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --only-binary :all: --requirement .ci/uv-requirements.txt
	@touch $@

.venv/.stamp: .tools/uv/.stamp uv.lock
	$(SYNC) --group dev
	@touch $@

.tools/sam/.stamp .tools/ministack/.stamp .tools/runtime/.stamp $(CHECKERS): .tools/uv/.stamp uv.lock
	$(SYNC) --only-group $(notdir $(@D))
	@touch $@
