//! Words as `iptables-save` writes them in a line.

use std::borrow::Cow;

/// Quotes a word as `iptables-save` does: double quotes, with `"` and `\` escaped.
pub fn quote_saved(word: &str) -> Cow<'_, str> {
    let plain = !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-./:,!+@%=[]".contains(&b));
    if plain {
        return Cow::Borrowed(word);
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
    Cow::Owned(format!("\"{escaped}\""))
}

/// Splits a line of `iptables-save` into words; `None` if a quote does not close.
pub fn split_saved(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    // Room for most words, and no more than the smallest block of an allocator: growing takes several.
    let new = || String::with_capacity(24);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '"' | '\'' => {
                let word = word.get_or_insert_with(new);
                loop {
                    match chars.next()? {
                        q if q == c => break,
                        '\\' if c == '"' => word.push(chars.next()?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_with(new).push(chars.next()?),
            other => word.get_or_insert_with(new).push(other),
        }
    }
    words.extend(word);
    Some(words)
}
