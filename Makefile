# Every check and build of this repository. `make help` lists the targets.
#
# A fresh machine needs: a C compiler, rustup with Rust 1.95, Python 3.11 or newer with venv, Node.js 20 or newer with
# npm. Everything else is installed below into .venv and .cache, at exact versions.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := help
.NOTPARALLEL:

# The pinned toolchain when rustup has it, else whatever is the default; Cargo.toml refuses one that is too old.
ifneq ($(shell rustc --version >/dev/null 2>&1 && echo found),found)
export RUSTUP_TOOLCHAIN := stable
endif

# One target triple for cargo, maturin and napi, so that they share one target folder and compile things once.
ifndef CARGO_BUILD_TARGET
export CARGO_BUILD_TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
endif
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PYTHON3 ?= python3
CACHE := .cache
VENV := .venv
PYTHON := $(VENV)/bin/python
REPORTS := $(CACHE)/reports
BENCH_VENV := $(CACHE)/bench-venv
BINARIES := $(CARGO_TARGET_DIR)/$(CARGO_BUILD_TARGET)

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/tools/cargo-deny-$(CARGO_DENY_VERSION)
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/tools/cargo-fuzz-$(CARGO_FUZZ_VERSION)

NODE_SERVERS := $(CACHE)/servers/node
TIME_SERVER := $(CACHE)/servers/time

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= scan envelope token path command domain
VECTORS ?= sdk-tests/vectors

# Where the tests find what was built and installed for them. Paths are absolute: tests change their folder.
export SMCP_BIN := $(BINARIES)/debug/smcp
export SMCP_SERVERS := $(CURDIR)/$(CACHE)/servers
export SMCP_VECTORS = $(abspath $(VECTORS))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# The test suites: name, folder, and what must be there before the suite can run (the folder if nothing is said).
SUITES := \
	python:bindings-python/tests \
	runner-python:sdk-tests/runners/python \
	interop:sdk-tests/interop \
	e2e:sdk-tests/e2e \
	docs:sdk-tests/docs:bindings-python/python/smcp/__main__.py
SUITE_NAMES := $(foreach suite,$(SUITES),$(firstword $(subst :, ,$(suite))))
suite_folder = $(word 2,$(subst :, ,$(filter $(1):%,$(SUITES))))
suite_gate = $(lastword $(subst :, ,$(filter $(1):%,$(SUITES))))

# What may still be missing while the parts are being put together. A part that is missing and not named here fails.
PENDING := $(strip $(shell sed -e 's/\#.*//' .ci/pending))

# $(call unless_pending,PATH,COMMAND): runs COMMAND when PATH exists, and passes without only if PATH is pending.
define unless_pending
	if [ -e '$(1)' ]; then $(2); \
	elif [[ ' $(PENDING) ' == *' $(1) '* ]]; then echo 'not there yet: $(1)'; \
	else echo 'missing: $(1)' >&2; exit 1; fi
endef

section = @.ci/section '$(1)'

.PHONY: help
help: ## print this list
	@echo 'Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Variables: VECTORS=DIR (conformance), FUZZ_SECONDS=60 and FUZZ_TARGETS="scan …" (fuzz), BENCH_ARGS (bench)'

# ---------------------------------------------------------------------------------------------------------- installing

.PHONY: setup
setup: $(VENV)/.installed $(NODE_SERVERS)/.installed $(TIME_SERVER)/.installed ## install the tools and tool servers that the tests use

$(VENV)/.installed: requirements-dev.txt
	$(call section,Python tools)
	$(PYTHON3) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --requirement $<
	@touch $@

$(NODE_SERVERS)/.installed: sdk-tests/servers/package.json sdk-tests/servers/package-lock.json
	$(call section,MCP tool servers from npm)
	@mkdir -p $(@D)
	cp $^ $(@D)/
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(TIME_SERVER)/.installed: sdk-tests/servers/requirements.txt
	$(call section,MCP tool server from PyPI)
	$(PYTHON3) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --requirement $<
	@touch $@

