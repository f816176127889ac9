# Everything that a target needs is set up by that target, inside this folder, from the lock file.
# Needed on the machine: make, and Python 3.11 or later with venv and pip.
#
#   .tools/python     the interpreter chosen (PYTHON=... chooses another)
#   .tools/uv         installs the rest
#   .venv             tests and checks
#   .tools/ops        the operator's commands (./ops)
#   .tools/sam        the AWS SAM CLI
#   .tools/ministack  the AWS emulator; it runs the functions, so it must see none of .venv
#   .tools/runtime    what the Python runtime of Lambda brings
#   .tools/checkov    looks for weak settings in the template
#   .tools/awscli     runs the examples of the documents
#   .tools/audit      looks locked packages up in the advisories of osv.dev

# All output of the set-up goes to stderr, a line a step (.ci/step); stdout is the target's own.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
comma := ,
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# What the user's environment must not change: import paths, and the encoding of the files read here.
unexport PYTHONPATH PYTHONHOME
export PYTHONUTF8 := 1

# Servers of the tests and of the local run are on this machine: no proxy is asked for them.
export NO_PROXY := $(if $(NO_PROXY)$(no_proxy),$(or $(NO_PROXY),$(no_proxy))$(comma))127.0.0.1,localhost,::1
export no_proxy := $(NO_PROXY)

# A home that cannot be written to holds no caches: they are kept here.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
WRITABLE := $(shell for folder in "$(CACHE)/uv" "$(CACHE)" "$(HOME)"; do \
	if [ -e "$$folder" ]; then if [ -w "$$folder" ]; then echo yes; fi; break; fi; done)
ifneq ($(WRITABLE),yes)
export UV_CACHE_DIR ?= $(CURDIR)/.tools/uv-cache
export PIP_CACHE_DIR ?= $(CURDIR)/.tools/pip-cache
export MPLCONFIGDIR ?= $(CURDIR)/.tools/matplotlib
endif

PYTHON ?=
LOCK_FLAGS ?=
PYENV_ROOT ?= $(HOME)/.pyenv
# The template's version first. Each is tried by running it: a shim may be there without a Python.
CANDIDATES := $(if $(PYTHON),'$(PYTHON)',python3.13 \
	$(wildcard $(PYENV_ROOT)/versions/3.13*/bin/python3.13) python3.14 python3.12 python3.11 python3)
FITS := import ensurepip, ssl, sys, venv; \
	assert sys.version_info >= (3, 11); print(sys.executable)

STEP := .ci/step
UV := .tools/uv/bin/uv
UV_FLAGS := env UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 UV_NO_PROGRESS=1 UV_HTTP_RETRIES=2 VIRTUAL_ENV=
SYNC = $(UV_FLAGS) UV_PROJECT_ENVIRONMENT=$(@D) $(UV) sync --quiet --frozen --python "$$(cat .tools/python)"
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --retries 2 --require-hashes
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
	.tools/checkov/bin/checkov --config-file .checkov.yaml --framework cloudformation --skip-download \
	--quiet --compact
TEMPLATES := template.yaml jobs/template.yaml monitoring/template.yaml
TRANSLATED := .aws-sam/translated

# Import paths are those of pytest, said once in pyproject.toml.
PATHS := import os, tomllib; print(os.pathsep.join(map(os.path.abspath, \
	tomllib.load(open("pyproject.toml", "rb"))["tool"]["pytest"]["ini_options"]["pythonpath"])))
LOCAL = PYTHONPATH="$$($(BIN)/python -c '$(PATHS)')"

SOURCES := $(sort $(wildcard *.yaml */template.yaml) $(shell find jobs layers functions -type f -not -name '*.pyc' 2>/dev/null))
BUILT := .aws-sam/build/template.yaml
NAMES := .aws-sam/sources
TOOLS := .venv/.stamp .tools/sam/.stamp .tools/ministack/.stamp .tools/runtime/.stamp
CHECKERS := .tools/checkov/.stamp .tools/audit/.stamp .tools/awscli/.stamp
GROUPS := dev ops sam ministack runtime checkov audit awscli uv
OSV_URL ?= https://api.osv.dev/v1/query

.PHONY: help run local test test-slow upgrade outage trouble budget chaos prove compare bench docs docs-test picture check lint types template-check \
	lock-check audit usersig ops build setup lock clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nTimes are of two processor cores; the first run of a target also sets it up (about a minute).\n'

