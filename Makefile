# Every target is one line that calls a tool. `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
OURS := shared register discover proxy compose
INSTALLED := .venv/installed
IMAGES := register discover proxy etcd redis

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make .venv with all of Mooring, editable, and the tools

demo: install  ## run the whole pipeline on this machine, no Docker, no root (ONCE=1: play it once and check it)
	$(BIN)/mooring demo $(if $(ONCE),--once)

test: check  ## set up what is needed and run everything
check: lint types imports cover  ## what CI runs, in the same order

lint: install  ## ruff: rules and format
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: install  ## mypy, strict
	$(BIN)/mypy

imports: install  ## import-linter: who may import whom
	$(BIN)/lint-imports

cover: install  ## all tests, with branch coverage
	$(BIN)/pytest --cov --numprocesses 2 --dist loadfile --durations 12

images: $(IMAGES:%=image-%)  ## build the five images: mooring-register, -discover, -proxy, -etcd, -redis

constraints: install  ## pin anew what constraints.txt pins: newest versions, with the hashes of all their files
	$(PIP) uv && $(BIN)/uv pip compile $(COMPILE) --output-file constraints.txt

clean:  ## remove what the other targets made
	rm -rf .venv build .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache $(OURS:=/*.egg-info)

.PHONY: help install demo test check lint types imports cover images constraints clean

# pip and setuptools first: what is only to be had as source is built with the pinned ones, not with some others.
$(INSTALLED): constraints.txt $(OURS:=/pyproject.toml)
	$(PYTHON) -m venv .venv
	sed -n '/^\(pip\|setuptools\)==/,/[^\]$$/p' constraints.txt | $(PIP) --require-hashes --requirement /dev/stdin
	$(PIP) --require-hashes --no-build-isolation --requirement constraints.txt
	$(PIP) --no-deps --no-build-isolation $(OURS:%=--editable %)
	@touch $@

# Again and again: docker itself knows best what has not changed.
image-%: build/authorities.pem
	docker build --quiet --network host --build-arg REVISION=$(shell git describe --always --dirty 2>/dev/null) \
	  --tag mooring-$* --file $(firstword $(wildcard $*/Dockerfile compose/$*/Dockerfile)) .

# Whom pip trusts while an image is built: whom this machine trusts. Only the stages before the last see it.
build/authorities.pem: $(wildcard /etc/ssl/certs/ca-certificates.crt)
	mkdir -p build && cat /dev/null $^ >$@

# Everything that any of the five may want, for every Python they allow; none of the five itself.
COMPILE := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
  --custom-compile-command "make constraints" $(OURS:%=%/pyproject.toml) \
  $(addprefix --no-emit-package ,mooring mooring-register mooring-discover mooring-proxy mooring-stack)
