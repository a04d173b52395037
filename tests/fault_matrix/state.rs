//! Everything on a node that a run may change, in an order that shows real differences only.

use std::collections::BTreeMap;

use serde_json::Value;

/// Asks a node for all of it.
pub const SCRIPT: &str = include_str!("state.sh");

/// The chains in which the order of the rules matters; everywhere else in the tables Docker may add its rules in another order.
const IN_ORDER: [&str; 2] = ["FORWARD", "DOCKER-USER"];

/// What a node holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    lines: BTreeMap<String, Vec<String>>,
}

/// One answer of a node.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What it holds.
    pub state: State,
    /// When each running container was started.
    pub starts: BTreeMap<String, String>,
    /// What a run should have removed: latch, lease, timer, unit, staging.
    pub left: Vec<String>,
}

impl Seen {
    /// Reads an answer; nothing if it was cut off.
    pub fn read(answer: &str) -> Option<Seen> {
        if !answer.ends_with("== end\n") {
            return None;
        }
        let mut seen = Seen::default();
        for section in answer.split("== ").skip(1) {
            let (name, text) = section.split_once('\n').unwrap_or((section, ""));
            let mut keep = |name: &str, lines: Vec<String>| {
                seen.state.lines.insert(name.to_string(), lines);
            };
            let lines = || text.lines().map(String::from);
            match name {
                "iptables" | "ip6tables" => tables(name, text, keep),
                // A firewalld that was killed adds what is there once more.
                "nft" => {
                    let mut rules = in_order(lines().map(|l| l.trim().to_string()));
                    rules.dedup();
                    keep(name, rules);
                }
                "firewalld" => keep(name, lines().map(|line| canonical(&line)).collect()),
                "docker" => keep(name, in_order(lines().map(|l| l.replace("null", "{}")))),
                "starts" => {
                    seen.starts = text
                        .lines()
                        .filter_map(|l| l.split_once(' '))
                        .map(|(name, at)| (name.to_string(), at.to_string()))
                        .collect();
                }
                "left" => seen.left = lines().collect(),
                _ => keep(name, in_order(lines())),
            }
        }
        Some(seen)
    }
}

impl State {
    /// The lines that went from this state to the other, and those that came; in chains where it decides, the order.
    pub fn differences(&self, now: &State) -> Vec<String> {
        let mut out = Vec::new();
        for name in self.lines.keys() {
            let (was, is) = (self.section(name), now.section(name));
            let from = out.len();
            out.extend(lacking(was, is).map(|l| format!("- {name}: {l}")));
            out.extend(lacking(is, was).map(|l| format!("+ {name}: {l}")));
            if out.len() == from && was != is {
                out.push(format!("~ {name}: another order: {was:?} became {is:?}"));
            }
        }
        out
    }

    /// The same after another tool has flushed Docker's chain for users.
    pub fn flushed(&self) -> State {
        let mut flushed = self.clone();
        flushed
            .lines
            .insert("iptables DOCKER-USER".to_string(), Vec::new());
        flushed
    }

    /// The same without the `RETURN` that Docker up to 27 puts at the end of that chain, and that does nothing there.
    pub fn without_return(&self) -> State {
        let mut without = self.clone();
        if let Some(rules) = without.lines.get_mut("iptables DOCKER-USER") {
            rules.retain(|rule| rule != "-A DOCKER-USER -j RETURN");
        }
        without
    }

    /// Whether that chain has no rule.
    pub fn is_flushed(&self) -> bool {
        self.section("iptables DOCKER-USER").is_empty()
    }

