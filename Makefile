# Every target installs what it needs first; `make help` lists them.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SUITE := .conformance/node_modules/@modelcontextprotocol/conformance/package.json

# Half of a test is waiting for processes and connections, so that two cores have work for three; they share a PostgreSQL
# of a hundred connections.
WORKERS = 3

.DEFAULT_GOAL := help
.PHONY: help install demo clients real opensearch opensearch-ml test coverage conformance screenshots docs platforms lint types layers audit fuzz thorough simulate bench lock clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  \1	/p' $(MAKEFILE_LIST) | expand -t 12

install: $(INSTALLED) ## Create .venv with the gateway and its tools, as locked.

demo: $(INSTALLED) ## Start a gateway with real MCP servers and print its URL, a key and a curl.
	$(BIN)/modelgate demo

clients: $(INSTALLED) ## Install the published MCP clients that tests run, each in an environment of its own.
	$(BIN)/python -m tests.clients.install

test: $(INSTALLED) ## Run all tests; those in a browser need Chromium, which root gets installed.
	-@$(BIN)/python -m tests.clients.install
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

real: $(INSTALLED) ## Install some thirty published MCP servers, and compare what they list directly and through the gateway.
	$(BIN)/python -m tests.real_servers.run $(SERVERS)

opensearch: $(INSTALLED) ## Start a node of OpenSearch, with Maven's jars on Java 17; VERSION=3.5.0 is one of 3, on Java 21.
	$(BIN)/python -m tests.opensearch.run $(VERSION)

opensearch-ml: $(INSTALLED) ## Run the tests of models in a cluster, on a node of OpenSearch with ML Commons from Maven (Java 17; 500 MB).
	OPENSEARCH_ML=1 $(BIN)/pytest tests/opensearch_ml

coverage: $(INSTALLED) ## Run the tests, or those in TESTS, and print by package what they reach; KEEP=1 adds to the run before.
	$(if $(KEEP),,$(BIN)/coverage erase)
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadgroup $(TESTS); tests=$$?; \
		$(BIN)/coverage combine --quiet $(if $(KEEP),--append) && $(BIN)/coverage json --quiet && \
		$(BIN)/python -m tests.coverage_by_package .coverage.json && exit $$tests

conformance: $(INSTALLED) $(SUITE) ## Run the official MCP conformance suite against the gateway.
	$(BIN)/python -m tests.conformance.run .conformance

screenshots: $(INSTALLED) ## Take pictures of every page into tests/.artifacts, and those of the README into docs.
	SCREENSHOTS=1 $(BIN)/pytest -n 2 tests/ui/test_every_page.py -k usable
	cp tests/.artifacts/overview-light-1280.png docs/overview.png
	cp tests/.artifacts/search-light-1280.png docs/search.png
	cp tests/.artifacts/role-dark-1280.png docs/role.png

docs: $(INSTALLED) ## Build the documents' site into .site; a link that leads nowhere is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

platforms: $(INSTALLED) ## Ask the package index whether every dependency has a package for macOS, arm64 and x86-64.
	$(BIN)/python -m tests.platforms

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

thorough: $(INSTALLED) ## Try what has to hold in any case on many times as many cases as the suite does; some minutes.
	THOROUGH=1 $(BIN)/pytest -n 2 $$(grep -rl --include="*.py" "thoroughness import" tests)

simulate: $(INSTALLED) ## Let three processes on one database fail in every way, by chance, 12,000 times.
	CLUSTER_STEPS=1500 CLUSTER_SEEDS=8 $(BIN)/pytest -n 2 tests/cluster/test_simulation.py

bench: $(INSTALLED) ## Measure speed and growth, in under 20 minutes, and write .bench/report.html.
	$(BIN)/python -m bench.everything

databases: $(INSTALLED) ## Run the tests, or those in TESTS, on Debian's PostgreSQL with pgvector, where that can be had.
	@programs=$$(tests/debian_postgresql.sh .postgresql) || { echo "Left out."; exit 0; }; \
		TEST_POSTGRESQL=$$programs $(BIN)/pytest -n $(WORKERS) --dist loadgroup $(TESTS)

soak: $(INSTALLED) ## Three minutes of mixed use and faults: no wrong answer, no growing memory; `python -m bench.soak` is 30.
	$(BIN)/python -m bench.soak --minutes 3

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
