//! Parsing of the data of an agent and of a node that is not yet known, for a fuzz target; not part of the library.

use super::agent;
use super::handshake::Heard;
use super::methods;
use crate::transport::known_hosts::HostKey;

/// What a node sent before a key exchange that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct FailedExchange {
    /// The text for the operator.
    pub words: Option<String>,
    /// What the node and this side have not a single one of in common, and what the node offers.
    pub lacking: Option<(&'static str, String)>,
}

/// Parses what a node sent in clear.
pub fn said(bytes: &[u8], host_keys: &str) -> FailedExchange {
    let heard = Heard::read(bytes);
    let lacking = match &heard {
        Heard::Ssh {
            kexinit: Some(lists),
            ..
        } => lists.nothing_in_common(methods::KEY_EXCHANGES, host_keys),
        _ => None,
    };
    FailedExchange {
        words: heard.words(),
        lacking: lacking.map(|(what, (theirs, _))| (what, theirs.to_owned())),
    }
}

/// What libssh2 gets of an agent's answer.
///
/// # Errors
/// Why it is none.
pub fn agent_answer(
    question: &[u8],
    answer: Vec<u8>,
    wanted: Option<&HostKey>,
) -> Result<Vec<u8>, String> {
    agent::check(question, answer, wanted)
}
