//! How secret a variable is.

use serde_yaml::Value;

use super::secret_value::kind_of;
use crate::inventory::location::SourceKind;
use crate::inventory::vars::Var;

/// How secret a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taint {
    /// It is for everyone to see.
    #[default]
    None,
    /// It stands in a file that is encrypted as a whole: no message quotes it, but reports show the addresses that roles take from it.
    Encrypted,
    /// It was encrypted itself, or a command prints it: no output shows it.
    Secret,
}

/// How secret a variable is, with everything in it.
pub fn taint_of(var: &Var) -> Taint {
    if has_secret(var.value()) {
        Taint::Secret
    } else if var.location().source().kind() == SourceKind::Decrypted {
        Taint::Encrypted
    } else {
        Taint::None
    }
}

fn has_secret(value: &Value) -> bool {
    match value {
        Value::Sequence(elements) => elements.iter().any(has_secret),
        Value::Mapping(entries) => entries.iter().any(|(_, element)| has_secret(element)),
        value => kind_of(value).is_some(),
    }
}
