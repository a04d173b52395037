//! One iptables rule, as a value that compares by meaning, regardless of the order and spelling in which a version prints it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::Serializer;

use super::saved::quote_saved;
use crate::model::net::Cidr;

/// Whether a match is plain or negated (`!`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sense {
    /// Plain.
    Is,
    /// Negated.
    Not,
}

/// A state of conntrack's `--ctstate` (iptables-extensions(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[allow(missing_docs)]
pub enum CtState {
    Related,
    Established,
    New,
    Invalid,
    Untracked,
    Dnat,
    Snat,
}

impl CtState {
    /// Every state with the word that iptables uses.
    pub const ALL: [(CtState, &'static str); 7] = [
        (CtState::Related, "RELATED"),
        (CtState::Established, "ESTABLISHED"),
        (CtState::New, "NEW"),
        (CtState::Invalid, "INVALID"),
        (CtState::Untracked, "UNTRACKED"),
        (CtState::Dnat, "DNAT"),
        (CtState::Snat, "SNAT"),
    ];

    /// The word that iptables uses.
    pub fn name(self) -> &'static str {
        CtState::ALL
            .iter()
            .find(|(state, _)| *state == self)
            .map_or("", |(_, name)| name)
    }
}

impl FromStr for CtState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        CtState::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(state, _)| *state)
            .ok_or(())
    }
}

/// A direction of conntrack's `--ctdir`: which end of its flow a packet comes from (iptables-extensions(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CtDirection {
    /// From the end that has opened the flow.
    Original,
    /// From the other end.
    Reply,
}

impl CtDirection {
    /// Both directions.
    pub const ALL: [CtDirection; 2] = [CtDirection::Original, CtDirection::Reply];

    /// The word that iptables uses.
    pub fn name(self) -> &'static str {
        match self {
            CtDirection::Original => "ORIGINAL",
            CtDirection::Reply => "REPLY",
        }
    }
}

impl FromStr for CtDirection {
    type Err = ();

    /// iptables takes any case, and prints capitals.
    fn from_str(text: &str) -> Result<Self, ()> {
        let is_it = |direction: &CtDirection| direction.name().eq_ignore_ascii_case(text);
        CtDirection::ALL.into_iter().find(is_it).ok_or(())
    }
}

/// One condition of a rule. The order of the variants is the order in which they are written out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// `-s`: where the packet comes from.
    Source(Sense, Cidr),
    /// `-d`: the destination.
    Destination(Sense, Cidr),
    /// `-i`: the interface it came in by (a trailing `+` matches any rest).
    In(Sense, String),
    /// `-o`: the interface it leaves by.
    Out(Sense, String),
    /// `-p`: the protocol, in lower case or as a number.
    Protocol(Sense, String),
    /// `--sport`: first and last source port.
    SourcePort(Sense, u16, u16),
    /// `--dport`: first and last destination port.
    DestinationPort(Sense, u16, u16),
    /// `-m conntrack --ctstate` (or the older `-m state --state`, which means the same).
    State(Sense, BTreeSet<CtState>),
    /// `-m conntrack --ctdir`: which end of its flow the packet comes from. It cannot be negated.
    Direction(CtDirection),
    /// A condition that fwdeploy does not interpret, in its own words. It writes two of them: a type of ICMPv6, and [`Match::in_set`].
    Other(Vec<String>),
}

impl Match {
    /// Any address is no condition, nor is any port, and the kernel does not print them.
    pub(super) fn says_something(&self) -> bool {
        match self {
            Match::Source(Sense::Is, net) | Match::Destination(Sense::Is, net) => {
                !net.is_everything()
            }
            Match::SourcePort(Sense::Is, from, to)
            | Match::DestinationPort(Sense::Is, from, to) => (*from, *to) != (0, u16::MAX),
            _ => true,
        }
    }

    /// Whether it is written with the module (`-m`) that it belongs to.
    fn names_module(&self) -> bool {
        match self {
            Match::State(..) | Match::Direction(_) => true,
            Match::Other(words) => words.first().is_some_and(|word| word == "-m"),
            _ => false,
        }
    }