# Tools are compiled quickly rather than well: they run for seconds.
cargo_install = CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	CARGO_TARGET_DIR='$(CURDIR)/$(CACHE)/tools/build' \
	cargo install --quiet --locked --no-track --force --root '$(CURDIR)/$(2)' --version $(3) $(1)

$(CARGO_DENY)/bin/cargo-deny:
	$(call section,cargo-deny $(CARGO_DENY_VERSION))
	$(call cargo_install,cargo-deny,$(CARGO_DENY),$(CARGO_DENY_VERSION))

$(CARGO_FUZZ)/bin/cargo-fuzz:
	$(call section,cargo-fuzz $(CARGO_FUZZ_VERSION))
	$(call cargo_install,cargo-fuzz,$(CARGO_FUZZ),$(CARGO_FUZZ_VERSION))

# ------------------------------------------------------------------------------------------------------------ building

.PHONY: build
build: ## build the workspace for development
	$(call section,build)
	cargo build --workspace --locked

.PHONY: wheel
wheel: $(VENV)/.installed ## build the Python wheel for development and install it into .venv
	$(call section,Python wheel)
	@rm -rf dist/debug
	$(PYTHON) -m maturin build --quiet --locked --profile dev --out dist/debug
	$(PYTHON) -m pip install --quiet --no-deps --force-reinstall dist/debug/*.whl

.PHONY: lock
lock: ## bring both lock files up to date with the manifests, changing as little as possible
	cargo metadata --format-version 1 >/dev/null
	cargo metadata --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null

.PHONY: release
release: $(VENV)/.installed ## build the release binary and wheel into dist/
	$(call section,release)
	cargo build --release --locked --package smcp-gateway --bin smcp
	@rm -rf dist/release
	$(PYTHON) -m maturin build --quiet --locked --release --out dist/release
	cp $(BINARIES)/release/smcp dist/release/

.PHONY: demo
demo: wheel ## build, then show an agent, the gateway and real tool calls, allowed and refused
	$(call section,demo)
	$(PYTHON) -m smcp demo $(DEMO_ARGS)

# ------------------------------------------------------------------------------------------------------------- testing

.PHONY: test
test: clean-reports build test-rust $(addprefix test-,$(SUITE_NAMES)) ## install what is missing, build, and run every test
	@$(PYTHON3) .ci/summary.py $(REPORTS) --pending '$(PENDING)' --expect rust $(SUITES)

.PHONY: clean-reports
clean-reports:
	@rm -rf $(REPORTS)
	@mkdir -p $(REPORTS)

.PHONY: test-rust
test-rust: setup ## run the Rust tests and the examples in the crate documentation
	$(call section,Rust tests)
	@mkdir -p $(REPORTS)
	cargo test --workspace --locked --no-fail-fast 2>&1 | tee $(REPORTS)/rust.log

define pytest_suite
.PHONY: test-$(1)
test-$(1): setup build wheel
	$$(call section,$(2))
	@mkdir -p $$(REPORTS)
	@$$(call unless_pending,$(3),$$(PYTHON) -m pytest $(2) --strict-markers --override-ini xfail_strict=true -ra \
		--timeout 300 -p no:cacheprovider --junitxml $$(REPORTS)/$(1).xml)
endef
$(foreach name,$(SUITE_NAMES),$(eval $(call pytest_suite,$(name),$(call suite_folder,$(name)),$(call suite_gate,$(name)))))

.PHONY: conformance
conformance: setup wheel ## run every conformance runner over VECTORS=DIR
	$(call section,conformance: Rust over $(VECTORS))
	cargo run --quiet --locked --package smcp-sdk-tests -- '$(SMCP_VECTORS)'
	$(call section,conformance: Python over $(VECTORS))
	@$(call unless_pending,sdk-tests/runners/python,$(PYTHON) -m pytest sdk-tests/runners/python -q -p no:cacheprovider)

.PHONY: rules
rules: ## disable the rules of the core one at a time; each must turn a test red (slow)
	$(call section,rules)
	cargo xtask rules

# ------------------------------------------------------------------------------------------------------------ checking

.PHONY: lint
lint: lint-quick lint-rust lint-deny lint-generated lint-python ## every check that is no test

.PHONY: lint-quick
lint-quick: $(VENV)/.installed ## formatting, Python rules, shell scripts: seconds
	$(call section,formatting)
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	$(PYTHON) -m ruff format --check .
	$(call section,Python and shell rules)
	$(PYTHON) -m ruff check .
	$(VENV)/bin/shellcheck $$(git ls-files --cached --others --exclude-standard '*.sh' .ci/run .ci/section)
	$(PYTHON) .ci/check_tree.py

.PHONY: lint-rust
lint-rust: ## clippy with the strict lints of Cargo.toml, on the workspace and on the fuzz targets
	$(call section,clippy)
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --locked --package smcp-core --no-default-features -- -D warnings
	cargo clippy --locked --package smcp-python --no-default-features --features abi3 -- -D warnings
	CUSTOM_LIBFUZZER_PATH=/dev/null cargo clippy --manifest-path fuzz/Cargo.toml --locked -- -D warnings

.PHONY: lint-deny
lint-deny: $(CARGO_DENY)/bin/cargo-deny ## licences, bans and sources of the dependencies
	$(call section,cargo deny)
	$(CARGO_DENY)/bin/cargo-deny --locked check --hide-inclusion-graph --deny unmatched-skip bans licenses sources

.PHONY: lint-generated
lint-generated: ## generated files are those that the sources generate
	$(call section,generated files)
	cargo xtask errors --check

.PHONY: lint-python
lint-python: wheel ## mypy --strict, and stubs against the built module
	$(call section,mypy)
	$(PYTHON) -m mypy bindings-python/python/smcp .ci benches fuzz sdk-tests/docs
	@# One run for each, since test folders have modules of the same name.
	@for folder in $(wildcard bindings-python/tests sdk-tests/runners/python); do $(PYTHON) -m mypy "$$folder"; done
	$(call section,stubs)
	$(PYTHON) -m mypy.stubtest smcp --mypy-config-file pyproject.toml

.PHONY: ci
ci: clean-reports lint-quick setup lint-rust test-rust lint-deny lint-generated lint-python test ## what .ci/run runs: cheap checks first

# ------------------------------------------------------------------------------------------------ measuring and fuzzing

.PHONY: bench
bench: release ## benchmarks, each with its ratio to raw Ed25519 in the same run
	$(call section,core benchmarks)
	cargo bench --locked --package smcp-benches -- $(BENCH_ARGS)
	$(call section,Python benchmarks)
	$(PYTHON3) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --requirement requirements-dev.txt
	$(BENCH_VENV)/bin/python -m pip install --quiet --no-deps --force-reinstall dist/release/*.whl
	$(BENCH_VENV)/bin/python benches/python_verify.py
	$(call section,gateway round trip)
	SMCP_BIN='$(BINARIES)/release/smcp' $(BENCH_VENV)/bin/python benches/gateway_round_trip.py

.PHONY: fuzz
fuzz: $(CARGO_FUZZ)/bin/cargo-fuzz ## fuzz each target for FUZZ_SECONDS, from seeds made of the shared vectors (needs nightly)
	$(call section,fuzzing)
	$(PYTHON3) fuzz/seeds.py sdk-tests/vectors fuzz/corpus
	@for target in $(FUZZ_TARGETS); do \
		.ci/section "fuzz $$target, $(FUZZ_SECONDS) s"; \
		RUSTUP_TOOLCHAIN=nightly CARGO_TARGET_DIR='$(CURDIR)/fuzz/target' $(CARGO_FUZZ)/bin/cargo-fuzz run --target $(CARGO_BUILD_TARGET) \
			"$$target" -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1; \
	done

# ------------------------------------------------------------------------------------------------------------ clearing

.PHONY: clean
clean: ## remove everything that was built or installed here
	rm -rf '$(CARGO_TARGET_DIR)' $(VENV) $(CACHE) dist fuzz/target fuzz/corpus fuzz/artifacts .mypy_cache .ruff_cache .pytest_cache
