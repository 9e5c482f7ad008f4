# Everything is made in .venv; state of running systems is in .pipelines. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
LOCK := requirements-dev.lock

# The first Python that will do; `make setup PYTHON=/path/to/python` names another.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PYTHON ?= $(shell for python in python3.12 python3.11 python3 python; do \
	if $$python -c '$(SUPPORTED)' 2>/dev/null; then command -v $$python; break; fi; done)

# make demo KEEP=1 leaves everything running at its end; DATASET=FILE takes a CSV file of the dataset's form.
KEEP ?=
DATASET ?=
DEMO_FLAGS ?=
override DEMO_FLAGS += $(if $(KEEP),--keep) $(if $(DATASET),--dataset '$(DATASET)')

PYTEST_FLAGS ?=

# make chaos SEED=7 RUNS=100 OUT=figures.json; FAULT='rollout' has that one alone.
SEED ?=
RUNS ?=
FAULT ?=
CHAOS_FLAGS ?=
override CHAOS_FLAGS += $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(if $(OUT),--json '$(OUT)')
override CHAOS_FLAGS += $(if $(FAULT),--fault '$(FAULT)')

# make bench-training ROWS=100000 FOLDS=3 GRID=2 MEMORY=4g OUT=figures.json; of growth, ROWS is a list: 1000,3000.
# SPARKS_ROWS is for Spark's own boosting, which is slow: 10,000 unless given, 0 leaves it out.
ROWS ?=
SPARKS_ROWS ?=
FOLDS ?=
GRID ?=
MEMORY ?=
OUT ?=
BENCH_FLAGS ?=
override BENCH_FLAGS += $(if $(ROWS),--rows $(ROWS)) $(if $(FOLDS),--folds $(FOLDS)) $(if $(GRID),--grid $(GRID))
override BENCH_FLAGS += $(if $(SPARKS_ROWS),--sparks-rows $(SPARKS_ROWS)) $(if $(MEMORY),--memory $(MEMORY))
override BENCH_FLAGS += $(if $(OUT),--out '$(OUT)')

# make bench-serving QUICK=1 only shows that all works; SEED is of the order in which contestants come.
QUICK ?=
SERVING_FLAGS ?=
override SERVING_FLAGS += $(if $(QUICK),--quick) $(if $(SEED),--seed $(SEED)) $(if $(OUT),--out '$(OUT)')

# make bench-serving-soak MINUTES=90 has the server give memory back under load, which it does once an hour.
MINUTES ?=
SOAK_FLAGS ?=
override SOAK_FLAGS += $(if $(MINUTES),--minutes $(MINUTES)) $(if $(OUT),--out '$(OUT)')

# make bench-monitoring ANSWERS=2000000 is a soak.
ANSWERS ?=
MONITORING_FLAGS ?=
override MONITORING_FLAGS += $(if $(ANSWERS),--answers $(ANSWERS)) $(if $(OUT),--out '$(OUT)')

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Set-up: each step is done again only when what it is made from has changed. ---

.PHONY: setup
setup: $(STAMPS)/archives ## Make .venv, and fetch all that the system needs (Python packages, Java, jars)

