//! The machine, and the state of its daemons in systemd.

use std::collections::BTreeMap;

use crate::model::state::Daemon;
use crate::model::state::System;
use crate::probe::networking::networking;
use crate::probe::routing;
use crate::probe::sections::Answers;

/// Reads the machine. The state of its daemons is determined by their own readers.
///
/// # Errors
/// The question without which nothing else can be judged, and why it has no answer.
pub fn system(answers: &Answers) -> Result<System, (&'static str, String)> {
    let needed = |name: &'static str| answers.get(name).map_err(|why| (name, why));
    let uid = needed("uid")?;
    let uid = uid
        .trim()
        .parse()
        .map_err(|_| ("uid", format!("`{}` is not a number", uid.trim())))?;
    let tools: Vec<&str> = needed("tools")?.lines().collect();
    Ok(System {
        os: answers.get("os").map(pretty_name).unwrap_or_default(),
        kernel: one_line(answers.get("kernel")),
        uid,
        systemd: systemd_version(&one_line(answers.get("systemd"))),
        iptables: one_line(answers.get("iptables")),
        nft: tools.contains(&"nft"),
        busctl: tools.contains(&"busctl"),
        docker: tools.contains(&"docker"),
        ssh_connection: needed("connection")?.trim().to_string(),
        ssh_interface: interface(&one_line(answers.get("ssh-interface"))),
        machine: one_line(answers.get("machine")),
        networking: networking(answers),
        sums: answers.get("file-sums").map(sums).unwrap_or_default(),
        settling: None,
        firewalld_daemon: Daemon::default(),
        firewalld_enabled: is_enabled(answers.get("firewalld-unit")),
        docker_daemon: Daemon::default(),
        routing: routing::routing(answers),
        resolvers: routing::resolvers(answers),
        // A node that does not report this is read once, as before.
        moving: one_line(answers.get("kernel-moved")) == "moved",
    })
}

/// Whether systemd starts the unit at each boot; if systemd does not report it, nothing is started.
fn is_enabled(answer: Result<&str, String>) -> bool {
    answer.is_ok_and(|text| text.lines().any(|l| l == "UnitFileState=enabled"))
}

/// The first line of an informative answer; empty if there is none.
fn one_line(answer: Result<&str, String>) -> String {
    let text = answer.unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_string()
}

/// The lines of cksum(1): `CHECKSUM SIZE PATH`.
fn sums(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let (sum, size) = (words.next()?, words.next()?);
            let path = words.next()?.to_string();
            let number = |word: &str| word.parse::<u64>().is_ok();
            (number(sum) && number(size)).then(|| (path, format!("{sum} {size}")))
        })
        .collect()
}

/// The name in a line of `ip -o addr`, such as `2: eth0    inet 192.0.2.1/24 …`.
fn interface(line: &str) -> String {
    let name = line.split_whitespace().nth(1).unwrap_or_default();
    let name = name.split('@').next().unwrap_or_default();
    name.trim_end_matches(':').to_string()
}

/// PRETTY_NAME of os-release(5), whose values are quoted as a shell does.
fn pretty_name(text: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .and_then(shlex::split)
        .map(|words| words.concat())
        .unwrap_or_default()
}

/// The number in `systemd 252 (252.39-1~deb12u2)`.
fn systemd_version(line: &str) -> u32 {
    line.split(' ')
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// What systemd reports of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// It is active, or on its way there or back.
    Active,
    /// It is not; in systemd's words.
    Inactive(String),
    /// There is none.
    NotFound,
}

/// Parses `systemctl show` of one unit; several are separated by empty lines.
///
/// # Errors
/// Why the unit is unknown.
pub fn unit(answer: Result<&str, String>, id: &str) -> Result<Unit, String> {
    for block in answer?.split("\n\n") {
        let properties: BTreeMap<&str, &str> = block
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        if properties.get("Id") != Some(&id) {
            continue;
        }
        let property = |name: &str| {
            let missing = || format!("systemd does not report {name} of `{id}`");
            properties.get(name).copied().ok_or_else(missing)
        };
        return Ok(match (property("LoadState")?, property("ActiveState")?) {
            (_, "active" | "reloading" | "refreshing") => Unit::Active,
            ("not-found", _) => Unit::NotFound,
            ("masked", _) => Unit::Inactive("masked".to_string()),
            (_, "failed") => match properties.get("Result") {
                Some(result) if !result.is_empty() => Unit::Inactive(format!("failed: {result}")),
                _ => Unit::Inactive("failed".to_string()),
            },
            (_, state) => Unit::Inactive(state.to_string()),
        });
    }
    Err(format!("systemd does not report `{id}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart() {
        let text = "Id=a.service\nLoadState=loaded\nActiveState=failed\nResult=exit-code\n\n\
                    Result=success\nId=b.service\nLoadState=not-found\nActiveState=inactive\n";
        assert_eq!(
            unit(Ok(text), "a.service"),
            Ok(Unit::Inactive("failed: exit-code".to_string()))
        );
        assert_eq!(unit(Ok(text), "b.service"), Ok(Unit::NotFound));
        assert!(unit(Ok(text), "c.service").is_err());
        assert!(unit(Ok("Id=a.service\n"), "a.service").is_err());
    }

    #[test]
    fn names_and_versions_are_read() {
        assert_eq!(
            pretty_name("ID=x\nPRETTY_NAME=\"CentOS Linux 7 (Core)\"\n"),
            "CentOS Linux 7 (Core)"
        );
        assert_eq!(systemd_version("systemd 219"), 219);
        assert_eq!(systemd_version(""), 0);
        let read = sums(
            "77 12 /etc/firewalld/direct.xml\n1 2 /etc/firewalld/zones/a b.xml\ncksum: x\nx 1 /y\n",
        );
        assert_eq!(read["/etc/firewalld/direct.xml"], "77 12");
        assert_eq!(read["/etc/firewalld/zones/a b.xml"], "1 2");
        assert_eq!(read.len(), 2);
        assert_eq!(interface("2: host0    inet 10.77.1.11/24 brd"), "host0");
        assert_eq!(interface(""), "");
    }
}
