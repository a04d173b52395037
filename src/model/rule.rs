//! One iptables rule, as a value that compares by meaning: whatever order and spelling a version prints it in.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;

use crate::model::net::Cidr;
use crate::model::net::Family;

/// Whether a match is meant as it stands or negated (`!`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sense {
    /// As it stands.
    Is,
    /// Negated.
    Not,
}

/// A state of conntrack's `--ctstate` (iptables-extensions(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// One condition of a rule. The order of the variants is the order in which they are written out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// `-s`: where the packet comes from.
    Source(Sense, Cidr),
    /// `-d`: where it goes to.
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
    /// A condition that fwdeploy never writes and does not interpret, in its own words.
    Other(Vec<String>),
}

impl Match {
    /// Everybody is no condition, and the kernel does not print it back.
    fn says_something(&self) -> bool {
        !matches!(self, Match::Source(Sense::Is, net) | Match::Destination(Sense::Is, net) if net.is_everything())
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
    /// Go back to the calling chain.
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
    matches: BTreeSet<Match>,
    /// The text of `-m comment --comment`.
    pub comment: Option<String>,
    /// What happens to a packet that meets every condition.
    pub target: Target,
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

    /// The same rule without its comment: what it does, whoever wrote it.
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
        self.matches.iter()
    }

    /// Every network that the rule names in `-s` or `-d`, with the sense in which it does.
    pub fn networks(&self) -> impl Iterator<Item = (Sense, Cidr)> {
        self.matches.iter().filter_map(|m| match m {
            Match::Source(sense, net) | Match::Destination(sense, net) => Some((*sense, *net)),
            _ => None,
        })
    }

