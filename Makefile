# Every target works from a fresh clone: it makes .venv when there is none, and installs what it needs there.
#   PYTHON=...   the interpreter to make .venv with      JOBS=...   test processes (0: one, in this process)
#   ARGS=...     further options of pytest or benchmarks

# Read only when something must be installed, hence = and not :=.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
JOBS ?= auto
BIN := .venv/bin
STAMPS := .venv/stamps

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMPS)/core  ## fit a real table, predict any column from any others, explain
	$(BIN)/cumulant demo --output output

# One thread for linear algebra in each test process; as many processes as cores, up to eight.
test: $(STAMPS)/test  ## tests, validation against published numbers, and every example in the documentation
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
		$(BIN)/python -m pytest -q -n $(JOBS) --maxprocesses=8 --dist=worksteal $(ARGS)

lint: $(STAMPS)/lint  ## style, types, the order of layers, and whether the documentation keeps up
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_docs.py

docs: $(STAMPS)/test  ## check the documentation: names, links, commands, and every example by running it
	$(BIN)/python tools/check_docs.py
	$(BIN)/python -m pytest -q tests/test_docs.py

bench: $(STAMPS)/bench  ## the measurements behind the figures in README
	$(BIN)/python -m benchmarks $(ARGS)

clean:  ## back to a fresh clone
	rm -rf .venv build dist site output .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +

$(STAMPS)/%: pyproject.toml hatch_build.py $(wildcard src/cumulant/*/native/*.[ch])
	@test -n "$(PYTHON)" || { echo "cumulant needs Python 3.11 or newer, and none was found as python3;" \
		"install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) tools/venv.py $*
