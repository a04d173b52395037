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
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --target-dir target --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked --quiet
	tests/deny

# Everything that needs no real node. tests/run takes cargo-nextest where it is there, and tells the slowest tests.
unit: setup
	tests/run unit

# The tests on real nodes: `#[ignore]` keeps them from plain `cargo test`, here none is left out. Those of single steps
# (lab_node) run on the oldest generation and the newest, with one backend each; `make lab LAB_NODES=abcdefgh` takes
# every generation with both. LAB_TESTS of them run at a time (3).
LAB_NODES ?= ah
lab: setup
	tests/lab/lab build
	FWDEPLOY_LAB_NODES=$(LAB_NODES) tests/run lab; status=$$?; tests/lab/lab down node; exit $$status

# Minutes each, and the same as on the newest node, which is a part of `make lab`.
lab-long: setup
	tests/lab/lab build
	tests/run lab-long

# Every kind of step meets every fault, which takes an hour and a quarter; writes docs/fault-matrix.md. What failed
# is told in target/fault-matrix.
fault-matrix: setup
	tests/lab/lab build
	tests/run fault-matrix

# Each parser of a node's answer gets made-up ones, for FUZZ_SECONDS (600) each. `fuzz/run TARGET` runs one.
fuzz: setup
	fuzz/run

test: lint unit lab

demo: setup
	$(CARGO) build --release --locked
	tests/demo
