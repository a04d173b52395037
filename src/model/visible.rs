//! Which characters are visible to a person, and untrusted texts with the other characters made visible.
//!
//! Text from a node, an inventory or an argument may contain characters that a terminal executes, that change the order of what
//! follows, or that are invisible, so that two different texts look the same.

use std::str;

/// Letters and marks that are printable by their category and show nothing.
const BLANK: [(char, char); 12] = [
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2065}', '\u{2065}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character shows as itself and changes nothing else: no control or format character, no separator of lines, no
/// variation selector or tag, nothing that Unicode has not assigned.
///
/// ```
/// use fwdeploy::model::visible::is_visible;
///
/// assert!(is_visible('é') && is_visible(' ') && is_visible('…'));
/// assert!(!is_visible('\u{9b}') && !is_visible('\u{202e}') && !is_visible('\u{e0041}'));
/// ```
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    if BLANK
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&c))
    {
        return false;
    }
    // Spaces of other widths are spaces.
    if c.is_whitespace() {
        return !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    }
    // The standard library knows what is printable, but only for a whole text: a mark that combines with the letter before it is
    // escaped at the beginning only.
    let mut text = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut text[1..]).len();
    str::from_utf8(&text[..=length]).is_ok_and(|text| text.escape_debug().count() == 2)
}

/// The text with each character that is not visible written as `\u{…}`; line ends and tabs are kept.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if is_visible(c) => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// The text with each invisible character replaced by visible ones of as many bytes, so that positions in it do not
/// change; line ends and tabs are kept.
pub fn visible_in_place(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match (c, c.len_utf8()) {
            ('\n' | '\t', _) => out.push(c),
            (c, _) if is_visible(c) => out.push(c),
            (_, 1) => out.push('?'),
            (_, 2) => out.push('¿'),
            (_, 3) => out.push('\u{fffd}'),
            _ => out.push_str("\u{fffd}?"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_turns_hides_or_commands_is_not_visible() {
        let ranges = [
            '\u{0}'..='\u{1f}',
            '\u{7f}'..='\u{9f}',
            '\u{ad}'..='\u{ad}',
            '\u{61c}'..='\u{61c}',
            '\u{180e}'..='\u{180e}',
            '\u{200b}'..='\u{200f}',
            '\u{2028}'..='\u{202e}',
            '\u{2060}'..='\u{206f}',
            '\u{feff}'..='\u{feff}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{e000}'..='\u{e000}',
            '\u{e0000}'..='\u{e007f}',
            '\u{e0100}'..='\u{e01ef}',
            '\u{10ffff}'..='\u{10ffff}',
        ];
        for c in ranges.into_iter().flatten() {
            assert!(!is_visible(c), "{c:?}");
            // The long form must differ from anything that a node can write itself.
            assert!(visible(&c.to_string()).is_ascii(), "{c:?}");
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "plain text, 172.20.0.2/32 -> `x` \"y\" 'z' \\ $",
            "Zürich … naïve e\u{301}",
            "日本語 Ελλάδα हिन्दी עברית عربي",
            "a\u{a0}b\u{202f}c",
            "✓ 🦀 →",
        ] {
            assert_eq!(visible(text), text);
            assert_eq!(visible_in_place(text), text);
        }
    }

    proptest! {
        #[test]
        fn places_stay_where_they_are(text in any::<String>()) {
            let shown = visible_in_place(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert!(text.char_indices().all(|(at, _)| shown.is_char_boundary(at)));
        }

        #[test]
        fn nothing_that_is_not_visible_is_left(text in any::<String>()) {
            let seen = |text: &str| text.chars().all(|c| c == '\n' || c == '\t' || is_visible(c));
            prop_assert!(seen(&visible(&text)));
            prop_assert!(seen(&visible_in_place(&text)));
        }
    }
}
