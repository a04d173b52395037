//! Large whitelists as address sets of firewalld's: with a threshold so low that the few peers of a lab are many.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::One;
use crate::PORT;
use crate::guard::in_container;
use crate::harness::said::wait_until;
use crate::interruptions::start_run;
use crate::name;
use crate::on_every_node;

/// The inventory with `peer1` and so many hosts that do not exist, and the threshold.
fn list(one: &One, others: usize, threshold: &str) {
    let others = (1..=others).map(|n| format!("198.18.0.{n}"));
    let peers: Vec<String> = std::iter::once(one.lab.peer("peer1"))
        .chain(others)
        .collect();
    let more = format!("        fwdeploy_ipset_threshold: {threshold}\n");
    one.inventory(&format!("[{}]", peers.join(", ")), &more);
}

/// Everything that the node has of sets, and how many rules in the chain name a peer.
const SETS: &str = "firewall-cmd --get-ipsets | tr ' ' '\\n' | grep '^fwdeploy-' | sort";
const RULES: &str = "iptables-save -t filter | grep '^-A DOCKER-USER' | grep -c 198.18.0. || :";
const ASKING: &str =
    "iptables-save -t filter | grep '^-A DOCKER-USER' | grep -c -e '--match-set fwdeploy-' || :";
/// The entries in memory, in the files, in the kernel, and in firewalld's table where there is one: a line for each view.
const ENTRIES: &str = "for set in $(firewall-cmd --get-ipsets | tr ' ' '\\n' | grep '^fwdeploy-'); do \
    firewall-cmd --ipset=$set --get-entries | sort | tr '\\n' ' '; echo; \
    firewall-cmd --permanent --ipset=$set --get-entries | sort | tr '\\n' ' '; echo; \
    ipset save $set | sed -n 's/^add [^ ]* //p' | sort | tr '\\n' ' '; echo; done | sort -u | grep -c .";

fn number(text: &str) -> usize {
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("`{text}` is not a number"))
}

on_every_node!(a_large_list_is_a_set_and_a_peer_is_an_entry);

/// From rules to sets, a peer more and a peer less, and back, with packets each time.
fn a_large_list_is_a_set_and_a_peer_is_an_entry(suite: &str, backend: &str) {
    let one = One::up(&name("is", suite, backend), suite, backend);
    let lab = &one.lab;
    list(&one, 3, "never");
    one.run_changes();
    one.assert_enforced("with a rule for each peer");
    assert_eq!(lab.sh("n1", SETS), "");
    assert!(number(&lab.sh("n1", RULES)) >= 6);

    list(&one, 3, "2");
    one.run_changes();
    one.assert_enforced("with sets");
    assert_eq!(
        lab.sh("n1", SETS).lines().count(),
        3,
        "{}",
        lab.sh("n1", SETS)
    );
    assert_eq!(number(&lab.sh("n1", RULES)), 0);
    assert_eq!(number(&lab.sh("n1", ASKING)), 2);
    assert_eq!(
        number(&lab.sh("n1", ENTRIES)),
        1,
        "each view has the same entries"
    );
    assert!(one.holds());

    // A peer more is one entry in each set, and no rule and no reload.
    let said = {
        list(&one, 4, "2");
        lab.fwdeploy("run", &["--check", "--diff", "-v"])
    };
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(!said.out.contains("(reload)"), "{}", said.out);
    let entries = said.out.matches("198.18.0.4").count();
    assert!(entries >= 6, "{entries} in {}", said.out);
    let reloads = "journalctl -u firewalld -o cat | grep -c -i reload || :";
    let before = lab.sh("n1", reloads);
    one.run_changes();
    assert_eq!(lab.sh("n1", reloads), before);
    one.assert_enforced("with one peer more");
    assert_eq!(number(&lab.sh("n1", ENTRIES)), 1);

    // What is taken off the list is refused at once.
    let strangers = format!(
        "[198.18.0.1, 198.18.0.2, 198.18.0.3, {}]",
        lab.peer("peer2")
    );
    one.inventory(&strangers, "        fwdeploy_ipset_threshold: 2\n");
    one.run_changes();
    assert!(!lab.reaches("peer1", &lab.address("n1"), PORT));
    assert!(lab.reaches("peer2", &lab.address("n1"), PORT));
    list(&one, 4, "2");
    one.run_changes();
    one.assert_enforced("with the first list again");

    // It survives whatever others do to firewalld.
    for (what, script) in [
        ("a reload", "firewall-cmd -q --reload && sleep 3"),
        ("a restart", "systemctl restart firewalld && sleep 3"),
        (
            "a crash",
            "systemctl kill -s KILL firewalld; sleep 1; systemctl restart firewalld && sleep 3",
        ),
    ] {
        lab.sh("n1", script);
        // firewalld before 2.0 that was killed may hold its rules twice, and Docker puts its own back in the background.
        wait_until(&format!("the node is as wanted after {what}"), || {
            lab.fwdeploy("run", &["--recover"]).code == 0
                && lab.fwdeploy("run", &["--check"]).code == 0
        });
        one.assert_enforced(&format!("after {what}"));
    }

    list(&one, 4, "never");
    one.run_changes();
    one.assert_enforced("with a rule for each peer again");
    assert_eq!(number(&lab.sh("n1", ASKING)), 0);
    assert_eq!(
        lab.sh("n1", "ls /etc/firewalld/ipsets | grep fwdeploy- || :"),
        ""
    );
    assert!(one.holds());
}

