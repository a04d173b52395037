//! The rollback: a program that the node keeps while it is armed, and later with its snapshot.

use std::fmt::Write as _;

use crate::model::net::Cidr;
use crate::model::state::Docker;
use crate::node::apply::connect_words;
use crate::node::apply::line;
use crate::node::apply::network_words;
use crate::node::apply::step;
use crate::node::shell::RESTORE;
use crate::plan::Action;
use crate::plan::action::NetworkSpec;
use crate::plan::rollback_plan::is_made;
use crate::plan::rollback_plan::rollback_plan;

/// The program that undoes a plan from any step. New flows of `managed` are blocked while firewalld reloads.
pub(super) fn of_plan(actions: &[Action], managed: &[Cidr]) -> String {
    let way = rollback_plan(actions);
    let take_back = match &way.in_place {
        None => "    answer=\"a reload cannot be undone in place\"\n    return 1\n".to_string(),
        Some(steps) => {
            let mut lines = String::new();
            for (number, action) in steps {
                let words = repeatable(action).unwrap_or_else(|| step(action));
                let _ = writeln!(lines, "    undo {number} {} || return", line(&words));
            }
            lines + "    :\n"
        }
    };
    let docker: Vec<_> = way.docker.iter().filter_map(repeatable).collect();
    let touched: Vec<String> = way.docker.iter().filter_map(touched).collect();
    program("", &take_back, &docker, &touched, managed)
}

/// The program that restores Docker's networks and attachments as they are now, whatever it finds then, and everything else as a whole.
pub(super) fn of_state(before: Option<&Docker>, managed: &[Cidr]) -> String {
    let take_back = "    answer=\"a snapshot is only restored as a whole\"\n    return 1\n";
    let mut docker = vec![vec!["detach_moved".to_string()]];
    docker.extend(before.map(all_of).unwrap_or_default());
    docker.push(vec!["remove_made_networks".to_string()]);
    program("", take_back, &docker, &[], managed)
}

/// The program that leaves a node as it stood before it was recovered.
pub(super) fn of_recovery(managed: &[Cidr]) -> String {
    let take_back = "    answer=\"a reload cannot be undone in place\"\n    return 1\n";
    program("recovery=yes\n", take_back, &[], &[], managed)
}

fn program(
    settings: &str,
    take_back: &str,
    docker: &[Vec<String>],
    touched: &[String],
    managed: &[Cidr],
) -> String {
    let mut docker_back = String::new();
    for words in docker {
        let _ = writeln!(docker_back, "    {} || return", line(words));
    }
    let managed: Vec<String> = managed.iter().map(Cidr::to_string).collect();
    format!(
        "# shellcheck source=library.sh\n. \"${{0%/*}}/library.sh\"\n\n{RESTORE}\nsubnets={}\ntouched={}\n{settings}take_back() {{\n{take_back}}}\ndocker_back() {{\n{docker_back}    :\n}}\n\nmain \"$@\"\n",
        line(&[managed.join(" ")]),
        line(&[touched.join("\n")])
    )
}

/// What an action changes of Docker's, in the words of the snapshot's picture (picture.sh).
fn touched(action: &Action) -> Option<String> {
    match action {
        Action::CreateNetwork(spec) | Action::RemoveNetwork(spec) => {
            Some(format!("network {}", coded(&spec.name)))
        }
        Action::Connect {
            container,
            endpoint,
        }
        | Action::Disconnect {
            container,
            endpoint,
        } => Some(format!(
            "place {} {}",
            coded(container),
            coded(&endpoint.network)
        )),
        _ => None,
    }
}

/// A word as the templates of Docker code it (Go's `url.QueryEscape`), and picture.sh does.
pub(super) fn coded(word: &str) -> String {
    let mut out = String::new();
    for byte in word.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Docker's part, in a form that may be executed any number of times.
fn repeatable(action: &Action) -> Option<Vec<String>> {
    let renamed = |mut words: Vec<String>, name: &str| {
        words[0] = name.to_string();
        Some(words)
    };
    match action {
        Action::CreateNetwork(spec) => renamed(network_words(spec), "restore_network"),
        Action::RemoveNetwork(spec) => {
            Some(vec!["remove_new_network".to_string(), spec.name.clone()])
        }
        Action::Connect {
            container,
            endpoint,
        } => renamed(connect_words(container, endpoint), "restore_attachment"),
        Action::Disconnect {
            container,
            endpoint,
        } => Some(vec![
            "remove_new_attachment".to_string(),
            endpoint.network.clone(),
            container.clone(),
        ]),
        // From the snapshot, whatever the run has made of it.
        Action::SetGuard { .. } => Some(vec!["restore_guard".to_string()]),
        _ => None,
    }
}

/// Every network and every attachment as it is, and no other attachments.
fn all_of(docker: &Docker) -> Vec<Vec<String>> {
    let made = docker.networks.iter().filter(|network| is_made(network));
    let mut all: Vec<Vec<String>> = made
        .map(|network| {
            let mut words = network_words(&NetworkSpec::of(network));
            words[0] = "restore_changed_network".to_string();
            words
        })
        .collect();
    for container in &docker.containers {
        let endpoints = || {
            let endpoints = container.endpoints.iter();
            endpoints.filter(|e| !["host", "none"].contains(&&*e.network))
        };
        if endpoints().next().is_none() {
            continue;
        }
        all.extend(endpoints().filter_map(|endpoint| {
            repeatable(&Action::Connect {
                container: container.name.clone(),
                endpoint: endpoint.clone(),
            })
        }));
        let mut only = vec!["detach_from_others".to_string(), container.name.clone()];
        only.extend(endpoints().map(|e| e.network.clone()));
        all.push(only);
    }
    all
}