    /// Whether every version of iptables prints it in words that are read back as the same condition.
    fn is_plain(&self) -> bool {
        match self {
            Match::Source(sense, net) | Match::Destination(sense, net) => {
                *sense == Sense::Is || !net.is_everything()
            }
            Match::In(_, name) | Match::Out(_, name) => name != "+",
            Match::Protocol(_, name) => {
                matches!(name.as_str(), "tcp" | "udp" | "icmp" | "sctp" | "ipv6-icmp")
            }
            Match::SourcePort(_, from, to) | Match::DestinationPort(_, from, to) => {
                from <= to && (*from, *to) != (0, u16::MAX)
            }
            Match::State(..) | Match::Direction(_) => true,
            Match::Other(words) => is_icmp6_type(words) || self.as_set().is_some(),
        }
    }

    /// `-m set --match-set`: whether the packet is in the set. `ends` is `src` or `dst`, or several of them with commas in between.
    pub fn in_set(name: &str, ends: &str) -> Self {
        let words = ["-m", "set", "--match-set", name, ends];
        Match::Other(words.map(String::from).to_vec())
    }

    /// The name of the set that it asks, and with what, if it is such a condition and not negated.
    pub fn as_set(&self) -> Option<(&str, &str)> {
        let Match::Other(words) = self else {
            return None;
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["-m", "set", "--match-set", name, ends] => Some((name, ends)),
            _ => None,
        }
    }
}

/// What a rule does with a packet that meets its conditions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Let it through, here and now.
    Accept,
    /// Throw it away.
    Drop,
    /// Refuse it; `None` is the default answer, a port-unreachable message.
    Reject(Option<String>),
    /// Return to the calling chain.
    Return,
    /// Go to a chain or an extension, with its arguments (`-j`).
    Jump(String, Vec<String>),
    /// Go to a chain without coming back (`-g`).
    Goto(String),
    /// Only count it: a rule without `-j`.
    Nothing,
}

/// One iptables rule without its chain: conditions, an optional comment, a target.
///
/// Two rules are equal when they mean the same: `/32`, `-m tcp`, quoting and the order of arguments differ between
/// versions of iptables and firewalld, and none of it is kept.
///
/// ```
/// use fwdeploy::model::Rule;
/// let typed = Rule::parse_text("-p tcp -s 10.0.0.1 --dport 5000 -j ACCEPT")?;
/// let printed = Rule::parse_text("-s 10.0.0.1/32 -p tcp -m tcp --dport 5000 -j ACCEPT")?;
/// assert_eq!(typed, printed);
/// # Ok::<(), fwdeploy::model::rule::RuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    pub(super) matches: Matches,
    /// The text of `-m comment --comment`.
    pub comment: Option<String>,
    /// What happens to a packet that meets every condition.
    pub target: Target,
}

/// Conditions in canonical order, each once. They are few, and there are tens of thousands of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Matches(Vec<Match>);

impl Matches {
    pub(super) fn insert(&mut self, condition: Match) {
        if let Err(place) = self.0.binary_search(&condition) {
            self.0.insert(place, condition);
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Match) -> bool) {
        self.0.retain(keep);
    }
}

impl FromIterator<Match> for Matches {
    fn from_iter<I: IntoIterator<Item = Match>>(conditions: I) -> Self {
        let mut conditions: Vec<Match> = conditions.into_iter().collect();
        conditions.sort_unstable();
        conditions.dedup();
        Matches(conditions)
    }
}

/// Why a text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Quotes do not close.
    #[error("the quotes do not close in `{0}`")]
    Quotes(String),
    /// An option lacks its value.
    #[error("`{0}` lacks its value")]
    Missing(String),
    /// A value cannot be read.
    #[error("`{value}` is not a value of `{option}`")]
    Value {
        /// The option.
        option: String,
        /// What was found.
        value: String,
    },
}

impl Rule {
    /// Makes a rule.
    pub fn new(matches: impl IntoIterator<Item = Match>, target: Target) -> Self {
        Rule {
            matches: matches.into_iter().filter(Match::says_something).collect(),
            comment: None,
            target,
        }
    }

