# Everything below needs only git, make and Python 3.11, 3.12 or 3.13 with venv; bootstrap.py installs the rest.
#   make demo ARGS="--lane ar --lane ngram:k=5"    passes options to `spectui run`
#   make test ARGS="-k tokens"                     passes options to pytest
#   make demo ROUTE=cpu                            chooses the engine (cpu, gpu, auto) from now on
#   make demo PYTHON=python3.12                    chooses the interpreter behind .venv

PYTHON ?= python3
ROUTE ?=
ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick quick-unit quick-tui check lint fmt clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-7s %s\n", $$1, $$2}'

setup: ## make .venv ready; does nothing when it is
	@$(PYTHON) bootstrap.py $(if $(ROUTE),--route $(ROUTE))

demo: setup ## start the live race on what fits this machine
	@$(BIN)/spectui run $(ARGS)

test: setup ## pass the tests
	$(BIN)/pytest $(ARGS)

quick: setup ## the tests that need no engine and no patience: under two minutes
	@$(MAKE) --no-print-directory -j 2 --output-sync=target quick-unit quick-tui

# No test of a kind is no failure: ARGS may choose those of the other one.
quick-unit quick-tui:
	$(BIN)/pytest -q -m "$(@:quick-%=%) and not slow" $(ARGS) || [ $$? -eq 5 ]

lint: setup ## format check, ruff, mypy and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## what CI runs: lint, then test

fmt: setup ## format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv and every cache in the checkout, the tests' demo model too; the program's own cache stays
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
