//! The question how a node's own iptables prints rules that no two versions need print alike.

use std::collections::BTreeSet;

use crate::model::rule::quote_saved;
use crate::node::quote;
use crate::plan::Question;

/// The program of the node, which makes an empty network namespace.
const OUTSIDE: &str = include_str!("printed.sh");

/// The program that runs in the namespace.
const INSIDE: &str = include_str!("printed_inside.sh");

/// Returns the script that lets a node's iptables print rules, to be fed to `sh -s` as root. Its answer is for
/// `probe::printed`, which counts the rules from 1.
pub fn printed_script(questions: &[Question]) -> String {
    let mut inside = INSIDE.to_string();
    for question in questions {
        let program = question.family.iptables();
        let chains = question.chains.iter().filter(|name| is_word(name));
        let chains: Vec<String> = chains.map(|name| format!(":{name} - [0:0]")).collect();
        let rules: Vec<String> = (1..)
            .zip(&question.rules)
            .map(|(number, args)| line(number, args))
            .collect();
        let words = [
            question.family.name().to_string(),
            program.to_string(),
            chains.join("\n"),
            sets(&question.rules).join("\n"),
            rules.join("\n"),
        ];
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        inside.push_str(&format!("asked {}\n", words.join(" ")));
    }
    format!("{OUTSIDE}inner={}\nwhole\n", quote(&inside))
}

/// A rule in a chain of its own.
fn line(number: usize, args: &[String]) -> String {
    let mut line = format!("-A fwdeploy-{number}");
    for arg in args {
        line.push(' ');
        line.push_str(&quote_saved(arg));
    }
    line
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

/// The sets that the rules name, each with a type of as many dimensions: sets belong to a namespace.
fn sets(rules: &[Vec<String>]) -> Vec<String> {
    let mut out = BTreeSet::new();
    for args in rules {
        for words in args.windows(3) {
            let [option, name, flags] = words else {
                continue;
            };
            let names_set = ["--match-set", "--add-set", "--del-set"].contains(&option.as_str());
            if names_set && is_word(name) {
                let kind = match flags.matches(',').count() {
                    0 => "hash:net",
                    1 => "hash:ip,port",
                    _ => "hash:ip,port,ip",
                };
                out.insert(format!("{name} {kind}"));
            }
        }
    }
    out.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::net::Family;
    use crate::node::shell::in_every_shell;

    fn question(rules: &[&[&str]]) -> Question {
        let rules = rules.iter();
        Question {
            family: Family::V4,
            rules: rules
                .map(|args| args.iter().map(ToString::to_string).collect())
                .collect(),
            chains: vec!["own".to_string(), "bad name".to_string()],
        }
    }

    #[test]
    fn whatever_a_rule_holds_is_one_word() {
        let nasty = "it's $(reboot) \"a\" `id` \\";
        let script = printed_script(&[question(&[
            &["-m", "comment", "--comment", nasty, "-j", "DROP"],
            &[
                "-m",
                "set",
                "--match-set",
                "ban'ned",
                "src,dst",
                "-j",
                "DROP",
            ],
        ])]);
        in_every_shell(&script);
        in_every_shell(INSIDE);
        let inner = shlex::split(script.split_once("\ninner=").unwrap().1).unwrap();
        in_every_shell(&inner[0]);
        let call = inner[0].split_once("\nasked ipv4 ").unwrap().1;
        let words = shlex::split(call).unwrap();
        assert_eq!(words[1], ":own - [0:0]");
        assert_eq!(words[2], "ban'ned hash:ip,port");
        let first = words[3].lines().next().unwrap();
        let back = crate::model::rule::split_saved(first).unwrap();
        assert_eq!(back[5], nasty);
        assert_eq!(back[1], "fwdeploy-1");
    }
}
