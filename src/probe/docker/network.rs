//! A network, as `docker network inspect` reports it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use crate::model::net::Cidr;
use crate::model::state::Network;
use crate::probe::docker::text::address;
use crate::probe::docker::text::short;

#[derive(Deserialize)]
pub(super) struct RawNetwork {
    name: String,
    id: String,
    driver: String,
    ipam: Option<Vec<RawPool>>,
    internal: bool,
    ipv6: bool,
    options: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    ipam_driver: String,
    #[serde(default)]
    ipam_options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    attachable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawPool {
    #[serde(default)]
    subnet: String,
    #[serde(default)]
    gateway: String,
    #[serde(rename = "IPRange", default)]
    range: String,
    #[serde(rename = "AuxiliaryAddresses", default)]
    reserved: Option<BTreeMap<String, String>>,
}

pub(super) fn network(raw: RawNetwork) -> Result<Network, String> {
    let options = raw.options.unwrap_or_default();
    let pools = raw.ipam.unwrap_or_default();
    let bridge = match options.get("com.docker.network.bridge.name") {
        Some(name) => name.clone(),
        None if raw.driver == "bridge" => format!("br-{}", short(&raw.id)),
        None => String::new(),
    };
    Ok(Network {
        subnets: pools
            .iter()
            .map(|pool| pool.subnet.as_str())
            .filter(|subnet| !subnet.is_empty())
            .map(subnet)
            .collect::<Result<_, _>>()?,
        gateways: pools
            .iter()
            .filter_map(|pool| address(&pool.gateway).transpose())
            .collect::<Result<_, _>>()?,
        name: raw.name,
        id: raw.id,
        driver: raw.driver,
        bridge,
        internal: raw.internal,
        ipv6: raw.ipv6,
        options,
        labels: raw.labels.unwrap_or_default(),
        ranges: pools
            .iter()
            .filter(|pool| !pool.range.is_empty())
            .map(|pool| subnet(&pool.range))
            .collect::<Result<_, _>>()?,
        reserved: reserved(&pools)?,
        ipam_driver: match raw.ipam_driver.as_str() {
            "default" => String::new(),
            other => other.to_string(),
        },
        ipam_options: raw.ipam_options.unwrap_or_default(),
        attachable: raw.attachable,
    })
}

/// A subnet; older engines keep the host bits that the user typed.
pub(super) fn subnet(text: &str) -> Result<Cidr, String> {
    text.parse().or_else(|why| {
        text.split_once('/')
            .and_then(|(address, prefix)| Cidr::around(address.parse().ok()?, prefix.parse().ok()?))
            .ok_or_else(|| format!("{why}"))
    })
}

fn reserved(pools: &[RawPool]) -> Result<BTreeMap<String, IpAddr>, String> {
    let told = pools.iter().flat_map(|pool| pool.reserved.iter().flatten());
    told.filter_map(|(name, text)| {
        let read = address(text).transpose()?;
        Some(read.map(|address| (name.clone(), address)))
    })
    .collect()
}
