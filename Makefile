# What a maintainer does every day, one target each; `make` alone lists them.
INVENTORY ?= inventories/lab
# The lab's name, if there are several: by default the inventory's.
LAB ?= $(notdir $(INVENTORY:/=))
RELEASE ?= 2026.1
ARGS ?=

export CAIRN_LAB := $(LAB)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Ansible refuses any other encoding than UTF-8.
export LC_ALL := C.UTF-8
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

# As one word of the shell, whatever characters it has.
quoted = '$(subst ','\'',$(1))'
SITE = $(call quoted,$(INVENTORY))
PLAYBOOK = ansible-playbook -i $(SITE)
MACHINES = python -m lab --inventory $(SITE)
# Each phase's wall time and memory is kept for `make bench`.
PHASE = tools/phase

.PHONY: help
help:  ## list the targets
	@echo make TARGET [INVENTORY=$(SITE)] '[LAB=$(subst ','\'',$(LAB))]' "[ARGS='more arguments']"
	@awk -F ':.*## ' '/^# -- / {print "\n" substr($$0, 6)} /^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' \
	    $(MAKEFILE_LIST)

# -- set-up

# A bare Debian has no Python, in which set-up is written.
.PHONY: python setup tools
python:
	@command -v python3 >/dev/null || { echo "setup: installing python3"; \
	    { apt-get -qq update && apt-get -qqy install --no-install-recommends python3; } >/dev/null; }
setup: python  ## install what the lab and the tests need (their targets run it first)
	@tools/setup --lab
# A control node does not need the lab's packages.
tools: python  ## install what the control node needs (targets for a site run it first)
	@tools/setup

.PHONY: lock
lock: setup  ## resolve requirements.lock again (ARGS=--upgrade); with CONSTRAINTS=… the locks of releases/$RELEASE
ifdef CONSTRAINTS
	tools/lock.py --release $(RELEASE) --constraints $(CONSTRAINTS) $(ARGS)
else
	uv pip compile -q pyproject.toml --group dev --universal --python-version 3.12 \
	    --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command "make lock" -o requirements.lock $(ARGS)
endif

.PHONY: audit
audit: tools  ## known vulnerabilities of all that is locked (ARGS='--database SAVED' without network)
	@python tools/audit.py $(ARGS)

.PHONY: secrets edit-secrets
secrets: tools  ## write the secrets that INVENTORY lacks
	@python tools/site_secrets.py $(SITE)
edit-secrets: tools  ## change the secrets of INVENTORY in $EDITOR
	@ansible-vault edit $(SITE)/group_vars/all/secrets.yml

.PHONY: docs draw
docs: setup  ## write docs/reference and the drawings from roles, playbooks and the example
	@python -m cairn.reference
draw: tools  ## drawings of INVENTORY: architecture, and each kind of host (ARGS='--output FOLDER')
	@python -m cairn.reference.drawing $(SITE) $(ARGS)

# -- the lab

.PHONY: lab
lab: python  ## virtual machines, a cloud on them, an instance reached
	@$(PHASE) begin
	@$(PHASE) setup tools/setup --lab
	@$(PHASE) machines $(MACHINES) up
	@$(PHASE) secrets python tools/site_secrets.py $(SITE)
	@$(PHASE) site $(PLAYBOOK) playbooks/site.yml $(ARGS)
	@$(PHASE) verify $(PLAYBOOK) playbooks/verify.yml

.PHONY: lab-up lab-status lab-ssh lab-console lab-stop lab-destroy
lab-up: setup  ## only the virtual machines
	@$(MACHINES) up
lab-status: setup  ## each machine's state, address, memory
	@$(MACHINES) status
lab-ssh: setup  ## log in: HOST=controller1
	@$(MACHINES) ssh $(or $(HOST),$(error HOST=… is missing: make lab-status lists the hosts))
lab-console: setup  ## follow a console: HOST=controller1
	@$(MACHINES) console $(or $(HOST),$(error HOST=… is missing: make lab-status lists the hosts))
lab-stop: setup  ## shut the machines down; `make lab-up` starts them again
	@$(MACHINES) stop
lab-destroy: setup  ## remove machines, disks, networks
	@$(MACHINES) destroy

# -- a site

# Without it Ansible finds none of the project's plugins: where ANSIBLE_CONFIG names another, or others may write here.
lab secrets edit-secrets openstack plan site verify rollback renew rotate-keys: export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: site plan verify rollback renew rotate-keys openstack
plan: tools  ## what `make site` would do, changing nothing
	$(PLAYBOOK) playbooks/site.yml --check --diff $(ARGS)
site: tools  ## bring INVENTORY to what it says
	$(PLAYBOOK) playbooks/site.yml $(ARGS)
verify: tools  ## create an instance as a user would, and follow it
	$(PLAYBOOK) playbooks/verify.yml $(ARGS)