    /// The same rule with a comment.
    #[must_use]
    pub fn with_comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// The same rule without its comment: its effect, regardless of its owner.
    #[must_use]
    pub fn meaning(&self) -> Rule {
        Rule {
            matches: self.matches.clone(),
            comment: None,
            target: self.target.clone(),
        }
    }

    /// The conditions, in canonical order.
    pub fn matches(&self) -> impl Iterator<Item = &Match> {
        self.matches.0.iter()
    }

    /// Whether every version of iptables prints the rule in words that parse as the same rule. How an extension prints
    /// itself is known only to iptables. A jump is plain if `is_chain` knows its chain.
    pub fn is_plain(&self, is_chain: &dyn Fn(&str) -> bool) -> bool {
        let target = match &self.target {
            Target::Accept | Target::Drop | Target::Return | Target::Nothing => true,
            Target::Reject(with) => with.as_deref().is_none_or(|with| {
                matches!(
                    with,
                    "tcp-reset"
                        | "icmp-net-unreachable"
                        | "icmp-host-unreachable"
                        | "icmp-proto-unreachable"
                        | "icmp-net-prohibited"
                        | "icmp-host-prohibited"
                        | "icmp-admin-prohibited"
                )
            }),
            Target::Jump(name, args) => args.is_empty() && is_chain(name),
            Target::Goto(name) => is_chain(name),
        };
        let comment = self
            .comment
            .as_deref()
            .is_none_or(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b)));
        target && comment && self.matches().all(Match::is_plain)
    }

    /// Every network that the rule names in `-s` or `-d`, with the sense in which it does.
    pub fn networks(&self) -> impl Iterator<Item = (Sense, Cidr)> {
        self.matches().filter_map(|m| match m {
            Match::Source(sense, net) | Match::Destination(sense, net) => Some((*sense, *net)),
            _ => None,
        })
    }

    /// The canonical arguments, in the order and spelling that fwdeploy always sends.
    pub fn args(&self) -> Vec<String> {
        // As many as the longest of ours has.
        let mut out = Vec::with_capacity(20);
        let has_state = self.matches().any(|m| matches!(m, Match::State(..)));
        // An option that names no module would be read as one of the module before it.
        let bare = self.matches().filter(|m| !m.names_module());
        let named = self.matches().filter(|m| m.names_module());
        for m in bare.chain(named) {
            match m {
                Match::Source(sense, net) => option(&mut out, *sense, &["-s"], net.to_string()),
                Match::Destination(sense, net) => {
                    option(&mut out, *sense, &["-d"], net.to_string())
                }
                Match::In(sense, name) => option(&mut out, *sense, &["-i"], name.clone()),
                Match::Out(sense, name) => option(&mut out, *sense, &["-o"], name.clone()),
                Match::Protocol(sense, name) => option(&mut out, *sense, &["-p"], name.clone()),
                Match::SourcePort(sense, from, to) => {
                    option(&mut out, *sense, &["--sport"], range(*from, *to));
                }
                Match::DestinationPort(sense, from, to) => {
                    option(&mut out, *sense, &["--dport"], range(*from, *to));
                }
                Match::State(sense, states) => {
                    out.extend(["-m".to_string(), "conntrack".to_string()]);
                    let names: Vec<&str> = states.iter().map(|s| s.name()).collect();
                    option(&mut out, *sense, &["--ctstate"], names.join(","));
                }
                Match::Direction(direction) => {
                    // The state comes right before it, and one match of a module holds both.
                    if !has_state {
                        out.extend(["-m", "conntrack"].map(String::from));
                    }
                    out.extend(["--ctdir", direction.name()].map(String::from));
                }
                Match::Other(words) => out.extend(words.iter().cloned()),
            }
        }
        if let Some(comment) = &self.comment {
            out.extend(["-m", "comment", "--comment"].map(String::from));
            out.push(comment.clone());
        }
        match &self.target {
            Target::Accept => out.extend(["-j", "ACCEPT"].map(String::from)),
            Target::Drop => out.extend(["-j", "DROP"].map(String::from)),
            Target::Return => out.extend(["-j", "RETURN"].map(String::from)),
            Target::Reject(with) => {
                out.extend(["-j", "REJECT"].map(String::from));
                if let Some(with) = with {
                    out.push("--reject-with".to_string());
                    out.push(with.clone());
                }
            }
            Target::Jump(name, args) => {
                out.push("-j".to_string());
                out.push(name.clone());
                out.extend(args.iter().cloned());
            }
            Target::Goto(name) => {
                out.push("-g".to_string());
                out.push(name.clone());
            }
            Target::Nothing => {}
        }
        out
    }
}

