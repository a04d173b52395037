//! Arguments → a rule, one option at a time.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::parsed::CtState;
use super::parsed::Match;
use super::parsed::Rule;
use super::parsed::RuleError;
use super::parsed::Sense;
use super::parsed::Target;
use super::saved::split_saved;
use crate::model::net::Cidr;
use crate::model::tally::counted;

impl Rule {
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
        let words: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        counted(words.len());
        Parser { words, at: 0 }.rule()
    }
}

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
        self.word(option)
    }

    /// The value of an option that cannot be turned: the next word, also where that is a `!` (`--comment !`).
    fn word(&mut self, option: &str) -> Result<&'a str, RuleError> {
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
                    let value = protocol(self.value(word, &mut this)?);
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
                "--ctdir" if this == Sense::Is => {
                    let value = self.word(word)?;
                    let direction = value.parse().map_err(|()| wrong(word, value))?;
                    rule.matches.insert(Match::Direction(direction));
                }
                "--comment" => {
                    rule.comment = Some(self.word(word)?.to_string());
                }
                "-m" | "--match" => {
                    let name = self.word(word)?;
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
                    let name = self.word(word)?;
                    rule.target = self.target(name);
                }
                "-g" | "--goto" => {
                    rule.target = Target::Goto(self.word(word)?.to_string());
                }
                _ => {
                    rule.matches.insert(self.other(module, this, word));
                }
            }
        }
        rule.matches.retain(Match::says_something);
        Ok(rule)
    }

    /// The target with everything that follows it: nothing comes after a target's own options.
    fn target(&mut self, name: &str) -> Target {
        let from = self.at.min(self.words.len());
        // A comment or match may follow `-j ACCEPT` if a person typed it; only extensions have options.
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

/// The protocol in the kernel's words: iptables takes any case and every number, and prints back the names that it knows.
fn protocol(value: &str) -> String {
    let known = [
        ("0", "all"),
        ("1", "icmp"),
        ("6", "tcp"),
        ("17", "udp"),
        ("58", "ipv6-icmp"),
        ("132", "sctp"),
        ("icmpv6", "ipv6-icmp"),
    ];
    let value = value.to_ascii_lowercase();
    match known.iter().find(|(spelling, _)| *spelling == value) {
        Some((_, name)) => (*name).to_string(),
        None => value,
    }
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
