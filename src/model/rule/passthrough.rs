//! A passthrough of firewalld's direct interface: a whole command of iptables (firewalld.direct(5)).

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;

use serde::Serialize;
use serde::Serializer;

use super::args::Args;
use super::saved::quote_saved;

/// A command of iptables that firewalld carries out at each reload. It is parsed once, when it is read.
///
/// Passthroughs are equal, and sort, by family and arguments. They serialize as a pair of the two.
#[derive(Debug, Clone)]
pub struct Passthrough {
    /// `ipv4`, `ipv6` or `eb`.
    pub ipv: String,
    /// The arguments exactly as firewalld has them.
    pub args: Vec<String>,
    effect: Effect,
}

/// What a passthrough does to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It adds a rule.
    Adds {
        /// The table.
        table: String,
        /// The chain.
        chain: String,
        /// The arguments of the rule.
        rule: Args,
    },
    /// It takes rules or a chain away, or replaces one.
    Takes {
        /// The table.
        table: String,
        /// The chain; `None` is every chain of the table.
        chain: Option<String>,
    },
    /// It changes no rule: it lists, makes a chain, or sets a policy.
    Other,
    /// It is not understood.
    Unknown,
}

impl Passthrough {
    /// Reads a passthrough.
    pub fn new(ipv: impl Into<String>, args: Vec<String>) -> Self {
        Passthrough {
            ipv: ipv.into(),
            effect: Effect::read(&args),
            args,
        }
    }

    /// Its effect on a table.
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    fn key(&self) -> (&str, &[String]) {
        (&self.ipv, &self.args)
    }
}

/// Family and arguments, quoted as `iptables-save` quotes them.
impl fmt::Display for Passthrough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ipv)?;
        for arg in &self.args {
            write!(f, " {}", quote_saved(arg))?;
        }
        Ok(())
    }
}

