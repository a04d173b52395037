//! The program as its users see it: what goes in by arguments and files, what comes out by streams and exit code.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::support::program::Place;
use crate::support::program::Ran;
use crate::support::program::fleet;
use crate::support::program::listener;
use crate::support::program::nobody_came;
use crate::support::program::ran;

/// A port of this machine without a listener.
fn closed_port() -> u16 {
    listener().1
}

/// Ports and durations differ from run to run.
fn steady(text: &str, port: u16) -> String {
    let text = text.replace(&port.to_string(), "PORT");
    let mut out = String::new();
    for line in text.lines() {
        let line = match line.rfind(" (") {
            Some(at) if line.ends_with(" s)") => format!("{} (TIME)", &line[..at]),
            _ => line.to_string(),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let place = Place::with("");
    insta::assert_snapshot!("help_short", place.run(&["-h"]).stdout);
    insta::assert_snapshot!("help_run_short", place.run(&["run", "-h"]).stdout);
    insta::assert_snapshot!("help_run", place.run(&["run", "--help"]).stdout);
    for command in [
        "status",
        "peers",
        "refused",
        "rollback",
        "drill",
        "remove",
        "inventory",
        "config",
    ] {
        let help = place.run(&[command, "-h"]).stdout;
        insta::assert_snapshot!(format!("help_{command}_short"), help);
    }
    assert!(place.run(&["--help"]).stdout.contains("Exit codes:"));
}

#[test]
fn a_mistake_in_the_arguments_is_1_and_names_what_was_meant() {
    let place = Place::with("");
    for (arguments, says) in [
        (&["rum"][..], "'run'"),
        (&["run"], "no inventory is named"),
        (
            &["plan", "inventory.yml"],
            "hint: did you mean `fwdeploy run INVENTORY --check`?",
        ),
        (
            &["inventory.yml"],
            "hint: a command goes first: `fwdeploy run INVENTORY`",
        ),
        (
            &["inventory", "inventory.yml", "--yaml"],
            "hint: `fwdeploy inventory` prints JSON",
        ),
        (
            &["status", "inventory.yml", "--list-hosts"],
            "hint: `fwdeploy run INVENTORY` has this flag",
        ),
        (
            &["run", "inventory.yml", "--ssh-extra-args=-C"],
            "hint: `--ssh-common-args` gives arguments of ssh to all nodes",
        ),
        (
            &["run", "inventory.yml", "-T", "30s"],
            "hint: a whole number of seconds",
        ),
        (&["run", "inventory.yml", "--chek"], "'--check'"),
        (&["run", "inventory.yml", "-f", "0"], "--forks"),
        (
            &["run", "inventory.yml", "-T", "soon"],
            "not a number of seconds from 1 to 3600",
        ),
        (
            &["run", "inventory.yml", "--host-key-checking", "no"],
            "[possible values: strict, accept-new]",
        ),
        (&["rollback", "inventory.yml", "--to", "0"], "--to <N>"),
        (&["refused", "inventory.yml", "--top", "0"], "--top <N>"),
        (
            &["drill", "inventory.yml", "--confirm-timeout", "2"],
            "not a number of seconds from 5 to 3600",
        ),
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}");
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

/// What is wrong with the texts themselves is in `bad_input.rs`.
#[test]
fn what_a_run_lacks_is_1_and_costs_no_connection() {
    let (listener, port) = listener();
    let good = fleet("    a:\n    b:\n", port);
    let cases = [
        // A mistake in the last node: a program that connects on the way would have met the first.
        (
            format!("{good}    c: {{ ansible_ssh_private_key_file: no/such/key }}\n"),
            &[][..],
            "no/such/key",
        ),
        (good.clone(), &["-e", "cybex_network"], "cybex_network"),
        (
            good.clone(),
            &["--private-key", "no/such/key"],
            "no/such/key",
        ),
        (good.clone(), &["-K"], "stdin is not a terminal"),
        (
            "all:\n  hosts:\n    a:\n".to_string(),
            &[],
            "fwdeploy_roles",
        ),
    ];
    for (inventory, extra, says) in cases {
        let place = Place::with(&inventory);
        let mut arguments = vec!["run", "inventory.yml"];
        arguments.extend(extra);
        let ran = place.run(&arguments);
        assert_eq!(ran.code, 1, "{inventory}{extra:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    assert!(nobody_came(&listener));
}

#[test]
fn a_mistake_of_a_group_is_said_once() {
    let place = Place::with(&fleet("    n[1:9]:\n", 22).replace("192.0.2.7", "192.0.2.777"));
    let ran = place.run(&["run", "inventory.yml"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.stderr);
}

#[test]
fn an_unreachable_node_is_4_with_its_message_and_hint() {
    let port = closed_port();
    let place = Place::with(&fleet(
        "    a:\n    long-name:\n    other: { fwdeploy_roles: [eos] }\n",
        port,
    ));
    for arguments in [
        &["run", "inventory.yml", "--check", "-f", "1"][..],
        &["run", "inventory.yml", "-f", "1"],
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        insta::allow_duplicates! {
            insta::assert_snapshot!("unreachable", steady(&ran.stdout, port));
        }
    }
    let ran = place.run(&["run", "inventory.yml", "-f", "1"]);
    insta::assert_snapshot!("unreachable_journey", steady(&ran.stderr, port));
}

#[test]
fn an_unreachable_node_is_4_to_every_command() {
    let port = closed_port();
    let place = Place::with(&fleet("    a:\n    b:\n", port));
    for arguments in [
        &["status"][..],
        &["peers", "--unused"],
        &["refused", "--top", "3"],
        &["rollback"],
        &["rollback", "--check", "--to", "3"],
        &["drill"],
    ] {
        let mut all = vec![arguments[0], "inventory.yml"];
        all.extend(&arguments[1..]);
        let ran = place.run(&all);
        assert_eq!(ran.code, 4, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("[connection-refused]"), "{arguments:?}");
        all.push("--json");
        let ran = place.run(&all);
        let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(document["summary"]["exit_code"], 4, "{arguments:?}");
        assert_eq!(document["summary"]["unreachable"], 2, "{arguments:?}");
        assert_eq!(document["nodes"][1]["error"]["code"], "connection-refused");
    }
}

#[test]
fn json_is_pure_whatever_else_is_told() {
    let port = closed_port();
    let place = Place::with(&fleet("    b:\n    a:\n", port));
    for extra in [
        &[][..],
        &["-v"],
        &["-vv", "--check"],
        &["--diff", "--color", "always"],
    ] {
        let mut arguments = vec!["run", "inventory.yml", "--json"];
        arguments.extend(extra);
        let ran = place.run(&arguments);
        let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
        assert_eq!(document["version"], 2);
        let names: Vec<_> = document["nodes"]
            .as_array()
            .expect("nodes")
            .iter()
            .map(|n| &n["node"])
            .collect();
        assert_eq!(names, ["b", "a"], "the order of the inventory");
        assert_eq!(document["nodes"][0]["status"], "unreachable");
        assert_eq!(document["nodes"][0]["error"]["code"], "connection-refused");
        assert_eq!(document["summary"]["unreachable"], 2);
        assert_eq!(document["summary"]["exit_code"], 4);
        assert_eq!(ran.code, 4);
    }
    let ran = place.run(&["facts", "inventory.yml"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
    assert_eq!(document["command"], "facts");
    assert_eq!(document["nodes"][1]["state"], Value::Null);
    assert_eq!(ran.code, 4);
}

#[test]
fn what_many_nodes_share_is_said_once_with_their_number() {
    let text = fleet("    n[1:300]:\n", closed_port())
        .replace("[192.0.2.7]", "[192.0.2.7, 192.0.2.7]")
        .replace("    fwdeploy_roles: [cybex]\n", "")
        .replace("  hosts:\n", "  children: { chain: { vars: { fwdeploy_roles: [cybex] }, hosts: { \"c[1:3]\": } } }\n  hosts:\n");
    let place = Place::with(&text);
    for (command, notes) in [
        (
            &["run", "inventory.yml", "--check", "-T", "1"][..],
            &[
                "note: left alone without a role: n1, n2, n3, n4, n5 and 295 more",
                "is unknown, because they could not be read: n1, n2, n3, n4, n5 and 295 more",
            ][..],
        ),
        (
            &["render", "inventory.yml"],
            &["note: 300 of 303 nodes have no role: n1, n2, n3, n4, n5 and 295 more"],
        ),
    ] {
        let ran = place.run(command);
        let said = |word: &str| {
            ran.stderr
                .lines()
                .filter(|line| line.starts_with(word))
                .count()
        };
        let told = (said("warning"), said("note"));
        assert_eq!(told, (1, notes.len()), "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("is listed twice in `cybex/p2p` (3 nodes)"),
            "{}",
            ran.stderr
        );
        for note in notes {
            assert!(ran.stderr.contains(note), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_script_reads_warnings_and_mistakes_in_the_document_too() {
    let place = Place::with(&fleet(
        "    a: { cybx_peers: [] }\n    b: { cybx_peers: [] }\n",
        closed_port(),
    ));
    let ran = place.run(&["run", "inventory.yml", "--check", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
    let warning = &document["warnings"][0];
    assert_eq!(warning["hint"], "did you mean `cybex_peers`?");
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&8.into(), &10.into())
    );
    assert_eq!(document["errors"], Value::Array(Vec::new()));
    let place = Place::with(&fleet("    a: { cybex_port: 70000 }\n", closed_port()));
    for (command, name) in [
        (&["run", "inventory.yml", "--json"][..], "run"),
        (&["run", "inventory.yml", "--json", "--check"], "check"),
        (
            &["rollback", "inventory.yml", "--json", "-C"],
            "rollback_check",
        ),
        (&["drill", "inventory.yml", "--json"], "drill"),
        (&["status", "inventory.yml", "--json"], "status"),
        (&["peers", "inventory.yml", "--json"], "peers"),
        (&["refused", "inventory.yml", "--json"], "refused"),
    ] {
        let ran = place.run(command);
        assert_eq!(ran.code, 1);
        let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
        assert_eq!(document["command"], name);
        assert_eq!(document["nodes"], Value::Array(Vec::new()));
        assert_eq!(document["errors"][0]["file"], "inventory.yml");
        assert_eq!(document["errors"][0]["line"], 8);
        assert_eq!(document["summary"]["exit_code"], 1);
        // And a person reads them where they always were.
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
}

#[test]
fn colours_are_where_they_are_wanted_and_nowhere_else() {
    let place = Place::with(&fleet("    a:\n", closed_port()));
    let plain = ["run", "inventory.yml"];
    let escapes = |ran: Ran| (ran.stdout + &ran.stderr).contains('\x1b');
    assert!(!escapes(place.run(&plain)), "a pipe is no terminal");
    assert!(escapes(place.run(&[
        "run",
        "inventory.yml",
        "--color",
        "always"
    ])));
    assert!(escapes(ran(place
        .command(&plain)
        .env("CLICOLOR_FORCE", "1"))));
    assert!(!escapes(ran(place
        .command(&["run", "inventory.yml", "--color", "never"])
        .env("CLICOLOR_FORCE", "1"))));
    assert!(!escapes(ran(place
        .command(&plain)
        .env("NO_COLOR", "1")
        .env("TERM", "xterm"))));
    let wrong = Place::with("all: [");
    assert!(!escapes(wrong.run(&plain)));
    assert!(escapes(wrong.run(&[
        "run",
        "inventory.yml",
        "--color",
        "always"
    ])));
}

#[test]
fn a_node_without_a_role_is_left_alone_and_said() {
    let port = closed_port();
    let place = Place::with(&fleet("    a:\n", port).replace(
        "  hosts:",
        "  children: { others: { hosts: { x: { fwdeploy_roles: [] } } } }\n  hosts:",
    ));
    let inventory = fs::read_to_string(place.0.path().join("inventory.yml")).expect("it is there");
    // Roles accumulate, so the node without one must be outside of the group that sets them.
    let inventory = inventory.replace("    fwdeploy_roles: [cybex]\n", "");
    place.file(
        "inventory.yml",
        &inventory.replace("    a:\n", "    a: { fwdeploy_roles: [cybex] }\n"),
    );
    let ran = place.run(&["run", "inventory.yml", "--json"]);
    assert!(
        ran.stderr.contains("note: left alone without a role: x"),
        "{}",
        ran.stderr
    );
    let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
    assert_eq!(document["summary"]["skipped"], 1);
    assert_eq!(document["summary"]["nodes"], 2);
    // It could not be read, and that is no failure of a run in which it has no part.
    let nodes = document["nodes"].as_array().expect("a list");
    let left = nodes.iter().find(|node| node["node"] == "x").expect("x");
    assert_eq!(left["status"], "skipped");
    assert_eq!(left["error"], Value::Null);
}

#[test]
fn a_limit_selects_and_the_rest_is_not_met() {
    let (listener, port) = listener();
    let names = format!(
        "    met: {{ ansible_port: {} }}\n    spared:\n",
        closed_port()
    );
    let place = Place::with(&fleet(&names, port));
    let ran = place.run(&["run", "inventory.yml", "-l", "all:!spared"]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.stdout.contains("1 node: 1 unreachable"),
        "{}",
        ran.stdout
    );
    assert!(nobody_came(&listener));
}

#[test]
fn rules_are_rendered_without_a_connection() {
    let (listener, port) = listener();
    let place = Place::with(&fleet("    a:\n    b:\n", port));
    let one = place.run(&["render", "inventory.yml", "-l", "a"]);
    assert!(one.stdout.starts_with("#!/bin/sh\n"), "{}", one.stdout);
    assert!(one.stdout.contains("192.0.2.7/32"), "{}", one.stdout);
    let both = place.run(&["render", "inventory.yml"]);
    assert!(both.stdout.contains("# ==== b ====\n"), "{}", both.stdout);
    let json = place.run(&["render", "inventory.yml", "--format", "json"]);
    let document: Value = serde_json::from_str(&json.stdout).expect("one JSON document");
    assert_eq!(document["command"], "render");
    assert_eq!(document["nodes"][1]["node"], "b");
    assert!(document["nodes"][1]["rules"].is_array());
    let xml = place.run(&[
        "render",
        "inventory.yml",
        "--format",
        "direct.xml",
        "-l",
        "b",
    ]);
    assert!(xml.stdout.contains("<direct>"), "{}", xml.stdout);
    let many = place.run(&["render", "inventory.yml", "--format", "direct.xml"]);
    assert_eq!(many.code, 1);
    assert!(
        many.stderr.contains("hint: select one with `--limit NAME`"),
        "{}",
        many.stderr
    );
    assert!(nobody_came(&listener));
}

#[test]
fn roles_are_listed_shown_and_copied_once() {
    let place = Place::with("");
    let list = place.run(&["role", "list"]);
    assert!(list.stdout.contains("cybex   built in"), "{}", list.stdout);
    let show = place.run(&["role", "show", "eos"]);
    assert!(show.stdout.contains("# eos/defaults.yml"));
    let wrong = place.run(&["role", "show", "cybx"]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.stderr.contains("did you mean `cybex`?"),
        "{}",
        wrong.stderr
    );
    let eject = place.run(&["role", "eject", "cybex"]);
    assert_eq!((eject.code, eject.stderr.as_str()), (0, ""));
    assert!(eject.stdout.contains("roles/cybex/role.yml"));
    let again = place.run(&["role", "eject", "cybex"]);
    assert_eq!(again.code, 1);
    assert!(
        again.stderr.contains("is left as it is"),
        "{}",
        again.stderr
    );
    // Beside an inventory the copy wins.
    let list = place.run(&["role", "list", "-i", "inventory.yml"]);
    assert!(
        list.stdout.contains("cybex   roles/cybex"),
        "{}",
        list.stdout
    );
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::with("");
    let mut child = place
        .command(&["role", "show", "cybex"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    let pipe = child.stderr.as_mut().expect("a pipe");
    pipe.read_to_string(&mut stderr).expect("text");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(stderr, "");
}

#[test]
fn many_nodes_are_met_as_many_at_a_time_as_asked() {
    let (listener, port) = listener();
    let place = Place::with(&fleet("    n[01:12]:\n", port));
    let child = place
        .command(&["run", "inventory.yml", "-f", "5", "-T", "1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    // A node that has connected and waits is at work.
    listener.set_nonblocking(true).expect("a setting");
    let mut waiting = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(700) {
        match listener.accept() {
            Ok(came) => waiting.push(came),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
    assert_eq!(waiting.len(), 5);
    drop((waiting, listener));
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(4));
}
