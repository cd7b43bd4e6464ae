# Everything happens in .venv and in weavegate's own data folder (WEAVEGATE_HOME to move it).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# The first that runs: a pyenv shim may be on PATH and refuse.
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3 python,$(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null)))
BIN := .venv/bin
MODEL ?= vectors/models/digits-mlp-tanh
CAMPAIGN ?= kill-points
WORKERS ?= 2

.PHONY: help setup engines certify test lint types nightly liars tables bench docs clean

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(BIN)/.ready: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'weavegate needs python >= 3.11: install one, or run make PYTHON=/path/to/it' >&2; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	@touch $@

setup: $(BIN)/.ready  ## python environment with weavegate and its tools

engines: setup  ## the three core engines, each in its own environment
	@$(BIN)/weavegate engines install --core

certify: engines  ## certify a shipped model on the core engines (MODEL=path for another)
	@$(BIN)/weavegate certify $(MODEL)

test: engines  ## the test suite
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -q

lint: setup  ## ruff: rules and layout
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup  ## mypy --strict
	@$(BIN)/mypy

nightly: engines  ## long campaigns, resumable: CAMPAIGN=kill-points
	@$(BIN)/python -m pytest -n $(WORKERS) -q -m nightly -k "$(subst -,_,$(CAMPAIGN))"

liars: engines  ## lying engines: class, who is named, cases until caught
	@PYTHONPATH=.:tests/weavegate $(BIN)/python tests/weavegate/liar_table.py

tables: engines  ## tables of docs/ made anew, by running
	@$(BIN)/python -m benchmarks.operators --out docs/operators.md
	@$(BIN)/python -m benchmarks.bounds --out docs/bounds.md
	@$(BIN)/python -m benchmarks.inference_gas --out docs/inference-gas.md
	@$(BIN)/python -m benchmarks.modules --out docs/modules.md

bench: engines  ## ratios measured side by side, medians
	@$(BIN)/python -m benchmarks

docs: setup  ## regenerate the JSON Schemas
	@$(BIN)/python -m weavegate.schemas

clean:  ## remove the environment and caches of this checkout
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
