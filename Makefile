# Needs make and Python 3.11 or newer; all else is installed into .venv. `make` alone lists what there is.

PYTHON3 ?= python3
PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
PEERS_INSTALLED := .venv/.installed-peers

# Most of what tests do is wait. They part a Redis between them; a broker of another kind cannot be parted.
TWO_AT_A_TIME := $(if $(CELERY_BROKER_URL),,-n 2 --dist loadfile)

.DEFAULT_GOAL := help
.PHONY: help run test check docs reference audit fuzz simulate chaos faults drills greedy test-pooler bench bench-short bench-store bench-http bench-console screens format house plans clean-data clean doctor-selftest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(INSTALLED) ## the whole platform on this machine, until Ctrl-C
	@$(PYTHON) -m tools.devserver run

test: $(PEERS_INSTALLED) ## all tests, on a PostgreSQL and a Redis of their own
	.venv/bin/pytest $(TWO_AT_A_TIME)

check: export SECRET_KEY ?= only-for-checks
check: export PAYMENT_GATEWAY ?= sandbox
check: export CARRIER ?= sandbox
check: $(INSTALLED) ## format, lint, types, imports, Django's checks, migrations, the documentation
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/bandit -q -c pyproject.toml -ll -r config eventstore orders payments inventory shipping retail_import access
	$(PYTHON) -m tests.security.floors
	$(PYTHON) manage.py check
	$(PYTHON) -m tools.devserver exec -- $(PYTHON) manage.py makemigrations --check --dry-run
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet || NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

audit: $(INSTALLED) ## known holes in what is installed: advisories from the network, and security-floors.txt; what was not looked at fails
	@$(PYTHON) -m tests.security.audit

simulate: $(INSTALLED) ## ten thousand shops in memory, each from a seed: any order of answers, twice, late, never
	@$(PYTHON) -m tools.verification.simulation

test-pooler: $(PEERS_INSTALLED) ## journeys and workers behind a PgBouncer (POOLER=new: one that keeps prepared statements; PGBOUNCER=…), then its own tests
	POOLER=$${POOLER:-old} .venv/bin/pytest tests/journeys tests/workers
	.venv/bin/pytest tests/pooler

drills: $(INSTALLED) ## four minutes of failover and restore under the running shop, the provider's book outside of it; SEED=… again
	@$(PYTHON) -W ignore -m tools.verification.drills

chaos: $(INSTALLED) ## eight minutes of kill -9 and worse under load, and a checker from outside; SEED=… again, POOLER=1 behind a PgBouncer
	@$(PYTHON) -W ignore -m tools.verification.chaos

faults: $(INSTALLED) ## three minutes of power loss, EIO and a full disk, and the same checker; then kill -9 at every seam
	@SEAMS=all .venv/bin/pytest -q tests/eventstore/test_seams.py
	@$(PYTHON) -W ignore -m tools.verification.faults

plans: $(INSTALLED) ## each statement over two million events, whatever the statistics say: what it reads is bounded; slow
	PLANS_EVENTS=$${PLANS_EVENTS:-2000000} .venv/bin/pytest tests/plans -q

bench: $(PEERS_INSTALLED) ## how fast it is, beside its peers; six minutes on two quiet cores, more on slow ones
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -m bench

bench-short: $(PEERS_INSTALLED) ## the same in half a minute, to see that it runs
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -m bench --orders 200 --rounds 1 --lone 5 --crowd 200 --crowd-rounds 1 --import-lines 1000 --large 20000

bench-store: $(PEERS_INSTALLED) ## the event store alone, beside a peer and a bare INSERT, up to two million events
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.store

doctor-selftest: $(INSTALLED) ## bring each fault about that the doctor knows, and see that it finds it and nothing else
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) manage.py doctor --selftest

fuzz: $(INSTALLED) ## five minutes of whatever the API's description allows and forbids, as five people; counts at the end
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} .venv/bin/pytest tests/fuzz --timeout 900 -rP --show-capture=stdout

greedy: $(INSTALLED) ## one greedy client beside a modest one, in each way that it may be greedy; ten minutes
	GREEDY=long .venv/bin/pytest tests/greedy --timeout 900

bench-http: $(INSTALLED) ## requests a second over HTTP beside bare DRF, and the lag of 500 sockets
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.http

bench-console: $(INSTALLED) ## first byte of each page of the console, with two million events behind it
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.console

screens: $(INSTALLED) ## the pictures in docs/images anew; needs a Chromium
	.venv/bin/pytest tests/console/screens.py

house: $(INSTALLED) ## how the code is laid out, in figures: folders, circles, hops, lengths, where SQL stands
	@DJANGO_SETTINGS_MODULE=config.settings LOG_LEVEL=ERROR $(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m tools.house

docs: $(INSTALLED) ## the documentation as a site, into site/; links are checked, no network is needed
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
	@echo "Open site/index.html, or serve the folder: $(PYTHON) -m http.server --directory site"

reference: export SECRET_KEY ?= only-for-the-reference
reference: export PAYMENT_GATEWAY ?= sandbox
reference: export CARRIER ?= sandbox
reference: $(INSTALLED) ## write docs/reference from the code: doors, settings, commands, problems, events, checks, findings
	@DJANGO_SETTINGS_MODULE=config.settings $(PYTHON) -m tools.reference

format: $(INSTALLED) ## put the code into shape
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean-data: $(INSTALLED) ## forget the orders, stock and payments of `make run`
	@$(PYTHON) -m tools.devserver clean

clean: ## that, and all that was installed or made
	@test ! -d .local || $(MAKE) --silent clean-data
	rm -rf .venv .static .chaos site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): requirements.txt requirements-local.txt requirements-docs.txt requirements-dev.txt
	@$(PYTHON3) -c 'import sys; sys.exit("Python 3.11 or newer is needed (PYTHON3=...)" if sys.version_info < (3, 11) else 0)'
	@test -x $(PYTHON) || $(PYTHON3) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(PEERS_INSTALLED): requirements-bench.txt $(INSTALLED)
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-bench.txt
	@touch $@