    /// The canonical arguments, in the order and spelling that fwdeploy always sends.
    pub fn args(&self) -> Vec<String> {
        let mut out = Vec::new();
        for m in &self.matches {
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

    /// Reads one line of `iptables-save` after its chain, or what an operator typed.
    ///
    /// # Errors
    /// [`RuleError`] if quotes do not close or an option's value cannot be read.
    pub fn parse_text(text: &str) -> Result<Self, RuleError> {
        let words = split_saved(text).ok_or_else(|| RuleError::Quotes(text.to_string()))?;
        Rule::parse_args(&words)
    }

    /// Reads arguments as firewalld's direct interface holds them.
    ///
    /// # Errors
    /// [`RuleError`] if an option lacks its value or the value cannot be read.
    pub fn parse_args<S: AsRef<str>>(args: &[S]) -> Result<Self, RuleError> {
        Parser {
            words: args.iter().map(AsRef::as_ref).collect(),
            at: 0,
        }
        .rule()
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

/// Quotes a word as `iptables-save` does: double quotes, with `"` and `\` escaped.
pub fn quote_saved(word: &str) -> String {
    let plain = !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-./:,!+@%=[]".contains(&b));
    if plain {
        word.to_string()
    } else {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Splits a line of `iptables-save` into words; `None` if a quote does not close.
pub fn split_saved(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '"' | '\'' => {
                let word = word.get_or_insert_with(String::new);
                loop {
                    match chars.next()? {
                        q if q == c => break,
                        '\\' if c == '"' => word.push(chars.next()?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_with(String::new).push(chars.next()?),
            other => word.get_or_insert_with(String::new).push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// Reads arguments one option at a time.
struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied();
        self.at += 1;
        word
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    /// An option's value; a `!` before it (`-s ! 10.0.0.1`, the order before iptables 1.4.3) turns the sense.
    fn value(&mut self, option: &str, sense: &mut Sense) -> Result<&'a str, RuleError> {
        if self.peek() == Some("!") {
            self.at += 1;
            *sense = Sense::Not;
        }
        self.next()
            .ok_or_else(|| RuleError::Missing(option.to_string()))
    }

    fn rule(mut self) -> Result<Rule, RuleError> {
        let mut rule = Rule::new([], Target::Nothing);
        let mut module: Option<&str> = None;
        let mut sense = Sense::Is;
        while let Some(word) = self.next() {
            if word == "!" {
                sense = Sense::Not;
                continue;
            }
            let mut this = std::mem::replace(&mut sense, Sense::Is);
            match word {
                "-s" | "--source" | "--src" => {
                    let value = self.value(word, &mut this)?;
                    rule.matches.insert(Match::Source(this, net(word, value)?));
                }
                "-d" | "--destination" | "--dst" => {
                    let value = self.value(word, &mut this)?;
                    rule.matches
                        .insert(Match::Destination(this, net(word, value)?));
                }
                "-i" | "--in-interface" => {
                    let value = self.value(word, &mut this)?;
                    rule.matches.insert(Match::In(this, value.to_string()));
                }
                "-o" | "--out-interface" => {
                    let value = self.value(word, &mut this)?;
                    rule.matches.insert(Match::Out(this, value.to_string()));
                }
                "-p" | "--protocol" | "--proto" => {
                    let value = self.value(word, &mut this)?.to_ascii_lowercase();
                    if value != "all" {
                        rule.matches.insert(Match::Protocol(this, value));
                    }
                }
                "--dport" | "--destination-port" if ports(module) => {
                    let (from, to) = port_range(word, self.value(word, &mut this)?)?;
                    rule.matches.insert(Match::DestinationPort(this, from, to));
                }
                "--sport" | "--source-port" if ports(module) => {
                    let (from, to) = port_range(word, self.value(word, &mut this)?)?;
                    rule.matches.insert(Match::SourcePort(this, from, to));
                }
                "--ctstate" | "--state" => {
                    let value = self.value(word, &mut this)?;
                    let states: Result<BTreeSet<CtState>, ()> =
                        value.split(',').map(CtState::from_str).collect();
                    let states = states.map_err(|()| wrong(word, value))?;
                    rule.matches.insert(Match::State(this, states));
                }
                "--comment" => {
                    rule.comment = Some(self.value(word, &mut this)?.to_string());
                }
                "-m" | "--match" => {
                    let name = self.value(word, &mut this)?;
                    // These say nothing by themselves; any other module may match without options.
                    if self.peek().is_none_or(|w| !w.starts_with("--") && w != "!")
                        && !matches!(name, "tcp" | "udp" | "conntrack" | "state" | "comment")
                    {
                        rule.matches
                            .insert(Match::Other(vec!["-m".to_string(), name.to_string()]));
                    }
                    module = Some(name);
                }
                "-j" | "--jump" => {
                    let name = self.value(word, &mut this)?;
                    rule.target = self.target(name);
                }
                "-g" | "--goto" => {
                    rule.target = Target::Goto(self.value(word, &mut this)?.to_string());
                }
                _ => {
                    rule.matches.insert(self.other(module, this, word));
                }
            }
        }
        rule.matches.retain(Match::says_something);
        Ok(rule)
    }

    /// The target with all that follows it: nothing stands after a target's own options.
    fn target(&mut self, name: &str) -> Target {
        let from = self.at.min(self.words.len());
        // A comment or match may stand behind `-j ACCEPT` when a person typed it; only extensions have options.
        let plain = matches!(name, "ACCEPT" | "DROP" | "RETURN");
        let mut args = Vec::new();
        if !plain {
            let mut at = from;
            while let Some(word) = self.words.get(at) {
                if matches!(*word, "-m" | "--match" | "-s" | "-d" | "-p" | "-i" | "-o") {
                    break;
                }
                args.push((*word).to_string());
                at += 1;
            }
            self.at = at;
        }
        match (name, args.as_slice()) {
            ("ACCEPT", _) => Target::Accept,
            ("DROP", _) => Target::Drop,
            ("RETURN", _) => Target::Return,
            ("REJECT", []) => Target::Reject(None),
            ("REJECT", [flag, with]) if flag == "--reject-with" => match with.as_str() {
                "icmp-port-unreachable" | "icmp6-port-unreachable" | "port-unreach" => {
                    Target::Reject(None)
                }
                _ => Target::Reject(Some(with.clone())),
            },
            _ => Target::Jump(name.to_string(), args),
        }
    }

    fn other(&mut self, module: Option<&str>, sense: Sense, word: &str) -> Match {
        let mut words = Vec::new();
        if let Some(module) = module {
            words.extend(["-m".to_string(), module.to_string()]);
        }
        if sense == Sense::Not {
            words.push("!".to_string());
        }
        words.push(word.to_string());
        while let Some(next) = self.peek() {
            if next.starts_with('-') || next == "!" {
                break;
            }
            words.push(next.to_string());
            self.at += 1;
        }
        Match::Other(words)
    }
}

/// Whether `--dport` is the plain option of tcp and udp, not one of `multiport`.
fn ports(module: Option<&str>) -> bool {
    !matches!(module, Some("multiport"))
}

fn wrong(option: &str, value: &str) -> RuleError {
    RuleError::Value {
        option: option.to_string(),
        value: value.to_string(),
    }
}

fn net(option: &str, value: &str) -> Result<Cidr, RuleError> {
    // iptables takes host bits and masks them away; so does this, for rules that people typed.
    let parsed = value.parse::<Cidr>().ok().or_else(|| {
        let (address, prefix) = value.split_once('/')?;
        Cidr::around(address.parse().ok()?, prefix.parse().ok()?)
    });
    parsed.ok_or_else(|| wrong(option, value))
}

fn port_range(option: &str, value: &str) -> Result<(u16, u16), RuleError> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong(option, value));
    match value.split_once(':') {
        None => number(value).map(|n| (n, n)),
        Some((from, to)) => Ok((
            if from.is_empty() { 0 } else { number(from)? },
            if to.is_empty() { u16::MAX } else { number(to)? },
        )),
    }
}

/// The mark that fwdeploy puts on each direct rule as its comment: `fwdeploy:ROLE/WHAT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Tag {
    /// The role that the rule comes from.
    pub role: String,
    /// The entry of the role, such as `p2p`; `established` and `otherwise` are fwdeploy's own.
    pub what: String,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fwdeploy:{}/{}", self.role, self.what)
    }
}

impl Tag {
    /// Reads a comment; `None` if it is somebody else's.
    pub fn parse(comment: &str) -> Option<Self> {
        let (role, what) = comment.strip_prefix("fwdeploy:")?.split_once('/')?;
        Some(Tag {
            role: role.to_string(),
            what: what.to_string(),
        })
    }
}

/// A rule of firewalld's direct interface (firewalld.direct(5)).
///
/// firewalld tells rules apart by their exact arguments, so those are kept beside the meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DirectRule {
    /// `ipv4` or `ipv6`; `None` for `eb`, which fwdeploy only carries along.
    pub family: Option<Family>,
    /// The table, such as `filter`.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// Lower goes first; equal priorities keep their order of addition.
    pub priority: i32,
    /// The arguments exactly as firewalld has them.
    pub args: Vec<String>,
}

impl DirectRule {
    /// The rule in our chain, in canonical spelling.
    pub fn ours(family: Family, priority: i32, rule: &Rule) -> Self {
        DirectRule {
            family: Some(family),
            table: "filter".to_string(),
            chain: crate::model::CHAIN.to_string(),
            priority,
            args: rule.args(),
        }
    }

    /// Whether it stands in `filter DOCKER-USER` of that family.
    pub fn is_in_chain(&self, family: Family) -> bool {
        self.family == Some(family) && self.table == "filter" && self.chain == crate::model::CHAIN
    }

    /// firewalld's word for the family.
    pub fn ipv(&self) -> &'static str {
        self.family.map_or("eb", Family::name)
    }

    /// What the rule means; `None` if its arguments cannot be read.
    pub fn rule(&self) -> Option<Rule> {
        Rule::parse_args(&self.args).ok()
    }

    /// Same place and same meaning, whatever the spelling.
    pub fn means(&self, other: &DirectRule) -> bool {
        self.family == other.family
            && self.table == other.table
            && self.chain == other.chain
            && self.priority == other.priority
            && (self.args == other.args
                || matches!((self.rule(), other.rule()), (Some(a), Some(b)) if a == b))
    }
}

impl fmt::Display for DirectRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.ipv(),
            self.table,
            self.chain,
            self.priority
        )?;
        for arg in &self.args {
            write!(f, " {}", quote_saved(arg))?;
        }
        Ok(())
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
    fn unreadable_rules_are_errors_not_guesses() {
        assert!(Rule::parse_text("-s nowhere -j ACCEPT").is_err());
        assert!(Rule::parse_text("-s").is_err());
        assert!(Rule::parse_text("-m comment --comment \"x").is_err());
    }
}
