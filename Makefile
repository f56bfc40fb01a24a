# Neiroha's commands. Each sets up what it needs in .venv, and is quick when nothing changed.
#   PYTHON=/path/to/python   the Python to build .venv with (3.12 or newer)
#   ARGS="..."               more arguments for `make run`, `make scale`, `make test`, `make bench` and `make chaos`

VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python
INSTALL := $(PY) -m pip install -qq --disable-pip-version-check --require-hashes
RUN_READY := $(VENV)/.installed-run
SCALE_READY := $(VENV)/.installed-scale
DEV_READY := $(VENV)/.installed-dev
JOBS ?= 2
# The languages beside English, and how their texts are collected.
LANGUAGES := -l zh_Hans
COLLECT := --ignore data/* --ignore tests/* --ignore benchmarks/* --no-wrap --no-obsolete --add-location file

# `python3` comes first: where pyenv is, .python-version makes it the Python that Neiroha is developed on.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.14 python3.12 python)

define find_python
for candidate in $(PYTHONS); do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; then python="$$candidate"; break; fi; \
done; \
if [ -z "$${python:-}" ]; then \
	echo 'Neiroha needs Python 3.12 or newer; not found as: $(PYTHONS). Name one: make PYTHON=/path/to/python' >&2; exit 1; \
fi
endef

# What tests use of the system: an engine for the system adapter, a browser for the pages and Chinese letters for it,
# tools for translations, and the servers of an installation of several processes.
define system_packages
missing=; \
command -v espeak-ng >/dev/null || missing="$$missing espeak-ng"; \
command -v chromium >/dev/null || missing="$$missing chromium"; \
[ -e /usr/share/fonts/truetype/wqy/wqy-zenhei.ttc ] || fc-list :lang=zh 2>/dev/null | grep -q . || missing="$$missing fonts-wqy-zenhei"; \
command -v xgettext >/dev/null || missing="$$missing gettext"; \
command -v redis-server >/dev/null || missing="$$missing redis-server"; \
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing="$$missing postgresql"; \
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$$missing nginx-light"; \
if [ -n "$$missing" ]; then \
	sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then \
		echo "Installing with apt-get:$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		$$sudo apt-get -qq update && $$sudo apt-get -qq install -y --no-install-recommends $$missing >/dev/null || \
			echo "apt-get could not install:$$missing. Tests that need them can't pass." >&2; \
	else \
		echo "Missing programs:$$missing. Install them with the system's package manager: tests that need them can't pass." >&2; \
	fi; \
fi
endef

.PHONY: help run scale install-scale test check bench chaos messages requirements clean
.DEFAULT_GOAL := help

help: ## Show the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: $(RUN_READY) ## Start the server: the API and the pages on 127.0.0.1:8976
	@exec $(PY) manage.py serve $(ARGS)

scale: $(SCALE_READY) ## Start two webs behind nginx, two workers, PostgreSQL and Redis, until Ctrl-C
	@exec $(PY) -m deploy.scale $(ARGS)

install-scale: $(SCALE_READY) ## Install what PostgreSQL, Redis, workers and S3 need

test: $(DEV_READY) ## Run every test
	@$(system_packages)
	@$(PY) -m pytest -p no:cacheprovider -n $(JOBS) --dist loadfile $(ARGS)

check: $(DEV_READY) ## Check style, types, layers, settings and migrations
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(BIN)/lint-imports
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && export NEIROHA_DATA_DIR="$$data" && \
		NEIROHA_PUBLIC_URL=https://voices.example.com NEIROHA_TRUSTED_PROXIES=127.0.0.1 $(PY) manage.py check --deploy --fail-level WARNING && \
		$(PY) manage.py makemigrations --check --dry-run

bench: $(DEV_READY) ## Measure the speech path beside a bare pass-through
	@$(PY) -m benchmarks $(ARGS)

chaos: $(DEV_READY) ## Kill servers in the middle of a batch, again and again
	@$(PY) -m tests.chaos $(ARGS)

messages: $(RUN_READY) ## Collect the texts to translate into locale/, and compile the translations
	@command -v xgettext >/dev/null || { echo 'Missing: gettext (on Debian: apt-get install gettext).' >&2; exit 1; }
	@mkdir -p locale
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && export NEIROHA_DATA_DIR="$$data" && set -f && \
		$(PY) manage.py makemessages $(LANGUAGES) $(COLLECT) && \
		$(PY) manage.py compilemessages $(LANGUAGES) --ignore .venv --ignore data --verbosity 0

requirements: $(PY) ## Compile requirements/*.txt anew from pyproject.toml
	@$(INSTALL) -r requirements/compile.txt
	@$(PY) requirements/compile.py

clean: ## Remove the environment and the tools' caches; the data folder stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(find_python); \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV) || { \
		rm -rf $(VENV); echo "$$python can't make a virtual environment (on Debian: apt-get install python3-venv)." >&2; exit 1; }

$(RUN_READY): requirements/base.txt | $(PY)
	@echo 'Installing what Neiroha needs into $(VENV)'
	@$(INSTALL) -r requirements/base.txt
	@touch $@

$(SCALE_READY): requirements/scale.txt $(RUN_READY)
	@echo 'Installing what an installation of several processes needs into $(VENV)'
	@$(INSTALL) -r requirements/scale.txt
	@touch $@

$(DEV_READY): requirements/dev.txt $(RUN_READY)
	@echo 'Installing what tests and checks need into $(VENV)'
	@$(INSTALL) -r requirements/dev.txt
	@touch $@
