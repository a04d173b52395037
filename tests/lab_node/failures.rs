//! Steps that fail, programs that are interrupted, daemons that are away; and the unusual: many rules, other shells, no nft.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::model::Family;
use fwdeploy::model::rule::DirectRule;
use fwdeploy::model::state::Direct;
use fwdeploy::model::state::DirectChain;
use fwdeploy::model::state::KernelRule;
use fwdeploy::node::StepFailure;
use fwdeploy::node::StepsError;
use fwdeploy::node::apply;
use fwdeploy::plan::Action;
use fwdeploy::plan::action::NetworkSpec;

use crate::chain::places;
use crate::node::CONTAINER;
use crate::node::SUBNET;
use crate::node::assert_same;
use crate::node::on_every_node;
use crate::packets::dockers;
use crate::packets::jump_first;
use crate::packets::under_fire;
use crate::plans::bands;
use crate::plans::cidr;
use crate::plans::latch;
use crate::plans::own;
use crate::plans::permanent;
use crate::plans::rich;
use crate::plans::rule;
use crate::plans::unlatch;

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_step_that_fails_leaves_what_was_there_and_says_why() {
    on_every_node(|node| {
        let start = node.everything();
        let v4 = Family::V4;
        node.take(&[own(v4)]);
        // What firewalld, or the kernel, does not take.
        let answer = node.refuses(&[Action::AddRule(rule(
            v4,
            5,
            "-s 10.0.0.1/32 --nonsense -j ACCEPT",
        ))]);
        assert!(
            answer.starts_with("firewalld refused (addRule):\nCOMMAND_FAILED: "),
            "{answer}"
        );
        let set = |after: Option<Vec<KernelRule>>| Action::SetKernelChain {
            family: v4,
            before: None,
            after,
        };
        let answer = node.refuses(&[set(Some(vec!["-j RETURN".into(), "-j NOWHERE".into()]))]);
        assert!(
            answer.starts_with("the kernel did not accept the chain:\niptables-restore"),
            "{answer}"
        );
        let answer = node.refuses(&[set(None)]);
        assert!(
            answer.starts_with("the kernel did not release DOCKER-USER:\niptables-restore"),
            "{answer}"
        );
        // The rule before the broken one stays, the one after it is not started.
        let good = Action::AddRule(rule(v4, 5, "-s 10.0.0.1/32 -j ACCEPT"));
        let bad = Action::AddRule(rule(v4, 5, "-j NOWHERE"));
        let taken = node.take_as(&["sh", "-s"], &[good.clone(), bad, unlatch()]);
        assert_eq!(taken.done.keys().copied().collect::<Vec<_>>(), [0]);
        node.take(&[good.undo(), own(v4).undo()]);
        assert_same(&start, &node.everything(), node);
    });
}