$(STAMPS)/python:
	@[[ -n "$(PYTHON)" ]] && "$(PYTHON)" -c '$(SUPPORTED)' || { \
		echo "Python 3.11 or 3.12 is needed and was not found: install one (Debian: apt-get install python3" \
			"python3-venv), or name one: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment: install its venv module" \
			"(Debian: apt-get install python3-venv)" >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

# uv comes from PyPI like everything else, by the hashes of its entry in the lock.
$(STAMPS)/uv: $(STAMPS)/python
	@awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' $(LOCK) > $(STAMPS)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(STAMPS)/uv.lock
	@touch $@

# Compiled at once: a first start would do it otherwise, and every start where PYTHONDONTWRITEBYTECODE is set.
$(STAMPS)/packages: $(LOCK) $(STAMPS)/uv
	@echo "Installing the Python packages of $(LOCK)" >&2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r $(LOCK)
	@touch $@

$(STAMPS)/project: pyproject.toml $(STAMPS)/packages
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(STAMPS)/jars: spark_apps/jars.py control_plane/sandbox/artifacts.py control_plane/sandbox/jars.lock $(STAMPS)/project
	@$(BIN)/python -m spark_apps.jars
	@touch $@

# Starts the servers and Spark once, which shows that they run here and makes later starts quicker.
$(STAMPS)/archives: control_plane/sandbox/java.py control_plane/sandbox/prepare.py spark_apps/record_classes.py
$(STAMPS)/archives: $(STAMPS)/jars
	@$(BIN)/python -m control_plane.sandbox.prepare
	@JAVA_HOME=$$($(BIN)/python -m control_plane.sandbox.java) $(BIN)/python -m spark_apps.record_classes
	@touch $@

# --- Running ---

.PHONY: demo
demo: setup ## Tell the whole job on real servers (KEEP=1: leave it running, DATASET=FILE: your own listings)
	@$(BIN)/pipelines demo $(DEMO_FLAGS)

.PHONY: up
up: setup ## Run the whole system until Ctrl-C
	@$(BIN)/pipelines up

# --- Checks ---

.PHONY: test
test: setup lint ## Run all checks and all tests
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

.PHONY: test-unit
test-unit: setup ## Run the unit tests: no servers, no Java
	@$(BIN)/python -m pytest tests/unit $(PYTEST_FLAGS)

.PHONY: test-integration
test-integration: setup ## Run the tests on real servers
	@$(BIN)/python -m pytest tests/integration $(PYTEST_FLAGS)

.PHONY: chaos
chaos: setup ## Let faults happen to serving at random moments: a minute a run (SEED=1 RUNS=20)
	@$(BIN)/python -m tests.chaos $(CHAOS_FLAGS)

.PHONY: chaos-monitoring
chaos-monitoring: setup ## Kill the monitoring application at random moments: a minute a run (SEED=1 RUNS=20)
	@$(BIN)/python -m tests.chaos.monitoring $(CHAOS_FLAGS)

.PHONY: test-story
test-story: setup ## Run the demo as a test: five minutes
	@$(BIN)/python -m pytest -m story tests/integration/test_demo.py $(PYTEST_FLAGS)

.PHONY: test-cluster
test-cluster: setup ## Run the tests on the cluster of KUBECONFIG, the whole job among them: 25 minutes
	@$(BIN)/python -m pytest -s -m '' tests/cluster $(PYTEST_FLAGS)

.PHONY: test-compose
test-compose: setup ## Run the whole job on docker compose, on the engine of DOCKER_HOST: 20 minutes
	@$(BIN)/python -m pytest -s -m '' tests/compose $(PYTEST_FLAGS)

# --- Timings: each takes up to hours, and wants the machine for itself ---

BENCH := .venv-bench
BENCH_LOCK := requirements-bench.lock

.PHONY: bench-training
bench-training: setup $(BENCH)/packages ## Time a training against XGBoost and LightGBM alone (ROWS=300000)
	@$(BIN)/python -m tests.benchmarks.training compare $(BENCH_FLAGS)

.PHONY: bench-training-growth
bench-training-growth: setup ## Time trainings on more and more rows (ROWS=100000,300000,1000000,3000000)
	@$(BIN)/python -m tests.benchmarks.training growth $(BENCH_FLAGS)

.PHONY: bench-serving
bench-serving: setup $(BENCH)/packages ## Time answers and the drain of a backlog, beside what others would do (QUICK=1)
	@$(BIN)/python -m tests.benchmarks.serving $(SERVING_FLAGS)

.PHONY: bench-serving-soak
bench-serving-soak: setup ## See that answers stay quick and memory flat for half an hour, and what idle servers take (MINUTES=60)
	@$(BIN)/python -m tests.benchmarks.serving.soak $(SOAK_FLAGS)

.PHONY: bench-monitoring
bench-monitoring: setup ## Time how fast live errors are counted on one core, and where time goes (ANSWERS=2000000)
	@$(BIN)/python -m tests.benchmarks.monitoring $(MONITORING_FLAGS)

$(BENCH)/packages: $(BENCH_LOCK) $(STAMPS)/uv
	@echo "Installing the Python packages of $(BENCH_LOCK)" >&2
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	@$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --require-hashes --compile-bytecode -r $(BENCH_LOCK)
	@touch $@

.PHONY: images
images: ## Build the container images; k8s/images/build says what it takes from the environment
	@k8s/images/build

.PHONY: lint
lint: $(STAMPS)/project ## Check style, form, types and the direction of imports
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(STAMPS)/imports.log || { cat $(STAMPS)/imports.log >&2; exit 1; }

.PHONY: docs
docs: $(STAMPS)/project ## Make docs/asyncapi.yaml, docs/settings.md and the tables of docs/events.md from the code
	@$(BIN)/python -m docs.generate

.PHONY: format
format: $(STAMPS)/project ## Bring the code into its form
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

# --- Upkeep ---

COMPILE := pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.PHONY: lock
lock: $(STAMPS)/project ## Resolve all dependencies anew into the hashed locks: images', developers', benchmarks', jars'
	@$(BIN)/uv $(COMPILE) --upgrade pyproject.toml -o requirements.lock
	@$(BIN)/uv $(COMPILE) --upgrade --group dev -c requirements.lock pyproject.toml -o $(LOCK)
	@$(BIN)/uv $(COMPILE) --upgrade --group bench -c requirements.lock -o $(BENCH_LOCK)
	@$(BIN)/python -m spark_apps.jars --lock

.PHONY: dist
dist: $(STAMPS)/uv ## Build the wheel and the source distribution into dist/
	@rm -f dist/*.whl dist/*.tar.gz
	@$(BIN)/uv build --quiet --python $(BIN)/python --out-dir dist
	@ls dist

.PHONY: test-dist
test-dist: dist ## Install each of them into an environment of its own, and ask for its version
	@for file in dist/*.whl dist/*.tar.gz; do \
		place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && echo "$$file" \
		&& $(BIN)/uv venv --quiet --python $(BIN)/python "$$place/venv" \
		&& $(BIN)/uv pip install --quiet --python "$$place/venv/bin/python" --constraint $(LOCK) "$$file" \
		&& (cd "$$place" && venv/bin/pipelines --version) && rm -rf "$$place" || exit 1; \
	done

.PHONY: sbom
sbom: $(STAMPS)/jars ## Write what the system runs on to dist/sbom.json (CycloneDX)
	@mkdir -p dist
	@$(BIN)/python -m docs.generate.sbom > dist/sbom.json

.PHONY: clean
clean: ## Delete the state of embedded systems, and caches
	@rm -rf .pipelines build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find control_plane spark_apps tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Delete .venv as well
	@rm -rf $(VENV) $(BENCH)
