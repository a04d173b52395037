//! The change: one script that takes the steps of a plan, and stops at the first that fails.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Endpoint;
use crate::model::state::RichText;
use crate::node::quote;
use crate::plan::Action;
use crate::plan::action::NetworkSpec;

/// How each kind of step is taken.
const APPLY: &str = include_str!("apply.sh");

/// Returns the script that takes these steps in order, to be fed to `sh -s` as root.
///
/// Its answer is for [`Steps`](crate::node::Steps). The script does nothing until it has been read to its last line.
pub fn apply(actions: &[Action]) -> String {
    let mut functions = String::new();
    let mut plan = String::new();
    for (number, action) in actions.iter().enumerate() {
        let words = step(number, action, &mut functions);
        let _ = writeln!(plan, "    step {number} {}", line(&words));
    }
    if actions.is_empty() {
        plan.push_str("    :\n");
    }
    format!("{APPLY}\n{functions}plan() {{\n{plan}}}\n\nmain\n")
}

/// Words as one line of shell.
fn line<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words.iter().map(|w| quote(w.as_ref())).collect();
    words.join(" ")
}

/// The command of a step; what needs a function of its own goes to `functions`.
fn step(number: usize, action: &Action, functions: &mut String) -> Vec<String> {
    match action {
        Action::SetPermanentDirect { before, after } => {
            let (before, after) = (&grouped(before), &grouped(after));
            let mut writer = |name: &str, direct: &Direct| {
                let name = format!("{name}_{number}");
                let words = line(&direct_words(direct));
                let _ = writeln!(functions, "{name}() {{ update_direct {words}; }}");
                name
            };
            vec![
                "set_direct".to_string(),
                writer("before", before),
                writer("after", after),
                told_direct(before),
                told_direct(after),
            ]
        }
        Action::SetPermanentRich {
            zone,
            before,
            after,
        } => {
            let mut writer = |name: &str, rules: &[RichText]| {
                let name = format!("{name}_{number}");
                let mut words = vec![rules.len().to_string()];
                words.extend(rules.iter().map(|r| r.text.clone()));
                let _ = writeln!(functions, "{name}() {{ update_rich {}; }}", line(&words));
                name
            };
            vec![
                "set_rich".to_string(),
                zone.clone(),
                writer("before", before),
                writer("after", after),
                told_rich(before),
                after.len().to_string(),
            ]
        }
        Action::CreateNetwork(spec) => network_words(spec),
        Action::RemoveNetwork(spec) => vec!["remove_network".to_string(), spec.name.clone()],
        Action::Connect {
            container,
            endpoint,
        } => connect_words(container, endpoint),
        Action::Disconnect {
            container,
            endpoint,
        } => vec![
            "disconnect".to_string(),
            endpoint.network.clone(),
            container.clone(),
        ],
        Action::Latch { subnets } => with_subnets("latch", subnets),
        Action::Unlatch { .. } => vec!["unlatch".to_string()],
        Action::OwnChain { family } => on_family("own_chain", *family),
        Action::DisownChain { family } => on_family("disown_chain", *family),
        Action::SetKernelChain { family, after, .. } => match after {
            None => on_family("remove_chain", *family),
            Some(rules) => {
                let lines: Vec<String> = rules
                    .iter()
                    .map(|rule| format!("-A {} {rule}", crate::model::CHAIN))
                    .collect();
                let mut words = on_family("set_chain", *family);
                words.extend([rules.len().to_string(), lines.join("\n")]);
                words
            }
        },
        Action::PlaceJump { family, after, .. } => {
            let places: BTreeSet<usize> = after.iter().copied().collect();
            let mut words = on_family("place_jump", *family);
            words.extend(places.iter().map(|place| (place + 1).to_string()));
            words
        }
        Action::AddRule(rule) => direct_rule("add_rule", rule),
        Action::RemoveRule(rule) => direct_rule("remove_rule", rule),
        Action::AddRich { zone, rule } => {
            vec!["add_rich".to_string(), zone.clone(), rule.text.clone()]
        }
        Action::RemoveRich { zone, rule } => {
            vec!["remove_rich".to_string(), zone.clone(), rule.text.clone()]
        }
        Action::Reload { subnets } => with_subnets("reload", subnets),
    }
}

fn with_subnets(command: &str, subnets: &[Cidr]) -> Vec<String> {
    let mut words = vec![command.to_string()];
    words.extend(subnets.iter().map(Cidr::to_string));
    words
}

fn on_family(command: &str, family: Family) -> Vec<String> {
    vec![command.to_string(), family.name().to_string()]
}

fn direct_rule(command: &str, rule: &DirectRule) -> Vec<String> {
    let mut words = vec![command.to_string()];
    words.extend(rule_words(rule));
    words
}

/// A rule as the values of the signature `sssias`.
fn rule_words(rule: &DirectRule) -> Vec<String> {
    let mut words = vec![
        rule.ipv().to_string(),
        rule.table.clone(),
        rule.chain.clone(),
        rule.priority.to_string(),
        rule.args.len().to_string(),
    ];
    words.extend(rule.args.iter().cloned());
    words
}

