//! Variables as `ansible-inventory --list` writes them.

use serde_json::Value as Json;
use serde_json::json;
use serde_yaml::Value;

use super::secret_value::SecretValue;
use super::secret_value::kind_of;
use crate::inventory::location::VEIL;

/// Returns a value for a listing of variables: what is encrypted stays encrypted, as `{"__ansible_vault": …}`, and any other secret is
/// replaced by asterisks. Nothing is opened or rendered for it.
pub fn listed(value: &Value) -> Json {
    match (kind_of(value), value) {
        (Some(SecretValue::Encrypted(text)), _) => json!({ "__ansible_vault": text }),
        (Some(SecretValue::Command(_) | SecretValue::Opened(_)), _) => Json::from(VEIL),
        (None, Value::Sequence(elements)) => elements.iter().map(listed).collect(),
        (None, Value::Mapping(entries)) => {
            let entry = |(key, value): (&Value, &Value)| {
                (key.as_str().unwrap_or_default().to_owned(), listed(value))
            };
            Json::Object(entries.iter().map(entry).collect())
        }
        (None, Value::Tagged(tagged)) => json!({ "__ansible_unsafe": tagged.value.as_str() }),
        (None, plain) => serde_json::to_value(plain).unwrap_or_default(),
    }
}
