//! What others do on the node during a run, or between two runs: none of their changes is lost, and the report is true.

use std::time::Duration;

use rustix::process::Signal;

use crate::LEFT;
use crate::One;
use crate::PORT;
use crate::assert_nothing_left;
use crate::harness::lab::Lab;
use crate::harness::said::Said;
use crate::harness::said::wait_until;
use crate::harness::shell::kill_holders;
use crate::interruptions::DOCKER_AGAIN;
use crate::interruptions::end;
use crate::interruptions::signal;
use crate::interruptions::slow_run;

/// Kills firewalld by its number. `systemctl kill` ends the firewalld of each node of the machine: they share a tree of cgroups.
const KILL: &str = "kill -9 $(systemctl show -p MainPID firewalld | cut -d= -f2); \
    while systemctl is-active -q firewalld; do sleep 0.1; done";

/// Starts it as an operator would who finds it dead, and waits for Docker.
const START: &str = "systemctl reset-failed firewalld; systemctl start firewalld; \
    until firewall-cmd -q --state 2>/dev/null; do sleep 0.2; done; sleep 3";

/// The table in which this generation of firewalld forwards.
const FAMILY: &str = "f=inet; ! nft list table ip firewalld >/dev/null 2>&1 || f=ip;";

/// Ends the script that has the lock, as the kernel does when memory is short.
const KILL_SCRIPT: &str = kill_holders!();

fn run(lab: &Lab, more: &[&str]) -> Said {
    lab.fwdeploy("run", more)
}

fn recovers(one: &One, what: &str) {
    let said = run(&one.lab, &["--recover"]);
    assert_eq!(said.code, 0, "{what}: {}{}", said.out, said.err);
    one.assert_enforced(what);
    assert!(one.holds(), "{what}");
}

/// Starts a process on the node that waits for something that only a run creates there, and then executes `then`.
fn when_armed(lab: &Lab, then: &str) {
    let script = format!(
        "n=$(($(cat /var/lib/fwdeploy/last 2>/dev/null || echo 0) + 1)); cat >/root/then.sh <<'END'\n\
         t=0; while ! [ -e /var/lib/fwdeploy/snapshots/$1/stamp ]; do sleep 0.01; [ $((t += 1)) -lt 3000 ] || exit; done\n{then}\nEND\n\
         systemd-run -q --collect sh /root/then.sh $n"
    );
    lab.sh("n1", &script);
}

/// The peer that was removed from the whitelist does not get in, whatever was killed before.
fn is_closed(one: &One, what: &str) {
    one.whitelist(&["peer1", "peer2"]);
    let said = run(&one.lab, &[]);
    assert_eq!(said.code, 0, "{what}: {}{}", said.out, said.err);
    let node = one.lab.address("n1");
    wait_until(&format!("both peers come in, {what}"), || {
        one.lab.reaches("peer2", &node, PORT)
    });
    one.whitelist(&["peer1"]);
    let said = run(&one.lab, &[]);
    assert_eq!(said.code, 0, "{what}: {}{}", said.out, said.err);
    one.assert_enforced(what);
}

