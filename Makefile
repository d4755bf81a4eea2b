# Each target sets itself up from nothing: on Debian, as root, with make, git and a network to PyPI and Debian packages.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

RELEASE ?= bookworm
SCENARIO ?=
# How much chaos there is at least, and what all of it that is random follows from; by default the time.
KILLS ?= 50
CUTS ?= 3
SEED ?=
# Per cent of the engine's lines and branches that its unit tests must reach.
COVERAGE ?= 95
# Of make fuzz: steps in all.
STEPS ?= 100000

VENV := .venv
READY := $(VENV)/.ready
PYTEST := python -m pytest -p hack.pytest_no_skips
export HOME := $(or $(HOME),/root)
export PATH := $(CURDIR)/$(VENV)/bin:$(shell hack/path)
# Ansible wants a UTF-8 locale, and a minimal system sets none.
export LC_ALL := C.UTF-8
export LANG := C.UTF-8
export PYTHONDONTWRITEBYTECODE := 1
export ANSIBLE_HOME := $(CURDIR)/.ansible
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.ansible/collections
export VMOPS_LAB_CACHE ?= $(CURDIR)/.build/lab/images

.PHONY: help venv generate generate-check docs docs-check lint sanity units scenarios fuzz fuzz-small fuzz-inputs fuzz-mutants attributes \
  contracts awx awx-jobs events report-test rulebook oracle lab-image adversary lab-test molecule tutorial demo bench chaos clock-test \
  dist galaxy-importer matrix test test-all clean-room clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## Install what the other targets need: Debian packages, and Python packages into .venv

$(READY): requirements-dev.txt constraints-dev.txt
	@hack/venv

generate: $(READY) ## Write everything that is generated from schemas/
	python -m tools.kcl_compiler write
	python -m tools.reference_pages write

generate-check: $(READY) ## Fail when a generated file differs from what schemas/ yields
	python -m tools.kcl_compiler check
	python -m tools.reference_pages check

docs-check: $(READY) ## Fail on a code without a text, a text without a code, a stale page, a page that names an unknown code
	python -m tools.reference_pages check

docs: $(READY) ## The documentation site, below build/site; warnings and dead links are errors
	python -m tools.site build/site

lint: $(READY) ## Linters, types, changelog and documentation
	hack/lint

sanity: $(READY) ## ansible-test sanity, without ignore entries
	hack/sanity

units: $(READY) ## Unit tests, the engine's also on every other Python found
	$(PYTEST) tests/unit
	python hack/engine_units.py

matrix: $(READY) ## jsonschema and ansible-core in every version that is supported
	python hack/matrix.py $(NAME)

scenarios: $(READY) ## Scenario directories in virtual time, the power-cut sweep, and what both and the tables cover of the engine
	@mkdir -p .build/logs
	coverage erase
	coverage run -m pytest -p hack.pytest_no_skips -s tests/scenarios tests/unit/engine
	coverage report --fail-under $(COVERAGE)

fuzz: $(READY) ## Random stories of a host, judged at every effect [STEPS=100000] [SEED=0]
	PYTHONPATH=.:plugins/module_utils python -m tests.fuzz.run --steps $(STEPS) --seed $(or $(SEED),0)

fuzz-small: $(READY) ## A few thousand steps of the same, always the same ones
	$(PYTEST) tests/fuzz

fuzz-inputs: $(READY) ## Metadata, XML, disk headers, stores, configuration, command lines: by coverage [TIME=60, seconds for each] [TARGET=name]
	PYTHONPATH=.:plugins/module_utils python -m tests.fuzz.guided --seconds $(or $(TIME),60) --seed $(or $(SEED),1) $(TARGET)

fuzz-mutants: $(READY) ## Damage a copy of the engine in many ways; the stories must notice each
	PYTHONPATH=.:plugins/module_utils python -m tests.fuzz.mutants

attributes: $(READY) ## The seed's attributes, and what shows that each acts; fails while one is open
	PYTHONPATH=.:plugins/module_utils python -m tests.scenarios.attribute_table

contracts: $(READY) ## The same cases on the fakes and on real adapters
	hack/bootstrap contracts
	$(PYTEST) tests/contracts