/// What somebody may do to a set, and the view in which it shows. SET is the one that the rule of the way in asks, ZONE the zone's.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "an entry added in the kernel",
        "ipset add SET 203.0.113.9",
        "- kernel",
    ),
    (
        "an entry taken from the kernel",
        "ipset del SET 198.18.0.1",
        "+ kernel",
    ),
    (
        "an entry added at runtime",
        "firewall-cmd -q --ipset=SET --add-entry=203.0.113.9",
        "- runtime",
    ),
    (
        "an entry taken at runtime",
        "firewall-cmd -q --ipset=ZONE --remove-entry=198.18.0.1",
        "+ runtime",
    ),
    (
        "an entry added in the files",
        "firewall-cmd -q --permanent --ipset=SET --add-entry=203.0.113.9",
        "- permanent",
    ),
    (
        "the set taken from the files",
        "firewall-cmd -q --permanent --delete-ipset=OUT",
        "+ permanent",
    ),
];

/// The same past firewalld. Up to 2.4 it reads a file five seconds after somebody has written it, if it can.
const EDITS: &[(&str, &str, &str)] = &[
    (
        "an entry taken from a file",
        "sed -i '/>198.18.0.1</d' /etc/firewalld/ipsets/SET.xml",
        "+ permanent",
    ),
    (
        "an entry written into a file",
        "sed -i 's,^</ipset>,<entry>203.0.113.9</entry></ipset>,' /etc/firewalld/ipsets/ZONE.xml",
        "- permanent",
    ),
    (
        "a file that is gone",
        "rm /etc/firewalld/ipsets/OUT.xml",
        "+ permanent",
    ),
    (
        "a file that is cut off",
        "truncate -s 60 /etc/firewalld/ipsets/SET.xml",
        "+ permanent",
    ),
];

on_every_node!(a_set_that_somebody_changes_is_named_and_mended);

fn a_set_that_somebody_changes_is_named_and_mended(suite: &str, backend: &str) {
    let one = One::up(&name("id", suite, backend), suite, backend);
    let lab = &one.lab;
    list(&one, 3, "2");
    one.run_changes();
    let set = |kind: &str| {
        let sets = lab.sh("n1", SETS);
        let named = sets
            .lines()
            .find(|name| name.starts_with(&format!("fwdeploy-{kind}4-")));
        named.expect("a set").to_string()
    };
    let (inbound, zone, outbound) = (set("in"), set("zone"), set("out"));
    let mut changes = CHANGES.to_vec();
    // From firewalld 2 on the table is its own: to everybody else nft says "Operation not permitted".
    let table = "nft list table inet firewalld 2>/dev/null | head -n 3";
    if backend == "nftables" && !lab.sh("n1", table).contains("flags owner") {
        changes.push((
            "an entry taken from firewalld's table",
            "nft delete element inet firewalld ZONE '{ 198.18.0.1 }'",
            "+ kernel",
        ));
    }
    for &(what, script, says) in changes.iter().chain(EDITS) {
        let script = script.replace("SET", &inbound);
        let script = script.replace("ZONE", &zone).replace("OUT", &outbound);
        lab.sh("n1", &script);
        let said = lab.fwdeploy("run", &["--check", "--diff", "-v"]);
        assert_eq!(said.code, 2, "{what}: {}{}", said.out, said.err);
        assert!(said.out.contains(says), "{what}: {}", said.out);
        if script.contains("/etc/firewalld") && suite != "forky" {
            thread::sleep(Duration::from_secs(7));
        }
        one.run_changes();
        assert!(one.holds(), "{what}");
        assert_eq!(number(&lab.sh("n1", ENTRIES)), 1, "{what}");
    }
    // What is in the files now is what a reload loads; what Docker has lost by it is repaired, where it does not do so itself.
    lab.sh("n1", "firewall-cmd -q --reload && sleep 3");
    wait_until("the node is as wanted after a reload", || {
        lab.fwdeploy("run", &["--recover"]).code == 0 && one.holds()
    });
    assert_eq!(number(&lab.sh("n1", ENTRIES)), 1, "after a reload");
    one.assert_enforced("after everything was mended");
}

