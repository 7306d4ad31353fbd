# From a fresh clone with Python 3.11 or newer (with venv), make and git; everything else is set up in .venv.

PYTHONS := python3.11 python3.12 python3.13 python3.14 python3
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

# Two for each core: tests wait for other processes as much as they work.
TESTERS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-postgresql test-browser test-gateways test-outside check lint types layers laws format bench bench-peers bench-postgresql faults lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo "  ARGS=... is handed on by serve, test, test-postgresql, test-browser, test-gateways, test-outside, bench, bench-peers, bench-postgresql, faults and lock"

serve: .venv/.server ## Start the server on https://localhost:8443 and print the next steps
	@exec ./doorward serve $(ARGS)

test: .venv/.development tests/node/node_modules ## Run every test
	@tests/system-packages postgresql pgbouncer redis-server chromium faketime strace nginx caddy haproxy curl
	.venv/bin/pytest -n $(TESTERS) --dist loadfile $(ARGS)

test-postgresql: .venv/.development ## Run the store, the specifications and the stories on PostgreSQL alone
	@tests/system-packages postgresql pgbouncer chromium nginx caddy haproxy
	.venv/bin/pytest --engine postgresql tests/store tests/spec tests/stories $(ARGS)

test-browser: .venv/.development tests/node/node_modules ## Run the tests in a browser alone
	@tests/system-packages chromium
	.venv/bin/pytest tests/browser tests/stories/test_connected_app.py $(ARGS)

test-gateways: .venv/.development ## Run the gateways in front of a service alone
	@tests/system-packages nginx caddy haproxy curl
	.venv/bin/pytest tests/gateways $(ARGS)

test-outside: .venv/.development tests/node/node_modules ## Run the OAuth clients of others alone
	.venv/bin/pytest tests/outside $(ARGS)

check: lint types layers laws ## Lint, types, layers and the laws of the house, in under a minute

lint: .venv/.development
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/.development
	.venv/bin/mypy

layers: .venv/.development
	.venv/bin/lint-imports --no-logo

laws: .venv/.development
	.venv/bin/pytest tests/laws

format: .venv/.development ## Format the code and mend what ruff can mend
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

bench: .venv/.development ## Measure, and print the figures
	@tests/system-packages wrk nginx caddy haproxy redis-server
	.venv/bin/python bench/run.py $(ARGS)

bench-peers: .venv/.development .venv-peers/.installed ## Measure Doorward beside its peers, which are installed first
	@tests/system-packages wrk postgresql nginx libnginx-mod-http-js caddy haproxy glewlwyd
	PYTHONPATH=bench .venv/bin/python -m peers $(ARGS)

bench-postgresql: .venv/.development ## Measure PostgreSQL beside SQLite, codes redeemed and a second node
	@tests/system-packages postgresql wrk
	.venv/bin/python bench/postgresql_speed.py $(ARGS)

faults: .venv/.development ## Provoke every fault at length, and print the figures
	@tests/system-packages postgresql redis-server faketime strace nginx chromium
	.venv/bin/pytest -o faulthandler_timeout=1800 tests/faults --long $(ARGS)

lock: .venv/pyvenv.cfg ## Pin the dependencies anew (ARGS=--upgrade for newer versions)
	@$(PIP) uv
	$(COMPILE) requirements/server.in --output-file requirements/server.txt $(ARGS)
	$(COMPILE) requirements/development.in --constraints requirements/server.txt \
		--output-file requirements/development.txt $(ARGS)
	$(COMPILE) requirements/peers.in --constraints requirements/server.txt --constraints requirements/development.txt \
		--output-file requirements/peers.txt $(ARGS)

clean: ## Remove the environment and every cache; data stays
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/pyvenv.cfg:
	@for python in $(PYTHONS); do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making .venv with $$($$python --version)" >&2; \
			exec $$python -m venv --clear .venv; \
		fi; \
	done; \
	echo "Doorward needs Python 3.11 or newer with venv. On Debian: apt-get install python3-venv" >&2; \
	exit 1

.venv/.server: .venv/pyvenv.cfg requirements/server.txt server/pyproject.toml verify/pyproject.toml
	@echo "Installing the server into .venv (the first time: about a minute)" >&2
	@$(PIP) --require-hashes --requirement requirements/server.txt
	@$(PIP) --no-deps --no-build-isolation --editable verify --editable server
	@touch $@

.venv/.development: .venv/.server requirements/development.txt
	@echo "Installing what the checks and tests need into .venv (the first time: about a minute)" >&2
	@$(PIP) --require-hashes --requirement requirements/development.txt
	@touch $@

# What is measured beside Doorward, apart from it: none of it shall be there by chance.
.venv-peers/.installed: .venv/pyvenv.cfg requirements/peers.txt
	@echo "Installing the peers into .venv-peers (the first time: about a minute)" >&2
	@.venv/bin/python -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
		--require-hashes --requirement requirements/peers.txt
	@touch $@

tests/node/node_modules: .venv/.development tests/node/package-lock.json
	@echo "Installing the issuer and clients of others that the tests run against" >&2
	@.venv/bin/python -m tests.javascript
	@touch -c $@
