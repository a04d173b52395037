//! Docker's networks and containers: a count, then a line of JSON for each, in the fields that `node/python/docker.py` and
//! `node/probe.sh` pick.

mod container;
mod network;
mod text;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::model::net::Family;
use crate::model::state::Daemon;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::Network;
use crate::probe::iptables;
use crate::probe::sections::Answers;
use crate::probe::system::Unit;
use crate::probe::system::unit;

/// How the daemon is.
pub fn daemon(answers: &Answers) -> Daemon {
    let asked = answers.get("docker-version");
    match (asked, unit(answers.get("docker-unit"), "docker.service")) {
        (Ok(_), _) => Daemon::Running,
        (Err(why), _) if why == "docker is not installed" => Daemon::Missing,
        (Err(_), Ok(Unit::Inactive(how))) => Daemon::Stopped(how),
        // A docker that systemd does not know, such as one from snap, counts as well.
        (Err(why), Ok(Unit::Active | Unit::NotFound)) => Daemon::Silent(why),
        (Err(why), Err(_)) => Daemon::Unknown(why),
    }
}

/// The engine, its networks and containers.
///
/// # Errors
/// Why they cannot be read.
pub fn docker(answers: &Answers) -> Result<Docker, String> {
    let version = answers.get("docker-version")?.trim();
    if !version.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{version}` is not a version of docker"));
    }
    let mut networks = lines(answers, "docker-networks", network::network)?;
    networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let mut containers = lines(answers, "docker-containers", container::container)?;
    containers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    for endpoint in containers.iter_mut().flat_map(|c| &mut c.endpoints) {
        identify(endpoint, &networks);
    }
    Ok(Docker {
        version: version.to_string(),
        firewall: match answers.get("docker-firewall") {
            Ok(answer) => firewall(answer)?,
            Err(why) => firewall_of_tables(answers, why)?,
        },
        unfiltered: answers
            .get("docker-told")
            .map_or_else(|_| Vec::new(), unfiltered),
        told_dns: answers
            .get("docker-told")
            .ok()
            .map(|told| told.lines().any(|line| line == "dns=true")),
        networks,
        containers,
    })
}

/// Determines the current network of an endpoint. A container that does not run keeps the id of a network that no longer exists, such as
/// Docker's own bridge before its last restart, and is attached to the network with that name when it starts.
fn identify(endpoint: &mut Endpoint, networks: &[Network]) {
    let mut named = networks.iter().filter(|n| n.name == endpoint.network);
    if let (Some(network), None) = (named.next(), named.next()) {
        endpoint.network_id.clone_from(&network.id);
    }
}

/// The families that Docker is configured not to filter; the last setting counts.
fn unfiltered(told: &str) -> Vec<Family> {
    let told_of = |family: Family| {
        let name = family.iptables();
        let mut said = told.lines().rev().filter_map(|line| line.split_once('='));
        said.find_map(|(key, value)| (key == name).then_some(value))
    };
    let off = |family: &Family| told_of(*family) == Some("false");
    Family::ALL.into_iter().filter(off).collect()
}

/// Reads an answer line by line: the first line has the number of those that follow, which distinguishes none from a missing answer.
fn lines<R: DeserializeOwned, T>(
    answers: &Answers,
    name: &str,
    read: fn(R) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let answer = answers.get(name)?;
    let read = |line: &str| {
        let raw =
            serde_json::from_str(line).map_err(|why| format!("`{name}` cannot be read: {why}"))?;
        read(raw).map_err(|why| format!("`{name}` cannot be read: {why}"))
    };
    let mut lines = answer.lines();
    let count = lines.next().and_then(|n| n.parse::<usize>().ok());
    let found: Vec<T> = lines.map(read).collect::<Result<_, _>>()?;
    if count == Some(found.len()) {
        Ok(found)
    } else {
        Err(format!("`{name}` is incomplete"))
    }
}

#[derive(Deserialize)]
struct RawFirewall {
    #[serde(rename = "Driver")]
    driver: String,
}

fn firewall(answer: &str) -> Result<String, String> {
    if answer.trim().is_empty() {
        return Ok(String::new());
    }
    let firewall: Option<RawFirewall> = serde_json::from_str(answer)
        .map_err(|why| format!("its firewall backend cannot be read: {why}"))?;
    Ok(firewall.map(|f| f.driver).unwrap_or_default())
}

/// What a docker command says that knows no firewall backend, because it is older than 28.1, its engine not being so.
const UNKNOWN_FIELD: [&str; 2] = ["can't evaluate field", "map has no entry for key"];

/// The table of Docker's nftables backend, as nft lists it.
const TABLE: &str = "table ip docker-bridges";

/// Which backend it is, as its rules show, if the docker command is too old to report it: `nftables`, or nothing, as an old engine reports.
/// Docker removes the rules of one backend when it starts with the other.
fn firewall_of_tables(answers: &Answers, why: String) -> Result<String, String> {
    if !UNKNOWN_FIELD.iter().any(|said| why.contains(said)) {
        return Err(why);
    }
    let in_nft = answers
        .get("nft-tables")
        .map(|tables| tables.lines().any(|line| line.trim() == TABLE));
    let in_iptables = answers
        .get("iptables-save")
        .and_then(iptables::parse)
        .map(|tables| tables.chain("filter", "DOCKER").is_some());
    match (in_nft, in_iptables) {
        (Ok(true), Ok(false) | Err(_)) => Ok("nftables".to_string()),
        (Ok(false), _) | (Err(_), Ok(true)) => Ok(String::new()),
        _ => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::container::container;
    use super::network::network;
    use super::network::subnet;
    use super::text::address;

    #[test]
    fn a_network_without_pools_or_gateway_is_one() {
        let raw = r#"{"name":"none","id":"82ef0743df42b303","driver":"null","ipam":null,"internal":false,"ipv6":false,"options":null,"labels":null}"#;
        let none = network(serde_json::from_str(raw).unwrap()).unwrap();
        assert!(none.subnets.is_empty() && none.bridge.is_empty());
        let raw = r#"{"name":"x","id":"82ef0743df42b303","driver":"bridge","ipam":[{"Subnet":"172.20.0.9/16"},{"Subnet":"fd00::/64","Gateway":"fd00::1/64"}],"internal":false,"ipv6":true,"options":{},"labels":{}}"#;
        let x = network(serde_json::from_str(raw).unwrap()).unwrap();
        assert_eq!(x.subnets[0].to_string(), "172.20.0.0/16");
        assert_eq!(x.gateways, ["fd00::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(x.bridge, "br-82ef0743df42");
    }

    #[test]
    fn a_stopped_container_keeps_its_fixed_address_and_its_ports() {
        let raw = r#"{"name":"/c","id":"0123456789abcdef","running":false,"mode":"x","ports":{},
            "bindings":{"80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":[{"HostIp":"::","HostPort":"8081"}]},
            "networks":{"x":{"IPAMConfig":{"IPv4Address":"172.20.0.2"},"IPAddress":"","Aliases":["c","0123456789ab"],"Links":null}}}"#;
        let c = container(serde_json::from_str(raw).unwrap()).unwrap();
        assert_eq!(c.name, "c");
        assert_eq!(c.published, ["0.0.0.0:0->80/tcp", "[::]:8081->81/tcp"]);
        let endpoint = c.endpoint("x").unwrap();
        assert_eq!(
            (endpoint.address, endpoint.fixed),
            (None, "172.20.0.2".parse().ok())
        );
        assert_eq!(endpoint.aliases, ["c"]);
    }

    #[test]
    fn wrong_addresses_are_errors() {
        assert!(address("here").is_err());
        assert!(subnet("172.20.0.0/99").is_err());
    }
}
