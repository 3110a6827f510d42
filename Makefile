# `make up` and `make test` set up what they need on a fresh machine; everything else assumes one of them has run.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: up down test test-long check lint types imports unit verify update bench clean

up: $(VENV)/.runtime  ## start a cluster on this machine, run the lesson's pods, print nodes and pods
	scripts/install-system-packages run
	$(BIN)/pinnace up
	$(BIN)/python examples/lesson/run.py

down:  ## stop it; its state is kept
	$(BIN)/pinnace down

test: $(VENV)/.installed  ## every test that belongs into every run
	scripts/install-test-tools
	$(BIN)/pytest -q -n logical --dist loadfile -m "not long" tests/unit tests/integration tests/conformance
	$(BIN)/pytest -m "not long" tests/node

test-long: $(VENV)/.installed  ## soak, chaos, repetition, real waiting times
	scripts/install-test-tools
	$(BIN)/pytest -m long

check: lint types imports unit  ## what a commit must pass

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy src tools hatch_build.py

imports: $(VENV)/.installed
	$(BIN)/lint-imports

unit: $(VENV)/.installed
	$(BIN)/pytest -q -n logical --dist loadfile tests/unit

verify: $(VENV)/.installed  ## generated files are as generated
	$(BIN)/python -m tools.generate_api --check
	$(BIN)/python tools/generate_cri.py --check
	$(BIN)/python -m tools.generate_reference --check

update: $(VENV)/.installed  ## write generated files anew
	$(BIN)/python -m tools.generate_api
	$(BIN)/python tools/generate_cri.py
	$(BIN)/python -m tools.generate_reference

bench: $(VENV)/.runtime  ## all figures, as a table and as JSON
	$(BIN)/python bench/run.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .cache

# Who only runs it need not wait for what tests and checks need.
$(VENV)/.runtime: EXTRA :=
$(VENV)/.installed: EXTRA := [dev]
$(VENV)/.runtime $(VENV)/.installed: pyproject.toml constraints.txt
	scripts/make-venv $(PYTHON) $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.$(EXTRA)'
	$(BIN)/python -m compileall -q -j 0 src  # pip compiles what it installs, but nothing that is editable
	touch $(VENV)/.runtime $@
