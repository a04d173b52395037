//! On real nodes, with real packets: the whitelist is enforced, persists, and is repaired.
//!
//! Every test brings up its own lab (`tests/lab/lab`), so that tests run side by side. They need root and are run by
//! `make lab`; plain `cargo test` leaves them out (`#[ignore]`).

mod adoption;
mod cosmos;
mod docker_kinds;
mod drift;
mod edited;
mod events;
mod failures;
mod family;
mod fleet;
mod foreign;
mod guard;
#[allow(
    dead_code,
    reason = "the other programs of tests on real nodes have it too"
)]
#[path = "../harness/mod.rs"]
mod harness;
mod interruptions;
mod ipsets;
mod mangle;
mod motion;
mod pending;
mod pull;
mod reach;
mod recovery;
mod remove;
mod restore;
mod safety;
mod whitelist;
mod zones;

use harness::lab::Lab;
use harness::said::wait_until;
use harness::said::wait_until_empty;
use harness::shell::print_left;

/// The port that the role forwards, and that a peer listens on.
const PORT: u16 = 5000;

/// A lab of one node and two peers: `peer1` is whitelisted, `peer2` is not.
struct One {
    lab: Lab,
}

impl One {
    /// Boots the node, starts the container on Docker's own bridge, and lets both peers listen.
    fn up(name: &str, suite: &str, backend: &str) -> Self {
        let lab = Lab::up(name, &[&format!("n1={suite}:{backend}")], 2);
        lab.lab("container", &["n1", "cybex", "--restart", "always"]);
        for peer in ["peer1", "peer2"] {
            lab.lab("listen", &[peer, &PORT.to_string()]);
        }
        let one = One { lab };
        one.whitelist(&["peer1"]);
        one
    }

    /// Writes the inventory with these peers on the whitelist.
    fn whitelist(&self, peers: &[&str]) {
        let addresses: Vec<String> = peers.iter().map(|p| self.lab.peer(p)).collect();
        self.inventory(&format!("[{}]", addresses.join(", ")), "");
    }

    /// Writes the inventory with a YAML list of peers, and more variables of the node.
    fn inventory(&self, peers: &str, more: &str) {
        self.lab.inventory(&format!(
            "all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {{key}}\n  children:\n    chain:\n      vars:\n        fwdeploy_roles: [cybex]\n        cybex_peers: {peers}\n{more}      hosts:\n        n1:\n          ansible_host: {}\n",
            self.lab.address("n1")
        ));
    }

    /// Runs and expects a changed node.
    fn run_changes(&self) {
        let said = self.lab.fwdeploy("run", &["--diff"]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(!said.out.contains("changed=0"), "{}", said.out);
    }

    /// Whether `--check` finds nothing to do. Anything but 0 and 2 fails the test.
    fn holds(&self) -> bool {
        let said = self.lab.fwdeploy("run", &["--check"]);
        assert!(matches!(said.code, 0 | 2), "{}{}", said.out, said.err);
        said.code == 0
    }

    /// Sends the packets: flows from and to the whitelisted peer get through, those from and to the other do not.
    fn assert_enforced(&self, when: &str) {
        let node = self.lab.address("n1");
        let (peer, stranger) = (self.lab.peer("peer1"), self.lab.peer("peer2"));
        wait_until(&format!("the whitelisted peer comes in, {when}"), || {
            self.lab.reaches("peer1", &node, PORT)
        });
        assert!(
            !self.lab.reaches("peer2", &node, PORT),
            "a stranger came in, {when}"
        );
        assert!(
            self.lab.reaches("n1/cybex", &peer, PORT),
            "the container does not reach its peer, {when}"
        );
        assert!(
            !self.lab.reaches("n1/cybex", &stranger, PORT),
            "the container reached a stranger, {when}"
        );
    }
}

/// What holds no more than an armed node should leave.
const LEFT: &str = print_left!();

/// Waits until a node that goes back by itself has nothing of the run left. The unit that takes it back is active for a moment after the
/// lease is gone.
fn assert_nothing_left(lab: &Lab, when: &str) {
    wait_until_empty(&format!("nothing of a run is left, {when}"), || {
        lab.sh("n1", LEFT)
    });
}

/// One test for each generation and backend.
macro_rules! on_every_node {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bullseye_nftables() { super::$test("bullseye", "nftables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bullseye_iptables() { super::$test("bullseye", "iptables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bookworm_nftables() { super::$test("bookworm", "nftables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bookworm_iptables() { super::$test("bookworm", "iptables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn trixie_nftables() { super::$test("trixie", "nftables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn trixie_iptables() { super::$test("trixie", "iptables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn forky_nftables() { super::$test("forky", "nftables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn forky_iptables() { super::$test("forky", "iptables"); }
        })+
    };
}
pub(crate) use on_every_node;

/// One test for the oldest of Docker's ways and for the newest, and both of firewalld's backends.
macro_rules! on_two_nodes {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bookworm_nftables() { super::$test("bookworm", "nftables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn forky_iptables() { super::$test("forky", "iptables"); }
        })+
    };
}
pub(crate) use on_two_nodes;

/// A lab's name: short, and different for each test and node.
fn name(test: &str, suite: &str, backend: &str) -> String {
    let suite = suite.strip_suffix("ish").unwrap_or(&suite[..2]);
    format!("{test}{suite}{}", &backend[..1])
}
