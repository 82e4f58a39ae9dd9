# make demo and make test work from a fresh clone: they install what they need into .venv.

PYTHON ?= python3
RUN := .venv/bin/python -m
# Without an NVIDIA GPU, PyTorch comes from its index of CPU builds: no gigabytes of CUDA packages.
CPU_INDEX := https://download.pytorch.org/whl/cpu
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: demo test test-slow test-all check bench install clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("evoconv needs Python 3.11 or newer: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	command -v nvidia-smi >/dev/null || $(RUN) pip install --quiet --no-deps --retries 1 --index-url $(CPU_INDEX) $(TORCH)
	$(RUN) pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	.venv/bin/evoconv evolve digits --time 60s

check: install
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

test: install check
	$(RUN) pytest

test-slow: install
	$(RUN) pytest -m slow

test-all: test test-slow

bench: install
	$(RUN) benchmarks

clean:
	rm -rf .venv build dist src/evoconv.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
