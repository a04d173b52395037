//! Tags: YAML's own, and Ansible's.

use saphyr_parser::Tag;
use serde_yaml::Value;

use super::build::Builder;
use super::scalar::unsafe_value;
use crate::inventory::error::shown;
use crate::inventory::location::Span;
use crate::inventory::vault::vault_value;

impl Builder<'_> {
    /// What a tag makes of a scalar. A tag that is not known is an error, and the reading goes on.
    pub(super) fn tagged(&mut self, tag: &Tag, text: &str, plain: Value, span: Span) -> Value {
        let fits = match (
            tag.is_yaml_core_schema(),
            tag.handle.as_str(),
            tag.suffix.as_str(),
        ) {
            (_, "!", "unsafe") => return unsafe_value(text),
            (_, "!", "") | (_, "", "!") | (true, _, "str") => return Value::from(text),
            (true, _, "null") => plain.is_null(),
            (true, _, "bool") => plain.is_bool(),
            (true, _, "int") => plain.is_u64() || plain.is_i64(),
            (true, _, "float") => plain.is_number(),
            // It stays closed until somebody asks for it; whether it can be opened is not judged before.
            (_, "!", "vault" | "vault-encrypted") => return vault_value(text),
            _ => {
                self.refuse_tag(tag, span);
                return plain;
            }
        };
        if !fits {
            let error = self.error(span, format!("`{}` is not what its tag says", shown(text)));
            self.errors
                .push(error.label(format!("not of type `!!{}`", tag.suffix)));
        }
        plain
    }

    pub(super) fn refuse_tag(&mut self, tag: &Tag, span: Span) {
        let error = self.error(span, format!("unknown tag `{}`", shown(&tag.to_string())));
        self.errors.push(error.hint(
            "a text that begins with `!` needs quotes; the tags that are known are `!unsafe`, `!vault` and YAML's own, such as `!!str`",
        ));
    }
}
