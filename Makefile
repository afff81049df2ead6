# The verbs. `make help` lists them; each sets up what it needs first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
USE_CASE ?=
SOURCE ?=
PROFILE ?=
TESTS ?= tests
MODELYARD_HOME ?= .modelyard
export MODELYARD_HOME

VENV := .venv
BIN := $(VENV)/bin
# An environment of its own for checks and unit tests: it is there in seconds, as nothing in it is compiled ahead and what fits
# networks is not in it.
CHECK := .tools/check
# The same for the pages of the documentation, which import what they document.
DOCS := .tools/docs
SITE := build/site
AUDIT := .tools/audit
# Its packages for Python download it when they are installed, or are of a fork; Go checks it against its public checksums.
ACTIONLINT := v1.7.12
# uv from PATH, or one of our own in a private place.
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
# Most tests wait for something: three processes keep two cores busy. Each has servers of its own; a module's tests share some,
# and stay together.
PARALLEL := --numprocesses 3 --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/python -m pytest $(PARALLEL)
# $(call system-package,NAME,what is so without it): Debian's package, where it can be installed.
system-package = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q >/dev/null && \
	apt-get install -y -q --no-install-recommends $(1) >/dev/null; } || echo "$(1) cannot be installed here: $(2)" >&2
UPGRADE :=
# No list names an index: packages come from wherever this machine gets them.
RESOLVE := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(UPGRADE)
COMPILE := $(RESOLVE) pyproject.toml
# All others are parts of the first.
AUDITED := $(addprefix requirements/,all.txt audit.txt benchmarks.txt uv.txt)
SERVING := --extra api
DOCUMENTED := --extra steps --extra api --extra local
LOCAL := --extra steps --extra api --extra airflow --extra mlflow --extra jupyter --extra frontend --extra compose --extra local --extra build

.PHONY: help
help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: demo
demo: $(VENV)/.local ## Run the whole loop once and show it (USE_CASE=name SOURCE=file.csv PROFILE=name)
	@extra=$$($(BIN)/modelyard extra $(if $(USE_CASE),--use-case "$(USE_CASE)")); [ -z "$$extra" ] || $(MAKE) "$$extra"
	@$(BIN)/modelyard demo $(if $(USE_CASE),--use-case "$(USE_CASE)") $(if $(SOURCE),--source "$(SOURCE)") $(if $(PROFILE),--profile "$(PROFILE)")

# What a use case may name as its extra.
.PHONY: tensorflow
tensorflow: $(VENV)/.tensorflow ## Install what models of pictures are trained with
	@:

.PHONY: up-local
up-local: $(VENV)/.local ## Start the platform as native processes
	@$(BIN)/modelyard up-local

.PHONY: down-local
down-local: $(VENV)/.local ## Stop the native processes; the data stays
	@$(BIN)/modelyard down-local

.PHONY: check
check: $(CHECK)/.installed ## Lint, check formatting, types and architecture; changes nothing
	@$(CHECK)/bin/ruff check .
	@$(CHECK)/bin/ruff format --check .
	@$(CHECK)/bin/mypy
	@PYTHONPATH=src $(CHECK)/bin/lint-imports

# Everything is read anew: what an earlier build warned of would be passed over otherwise.
.PHONY: docs
docs: $(DOCS)/.installed ## Build the documentation as a site; a dead link or an undocumented public name fails it
	@$(DOCS)/bin/sphinx-build -q -E -W --keep-going -c docs/site -d build/doctrees . $(SITE)
	@echo "$(SITE)/index.html"

.PHONY: test-unit
test-unit: $(CHECK)/.installed ## Run the unit tests: no servers, no TensorFlow
	@$(CHECK)/bin/python -m pytest $(PARALLEL) -m "not long" tests/unit

