//! What `nft -j` lists (libnftables-json(5)), one object after the other.
//!
//! As a tree of values a whole table takes twenty times the memory of its text, and the allocator keeps that much for each thread that has had
//! one. Here only one object is a tree at a time.

use std::fmt;

use serde::Deserializer;
use serde::de::DeserializeSeed;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;

/// Calls `each` with the kind (`rule`, `set` …) and the content of each object, in the order of the list.
///
/// # Errors
/// That the text is not JSON of nft. What was read before it has been handed out.
pub(super) fn each_object(text: &str, mut each: impl FnMut(&str, Value)) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Document(&mut each).deserialize(&mut deserializer);
    read.and_then(|()| deserializer.end())
        .map_err(|why| format!("nft's answer cannot be read: {why}"))
}

/// What takes an object.
type Each<'e> = &'e mut dyn FnMut(&str, Value);

/// `{"nftables": […]}`.
struct Document<'e>(Each<'e>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `nftables`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_list = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "nftables" {
                has_list = true;
                map.next_value_seed(List(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        match has_list {
            true => Ok(()),
            false => Err(A::Error::custom("it holds no `nftables`")),
        }
    }
}

/// The list of objects, each `{"KIND": {…}}`.
struct List<'e>(Each<'e>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(object) = seq.next_element::<Map<String, Value>>()? {
            for (kind, content) in object {
                (self.0)(&kind, content);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        each_object(text, |kind, object| {
            out.push(format!("{kind} {object}"));
        })
        .map(|()| out)
    }

    #[test]
    fn objects_come_in_their_order() {
        let text = r#" {"more":[], "nftables": [{"metainfo": {"version": "1.0.6"}}, {"rule":{"handle":1}},{"set":{"name":"a"}}, {"\u0072ule": {"handle": 2}} ]} "#;
        let objects = [
            r#"metainfo {"version":"1.0.6"}"#,
            r#"rule {"handle":1}"#,
            r#"set {"name":"a"}"#,
            r#"rule {"handle":2}"#,
        ];
        assert_eq!(read(text).unwrap(), objects);
    }

    #[test]
    fn what_is_no_list_of_objects_is_an_error() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"nftables\":null}",
            "{\"nftables\":[1]}",
            "{\"nftables\":[{\"rule\":{}}]",
            "{\"nftables\":[]}x",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
