# Everything starts here. `make run` and `make test` are complete on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

SEEDS  := 20

.PHONY: setup run campaign test test-all check bench docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("FlexiAI needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

run: setup
	$(BIN)/harness run scenarios/primary-outage.yaml --mode both

test: setup
	$(BIN)/python -m pytest

# Everything: the tests, then every scenario under SEEDS seeds, simulated and for real, the planted defects, and the long
# campaign. Fourteen hours on two cores, most of them real runs. What fails keeps nothing else from running.
test-all: test
	failed=0; for mode in sim real; do for seed in $$(seq 1 $(SEEDS)); do \
	  $(BIN)/harness run scenarios/*.yaml scenarios/found/*.yaml --mode $$mode --where-possible --seed $$seed --no-report || failed=1; \
	done; done; \
	$(BIN)/harness mutants --seeds 1000 --table runs/mutants.md || failed=1; \
	$(BIN)/harness campaign full || failed=1; \
	exit $$failed

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python -m reference site

campaign: setup
	$(BIN)/harness campaign ci

bench: setup
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) build site *.egg-info .mypy_cache .ruff_cache .hypothesis .import_linter_cache
