//! Configurations of thousands of rules: no shell ends at their length, and no command line has to hold them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::node::apply::plan;
use crate::node::shell::LIBRARY;
use crate::node::shell::shells;
use crate::plan::Action;

/// A permanent direct configuration with so many rules.
fn direct(rules: u32) -> Direct {
    let rule = |number: u32| DirectRule {
        family: Some(Family::V4),
        table: "filter".to_string(),
        chain: "DOCKER-USER".to_string(),
        priority: 200,
        args: [
            "-s",
            &format!("198.18.{}.{}/32", number / 256, number % 256),
            "-m",
            "comment",
            "--comment",
            "it's \u{fc}, \"*\"",
            "-j",
            "ACCEPT",
        ]
        .map(String::from)
        .to_vec()
        .into(),
    };
    Direct {
        chains: vec![DirectChain::ours(Family::V4)],
        rules: (0..rules).map(rule).collect(),
        passthroughs: vec![Passthrough::new("ipv4", vec![String::new()])],
    }
}

fn setting(rules: u32) -> String {
    plan(&[Action::SetPermanentDirect {
        before: Direct::default(),
        after: direct(rules),
    }])
}

/// The programs with these functions in place of their own, in a shell.
fn run(shell: &[&str], folder: &Path, script: &str) -> Output {
    let file = folder.join("script.sh");
    fs::write(&file, format!("{LIBRARY}\n{script}\n")).expect("a script");
    let mut command = Command::new(shell[0]);
    let output = command.args(&shell[1..]).arg(&file).output();
    output.expect("a shell")
}

/// As words of a command in a function 5,000 peers ended dash by signal 11: it copies a function with one call for each word.
#[test]
fn no_shell_ends_at_the_length_of_a_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    // What a step of firewalld's is called with; busctl itself is not.
    let script = "step() { shift; \"$@\"; }\nread_direct() { answer=$4; }\n\
        set_direct() { update_direct \"$2\"; }\nbusctl() { echo \"busctl $# $5 $6 $7\"; }\n\
        call_over_bus() { [ -n \"$bus\" ] || return 2; answer=\"bus ${#1}\"; }\n";
    for shell in shells() {
        for (bus, rules, wanted) in [
            (
                "",
                100,
                "busctl 1318 org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1/config org.fedoraproject.FirewallD1.config.direct",
            ),
            ("", 20_000, "a configuration of this length needs Python"),
            ("7", 20_000, "bus 1"),
        ] {
            let text = format!(
                "{script}{}\nbus={bus}\nplan || :\nprintf %s \"$answer\"",
                setting(rules)
            );
            let output = run(shell, folder.path(), &text);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{shell:?} {rules}: {output:?}");
            assert!(said.starts_with(wanted), "{shell:?} {rules}: {said}");
        }
    }
}
