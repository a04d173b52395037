//! Nodes on which no run can start: `--check` reports why, `run` refuses them, `run --recover` repairs them.

use rustix::process::Signal;

use crate::One;
use crate::harness::lab::Lab;
use crate::harness::said::wait_until;
use crate::harness::said::wait_until_empty;
use crate::harness::shell::kill_holders;
use crate::harness::shell::print_guard;
use crate::harness::shell::print_left;
use crate::interruptions::DOCKER_AGAIN;
use crate::interruptions::end;
use crate::interruptions::signal;
use crate::interruptions::slow_run;
use crate::name;

/// Everything that a refused run must not touch, but for counters, times and what Docker counts up.
const STATE: &str = concat!(
    print_guard!(),
    "iptables-save | grep -v '^[#:]'; ip6tables-save | grep -v '^[#:]'; nft list tables | sort; \
    cat /etc/firewalld/direct.xml /etc/firewalld/zones/public.xml; systemctl is-active firewalld; ls /var/lib/fwdeploy; \
    docker ps --format '{{.Names}} {{.Networks}}'"
);

/// What a recovery leaves nowhere: latches, leases, timers and units.
const LEFT: &str = concat!("{ ", print_left!(), "} | grep -v ' failed '; :");

/// A trouble, its cause, what `--check` reports about it and with which exit code, and the repairs that `--recover` reports.
struct Trouble {
    what: &'static str,
    breaks: &'static str,
    codes: &'static [&'static str],
    check: i32,
    mended: &'static [&'static str],
}

impl Trouble {
    fn is_unfinished_run(&self) -> bool {
        [LEASE, HALF_RESTORED, DAMAGED].contains(&self.breaks)
    }
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        what: "FAILED, and its cause gone",
        breaks: "firewall-cmd -q --permanent --direct --add-rule ipv4 filter FORWARD 0 -j NOWHERE; firewall-cmd -q --reload; \
            sed -i '/NOWHERE/d' /etc/firewalld/direct.xml; firewall-cmd --state 2>&1 | grep failed; sleep 6",
        codes: &["firewalld-failed", "docker-rules-gone"],
        check: 1,
        mended: &["~ runtime firewalld was in state FAILED and runs again"],
    },
    Trouble {
        what: "FAILED by rules of all kinds",
        breaks: "add() { firewall-cmd -q --permanent --direct \"$@\"; }
            add --add-rule ipv4 filter FORWARD 0 -j NOWHERE
            add --add-rule ipv4 filter FORWARD 1 -s 192.0.2.77/32 -m comment --comment \"it's <fine> & 'quoted' \\$(here)\" -j DROP
            add --add-chain ipv4 filter mine
            add --add-rule ipv4 filter mine 0 -m set --match-set no-such-set src -j DROP
            add --add-rule ipv4 filter mine 1 -p tcp --dport 25 -j REJECT
            add --add-rule ipv4 filter FORWARD 2 -d 192.0.2.78/32 -j mine
            add --add-rule ipv6 filter FORWARD 0 -p nonsense -j DROP
            add --add-passthrough ipv4 -t mangle -A POSTROUTING -j NOT-THERE-EITHER
            ! firewall-cmd -q --reload",
        codes: &["firewalld-failed", "docker-rules-gone"],
        check: 1,
        mended: &[
            "- permanent ipv4 filter FORWARD 0 -j NOWHERE",
            "- permanent ipv4 filter mine 0 -m set --match-set no-such-set src -j DROP",
            "- permanent ipv6 filter FORWARD 0 -p nonsense -j DROP",
            "- permanent passthrough ipv4 -t mangle -A POSTROUTING -j NOT-THERE-EITHER",
            "[set-aside]",
            "~ runtime firewalld was in state FAILED and runs again",
        ],
    },
    Trouble {
        what: "Docker's rules flushed",
        breaks: "iptables -F; iptables -t nat -F",
        codes: &["docker-rules-gone"],
        check: 1,
        mended: &["~ kernel Docker's rules were missing and are restored"],
    },
    Trouble {
        what: "Docker's translation flushed",
        breaks: "iptables -t nat -F",
        codes: &["docker-rules-gone"],
        check: 1,
        mended: &["~ kernel Docker's rules were missing and are restored"],
    },
    Trouble {
        what: "everything flushed",
        breaks: "nft flush ruleset",
        codes: &["firewalld-flushed", "docker-rules-gone"],
        check: 1,
        mended: &[
            "~ kernel firewalld's rules were missing and are restored",
            "~ kernel Docker's rules were missing and are restored",
        ],
    },
    Trouble {
        what: "firewalld killed",
        breaks: "systemctl kill -s KILL firewalld; sleep 1",
        codes: &["firewalld-stopped"],
        check: 1,
        mended: &["~ runtime firewalld had died and runs again"],
    },
    Trouble {
        what: "a latch of nft",
        breaks: "nft add table inet fwdeploy_latch; nft add chain inet fwdeploy_latch latch_forward '{ type filter hook forward priority -5; policy accept; }'; \
            nft add rule inet fwdeploy_latch latch_forward ip saddr 172.20.0.0/16 ct state new drop",
        codes: &[],
        check: 2,
        mended: &["- kernel a latch that an interrupted run left behind"],
    },
    Trouble {
        what: "a latch without nft",
        breaks: "iptables -t mangle -I FORWARD 1 -s 172.20.0.0/16 ! -d 172.20.0.0/16 -m conntrack --ctstate NEW -m comment --comment fwdeploy:latch -j DROP",
        codes: &[],
        check: 2,
        mended: &["- kernel a latch that an interrupted run left behind"],
    },
    Trouble {
        what: "a lease without owner",
        breaks: LEASE,
        codes: &["lease-without-owner"],
        check: 1,
        mended: &["~ runtime the run that was never ended is rolled back"],
    },
    Trouble {
        what: "a restore that was cut off",
        breaks: HALF_RESTORED,
        codes: &["restore-unfinished"],
        check: 1,
        mended: &["~ runtime the run that was never ended is rolled back"],
    },
    Trouble {
        what: "a snapshot that is not whole",
        breaks: DAMAGED,
        codes: &["snapshot-damaged"],
        check: 1,
        mended: &["~ runtime the run that was never ended no longer holds the node"],
    },
];

