# Two commands on a fresh machine: `make demo` and `make test`. Only Python 3.11+ and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
CONFIG ?= config.toml

.PHONY: demo test check run bench crash power-cut fuzz simulate mutants laws lock clean docs

# The package itself is installed editable and without its dependencies: those come from the lock, by hash.
$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "brokerd needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up $(VENV): a minute or two, this once"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# MARKET=replay TRADES=trades.csv QUOTES=quotes.csv plays a recording instead of the synthetic market.
MARKET ?= synthetic
DEMO_S ?= 15
demo: $(VENV)/.run
	@$(BIN)/python examples/demo.py --seconds $(DEMO_S) --market $(MARKET) $(if $(TRADES),--trades $(TRADES)) $(if $(QUOTES),--quotes $(QUOTES))

run: $(VENV)/.run
	$(BIN)/brokerd run --config $(CONFIG)

# Two type checkers take the longest and use one core each.
check: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target basedpyright mypy lint

.PHONY: basedpyright mypy lint
basedpyright:
	$(BIN)/basedpyright

mypy:
	$(BIN)/mypy

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

test: check
	$(BIN)/python -m pytest -n auto -rs --cov --cov-report=
	$(BIN)/python tests/coverage_floor.py
	PYTHONASYNCIODEBUG=1 $(BIN)/python -m pytest tests/test_end_to_end.py

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Long versions of what the tests do briefly: kill -9 under load, and hostile lines at the socket.
# VENUE=binance or alpaca: against a brokerd-venue in a process of its own, over a bad network.
CYCLES ?= 200
VENUE ?= paper
crash: $(VENV)/.dev
	$(BIN)/python -m tests.crash --cycles $(CYCLES) --venue $(VENUE)

# A power cut at every write and sync of a run of the journal.
SEED ?= 1
power-cut: $(VENV)/.dev
	$(BIN)/python -m tests.power_cut --seed $(SEED)

# SEEDS lives of the daemon on virtual time, with everything going wrong; the first is FROM.
SEEDS ?= 200
FROM ?= 0
simulate: $(VENV)/.dev
	@PYTHONPATH=. $(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

# Weakened builds, each of which the simulator or a named test must catch.
mutants: $(VENV)/.dev
	@PYTHONPATH=. $(BIN)/python -m tests.simulation.hunt

# Every law on TIMES as many examples as in a run of the tests, and on new ones each time.
TIMES ?= 20
laws: $(VENV)/.dev
	BROKERD_LAW_TIMES=$(TIMES) $(BIN)/python -m pytest -n auto -m hypothesis --timeout 3600

LINES ?= 100000
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --lines $(LINES)

# Pages in site/, with warnings as errors; what repeats the code is written anew first.
docs: $(VENV)/.dev
	$(BIN)/python -m docs.generate
	$(BIN)/mkdocs build --strict --quiet

# Locks hold hashes and no index addresses; uv is needed only here.
lock:
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements.lock
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements-dev.lock

clean:
	rm -rf $(VENV) var build dist site
