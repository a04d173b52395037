//! A run that is cut off, locked out or met by another one: the node ends as it was before, and the report says so.

use std::process::Child;
use std::process::Stdio;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::One;
use crate::assert_nothing_left;
use crate::harness::lab::Lab;
use crate::harness::said::Said;
use crate::harness::said::wait_until;
use crate::harness::shell::print_firewalld;
use crate::harness::shell::print_guard;

/// What is ours on a node, and what it hangs on.
const STATE: &str = concat!(
    print_guard!(),
    "iptables-save -t filter | grep -v '^[#:]'; nft list tables;\n",
    print_firewalld!("public"),
    "docker network ls --format '{{.Name}}'; docker inspect -f '{{.HostConfig.NetworkMode}}' $(docker ps -aq)"
);

/// Puts a docker in the place of docker that also does something else at `docker network create` and `rm`.
fn docker_that(create: &str, rm: &str) -> String {
    format!(
        "mv /usr/bin/docker /usr/bin/docker.real && printf '%s\\n' '#!/bin/sh' 'case \"$1 $2\" in' \
         '\"network create\") {create} ;;' '\"network rm\") {rm} ;;' 'esac' 'exec /usr/bin/docker.real \"$@\"' \
         > /usr/bin/docker && chmod +x /usr/bin/docker"
    )
}

