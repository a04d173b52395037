mod rules;

use super::*;
use crate::model::ipset::SetViews;
use crate::model::settings::Options;
use crate::model::state::Direct;
use crate::model::state::Docker;
use crate::model::state::RichText;

/// One view of a node's firewalld. The peer comes from 192.0.2.7 to port 22 of 198.51.100.1, by eth0.
#[derive(Clone)]
struct Held {
    direct: Direct,
    rich: Vec<RichText>,
    settings: Settings,
}

impl Held {
    /// An untouched firewalld.
    fn new() -> Self {
        let mut held = Held {
            direct: Direct::default(),
            rich: Vec::new(),
            settings: Settings {
                default_zone: "public".to_string(),
                ..Settings::default()
            },
        };
        held.zone("public", &[("target", "default"), ("services", "ssh")]);
        held.zone("drop", &[("target", "DROP")]);
        held.zone("trusted", &[("target", "ACCEPT")]);
        held.zone("work", &[("target", "default"), ("services", "ssh")]);
        held
    }

    fn zone(&mut self, name: &str, options: &[(&str, &str)]) {
        let options: Options = options.iter().copied().collect();
        self.settings.zones.insert(name.to_string(), options);
    }

    fn add(&mut self, zone: &str, key: &str, value: &str) {
        let zone = self.settings.zones.get_mut(zone).unwrap();
        zone.add(key, value);
    }

    fn side(&self) -> Side<'_> {
        Side {
            direct: &self.direct,
            rich: &self.rich,
            settings: Ok(&self.settings),
        }
    }

    fn policy(&mut self, options: &[(&str, &str)]) {
        let mut options: Options = options.iter().copied().collect();
        options.add("ingress_zones", "ANY");
        options.add("egress_zones", "HOST");
        self.settings.policies.insert("guard".to_string(), options);
    }

    fn rule(&mut self, chain: &str, text: &str) {
        self.direct.rules.push(crate::model::rule::DirectRule {
            family: Some(crate::model::net::Family::V4),
            table: "filter".to_string(),
            chain: chain.to_string(),
            priority: 0,
            args: text.split(' ').map(String::from).collect(),
        });
    }
}

/// An untouched firewalld after a change.
fn with(change: impl FnOnce(&mut Held)) -> Held {
    let mut held = Held::new();
    change(&mut held);
    held
}

fn system(connection: &str) -> System {
    System {
        ssh_connection: connection.to_string(),
        ssh_interface: "eth0".to_string(),
        ..System::default()
    }
}

fn lost_to(port: u16, runtime: &Held, permanent: &Held) -> Option<String> {
    let views = Views {
        zone: "public",
        permanent: permanent.side(),
        runtime: runtime.side(),
        sets: &SetViews::default(),
        docker: &Docker::default(),
    };
    let connection = format!("192.0.2.7 40000 198.51.100.1 {port}");
    lost(&system(&connection), "iptables", &views)
}

/// The finding for an untouched runtime and a changed permanent configuration.
fn loses(change: impl FnOnce(&mut Held)) -> Option<String> {
    lost_to(22, &Held::new(), &with(change))
}

#[track_caller]
fn assert_lost(change: impl FnOnce(&mut Held), names: &[&str]) {
    let said = loses(change).expect("ssh would be lost");
    for name in names {
        assert!(said.contains(name), "`{name}` is not in: {said}");
    }
}

#[track_caller]
fn assert_kept(change: impl FnOnce(&mut Held)) {
    assert_eq!(loses(change), None);
}

#[test]
fn the_zone_must_let_ssh_in() {
    assert_lost(
        |h| h.zone("public", &[("target", "default"), ("services", "http")]),
        &["192.0.2.7", "zone `public`", "service `ssh`", "`default`"],
    );
    assert_lost(|h| h.zone("public", &[("target", "DROP")]), &["`DROP`"]);
    assert_lost(|h| h.zone("public", &[("ports", "22/udp")]), &[]);
    assert_lost(|h| h.zone("public", &[("ports", "23-80/tcp")]), &[]);
    assert_lost(
        |h| h.add("public", "forward_ports", "port=22:proto=tcp:toport=2222"),
        &["forward port"],
    );
    assert_kept(|h| h.zone("public", &[("target", "DROP"), ("services", "ssh")]));
    assert_kept(|h| h.zone("public", &[("target", "ACCEPT")]));
    assert_kept(|h| h.zone("public", &[("ports", "20-25/tcp")]));
    assert_kept(|h| h.zone("public", &[("protocols", "tcp")]));
    assert_kept(|h| h.add("public", "ports", "9100/tcp"));
    assert_kept(|h| h.add("public", "forward_ports", "port=22:proto=udp:toport=2222"));
    assert_kept(|h| h.zone("work", &[("target", "DROP")]));
}