##@ Try it
run: $(TOOLS) $(BUILT) ## Deploy to an emulator on this machine, remove the tags of 5,000 users, and of a file of 5,000 (1 min)
	@$(LOCAL) $(BIN)/python -m local.run $(ARGS)

local: $(TOOLS) $(BUILT) ## The same set-up, left running, with commands to try (until Ctrl-C)
	@$(LOCAL) $(BIN)/python -m local.run --stay $(ARGS)

##@ Operate
# The arguments reach no shell: what is special to it is left as it is. ./ops is the better way.
ops: export OPS_ARGS := $(value ARGS)
ops: .tools/python .tools/ops/.stamp ## The operator's commands, as ./ops (ARGS="doctor --stack-name NAME"; seconds)
	@"$$(cat .tools/python)" -c 'import os, shlex; \
	  os.execv("./ops", ["./ops", *(shlex.split(os.environ["OPS_ARGS"]) or ["--help"])])'

usersig: .tools/python ## Sign, decode or verify a UserSig, as tools/usersig.py (ARGS="decode"; without: how; 1 s)
	@"$$(cat .tools/python)" -B tools/usersig.py $(or $(ARGS),--help)

##@ Test
# Six at a time also on two cores: many of them wait more than they work.
test: $(TOOLS) $(CHECKERS) $(BUILT) ## Run all tests but the slow ones (5 min)
	@$(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder -m "not slow"

# One at a time: they measure, or start many processes.
test-slow: $(TOOLS) $(CHECKERS) .tools/ops/.stamp $(BUILT) ## Run the slow tests: small runs of benchmarks, chaos, budget and audit (8 min)
	@$(BIN)/pytest -m slow

prove: .venv/.stamp ## Run the property tests with many random examples (10 min)
	@HYPOTHESIS_PROFILE=many $(BIN)/pytest -o timeout=0 tests/properties

upgrade: $(TOOLS) $(BUILT) ## Upgrade a stack of version 0.1.0 that has messages in its queue, on the emulator (40 s)
	@$(LOCAL) $(BIN)/python -m local.upgrade

##@ Measure
compare: $(TOOLS) ## Count the users that a plain handler acknowledges without removing their tags (20 s)
	@$(LOCAL) $(BIN)/python -m benchmarks.acknowledged

outage: .venv/.stamp ## Simulate outages of TIMPush of 4 to 60 hours with the real decisions (5 min)
	@$(LOCAL) $(BIN)/python -m reliability.outage

trouble: .venv/.stamp ## Measure the pace while TIMPush fails in part, next to the error-free one, in virtual time (1 min)
	@$(LOCAL) $(BIN)/python -m reliability.trouble $(ARGS)

budget: .venv/.stamp .tools/ministack/.stamp ## Measure how much of the call budget a full queue uses (3 min; ARGS="--cpu 0.29": on Lambda's share of a processor)
	@$(LOCAL) $(BIN)/python -m reliability.budget $(ARGS)

chaos: .venv/.stamp .tools/ministack/.stamp ## Remove the tags of 100,000 users while everything goes wrong, by messages and by a job (4 min)
	@$(LOCAL) $(BIN)/python -m reliability.chaos $(ARGS)
	@$(LOCAL) $(BIN)/python -m reliability.chaos_job $(ARGS)

bench: $(TOOLS) $(BUILT) ## Compare with the other ways to do it (15 min; ARGS=--write: update docs/benchmarks.md and README.md)
	@$(LOCAL) $(BIN)/python -m benchmarks $(ARGS)

##@ Check
check: lint types template-check lock-check ## Run all checks other than tests (1 min)

lint: .venv/.stamp ## Check style and format (1 s)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: .venv/.stamp ## Check types (30 s)
	@$(BIN)/mypy

template-check: .venv/.stamp .tools/sam/.stamp .tools/checkov/.stamp ## Check the template, as written and as translated (20 s)
	@for template in $(TEMPLATES); do $(SAM) validate --lint --template $$template; done
	@$(LOCAL) $(BIN)/python -m template.translate $(TRANSLATED)
	$(CHECKOV) --file $(TEMPLATES) $(TRANSLATED)/*.json

lock-check: .venv/.stamp ## Check that what is pinned is what the lock file says (2 s)
	@$(UV_FLAGS) $(UV) lock --check --quiet --python "$$(cat .tools/python)"
	@$(EXPORT_LAYER) | diff layers/timpush/requirements.txt -
	@$(EXPORT_UV) | diff .ci/uv-requirements.txt -

# No part of check: it needs the network, and what it finds changes by the day. The layer, which is
# deployed, comes first.
audit: .tools/audit/.stamp ## Look the locked packages up in the advisories of osv.dev (1 min; needs the network)
	@folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; \
	for group in $(GROUPS); do $(EXPORT) --only-group "$$group" > "$$folder/$$group.txt"; done; \
	cp layers/timpush/requirements.txt "$$folder/layer.txt"; \
	.ci/audit "$(OSV_URL)" "$$folder" layer $(GROUPS)

##@ Maintain
build: $(BUILT) ## Build the functions and the layer with sam (5 s)

setup: $(TOOLS) $(CHECKERS) ## Only set up what the other targets need (1 min)

docs: .venv/.stamp ## Write the tables and drawings of docs/ that state what template and code say (3 s)
	@$(LOCAL) $(BIN)/python -m documents

docs-test: $(TOOLS) .tools/awscli/.stamp .tools/ops/.stamp $(BUILT) ## Try every command of the documents, on the local stack (2 min)
	@$(LOCAL) $(BIN)/python -m documents.examples

picture: $(TOOLS) $(BUILT) ## Draw the end of make run as it is in README.md (30 s)
	@$(LOCAL) $(BIN)/python -m documents.picture

lock: .tools/uv/.stamp ## Update uv.lock and the layer's pinned versions (5 s; LOCK_FLAGS=--upgrade: newest versions)
	@$(UV_FLAGS) $(UV) lock $(LOCK_FLAGS) --python "$$(cat .tools/python)"
	@$(EXPORT_LAYER) > layers/timpush/requirements.txt
	@$(EXPORT_UV) > .ci/uv-requirements.txt

clean: ## Remove everything that make set up or built (1 s)
	rm -rf .venv .tools .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find functions layers lab testing tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

EXPORT = $(UV_FLAGS) $(UV) export --quiet --frozen --no-header --no-annotate --python "$$(cat .tools/python)"
EXPORT_LAYER = $(EXPORT) --no-default-groups
EXPORT_UV = $(EXPORT) --only-group uv

$(BUILT): $(SOURCES) $(NAMES) .tools/sam/.stamp
	@$(STEP) "Building the functions and the layer" $(SAM) build

# A source that is moved keeps its time, and one that is removed has none: so their names count too.
$(NAMES): FORCE
	@mkdir -p $(@D)
	@echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' > $@

# Written only when it changes, so that what depends on it is redone only then.
.tools/python: FORCE
	@mkdir -p $(@D)
	@for python in $(CANDIDATES); do \
	  chosen="$$("$$python" -c '$(FITS)' 2>/dev/null)" && break || chosen=; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "No Python 3.11 or later with venv, pip and ssl among: $(strip $(CANDIDATES))" >&2; exit 1; \
	fi; \
	[ "$$chosen" = "$$(cat $@ 2>/dev/null)" ] || { echo "Python: $$chosen" >&2; echo "$$chosen" > $@; }

.tools/uv/.stamp: .tools/python .ci/uv-requirements.txt
	@$(STEP) "Making a virtual environment for the installer" "$$(cat .tools/python)" -m venv --clear $(@D)
	@$(STEP) "Installing uv" $(@D)/bin/python $(PIP_INSTALL) --only-binary :all: --requirement .ci/uv-requirements.txt
	@touch $@

.venv/.stamp .tools/ops/.stamp: .tools/uv/.stamp uv.lock
	@$(STEP) "Setting up $(WHAT_$(@D))" $(SYNC) --group $(if $(filter .venv,$(@D)),dev,ops)
	@touch $@

.tools/sam/.stamp .tools/ministack/.stamp .tools/runtime/.stamp $(CHECKERS): .tools/uv/.stamp uv.lock
	@$(STEP) "Setting up $(WHAT_$(@D))" $(SYNC) --only-group $(notdir $(@D))
	@touch $@

WHAT_.venv := the environment of tests and checks
WHAT_.tools/ops := the environment of the operator's commands
WHAT_.tools/sam := the AWS SAM CLI
WHAT_.tools/ministack := the AWS emulator
WHAT_.tools/runtime := the Python runtime of Lambda
WHAT_.tools/checkov := the checker of the template
WHAT_.tools/audit := the audit of the packages
WHAT_.tools/awscli := the AWS CLI