    fn section(&self, name: &str) -> &[String] {
        self.lines.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether the state is one of these, or lies between them: nothing that all of them have is missing, and nothing is
    /// there that none of them has. Only Docker and firewalld recreate their own rules; DOCKER-USER, the files, and firewalld's
    /// own view must be as in one of them, and so must the position of the jump.
    pub fn differences_from_all(these: &[State], now: &State) -> Vec<String> {
        let Some(first) = these.first() else {
            return vec!["nothing to compare it with".to_string()];
        };
        if these.contains(now) {
            return Vec::new();
        }
        if these.len() == 1 {
            return first.differences(now);
        }
        let mut out = Vec::new();
        for name in first.lines.keys() {
            let is = now.section(name);
            let those = || these.iter().map(|s| s.section(name));
            let exactly =
                name.ends_with(" DOCKER-USER") || matches!(name.as_str(), "files" | "firewalld");
            if exactly && !those().any(|s| s == is) {
                let was = first.section(name);
                out.extend(lacking(was, is).map(|l| format!("- {name}: {l}")));
                out.extend(lacking(is, was).map(|l| format!("+ {name}: {l}")));
                out.push(format!("~ {name}: as in none of the states that count"));
            }
            if name.ends_with(" FORWARD") && !those().any(|s| jump(s) == jump(is)) {
                out.push(format!("~ {name}: the jump is elsewhere: {is:?}"));
            }
            if !exactly {
                let missing = first
                    .section(name)
                    .iter()
                    .filter(|l| those().all(|s| s.contains(l)) && !is.contains(l));
                out.extend(missing.map(|l| format!("- {name}: {l}")));
                let new = is.iter().filter(|l| !those().any(|s| s.contains(l)));
                out.extend(new.map(|l| format!("+ {name}: {l}")));
            }
        }
        out
    }
}

/// How often the jump to DOCKER-USER is there, and whether something accepts ahead of the first.
fn jump(forward: &[String]) -> (usize, bool) {
    let is_jump = |l: &&String| l.ends_with("-j DOCKER-USER");
    let ahead = forward.iter().take_while(|l| !is_jump(l));
    (
        forward.iter().filter(is_jump).count(),
        ahead.into_iter().any(|l| l.ends_with("-j ACCEPT")),
    )
}

/// The lines of the first that are not among the second, each as often as it is too many.
fn lacking<'a>(these: &'a [String], those: &[String]) -> impl Iterator<Item = &'a String> {
    let mut rest = those.to_vec();
    these.iter().filter(
        move |line| match rest.iter().position(|other| other == *line) {
            Some(at) => {
                rest.swap_remove(at);
                false
            }
            None => true,
        },
    )
}

fn in_order(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.filter(|l| !l.is_empty()).collect();
    lines.sort();
    lines
}

/// Tables as iptables-save prints them, without counters and times.
fn tables(program: &str, text: &str, mut keep: impl FnMut(&str, Vec<String>)) {
    let mut ordered: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut rest = Vec::new();
    let mut table = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if line.starts_with(':') {
            let line = line.split(" [").next().unwrap_or(line);
            rest.push(format!("{table} {line}"));
        } else if line.starts_with("-A ") {
            let chain = line.split(' ').nth(1).unwrap_or_default();
            match IN_ORDER.iter().find(|c| table == "filter" && **c == chain) {
                Some(chain) => ordered.entry(chain).or_default().push(line.to_string()),
                None => rest.push(format!("{table} {line}")),
            }
        } else if !line.starts_with('#') && line != "COMMIT" {
            rest.push(line.to_string());
        }
    }
    rest.sort();
    keep(program, rest);
    for chain in IN_ORDER {
        let rules = ordered.remove(chain).unwrap_or_default();
        keep(&format!("{program} {chain}"), rules);
    }
}

/// A D-Bus answer in which sets are in order and empty ones are left out.
fn canonical(line: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(line) else {
        return line.to_string();
    };
    sort(&mut value, true);
    value.to_string()
}

/// `named` is whether the value has a name in a dictionary. A list that has none is a rule's arguments.
fn sort(value: &mut Value, named: bool) {
    match value {
        Value::Array(items) => {
            for item in items.iter_mut() {
                sort(item, false);
            }
            if items.iter().all(Value::is_array) || named && items.iter().all(Value::is_string) {
                items.sort_by_key(Value::to_string);
            }
        }
        Value::Object(map) => {
            for value in map.values_mut() {
                sort(value, true);
            }
            map.retain(|_, v| v["data"] != serde_json::json!([]));
            map.sort_keys();
        }
        _ => {}
    }
}
