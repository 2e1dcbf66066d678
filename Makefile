# The few commands there are. Each does its own set-up; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
EXAMPLE := example_notebooks/digits.ipynb

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format docs bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once, a few minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip==26.1.2" || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,examples]"
	@touch $(STAMP)

demo: $(STAMP) ## run an example notebook as a pipeline; run it again: up to date
	@$(BIN)/nbpipe run $(EXAMPLE)
	@echo
	@echo "Now try:   make demo                                              (again: up to date)"
	@echo "           $(BIN)/nbpipe run $(EXAMPLE) -p epochs=3     (only what depends on it runs)"
	@echo "           $(BIN)/nbpipe history"

test: $(STAMP) ## run every test of the default suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(STAMP) ## unit tests only
	$(BIN)/python -m pytest tests/unit

lint: $(STAMP) ## what pre-commit runs: ruff, mypy, layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## build the documentation, warnings are errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(STAMP) ## run the benchmarks and write docs/benchmarks.md
	$(BIN)/python -m benchmarks

clean: ## remove what was built and what was run here
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .nbpipe example_notebooks/.nbpipe
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
