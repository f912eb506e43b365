# Every target is one line that calls a tool. `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
OURS := shared register discover proxy compose
INSTALLED := .venv/installed
REVISION = $(shell git describe --always --dirty 2>/dev/null)
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

cover: install  ## all tests, with branch coverage; those that need the machine to themselves come last, one by one
	$(BIN)/pytest --cov --numprocesses 4 --dist loadfile --durations 12 -m "not alone" && $(BIN)/pytest --durations 6 -m alone

bench-scale: install  ## register with 10 000 containers of an engine that has none: time, memory, writes; build/bench/scale.json; minutes
	$(BIN)/python -m tests.bench.scale

bench-churn: install  ## register with 300 real containers, started and stopped in any order while etcd is slow; minutes
	MOORING_CHURN_CONTAINERS=300 MOORING_REQUIRE_DOCKER=1 $(BIN)/pytest tests/integration/test_register_churn.py

bench-consul: install  ## have 10 000 services in one Consul agent stay alive, which takes some minutes (SERVICES=NUMBER)
	MOORING_REQUIRE_DOCKER=1 MOORING_TEST_CONSUL_SERVICES=$(or $(SERVICES),10000) $(BIN)/pytest tests/integration/test_register_consul_many.py

images: $(IMAGES:%=image-%)  ## build the five images: mooring-register, -discover, -proxy, -etcd, -redis

up: build/authorities.pem  ## build and start the stack, or bring it up to date (DEMO=1: with something to try; JOIN=HOST:PORT: with another host's etcd)
	compose/up

down:  ## end the stack and leave nothing (KEEP=1: leave what etcd, Redis and the proxies have stored)
	docker compose down --remove-orphans $(if $(KEEP),,--volumes)

ps:  ## list the stack's containers
	docker compose ps

logs:  ## follow the stack's logs
	docker compose logs --follow --tail 100

constraints: install  ## pin anew what constraints.txt pins: newest versions, with the hashes of all their files
	$(PIP) uv && $(BIN)/uv pip compile $(COMPILE) --output-file constraints.txt

clean:  ## remove what the other targets made
	rm -rf .venv build .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache $(OURS:=/*.egg-info)

.PHONY: help install demo test check lint types imports cover bench-scale bench-churn bench-consul images up down ps logs constraints clean

# pip and setuptools first: what is only to be had as source is built with the pinned ones, not with some others.
$(INSTALLED): constraints.txt $(OURS:=/pyproject.toml)
	$(PYTHON) -m venv .venv
	sed -n '/^\(pip\|setuptools\)==/,/[^\]$$/p' constraints.txt | $(PIP) --require-hashes --requirement /dev/stdin
	$(PIP) --require-hashes --no-build-isolation --requirement constraints.txt
	$(PIP) --no-deps --no-build-isolation $(OURS:%=--editable %)
	@touch $@

# The same for every command of Compose: which files, and what they want to know.
DOCKER_SOCKET := $(or $(MOORING_DOCKER_SOCKET),/var/run/docker.sock)
up down ps logs: export COMPOSE_FILE = compose/docker-compose.yml$(if $(DEMO),:compose/demo.yml)$(if $(JOIN),:compose/join.yml)
up down ps logs: export MOORING_DOCKER_GROUP = $(shell stat --dereference --format %g $(DOCKER_SOCKET) 2>/dev/null)
up down ps logs: export MOORING_ETCD = $(JOIN)
up down ps logs: export MOORING_REVISION = $(REVISION)

# Again and again: docker itself knows best what has not changed.
image-%: build/authorities.pem
	docker build --quiet --network host --build-arg REVISION=$(REVISION) \
	  --tag mooring-$* --file $(firstword $(wildcard $*/Dockerfile compose/$*/Dockerfile)) .

# Whom pip trusts while an image is built: whom this machine trusts. Only the stages before the last see it.
build/authorities.pem: $(wildcard /etc/ssl/certs/ca-certificates.crt)
	mkdir -p build && cat /dev/null $^ >$@

# Everything that any of the five may want, for every Python they allow; none of the five itself.
COMPILE := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
  --custom-compile-command "make constraints" $(OURS:%=%/pyproject.toml) \
  $(addprefix --no-emit-package ,mooring mooring-register mooring-discover mooring-proxy mooring-stack)
