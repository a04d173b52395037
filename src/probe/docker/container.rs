//! A container and its endpoints, as `docker container inspect` reports them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Deserializer;

use crate::model::state::Container;
use crate::model::state::Endpoint;
use crate::probe::docker::text::address;
use crate::probe::docker::text::short;

/// Published ports: for each of the container's the places on the node.
type RawPorts = BTreeMap<String, Option<Vec<RawBinding>>>;

#[derive(Deserialize)]
pub(super) struct RawContainer {
    name: String,
    id: String,
    running: bool,
    mode: String,
    bindings: Option<RawPorts>,
    ports: Option<RawPorts>,
    networks: Option<BTreeMap<String, RawEndpoint>>,
    #[serde(default)]
    status: String,
    // Not asked is not the same as none.
    #[serde(default, deserialize_with = "asked")]
    dns: Option<Vec<String>>,
    #[serde(default)]
    privileged: bool,
    #[serde(default)]
    capabilities: Option<Vec<String>>,
    // No such label is `null` or empty, as the client reads the engine's answer.
    #[serde(default)]
    compose_service: Option<String>,
    #[serde(default)]
    swarm_service: Option<String>,
}

/// A list that may be `null`, which is none.
fn asked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let told = Option::<Vec<String>>::deserialize(deserializer)?;
    Ok(Some(told.unwrap_or_default()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawBinding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

#[derive(Deserialize)]
struct RawEndpoint {
    #[serde(rename = "IPAMConfig")]
    ipam: Option<RawFixed>,
    #[serde(rename = "IPAddress", default)]
    address: String,
    #[serde(rename = "GlobalIPv6Address", default)]
    address6: String,
    #[serde(rename = "Aliases")]
    aliases: Option<Vec<String>>,
    #[serde(rename = "Links")]
    links: Option<Vec<String>>,
    #[serde(rename = "NetworkID", default)]
    network_id: String,
    #[serde(rename = "MacAddress", default)]
    mac: String,
    #[serde(rename = "DriverOpts", default)]
    driver_options: Option<BTreeMap<String, String>>,
    #[serde(rename = "GwPriority", default)]
    gateway_priority: i64,
}

#[derive(Deserialize, Default)]
struct RawFixed {
    #[serde(rename = "IPv4Address", default)]
    address: String,
    #[serde(rename = "IPv6Address", default)]
    address6: String,
    #[serde(rename = "LinkLocalIPs", default)]
    link_local: Option<Vec<String>>,
}

pub(super) fn container(raw: RawContainer) -> Result<Container, String> {
    let id = raw.id;
    let compose_service = raw.compose_service.filter(|service| !service.is_empty());
    let endpoints = raw.networks.unwrap_or_default();
    // The ports that are published now; for a container that does not run, those that will be.
    let ports = if raw.running { raw.ports } else { raw.bindings };
    Ok(Container {
        name: raw.name.trim_start_matches('/').to_string(),
        running: raw.running,
        network_mode: raw.mode,
        endpoints: endpoints
            .into_iter()
            .map(|(network, raw)| endpoint(network, raw, &id))
            .collect::<Result<_, _>>()?,
        published: published(ports.unwrap_or_default()),
        status: raw.status,
        dns: raw.dns,
        privileged: raw.privileged,
        capabilities: raw.capabilities.unwrap_or_default(),
        of_compose: compose_service.is_some(),
        service: compose_service.or(raw.swarm_service).unwrap_or_default(),
        id,
    })
}

fn endpoint(network: String, raw: RawEndpoint, id: &str) -> Result<Endpoint, String> {
    let fixed = raw.ipam.unwrap_or_default();
    // Docker before 25 adds the short id by itself, and would do so again.
    let aliases = raw.aliases.unwrap_or_default();
    let aliases = aliases.into_iter().filter(|alias| alias != short(id));
    Ok(Endpoint {
        network,
        address: address(&raw.address)?,
        fixed: address(&fixed.address)?,
        address6: address(&raw.address6)?,
        fixed6: address(&fixed.address6)?,
        aliases: aliases.collect(),
        links: raw.links.unwrap_or_default(),
        network_id: raw.network_id,
        mac: raw.mac,
        driver_options: raw.driver_options.unwrap_or_default(),
        link_local: fixed
            .link_local
            .iter()
            .flatten()
            .filter_map(|text| address(text).transpose())
            .collect::<Result<_, _>>()?,
        gateway_priority: raw.gateway_priority,
    })
}

fn published(ports: RawPorts) -> Vec<String> {
    let mut published = Vec::new();
    for (port, bindings) in ports {
        for binding in bindings.unwrap_or_default() {
            let address = match binding.host_ip.as_str() {
                "" => "0.0.0.0".to_string(),
                v6 if v6.contains(':') => format!("[{v6}]"),
                v4 => v4.to_string(),
            };
            // No port is a free one, which docker also writes as 0.
            let host_port = match binding.host_port.as_str() {
                "" => "0",
                host_port => host_port,
            };
            published.push(format!("{address}:{host_port}->{port}"));
        }
    }
    published
}
