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
.PHONY: help setup demo test check lint fmt clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-7s %s\n", $$1, $$2}'

setup: ## make .venv ready; does nothing when it is
	@$(PYTHON) bootstrap.py $(if $(ROUTE),--route $(ROUTE))

demo: setup ## start the live race on what fits this machine
	@$(BIN)/spectui run $(ARGS)

test: setup ## pass the tests
	$(BIN)/pytest $(ARGS)

lint: setup ## format check, ruff, mypy and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## what CI runs: lint, then test

fmt: setup ## format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv and every cache in the checkout; the demo model's cache stays
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
