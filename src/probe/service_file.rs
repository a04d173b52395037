//! The file of a service (firewalld.service(5)), as the settings that firewalld makes of it.

use crate::model::settings::Options;
use crate::probe::settings_file::one;
use crate::probe::settings_file::one_of;
use crate::probe::settings_file::pair;
use crate::probe::settings_file::read;
use crate::probe::xml;

/// The settings of a service's file.
///
/// # Errors
/// The part that is not known.
pub fn service(text: &str) -> Result<Options, String> {
    let root = xml::root(text, "service", &["name", "version"])?;
    let mut options = read(&root, |element| match element.name.as_str() {
        "port" if element.get("port") == Some("") => {
            one_of(element, "protocols", "protocol", &["port", "protocol"]).map(Some)
        }
        "port" => Ok(Some(("ports", pair(element)?))),
        "source-port" => Ok(Some(("source_ports", pair(element)?))),
        "protocol" => Ok(Some(one(element, "protocols", "value")?)),
        "include" => Ok(Some(one(element, "includes", "service")?)),
        "helper" => Ok(Some(one(element, "helpers", "name")?)),
        "module" => Ok(Some(one(element, "modules", "name")?)),
        // It has one for each family, and is read below.
        "destination" => element
            .only(&["ipv4", "ipv6"])
            .and(element.is_leaf())
            .map(|()| None),
        _ => Err(element.is_out_of_place("service")),
    })?;
    for element in &root.children {
        for family in ["ipv4", "ipv6"] {
            let address = element
                .get(family)
                .filter(|_| element.name == "destination");
            // The first counts.
            let already = options
                .all("destination")
                .any(|text| text.starts_with(family));
            if let Some(address) = address.filter(|_| !already) {
                options.add("destination", format!("{family}/{address}"));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_read_as_firewalld_tells_it() {
        let text = r#"<service version="1.0"><port port="" protocol="ah"/><port port="5353" protocol="udp"/><module name="nf_conntrack_netbios_ns"/>
            <helper name="ftp"/><include service="ssh"/><destination ipv4="224.0.0.251" ipv6="ff02::fb"/></service>"#;
        let expected = [
            ("protocols", "ah"),
            ("ports", "5353/udp"),
            ("modules", "nf_conntrack_netbios_ns"),
            ("helpers", "ftp"),
            ("includes", "ssh"),
            ("destination", "ipv4/224.0.0.251"),
            ("destination", "ipv6/ff02::fb"),
        ];
        let expected = expected.into_iter().collect();
        assert_eq!(service(text), Ok(expected));
    }

    #[test]
    fn what_is_not_known_is_said() {
        assert_eq!(service("<service/>"), Ok(Options::default()));
        for text in [
            "<service><rule/></service>",
            "<service><port port='1' protocol='tcp' to-port='2'/></service>",
            "<service><module/></service>",
            "<service><destination ipv5='x'/></service>",
        ] {
            assert!(service(text).is_err(), "{text}");
        }
    }
}
