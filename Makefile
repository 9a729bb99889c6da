# Needs Python 3.11 or newer and make; everything else is set up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A person sees what is downloaded; a log of CI stays short.
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(if $(CI),--quiet)
PAGE := src/mammoscope/server/page
PAGE_TOOLS := web/node_modules/.package-lock.json
SOURCES := pyproject.toml src/mammoscope/__init__.py

.PHONY: help demo serve test fuzz bench check api page browser-test format lock pip-audit clean

help:
	@echo "make demo    set up, make a synthetic exam, analyse it, print the findings (no torch)"
	@echo "make serve   set up, open the reading page on this machine (no torch)"
	@echo "make test    set up for development, run all checks and tests"
	@echo "make page    build the reading page into the package (needs Node 20)"
	@echo "make api     describe the server's API for the page, and make the page's types of it (needs Node 20)"
	@echo "make fuzz    feed the reader 100,000 files that mean harm (half an hour; the tests do a few hundred)"
	@echo "make bench   time the analysis of large files beside a peer's detector (a quarter of an hour; docs/performance.md)"
	@echo "make browser-test  check and build the page, and use it in Chromium (needs Node 20, Chromium)"
	@echo "make check   ruff, types, import contract"
	@echo "make format  ruff, in place"
	@echo "make lock    pin what CI installs, with hashes (requirements/ci.txt)"
	@echo "make pip-audit  look the pinned packages up in the list of known vulnerabilities (needs a network)"
	@echo "make clean   remove what the above made"

demo: $(VENV)/.run
	$(BIN)/mammoscope example --out demo/exam
	$(BIN)/mammoscope analyze demo/exam --out demo/results --overwrite
	$(BIN)/mammoscope example --out demo/exam --compare demo/results
	@echo "Look at demo/results/phantom-L-MLO.overlay.png"

serve: $(VENV)/.run
	$(BIN)/mammoscope serve

# Workers of one thread each, two more than there are cores: many tests wait for servers.
WORKERS ?= auto
test: check
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

# Guided by coverage too where atheris is installed, which has no build for every system.
fuzz: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m fuzz.run --files 100000 --seed 0

bench: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m bench.run

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports

api: $(VENV)/.run $(PAGE_TOOLS)
	$(BIN)/python -m mammoscope.server.openapi > web/openapi.json
	npm --prefix web run types

page: $(PAGE_TOOLS)
	npm --prefix web run build

# A page that ships must be the one that its sources make.
browser-test: $(VENV)/.dev $(PAGE_TOOLS)
	npm --prefix web run check
	npm --prefix web run build
	@test -z "$$(git status --porcelain -- $(PAGE))" || { echo "$(PAGE) is stale: commit what make page builds"; exit 1; }
	npm --prefix web run browser-test

# For every system and any Python from 3.11 on. Pins stay as they are: remove a line, or the file, to take newer ones.
lock: $(VENV)/.dev
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" --extra dev --output-file requirements/ci.txt pyproject.toml requirements/ci.in

pip-audit: $(VENV)/.dev
	$(BIN)/python requirements/audit.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(SOURCES) | $(VENV)/.made
	@echo "Setting up for analysis in $(VENV): 0.7 GB, about a minute with a fast network"
	$(PIP) --editable .
	@touch $@

$(PAGE_TOOLS): web/package-lock.json
	npm --prefix web ci --no-audit --no-fund
	@touch $@

# LOCK=requirements/ci.txt installs what CI does, each file checked against its hash. Without it the newest that fit, but
# torch, first and by version: the newest one that these networks were tested with.
$(VENV)/.dev: $(SOURCES) $(LOCK) | $(VENV)/.made
	@echo "Setting up for development in $(VENV): 6.9 GB, nearly all of it torch; some five minutes with a fast network"
ifdef LOCK
	$(PIP) --require-hashes --requirement $(LOCK)
	$(PIP) --no-deps --no-build-isolation --editable .
else
	$(PIP) torch==2.14.1 torchvision==0.29.1
	$(PIP) --editable ".[dev]"
endif
	@touch $@ $(VENV)/.run
