# Everything runs in .venv, built from hash-pinned requirements. A fresh machine needs Python 3.11 to 3.13 and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that is new enough; `make PYTHON=/path/to/python` overrides it.
PYTHON ?= $(shell for python in python3.12 python3.11 python3.13 python3; do \
	$$python -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { command -v $$python; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
JOBS ?= 2

export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup demo drill test check faults alarms bench lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(READY) ## build .venv from the locked requirements

$(READY): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Mainstay needs Python 3.11, 3.12 or 3.13: none was found on the PATH" >&2; exit 2; }
	@echo "Building .venv with $(PYTHON): about a minute, and about 1 GB" >&2
	@$(PYTHON) -m venv .venv
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## the whole spine: 20,000 simulated customers to a served, signed version
	@$(BIN)/python -m mainstay.cli.demo

drill: $(READY) ## a game day under load: kills, an outage, a harmful challenger, ways back; exits 1 where a promise breaks
	@$(BIN)/python -m mainstay.cli.drill

test: $(READY) ## every test that needs no server, with branch coverage
	@$(BIN)/pytest -n $(JOBS) --dist loadfile --cov --cov-report=term -m "not long" tests --ignore=tests/alarms

check: $(READY) ## ruff, mypy, import contracts, docs tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest tests/docs

faults: $(READY) ## kill -9, full disk, dead database, torn and tampered files
	@$(BIN)/pytest tests/faults tests/contracts

alarms: $(READY) ## the statistical promises, by simulation; writes docs/alarms.md
	@$(BIN)/pytest tests/alarms

bench: $(READY) ## speed beside a bare echo, five peers and scikit-learn; writes bench/RESULTS.md, holds bench/promises.py
	@ended=0; for each in serving side_by_side lookups batch batch_http; do $(BIN)/python bench/$$each.py || ended=1; done; exit $$ended

lock: ## resolve pyproject.toml anew into requirements/*.txt (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra training --extra features --extra gx --extra observations --extra oidc --extra openfeature --extra otlp --extra postgres --extra redis --extra s3 --extra serving-batch --group dev \
		pyproject.toml -o requirements/dev.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		-c requirements/dev.txt --extra oidc --extra otlp --extra postgres --extra redis --extra s3 pyproject.toml -o requirements/serving.txt
	@for each in bench/peers/*/requirements.in; do \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			$$each -o $${each%.in}.txt; done

clean: ## remove what the other targets built
	@rm -rf .venv bench/.peers .mainstay .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