impl fmt::Display for Rule {
    /// The canonical arguments in one line, quoted as `iptables-save` quotes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, arg) in self.args().iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&quote_saved(arg))?;
        }
        Ok(())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether it is a single type of ICMPv6 by its number, as every version of iptables prints it (libip6t_icmp6.c).
fn is_icmp6_type(words: &[String]) -> bool {
    match words {
        [m, module, option, number] => {
            (m.as_str(), module.as_str(), option.as_str()) == ("-m", "icmp6", "--icmpv6-type")
                && number.parse::<u8>().is_ok()
        }
        _ => false,
    }
}

fn option(out: &mut Vec<String>, sense: Sense, flags: &[&str], value: String) {
    if sense == Sense::Not {
        out.push("!".to_string());
    }
    out.extend(flags.iter().map(|f| (*f).to_string()));
    out.push(value);
}

fn range(from: u16, to: u16) -> String {
    if from == to {
        from.to_string()
    } else {
        format!("{from}:{to}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_same_rule_are_equal() {
        for (a, b) in [
            (
                "-s 10.0.0.1 -j REJECT",
                "-s 10.0.0.1/32 -j REJECT --reject-with icmp-port-unreachable",
            ),
            (
                "-m state --state RELATED,ESTABLISHED -j ACCEPT",
                "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
            ),
            (
                "-j ACCEPT -m comment --comment 'a b'",
                "-m comment --comment \"a b\" -j ACCEPT",
            ),
            ("-s 0.0.0.0/0 -j ACCEPT", "-j ACCEPT"),
            (
                "-m comment --comment ! -j ACCEPT",
                "-j ACCEPT -m comment --comment \"!\"",
            ),
            (
                "! -s 10.0.0.0/8 -d 10.0.0.0/8 -j DROP",
                "-d 10.0.0.0/8 ! -s 10.0.0.0/255.0.0.0 -j DROP",
            ),
        ] {
            assert_eq!(
                Rule::parse_text(a).unwrap(),
                Rule::parse_text(b).unwrap(),
                "{a} / {b}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_kept_and_differs() {
        let a = Rule::parse_text("-m limit --limit 5/min -j LOG --log-prefix \"x y\"").unwrap();
        let b = Rule::parse_text("-m limit --limit 6/min -j LOG --log-prefix \"x y\"").unwrap();
        assert_ne!(a, b);
        assert_eq!(Rule::parse_text(&a.to_string()).unwrap(), a);
        let multi = Rule::parse_text("-p tcp -m multiport --dports 80,443 -j ACCEPT").unwrap();
        assert_eq!(Rule::parse_text(&multi.to_string()).unwrap(), multi);
    }

    #[test]
    fn an_option_without_its_module_is_not_taken_for_that_of_another() {
        for text in [
            "-p tcp --tcp-flags SYN,RST SYN -m conntrack --ctstate NEW -j ACCEPT",
            "-p tcp ! --syn -m conntrack --ctstate NEW -j DROP",
            "-p icmp --icmp-type 8 -m limit --limit 5/sec -m comment --comment x -j ACCEPT",
        ] {
            let rule = Rule::parse_text(text).unwrap();
            assert_eq!(Rule::parse_text(&rule.to_string()).unwrap(), rule, "{text}");
        }
    }

    #[test]
    fn unreadable_rules_are_errors_not_guesses() {
        assert!(Rule::parse_text("-s nowhere -j ACCEPT").is_err());
        assert!(Rule::parse_text("-s").is_err());
        assert!(Rule::parse_text("-m comment --comment \"x").is_err());
    }
}
