# The two commands a newcomer needs are `make demo` and `make test`; both install what they need.
.DEFAULT_GOAL := help
SHELL := bash
export PATH := $(CURDIR)/.tools/bin:$(PATH)
# Many tests wait in real time, so two more at once than there are processors keep those busy.
export NEXTEST_TEST_THREADS ?= $(shell expr $$(nproc) + 2)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: demo
demo: tools-run ## Build Ringdown and watch it test three agents with real calls on loopback
	cargo run --locked --package ringdown -- demo --output demo-output

.PHONY: build
build: ## Build the optimised binary, target/release/ringdown
	cargo build --locked --release --package ringdown

.PHONY: test
test: tools-test lint ## Everything CI runs: format, lints, licences, every test
	scripts/with-postgres.sh cargo nextest run --locked --workspace
	@# One package alone would be built with other features of what it depends on: two minutes more.
	RINGDOWN_TEST_DATABASE=postgres scripts/with-postgres.sh cargo nextest run --locked --workspace -E 'binary_id(ringdown-rest::rest)'

.PHONY: soak
soak: tools-test ## Run the slow tests for long: RINGDOWN_SOAK seconds each campaign, 600 unless set
	RINGDOWN_SOAK=$${RINGDOWN_SOAK:-600} scripts/with-postgres.sh cargo nextest run --locked \
		--package ringdown --test end_to_end -E 'test(generated_requests) or test(/^(killed|fleet)::/)'
	RINGDOWN_SOAK=$${RINGDOWN_SOAK:-600} cargo nextest run --locked --package ringdown-domain --test simulation

.PHONY: bench
bench: tools-test ## Measure the platform on both databases (about five minutes)
	RINGDOWN_POSTGRES_FSYNC=on scripts/with-postgres.sh cargo run --locked --release --package ringdown-bench -- $(BENCH)

.PHONY: ci
ci: test ## Exactly what CI runs

.PHONY: lint
lint: tools-test ## Format, clippy and dependency checks
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
	cargo deny --locked --workspace check bans licenses sources

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: tools-run
tools-run: ## Install what running needs (flite, nats-server)
	@scripts/tools.sh run

.PHONY: tools-test
tools-test: ## Install what testing needs as well (PostgreSQL, SIPp, cargo-deny, nextest, uv, Python packages)
	@scripts/tools.sh test

.PHONY: clean
clean: ## Delete build output and installed tools
	cargo clean
	rm -rf .tools demo-output