rollback: tools  ## a service back to its previous generation: SERVICE=nova
	$(PLAYBOOK) playbooks/rollback.yml -e service=$(or $(SERVICE),$(error SERVICE=… is missing)) $(ARGS)
renew: tools  ## renew certificates that are due, and nothing else
	$(PLAYBOOK) playbooks/renew.yml $(ARGS)
rotate-keys: tools  ## new keys for keystone's tokens and stored credentials
	$(PLAYBOOK) playbooks/rotate-keys.yml $(ARGS)
openstack: tools  ## the openstack command as administrator: ARGS='server list'
	@python tools/openstack.py $(SITE) $(ARGS)

# -- proof

.PHONY: journals
journals: setup  ## complaints in the journals of the lab's hosts that are not known yet (ARGS=--boot)
	@python -m tests.lab.journals --inventory $(notdir $(INVENTORY:/=)) $(ARGS)

.PHONY: test bad-days day-two ha lint unit labs venvs molecule bench
test: setup  ## lint, unit tests, the lab's own tests, every role, the whole cloud
	@tools/setup --browser
	@python tools/run_tests.py
bad-days: setup  ## power cuts, full disks, wrong input on the lab's cloud: two hours (or ARGS=tests/lab/disaster/…)
	@python tools/run_tests.py bad-days $(ARGS)
day-two: setup  ## changes of many kinds, each planned, made and undone (plan = run), and all features (or ARGS=tests/lab/day_two/…)
	@python tools/run_tests.py day-two $(ARGS)
ha: export CAIRN_LAB := lab-ha
ha: setup  ## three controllers: power cuts, takeover, reconfiguring under load (or ARGS=tests/lab/ha/…)
	@python tools/run_tests.py ha $(ARGS)
lint: setup  ## ruff, mypy, import-linter, yamllint, ansible-lint, words out of use
	@python tools/run_tests.py lint
unit: setup  ## tests that need no lab
	@python tools/run_tests.py unit
labs: setup  ## tests of the lab itself, of networks and of the test guest, in machines of their own
	@python tools/run_tests.py labs
venvs: setup  ## a release's virtualenvs here, so that `make unit` can ask its validator (Python 3.13)
	@python tools/venvs.py --release $(RELEASE)
molecule: setup  ## the roles' scenarios in the lab, or one: ROLE=glance
	@python tools/run_tests.py molecule $(ROLE)
bench: setup  ## measure the lab against the budgets of the design
	@python -m bench.bench $(ARGS)

# -- new parts

missing = $(error $(1)=… is missing: docs/contributing/$(2))

.PHONY: service check module
service: tools  ## files of a new service: NAME=etcd PORT=2379 (Debian's names, if others: PACKAGE=etcd-server UNIT=etcd)
	@python -m tools.scaffold service $(or $(NAME),$(call missing,NAME,add-a-service.md)) \
	    --port $(or $(PORT),$(call missing,PORT,add-a-service.md)) \
	    $(addprefix --package ,$(PACKAGE)) $(addprefix --unit ,$(UNIT))
	@python -m cairn.reference
check: tools  ## files of a new check of preflight: NAME=processors FACT=cpus LEAST=2 REMEDY='…' (GROUP=controller)
	@python -m tools.scaffold check $(or $(NAME),$(call missing,NAME,add-a-check.md)) \
	    --fact $(or $(FACT),$(call missing,FACT,add-a-check.md)) \
	    --least $(or $(LEAST),$(call missing,LEAST,add-a-check.md)) \
	    --remedy $(call quoted,$(or $(REMEDY),$(call missing,REMEDY,add-a-check.md))) $(addprefix --group ,$(GROUP))
	@python -m cairn.reference findings.md
module: tools  ## files of a new module: NAME=cairn_environment FILE=/etc/environment.d/50-site.conf
	@python -m tools.scaffold module $(or $(NAME),$(call missing,NAME,write-a-module.md)) \
	    --file $(call quoted,$(or $(FILE),$(call missing,FILE,write-a-module.md)))

# -- this repository

.PHONY: release
release: setup  ## a release of what is committed: VERSION=0.3.0 names it, changelog.d has the news
	@test -n "$(VERSION)" || { echo "release: VERSION=… is missing" >&2; exit 1; }
	@test -z "$$(git status --porcelain --untracked-files=no)" || { echo "release: commit your changes first" >&2; exit 1; }
	@! git rev-parse -q --verify "refs/tags/v$(VERSION)" >/dev/null || { echo "release: v$(VERSION) is there already" >&2; exit 1; }
	uv version --frozen --quiet $(VERSION)
	towncrier build --yes --version $(VERSION)
	git commit --quiet --message "Release $(VERSION)" pyproject.toml CHANGELOG.md changelog.d
	git tag --annotate --message "Cairn $(VERSION)" v$(VERSION)

.PHONY: clean
clean:  ## remove caches of this tree (the lab and .venv stay)
	rm -rf .cache .ansible .mypy_cache .ruff_cache .pytest_cache
