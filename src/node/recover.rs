//! Repairing a node before a run: one script, which reports its steps in the same words as a run.

use std::fmt::Write as _;

use crate::model::direct_xml;
use crate::model::rule::quote_saved;
use crate::model::state::Direct;
use crate::node::apply::line;
use crate::node::arm;
use crate::node::arm::Arming;
use crate::node::quote;
use crate::node::restore;
use crate::node::shell::DISARM;
use crate::node::shell::LIBRARY;
use crate::node::shell::RECOVER;
use crate::node::shell::STEPS;
use crate::plan::Recovery;

/// Returns the script that arms the node to return to its present state, and then repairs it. Its answer is parsed by
/// [`Steps`](crate::node::Steps).
pub fn recover_script(arming: &Arming, recovery: &Recovery) -> String {
    let mut functions = String::new();
    let commands = match recovery {
        Recovery::Restore { .. } => Vec::new(),
        Recovery::Release { number, .. } => {
            let number = number.to_string();
            let plan = format!("plan() {{\n    step 0 release_lease {number}\n}}\n");
            return format!("{LIBRARY}{STEPS}\n{RECOVER}\nprepare() {{ :; }}\n{plan}\nmain\n");
        }
        Recovery::Start { subnets } => latched("start_firewalld", subnets),
        Recovery::Reload { subnets, .. } => latched("reload", subnets),
        Recovery::Unfail { subnets, permanent } => {
            functions = entries(permanent);
            latched("unfail", subnets)
        }
    };
    let mut plan = String::new();
    for (number, words) in commands.iter().enumerate() {
        let _ = writeln!(plan, "    step {number} {}", line(words));
    }
    let plan = format!("{RECOVER}\n{functions}plan() {{\n{plan}    :\n}}\n");
    arm::whole(arming, &restore::of_recovery(&arming.managed), "", &plan)
}

/// Returns the script that tries the rollback of an unfinished run once more, and waits for its end. Its answer is parsed by
/// [`Ending`](crate::node::Ending).
pub fn retry_restore_script(number: u64) -> String {
    format!("{LIBRARY}{DISARM}\n{RECOVER}\nretry_restore {number}\n")
}

/// The latch is set before it and removed after it.
fn latched<S: ToString>(command: &str, subnets: &[S]) -> Vec<Vec<String>> {
    let with = |command: &str| {
        let mut words = vec![command.to_string()];
        words.extend(subnets.iter().map(ToString::to_string));
        words
    };
    if subnets.is_empty() {
        let nothing = || vec![":".to_string()];
        return vec![nothing(), with(command), vec!["unlatch".to_string()]];
    }
    vec![with("latch"), with(command), vec!["unlatch".to_string()]]
}

/// The functions that try each entry of the permanent direct configuration.
fn entries(permanent: &Direct) -> String {
    let mut out = String::new();
    let mut number = 0;
    let mut entry = |ipv: &str, table: &str, tried: &str, xml: &str| {
        let words =
            ["try_entry", &number.to_string(), ipv, table, tried, xml].map(ToString::to_string);
        let _ = writeln!(out, "    {}", line(&words));
        number += 1;
    };
    for chain in &permanent.chains {
        let policy = if chain.ipv == "eb" {
            "RETURN"
        } else {
            "- [0:0]"
        };
        let tried = format!(":{} {policy}", chain.chain);
        entry(&chain.ipv, &chain.table, &tried, &direct_xml::chain(chain));
    }
    for rule in &permanent.rules {
        let args: Vec<String> = rule.args.iter().map(|arg| as_firewalld(arg)).collect();
        let tried = format!("-A {} {}", rule.chain, args.join(" "));
        entry(rule.ipv(), &rule.table, &tried, &direct_xml::rule(rule));
    }
    for passthrough in &permanent.passthroughs {
        let (table, args) = passed(&passthrough.args);
        let args: Vec<_> = args.iter().map(|arg| quote_saved(arg)).collect();
        entry(
            &passthrough.ipv,
            &table,
            &args.join(" "),
            &direct_xml::passthrough(passthrough),
        );
    }
    format!(
        "try_entries() {{\n{out}    :\n}}\nentries_count={number}\nxml_head={}\nxml_tail={}\n",
        quote(direct_xml::HEAD),
        quote(direct_xml::TAIL)
    )
}

/// An argument as firewalld hands it to iptables-restore, from 0.6 to 2.5 (`ipXtables.set_rules`): quoted if it has a space, and
/// nothing in it is escaped.
fn as_firewalld(arg: &str) -> String {
    let quoted = arg.len() > 1 && arg.starts_with('"') && arg.ends_with('"');
    if arg.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c']) && !quoted {
        format!("\"{arg}\"")
    } else {
        arg.to_string()
    }
}

/// A passthrough's table, and its other arguments.
fn passed(args: &[String]) -> (String, Vec<String>) {
    let mut table = "filter".to_string();
    let mut rest = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), word.strip_prefix("--table=")) {
            ("-t" | "--table", _) => table = words.next().cloned().unwrap_or_default(),
            (_, Some(name)) => table = name.to_string(),
            ("-w" | "--wait", _) => {}
            _ => rest.push(word.clone()),
        }
    }
    (table, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_argument_is_tried_as_firewalld_hands_it_on() {
        // The quote in the middle is what firewalld breaks at.
        assert_eq!(as_firewalld("it's a \"b\" c"), "\"it's a \"b\" c\"");
        assert_eq!(as_firewalld("\"a b\""), "\"a b\"");
        assert_eq!(as_firewalld("a;b"), "a;b");
    }

    #[test]
    fn a_passthrough_says_its_table_in_any_way() {
        for args in [&["-t", "nat", "-A", "X"], &["--table", "nat", "-A", "X"]] {
            assert_eq!(
                passed(&words(args)),
                ("nat".to_string(), words(&["-A", "X"]))
            );
        }
        let args = words(&["-w", "-A", "X", "--table=raw"]);
        assert_eq!(passed(&args), ("raw".to_string(), words(&["-A", "X"])));
        assert_eq!(passed(&words(&["-N", "X"])).0, "filter");
    }
}
