# Two commands on a fresh machine: `make demo` and `make test`. Neither needs a step before it.

PYTHON ?= python3
BENCH ?= platform
REDOUBT = .venv/bin/redoubt

.DEFAULT_GOAL := help
.PHONY: help ready demo dev test test-chaos check bench docs lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

ready: ## Prepare .venv (every target does it by itself)
	@$(PYTHON) deploy/bootstrap.py

# When it was called, for the time from here to the first renewed certificate.
demo: export REDOUBT_DEMO_STARTED := $(shell date +%s)
demo: ready ## Set everything up and run every chapter end to end
	@exec $(REDOUBT) demo

dev: ready ## Keep the embedded stack running to play with
	@$(REDOUBT) tools install --for dev >/dev/null
	@exec $(REDOUBT) dev

test: ready ## Pass the tests, with the floors of branch coverage
	@.venv/bin/python -m deploy.checks.tests

test-chaos: ready ## The long tests: crashes, load, 2,000 examples a property
	@.venv/bin/python -m deploy.checks.tests --chaos

check: ready ## Lint, types, import floors, secrets, audit of the locked packages
	@.venv/bin/python -m deploy.checks

bench: ready ## Measure: make bench BENCH=platform
	@.venv/bin/python -m benchmarks $(BENCH) --json

docs: ready ## Write the documents that are generated from the code
	@for one in errors settings; do $(REDOUBT) docs $$one > docs/$$one.md.new && mv docs/$$one.md.new docs/$$one.md; done

lock: ready ## Resolve pyproject.toml's packages anew into requirements.lock, with hashes
	@$(PYTHON) deploy/bootstrap.py lock

clean: ## Remove .venv and what tools left inside the checkout; the cache of tools stays
	@rm -rf .venv .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
