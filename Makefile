# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/installed  ## the main job on embedded images: pretraining, transfer, report
	$(BIN)/python -m ssljax.main --config=configs/quickstart.py --workdir=runs/quickstart

test: $(VENV)/installed-test lint  ## the tests, on the CPU
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n 2

lint: $(VENV)/installed-test
	$(BIN)/ruff check .

bench: $(VENV)/installed-bench  ## training steps beside the same in PyTorch; run it alone on the machine
	$(BIN)/python -m benchmarks.steps --peer=torch

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/installed-test: requirements-test.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	touch $@

$(VENV)/installed-bench: requirements-bench.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet -r requirements-bench.txt
	touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache .hypothesis