/// A direct configuration as the values of the signature `(a(sss)a(sssias)a(sas))`.
fn direct_words(direct: &Direct) -> Vec<String> {
    let mut words = vec![direct.chains.len().to_string()];
    for DirectChain { ipv, table, chain } in &direct.chains {
        words.extend([ipv, table, chain].map(String::clone));
    }
    words.push(direct.rules.len().to_string());
    words.extend(direct.rules.iter().flat_map(rule_words));
    words.push(direct.passthroughs.len().to_string());
    for (ipv, args) in &direct.passthroughs {
        words.extend([ipv.clone(), args.len().to_string()]);
        words.extend(args.iter().cloned());
    }
    words
}

/// The same configuration as firewalld tells it: it keeps chains by table, rules by chain and passthroughs by family,
/// each group where its first member stood, and holds nothing twice.
fn grouped(direct: &Direct) -> Direct {
    Direct {
        chains: by_group(&direct.chains, |c| (c.ipv.clone(), c.table.clone())),
        rules: by_group(&direct.rules, |r| {
            (r.ipv(), r.table.clone(), r.chain.clone())
        }),
        passthroughs: by_group(&direct.passthroughs, |(ipv, _)| ipv.clone()),
    }
}

fn by_group<T: Clone + PartialEq, G: PartialEq>(items: &[T], group: impl Fn(&T) -> G) -> Vec<T> {
    let mut groups: Vec<(G, Vec<T>)> = Vec::new();
    for item in items {
        let name = group(item);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) if members.contains(item) => {}
            Some((_, members)) => members.push(item.clone()),
            None => groups.push((name, vec![item.clone()])),
        }
    }
    groups
        .into_iter()
        .flat_map(|(_, members)| members)
        .collect()
}

/// A direct configuration in busctl's words.
fn told_direct(direct: &Direct) -> String {
    let mut told = format!("(a(sss)a(sssias)a(sas)) {}", direct.chains.len());
    for DirectChain { ipv, table, chain } in &direct.chains {
        told.extend([ipv, table, chain].map(|text| told_string(text)));
    }
    let _ = write!(told, " {}", direct.rules.len());
    for rule in &direct.rules {
        told.extend([rule.ipv(), &rule.table, &rule.chain].map(told_string));
        let _ = write!(told, " {} {}", rule.priority, rule.args.len());
        told.extend(rule.args.iter().map(|arg| told_string(arg)));
    }
    let _ = write!(told, " {}", direct.passthroughs.len());
    for (ipv, args) in &direct.passthroughs {
        told.push_str(&told_string(ipv));
        let _ = write!(told, " {}", args.len());
        told.extend(args.iter().map(|arg| told_string(arg)));
    }
    told
}

/// Rich rules in busctl's words.
fn told_rich(rules: &[RichText]) -> String {
    let mut told = format!("as {}", rules.len());
    told.extend(rules.iter().map(|rule| told_string(&rule.text)));
    told
}

/// A space and a string as busctl prints it: escaped as in C, bytes beyond ASCII in octal (systemd's `cescape`).
fn told_string(text: &str) -> String {
    let mut told = String::from(" \"");
    for byte in text.bytes() {
        match byte {
            0x07 => told.push_str("\\a"),
            0x08 => told.push_str("\\b"),
            0x0b => told.push_str("\\v"),
            0x0c => told.push_str("\\f"),
            b'\n' => told.push_str("\\n"),
            b'\r' => told.push_str("\\r"),
            b'\t' => told.push_str("\\t"),
            b'\\' | b'"' | b'\'' => {
                told.push('\\');
                told.push(char::from(byte));
            }
            b' '..=b'~' => told.push(char::from(byte)),
            _ => {
                let _ = write!(told, "\\{byte:03o}");
            }
        }
    }
    told.push('"');
    told
}

fn network_words(spec: &NetworkSpec) -> Vec<String> {
    let mut words = vec!["create_network".to_string()];
    let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
    for subnet in &spec.subnets {
        option("--subnet", subnet.to_string());
    }
    for gateway in &spec.gateways {
        option("--gateway", gateway.to_string());
    }
    for (key, value) in &spec.options {
        option("--opt", format!("{key}={value}"));
    }
    for (key, value) in &spec.labels {
        option("--label", format!("{key}={value}"));
    }
    if spec.subnets.iter().any(|s| s.family() == Family::V6) {
        words.push("--ipv6".to_string());
    }
    if spec.internal {
        words.push("--internal".to_string());
    }
    words.push(spec.name.clone());
    words
}

fn connect_words(container: &str, endpoint: &Endpoint) -> Vec<String> {
    let mut words = vec!["connect".to_string()];
    let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
    if let Some(address) = endpoint.fixed {
        option("--ip", address.to_string());
    }
    if let Some(address) = endpoint.fixed6 {
        option("--ip6", address.to_string());
    }
    // Docker refuses aliases on its default network, and inspects some there all the same.
    if endpoint.network != "bridge" {
        for alias in &endpoint.aliases {
            option("--alias", alias.clone());
        }
    }
    for link in &endpoint.links {
        option("--link", link.clone());
    }
    words.extend([endpoint.network.clone(), container.to_string()]);
    words
}