fn what_firewalld_does_not_know_of_is_found_in_its_table(name: &str, suite: &str) {
    let one = One::up(name, suite, "nftables");
    let lab = &one.lab;
    one.run_changes();
    assert!(one.holds());
    let stranger = lab.peer("peer2");
    let doubles = matches!(suite, "bullseye" | "bookworm");
    for (what, does, code) in [
        (
            "killed and started",
            format!("{KILL}; {START}"),
            "firewalld-doubled",
        ),
        (
            "a forward nobody knows of",
            format!(
                "{FAMILY} d='dnat to'; [ $f = ip ] || d='dnat ip to'; nft add rule $f firewalld nat_PRE_public_allow ip saddr {stranger} tcp dport 5000 $d 172.20.0.2:5000"
            ),
            "forward-left",
        ),
        (
            "a forward lost",
            format!("{FAMILY} nft flush chain $f firewalld nat_PRE_public_allow"),
            "forward-lost",
        ),
        (
            "the way to it lost",
            format!("{FAMILY} nft flush chain $f firewalld nat_PREROUTING"),
            // A base chain that is never bare.
            "firewalld-flushed",
        ),
        (
            "a table without rules",
            "nft flush table inet firewalld".to_string(),
            "firewalld-flushed",
        ),
    ] {
        // From 2.1 on the table has an owner, and no other program changes it; and the next firewalld starts with an empty one.
        if !doubles {
            continue;
        }
        lab.sh("n1", &does);
        let check = run(lab, &["--check"]);
        assert!(
            check.out.contains(&format!("[{code}]")),
            "{what}: {}{}",
            check.out,
            check.err
        );
        assert!(check.out.contains("run --recover"), "{what}: {}", check.out);
        recovers(&one, what);
    }
    lab.sh("n1", KILL);
    recovers(&one, "killed, and started by --recover");
    is_closed(&one, "after a kill");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn what_firewalld_does_not_know_of_is_found_on_bookworm() {
    what_firewalld_does_not_know_of_is_found_in_its_table("evtab", "bookworm");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn what_firewalld_does_not_know_of_is_found_on_bullseye() {
    what_firewalld_does_not_know_of_is_found_in_its_table("evtabu", "bullseye");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_killed_firewalld_leaves_no_port_open_on_forky() {
    what_firewalld_does_not_know_of_is_found_in_its_table("evtabf", "forky");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_docker_that_hangs_is_no_docker_without_networks() {
    let one = One::up("evhang", "forky", "nftables");
    let lab = &one.lab;
    when_armed(
        lab,
        "kill -STOP $(pidof dockerd); sleep 20; kill -CONT $(pidof dockerd)",
    );
    let said = run(lab, &[]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("[docker-hangs]"), "{}", said.out);
    assert!(said.out.contains("docker does not answer"), "{}", said.out);
    assert_nothing_left(lab, "after a Docker that did not answer");
    let said = run(lab, &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    one.assert_enforced("after a Docker that did not answer");
    // firewalld is reloaded while networks change.
    lab.sh("n1", "docker network disconnect -f cybex cybex; docker network rm cybex; docker network connect bridge cybex");
    when_armed(lab, "firewall-cmd --reload");
    let said = run(lab, &[]);
    assert!(matches!(said.code, 0 | 2), "{}{}", said.out, said.err);
    lab.sh("n1", "timeout 10 docker inspect cybex >/dev/null");
    recovers(&one, "after a reload in the middle");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn what_somebody_edits_meanwhile_is_kept() {
    let one = One::up("evedit", "bookworm", "nftables");
    let lab = &one.lab;
    one.run_changes();
    for file in ["direct.xml", "zones/public.xml"] {
        one.whitelist(&["peer1", "peer2"]);
        when_armed(
            lab,
            &format!("echo '<!-- by hand -->' >>/etc/firewalld/{file}"),
        );
        let said = run(lab, &[]);
        assert_eq!(said.code, 2, "{file}: {}{}", said.out, said.err);
        assert!(
            said.out.contains("[edited-by-hand]"),
            "{file}: {}",
            said.out
        );
        assert!(said.out.contains("/kept"), "{file}: {}", said.out);
        lab.sh("n1", &format!("grep -q 'by hand' /var/lib/fwdeploy/snapshots/$(cat /var/lib/fwdeploy/last)/kept/{file}"));
        one.whitelist(&["peer1"]);
        one.assert_enforced(file);
        assert!(one.holds(), "{file}");
    }
    // Edited after the run has written it, and lost in the rollback except for the copy.
    one.whitelist(&["peer1", "peer2"]);
    when_armed(
        lab,
        "while ! [ \"$(cat /run/fwdeploy/step)\" = done ]; do sleep 0.05; done; echo '<!-- later -->' >>/etc/firewalld/direct.xml; iptables -F DOCKER-USER",
    );
    let said = run(lab, &[]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("the node is as it was before"),
        "{}",
        said.out
    );
    lab.sh(
        "n1",
        "grep -q later /var/lib/fwdeploy/snapshots/$(cat /var/lib/fwdeploy/last)/kept/direct.xml",
    );
    let status = lab.fwdeploy("status", &[]);
    assert!(status.out.contains("/kept"), "{}", status.out);
    // Nothing was edited, and so nothing is kept.
    when_armed(lab, "sleep 0.5; iptables -F DOCKER-USER");
    let said = run(lab, &[]);
    assert!(matches!(said.code, 0 | 2), "{}{}", said.out, said.err);
    lab.sh(
        "n1",
        "! [ -e /var/lib/fwdeploy/snapshots/$(cat /var/lib/fwdeploy/last)/kept ]",
    );
    recovers_with(&one, &["peer1"], "after all the edits");
}

fn recovers_with(one: &One, peers: &[&str], what: &str) {
    one.whitelist(peers);
    recovers(one, what);
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_flush_of_the_chain_in_the_middle_is_told_as_it_is() {
    let one = One::up("evflush", "trixie", "nftables");
    let lab = &one.lab;
    one.run_changes();
    for (round, pause) in ["0", "0.2", "0.5", "1"].into_iter().enumerate() {
        let peers = ["peer1", "peer2"];
        one.whitelist(&peers[..=(round + 1) % 2]);
        when_armed(lab, &format!("sleep {pause}; iptables -F DOCKER-USER"));
        let said = run(lab, &[]);
        match said.code {
            // It came too late to be seen, which the next look shows.
            0 => {}
            2 => assert!(
                said.out.contains("the node is as it was before"),
                "after {pause} s: {}",
                said.out
            ),
            _ => panic!("after {pause} s: {}{}", said.out, said.err),
        }
        recovers_with(
            &one,
            &["peer1"],
            &format!("after a flush {pause} s into a run"),
        );
    }
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_node_goes_back_by_itself_whatever_systemd_and_firewalld_do() {
    let one = One::up("evsysd", "forky", "iptables");
    let lab = &one.lab;
    let fresh = lab.sh(
        "n1",
        "cat /etc/firewalld/zones/public.xml 2>/dev/null; docker network ls -q | wc -l",
    );
    for does in ["systemctl daemon-reexec", "systemctl daemon-reload"] {
        let slow = slow_run(lab, 30, &["--confirm-timeout", "20"]);
        signal(&slow, Signal::KILL);
        end(slow);
        lab.sh("n1", does);
        lab.sh("n1", DOCKER_AGAIN);
        assert_nothing_left(lab, does);
        let now = lab.sh(
            "n1",
            "cat /etc/firewalld/zones/public.xml 2>/dev/null; docker network ls -q | wc -l",
        );
        assert_eq!(now, fresh, "{does}");
        let status = lab.fwdeploy("status", &[]);
        assert!(status.out.contains("rolled back"), "{does}: {}", status.out);
    }
    // firewalld is restarted while the node is armed: the node is then in the desired state, or as before.
    when_armed(lab, "systemctl restart firewalld");
    let said = run(lab, &[]);
    assert!(matches!(said.code, 0 | 2), "{}{}", said.out, said.err);
    assert!(
        said.code == 0
            || said.out.contains("the node is as it was before")
            || said.out.contains("nothing was changed"),
        "{}",
        said.out
    );
    std::thread::sleep(Duration::from_secs(3));
    recovers(&one, "after firewalld was restarted in the middle");
    assert_eq!(lab.sh("n1", LEFT), "");

    // The script is killed while it arms: what it leaves goes with the next run, also from systemd's memory.
    one.whitelist(&["peer1", "peer2"]);
    lab.sh(
        "n1",
        &format!(
            "cat >/root/kill.sh <<'END'\nt=0; while ! [ -e /etc/systemd/system/fwdeploy-restore-files.service ]; do sleep 0.01; [ $((t += 1)) -lt 3000 ] || exit; done\n\
             {KILL_SCRIPT}systemctl daemon-reload\nEND\nsystemd-run -q --collect sh /root/kill.sh"
        ),
    );
    let said = run(lab, &[]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    // One that was killed a moment later has left its timer as well.
    lab.sh(
        "n1",
        "touch /run/fwdeploy/attempts-1 /run/fwdeploy/stop-1; systemd-run -q --unit=fwdeploy-restore-1 --on-active=600 /bin/true",
    );
    let said = run(lab, &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let left = lab.sh("n1", LEFT);
    assert_eq!(left, "", "after a run that was killed while it armed");
    assert_eq!(lab.sh("n1", "ls /run/fwdeploy | grep -e '-1$' || :"), "");
}
