# Everything runs in .venv, which is built from pyproject.toml and constraints.txt when either is newer.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest -n 2 --nbmake tests $(wildcard notebooks)
TYPING := $(wildcard tests/typing)
# Fetched before the tests, because a test has two minutes. If it fails, the tests that need it fail, and say why.
SIMULATOR := $(BIN)/python -m tests.servers.kv_install > /dev/null

# The modules that people import from.
REFERENCE := langgraph_guard $(addprefix langgraph_guard.,checkpoint.cloudflare checkpoint.redis errors events observability \
	state testing testing.contracts tools)

# Otherwise pyright asks the package index for a newer release at each run.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DELETE_ON_ERROR:
.PHONY: help demo test test-all lint bench docs

help:
	@echo "make demo      the 2 a.m. incident, unguarded and guarded; no key, no server"
	@echo "make test      the tests and the notebooks"
	@echo "make test-all  the same, and what is slow"
	@echo "make lint      style, types, layers"
	@echo "make bench     every speed claim, measured"
	@echo "make docs      the API reference, from the docstrings: build/reference"

demo: .venv/.runtime
	@$(BIN)/langgraph-guard demo

test: .venv/.dev
	-@$(SIMULATOR)
	$(PYTEST) -m "not slow"

test-all: .venv/.dev
	-@$(SIMULATOR)
	$(PYTEST)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy langgraph_guard $(TYPING)
	$(BIN)/lint-imports
	$(if $(TYPING),$(BIN)/pyright)

bench: .venv/.dev
	$(BIN)/python -m benchmarks

docs: .venv/.dev
	$(BIN)/pdoc --no-show-source --output-directory build/reference $(REFERENCE)

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.runtime: pyproject.toml constraints.txt | .venv/.made
	$(INSTALL) -e .
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/.made
	$(INSTALL) -e '.[dev]'
	@touch .venv/.runtime $@