.PHONY: coverage
coverage: $(VENV)/.dev ## Run the tests and show which lines and branches of src and services they reach (TESTS=tests/unit)
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m coverage run -m pytest $(PARALLEL) -m "not long" $(TESTS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

.PHONY: audit
audit: $(AUDIT)/.installed ## Look for known vulnerabilities in requirements/, and for weak places in the workflows
	@$(AUDIT)/bin/actionlint
	@$(AUDIT)/bin/zizmor --offline --no-progress .github
	@failed=; for list in $(AUDITED); do \
		echo "$$list:"; $(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r "$$list" || failed=1; \
	done; [ -z "$$failed" ] || { \
		echo "error: see above: a version has a known vulnerability (take a newer one by 'make upgrade'), or the service could not be asked about all of them" >&2; \
		exit 1; \
	}

.PHONY: test
test: $(VENV)/.dev ## Run the tests
	@$(PYTEST) -m "not long"

.PHONY: test-all
test-all: $(VENV)/.dev ## Run the tests and those that take many minutes; all but those of the platform in containers
	@$(PYTEST)

.PHONY: browser
browser: ## Install a browser for the tests, where this can be done
	@for name in chromium chromium-browser google-chrome; do ! command -v $$name >/dev/null || exit 0; done; \
	$(call system-package,chromium,the tests that need a browser will be skipped)

.PHONY: screenshots
screenshots: $(VENV)/.dev ## Take the pictures of the frontend that runs, for docs/images (USE_CASES="one two")
	@$(BIN)/python -m tests.screenshots "http://127.0.0.1:$${FRONTEND_PORT:-8501}" $(USE_CASES)

.PHONY: diagrams
diagrams: browser $(VENV)/.dev ## Draw the diagrams of the documentation that are new or have changed
	@$(BIN)/python -m docs.site.draw

.PHONY: wrk
wrk: ## Install the client of the benchmarks, where this can be done
	@command -v wrk >/dev/null || $(call system-package,wrk,serving will not be measured)

.PHONY: bench
bench: wrk $(VENV)/.dev ## Measure beside peers, print a table, write bench.json
	@$(BIN)/python -m benchmarks.run

.PHONY: bench-long
bench-long: $(VENV)/.benchmarks ## Measure what takes longer: public tables, and the loop of an earlier revision; keep the results
	@$(BIN)/python -m benchmarks.probabilities
	@$(BIN)/python -m benchmarks.before

.PHONY: lock
lock: $(UV) ## Resolve all dependencies again into requirements/; versions stay where they can
	@$(RESOLVE) requirements/uv.in -o requirements/uv.txt
	@$(RESOLVE) requirements/audit.in -o requirements/audit.txt
	@$(COMPILE) --all-extras -o requirements/all.txt
	@$(COMPILE) -c requirements/all.txt $(SERVING) -o requirements/api.txt
	@$(COMPILE) -c requirements/all.txt --extra steps --extra compose -o requirements/steps.txt
	@$(COMPILE) -c requirements/all.txt --extra airflow -o requirements/airflow-docker.txt
	@$(COMPILE) -c requirements/all.txt --extra airflow --extra steps -o requirements/airflow-process.txt
	@$(COMPILE) -c requirements/all.txt --extra mlflow -o requirements/mlflow.txt
	@$(COMPILE) -c requirements/all.txt --extra steps --extra jupyter -o requirements/jupyter.txt
	@$(COMPILE) -c requirements/all.txt --extra frontend -o requirements/frontend.txt
	@$(COMPILE) -c requirements/all.txt --extra steps --extra compose --extra tensorflow -o requirements/steps-tensorflow.txt
	@$(COMPILE) -c requirements/all.txt $(LOCAL) -o requirements/local.txt
	@$(COMPILE) -c requirements/all.txt $(LOCAL) --extra tensorflow -o requirements/local-tensorflow.txt
	@$(COMPILE) -c requirements/all.txt $(LOCAL) --extra tensorflow --extra dev -o requirements/dev.txt
	@$(RESOLVE) -c requirements/all.txt requirements/benchmarks.in -o requirements/benchmarks.txt
	@$(COMPILE) -c requirements/all.txt $(LOCAL) --extra dev -o requirements/check.txt
	@$(COMPILE) -c requirements/all.txt $(DOCUMENTED) --extra build --extra docs -o requirements/docs.txt

.PHONY: upgrade
upgrade: ## Resolve all dependencies again into requirements/, to their newest versions
	@$(MAKE) lock UPGRADE=--upgrade

.PHONY: dist
dist: | $(UV) ## Build the wheel and the source distribution into dist/
	@$(UV) build --quiet --clear --build-constraints requirements/all.txt --require-hashes --out-dir dist

.PHONY: clean
clean: ## Remove all local state (MODELYARD_HOME), the environments and what was built
	@if [ -x $(BIN)/modelyard ] && [ -d "$(MODELYARD_HOME)" ]; then $(BIN)/modelyard down-local; fi
	@rm -rf -- "$(MODELYARD_HOME)" $(VENV) .tools build

$(VENV)/.local: requirements/local.txt pyproject.toml $(VENV)/.python | $(UV)
	@echo "installing the environment into $(VENV) (about a minute)" >&2
	@$(UV) pip install -q --python $(VENV) --require-hashes --compile-bytecode -r requirements/local.txt
	@$(UV) pip install -q --python $(VENV) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.local
	@$(UV) pip install -q --python $(VENV) --require-hashes --compile-bytecode -r requirements/dev.txt
	@touch $@

$(VENV)/.benchmarks: requirements/benchmarks.txt $(VENV)/.dev
	@$(UV) pip install -q --python $(VENV) --require-hashes --compile-bytecode -r requirements/benchmarks.txt
	@touch $@

$(VENV)/.tensorflow: requirements/local-tensorflow.txt $(VENV)/.local
	@echo "installing TensorFlow into $(VENV) (1.4 GB; about a minute)" >&2
	@$(UV) pip install -q --python $(VENV) --require-hashes --compile-bytecode -r requirements/local-tensorflow.txt
	@touch $@

$(CHECK)/.installed: requirements/check.txt $(CHECK)/.python
	@$(UV) pip install -q --python $(CHECK) --require-hashes -r requirements/check.txt
	@touch $@

$(DOCS)/.installed: requirements/docs.txt pyproject.toml $(DOCS)/.python
	@echo "installing what the documentation is built with into $(DOCS)" >&2
	@$(UV) pip install -q --python $(DOCS) --require-hashes -r requirements/docs.txt
	@$(UV) pip install -q --python $(DOCS) --no-deps --no-build-isolation -e .
	@touch $@

$(AUDIT)/.installed: requirements/audit.txt $(AUDIT)/.python
	@$(UV) pip install -q --python $(AUDIT) --require-hashes -r requirements/audit.txt
	@command -v go >/dev/null || { echo "error: Go builds actionlint, and is not here: see https://go.dev/doc/install" >&2; exit 1; }
	@GOBIN="$(CURDIR)/$(AUDIT)/bin" go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT)
	@touch $@

$(VENV)/.python $(CHECK)/.python $(DOCS)/.python $(AUDIT)/.python: | $(UV)
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("Modelyard needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d: name another one with `make PYTHON=python3.12 …`" % sys.version_info[:2])'
	@$(UV) venv -q --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" --no-python-downloads --clear $(@D)
	@touch $@

.tools/uv/bin/uv: requirements/uv.txt
	@echo "installing uv into .tools" >&2
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# --- The platform in containers ----------------------------------------------------------------------------------------

COMPOSE := docker compose

.PHONY: up
up: ## Build and start the platform in containers, wait, show where everything is
	@$(PYTHON) docker/up.py

.PHONY: down
down: ## Stop the containers; the data stays
	@$(COMPOSE) stop --timeout 30 airflow-scheduler
	@docker ps -aq --filter label=org.modelyard.step --filter network=$$($(COMPOSE) config | sed -n 's/^name: //p')_default | xargs -r docker rm -f >/dev/null
	@$(COMPOSE) --profile replicas down

.PHONY: images
images: ## Build the images and print their sizes
	@$(COMPOSE) build
	@STEP_RUNNER=process $(COMPOSE) build airflow-init
	@docker images --format '{{.Repository}}:{{.Tag}}\t{{.Size}}' --filter reference='*modelyard-*' | grep -v modelyard-offline | sort | expand -t 40

.PHONY: publish
publish: ## Build the images with their SBOM and provenance, and push them to IMAGE_REGISTRY
	@$(COMPOSE) build --push --sbom=true --provenance=mode=max
	@STEP_RUNNER=process $(COMPOSE) build --push --sbom=true --provenance=mode=max airflow-init

.PHONY: images-tensorflow
images-tensorflow: ## Build the image that models of pictures are trained in
	@STEPS_EXTRA=-tensorflow $(COMPOSE) build secrets

.PHONY: offline-images
offline-images: ## Make stand-ins for the public base images where no registry can be reached
	@docker/offline/build

.PHONY: secrets
secrets: ## Write secrets.env with secrets of your own
	@$(PYTHON) docker/make_secrets.py

.PHONY: upload
upload: ## Bring ./data and use cases of your own to the running platform
	@$(COMPOSE) run --rm upload

.PHONY: test-stack
test-stack: $(VENV)/.dev ## Test the platform in containers, on a Docker Engine
	@$(BIN)/python -m pytest tests/stack -m stack --timeout 3600 -p no:randomly

.PHONY: bench-stack
bench-stack: $(VENV)/.dev images ## Measure the platform in containers: start, first answer, loop, memory, images
	@$(BIN)/python -m benchmarks.stack

clean: clean-stack

.PHONY: clean-stack
clean-stack:
	@volumes=$$(docker volume ls -q --filter label=com.docker.compose.project=modelyard 2>/dev/null || true); \
	if [ -n "$$volumes" ]; then \
		if [ -t 0 ]; then read -r -p "Remove the data of the platform in containers, too ($$(echo $$volumes))? [y/N] " answer; else answer=n; fi; \
		if [ "$$answer" = y ]; then $(COMPOSE) --profile replicas down --volumes; else echo "the data of the platform in containers stays" >&2; fi; \
	fi
