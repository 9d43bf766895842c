# Needs make and Python 3.11 or newer; everything else is installed into .venv. `make` alone lists the targets.

PYTHON3 ?= python3
PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
PEERS_INSTALLED := .venv/.installed-peers
NPM_INSTALLED := .venv/.installed-npm

# Tests mostly wait, so three processes share the work, also on two cores. They share one Redis; another broker cannot
# be shared.
THREE_AT_A_TIME := $(if $(CELERY_BROKER_URL),,-n 3 --dist loadfile)

.DEFAULT_GOAL := help
.PHONY: help run brokers test check docs reference audit fuzz simulate chaos faults drills greedy test-pooler bench bench-short bench-store bench-http bench-brokers bench-cdc bench-console screens format house plans clean-data clean doctor-selftest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(INSTALLED) ## run the whole platform on this machine, until Ctrl-C; with BROKERS=kafka,rabbitmq also both brokers, with CDC=1 Debezium, with PARTNER=1 a second service
	@$(PYTHON) -m tools.devserver run

brokers: $(INSTALLED) ## run Kafka (needs Java 17 and Maven) and RabbitMQ on this machine, until Ctrl-C; with CDC=1 also Kafka Connect with Debezium
	@$(PYTHON) -m tools.devserver brokers

test: $(PEERS_INSTALLED) $(NPM_INSTALLED) ## run all tests; they start their own PostgreSQL and Redis
	.venv/bin/pytest $(THREE_AT_A_TIME)

check: export SECRET_KEY ?= only-for-checks
check: export PAYMENT_GATEWAY ?= sandbox
check: export CARRIER ?= sandbox
check: $(INSTALLED) ## check format, lint, types, imports, Django settings, migrations, documentation
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/bandit -q -c pyproject.toml -ll -r config eventstore orders payments inventory shipping retail_import access examples
	$(PYTHON) -m tests.security.floors
	$(PYTHON) manage.py check
	$(PYTHON) examples/loyalty/manage.py check
	$(PYTHON) examples/loyalty/manage.py schemas --check
	$(PYTHON) examples/rooms/manage.py check
	$(PYTHON) -m tools.devserver exec -- $(PYTHON) manage.py makemigrations --check --dry-run
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet || NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

audit: $(INSTALLED) ## check installed packages for known vulnerabilities: online advisories and security-floors.txt
	@$(PYTHON) -m tests.security.audit

simulate: $(INSTALLED) ## simulate ten thousand shops in memory, each from a seed: responses reordered, repeated, late, lost
	@$(PYTHON) -m tools.verification.simulation

test-pooler: $(PEERS_INSTALLED) ## test journeys and workers behind PgBouncer (POOLER=new: with prepared statements; PGBOUNCER=path), then the pooler tests
	POOLER=$${POOLER:-old} .venv/bin/pytest tests/journeys tests/workers
	.venv/bin/pytest tests/pooler

drills: $(INSTALLED) ## four minutes of failover and restore under load, checked against the provider's records; SEED=n repeats a run, CDC=1 fails over while Debezium reads
	@$(PYTHON) -W ignore -m tools.verification.drills

chaos: $(INSTALLED) ## eight minutes of kill -9 and other failures under load, checked from outside; SEED=n repeats a run, POOLER=1 uses PgBouncer, BROKERS=1 also Kafka and RabbitMQ, CDC=1 also Debezium
	@$(PYTHON) -W ignore -m tools.verification.chaos

faults: $(INSTALLED) ## three minutes of power loss, EIO and full disks, checked from outside; then kill -9 between all steps
	@SEAMS=all .venv/bin/pytest -q tests/eventstore/test_seams.py
	@$(PYTHON) -W ignore -m tools.verification.faults

plans: $(INSTALLED) ## check that each SQL statement reads a bounded number of rows of two million events; slow
	PLANS_EVENTS=$${PLANS_EVENTS:-2000000} .venv/bin/pytest tests/plans -q

bench: $(PEERS_INSTALLED) ## compare the speed with other frameworks; six minutes on two idle cores
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -m bench

bench-short: $(PEERS_INSTALLED) ## run the same benchmark in half a minute, as a smoke test
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -m bench --orders 200 --rounds 1 --lone 5 --crowd 200 --crowd-rounds 1 --import-lines 1000 --large 20000

bench-store: $(PEERS_INSTALLED) ## compare the event store with another one and with plain INSERTs, up to two million events
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.store

bench-brokers: $(INSTALLED) ## measure messages per second and delay into its own Kafka and RabbitMQ
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.brokers

bench-cdc: $(INSTALLED) ## compare the relay with Debezium: rate, delay and CPU into its own Kafka, and the messages one by one
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.cdc

doctor-selftest: $(INSTALLED) ## inject each fault that the doctor knows, and see that it finds it and nothing else
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m tools.verification.doctor

fuzz: $(INSTALLED) ## five minutes of generated valid and invalid requests as five users; prints counts at the end
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} .venv/bin/pytest tests/fuzz --timeout 900 -rP --show-capture=stdout

greedy: $(INSTALLED) ## measure how one greedy client slows down another one, for each kind of greed; ten minutes
	GREEDY=long .venv/bin/pytest tests/greedy --timeout 900

bench-http: $(INSTALLED) ## compare HTTP requests per second with plain DRF, and measure the lag of 500 sockets
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.http

bench-console: $(INSTALLED) ## measure the time to first byte of each page of the console, with two million events
	@$(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m bench.console

screens: $(INSTALLED) ## make the screenshots in docs/images; needs Chromium
	.venv/bin/pytest tests/console/screens.py

house: $(INSTALLED) ## measure the structure of the code: folders, import cycles, hops, lengths, location of SQL
	@DJANGO_SETTINGS_MODULE=config.settings LOG_LEVEL=ERROR $(PYTHON) -m tools.devserver exec -- $(PYTHON) -W ignore -m tools.house

docs: $(INSTALLED) ## build the documentation site into site/; checks the links, needs no network
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict
	@echo "Open site/index.html, or serve the folder: $(PYTHON) -m http.server --directory site"

reference: export SECRET_KEY ?= only-for-the-reference
reference: export PAYMENT_GATEWAY ?= sandbox
reference: export CARRIER ?= sandbox
reference: $(INSTALLED) ## generate docs/reference from the code
	@DJANGO_SETTINGS_MODULE=config.settings $(PYTHON) -m tools.reference

format: $(INSTALLED) ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean-data: $(INSTALLED) ## delete the data of `make run`
	@$(PYTHON) -m tools.devserver clean

clean: ## delete that data, and all installed and generated files
	@test ! -d .local || $(MAKE) --silent clean-data
	rm -rf .venv .static .chaos .brokers site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): requirements.txt requirements-local.txt requirements-docs.txt requirements-dev.txt
	@$(PYTHON3) -c 'import sys; sys.exit("Python 3.11 or newer is needed (PYTHON3=...)" if sys.version_info < (3, 11) else 0)'
	@test -x $(PYTHON) || $(PYTHON3) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(PEERS_INSTALLED): requirements-bench.txt $(INSTALLED)
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-bench.txt
	@touch $@

# For the tests of generated TypeScript clients. Without npm or a network they are skipped, and say so.
$(NPM_INSTALLED): tests/clients/package.json tests/clients/package-lock.json $(INSTALLED)
	@mkdir -p .venv/npm && cp tests/clients/package.json tests/clients/package-lock.json .venv/npm
	@if command -v npm >/dev/null && (cd .venv/npm && npm ci --silent --no-audit --no-fund); then touch $@; \
	else echo "cannot install npm packages: tests of TypeScript clients are skipped"; fi
