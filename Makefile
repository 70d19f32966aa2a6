# Two commands set everything up on a fresh machine with Python 3.11 and make:
#   make demo   renders videos, trains on them, measures, predicts
#   make test   checks the style, the types and the imports, and runs the tests
#   make fuzz   attacks the commands with 10,000 damaged files: about an hour
PYTHON ?= python3.11
BIN := .venv/bin
PYTEST_ARGS ?=
FUZZ_ARGS ?= --inputs 10000

.PHONY: demo test fuzz check format results bench docs clean

demo: .venv/installed
	$(BIN)/filmstrip demo --out demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

fuzz: .venv/installed-dev
	OMP_NUM_THREADS=1 PYTHONPATH=tests/tools $(BIN)/python -m fuzzing $(FUZZ_ARGS)

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# docs/results.md anew; DATA holds ut_interaction/, WEIGHTS the ImageNet weights that its commands name
results: .venv/installed
	$(BIN)/python benchmarks/results.py $(DATA) $(WEIGHTS)

# docs/performance.md and its chart anew, on the machine at hand; leave it idle meanwhile
bench: .venv/installed-dev
	$(BIN)/python benchmarks/performance.py

# docs/commands.md anew, from the commands' own help
docs: .venv/installed
	$(BIN)/typer filmstrip.app.cli utils docs --name filmstrip --title Commands --output docs/commands.md

clean:
	rm -rf .venv demo

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[engines]"
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@ .venv/installed
