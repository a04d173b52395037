//! firewalld's `/etc/firewalld/direct.xml`, entry by entry, written as firewalld writes it (firewalld.direct(5)).

use crate::model::direct::Direct;
use crate::model::direct::DirectChain;
use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;

/// The text before the entries.
pub const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<direct>";

/// The text after them.
pub const TAIL: &str = "</direct>";

/// The whole file.
pub fn file(direct: &Direct) -> String {
    let mut out = HEAD.to_string();
    let lines = direct.chains.iter().map(chain);
    let lines = lines.chain(direct.rules.iter().map(rule));
    for line in lines.chain(direct.passthroughs.iter().map(passthrough)) {
        out.push('\n');
        out.push_str(&line);
    }
    format!("{out}\n{TAIL}\n")
}

/// The line of a chain.
pub fn chain(chain: &DirectChain) -> String {
    format!(
        "  <chain {}/>",
        place(&chain.ipv, &chain.table, &chain.chain)
    )
}

/// The line of a rule.
pub fn rule(rule: &DirectRule) -> String {
    format!(
        "  <rule {} priority=\"{}\">{}</rule>",
        place(rule.ipv(), &rule.table, &rule.chain),
        rule.priority,
        words(&rule.args)
    )
}

/// The line of a passthrough.
pub fn passthrough(passthrough: &Passthrough) -> String {
    format!(
        "  <passthrough ipv=\"{}\">{}</passthrough>",
        attribute(&passthrough.ipv),
        words(&passthrough.args)
    )
}

fn place(ipv: &str, table: &str, chain: &str) -> String {
    let [ipv, table, chain] = [ipv, table, chain].map(attribute);
    format!("ipv=\"{ipv}\" table=\"{table}\" chain=\"{chain}\"")
}

fn words(args: &[String]) -> String {
    let args: Vec<String> = args.iter().map(|arg| python_quote(arg)).collect();
    escape(&args.join(" "))
}

/// Quotes as Python's `shlex.quote` does, which is how firewalld writes arguments into the file.
fn python_quote(word: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !word.is_empty() && word.bytes().all(safe) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\"'\"'"))
    }
}

/// A parser makes a space of a line break that is not escaped, and no file may hold any other control character.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            c if (c as u32) < 0x20 || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn attribute(text: &str) -> String {
    escape(text)
        .replace('"', "&quot;")
        .replace('\n', "&#10;")
        .replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;

    #[test]
    fn each_entry_is_written_as_firewalld_does() {
        let args =
            |text: &[&str]| -> Vec<String> { text.iter().map(ToString::to_string).collect() };
        let direct = Direct {
            chains: vec![DirectChain::ours(Family::V4)],
            rules: vec![DirectRule {
                family: Some(Family::V4),
                table: "filter".to_string(),
                chain: "INPUT".to_string(),
                priority: -3,
                args: args(&["!", "--comment", "it's <a> & \"b\"", "-j", "ACCEPT"]).into(),
            }],
            passthroughs: vec![Passthrough::new("ipv6", args(&["-t", "nat", ""]))],
        };
        assert_eq!(
            file(&direct),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<direct>\n\
             \x20 <chain ipv=\"ipv4\" table=\"filter\" chain=\"DOCKER-USER\"/>\n\
             \x20 <rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"-3\">'!' --comment 'it'\"'\"'s &lt;a&gt; &amp; \"b\"' -j ACCEPT</rule>\n\
             \x20 <passthrough ipv=\"ipv6\">-t nat ''</passthrough>\n</direct>\n"
        );
    }

    #[test]
    fn no_text_breaks_the_document() {
        let chain = chain(&DirectChain {
            ipv: "ipv4".to_string(),
            table: "a\"b".to_string(),
            chain: "x\n<\u{1}".to_string(),
        });
        assert_eq!(
            chain,
            "  <chain ipv=\"ipv4\" table=\"a&quot;b\" chain=\"x&#10;&lt;\u{fffd}\"/>"
        );
    }
}
