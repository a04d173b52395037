//! Rules in the three languages in which a node tells them.

use fwdeploy::model::Cidr;
use fwdeploy::model::Peer;
use fwdeploy::model::Port;
use fwdeploy::model::RichRule;
use fwdeploy::model::Rule;
use fwdeploy::model::canonical;
use fwdeploy::model::rich;
use fwdeploy::model::rule::quote_saved;
use fwdeploy::model::rule::split_saved;
use fwdeploy::model::settings::Options;

use crate::text;

/// Law Spelling: what was read reads back from its canonical text.
pub fn law(data: &[u8]) {
    let Some((kind, text)) = text(data, 5) else {
        return;
    };
    match kind {
        0 => {
            if let Ok(rule) = Rule::parse_text(&text) {
                if is_printed(&text) {
                    reads_back(&rule);
                }
                // What iptables would not take is read as something, and from then on as the same.
                let again = Rule::parse_args(&rule.args());
                let again = again.map(|rule| Rule::parse_args(&rule.args()));
                drop(again);
            }
        }
        1 => {
            let rule = RichRule::parse(&text);
            assert_eq!(RichRule::parse(&rule.to_string()), rule);
            rule.about();
            rich::words_of(&text);
        }
        2 => {
            let is_quoted = |(_, value): &(String, Option<String>)| {
                value.as_ref().is_none_or(|value| !value.contains('"'))
            };
            if rich::words_of(&text).iter().all(is_quoted) {
                let once = canonical::rich_rule(&text);
                assert_eq!(canonical::rich_rule(&once), once, "another form each time");
            }
            let options: Options = text
                .lines()
                .filter_map(|line| line.split_once('='))
                .collect();
            let once = canonical::options(&options);
            assert_eq!(canonical::options(&once), once, "another form each time");
        }
        3 => {
            if let Some(words) = split_saved(&text) {
                let line: Vec<_> = words.iter().map(|word| quote_saved(word)).collect();
                assert_eq!(split_saved(&line.join(" ")), Some(words));
            }
        }
        _ => {
            if let Ok(net) = text.parse::<Cidr>() {
                assert_eq!(net.to_string().parse(), Ok(net));
                assert_eq!(net.short().to_string().parse(), Ok(net));
            }
            if let Ok(peer) = text.parse::<Peer>() {
                assert_eq!(peer.to_string().parse(), Ok(peer));
            }
            if let Ok(port) = text.parse::<Port>() {
                assert_eq!(port.to_string().parse(), Ok(port));
            }
        }
    }
}

/// From its arguments and from its text.
pub fn reads_back(rule: &Rule) {
    let args = rule.args();
    assert_eq!(Rule::parse_args(&args).as_ref(), Ok(rule), "{args:?}");
    let text = rule.to_string();
    assert_eq!(Rule::parse_text(&text).as_ref(), Ok(rule), "{text}");
}

/// Whether iptables could have printed it: each word is an option, or a value of an option that has one.
pub fn is_printed(text: &str) -> bool {
    let words = split_saved(text).unwrap_or_default();
    let mut words = words.iter().map(String::as_str).peekable();
    let is_option = |word: &str| word.starts_with('-');
    // Beside those below, every option that is printed is a long one.
    let is_known = |option: &str| {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = option.strip_prefix("--");
        name.is_some_and(|name| name.len() > 1 && name.chars().all(letters))
    };
    while let Some(word) = words.next() {
        let option = match word {
            "!" => match words.next() {
                Some(option) => option,
                None => return false,
            },
            option => option,
        };
        let value = match option {
            "-j" => {
                let Some(name) = words.next() else {
                    return false;
                };
                // Behind a target stand its own options and nothing else.
                let plain = matches!(name, "ACCEPT" | "DROP" | "RETURN");
                let ends = |word: &str| word == "!" || (word.len() == 2 && is_option(word));
                return !is_option(name) && (!plain || words.len() == 0) && !words.any(ends);
            }
            "--comment" => words.next().is_some(),
            "--state" | "-m" | "-s" | "-d" | "-i" | "-o" | "-p" | "-g" | "--sport" | "--dport"
            | "--ctstate" => {
                let value = words.next();
                value.is_some_and(|value| !is_option(value) && !matches!(value, "!" | ""))
            }
            other => {
                let known = is_known(other);
                while words
                    .next_if(|word| !is_option(word) && *word != "!")
                    .is_some()
                {}
                known
            }
        };
        if !value {
            return false;
        }
        // A module's own options come right behind it, and a word that is none is nothing's.
        if words
            .peek()
            .is_some_and(|word| !is_option(word) && *word != "!")
        {
            return false;
        }
    }
    true
}
