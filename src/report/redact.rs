//! The last line of defence: no output shows a text that came out of a vault or a secret command.
//!
//! Types keep secrets out of what is said: [`Secret`](crate::model::Secret) shows itself to nobody, and a mistake with a secret value does not quote
//! it. But a secret can be an address of a whitelist, and addresses are in every rule; and a program on a node can print what it was
//! given. So every text passes through [`redacted`] on its way out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::RwLock;

use crate::model::visible::visible;
use crate::report::json::pretty;

/// What is printed instead.
const VEIL: &str = "********";

/// Shorter texts are in every output by chance, and hiding them would hide everything else.
const SHORTEST: usize = 4;

/// The same for numbers: ports, times, counts.
const SHORTEST_NUMBER: usize = 8;

/// The texts to hide, by their first bytes: thousands of addresses cost one pass over a text.
static HIDDEN: RwLock<Hidden> = RwLock::new(Hidden(BTreeMap::new()));

struct Hidden(BTreeMap<[u8; SHORTEST], BTreeSet<String>>);

/// Hides a text in all output from now on, in each of the forms in which it can be printed.
///
/// Of several lines each is hidden. Texts of fewer than 4 bytes, and numbers of fewer than 8 digits, are not.
pub fn hide(secret: &str) {
    let mut hidden = HIDDEN.write().unwrap_or_else(|broken| broken.into_inner());
    for line in secret.lines().map(str::trim) {
        hidden.add(line);
        hidden.add(&visible(line));
        // Within the quotes of JSON: as it is, and with invisible characters escaped.
        let json = serde_json::to_string(line).unwrap_or_default();
        for json in [json.as_str(), pretty(&line).trim_end()] {
            // The quotes around it alone: the text may end with one.
            let inner = json.get(1..json.len().saturating_sub(1));
            hidden.add(inner.unwrap_or_default());
        }
        if let Ok(address) = line.parse::<IpAddr>() {
            hidden.add(&address.to_string());
        }
    }
}

/// The text as it may be printed.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let hidden = HIDDEN.read().unwrap_or_else(|broken| broken.into_inner());
    hidden.veil(text)
}

impl Hidden {
    fn add(&mut self, text: &str) {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let shortest = if is_number { SHORTEST_NUMBER } else { SHORTEST };
        if text.len() < shortest {
            return;
        }
        if let Some(first) = text.as_bytes().first_chunk() {
            let texts = self.0.entry(*first).or_default();
            texts.insert(text.to_string());
        }
    }

    fn veil<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut shown = String::new();
        let mut copied = 0;
        let mut position = 0;
        while let Some(first) = text.as_bytes()[position..].first_chunk() {
            let texts = self.0.get(first).into_iter().flatten();
            let found =
                texts.filter(|secret| text.as_bytes()[position..].starts_with(secret.as_bytes()));
            match found.map(|secret| secret.len()).max() {
                // Both ends are ends of characters, as those of the secret are.
                Some(length) => {
                    shown.push_str(&text[copied..position]);
                    shown.push_str(VEIL);
                    position += length;
                    copied = position;
                }
                None => position += 1,
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        shown.push_str(&text[copied..]);
        Cow::Owned(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(secrets: &[&str]) -> Hidden {
        let mut hidden = Hidden(BTreeMap::new());
        for secret in secrets {
            hidden.add(secret);
        }
        hidden
    }

    #[test]
    fn the_longest_secret_at_a_place_is_hidden_wherever_it_stands() {
        let hidden = with(&["hunter2", "hunter22", "日本語", "198.51.100.7"]);
        for (text, shown) in [
            ("", ""),
            ("nothing", "nothing"),
            ("hunter2", "********"),
            ("xhunter2y", "x********y"),
            ("hunter22", "********"),
            ("hunter2hunter22 hunt", "**************** hunt"),
            ("é日本語é 日本", "é********é 日本"),
            ("-s 198.51.100.7 -j", "-s ******** -j"),
        ] {
            assert_eq!(hidden.veil(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_in_every_output_is_not_hidden() {
        let hidden = with(&["", "abc", "1234567"]);
        assert_eq!(hidden.veil("abc 1234567"), "abc 1234567");
        let hidden = with(&["abcd", "12345678"]);
        assert_eq!(hidden.veil("abcd 12345678"), "******** ********");
    }

    #[test]
    fn a_secret_is_hidden_in_each_of_its_forms() {
        hide("a \"quoted\"\nand a second line\n2001:db8:0:0::77\n");
        let json = serde_json::json!({ "x": "a \"quoted\"" }).to_string();
        for text in [
            "a \"quoted\"",
            json.as_str(),
            "and a second line",
            "2001:db8::77",
        ] {
            assert!(redacted(text).contains(VEIL), "{text}");
        }
        assert!(serde_json::from_str::<serde_json::Value>(&redacted(&json)).is_ok());
        // JSON documents escape what nobody would see.
        hide("in\u{200b}visible");
        let json = pretty(&serde_json::json!({ "x": "in\u{200b}visible" }));
        assert!(redacted(&json).contains(VEIL), "{json}");
    }
}