/// A flow that is open, and new ones, while rules become sets and sets become rules. To see it fail: remove the rules ahead of the reload.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_flow_of_a_listed_peer_stays_open_from_rules_to_sets_and_back() {
    let one = One::up("isflow", "bookworm", "nftables");
    let lab = &one.lab;
    // Trusted peers are reached at every port, so that this one can listen for as long as it likes.
    let trust = |threshold: &str| {
        let trusted = format!("[{}, 198.18.0.101, 198.18.0.102]", lab.peer("peer2"));
        let more = format!(
            "        cybex_trusted: {trusted}\n        fwdeploy_ipset_threshold: {threshold}\n"
        );
        one.inventory(&format!("[{}]", lab.peer("peer1")), &more);
    };
    trust("never");
    one.run_changes();
    let hear = "import socket\ns=socket.socket()\ns.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)\n\
        s.bind((\"\",7001));s.listen(1)\nc=s.accept()[0]\nwhile c.recv(100): pass";
    let mut hearing = lab
        .peer_command("peer2", "python3")
        .args(["-c", hear])
        .spawn()
        .expect("a listener");
    thread::sleep(Duration::from_secs(1));
    // A packet that is refused ends it.
    let talk = format!(
        "import socket,time\ns=socket.create_connection((\"{}\",7001))\nwhile True:\n s.sendall(b\"x\");time.sleep(0.1)",
        lab.peer("peer2")
    );
    let mut talking = in_container(&one, "cybex", &[&talk])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a flow");
    thread::sleep(Duration::from_secs(2));
    assert!(
        talking.try_wait().expect("its state").is_none(),
        "there is no flow, and the test proves nothing"
    );
    for threshold in ["2", "never", "2"] {
        trust(threshold);
        one.run_changes();
        thread::sleep(Duration::from_secs(1));
        assert!(
            talking.try_wait().expect("its state").is_none(),
            "the flow broke on the way to threshold {threshold}"
        );
    }
    talking.kill().expect("an end");
    talking.wait().expect("its end");
    hearing.kill().expect("an end");
    hearing.wait().expect("its end");
}

/// The rollback of a run that had made sets, and of one that had changed entries.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_rollback_restores_rules_and_entries() {
    let one = One::up("isback", "bookworm", "nftables");
    let lab = &one.lab;
    let state = "firewall-cmd --direct --get-all-rules | sort; firewall-cmd --permanent --direct --get-all-rules | sort; \
        firewall-cmd --zone=public --list-rich-rules | sort; iptables-save -t filter | grep DOCKER-USER; \
        find /etc/firewalld -type f ! -name '*.old' -exec cksum {} + | sort; \
        for set in $(firewall-cmd --get-ipsets | tr ' ' '\\n' | grep '^fwdeploy-'); do echo $set; ipset save $set | grep ^add | sort; done";
    list(&one, 3, "never");
    one.run_changes();
    let with_rules = lab.sh("n1", state);
    list(&one, 3, "2");
    one.run_changes();
    let with_sets = lab.sh("n1", state);
    list(&one, 5, "2");
    one.run_changes();
    // The first snapshot is of the state before any run.
    for (to, before) in [("3", &with_sets), ("2", &with_rules)] {
        let said = lab.fwdeploy("rollback", &["--to", to]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert_eq!(&lab.sh("n1", state), before, "snapshot {to}");
    }

    // A run that is killed in the middle: the node goes back by itself.
    list(&one, 3, "2");
    one.run_changes();
    let with_sets = lab.sh("n1", state);
    list(&one, 6, "2");
    lab.sh(
        "n1",
        "mv /usr/sbin/ipset /usr/sbin/ipset.real && printf '%s\\n' '#!/bin/sh' 'case $1 in add) sleep 2 ;; esac' \
         'exec /usr/sbin/ipset.real \"$@\"' >/usr/sbin/ipset && chmod +x /usr/sbin/ipset",
    );
    let mut run = start_run(lab, &["--confirm-timeout", "15"]);
    wait_until("an entry is being added", || {
        lab.try_sh("n1", "pgrep -f '[i]pset add fwdeploy-'").code == 0
    });
    run.kill().expect("a signal");
    run.wait().expect("an end");
    lab.sh("n1", "mv /usr/sbin/ipset.real /usr/sbin/ipset");
    wait_until("the node is as it was", || lab.sh("n1", state) == with_sets);
    one.assert_enforced("after the rollback");
}

/// Nothing of ours is left, apart from empty sets in firewalld's memory, which the next reload takes.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_removal_takes_the_sets() {
    let one = One::up("isgone", "bookworm", "iptables");
    let lab = &one.lab;
    list(&one, 3, "2");
    one.run_changes();
    let said = lab.fwdeploy("remove", &["--limit", "n1"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(
        lab.sh("n1", "ls /etc/firewalld/ipsets | grep fwdeploy- || :"),
        ""
    );
    assert_eq!(lab.sh("n1", "ipset save | grep '^add fwdeploy-' || :"), "");
    lab.sh("n1", "firewall-cmd -q --reload");
    assert_eq!(lab.sh("n1", SETS), "");
}
