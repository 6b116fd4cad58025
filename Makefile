# The same targets serve a person, .ci/run and the hosted workflow. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

# Nothing in here phones home, and no MLflow server that is away may hold a command up.
export DO_NOT_TRACK := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Wheels for CUDA are torch's own, pinned by torch itself; machines whose torch has no CUDA must not download them.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit triton nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

.DEFAULT_GOAL := help
.PHONY: setup run test check format ui bench lock clean help

setup: $(STAMP) ## create .venv and install what requirements.lock names

# The stamp is written last: an interrupted installation is completed by the next make.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "vgan needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1); name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/pip && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

run: $(STAMP) ## footage to generated videos: preprocess, train, evaluate, sample
	@test -e data/raw.dvc || test -n "$$(find data/raw -type f -not -name '.*' 2>/dev/null)" || { vgan demo-footage && dvc add -q data/raw; }
	@python -m flows.pipeline


test: $(STAMP) ## run the tests
	@python -m pytest -q

check: $(STAMP) ## lint, formatting and types
	@ruff check .
	@ruff format --check .
	@mypy

format: $(STAMP) ## mend what `make check` finds, where a tool can
	@ruff check --fix .
	@ruff format .

ui: $(STAMP) ## MLflow and Prefect pages on loopback; Ctrl-C stops both
	@python -m flows.ui

bench: $(STAMP) ## every benchmark, small; `python -m benchmarks.NAME` runs one in full
	@for file in benchmarks/[a-z]*.py; do name=$$(basename $$file .py); echo "== $$name"; \
	  python -m benchmarks.$$name --quick || exit 1; done

lock: $(STAMP) ## write requirements.lock anew from pyproject.toml, for every platform
	@uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-annotate --upgrade \
	  --custom-compile-command 'make lock' \
	  $(foreach package,$(CUDA),--no-emit-package $(package)) -q -o requirements.lock

clean: ## remove caches and built pages; footage, clips, models and stores stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dvc_plots *.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10
