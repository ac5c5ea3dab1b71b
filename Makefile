# What a person does with Homing. Needs nothing but Python 3.11 or newer: everything else is installed into .venv from
# the lock files, whose every file is named by its hash. `make` alone lists the targets.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(if $(shell \
	$(name) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(name))))
VENV := .venv
BIN := $(VENV)/bin
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --quiet

# Two workers for two cores; each has a PostgreSQL of its own.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
# What to test: make test ONLY="tests/postgres -k pool"
ONLY ?=

# Whatever the shell says, compiled modules are kept: every test that starts a process would compile them all again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo scenario test check lint format soak bench mutants screenshots lock clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## a server with sample data; prints its address, the logins and what to try
	@$(BIN)/homing demo

scenario: $(VENV)/.run ## a field season of three teams without signal, played through, and the proof that all replicas agree
	@$(BIN)/homing demo --scenario

test: $(VENV)/.develop ## the tests, on a PostgreSQL of their own
	$(PYTEST) -m "not soak" $(ONLY)

check: lint test ## everything that must pass before a commit lands

lint: $(VENV)/.develop ## formatting, lint rules, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports

format: $(VENV)/.develop ## write the formatting instead of checking it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(VENV)/.develop ## the long simulations
	$(PYTEST) -m soak $(ONLY)
	$(PYTEST) -m "not soak" --hypothesis-profile new $$(grep -rl --include "test_*.py" "^from hypothesis" tests)

bench: $(VENV)/.develop ## raw PostgreSQL, a thin server and Homing, measured in one run
	$(BIN)/python -m bench

mutants: $(VENV)/.develop ## break the engine on purpose; every break must be caught
	$(BIN)/python -m tests.mutants

screenshots: $(VENV)/.develop ## pictures of the console's pages in both themes, into docs/images
	$(BIN)/python -m tests.console.screenshots

lock: $(VENV)/.develop ## resolve the lock files again from pyproject.toml
	$(COMPILE) --upgrade --extra build --extra demo --extra heic --output-file requirements.txt
	$(COMPILE) --upgrade --extra build --extra demo --extra heic --extra dev --extra bench --output-file requirements-dev.txt
	@! grep -nE '://|^ *-(-index|-extra|-find|i |f )' requirements.txt requirements-dev.txt

clean: ## remove .venv, caches and builds; data stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis src/homing.egg-info
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps hold the lock they were installed from: installed again when it changes, not when git touches it.
$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python
	@$(call install,requirements.txt)

$(VENV)/.develop: requirements-dev.txt pyproject.toml | $(BIN)/python
	@$(call install,requirements-dev.txt)
	@cat requirements.txt pyproject.toml > $(VENV)/.run

# Homing itself is installed in place, from this folder and without the network: setuptools is in the lock.
define install
	if ! cat $(1) pyproject.toml | cmp -s - $@; then \
		echo "installing $(1) into $(VENV)" && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e . && \
		cat $(1) pyproject.toml > $@.new && mv $@.new $@; \
	else touch $@; fi
endef

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Homing needs Python 3.11 or newer; name yours with: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
