# Works with plain python3 and its venv module; uses uv where it is installed.
# PYTHON=python3.12 make test    another interpreter

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# An environment whose Python is gone, or is not the one that PYTHON= names, is made anew.
VERSION := import sys; print(sys.version_info[:2])
STALE := $(shell [ ! -e $(INSTALLED) ] || \
    [ "$$($(BIN)/python -c '$(VERSION)' 2>&1)" = "$$($(if $(filter file,$(origin PYTHON)),$(BIN)/python,$(PYTHON)) -c '$(VERSION)' 2>/dev/null)" ] || \
    rm -f $(INSTALLED))
# Most tests wait for servers, so there are more processes than CPUs. JOBS=0 runs the tests in one process.
JOBS ?= 4
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help install bench soak demo test test-all docker-test swarm-test kubernetes-test targets python-test systemd-test long-life proxies-test fix check release-check sync docs lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS='	' read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

install: $(INSTALLED) ## create .venv with the locked development tools and this package

$(INSTALLED): pyproject.toml requirements-dev.lock scripts/install.sh
	PYTHON="$(PYTHON)" scripts/install.sh "$(VENV)"
	@touch $@

# What a demo needs, where the development tools are not installed.
DEMO := $(if $(wildcard $(INSTALLED)),$(VENV),.venv-demo)

.venv-demo/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is $$($(PYTHON) -V 2>&1); Python 3.11 or newer is needed: make demo PYTHON=python3.13" >&2; exit 1; }
	@echo "installing what the demo needs into .venv-demo, half a minute the first time" >&2
	@rm -rf .venv-demo; if command -v uv >/dev/null; then \
	    uv venv --quiet --python $(PYTHON) .venv-demo && \
	    uv pip install --python .venv-demo/bin/python --editable '.[cli,nginx]' fastapi prometheus-client pydantic-settings; \
	else \
	    $(PYTHON) -m venv .venv-demo && .venv-demo/bin/python -m pip install --disable-pip-version-check --progress-bar off \
	        --editable '.[cli,nginx]' fastapi prometheus-client pydantic-settings \
	        | awk '/^Collecting / { print "  " $$2; fflush() }' && \
	    .venv-demo/bin/python -c 'import cookiecutter, fastapi, no502.cli'; \
	fi
	@touch $@

demo: $(DEMO)/installed ## scaffold a service and serve it behind nginx (PORT=8080; CHECK=1: stop when it is ready)
	$(DEMO)/bin/python scripts/demo.py $(if $(PORT),--port $(PORT)) $(if $(CHECK),--check)

test: $(INSTALLED) ## run the tests that start no servers (minutes); ARGS="-k name" is passed on
	$(PYTEST) $(if $(ARGS),$(ARGS),-m "not slow")

test-all: $(INSTALLED) ## run every test: servers, nginx, PostgreSQL, Chromium, generated services (half an hour on two cores)
	@rm -f .coverage .coverage.*
	$(PYTEST) $(if $(COVERAGE),--cov --cov-report=term) $(ARGS)

docker-test: $(INSTALLED) ## run the generated service on a Docker engine (minutes; starts one if none answers and this is root)
	VENV="$(VENV)" scripts/docker-test

swarm-test: $(INSTALLED) ## a stack of the generated service on a Docker Swarm of one node, updated under load (root; minutes)
	VENV="$(VENV)" scripts/swarm-test $(ARGS)

kubernetes-test: $(INSTALLED) ## the generated manifests on a Kubernetes of one node, behind Envoy (root; the first time an hour)
	VENV="$(VENV)" scripts/kubernetes-test $(ARGS)

targets: $(INSTALLED) ## docker-, swarm-, systemd- and kubernetes-test, and what each lost into benchmarks/results/targets.md
	@mkdir -p build && rm -f build/targets.jsonl
	set -e; for name in docker swarm systemd kubernetes; do \
	    code=0; NO502_TARGET_RESULTS=$(CURDIR)/build/targets.jsonl VENV="$(VENV)" scripts/$$name-test || code=$$?; \
	    test $$code -eq 0 || test $$code -eq 77; done
	$(BIN)/python scripts/target_results.py build/targets.jsonl

python-test: ## the handover and the configuration on Python 3.14 and 3.15 in a Debian forky directory (root; kept in ~/.cache)
	scripts/new-pythons $(ARGS)

systemd-test: $(INSTALLED) ## the generated service on a Debian host whose process 1 is systemd (root, mmdebstrap; minutes)
	VENV="$(VENV)" scripts/systemd-test $(ARGS)

long-life: $(INSTALLED) ## 2,000 handovers and 500 reloads of one master, 200 EventSource clients over 50 reloads (ten minutes)
	HANDOVERS=2000 RELOADS=500 $(BIN)/python -m pytest tests/e2e/test_failures.py -k master_does_not_grow
	EVENT_CLIENTS=200 EVENT_RELOADS=50 $(BIN)/python -m pytest tests/e2e/test_streams.py -k every_event_arrives_once

proxies-test: $(INSTALLED) ## the lines for Caddy, Traefik, Envoy, HAProxy and Apache in the real programs
	VENV="$(VENV)" scripts/proxies-test $(ARGS)

fix: $(INSTALLED) ## let ruff repair and format what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(INSTALLED) ## lint, types, shell scripts, nginx variants, Compose, units, manifests, spelling, the site, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/check_shell.py
	$(BIN)/python scripts/check_nginx.py
	$(BIN)/python scripts/check_deploy.py
	$(BIN)/typos
	$(BIN)/python scripts/check_words.py
	$(BIN)/python scripts/doctor_index.py --check
	$(BIN)/python scripts/service_causes.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python scripts/check_compose.py
	$(BIN)/zizmor --offline --quiet .github/workflows action.yml
	@if command -v actionlint >/dev/null; then actionlint; else echo "actionlint is not installed: workflows not checked"; fi

release-check: $(INSTALLED) ## build sdist and wheel, install the wheel into an empty environment, use it from there
	VENV="$(VENV)" PYTHON="$(PYTHON)" scripts/release-check

bench: $(INSTALLED) ## run every benchmark side by side and write benchmarks/results (two hours, on a quiet machine)
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/requirements.txt
	set -e; for name in steady recycle upstream proxies rolling fleet reload overload overload_peers attack growth; do $(BIN)/python benchmarks/$$name.py $(ARGS); done

soak: $(INSTALLED) ## a long mixed load with reloads and kills, invariants checked (MINUTES=30)
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),30)

sync: $(INSTALLED) ## copy the gunicorn_*.py files and nginx/, and the causes of log messages, into the template
	$(BIN)/python scripts/sync.py
	$(BIN)/python scripts/service_causes.py

docs: $(INSTALLED) ## write the generated pages and pictures, build the site into build/site (npm: Why 502? takes files)
	@$(BIN)/python scripts/browser_python.py || test $$? -eq 77
	$(BIN)/python scripts/picture.py
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/doctor_index.py
	$(BIN)/python scripts/calculator_data.py
	$(BIN)/python scripts/lab_page.py
	$(BIN)/python scripts/readme_results.py
	$(BIN)/python scripts/result_tables.py
	$(BIN)/python scripts/settings_tables.py
	$(BIN)/python scripts/fact_table.py
	$(BIN)/python scripts/dashboard.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: $(INSTALLED) ## choose new versions for requirements-dev.lock (needs uv)
	uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra cli --extra nginx --group dev --no-emit-index-url \
	    --custom-compile-command "make lock" --output-file requirements-dev.lock pyproject.toml

clean: ## remove everything that make and the tools have created
	rm -rf $(VENV) .venv-demo build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
