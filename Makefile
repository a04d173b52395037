# The main commands are `make demo` and `make test`. Both install what they need on a fresh Debian 12 machine with a Rust
# toolchain; run them as root.

SHELL := /bin/bash
CARGO ?= cargo

.PHONY: setup lint unit lab lab-long lab-family fault-matrix leaks bench bench-quick bench-guard fuzz test demo

# Installs the system packages that libssh2 and the lab's nodes are built with.
setup:
	@tests/setup

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --target-dir target --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked --quiet
	tests/deny
	tests/lint-shell

# Runs the tests that need no real node. tests/run uses cargo-nextest if it is installed, and reports the slowest tests.
unit: setup
	tests/run unit

# Runs the tests on real nodes. Plain `cargo test` skips them (`#[ignore]`); this target skips none. The tests of single steps
# (lab_node) run on the oldest and the newest Debian release, with one backend each; `make lab LAB_NODES=abcdefgh` uses
# every release with both backends. LAB_TESTS (4) of them run at a time.
LAB_NODES ?= ah
lab: setup
	tests/lab/lab build
	FWDEPLOY_LAB_NODES=$(LAB_NODES) tests/run lab; status=$$?; tests/lab/lab down node; exit $$status

# Minutes each, and the same as on the newest node, which is a part of `make lab`.
lab-long: setup
	tests/lab/lab build
	tests/run lab-long

# The tests on the lab's variants, which come near the Enterprise Linux family. `make lab` runs one of the four on each, by the commit.
lab-family: setup
	tests/lab/lab build
	tests/run lab-family

# Injects every fault into every kind of step, which takes an hour and a quarter, and writes docs/fault-matrix.md. Failures
# are described in target/fault-matrix.
fault-matrix: setup
	tests/lab/lab build
	tests/run fault-matrix

# Offers packets while others reload, restart and boot what the whitelist rests on, which takes about an hour, and writes docs/leaks.md.
leaks: setup
	tests/lab/lab build
	tests/run leaks

# Measures fwdeploy beside Ansible, pyinfra and bare ssh, which takes about forty minutes, and writes a section of docs/benchmarks.md with its
# plots. It goes on where it was interrupted. `tests/bench/speed --help` has its options.
bench: setup
	$(CARGO) build --release --locked
	tests/lab/lab build trixie
	python3 tests/bench/speed run $(BENCH)
	python3 tests/bench/speed page

# For a change: one node, fwdeploy and bare ssh, in two minutes. It fails where a ratio is beyond what the last `make bench` has recorded.
bench-quick: setup
	$(CARGO) build --release --locked
	tests/lab/lab build trixie
	python3 tests/bench/speed quick $(BENCH)

# Measures what the guard costs, which takes about ten minutes, and writes a section of docs/benchmarks.md.
bench-guard: setup
	$(CARGO) build --release --locked
	tests/lab/lab build
	tests/bench/guard

# Fuzzes each parser of a node's answers for FUZZ_SECONDS (600). `fuzz/run TARGET` runs one.
fuzz: setup
	fuzz/run

# The roots of the lab's nodes, if they are missing, are built beside what needs none: that waits for a mirror most of the time.
test: setup
	@tests/lab/lab build & builder=$$!; trap 'kill $$builder 2>/dev/null' EXIT; \
	$(MAKE) lint unit && wait $$builder && $(MAKE) lab

demo: setup
	$(CARGO) build --release --locked
	tests/demo
