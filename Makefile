SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3.11
STAMP := $(VENV)/.installed
HOST ?= 127.0.0.1
PORT ?= 5000
MLFLOW ?= 3.16.1
MATRIX = $(CURDIR)/$(VENV)/mlflow-$(MLFLOW)
# the order of tests/conftest.py, instead of the largest group first; a worker waits a third of its time
PYTEST := pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder

export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
export ITERATIVE_DO_NOT_TRACK := 1
export DVC_STUDIO_OFFLINE := true
export GX_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */  make \1|/' | column -t -s '|'

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { $(PYTHON) -m venv $(VENV) || \
	  { echo "No $(PYTHON) here. Install Python 3.11, or name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }; }
	@echo "Installing into $(VENV), once (about 6 GB, most of it torch) ..."
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[auth,detection,dicom,onnx,pipelines,postgresql,serve,dev]'
	@touch $@

.PHONY: install
install: $(STAMP) ## make the virtual environment

.PHONY: repro
repro: $(STAMP) ## train, evaluate, register, judge and monitor the family (dvc repro)
	@python -m resnet_ops_pipelines.check_project
	@dvc repro
	@python -m resnet_ops_pipelines.show_summary

.PHONY: check
check: $(STAMP) ## before a commit: format, lint, types, architecture, unit tests
	@$(MAKE) --no-print-directory --jobs 2 lint unit

.PHONY: test
test: $(STAMP) ## every check: format, lint, types, architecture, all tests
	@$(MAKE) --no-print-directory --jobs 2 lint everything

.PHONY: lint
lint: $(STAMP) ## ruff, mypy --strict and import-linter
	@ruff format --check --quiet . && ruff check --quiet . && lint-imports && mypy

.PHONY: unit everything
unit: $(STAMP)
	@$(PYTEST) -m "not slow" tests/unit tests/golden

everything: $(STAMP)
	@$(PYTEST)

.PHONY: matrix
matrix: $(STAMP) ## contract tests and attacks against another MLflow, all else the same (MLFLOW=3.16.1)
	@$(BIN)/python -m venv $(MATRIX)
	@$(MATRIX)/bin/pip install --quiet --no-deps mlflow==$(MLFLOW) mlflow-skinny==$(MLFLOW) mlflow-tracing==$(MLFLOW)
	@echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
	  > "$$($(MATRIX)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
	@$(MATRIX)/bin/python -m $(PYTEST) tests/contract tests/attacks

.PHONY: ui
ui: $(STAMP) ## MLflow's server with the gate, on http://127.0.0.1:5000 (PORT=...)
	@resnet-ops ui --host $(HOST) --port $(PORT)

.PHONY: clean
clean: $(STAMP) ## remove what a run made: outputs of stages and var; your own files, DVC's cache and the environment stay
	@python -m resnet_ops_pipelines.clean_outputs
