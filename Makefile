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

# Everything: the tests, then every scenario, simulated under SEEDS seeds and once for real, then the planted defects and
# the long campaign. About an hour and a half.
# Twelve hours on two cores, most of them real runs. Goes on after a failure, and fails at the end.
test-all: test
	failed=0; for mode in sim real; do for seed in $$(seq 1 $(SEEDS)); do \
	  $(BIN)/harness run scenarios/*.yaml scenarios/found/*.yaml --mode $$mode --where-possible --seed $$seed --no-report || failed=1; \
	done; done; exit $$failed
	$(BIN)/harness mutants --seeds 1000 --enough 5
	$(BIN)/harness campaign full

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
