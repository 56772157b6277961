# make demo           JupyterLab on the quickstart
# make check          lint, types and the fast tests, which start no other programs
# make test           lint, types and the tests, the browser's too
# make test-all       the same, and all that is exhaustive
# make test-kernels   the tests of a busy cell, on three versions of ipykernel

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

HEADLESS := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),,--no-browser)
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# The versions that differ in what becomes of a drag or a press during a busy cell.
KERNELS := $(addprefix build/kernels/,6.31.0 7.3.0 7.4.0)

# pyproject.toml says which tests are slow, and which are exhaustive.
PYTEST := $(BIN)/pytest
# Slow tests wait for other programs, so that more processes than cores are faster.
PROCESSES := 5

.PHONY: demo lint check test test-all test-kernels screenshots constraints clean

demo: .venv/ready
	$(BIN)/jupyter lab $(HEADLESS) $(ROOT) \
		--LabApp.default_url=/lab/tree/notebooks/01-quickstart.ipynb

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers 2

check: lint
	$(PYTEST) --numprocesses logical --maxprocesses $(PROCESSES) -m "not slow and not exhaustive"

test: lint $(KERNELS)
	.ci/chromium
	$(PYTEST) --numprocesses $(PROCESSES) -m "not exhaustive"

test-all: lint $(KERNELS)
	.ci/chromium
	$(PYTEST) --numprocesses $(PROCESSES)

# Part of test, too.
test-kernels: .venv/ready $(KERNELS)
	$(BIN)/pytest tests/kernels

# The pictures of the README and the notebooks, taken from the running widget.
screenshots: .venv/ready
	.ci/chromium
	$(BIN)/python -m tests.browser.screenshots
	$(BIN)/python -m tests.browser.film

# Everything that the targets above use, at the versions that are newest now. From 4.25
# on, the import of jsonschema takes a second, in each process of Ray and of Jupyter.
constraints:
	rm -rf .venv
	printf 'torch==2.13.0\njsonschema<4.25\n' > constraints.txt
	$(MAKE) .venv/ready
	$(BIN)/python -m pip freeze --all --exclude-editable \
		| sed 's/+cpu$$//' > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv build dist *.egg-info

# Each goes before the ipykernel of .venv, which has all else that it needs.
build/kernels/%: | .venv/ready
	$(BIN)/python -m pip install --quiet --no-deps --target $@ ipykernel==$*

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"The versions in constraints.txt need Python 3.11 or newer: make PYTHON=..." >&2; \
		exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip setuptools
	$(PIP) --no-build-isolation --no-compile --group dev --editable '.[notebooks,frameworks,ray]'
# On all cores; pip compiles on one. Of the packages' own tests and models, few files are
# ever imported, and some files are for other versions of Python.
	@$(BIN)/python -m compileall -qq -j 0 -x '/(tests|models|rllib)/' .venv/lib || true
	touch $@