/// A run that is armed, and stopped for good in its middle: its timer and its script are ended. What it had done by then stays.
const LEASE: &str = "unfinished";
const HALF_RESTORED: &str = "unfinished, and so is its restore";
const DAMAGED: &str = "unfinished, and its snapshot is not whole";

/// Lets a run begin that has a network to make, and takes everything away that would end it.
fn leave_unfinished(one: &One, how: &str) {
    let lab = &one.lab;
    lab.sh(
        "n1",
        "docker network disconnect -f cybex cybex && docker network rm cybex",
    );
    // Its script does not see that the operator is gone before the network is made, and that takes longer than it lives.
    let run = slow_run(lab, 40, &["--confirm-timeout", "600"]);
    signal(&run, Signal::KILL);
    end(run);
    let then = match how {
        LEASE => ":",
        // Its files are back, half of them, and the rest is not.
        HALF_RESTORED => {
            "echo outcome=failed | tee -a /var/lib/fwdeploy/$n/about >/run/fwdeploy/outcome-${n#*/}; rm -f /etc/firewalld/direct.xml"
        }
        _ => "rm /var/lib/fwdeploy/$n/restore.sh /var/lib/fwdeploy/$n/iptables",
    };
    lab.sh(
        "n1",
        &format!(
            "systemctl stop 'fwdeploy-restore-*.timer'
             {}
             {DOCKER_AGAIN}
             n=$(readlink /var/lib/fwdeploy/armed); {then}",
            kill_holders!()
        ),
    );
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn every_trouble_is_named_and_mended(suite: &str, backend: &str) {
    let one = named_and_mended("rec", suite, backend, |t| !t.is_unfinished_run());
    let kept = one
        .lab
        .sh("n1", "firewall-cmd --permanent --direct --get-all-rules");
    for rule in [
        // As firewall-cmd quotes it.
        r#"'it'"'"'s <fine> & '"'"'quoted'"'"' $(here)'"#,
        "filter mine 1 -p tcp",
        "-j mine",
    ] {
        assert!(kept.contains(rule), "{rule} was set aside: {kept}");
    }
}

fn every_unfinished_run_is_named_and_ended(suite: &str, backend: &str) {
    named_and_mended("run", suite, backend, Trouble::is_unfinished_run);
}

/// Makes each of these troubles on one node after the other.
fn named_and_mended(
    lab: &str,
    suite: &str,
    backend: &str,
    which: impl Fn(&Trouble) -> bool,
) -> One {
    let one = One::up(&name(lab, suite, backend), suite, backend);
    one.run_changes();
    let begun = started(&one.lab);
    for trouble in TROUBLES.iter().filter(|t| which(t)) {
        let what = trouble.what;
        // A table that has an owner (firewalld 2.1, where nft knows such) is not flushed by others.
        let owned = one.lab.sh("n1", "nft list tables; nft list ruleset | grep -A1 '^table inet firewalld' | grep owner || true");
        let survives = |told: &&&str| {
            owned.contains("owner")
                && (told.contains("firewalld-flushed")
                    || told.contains("firewalld's rules were missing"))
        };
        match trouble.breaks {
            how @ (LEASE | HALF_RESTORED | DAMAGED) => leave_unfinished(&one, how),
            breaks => drop(one.lab.sh("n1", breaks)),
        }
        let check = one.lab.fwdeploy("run", &["--check"]);
        assert_eq!(
            check.code, trouble.check,
            "{what}: {}{}",
            check.out, check.err
        );
        for code in trouble.codes.iter().filter(|told| !survives(told)) {
            assert!(
                check.out.contains(&format!("[{code}]")),
                "{what}: {}",
                check.out
            );
            assert!(check.out.contains("run --recover"), "{what}: {}", check.out);
        }
        assert!(
            !check.out.contains("docker-without-iptables"),
            "{what}: {}",
            check.out
        );
        if trouble.check == 1 {
            let before = one.lab.sh("n1", STATE);
            let run = one.lab.fwdeploy("run", &[]);
            assert_eq!(run.code, 2, "{what}: {}{}", run.out, run.err);
            assert!(run.out.contains("n1: refused"), "{what}: {}", run.out);
            assert_eq!(one.lab.sh("n1", STATE), before, "{what}: a refused node");
        }
        let run = one.lab.fwdeploy("run", &["--recover", "--diff"]);
        assert_eq!(run.code, 0, "{what}: {}{}", run.out, run.err);
        for says in trouble.mended.iter().filter(|told| !survives(told)) {
            assert!(
                squeezed(&run.out).contains(says),
                "{what}: `{says}` is not in {}",
                run.out
            );
        }
        one.assert_enforced(what);
        assert!(one.holds(), "{what}");
        assert_eq!(one.lab.sh("n1", LEFT), "", "{what}");
        assert_eq!(
            started(&one.lab),
            begun,
            "{what}: the container was stopped"
        );
    }
    one
}

/// When the container was started.
fn started(lab: &Lab) -> String {
    lab.sh("n1", "docker inspect -f '{{.State.StartedAt}}' cybex")
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn on_bullseye() {
    every_trouble_is_named_and_mended("bullseye", "nftables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn on_bookworm() {
    every_trouble_is_named_and_mended("bookworm", "nftables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn on_trixie() {
    every_trouble_is_named_and_mended("trixie", "nftables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn on_forky() {
    every_trouble_is_named_and_mended("forky", "iptables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn of_runs_never_ended_on_bookworm() {
    every_unfinished_run_is_named_and_ended("bookworm", "nftables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn of_runs_never_ended_on_forky() {
    every_unfinished_run_is_named_and_ended("forky", "iptables");
}

/// What cannot be repaired is reported, and the node stays as it is: a cause that is not a rule, a Docker that is not notified, a firewalld
/// that was stopped on purpose, an iptables that Docker is configured not to manage.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn what_cannot_be_mended_is_said_and_left() {
    let one = One::up("recno", "bookworm", "nftables");
    let lab = &one.lab;
    one.run_changes();
    let left = |what: &str, code: &str, words: &[&str]| {
        let before = lab.sh("n1", STATE);
        let run = lab.fwdeploy("run", &["--recover"]);
        assert_eq!(run.code, 2, "{what}: {}{}", run.out, run.err);
        for word in words.iter().chain([&code]) {
            assert!(
                run.out.contains(word),
                "{what}: `{word}` is not in {}",
                run.out
            );
        }
        // The record says which snapshot was restored.
        let now = lab.sh("n1", STATE);
        assert_eq!(now, before, "{what}: {}", run.out);
        wait_until_empty(&format!("nothing is left, {what}"), || lab.sh("n1", LEFT));
    };
    lab.sh("n1", "systemctl stop firewalld");
    left("stopped", "[firewalld-stopped]", &["n1: refused"]);
    lab.sh("n1", "systemctl start firewalld");
    wait_until("Docker has put its rules back", || {
        lab.try_sh("n1", "iptables -t nat -S PREROUTING | grep -q DOCKER")
            .code
            == 0
    });
    // Docker before 28 puts its own rules ahead of the jump.
    let run = lab.fwdeploy("run", &[]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);

    lab.sh(
        "n1",
        "firewall-cmd -q --permanent --direct --add-rule ipv4 filter FORWARD 0 -j NOWHERE; ! firewall-cmd -q --reload
         cp /etc/firewalld/zones/public.xml /root/; sed -i /NOWHERE/d /etc/firewalld/direct.xml; echo '<zone><nonsense' >/etc/firewalld/zones/public.xml",
    );
    left(
        "a bad zone file",
        "[firewalld-failed]",
        &["n1: failed", "INVALID"],
    );
    lab.sh("n1", "cp /root/public.xml /etc/firewalld/zones/");
    let run = lab.fwdeploy("run", &["--recover"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    one.assert_enforced("when the zone file is mended");

    lab.sh("n1", "echo '{ \"iptables\": false }' >/etc/docker/daemon.json; iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X; :");
    left("told not to", "[docker-without-iptables]", &["n1: refused"]);
    lab.sh(
        "n1",
        "rm /etc/docker/daemon.json; systemctl stop firewalld; systemctl reset-failed docker; systemctl restart docker; systemctl start firewalld; sleep 2",
    );
    left(
        "deaf",
        "[docker-deaf]",
        &["n1: refused", "[docker-rules-gone]", "estart"],
    );
}