#[test]
fn what_a_reload_does_not_change_is_not_lost() {
    let shut = with(|h| h.zone("public", &[("target", "DROP")]));
    let mut more = shut.clone();
    more.add("public", "masquerade", "yes");
    more.add("public", "ports", "80/tcp");
    assert_eq!(lost_to(22, &shut, &more), None);
    let set = r#"rule source ipset="friends" accept"#;
    let by_set = with(|h| h.zone("public", &[("rules_str", set)]));
    let mut more = by_set.clone();
    more.add("public", "ports", "80/tcp");
    assert_eq!(lost_to(22, &by_set, &more), None);
    let without = lost_to(22, &by_set, &shut).unwrap();
    assert!(without.contains("zone `public`"), "{without}");
}

#[test]
fn an_address_goes_to_the_zone_of_its_source() {
    assert_lost(
        |h| h.add("drop", "sources", "192.0.2.0/24"),
        &["zone `drop`"],
    );
    assert_lost(|h| h.add("drop", "sources", "ipset:bad"), &["zone `drop`"]);
    assert_kept(|h| h.add("drop", "sources", "203.0.113.0/24"));
    assert_kept(|h| h.add("work", "sources", "192.0.2.7"));
    // It is out of reach of what happens to the interface's zone.
    let bound = with(|h| h.add("work", "sources", "192.0.2.7"));
    let mut shut = bound.clone();
    shut.zone("public", &[("target", "DROP")]);
    assert_eq!(lost_to(22, &bound, &shut), None);
    // And lost when the binding goes, but for a zone that lets it in.
    assert_eq!(lost_to(22, &bound, &Held::new()), None);
    let shut = with(|h| h.zone("public", &[("target", "DROP")]));
    assert!(lost_to(22, &bound, &shut).is_some());
}

#[test]
fn an_interface_goes_to_the_zone_that_it_is_bound_to() {
    assert_lost(|h| h.add("drop", "interfaces", "eth0"), &["zone `drop`"]);
    assert_lost(|h| h.add("drop", "interfaces", "eth+"), &["zone `drop`"]);
    assert_kept(|h| h.add("drop", "interfaces", "eth1"));
    assert_kept(|h| h.add("trusted", "interfaces", "eth0"));
    assert_lost(
        |h| h.settings.default_zone = "drop".to_string(),
        &["`drop`"],
    );
    assert_kept(|h| h.settings.default_zone = "work".to_string());
    // Bound at runtime only: the program that bound it may bind it again, or not.
    let runtime = with(|h| {
        h.settings.default_zone = "drop".to_string();
        h.add("work", "interfaces", "eth0");
    });
    let mut permanent = runtime.clone();
    permanent.zone("work", &[("services", "ssh")]);
    assert!(lost_to(22, &runtime, &permanent).is_some());
    permanent.settings.default_zone = "public".to_string();
    assert_eq!(lost_to(22, &runtime, &permanent), None);
}

#[test]
fn a_service_is_its_ports_where_somebody_defined_it() {
    let define = |h: &mut Held, name: &str, ports: &str| {
        let options = [("ports", ports)].into_iter().collect();
        h.settings.services.insert(name.to_string(), options);
    };
    assert_lost(|h| define(h, "ssh", "2222/tcp"), &["service `ssh`"]);
    assert_kept(|h| {
        h.zone("public", &[("services", "door")]);
        define(h, "door", "22/tcp");
    });
    // What the distribution's services are about is not known, but that they stay is.
    let by = |services: &[&str]| {
        with(|h| {
            let options: Vec<(&str, &str)> = services.iter().map(|s| ("services", *s)).collect();
            h.zone("public", &options);
        })
    };
    assert_eq!(lost_to(443, &by(&["https"]), &by(&["https"])), None);
    assert!(lost_to(443, &by(&["https"]), &by(&["ssh"])).is_some());
}

#[test]
fn what_cannot_be_judged_is_lost() {
    let held = Held::new();
    let docker = Docker::default();
    let sets = SetViews::default();
    let views = |settings| Views {
        zone: "public",
        permanent: Side {
            direct: &held.direct,
            rich: &held.rich,
            settings,
        },
        runtime: Side {
            direct: &held.direct,
            rich: &held.rich,
            settings: Ok(&held.settings),
        },
        sets: &sets,
        docker: &docker,
    };
    let good = system("192.0.2.7 40000 198.51.100.1 22");
    let unread = views(Err("timed out after 5 s"));
    assert!(
        lost(&good, "nftables", &unread)
            .unwrap()
            .contains("timed out")
    );
    let odd = system("UNKNOWN 65535 UNKNOWN 65535");
    let read = views(Ok(&held.settings));
    assert!(lost(&odd, "nftables", &read).unwrap().contains("UNKNOWN"));
    // A user on the node itself has no ssh connection to lose.
    assert_eq!(lost(&system(""), "nftables", &unread), None);
}
