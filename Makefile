# Everything starts here; CI calls only these targets. Python 3.11 or newer and make are all that is assumed.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
READY_FOR_TESTS := $(VENV)/ready-for-tests
ARGS ?=
# Else every process compiles all that it imports, some seconds each time; what is compiled is ignored by git.
unexport PYTHONDONTWRITEBYTECODE

# The lines of some packages in requirements.lock. pip installs uv, and uv, many times as fast, the rest. Python's own pip
# will do, if it has one that is new enough: to put one into a new environment takes as long as all the rest.
locked = sed -E -n '/^($(1))==/,/[^\\]$$/p' requirements.lock
install_uv = install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock

.PHONY: setup bench test lint report ui clean
.DEFAULT_GOAL := bench

setup: $(READY)

# Complete or done again: the file `ready` comes last and goes first, so a set-up that was broken off leaves nothing in use.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is too old or none at all: Python 3.11 or newer is needed"; exit 1; }
	@rm -f $(READY) && rm -rf $(VENV)
	@echo "installing what sgibench needs into $(VENV) (once, some seconds)"
	@$(PYTHON) -m venv --without-pip $(VENV)
	@$(call locked,uv) >$(VENV)/uv.lock
	@$(call locked,editables|hatchling) >$(VENV)/build.lock
	@PIP_USER=0 $(PYTHON) -m pip --python $(BIN)/python $(install_uv) 2>$(VENV)/pip.log || \
		{ $(BIN)/python -m ensurepip --default-pip >/dev/null && PIP_USER=0 $(BIN)/python -m pip $(install_uv); }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes \
		-c requirements.lock -r pyproject.toml -r $(VENV)/build.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(READY_FOR_TESTS): $(READY)
	@echo "installing what the tests need (once)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -c requirements.lock --group dev
	@touch $@

bench: setup
	@$(BIN)/sgibench run --profile quick $(ARGS)

report: setup
	@$(BIN)/sgibench report $(ARGS)

ui: setup
	@$(BIN)/sgibench ui $(ARGS)

# Four processes for two CPUs: much of a test is waiting, for a server that starts or for a window that ends.
test: $(READY_FOR_TESTS)
	@$(BIN)/python -m pytest -n 4 $(ARGS)

lint: $(READY_FOR_TESTS)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_floors.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
