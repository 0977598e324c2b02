# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint docs bench bench-quick clean

demo: $(VENV)/installed  ## the main job on embedded images: pretraining, transfer, report
	$(BIN)/ssljax train --config=quickstart --workdir=runs/quickstart

test: $(VENV)/installed-test lint  ## the tests, on the CPU
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n 2

test-slow: $(VENV)/installed-test  ## what `make test` leaves out: processes that are killed, several workers
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n 2 tests/slow

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/installed-test  ## the documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

bench: $(VENV)/installed-bench  ## training steps beside the same in PyTorch; run it alone on the machine
	$(BIN)/python -m benchmarks.steps --peer=torch

bench-quick: $(VENV)/installed-bench  ## whether speeds over PyTorch are still those of benchmarks/results
	$(BIN)/python -m benchmarks.quick

# Editable installations with what pyproject.toml lists: the code that runs is that of this folder.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e '.[tfds,formats,buckets,export,test]'
	touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e '.[tfds,bench]'
	touch $@

clean:
	rm -rf $(VENV) runs site .pytest_cache .ruff_cache .mypy_cache .hypothesis
