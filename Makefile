# `make demo` and `make test` set up everything they need; they are quick the second time.
PYTHON ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
# The parts of one run on this machine are small: threads of their own only get in each other's way.
export OMP_NUM_THREADS ?= 1

.PHONY: help venv demo bench test faults gpu check format clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/installed  ## make .venv with everything pinned in constraints.txt

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch -e '.[dev]'
	@touch $@

demo: venv  ## train and compare methods on embedded real digits, and write a report
	$(BIN)/mmpareto compare --data cg-digits --seeds 5 --epochs 30 --out runs/demo

bench: export OMP_NUM_THREADS = $(shell getconf _NPROCESSORS_ONLN)
# Freed memory is kept, as accelerators' allocators keep it: else up to a third of a step is the system's page faults.
bench: export MALLOC_TRIM_THRESHOLD_ = 17179869184
bench: export MALLOC_MMAP_THRESHOLD_ = 17179869184
bench: export MALLOC_TOP_PAD_ = 268435456
bench: venv  ## measure what a step costs; QUICK=1 for a short look, OUT=folder for another place than benchmarks/results
	$(BIN)/python -m benchmarks.cost $(if $(QUICK),--quick) $(if $(OUT),--out $(OUT))
	$(if $(QUICK),,$(BIN)/python -m benchmarks.profile $(if $(OUT),--out $(OUT)))
	$(if $(QUICK),,$(BIN)/python -m benchmarks.scaling $(if $(OUT),--out $(OUT)))
	$(if $(QUICK),,$(BIN)/python -m benchmarks.overhead $(if $(OUT),--out $(OUT)))

# One process more than the least machine has cores: many tests wait for processes that they start.
test: check  ## prove that it is right
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal

faults: export MMPARETO_FAULTS = build/faults
faults: venv  ## inject faults at length, and write the figures into docs/reliability.md
	rm -rf $(MMPARETO_FAULTS) && mkdir -p $(MMPARETO_FAULTS)
	$(BIN)/python -m pytest -m faults --numprocesses 2 --dist worksteal
	PYTHONPATH=tests $(BIN)/python -m faults.table $(MMPARETO_FAULTS)

# Without this variable the tests hide all devices: what is compared to the bit is the processor's.
gpu: export CUDA_VISIBLE_DEVICES ?= $(shell nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | paste -sd,)
gpu: venv  ## on a machine with a CUDA device: prove what needs one, and measure what a step costs there
	$(BIN)/python -m pytest -m gpu -rs
	@if [ -n "$$CUDA_VISIBLE_DEVICES" ]; then \
	  $(BIN)/python -m benchmarks.cost --device cuda $(if $(OUT),--out $(OUT),--out benchmarks/results/gpu); \
	else echo "make gpu: no CUDA device here, so nothing was measured; the skipped tests above say the same."; fi

check: venv  ## format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/reading_rule.py

format: venv  ## put the code into the format that `make check` asks for
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:  ## remove the environment; runs stay
	rm -rf .venv