/// A busctl of our own ahead of the real one: what firewalld would have to be broken for. Without mkfifo there is no other way to firewalld.
fn with_busctl<'a>(body: &str, shell: &'a mut String) -> [&'a str; 3] {
    *shell = format!(
        "mkdir -p /run/lab-bin; cat >/run/lab-bin/busctl <<'END'\n#!/bin/sh\nreal() {{ exec /usr/bin/busctl \"$@\"; }}\n{body}\nreal \"$@\"\nEND\nprintf '#!/bin/sh\\nexit 1\\n' >/run/lab-bin/mkfifo; chmod +x /run/lab-bin/*; PATH=/run/lab-bin:$PATH exec sh -s"
    );
    ["sh", "-c", shell]
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_recreation_that_fails_half_way_is_taken_back() {
    on_every_node(|node| {
        let mut shell = String::new();
        // firewalld refuses after the chain has been removed.
        let refuse = r#"case "$*" in *addChain*) echo 'Call failed: COMMAND_FAILED: no' >&2; exit 1 ;; esac"#;
        let answer = node.refuses_as(&with_busctl(refuse, &mut shell), &[own(Family::V4)]);
        assert!(
            answer.starts_with("firewalld refused (addChain): COMMAND_FAILED: no"),
            "{answer}"
        );
        // firewalld does it, but its answer is lost.
        let lose = r#"case "$*" in *addChain*) /usr/bin/busctl "$@" >/dev/null; echo 'Call failed: Connection timed out' >&2; exit 1 ;; esac"#;
        let answer = node.refuses_as(&with_busctl(lose, &mut shell), &[own(Family::V4)]);
        assert!(answer.contains("Connection timed out"), "{answer}");
        // The same when it is released.
        node.take(&[own(Family::V4)]);
        let answer = node.refuses_as(
            &with_busctl(&lose.replace("addChain", "removeChain"), &mut shell),
            &[own(Family::V4).undo()],
        );
        assert!(answer.contains("Connection timed out"), "{answer}");
        node.take(&[own(Family::V4).undo()]);
        node.sh("rm -r /run/lab-bin");
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_signal_is_obeyed_between_steps() {
    on_every_node(|node| {
        let start = node.everything();
        let kernel = node.kernel();
        for signal in ["TERM", "HUP", "INT"] {
            let mut shell = String::new();
            let kill = format!(
                r#"case "$*" in *addChain*) kill -{signal} $(cat /run/lab-bin/pid); sleep 0.2 ;; esac"#
            );
            let words = with_busctl(&kill, &mut shell).map(String::from);
            let shell = words[2].replace(
                "exec sh -s",
                "exec sh -c 'echo $$ >/run/lab-bin/pid; exec sh -s'",
            );
            let taken = node.take_as(&["sh", "-c", &shell], &[own(Family::V4), latch()]);
            let error = taken.outcome.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("stopped by SIG{signal} before this step")
            );
            assert_eq!(taken.done.keys().copied().collect::<Vec<_>>(), [0]);
            assert!(node.owns(Family::V4));
            assert_same(&kernel, &node.kernel(), node);
            node.take(&[own(Family::V4).undo()]);
        }
        // The caller goes away.
        let mut child = node
            .command(&["sh", "-c", "sleep 0.3; exec sh -s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        child
            .stdin
            .take()
            .unwrap()
            .write_all(apply(&[latch(), own(Family::V4), unlatch()]).as_bytes())
            .unwrap();
        assert!(!child.wait().unwrap().success());
        node.take(&[unlatch()]);
        assert_same(&start, &node.everything(), node);
        node.sh("rm -r /run/lab-bin");
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_stopped_firewalld_is_neither_started_nor_waited_for() {
    on_every_node(|node| {
        node.sh("systemctl stop firewalld");
        let began = Instant::now();
        let v4 = Family::V4;
        for action in [
            own(v4),
            own(v4).undo(),
            Action::AddRule(bands().remove(0)),
            Action::AddRich {
                zone: "public".to_string(),
                rule: rich(),
            },
            Action::SetPermanentDirect {
                before: Direct::default(),
                after: Direct::default(),
            },
            Action::Reload {
                subnets: vec![cidr(SUBNET)],
            },
        ] {
            let answer = node.refuses(std::slice::from_ref(&action));
            assert!(answer.contains("FirewallD1"), "{action:?}: {answer}");
        }
        assert!(
            began.elapsed() < Duration::from_secs(45),
            "{:?}",
            began.elapsed()
        );
        node.sh("systemctl start firewalld; systemctl restart docker; docker start one two three >/dev/null");
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_stopped_docker_does_not_hinder_the_firewall() {
    on_every_node(|node| {
        node.sh("systemctl stop docker.socket docker; iptables -N DOCKER-USER 2>/dev/null; iptables -C FORWARD -j DOCKER-USER 2>/dev/null || iptables -I FORWARD -j DOCKER-USER");
        let kernel = node.kernel();
        let network = Action::RemoveNetwork(NetworkSpec {
            name: "chain".to_string(),
            ..NetworkSpec::default()
        });
        assert!(
            node.refuses(&[network])
                .contains("docker did not remove the network:\n")
        );
        node.take(&[own(Family::V4)]);
        assert_same(&kernel, &node.kernel(), node);
        node.take(&[own(Family::V4).undo()]);
        let taken = node.take(&[
            latch(),
            Action::Reload {
                subnets: vec![cidr(SUBNET)],
            },
            unlatch(),
        ]);
        eprintln!("   reload without docker: {:?}", taken.time);
        assert_same(&dockers(&kernel), &dockers(&node.kernel()), node);
        node.sh("systemctl start docker.socket docker; docker start one two three >/dev/null");
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn two_hundred_rules_in_a_row() {
    on_every_node(|node| {
        let v4 = Family::V4;
        node.take(&[own(v4)]);
        let start = node.everything();
        let actions: Vec<Action> = (0..200)
            .map(|n| Action::AddRule(rule(v4, 200, &format!("-s {CONTAINER}/32 -d 198.51.{}.{}/32 -p tcp --dport 5000 -m comment --comment fwdeploy:lab/p2p -j ACCEPT", n / 250, n % 250 + 1))))
            .collect();
        let taken = node.take(&actions);
        eprintln!("   200 rules: {:?}", taken.time);
        assert_eq!(
            node.chain(v4)
                .iter()
                .filter(|r| r.contains("fwdeploy:"))
                .count(),
            200
        );
        assert!(node.chain(v4)[199].contains("198.51.0.200"));
        node.take_back(&actions);
        assert_same(&start, &node.everything(), node);
        node.take(&[own(v4).undo()]);
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn every_shell_takes_the_steps() {
    on_every_node(|node| {
        let start = node.everything();
        let mut actions = vec![latch(), own(Family::V4)];
        actions.extend(bands().into_iter().map(Action::AddRule));
        actions.push(unlatch());
        for shell in [
            ["dash", "-s"].as_slice(),
            &["bash", "-s"],
            &["bash", "--posix", "-s"],
            &["busybox", "ash", "-s"],
        ] {
            let taken = node.take_as(shell, &actions);
            assert_eq!(taken.outcome, Ok(()), "{shell:?}");
            node.take_back(&actions);
            assert_same(&start, &node.everything(), node);
        }
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_reload_that_fails_gives_docker_its_rules_back() {
    on_every_node(|node| {
        let kernel = node.kernel();
        let v4 = Family::V4;
        // firewalld takes the text; only the kernel does not know the target.
        let broken = Action::SetPermanentDirect {
            before: Direct::default(),
            after: permanent(vec![DirectChain::ours(v4)], vec![rule(v4, 0, "-j NOWHERE")]),
        };
        node.take(&[broken]);
        let reload = Action::Reload {
            subnets: vec![cidr(SUBNET)],
        };
        match node
            .take_as(&["sh", "-s"], &[latch(), reload.clone()])
            .outcome
        {
            Err(StepsError::Failed(StepFailure {
                step: 1, answer, ..
            })) => {
                assert!(answer.contains("firewalld"), "{answer}");
                eprintln!("   {}", answer.replace('\n', " / "));
            }
            other => panic!("{}: {other:?}", node.name),
        }
        assert_same(&kernel, &node.kernel(), node);
        // The way out of FAILED is by file.
        node.sh("rm -f /etc/firewalld/direct.xml*");
        let docker = dockers(&kernel);
        let taken = node.take(&[reload, unlatch()]);
        eprintln!("   recovered in {:?}", taken.time);
        assert_same(&docker, &dockers(&node.kernel()), node);
        assert_eq!(places(node), [0]);
    });
}

/// While Docker restores its rules, one reading of the tables fails, and once they are complete, three show less than there is. Nothing but
/// Docker knows these rules, because they are gone before the reload.
const AWKWARD: &str = r#"
real=/usr/sbin/iptables-save
if ! nft list table inet fwdeploy_latch >/dev/null 2>&1; then exec $real "$@"; fi
case "$*" in
    # The place of the jump is looked up once Docker has finished.
    *-t*) [ -e /run/lab-bin/hidden ] || echo 3 >/run/lab-bin/hidden ;;
    *)
        echo >>/run/lab-bin/reads
        # The first is the reload's own, before it begins.
        if [ "$(wc -l </run/lab-bin/reads)" = 2 ]; then echo not now >&2; exit 1; fi
        n=$(cat /run/lab-bin/hidden 2>/dev/null)
        if [ "${n:-0}" -gt 0 ]; then
            echo $((n - 1)) >/run/lab-bin/hidden
            $real "$@" | sed '/POSTROUTING -s/d'
            exit
        fi ;;
esac
exec $real "$@"
"#;

#[test]
#[ignore = "needs root and the lab: make lab"]
fn what_cannot_be_read_while_docker_restores_its_rules_is_read_again() {
    on_every_node(|node| {
        let docker = dockers(&node.kernel());
        node.sh("iptables -t nat -F POSTROUTING");
        let shell = format!(
            "mkdir -p /run/lab-bin; cat >/run/lab-bin/iptables-save <<'END'\n#!/bin/sh{AWKWARD}END\nchmod +x /run/lab-bin/*; \
             PATH=/run/lab-bin:$PATH exec sh -s"
        );
        let reload = Action::Reload {
            subnets: vec![cidr(SUBNET)],
        };
        let taken = node.take_as(&["sh", "-c", &shell], &[latch(), reload, unlatch()]);
        let counts =
            node.sh("wc -l </run/lab-bin/reads; cat /run/lab-bin/hidden; rm -r /run/lab-bin");
        if let Err(error) = &taken.outcome {
            panic!("{} {}: {error}", node.name, node.suite);
        }
        assert!(counts.ends_with("\n0\n"), "{}: {counts}", node.name);
        assert_same(&docker, &dockers(&node.kernel()), node);
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn without_nft_the_latch_is_in_the_mangle_table() {
    on_every_node(|node| {
        node.sh("[ ! -x /usr/sbin/nft ] || mv /usr/sbin/nft /usr/sbin/nft.away");
        let start = node.kernel();
        let both = Action::Latch {
            subnets: vec![cidr(SUBNET), cidr("fd00:5::/64")],
        };
        let count = || node.kernel().matches("fwdeploy:latch").count();
        node.take(&[both.clone(), both.clone()]);
        assert_eq!(count(), 4);
        node.take(&[own(Family::V4), own(Family::V4).undo()]);
        assert_eq!(count(), 4);
        let reload = Action::Reload {
            subnets: vec![cidr(SUBNET)],
        };
        node.take(&[reload]);
        assert_eq!(count(), 4);
        node.take(&[both.undo(), both.undo()]);
        assert_same(&dockers(&node.kernel()), &dockers(&start), node);
        let mut actions = vec![latch(), own(Family::V4)];
        actions.extend(jump_first(node));
        actions.extend(bands().into_iter().map(Action::AddRule));
        actions.push(unlatch());
        let (before, after, _) = under_fire(node, &actions, 0);
        eprintln!("   {before} before, {after} after");
        node.sh("mv /usr/sbin/nft.away /usr/sbin/nft");
        node.take_back(&actions);
        // firewalld 2's flush takes this latch too, for the moment until all is put back.
        assert!(after < 300, "{}: {after}", node.name);
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn rules_that_firewalld_had_before_it_owned_the_chain_still_count() {
    on_every_node(|node| {
        let v4 = Family::V4;
        // Any direct call first: what firewalld 2 flushes at the first one is not what is at stake here.
        node.take(&[own(v4), own(v4).undo()]);
        let start = node.everything();
        let foreign = Action::AddRule(DirectRule {
            chain: "OUTPUT".to_string(),
            ..rule(v4, 0, "-d 192.0.2.9/32 -j ACCEPT")
        });
        let early = Action::AddRule(rule(v4, 10, "-s 192.0.2.1/32 -j ACCEPT"));
        let late = Action::AddRule(rule(v4, 20, "-s 192.0.2.2/32 -j ACCEPT"));
        let kernel = node.kernel();
        node.take(std::slice::from_ref(&foreign));
        if node.kernel().lines().count() < kernel.lines().count() {
            // The flush. Docker has to write its rules again.
            node.sh("systemctl restart docker; docker start one two three >/dev/null");
        }
        let kernel = node.kernel();
        node.take(&[early.clone(), own(v4), late.clone()]);
        let chain = node.chain(v4);
        assert!(
            chain[0].contains("192.0.2.1") && chain[1].contains("192.0.2.2"),
            "{chain:?}"
        );
        node.take(&[late.undo(), own(v4).undo(), early.undo()]);
        assert_same(&kernel, &node.kernel(), node);
        node.take(&[foreign.undo()]);
        let _ = start;
    });
}
