//! The file of an address set (firewalld.ipset(5)), as the set that firewalld makes of it.

use crate::model::ipset::IpSet;
use crate::probe::settings_file::TEXTS;
use crate::probe::xml;

/// The set that a file describes.
///
/// # Errors
/// The part that is not known.
pub fn ipset(text: &str) -> Result<IpSet, String> {
    let root = xml::root(text, "ipset", &["type", "version"])?;
    let (mut options, mut entries) = (Vec::new(), Vec::new());
    for element in &root.children {
        element.is_leaf()?;
        match element.name.as_str() {
            "option" => {
                element.only(&["name", "value"])?;
                let value = element.get("value").unwrap_or_default();
                options.push((element.needs("name")?, value));
            }
            "entry" => {
                element.only(&[])?;
                entries.push(element.text.as_str());
            }
            name if TEXTS.contains(&name) => element.only(&[])?,
            _ => return Err(element.is_out_of_place("ipset")),
        }
    }
    Ok(IpSet::read(root.needs("type")?, options, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_as_firewalld_tells_it() {
        // As firewalld 1.3.3 and 2.5 write it.
        let text = r#"<?xml version="1.0" encoding="utf-8"?>
<ipset type="hash:ip,port">
  <option name="family" value="inet6"/>
  <entry>2001:db8::1,tcp:5000</entry>
  <entry>2001:db8::2,udp:5000</entry>
</ipset>
"#;
        let entries = ["2001:db8::1,tcp:5000", "2001:db8::2,udp:5000"];
        let expected = IpSet::read("hash:ip,port", [("family", "inet6")], entries);
        assert_eq!(ipset(text).unwrap(), expected);
    }

    #[test]
    fn what_is_not_known_is_no_set() {
        for text in [
            "",
            "<ipset/>",
            "<zone/>",
            r#"<ipset type="hash:net"><entry>10.0.0.1</entry>"#,
            r#"<ipset type="hash:net"><entry timeout="3">10.0.0.1</entry></ipset>"#,
            r#"<ipset type="hash:net"><option value="x"/></ipset>"#,
            r#"<ipset type="hash:net"><member>10.0.0.1</member></ipset>"#,
        ] {
            assert!(ipset(text).is_err(), "{text}");
        }
        let odd = r#"<ipset type="hash:net"><entry>here</entry></ipset>"#;
        assert_eq!(ipset(odd).unwrap().odd.len(), 1);
    }
}
