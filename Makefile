# Everything that developers and CI run. `make setup` is done by the others when it is needed.
VENV := .venv
BIN := $(VENV)/bin
OFFICIAL := .venv-official
AZURITE := .azurite
SCHEDULERS := .venv-schedulers
ANSIBLE := .venv-ansible
SCRIPTS := $(shell grep --files-with-matches --no-messages '^\#!.*python' scripts/*) $(wildcard scripts/*.py)
SOURCES := reconciler providers state tests benchmarks $(SCRIPTS)
# Tests wait for servers and commands more than they compute.
WORKERS := $(shell python3 -c 'import os; print(2 * (os.cpu_count() or 1))')
export RECONCILER_OFFICIAL_PYTHON := $(abspath $(OFFICIAL)/bin/python)
export RECONCILER_SCHEDULERS_PYTHON := $(abspath $(SCHEDULERS)/bin/python)

.PHONY: setup demo docs test test-full bench bench-startup bench-deploy bench-engine bench-source bench-stores bench-fleet bench-images check format clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt scripts/setup
	scripts/setup $(VENV) constraints.txt --editable . --group dev
	touch $@

# The official CLI, in an environment of its own: it pins other versions than we use.
$(OFFICIAL)/.ready: constraints-official.txt scripts/setup
	scripts/setup $(OFFICIAL) constraints-official.txt picsellia-pipelines-cli picsellia
	$(OFFICIAL)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-official.txt \
		--no-deps --upgrade --target $(OFFICIAL)/engine picsellia-cv-engine
	touch $@

# Jupyter, Prefect and Airflow with reconciler, for the examples in examples/python.
$(SCHEDULERS)/.ready: pyproject.toml constraints-schedulers.txt scripts/setup
	scripts/setup $(SCHEDULERS) constraints-schedulers.txt apache-airflow prefect nbclient ipykernel --editable .
	touch $@

# Ansible, which bench-fleet compares with.
$(ANSIBLE)/.ready: constraints-ansible.txt scripts/setup
	scripts/setup $(ANSIBLE) constraints-ansible.txt ansible-core
	touch $@

$(AZURITE)/.ready: scripts/azurite
	scripts/azurite $(AZURITE) 3.37.0

demo: setup
	$(BIN)/reconciler demo

# The site, in site/, with the references made from the commands and from `reconciler.api`; a broken link is an error.
docs: setup
	$(BIN)/python scripts/command-reference
	$(BIN)/python scripts/python-reference
	$(BIN)/zensical build --strict

test: setup $(OFFICIAL)/.ready $(AZURITE)/.ready $(SCHEDULERS)/.ready $(ANSIBLE)/.ready
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup $(PYTEST)

# Every request failed in every way, every place to be killed at: most of an hour.
test-full: setup $(OFFICIAL)/.ready $(AZURITE)/.ready $(SCHEDULERS)/.ready $(ANSIBLE)/.ready
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup -m "full or not full" $(PYTEST)

# Each writes its section of docs/reference/benchmarks.md, and its row of the table of budgets there. As root, on a quiet
# machine: about a quarter of an hour, and 10 GB below /tmp for a while. `make bench-source` runs one of them.
bench: bench-startup bench-deploy bench-engine bench-source bench-stores bench-fleet bench-images

.NOTPARALLEL: bench
bench-startup bench-deploy bench-engine bench-source bench-stores bench-fleet bench-images: setup $(OFFICIAL)/.ready $(AZURITE)/.ready $(ANSIBLE)/.ready
	$(BIN)/python scripts/$@

check: setup
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy --scripts-are-modules $(SCRIPTS) benchmarks
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:
	rm -rf $(VENV) $(OFFICIAL) $(AZURITE) $(SCHEDULERS) $(ANSIBLE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache site
