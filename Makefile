# Everything starts here; CI calls only these targets. Python 3.11 or newer and make are all that is assumed.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
ARGS ?=

.PHONY: setup bench test lint report ui clean
.DEFAULT_GOAL := bench

setup: $(READY)

# Complete or done again: the file `ready` comes last and goes first, so a set-up that was broken off leaves nothing in use.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3"; exit 1; }
	@rm -f $(READY) && rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@echo "installing what sgibench needs into $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

bench: setup
	@$(BIN)/sgibench run --profile quick $(ARGS)

report: setup
	@$(BIN)/sgibench report $(ARGS)

ui: setup
	@$(BIN)/sgibench ui $(ARGS)

test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_floors.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