awx: $(READY) ## The role for AWX and its surveys against the modules of awx.awx, and the execution environment
	hack/awx_collection
	$(PYTEST) tests/awx

awx-jobs: lab-image ## Every job template's playbook as AWX runs it, by ansible-runner, on a lab host
	$(PYTEST) tests/awx_jobs

events: $(READY) ## A hundred events a second for a minute, and a supervisor that is killed meanwhile [SEED=n]
	hack/bootstrap contracts
	SEED="$(SEED)" $(PYTEST) -s tests/events

report-test: $(READY) ## The inventory plugin and the report on real libvirt hosts, and the page in Debian's Chromium
	hack/bootstrap contracts browser
	hack/axe
	$(PYTEST) tests/report

rulebook: $(READY) ## The event source and its rulebook, with the real ansible-rulebook and real QEMU
	hack/bootstrap contracts
	bin="$$(hack/rulebook)" && PATH="$$PATH:$$bin" $(PYTEST) tests/rulebook

oracle: $(READY) ## The generated schemas against KCL itself [DOCUMENTS=105000] [SCHEMAS=100] [SEED=n]
	$(if $(DOCUMENTS),VMOPS_ORACLE_DOCUMENTS=$(DOCUMENTS)) $(if $(SCHEMAS),VMOPS_ORACLE_SCHEMAS=$(SCHEMAS)) \
	  $(if $(SEED),VMOPS_ORACLE_SEED=$(SEED)) $(PYTEST) -s tests/oracle

lab-image: $(READY) ## Build the lab's host and guest images [RELEASE=bookworm|trixie]
	tests/lab/lab build --release $(RELEASE)

adversary: lab-image ## Odd hosts, interference and damage on a real libvirt: nothing that should live is lost
	VMOPS_LAB=adversary tests/integration/adversary/run.sh

lab-test: lab-image ## Test the lab itself [RELEASE=bookworm|trixie]
	tests/lab/test_lab.sh $(RELEASE)

molecule: $(READY) ## Scenarios on real hosts of the lab [SCENARIO=name] [RELEASE=bookworm|trixie]
	hack/molecule $(RELEASE) $(SCENARIO)

tutorial: lab-image ## Do what docs/tutorial.md says, on a lab host [RELEASE=bookworm|trixie]
	$(PYTEST) tests/tutorial
	python -m tests.tutorial.run --release $(RELEASE)

demo: $(READY) ## A lab host, four VMs, and the timer that removes the expired one
	tests/demo/run

bench: $(READY) ## Benchmarks; writes build/bench.json
	hack/bootstrap contracts
	@mkdir -p build
	python tests/bench/run.py

chaos: lab-image ## Kill sweeps and cut power on lab hosts; writes build/chaos.json [RELEASE=bookworm|trixie] [HOSTS=1] [MINUTES=0] [KILLS=50] [CUTS=3] [SEED=n]
	$(PYTEST) tests/chaos/test_judge.py
	VMOPS_LAB=chaos-$(RELEASE) python tests/chaos/run.py --release $(RELEASE) --kills $(KILLS) --cuts $(CUTS) \
	  $(addprefix --hosts ,$(HOSTS)) $(addprefix --minutes ,$(MINUTES)) $(addprefix --seed ,$(SEED))

clock-test: lab-image ## Show the cleanup unit 2038, 1970 and a clock that jumps meanwhile, on a lab host [RELEASE=bookworm|trixie]
	VMOPS_LAB=clock-$(RELEASE) tests/chaos/clock.sh $(RELEASE)

dist: $(READY) ## Build the collection's tarball below dist/, the same bytes each time, and try it in another home
	hack/dist
	hack/check_dist

galaxy-importer: dist ## What Galaxy says about the tarball
	hack/galaxy_importer

test: $(READY) ## Every part of the test suite
	@python hack/run_parts.py

test-all: $(READY) ## The same, and Debian 13, the demo, Galaxy's importer and the benchmarks
	@python hack/run_parts.py --all

clean-room: ## make demo and make test in a fresh minimal Debian [CLEAN_ROOM_RELEASE=trixie] [CLEAN_ROOM_COMMANDS="make demo"]
	hack/bootstrap clean-room
	tests/clean_room/run

clean: ## Stop the labs of this checkout and remove what the targets wrote
	hack/clean
