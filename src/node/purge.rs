//! The script that removes a node's records, and its answer.

use crate::node::shell::LEASE;
use crate::node::shell::PURGE;

/// Returns the script that removes `/var/lib/fwdeploy`, unless a run holds the node. Its answer is parsed by [`Purged`].
pub fn purge_script() -> String {
    format!("{LEASE}\n{PURGE}\nprint_purged\n")
}

/// What became of the records of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purged {
    /// They are gone.
    Done,
    /// They, or some of them, are still there.
    Failed {
        /// Why, in one or more lines.
        said: String,
    },
}

impl Purged {
    /// Reads the answer of [`purge_script`]; `None` if it was cut off.
    pub fn read(answer: &[u8]) -> Option<Purged> {
        let answer = String::from_utf8_lossy(answer);
        let mut lines = answer
            .lines()
            .skip_while(|line| !["purged", "kept"].contains(line));
        let first = lines.next()?;
        let mut said = Vec::new();
        for line in lines {
            match line.strip_prefix("| ").or((line == "|").then_some("")) {
                Some(text) => said.push(text),
                None if line == "end" => {
                    return Some(match first {
                        "purged" => Purged::Done,
                        _ => Purged::Failed {
                            said: said.join("\n"),
                        },
                    });
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::shell::in_every_shell;

    #[test]
    fn every_shell_at_hand_can_read_the_script() {
        in_every_shell(&purge_script());
    }

    #[test]
    fn only_a_whole_answer_says_that_the_records_are_gone() {
        let read = |text: &str| Purged::read(text.as_bytes());
        assert_eq!(read("Welcome!\npurged\nend\n"), Some(Purged::Done));
        let said = "rm: no\n\nend".to_string();
        assert_eq!(
            read("kept\n| rm: no\n|\n| end\nend\n"),
            Some(Purged::Failed { said })
        );
        for text in ["", "purged\n", "kept\n| rm: no\n", "end\n"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
