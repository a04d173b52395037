//! What `nft -j` lists (libnftables-json(5)), one object after the other: as a tree of values, a whole table takes twenty times the memory of
//! its text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Value;
use serde_json::value::RawValue;

/// The objects in their order, each with its kind (`rule`, `set` …), and not yet read.
#[derive(Debug, Clone)]
pub(super) struct Listed<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Listed<'a> {
    /// Takes the list apart.
    ///
    /// # Errors
    /// That it is not JSON of nft.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let document: Document<'a> = serde_json::from_str(text)
            .map_err(|why| format!("nft's answer cannot be read: {why}"))?;
        let objects = document
            .nftables
            .ok_or("nft's answer holds no `nftables`")?;
        Ok(Listed(objects.into_iter().flat_map(|o| o.0).collect()))
    }

    /// The objects whose kind is wanted.
    ///
    /// # Errors
    /// What is not JSON after all; [`Listed::parse`] has seen that everything is.
    pub(super) fn objects(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = Result<(&str, Value), String>> {
        let wanted = self.0.iter().filter(move |(kind, _)| is_wanted(kind));
        wanted.map(|(kind, raw)| {
            let value = serde_json::from_str(raw.get());
            let value = value.map_err(|why| format!("nft's answer cannot be read: {why}"))?;
            Ok((kind.as_ref(), value))
        })
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    nftables: Option<Vec<Object<'a>>>,
}

/// `{"KIND": {…}}`.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Kind<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut out = Vec::with_capacity(1);
                while let Some((Kind(kind), raw)) = map.next_entry()? {
                    out.push((kind, raw));
                }
                Ok(out)
            }
        }

        deserializer.deserialize_map(Members).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_come_in_their_order_and_only_those_that_are_wanted() {
        let text = r#" {"nftables": [{"metainfo": {"version": "1.0.6"}}, {"rule":{"handle":1}},{"set":{"name":"a"}}, {"\u0072ule": {"handle": 2}} ]} "#;
        let listed = Listed::parse(text).unwrap();
        let kinds = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
            let objects = listed.objects(wanted).map(Result::unwrap);
            objects
                .map(|(kind, value)| format!("{kind} {value}"))
                .collect()
        };
        assert_eq!(
            kinds(&|kind| kind == "rule"),
            [r#"rule {"handle":1}"#, r#"rule {"handle":2}"#]
        );
        assert_eq!(kinds(&|_| true).len(), 4);
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
            assert!(Listed::parse(text).is_err(), "{text}");
        }
    }
}
