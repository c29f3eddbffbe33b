# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check unit clean

demo: $(VENV)/.installed
	mkdir -p demo
	$(BIN)/pitflow simulate demo/demo.avi --truth demo/truth --seed 7 --frames 150 --size 720x720 --pits 3 --overwrite
	$(BIN)/pitflow run demo/demo.avi -o demo/demo.pitflow
	$(BIN)/pitflow score demo/demo.pitflow --truth demo/truth
	@echo
	@echo "The report: $(CURDIR)/demo/demo.pitflow/report.html"

test: check unit

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile

clean:
	rm -rf $(VENV) demo

# Debian splits venv from Python, so a machine may have pip without it: then virtualenv makes the folder.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); $(PYTHON) -m pip install --user --break-system-packages virtualenv && $(PYTHON) -m virtualenv $(VENV); }
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.installed
