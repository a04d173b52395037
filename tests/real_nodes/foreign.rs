//! Rules of others, in words that iptables prints back in others: no run fails because of them, and a second run is empty.

mod spellings;

use std::fmt::Write as _;

use spellings::SPELLINGS;
use spellings::SPELLINGS6;
use spellings::generated;

use crate::One;
use crate::harness::said::wait_until;

/// A script that adds every spelling to firewalld, at runtime and permanently, alternately ahead of the whitelist and behind it. It
/// prints how many firewalld has accepted: an old iptables does not know every extension.
fn add_all() -> String {
    let mut script = String::from(
        "taken=0\nadd() {\n  family=$1 priority=$2\n  shift 2\n  busctl -q call -- org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \
         org.fedoraproject.FirewallD1.direct addRule sssias $family filter DOCKER-USER $priority $# \"$@\" 2>/dev/null || return 0\n  \
         busctl -q call -- org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1/config \
         org.fedoraproject.FirewallD1.config.direct addRule sssias $family filter DOCKER-USER $priority $# \"$@\" || return 0\n  \
         taken=$((taken + 1))\n}\nfirewall-cmd -q --permanent --direct --add-chain ipv6 filter DOCKER-USER\n\
         ip6tables -nL DOCKER-USER >/dev/null 2>&1 || firewall-cmd -q --direct --add-chain ipv6 filter DOCKER-USER\n",
    );
    let generated = generated();
    let generated: Vec<&str> = generated.iter().map(String::as_str).collect();
    for (family, rules) in [
        ("ipv4", SPELLINGS),
        ("ipv4", &generated),
        ("ipv6", SPELLINGS6),
    ] {
        for (rule, priority) in rules.iter().zip([0, 2000].into_iter().cycle()) {
            let _ = writeln!(script, "add {family} {priority} {rule}");
        }
    }
    script + "echo $taken\n"
}

fn no_spelling_is_drift(suite: &str, backend: &str) {
    let one = One::up(&crate::name("spell", suite, backend), suite, backend);
    // From 2.0 on firewalld's first call at runtime takes Docker's chain away; a run has made its own before.
    one.run_changes();
    let taken = one.lab.sh("n1", &add_all());
    let all = SPELLINGS.len() + SPELLINGS6.len() + generated().len();
    let taken: usize = taken.trim().parse().expect("a count");
    assert!(taken + 20 >= all, "firewalld took {taken} of {all}");

    one.whitelist(&["peer1", "peer2"]);
    one.run_changes();
    let rests = |when: &str| {
        let check = one.lab.fwdeploy("run", &["--check", "-v"]);
        assert_eq!(check.code, 0, "{when}: {}{}", check.out, check.err);
        check.out
    };
    let said = rests("after the run");
    assert!(!said.contains("not-compared"), "{said}");
    let run = one.lab.fwdeploy("run", &[]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("changed=0"), "{}", run.out);

    // One that is missing in the kernel is noticed as well, and is restored at its position.
    one.lab.sh("n1", "iptables -D DOCKER-USER -s 10.90.0.3 -p tcp --dport 443 -j DROP; iptables -D DOCKER-USER -s 10.90.0.8 -j DROP");
    let check = one.lab.fwdeploy("run", &["--check", "-v"]);
    assert_eq!(check.code, 2, "{}{}", check.out, check.err);
    assert!(check.out.contains("--dport 443"), "{}", check.out);
    assert!(check.out.contains("10.90.0.8"), "{}", check.out);
    one.run_changes();
    rests("after the repair");

    // A peer less: firewalld counts its rules on its own, and lists of addresses are several lines.
    one.whitelist(&["peer1"]);
    one.run_changes();
    rests("after a change of the whitelist");

    one.lab.sh("n1", "firewall-cmd -q --reload");
    wait_until("Docker has put its jump back", || {
        one.lab
            .try_sh("n1", "iptables -C FORWARD -j DOCKER-USER")
            .code
            == 0
    });
    let run = one.lab.fwdeploy("run", &[]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    rests("after a reload");

    // iptables has no words for a verdict map of nft, and prints a rule without a target.
    let vmap = "nft insert rule ip filter FORWARD ip saddr vmap { 10.99.0.0-10.99.0.9 : accept }";
    if one.lab.try_sh("n1", vmap).code == 0 {
        one.lab
            .sh("n1", "iptables-save -t filter | grep -q '^-A FORWARD *$'");
        let check = one.lab.fwdeploy("run", &["--check"]);
        assert_eq!(check.code, 2, "{}{}", check.out, check.err);
        assert!(check.out.contains("kept-behind"), "{}", check.out);
        one.run_changes();
        rests("with a verdict map behind the whitelist");
    }

    // A spelling that cannot be determined is not taken for a difference.
    one.lab
        .sh("n1", "mv /usr/bin/unshare /usr/bin/unshare.away");
    let said = rests("without unshare");
    assert!(said.contains("unshare is not installed"), "{said}");
    one.whitelist(&["peer2"]);
    one.run_changes();
    one.whitelist(&["peer1"]);
    one.run_changes();
    rests("without unshare, after a run");
    one.assert_enforced("with everybody's rules around it");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn no_spelling_is_drift_on_the_oldest_node() {
    no_spelling_is_drift("bullseye", "iptables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn no_spelling_is_drift_in_between() {
    no_spelling_is_drift("bookworm", "nftables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn no_spelling_is_drift_on_the_newest_node() {
    no_spelling_is_drift("forky", "nftables");
}
