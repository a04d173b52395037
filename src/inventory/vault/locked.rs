//! Files of variables that are encrypted as a whole, and that no password opens.
//!
//! Which variables they hold is unknown, so their nodes cannot be worked on. All others can. Such a file stands among the variables of its
//! owner as one that no YAML can write, and reaches every node that it counts for like any other.

use std::sync::Arc;

use super::SecretValue;
use super::Vault;
use super::kind_of;
use super::vault_value;
use crate::inventory::document::Document;
use crate::inventory::error::InputError;
use crate::inventory::location::Source;
use crate::inventory::location::Span;
use crate::inventory::vars::Vars;

/// Begins the name of a file among variables. The reader of YAML refuses control characters.
const MARK: char = '\u{1}';

/// A document with the file as its only variable.
pub(in crate::inventory) fn locked(file: &str, text: &str) -> Document {
    let whole = Span {
        start: 0,
        end: text.len(),
    };
    let name = format!("{MARK}{file}");
    Document::of_value(
        Arc::new(Source::file(file, text)),
        (&name, Span { start: 0, end: 0 }),
        (vault_value(text), whole),
    )
}

/// Takes the locked files out of the variables of a node, and says why each is locked.
pub(in crate::inventory) fn take_locked(vars: &mut Vars, vault: &Vault) -> Vec<InputError> {
    let mut errors = Vec::new();
    vars.retain(|name, var| {
        let Some(file) = name.strip_prefix(MARK) else {
            return true;
        };
        if let Some(SecretValue::Encrypted(text)) = kind_of(var.value())
            && let Err(error) = vault.open_file(file, text)
        {
            errors.push(error);
        }
        false
    });
    errors
}
