//! Standard output, also for documents that are too long to be one text: what is written is shown line by line, and not kept.

use std::io;
use std::io::Write;

use crate::report::redact::redacted;

/// As many bytes are held back at most, unless one line is longer.
const HELD: usize = 64 * 1024;

/// Standard output. No secret is shown, and colours only where they are wanted.
#[derive(Default)]
pub struct Stdout {
    /// Whole lines are shown: a part of one might hold half of a secret.
    held: Vec<u8>,
    /// Who shows them; `None` if nobody else shows anything.
    shown_by: Option<Box<dyn FnMut(String) + Send>>,
}

impl Stdout {
    /// Standard output.
    pub fn new() -> Self {
        Stdout::default()
    }

    /// Standard output while something else is shown: each piece is given to the one who shows both.
    pub fn shown_by(shown_by: impl FnMut(String) + Send + 'static) -> Self {
        Stdout {
            held: Vec::new(),
            shown_by: Some(Box::new(shown_by)),
        }
    }

    /// Shows what is held, up to a byte.
    fn show(&mut self, end: usize) -> io::Result<()> {
        if end == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&self.held[..end]);
        let shown = match &mut self.shown_by {
            None => show(&text),
            Some(shown_by) => {
                shown_by(text.into_owned());
                Ok(())
            }
        };
        self.held.drain(..end);
        shown
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        // A piece that another one shows is a node, and not a byte or two.
        let most = self.shown_by.as_ref().map_or(HELD, |_| 1);
        if self.held.len() >= most
            && let Some(line) = self.held.iter().rposition(|byte| *byte == b'\n')
        {
            self.show(line + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.show(self.held.len())?;
        match self.shown_by {
            None => io::stdout().flush(),
            Some(_) => Ok(()),
        }
    }
}

/// Writes to stdout. A closed pipe is ignored, because it must not leave a node unfinished.
pub fn print(text: &str) {
    let _ = show(text).and_then(|()| io::stdout().flush());
}

fn show(text: &str) -> io::Result<()> {
    let text = redacted(text);
    if is_plain(&text) {
        // Nothing would be removed, and looking for it at each byte takes longer than all the rest.
        return io::stdout().lock().write_all(text.as_bytes());
    }
    anstream::stdout().lock().write_all(text.as_bytes())
}

/// Whether there is nothing in a text that a terminal executes.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    text.as_bytes().iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_has_no_escape_in_it() {
        for (text, plain) in [
            ("a b\n\tc~", true),
            ("\x1b[1ma\x1b[0m", false),
            ("a\x07", false),
            ("\u{9b}1m", false),
            ("a\rb", false),
        ] {
            assert_eq!(is_plain(text), plain, "{text:?}");
        }
    }

    #[test]
    fn what_is_held_back_is_less_than_a_line_or_a_little() {
        let mut output = Stdout::new();
        let line = [b"x".repeat(1000), b"\n".to_vec()].concat();
        for _ in 0..200 {
            output.write_all(&line).unwrap();
            assert!(output.held.len() <= HELD, "{}", output.held.len());
        }
        output.held.clear();
    }
}
