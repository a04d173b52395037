//! How a secret travels among the variables: closed, as a tagged value.

use serde_yaml::Value;
use serde_yaml::value::Tag;
use serde_yaml::value::TaggedValue;

/// `!vault`: a text of ansible-vault's.
const VAULT: &str = "vault";

/// A command that prints the value, as a list; from `fwdeploy_secret_command`.
const COMMAND: &str = "command";

/// A text that came out of one of them.
const OPENED: &str = "secret";

/// A value that is a secret.
#[derive(Clone, Copy, PartialEq)]
pub enum SecretValue<'v> {
    /// A text that [`Vault::open`](super::Vault::open) opens.
    Encrypted(&'v str),
    /// A program and its arguments, templates perhaps, for [`Vault::run`](super::Vault::run).
    Command(&'v [Value]),
    /// A text that was opened already.
    Opened(&'v str),
}

/// Never shows the value.
impl std::fmt::Debug for SecretValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// Returns which kind of secret a value is; `None` if it is none. A list or mapping is none, whatever is in it.
pub fn kind_of(value: &Value) -> Option<SecretValue<'_>> {
    let Value::Tagged(tagged) = value else {
        return None;
    };
    let is = |tag: &str| tagged.tag == tag;
    match &tagged.value {
        Value::String(text) if is(VAULT) => Some(SecretValue::Encrypted(text)),
        Value::String(text) if is(OPENED) => Some(SecretValue::Opened(text)),
        Value::Sequence(words) if is(COMMAND) => Some(SecretValue::Command(words)),
        _ => None,
    }
}

/// A `!vault` value.
pub(in crate::inventory) fn vault_value(text: &str) -> Value {
    tagged(VAULT, Value::from(text))
}

/// A value that a command prints.
pub(super) fn command_value(words: Vec<Value>) -> Value {
    tagged(COMMAND, Value::Sequence(words))
}

/// A value that was opened: messages do not quote it.
pub fn opened(text: &str) -> Value {
    tagged(OPENED, Value::from(text))
}

fn tagged(tag: &str, value: Value) -> Value {
    Value::Tagged(Box::new(TaggedValue {
        tag: Tag::new(tag),
        value,
    }))
}
