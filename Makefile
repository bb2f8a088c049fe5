# One command each. Everything is installed into .venv, from locks with hashes; the Debian packages
# that tests talk to are installed by `make test`, when it runs as root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
PYTEST_FLAGS ?=
# Flags may choose none of one half, which pytest says with 5; without flags there are tests in both.
NO_TESTS := $(if $(PYTEST_FLAGS),5,0)
BENCH_FLAGS ?=

# What the tests start and time runs from bytecode, as an installed package does.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check format lint types contracts unit fuzz bench bench-quick bench-memory bench-fetch packages lock clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

demo: $(RUNTIME)  ## try it: a server on this machine with two accounts and real-looking mail
	@$(BIN)/mailkeep demo

test: packages  ## install what the tests need and check everything
	@$(MAKE) --no-print-directory check

check: lint types contracts unit  ## format, lint, types, import contracts, tests

format: $(DEVELOPMENT)  ## rewrite the code in the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(DEVELOPMENT)  ## look at format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEVELOPMENT)  ## check the types
	$(BIN)/mypy

contracts: $(DEVELOPMENT)  ## check who imports whom
	$(BIN)/lint-imports

unit: $(DEVELOPMENT)  ## run the tests; PYTEST_FLAGS are passed on
	$(BIN)/python -m pytest -m "not alone" --numprocesses auto --dist loadfile $(PYTEST_FLAGS) \
	  || [ $$? -eq $(NO_TESTS) ]
	$(BIN)/python -m pytest -m alone $(PYTEST_FLAGS) || [ $$? -eq $(NO_TESTS) ]

fuzz: $(DEVELOPMENT)  ## let atheris look for octets that break what reads from the network (a long time)
	$(BIN)/python -m fuzz all --runs 1000000 --corpus .fuzz

bench: $(DEVELOPMENT) packages  ## compare with Dovecot and with a minimal responder in C (15 minutes)
	@$(BIN)/python -m bench.server $(BENCH_FLAGS)

bench-quick: $(DEVELOPMENT) packages  ## the rows that take two minutes; fails at twice a target
	@$(BIN)/python -m bench.server --quick $(BENCH_FLAGS)

bench-memory: $(RUNTIME)  ## measure what a session costs in memory (Linux, two minutes)
	@$(BIN)/python bench/memory.py

bench-fetch: $(DEVELOPMENT)  ## compare fetching with mpop, fetchmail and getmail (20 minutes; BENCH_FLAGS=--short takes 3)
	@$(BIN)/python -m bench.fetch $(BENCH_FLAGS)

packages:  ## install the programs that tests talk to, and the system user they run as
	@scripts/install-test-packages

lock: | $(BIN)/python  ## resolve the requirements anew; needs uv, which it installs
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(PIP) install uv
	BIN=$(BIN) scripts/lock-requirements

clean:  ## remove everything that was made here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is older than Python 3.11" >&2; \
	  echo "hint: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "hint: on Debian, apt-get install python3-venv" >&2; exit 1; }

# The project itself is installed so that a change in src is in force at once. Its build backend
# comes from the same lock: nothing is fetched that has no hash.
$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOPMENT): requirements-dev.lock pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(RUNTIME)
