//! XML as firewalld writes it: elements with attributes and text, nothing mixed, nothing declared.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;

/// How deep elements may nest; firewalld's files have four levels.
const DEPTH: usize = 16;

/// An element with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The elements in it, in order.
    pub children: Vec<Element>,
    /// The text in it, around the elements if there are some.
    pub text: String,
}

impl Element {
    /// An attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// An attribute that must be there.
    ///
    /// # Errors
    /// That it is missing.
    pub fn needs(&self, name: &str) -> Result<&str, String> {
        self.get(name)
            .ok_or_else(|| format!("`{}` lacks `{name}`", self.name))
    }

    /// Makes sure that it has no attributes but these.
    ///
    /// # Errors
    /// Which it has beside.
    pub fn only(&self, known: &[&str]) -> Result<(), String> {
        let mut names = self.attributes.keys();
        match names.find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("`{}` has an unknown `{name}`", self.name)),
            None => Ok(()),
        }
    }

    /// Makes sure that no element is in it.
    ///
    /// # Errors
    /// Which is.
    pub fn is_leaf(&self) -> Result<(), String> {
        match self.children.first() {
            Some(child) => Err(child.is_out_of_place(&self.name)),
            None => Ok(()),
        }
    }

    /// The message for an element that does not belong where it is.
    pub fn is_out_of_place(&self, within: &str) -> String {
        format!("`{}` in `{within}` is not known", self.name)
    }
}

/// Reads a whole document in UTF-8.
///
/// # Errors
/// What is wrong with it, or unknown.
pub fn parse(text: &str) -> Result<Element, String> {
    // In a comment or a name, too.
    if text.contains(is_forbidden) {
        return Err("it has a character that XML forbids".to_string());
    }
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    loop {
        let event = reader.read_event().map_err(|why| why.to_string())?;
        let closed = match event {
            Event::Start(start) => {
                if open.len() >= DEPTH {
                    return Err("it is nested too deep".to_string());
                }
                open.push(element(&start)?);
                None
            }
            Event::Empty(start) => Some(element(&start)?),
            Event::End(_) => open.pop(),
            Event::Text(text) => {
                add(&mut open, &text.xml10_content())?;
                None
            }
            Event::CData(text) => {
                add(&mut open, &text.xml10_content())?;
                None
            }
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character.to_string(),
                    _ => quick_xml::escape::resolve_predefined_entity(&reference)
                        .ok_or_else(|| format!("`&{};` is not known", &*reference))?
                        .to_string(),
                };
                add(&mut open, &character)?;
                None
            }
            Event::Decl(declaration) => {
                let encoding = declaration.encoding().and_then(Result::ok);
                if encoding.is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) {
                    return Err("it is not in UTF-8".to_string());
                }
                None
            }
            Event::DocType(_) => return Err("it has a document type".to_string()),
            Event::Comment(_) | Event::PI(_) => None,
            Event::Eof => break,
        };
        let Some(closed) = closed else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None if root.is_none() => root = Some(closed),
            None => return Err("it has more than one root".to_string()),
        }
    }
    root.filter(|_| open.is_empty())
        .ok_or_else(|| "it is cut off".to_string())
}

/// Reads a whole document whose root has this name, and no attributes but those.
///
/// # Errors
/// What is wrong with it, or unknown.
pub fn root(text: &str, kind: &str, known: &[&str]) -> Result<Element, String> {
    let root = parse(text)?;
    if root.name != kind {
        return Err(format!("it is not a `{kind}`"));
    }
    root.only(known)?;
    Ok(root)
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element {
        name: start.name().as_ref().to_string(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|why| why.to_string())?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|why| why.to_string())?;
        let name = attribute.key.as_ref().to_string();
        element.attributes.insert(name, whole(&value)?);
    }
    Ok(element)
}

/// Text outside of the root is blank.
fn add(open: &mut [Element], text: &str) -> Result<(), String> {
    let text = whole(text)?;
    match open.last_mut() {
        Some(element) => element.text.push_str(&text),
        None if text.trim().is_empty() || text == "\u{feff}" => {}
        None => return Err("there is text outside of its elements".to_string()),
    }
    Ok(())
}

/// What came in another encoding has lost letters on the way. What XML forbids, also as a reference, firewalld's parser refuses.
fn whole(text: &str) -> Result<String, String> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err("it is not in UTF-8".to_string());
    }
    if text.contains(is_forbidden) {
        return Err("it has a character that XML forbids".to_string());
    }
    Ok(text.to_string())
}

fn is_forbidden(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_attributes_and_text_are_read() {
        let root = parse(
            "<?xml version='1.0' encoding='UTF-8'?>\n<!-- a -->\n<a b=\"x &amp; y\n&#9;z\">1 &lt;<!-- c --> &#50;<![CDATA[ <3]]><d/></a>\n",
        )
        .unwrap();
        assert_eq!(
            (root.name.as_str(), root.get("b")),
            ("a", Some("x & y \tz"))
        );
        assert_eq!(root.text, "1 < 2 <3");
        assert_eq!(root.children[0].name, "d");
        assert!(root.is_leaf().is_err() && root.children[0].is_leaf().is_ok());
        assert!(root.only(&["b"]).is_ok() && root.only(&[]).is_err());
    }

    #[test]
    fn what_is_cut_off_or_not_plain_is_an_error() {
        let whole = "<a b=\"c\"><d>e</d></a>";
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{end}");
        }
        for wrong in [
            "<a>&own;</a>",
            "<a b=\"&own;\"/>",
            "<!DOCTYPE a><a/>",
            "<a/><b/>",
            "<a/>b",
            "<a b='1' b='2'/>",
            "<a></b>",
            "<?xml version='1.0' encoding='latin1'?><a/>",
            "<a>\u{fffd}</a>",
            "<a>\u{1}</a>",
            "<a>&#1;</a>",
            "<a b='&#xffff;'/>",
            "<!-- \u{b} --><a/>",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let deep = "<a>".repeat(100_000);
        assert_eq!(parse(&deep), Err("it is nested too deep".to_string()));
    }
}
