# Two commands: `make demo` and `make test`. Both set up what they need on a fresh Debian 12 machine with a Rust
# toolchain, as root.

SHELL := /bin/bash
CARGO ?= cargo

.PHONY: setup lint unit lab lab-long fault-matrix fuzz test demo

# System packages: what libssh2 is built with, and what the lab's nodes are made with.
setup:
	@tests/setup

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked --quiet
	tests/deny
	tests/lint-shell

# Everything that needs no real node.
unit: setup
	$(CARGO) test --locked

# The tests on real nodes: `#[ignore]` keeps them from plain `cargo test`, here none is left out. Those of single steps
# (lab_node) run on the oldest generation and the newest, with one backend each; `make lab LAB_NODES=abcdefgh` takes
# every generation with both.
LAB_NODES ?= ah
# Minutes each, and the same as on the newest node: `make lab-long` runs these.
LAB_LONG = foreign::no_spelling_is_drift_in_between foreign::no_spelling_is_drift_on_the_oldest_node
lab: setup
	tests/lab/lab build
	FWDEPLOY_LAB_NODES=$(LAB_NODES) $(CARGO) test --locked --test real_nodes --test lab_node -- --ignored --test-threads=$${LAB_TESTS:-3} $(addprefix --skip ,$(LAB_LONG)); \
	status=$$?; tests/lab/lab down node; exit $$status
	$(CARGO) test --locked --test fault_matrix -- --ignored a_fault_at_each_step

lab-long: setup
	tests/lab/lab build
	$(CARGO) test --locked --test real_nodes -- --ignored --test-threads=$${LAB_TESTS:-3} --exact $(LAB_LONG)

# Every kind of step meets every fault, which takes an hour and a quarter; writes docs/fault-matrix.md. What failed
# is told in target/fault-matrix.
fault-matrix: setup
	tests/lab/lab build
	$(CARGO) test --locked --test fault_matrix -- --ignored --nocapture every_fault

# Each parser of a node's answer gets made-up ones, for FUZZ_SECONDS (600) each. `fuzz/run TARGET` runs one.
fuzz: setup
	fuzz/run

test: lint unit lab

demo: setup
	$(CARGO) build --release --locked
	tests/demo
