//! The files that firewalld would write for its memory.

use std::collections::BTreeMap;

use fwdeploy::model::File;
use fwdeploy::model::Files;
use fwdeploy::model::Observed;
use fwdeploy::model::ipset::SetViews;
use fwdeploy::model::state::Firewall;

fn all<T: Clone>(things: &BTreeMap<String, T>, folder: &str) -> BTreeMap<String, File<Option<T>>> {
    let file = |(name, options): (&String, &T)| {
        let file = File {
            path: format!("/etc/firewalld/{folder}/{name}.xml"),
            says: Observed::Known(Some(options.clone())),
        };
        (name.clone(), file)
    };
    things.iter().map(file).collect()
}

/// The files of a firewalld on which no file was edited; `zone` is the one whose rich rules are kept apart.
pub fn files_as_told(permanent: &Firewall, sets: &SetViews, zone: &str) -> Files {
    let settings = permanent.settings.known().unwrap();
    let mut zones = settings.zones.clone();
    if let Some(zone) = zones.get_mut(zone) {
        for rule in permanent.rich.known().unwrap() {
            zone.add("rules_str", rule.text.as_str());
        }
    }
    Files {
        direct: File {
            path: "/etc/firewalld/direct.xml".into(),
            says: permanent.direct.clone(),
        },
        default_zone: File {
            path: "/etc/firewalld/firewalld.conf".into(),
            says: Observed::Known(settings.default_zone.clone()),
        },
        zones: all(&zones, "zones"),
        policies: all(&settings.policies, "policies"),
        services: all(&settings.services, "services"),
        ipsets: all(sets.permanent.known().unwrap(), "ipsets"),
    }
}
