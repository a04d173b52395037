//! Why an encrypted text stays closed, in words for the user.

use super::source::VaultIdentity;
use crate::inventory::error::InputError;
use crate::inventory::error::shown;
use crate::inventory::location::Location;

/// Why an encrypted text stays closed. No secret is in it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    message: String,
    label: Option<String>,
    hint: Option<String>,
    damage: Option<Damage>,
}

/// A piece of an encrypted text: bytes of one of its lines, the first of which is line 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Damage {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
}

impl Damage {
    /// A whole line.
    pub(super) fn of_line(line: usize, text: &str) -> Option<Self> {
        Some(Self {
            line,
            column: 0,
            length: text.len(),
        })
    }
}

impl Failure {
    /// A failure that is not in the text.
    pub(super) fn general(message: String) -> Self {
        Self {
            message,
            label: None,
            hint: None,
            damage: None,
        }
    }

    /// A text that ansible-vault did not write.
    pub(super) fn damaged(message: String, damage: Option<Damage>) -> Self {
        Self {
            hint: Some("`ansible-vault view` would refuse it too: encrypt it anew, or take it from a backup".to_owned()),
            damage,
            ..Self::general(message)
        }
    }

    /// What was encrypted is binary.
    pub(super) fn not_text(what: &str) -> Self {
        Self::general(format!("what {what} holds is no text in UTF-8"))
    }

    /// No password opens it: `tried` are the identities whose password is a wrong one, `missing` says why others have none.
    pub(super) fn closed(id: &str, tried: &[String], missing: &[String]) -> Self {
        let id = shown(id);
        let message = match (tried, missing) {
            ([], []) => format!("a password is needed for the vault id `{id}`"),
            ([], [why, ..]) => format!("there is no password for the vault id `{id}`: {why}"),
            ([tried], []) => format!("the vault password of `{}` does not open it", shown(tried)),
            (tried, missing) => {
                let names: Vec<String> = tried
                    .iter()
                    .map(|name| format!("`{}`", shown(name)))
                    .collect();
                let why = missing.iter().map(|why| format!("; {why}"));
                format!(
                    "none of the vault passwords opens it: {}{}",
                    names.join(", "),
                    why.collect::<String>()
                )
            }
        };
        let hint = if id == VaultIdentity::DEFAULT {
            "give its password with `--vault-password-file FILE`, or let fwdeploy ask for it with `-J`".to_owned()
        } else {
            format!("give its password with `--vault-id {id}@FILE` or `--vault-id {id}@prompt`")
        };
        Self {
            label: Some(format!("encrypted by ansible-vault, vault id `{id}`")),
            hint: Some(hint),
            ..Self::general(message)
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The mistake for the user; `text` is the encrypted text, which is written at `location`.
    pub(super) fn at(&self, text: &str, location: &Location) -> InputError {
        let first = Damage::of_line(0, text.lines().next().unwrap_or_default());
        let place = self.damage.or(first);
        let place = place.and_then(|damage| find(text, damage, location));
        let place = place.unwrap_or_else(|| location.clone());
        let mut error = InputError::at(place, self.message.clone());
        if let Some(label) = &self.label {
            error = error.label(label.clone());
        }
        match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        }
    }
}

/// Where a piece of the text is written: YAML has indented its lines, or put them into quotes.
fn find(text: &str, damage: Damage, location: &Location) -> Option<Location> {
    let written = location.text();
    let mut end = 0;
    let mut start = 0;
    // One after the other: a short line may be a part of an earlier one.
    for line in text.lines().map(str::trim_end).take(damage.line + 1) {
        start = end + written[end..].find(line)?;
        end = start + line.len();
    }
    let start = start + damage.column;
    Some(location.part(start, (start + damage.length).min(end)))
}
