//! What `nft -j` lists (libnftables-json(5)), one object after the other.
//!
//! As a tree of values a whole table takes twenty times the memory of its text, and the allocator keeps that much for each thread that has had
//! one. Here only one object is a tree at a time.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeSeed;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Value;

/// Calls `each` with the kind (`rule`, `set` …) and the content of each object, in the order of the list.
///
/// # Errors
/// That the text is not JSON of nft, or the first error of `each`. What was read before it has been handed out.
pub(super) fn each_object(
    text: &str,
    mut each: impl FnMut(&str, Value) -> Result<(), String>,
) -> Result<(), String> {
    let mut refused = None;
    let mut each = |kind: &str, object: Value| match each(kind, object) {
        Ok(()) => true,
        Err(why) => {
            refused = Some(why);
            false
        }
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Document(&mut each).deserialize(&mut deserializer);
    let read = read.and_then(|()| deserializer.end());
    match (refused, read) {
        (Some(why), _) => Err(why),
        (None, Err(why)) => Err(format!("nft's answer cannot be read: {why}")),
        (None, Ok(())) => Ok(()),
    }
}

/// What takes an object; `false` ends the reading.
type Each<'e> = &'e mut dyn FnMut(&str, Value) -> bool;

/// A key of an object.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

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
        while let Some(Key(key)) = map.next_key()? {
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

/// The list of objects.
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
        while seq.next_element_seed(Object(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

/// `{"KIND": {…}}`.
struct Object<'e>(Each<'e>);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(kind)) = map.next_key()? {
            let object = map.next_value()?;
            if !(self.0)(&kind, object) {
                return Err(A::Error::custom("it is not understood"));
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
            match kind {
                "odd" => Err("odd".to_string()),
                _ => Ok(()),
            }
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

    #[test]
    fn an_error_of_the_reader_is_the_error() {
        let text = r#"{"nftables":[{"odd":1},{"rule":{}}]}"#;
        assert_eq!(read(text), Err("odd".to_string()));
    }
}
