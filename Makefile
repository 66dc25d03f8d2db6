# make demo    set up .venv and run an investigation: model, prompts, database and report are all local
# make test    set up .venv and run lint, the tests, and the coverage check
# make lint    ruff, mypy --strict, import-linter
# make fast    the tests that take little and need no pretrained model
# make bench   how fast sweeps are beside TransformerLens, nnsight and pyvene, and how time and memory grow
# make accept  after a demo: what the README promises, on the real model, with figures, and the tests that `make test`
#              leaves out: kill -9 at fifty moments, 176 more random architectures, two more of the engine's, a drill
#              that is stopped at four more places, claims on the pretrained model (about an hour)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DB ?= lakatos.db
WORKERS ?= 2
LIGHT := not accept and not heavy and not smollm2

# what is compiled once is not compiled again by each process that the tests start
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint fast bench accept clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/lakatos run ioi --db $(DB)
	$(BIN)/lakatos verify --db $(DB)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal -m '$(LIGHT)'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m '(heavy or smollm2) and not accept'

fast: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m '$(LIGHT)'

clean:
	rm -rf $(VENV) build *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/sweep.py --profile
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/peers.py

accept: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m accept
	$(BIN)/python benchmarks/acceptance.py tamper $(DB)
	$(BIN)/python benchmarks/acceptance.py claims $(DB)
	for part in null behaviours seed kill; do $(BIN)/python benchmarks/acceptance.py $$part || exit 1; done
