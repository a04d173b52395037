//! firewalld's files, from the texts that the node sent of them.

use std::collections::BTreeMap;

use crate::model::files::File;
use crate::model::files::Files;
use crate::model::settings::Options;
use crate::model::state::Direct;
use crate::model::state::Observed;
use crate::probe::direct_file;
use crate::probe::ipset_file;
use crate::probe::sections::Answers;
use crate::probe::service_file;
use crate::probe::settings_file;

/// The location of a file, by its kind: `direct:direct`, `zone:public`. `None` if there is no file.
type Places<'a> = BTreeMap<&'a str, Option<&'a str>>;

/// The files. A file that is not understood is unreadable on its own.
///
/// # Errors
/// Why none can be read.
pub fn files(answers: &Answers) -> Result<Files, String> {
    let answer = answers.get("files")?;
    let (places, texts) = read(answer)?;
    let place = |what: &str| {
        places
            .get(what)
            .copied()
            .ok_or_else(|| format!("the place of `{what}` is missing"))
    };
    let text = |path: &str| {
        let lines = texts.get(path);
        lines.ok_or_else(|| format!("{path} could not be read"))
    };
    let direct = match place("direct:direct")? {
        Some(path) => file(path, text(path), direct_file::direct),
        None => File {
            path: "/etc/firewalld/direct.xml".to_string(),
            says: Observed::Known(Direct::default()),
        },
    };
    let default_zone = match place("conf:firewalld")? {
        Some(path) => file(path, text(path), default_zone),
        None => File {
            path: "/etc/firewalld/firewalld.conf".to_string(),
            says: Observed::Unreadable("there is no such file".to_string()),
        },
    };
    let mut files = Files {
        direct,
        default_zone,
        zones: BTreeMap::new(),
        policies: BTreeMap::new(),
        services: BTreeMap::new(),
        ipsets: BTreeMap::new(),
    };
    for (what, path) in &places {
        let Some((kind, name)) = what.split_once(':') else {
            return Err(format!("`{what}` is not a file of firewalld"));
        };
        if kind == "ipset" {
            let set = named(*path, "ipsets", name, text, ipset_file::ipset);
            files.ipsets.insert(name.to_string(), set);
            continue;
        }
        type Read = fn(&str) -> Result<Options, String>;
        let (all, folder, settings): (_, _, Read) = match kind {
            "zone" => (&mut files.zones, "zones", settings_file::zone),
            "policy" => (&mut files.policies, "policies", settings_file::policy),
            "service" => (&mut files.services, "services", service_file::service),
            "direct" | "conf" => continue,
            _ => return Err(format!("`{what}` is not a file of firewalld")),
        };
        all.insert(name.to_string(), named(*path, folder, name, text, settings));
    }
    Ok(files)
}

/// The file of a zone, a set and so on, in its folder, if there is one.
fn named<'a, T>(
    path: Option<&str>,
    folder: &str,
    name: &str,
    text: impl Fn(&str) -> Result<&'a String, String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> File<Option<T>> {
    match path {
        Some(path) => file(path, text(path), |text| read(text).map(Some)),
        None => File {
            path: format!("/etc/firewalld/{folder}/{name}.xml"),
            says: Observed::Known(None),
        },
    }
}

/// Takes the answer apart: first where each file is, then each text, its lines set off by a space.
fn read(answer: &str) -> Result<(Places<'_>, BTreeMap<&str, String>), String> {
    // The word is a line of its own: a text of a file may end with it.
    let answer = answer
        .strip_suffix("end\n")
        .filter(|rest| rest.is_empty() || rest.ends_with('\n'))
        .ok_or("the texts of its files are cut off")?;
    let mut places = BTreeMap::new();
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let mut at = None;
    // A carriage return is of the text.
    for line in answer.split_terminator('\n') {
        if let Some(path) = line.strip_prefix('=') {
            at = Some(path);
            texts.entry(path).or_default();
        } else if let (Some(path), Some(line)) = (at, line.strip_prefix(' ')) {
            let text = texts.entry(path).or_default();
            text.push_str(line);
            text.push('\n');
        } else if let (None, Some((what, path))) = (at, line.split_once(' ')) {
            places.insert(what, (path != "-").then_some(path));
        } else {
            return Err(format!("`{line}` is not a line of a file"));
        }
    }
    Ok((places, texts))
}

fn file<T>(
    path: &str,
    text: Result<&String, String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> File<T> {
    File {
        path: path.to_string(),
        says: match text.and_then(|text| read(text)) {
            Ok(says) => Observed::Known(says),
            Err(why) => Observed::Unreadable(why),
        },
    }
}

/// As firewalld takes it: the first that names one.
fn default_zone(text: &str) -> Result<String, String> {
    let lines = text.lines().map(str::trim);
    let mut pairs = lines
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='));
    match pairs.find(|(key, _)| key.trim() == "DefaultZone") {
        Some((_, zone)) if !zone.contains('=') && !zone.trim().is_empty() => {
            Ok(zone.trim().to_string())
        }
        _ => Err("it names no default zone".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(text: &str) -> Result<Files, String> {
        let frame = format!(
            "fwdeploy-probe 1 5\n= files 0 {}\n{text}\nfwdeploy-probe end\n",
            text.len()
        );
        files(&Answers::parse(frame.as_bytes()).unwrap())
    }

    const WHOLE: &str = "direct:direct -\nconf:firewalld /etc/firewalld/firewalld.conf\nzone:public /etc/firewalld/zones/public.xml\nzone:gone -\n\
        service:empty /etc/firewalld/services/empty.xml\npolicy:odd /etc/firewalld/policies/odd.xml\n\
        =/etc/firewalld/firewalld.conf\n # DefaultZone=home\n DefaultZone = public \n\
        =/etc/firewalld/zones/public.xml\n <zone>\n   <service name=\"ssh\"/>\r\n </zone>\n\
        =/etc/firewalld/policies/odd.xml\n <policy target=\"DROP\"><tarpit/></policy>\nend\n";

    #[test]
    fn each_text_is_of_its_file() {
        let files = observed(WHOLE).unwrap();
        assert_eq!(files.direct.says, Observed::Known(Direct::default()));
        assert_eq!(
            files.default_zone.says,
            Observed::Known("public".to_string())
        );
        let public = &files.zones["public"];
        assert_eq!(public.path, "/etc/firewalld/zones/public.xml");
        let options = public.says.known().unwrap().as_ref().unwrap();
        assert!(options.has("services", "ssh"));
        assert_eq!(files.zones["gone"].says, Observed::Known(None));
    }

    #[test]
    fn what_was_not_sent_or_not_understood_is_not_empty() {
        let files = observed(WHOLE).unwrap();
        let why = |file: &File<Option<Options>>| file.says.as_result().unwrap_err().to_string();
        assert!(why(&files.services["empty"]).contains("could not be read"));
        assert!(why(&files.policies["odd"]).contains("`tarpit`"));
        for end in 0..WHOLE.len() {
            assert!(observed(&WHOLE[..end]).is_err(), "{end}");
        }
        assert!(observed("end\n").is_err());
        let spoken = "direct:direct /d\nconf:firewalld -\n=/d\n <direct/>\n the end\n";
        assert!(observed(spoken).is_err() && observed(&format!("{spoken}end\n")).is_ok());
    }
}
