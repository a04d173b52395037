//! The whole look.

use fwdeploy::probe::observe;

use crate::frame;
use crate::input;

/// Between two answers of an input that is no frame yet.
pub const BETWEEN: u8 = 0x1e;

/// An answer that is cut off tells nothing, wherever it is cut.
pub fn law(data: &[u8]) {
    let Some((kind, rest)) = input(data, 2) else {
        return;
    };
    let framed = match kind {
        0 => rest.into_owned(),
        _ => built(&rest),
    };
    let Ok(state) = observe(&framed, b"a\nb\n") else {
        return;
    };
    serde_json::to_string(&state).expect("a state can be told");
    let length = framed.len();
    for end in [
        length - 1,
        length / 2,
        length.saturating_sub(19),
        data.len(),
    ] {
        if end < length {
            let cut = observe(&framed[..end], b"");
            assert!(cut.is_err(), "read as whole with {end} of {length} bytes");
        }
    }
}

/// A frame of `NAME CODE`, line break and text, again and again: so that a text of another length is still an answer.
fn built(pieces: &[u8]) -> Vec<u8> {
    let pieces = pieces.split(|byte| *byte == BETWEEN).filter_map(|piece| {
        let end = piece.iter().position(|byte| *byte == b'\n')?;
        Some((str::from_utf8(&piece[..end]).ok()?, &piece[end + 1..]))
    });
    frame::whole(pieces)
}
