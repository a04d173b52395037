//! firewalld's direct.xml (firewalld.direct(5)), as the direct configuration that firewalld makes of it.

use std::collections::BTreeSet;

use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::probe::xml;
use crate::probe::xml::Element;

/// The direct configuration of the file.
///
/// # Errors
/// The part that is not known.
pub fn direct(text: &str) -> Result<Direct, String> {
    let root = xml::root(text, "direct", &[])?;
    let mut direct = Direct::default();
    for element in &root.children {
        element.is_leaf()?;
        match element.name.as_str() {
            "chain" => {
                element.only(&["ipv", "table", "chain"])?;
                let chain = DirectChain {
                    ipv: ipv(element)?.to_string(),
                    table: element.needs("table")?.to_string(),
                    chain: element.needs("chain")?.to_string(),
                };
                direct.chains.push(chain);
            }
            "rule" => {
                element.only(&["ipv", "table", "chain", "priority"])?;
                let priority = element.needs("priority")?;
                let rule = DirectRule {
                    family: match ipv(element)? {
                        "eb" => None,
                        ipv => Some(
                            ipv.parse()
                                .map_err(|_| format!("`{ipv}` is not a family"))?,
                        ),
                    },
                    table: element.needs("table")?.to_string(),
                    chain: element.needs("chain")?.to_string(),
                    priority: priority
                        .trim()
                        .parse()
                        .map_err(|_| format!("`{priority}` is not a priority"))?,
                    args: args(element)?.into(),
                };
                // Without arguments it is none.
                if !element.text.is_empty() {
                    direct.rules.push(rule);
                }
            }
            "passthrough" => {
                element.only(&["ipv"])?;
                let passthrough = Passthrough::new(ipv(element)?, args(element)?);
                if !element.text.is_empty() {
                    direct.passthroughs.push(passthrough);
                }
            }
            _ => return Err(element.is_out_of_place("direct")),
        }
    }
    once(&mut direct.chains);
    once(&mut direct.rules);
    once(&mut direct.passthroughs);
    Ok(direct)
}

/// Duplicates count once.
fn once<T: Ord + Clone>(entries: &mut Vec<T>) {
    let mut seen = BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.clone()));
}

fn ipv(element: &Element) -> Result<&str, String> {
    let ipv = element.needs("ipv")?;
    match ipv {
        "ipv4" | "ipv6" | "eb" => Ok(ipv),
        _ => Err(format!("`{ipv}` is not a family")),
    }
}

fn args(element: &Element) -> Result<Vec<String>, String> {
    split(&element.text.replace('\n', " "))
        .ok_or_else(|| format!("`{}` has a quote without its end", element.text))
}

/// Words as Python's `shlex.split` takes them apart, which is firewalld's way. It knows no comments, and within double
/// quotes a backslash is one unless a quote or another follows.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::model::direct_xml;

    #[test]
    fn what_firewalld_writes_reads_back() {
        let args =
            |words: &[&str]| -> Vec<String> { words.iter().map(ToString::to_string).collect() };
        let written = Direct {
            chains: vec![DirectChain::ours(Family::V6)],
            rules: vec![DirectRule {
                family: None,
                table: "filter".to_string(),
                chain: "INPUT".to_string(),
                priority: -3,
                args: args(&["!", "#x", "it's <a> & \"b\" \\", "", "é"]).into(),
            }],
            passthroughs: vec![Passthrough::new("ipv4", args(&["-t", "nat"]))],
        };
        assert_eq!(direct(&direct_xml::file(&written)), Ok(written));
    }

    #[test]
    fn words_are_taken_apart_as_python_does() {
        let words = |text: &str| split(text).map(|words| words.join("|"));
        for (text, said) in [
            (r#"a "b c" 'd e'f"#, r"a|b c|d ef"),
            (r#""a\"\\\$b" c\ d '\'"#, r#"a"\\$b|c d|\"#),
            ("a # b", "a|#|b"),
            ("  ", ""),
        ] {
            assert_eq!(words(text).as_deref(), Some(said), "{text}");
        }
        for open in ["'a", "\"a", "a\\"] {
            assert_eq!(words(open), None, "{open}");
        }
    }

    #[test]
    fn a_rule_may_be_there_twice_or_empty_and_counts_once_or_not() {
        let rule = "<rule ipv='ipv4' table='filter' chain='X' priority='0'>-j\nDROP</rule>";
        let empty = "<rule ipv='ipv4' table='filter' chain='X' priority='1'/>";
        let read = direct(&format!("<direct>{rule}{empty}{rule}</direct>")).unwrap();
        assert_eq!(read.rules.len(), 1);
        assert_eq!(*read.rules[0].args, ["-j", "DROP"]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        for inner in [
            "<rule ipv='ipv5' table='filter' chain='X' priority='0'>-j DROP</rule>",
            "<rule ipv='ipv4' table='filter' chain='X' priority='first'>-j DROP</rule>",
            "<rule ipv='ipv4' table='filter' chain='X' priority='0'>-j 'DROP</rule>",
            "<rule ipv='ipv4' table='filter' chain='X'>-j DROP</rule>",
            "<chain ipv='ipv4' table='filter' chain='X' policy='DROP'/>",
            "<set name='x'/>",
        ] {
            assert!(
                direct(&format!("<direct>{inner}</direct>")).is_err(),
                "{inner}"
            );
        }
        assert!(direct("<zone/>").is_err());
    }
}
