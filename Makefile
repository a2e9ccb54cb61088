# `make help` says what there is. Arguments go through ARGS: make run ARGS="--help"
SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)
ARGS ?=
recado := cargo run --bin recado --

.DEFAULT_GOAL := help
.PHONY: help run stop test histories check fmt lint docs deny check-env migrate seed run-worker bench microbench chaos \
	crash-matrix crash-matrix-mutants

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start everything on this machine, with a simulated telephone on a web page
	@scripts/setup run
	cargo run --bin recado -- dev $(ARGS)

stop: ## Stop what `make run` started, if it still runs
	@scripts/stop

test: ## Run every test beside a throwaway Postgres and Redis (ARGS="-p recado-engine" for a part)
	@scripts/setup run test
	scripts/test $(ARGS)

histories: ## Record the histories that workflows are replayed against anew, from real runs
	RECORD_HISTORIES=1 cargo test -p recado --test histories

check: fmt lint docs deny ## All that must be clean before a commit, but the tests

fmt: ## Check the formatting (cargo fmt mends it)
	cargo fmt --all --check

lint: ## Run clippy on everything, tests too
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p recado -p recado-engine --features crash --lib --bins --test crash_matrix -- -D warnings

docs: ## Build the documentation of every crate
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

deny: ## Check licences, sources and advisories of what we depend on, if cargo-deny is installed
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny check; \
	else \
		echo "cargo-deny is not installed, so dependencies are not checked: cargo install cargo-deny --locked"; \
	fi

check-env: ## Say whether the settings (.env and environment) are complete and right
	$(recado) check $(ARGS)

migrate: ## Bring the database at DATABASE_URL to this version's schema
	$(recado) migrate up $(ARGS)

seed: ## Put example data into the database at DATABASE_URL
	$(recado) seed $(ARGS)

run-worker: ## Start a worker for the database at DATABASE_URL
	$(recado) worker $(ARGS)

bench: ## Measure speed, as docs and README quote it
	cargo run --release --bin recado -- bench $(ARGS)

microbench: ## Measure form, signature and replay alone, on one processor (ARGS="history" for a part)
	cargo bench -p recado --bench micro -- $(ARGS)

chaos: ## Kill, freeze and cut off everything under load, and count what was lost (ARGS="--seconds 600")
	@scripts/setup run test
	cargo run --bin recado -- chaos $(ARGS)

crash_matrix := scripts/with-servers cargo test -p recado --features crash --test crash_matrix --

crash-matrix: ## Kill a process at every commit and outside call, and count (ARGS="--scenario text --database sqlite")
	@scripts/setup run test
	$(crash_matrix) $(ARGS)

crash-matrix-mutants: ## The same with one protection after the other switched off: cells must turn red
	@scripts/setup run test
	$(crash_matrix) --without each $(ARGS)
