# Every target installs what it needs first; `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SUITE := .conformance/node_modules/@modelcontextprotocol/conformance/package.json

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage conformance screenshots lint types layers audit fuzz bench lock clean

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):.*## /  \1	/p' $(MAKEFILE_LIST) | expand -t 12

install: $(INSTALLED) ## Create .venv with the gateway and its tools, as locked.

demo: $(INSTALLED) ## Start a gateway with real MCP servers and print its URL, a key and a curl.
	$(BIN)/modelgate demo

test: $(INSTALLED) ## Run all tests; those in a browser need Chromium, which root gets installed.
	$(BIN)/pytest -n 2

coverage: $(INSTALLED) ## Run the tests, or those in TESTS, and print by package which lines and branches they reach.
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 $(TESTS); tests=$$?; \
		$(BIN)/coverage combine --quiet && $(BIN)/coverage json --quiet && \
		$(BIN)/python -m tests.coverage_by_package .coverage.json && exit $$tests

conformance: $(INSTALLED) $(SUITE) ## Run the official MCP conformance suite against the gateway.
	$(BIN)/python -m tests.conformance.run .conformance

screenshots: $(INSTALLED) ## Take pictures of every page into tests/.artifacts, and those of the README into docs.
	$(BIN)/pytest -n 2 tests/ui/test_every_page.py -k usable
	cp tests/.artifacts/overview-light-1280.png docs/overview.png
	cp tests/.artifacts/search-light-1280.png docs/search.png
	cp tests/.artifacts/role-dark-1280.png docs/role.png

lint: $(INSTALLED) ## Check style and formatting.
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED) ## Check types.
	$(BIN)/mypy

layers: $(INSTALLED) ## Check which package imports which.
	$(BIN)/lint-imports

audit: $(INSTALLED) ## Look for weaknesses in the code, and for advisories on what it depends on.
	$(BIN)/bandit --quiet --recursive gateway --severity-level medium
	$(BIN)/python -m tests.dependency_audit requirements.lock

fuzz: $(INSTALLED) ## Give each parser of outside bytes 3,000 mangled texts; some minutes.
	FUZZ_EXAMPLES=3000 $(BIN)/pytest -n 2 tests/fuzz

bench: $(INSTALLED) ## Measure speed, each benchmark in turn.
	@for name in $(notdir $(basename $(wildcard bench/[a-z]*.py))); do \
		echo "== bench.$$name"; $(BIN)/python -m bench.$$name || exit 1; done

lock: $(INSTALLED) ## Write requirements.lock anew from pyproject.toml; what it pins stays, but with UPGRADE=--upgrade.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras --group dev --group bench --no-header \
		$(UPGRADE) --output-file requirements.lock pyproject.toml

clean: ## Remove .venv and caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The suite with the Node it needs, in a folder of its own; npm itself may run on an older one.
$(SUITE):
	npm install --prefix .conformance --no-audit --no-fund --loglevel=error \
		node@22 @modelcontextprotocol/conformance@0.2.0-alpha.12

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 10))

# The first interpreter found that is new enough, unless PYTHON names one.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)

# An environment that is already there is kept where it can be used.
$(INSTALLED): requirements.lock pyproject.toml
	@$(BIN)/python -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null || $(MAKE) --no-print-directory $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=24"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: $(VENV)
$(VENV):
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "ModelGate needs Python 3.10 or newer; install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot create environments; install its venv module (Debian, Ubuntu: python3-venv)."; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