pub(crate) const DOCKER_AGAIN: &str = "mv /usr/bin/docker.real /usr/bin/docker";

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_run_that_is_cut_off_locked_out_or_not_alone_leaves_the_node_as_it_was() {
    let one = One::up("cut", "bookworm", "nftables");
    let lab = &one.lab;
    let before = lab.sh("n1", STATE);

    // The running step continues for a while after its connection is lost.
    lab.sh(
        "n1",
        &docker_that("pkill -f sshd:.root@notty; sleep 4", ":"),
    );
    let said = lab.fwdeploy("run", &[]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("[step-lost]"), "{}", said.out);
    assert!(said.out.contains("as it was before"), "{}", said.out);
    lab.sh("n1", DOCKER_AGAIN);
    assert_eq!(lab.sh("n1", STATE), before);

    // No new connection is possible once the network exists, until it is removed.
    let drop = |flag: &str| format!("iptables -w {flag} INPUT -p tcp --dport 22 --syn -j DROP");
    lab.sh("n1", &docker_that(&drop("-I"), &drop("-D")));
    let said = lab.fwdeploy("run", &["-T", "2"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("[no-way-back-in]"), "{}", said.out);
    assert!(said.out.contains("as it was before"), "{}", said.out);
    lab.sh("n1", DOCKER_AGAIN);
    assert_eq!(lab.sh("n1", STATE), before);

    // Two operators at a time: the second leaves the node to the first.
    lab.sh("n1", &docker_that("sleep 6", ":"));
    thread::scope(|scope| {
        let first = scope.spawn(|| lab.fwdeploy("run", &[]));
        wait_until("the first run is at work", || {
            lab.try_sh("n1", "pgrep -f '[s]leep 6'").code == 0
        });
        let second = lab.fwdeploy("run", &[]);
        assert_eq!(second.code, 2, "{}{}", second.out, second.err);
        assert!(second.out.contains("[busy]"), "{}", second.out);
        let first = first.join().expect("no panic");
        assert_eq!(first.code, 0, "{}{}", first.out, first.err);
    });
    lab.sh("n1", DOCKER_AGAIN);
    one.assert_enforced("after two operators");
}

/// Starts a run that takes a while to make the network, and waits until it is at that step.
pub(crate) fn slow_run(lab: &Lab, seconds: usize, more: &[&str]) -> Child {
    // No two are alike: one may outlive its run.
    static RUNS: AtomicUsize = AtomicUsize::new(1);
    let nap = format!("{seconds}.{:02}", RUNS.fetch_add(1, Ordering::SeqCst));
    lab.sh("n1", &docker_that(&format!("sleep {nap}"), ":"));
    let run = start_run(lab, more);
    wait_until("the run makes the network", || {
        lab.try_sh("n1", &format!("pgrep -f '[s]leep {nap}'")).code == 0
    });
    run
}

/// Starts a run, and does not wait for it.
pub(crate) fn start_run(lab: &Lab, more: &[&str]) -> Child {
    let known_hosts = lab.known_hosts();
    let inventory = lab.home().join("inventory.yml");
    let mut args = vec![
        "run",
        inventory.to_str().expect("a plain path"),
        "--known-hosts",
        &known_hosts,
    ];
    args.extend(more);
    lab.command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("fwdeploy runs")
}

pub(crate) fn signal(run: &Child, signal: Signal) {
    let pid = Pid::from_child(run);
    kill_process(pid, signal).expect("it runs");
}

pub(crate) fn end(run: Child) -> Said {
    Said::from(run.wait_with_output().expect("it ends"))
}

/// Waits until nothing of a run is left on the node, and then compares.
fn assert_home(lab: &Lab, before: &str, when: &str) {
    assert_nothing_left(lab, when);
    assert_eq!(lab.sh("n1", STATE), before, "{when}");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_signal_lets_the_node_finish_and_a_second_lets_it_go_back_by_itself() {
    let one = One::up("sig", "forky", "iptables");
    let lab = &one.lab;
    let before = lab.sh("n1", STATE);

    for (number, twice) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let run = slow_run(lab, 3, &["--confirm-timeout", "8"]);
        signal(&run, number);
        std::thread::sleep(Duration::from_millis(300));
        signal(&run, number);
        let said = end(run);
        assert_eq!(said.code, twice, "{}{}", said.out, said.err);
        assert!(
            said.out
                .contains("the node is armed and rolls itself back within"),
            "{}",
            said.out
        );
        lab.sh("n1", DOCKER_AGAIN);
        assert_home(lab, &before, "after two signals");
    }

    // There is no report, and none is needed.
    let run = slow_run(lab, 3, &["--confirm-timeout", "8"]);
    signal(&run, Signal::KILL);
    end(run);
    lab.sh("n1", DOCKER_AGAIN);
    assert_home(lab, &before, "after SIGKILL");

    let run = slow_run(lab, 3, &[]);
    signal(&run, Signal::TERM);
    let said = end(run);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(!said.out.contains("changed=0"), "{}", said.out);
    lab.sh("n1", DOCKER_AGAIN);
    one.assert_enforced("after a run that was asked to stop");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_boot_in_the_middle_of_a_run_ends_in_the_state_before() {
    let one = One::up("boot", "bookworm", "nftables");
    let lab = &one.lab;
    let before = lab.sh("n1", STATE);
    let run = slow_run(lab, 3, &["--confirm-timeout", "600"]);
    // The shim of docker sleeps while the permanent rules are written already.
    lab.lab("kill", &["n1"]);
    signal(&run, Signal::KILL);
    end(run);
    lab.lab("start", &["n1"]);
    lab.sh("n1", DOCKER_AGAIN);
    assert_home(lab, &before, "after a boot");
    one.run_changes();
    one.assert_enforced("after the run that was made anew");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn twenty_racing_runs_never_interleave() {
    let one = One::up("race", "trixie", "nftables");
    let lab = &one.lab;
    let wanted = |n: usize| {
        let peer = lab.peer(["peer1", "peer2"][n % 2]);
        format!("{{\"cybex_peers\": [\"{peer}\"]}}")
    };
    let ends: Vec<(i32, String)> = thread::scope(|scope| {
        let runs: Vec<_> = (0..20)
            .map(|n| {
                let wanted = wanted(n);
                scope.spawn(move || lab.fwdeploy("run", &["-e", &wanted]))
            })
            .collect();
        let ends = runs.into_iter().map(|run| run.join().expect("no panic"));
        ends.map(|said| (said.code, said.out)).collect()
    });
    // Each has brought the node to its desired state, or reports who held it.
    for (code, out) in &ends {
        match code {
            0 => assert!(!out.contains("error"), "{out}"),
            2 => assert!(
                out.contains("[busy]")
                    && (out.contains("has been changing this node since")
                        || out.contains("several times since it was read")),
                "{out}"
            ),
            _ => panic!("exit {code}: {out}"),
        }
    }
    let done = ends.iter().filter(|(code, _)| *code == 0).count();
    assert!(done > 0, "nobody got through: {ends:#?}");
    // No run began before the one ahead of it had ended.
    let facts = lab.fwdeploy("facts", &[]);
    let facts: serde_json::Value = serde_json::from_str(&facts.out).expect("facts are JSON");
    let records = &facts["nodes"][0]["state"]["records"]["known"];
    assert!(records["lease"].is_null(), "{records:#}");
    let snapshots = records["snapshots"].as_array().expect("snapshots");
    assert!(!snapshots.is_empty());
    for pair in snapshots.windows(2) {
        assert!(
            pair[0]["ended"].as_str() <= pair[1]["since"].as_str(),
            "{pair:#?}"
        );
    }
    assert!(
        snapshots.iter().all(|s| s["outcome"] == "confirmed"),
        "{snapshots:#?}"
    );
    // What is there is what one of them wanted, and nothing of the other.
    let holding: Vec<usize> = (0..2)
        .filter(|n| {
            let said = lab.fwdeploy("run", &["--check", "-e", &wanted(*n)]);
            said.code == 0
        })
        .collect();
    assert_eq!(holding.len(), 1, "{holding:?}");
}