impl PartialEq for Passthrough {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Passthrough {}

impl PartialOrd for Passthrough {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Passthrough {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Passthrough {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Serialize for Passthrough {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.key().serialize(serializer)
    }
}

impl Effect {
    /// Reads the arguments, in any order that iptables takes them in.
    fn read(args: &[String]) -> Self {
        let mut table = "filter".to_string();
        let mut command: Option<(char, Option<String>)> = None;
        let mut rule: Vec<String> = Vec::new();
        let mut words = args.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let (option, attached) = split(word);
            let is_value = |next: &&str| !next.starts_with('-') && *next != "!";
            match option {
                "-t" | "--table" => match attached.or_else(|| words.next()) {
                    Some(name) => table = name.to_string(),
                    None => return Effect::Unknown,
                },
                "-w" | "--wait" | "-W" | "--wait-interval" => {
                    words.next_if(|next| next.chars().all(|c| c.is_ascii_digit()));
                }
                "-n" | "--numeric" | "-v" | "--verbose" | "-x" | "--exact" | "-4" | "--ipv4"
                | "-6" | "--ipv6" => {}
                _ => match letter(option) {
                    Some(letter) if command.is_none() => {
                        let chain = attached.or_else(|| words.next_if(is_value));
                        command = Some((letter, chain.map(String::from)));
                        if matches!(letter, 'I' | 'R' | 'D') {
                            words.next_if(|next| next.parse::<u32>().is_ok());
                        }
                    }
                    _ => rule.push(word.to_string()),
                },
            }
        }
        match command {
            Some(('A' | 'I', Some(chain))) => Effect::Adds {
                table,
                chain,
                rule: rule.into(),
            },
            Some(('D' | 'R' | 'E', Some(chain))) => Effect::Takes {
                table,
                chain: Some(chain),
            },
            Some(('F' | 'X', chain)) => Effect::Takes { table, chain },
            Some(('L' | 'S' | 'C' | 'Z' | 'N' | 'P', _)) => Effect::Other,
            _ => Effect::Unknown,
        }
    }
}

/// `--table=nat` is `--table` and `nat`; `-tnat` is `-t` and `nat`.
fn split(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
    }
    let takes = ["-t", "-A", "-I", "-D", "-R", "-F", "-X", "-N", "-P", "-E"];
    match takes.iter().find(|option| word.starts_with(**option)) {
        Some(option) if word.len() > option.len() => (option, Some(&word[option.len()..])),
        _ => (word, None),
    }
}

/// The letter of a command (iptables(8)). getopt takes each long option by any beginning of its name.
fn letter(option: &str) -> Option<char> {
    let commands = [
        ('A', "--append"),
        ('C', "--check"),
        ('D', "--delete"),
        ('E', "--rename-chain"),
        ('F', "--flush"),
        ('I', "--insert"),
        ('L', "--list"),
        ('N', "--new-chain"),
        ('P', "--policy"),
        ('R', "--replace"),
        ('S', "--list-rules"),
        ('X', "--delete-chain"),
        ('Z', "--zero"),
    ];
    let short =
        |letter: &char| option.len() == 2 && option.starts_with('-') && option.ends_with(*letter);
    commands
        .iter()
        .find(|(letter, long)| {
            // `--in` could be `--in-interface` too, and iptables refuses ambiguous options.
            short(letter) || *long == option || (option.len() > 4 && long.starts_with(option))
        })
        .map(|(letter, _)| *letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_command_is_read() {
        let adds = |table: &str, chain: &str, rule: &str| Effect::Adds {
            table: table.to_string(),
            chain: chain.to_string(),
            rule: rule.split(' ').map(String::from).collect(),
        };
        let takes = |chain: Option<&str>| Effect::Takes {
            table: "filter".to_string(),
            chain: chain.map(String::from),
        };
        for (text, means) in [
            (
                "-I DOCKER-USER 1 -j ACCEPT",
                adds("filter", "DOCKER-USER", "-j ACCEPT"),
            ),
            (
                "-I DOCKER-USER -j ACCEPT",
                adds("filter", "DOCKER-USER", "-j ACCEPT"),
            ),
            (
                "--insert DOCKER-USER 3 -j ACCEPT",
                adds("filter", "DOCKER-USER", "-j ACCEPT"),
            ),
            (
                "--insert=FORWARD -j ACCEPT",
                adds("filter", "FORWARD", "-j ACCEPT"),
            ),
            (
                "-AFORWARD -j ACCEPT",
                adds("filter", "FORWARD", "-j ACCEPT"),
            ),
            (
                "-w -A FORWARD -j ACCEPT",
                adds("filter", "FORWARD", "-j ACCEPT"),
            ),
            (
                "-w 5 --append FORWARD -j ACCEPT",
                adds("filter", "FORWARD", "-j ACCEPT"),
            ),
            (
                "--wait --appe FORWARD -j ACCEPT",
                adds("filter", "FORWARD", "-j ACCEPT"),
            ),
            (
                "-j ACCEPT -A FORWARD -t filter",
                adds("filter", "FORWARD", "-j ACCEPT"),
            ),
            (
                "-t nat -A POSTROUTING -j MASQUERADE",
                adds("nat", "POSTROUTING", "-j MASQUERADE"),
            ),
            (
                "--table=nat -A PREROUTING -j ACCEPT",
                adds("nat", "PREROUTING", "-j ACCEPT"),
            ),
            (
                "-tnat -A PREROUTING -j ACCEPT",
                adds("nat", "PREROUTING", "-j ACCEPT"),
            ),
            (
                "-A FORWARD ! -s 10.0.0.1 -j ACCEPT",
                adds("filter", "FORWARD", "! -s 10.0.0.1 -j ACCEPT"),
            ),
            ("-F DOCKER-USER", takes(Some("DOCKER-USER"))),
            ("-F", takes(None)),
            ("--flush", takes(None)),
            ("-D FORWARD 1", takes(Some("FORWARD"))),
            ("-D FORWARD -j DOCKER-USER", takes(Some("FORWARD"))),
            ("-N own", Effect::Other),
            ("-P FORWARD ACCEPT", Effect::Other),
            ("-L -n", Effect::Other),
            ("-t nat", Effect::Unknown),
            ("-t", Effect::Unknown),
            ("", Effect::Unknown),
        ] {
            let args: Vec<String> = text.split(' ').map(String::from).collect();
            assert_eq!(*Passthrough::new("ipv4", args).effect(), means, "{text}");
        }
    }
}
