# Everything a user or a maintainer runs. Only Python >= 3.11 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench scenarios screenshots lock protos plugins clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ecdsim needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 3; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(VENV)/pyvenv.cfg requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): $(STAMP) requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(STAMP) ## Install ecdsim into .venv

demo: $(STAMP) ## Replay a tag bump into a real Envoy under traffic
	$(BIN)/ecdsim run scenarios/tag-bump

test: $(DEV_STAMP) ## Run the tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -q

# envoy-versions needs Envoys that are fetched on request alone: ecdsim envoy install 1.36.4, and so on.
scenarios: $(STAMP) ## Run the scenario library
	$(BIN)/ecdsim test scenarios -k "not envoy-versions"

bench: $(DEV_STAMP) ## Measure the pipeline against the floor, in one run
	$(BIN)/python -m bench

screenshots: $(DEV_STAMP) ## Take the README's pictures anew (needs chromium)
	$(BIN)/python -m tests.screenshots

check: $(DEV_STAMP) ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP) ## Put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: $(DEV_STAMP) ## Regenerate sim/proto_gen from protos/
	$(BIN)/python -m grpc_tools.protoc -Isim/proto_gen=protos --python_out=. --pyi_out=. \
		$$(ls protos/*.proto | sed 's#^protos/#sim/proto_gen/#')

plugins: $(DEV_STAMP) ## Rebuild the bundled Wasm plugins
	$(BIN)/python plugins/build.py

lock: ## Resolve the dependencies anew
	@$(VENV)/bin/python -m pip install --quiet uv
	cd $(CURDIR) && $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --extra build -o requirements.lock pyproject.toml
	cd $(CURDIR) && $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --extra build --extra dev -o requirements-dev.lock pyproject.toml

clean: ## Remove what was made here
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
