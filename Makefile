# Everything that is done to Threadmill, as one word each. `make run` and `make test` do all set-up
# themselves; nothing else has to be called before or between.
#
# Set-up: a virtual environment in .venv, and in it exactly what the lock files name, checked by hash.
# uv (itself pinned by hash) installs them in a second or two; where it cannot be had, pip does the same
# more slowly. A stamp file keeps the time of the last installation, so that only a changed lock or a
# changed pyproject.toml installs again.

PYTHON  ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
             $$p -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Twice the cores of a small machine: tests wait about as long as they work.
WORKERS ?= 4
ARGS    ?=

VENV    := .venv
BIN     := $(VENV)/bin
RUNTIME := $(VENV)/.installed
DEV     := $(VENV)/.installed-dev
CODE    := bot channels agents storage tests $(wildcard benchmarks)
LOCKED  := --no-deps --require-hashes
LOCK    := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
             --generate-hashes --no-header --no-annotate

# Two tests at a time go to a worker, so that no worker is left with a heap of slow ones at the end; and the tests
# are kept compiled in any case, as each worker would spend seconds on that each time.
PYTEST  := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --maxschedchunk=2

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_SYSTEM_CERTS := true

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install install-dev run test quick check format bench lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS='…' is passed on, as in: make test ARGS='-k router -x'"

install: $(RUNTIME) ## set up .venv with what running needs

install-dev: $(DEV) ## set up .venv with what developing needs as well

run: $(RUNTIME) ## set up and start Threadmill
	@exec $(BIN)/threadmill run $(ARGS)

test: $(DEV) ## set up and run the whole test suite
	@$(PYTEST) $(ARGS)

quick: $(DEV) ## run the tests that are not slow
	@$(PYTEST) -m "not slow" $(ARGS)

check: $(DEV) ## check format, lint, types and import contracts
	@failed=; \
	$(call step,format,$(BIN)/ruff format --check --quiet --diff $(CODE)); \
	$(call step,lint,$(BIN)/ruff check --quiet $(CODE)); \
	$(call step,types,$(BIN)/mypy --strict --no-error-summary); \
	$(call step,imports,$(BIN)/lint-imports --no-cache --no-logo); \
	test -z "$$failed" || { echo "make check failed:$$failed" >&2; exit 1; }

format: $(DEV) ## format the code and fix what can be fixed safely
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: $(DEV) ## run the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

lock: $(DEV) ## write the lock files anew (ARGS=--upgrade takes newer versions)
	@test -x $(BIN)/uv || { echo "make lock needs uv in $(VENV), and it could not be installed" >&2; exit 1; }
	@$(LOCK) $(ARGS) --group installer -o requirements-installer.lock
	@$(LOCK) $(ARGS) pyproject.toml --group build -o requirements.lock
	@$(LOCK) $(ARGS) pyproject.toml --all-extras --group build --group dev -c requirements.lock -o requirements-dev.lock
	@$(MAKE) --no-print-directory install-dev

clean: ## remove .venv, caches and build leftovers (never data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up --------------------------------------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Threadmill needs Python 3.11 or newer; make PYTHON=/path/to/python names one" >&2; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv --clear $(VENV)

$(RUNTIME): requirements.lock requirements-installer.lock pyproject.toml | $(BIN)/python
	@$(call install,requirements.lock)
	@touch $@

$(DEV): requirements-dev.lock requirements-installer.lock pyproject.toml | $(BIN)/python
	@$(call install,requirements-dev.lock)
	@touch $@ $(RUNTIME)

# $(call install,LOCK): what the lock names, then Threadmill itself, linked to this folder.
define install
echo "installing $(1)" >&2; \
pip="$(BIN)/python -m pip install -qq --no-compile"; \
uv="$(BIN)/uv pip install --quiet --no-config --python $(BIN)/python"; \
if $$pip $(LOCKED) -r requirements-installer.lock && $$uv $(LOCKED) -r $(1); then :; \
else echo "uv could not do it; installing with pip" >&2; $$pip $(LOCKED) -r $(1); fi && \
$$pip --no-deps --no-build-isolation --editable .
endef

# $(call step,NAME,COMMAND): one line when all is well, everything that the command says when not.
define step
if out=$$($(2) 2>&1); then echo "$(1): ok"; else printf '%s\n' "$$out"; echo "$(1): FAILED"; failed="$$failed $(1)"; fi
endef
