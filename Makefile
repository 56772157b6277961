# make demo   JupyterLab on the quickstart
# make test   lint, types and all tests, the browser's too

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

HEADLESS := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),,--no-browser)
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: demo test screenshots constraints clean

demo: .venv/ready
	$(BIN)/jupyter lab $(HEADLESS) $(ROOT) \
		--LabApp.default_url=/lab/tree/notebooks/01-quickstart.ipynb

test: .venv/ready
	.ci/chromium
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest

# The pictures of the README and the notebooks, taken from the running widget.
screenshots: .venv/ready
	.ci/chromium
	$(BIN)/python -m tests.browser.screenshots

# Everything that the targets above use, at the versions that are newest now.
constraints:
	rm -rf .venv
	echo 'torch==2.13.0' > constraints.txt
	$(MAKE) .venv/ready
	$(BIN)/python -m pip freeze --all --exclude-editable \
		| sed 's/+cpu$$//' > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv build dist *.egg-info

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"The versions in constraints.txt need Python 3.11 or newer: make PYTHON=..." >&2; \
		exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip setuptools
	$(PIP) --no-build-isolation --group dev --editable '.[notebooks,frameworks]'
	touch $@
