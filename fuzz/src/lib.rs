//! What holds of each parser of a node's answer, whatever the node answers. A law that is broken is a panic.
//!
//! Beyond these laws the fuzzer itself sees that no answer takes long and none takes much memory: see `fuzz/run`.

pub mod busctl;
pub mod docker;
pub mod frame;
pub mod greeting;
pub mod guard;
pub mod known_hosts;
pub mod look;
pub mod network;
pub mod rules;
pub mod script_protocol;
pub mod small;
pub mod steps;
pub mod tables;
pub mod xml;

use std::borrow::Cow;

/// How long a repeated input is made. What takes quadratic time is seen at this length.
const LONG: usize = 1 << 18;

/// Reads an input: its first byte chooses a kind, and `*` as the second repeats the rest until it is long.
pub fn input(data: &[u8], kinds: u8) -> Option<(u8, Cow<'_, [u8]>)> {
    let [kind, size, rest @ ..] = data else {
        return None;
    };
    let rest = match size {
        b'*' if !rest.is_empty() => Cow::Owned(rest.repeat(LONG.div_ceil(rest.len()))),
        _ => Cow::Borrowed(rest),
    };
    Some((kind % kinds, rest))
}

/// The same as text; a node's bytes are read so everywhere.
pub fn text(data: &[u8], kinds: u8) -> Option<(u8, String)> {
    let (kind, rest) = input(data, kinds)?;
    Some((kind, String::from_utf8_lossy(&rest).into_owned()))
}

/// Some places at which a text is cut off: its last, its middle, and others that the text itself chooses.
pub fn cuts(text: &str) -> impl Iterator<Item = &str> {
    let sum = text
        .bytes()
        .fold(7usize, |sum, b| sum.wrapping_mul(31) + usize::from(b));
    let length = text.len();
    let last = length.saturating_sub(1);
    let places = [last, length.saturating_sub(2), length / 2, sum, sum / 7];
    places
        .into_iter()
        .filter(move |_| length > 0)
        .map(move |place| &text[..text.floor_char_boundary(place % length)])
}
