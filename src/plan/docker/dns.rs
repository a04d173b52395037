//! Docker's own DNS server: whom it asks, and from where.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use crate::model::desired::Desired;
use crate::model::routing::Resolvers;
use crate::model::state::Docker;
use crate::model::state::Observed;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;

/// Since when Docker asks every server of the node's resolv.conf from the node itself. Before, it asks from there those that
/// listen on the node's loopback, and the others from the container, where the whitelist judges them.
const FROM_THE_NODE: (u32, u32) = (28, 0);

/// systemd-resolved's own listener: where it stands alone, Docker takes the servers that systemd-resolved asks.
const STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));

/// Managed containers whose names are looked up by Docker from the node: a query carries what its sender likes, and its answer
/// comes back, whatever the whitelist says.
pub fn leaves(desired: &Desired, docker: &Docker, resolvers: &Observed<Resolvers>) -> Vec<Finding> {
    if docker.told_dns != Some(false) {
        return Vec::new();
    }
    let mut out = Vec::new();
    for wanted in &desired.attachments {
        let container = docker.container(&wanted.container);
        let Some(container) = container.filter(|c| c.dns.as_ref().is_some_and(Vec::is_empty))
        else {
            continue;
        };
        if container.network_mode == "host" || container.network_mode.starts_with("container:") {
            continue;
        }
        let whom = match resolvers {
            Observed::Known(resolvers) => {
                let asked = from_the_node(docker, resolvers);
                if asked.is_empty() {
                    continue;
                }
                let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
                format!("queries {} from the node itself", asked.join(", "))
            }
            Observed::Unreadable(why) => {
                format!(
                    "may query servers from the node itself, which could not be determined ({why})"
                )
            }
        };
        out.push(
            Finding::new(
                FindingCode::DnsLeaves,
                View::Docker,
                format!(
                    "container `{}` resolves names through Docker, which {whom}: the query and its answer bypass the whitelist",
                    container.name
                ),
            )
            .hint("start it with --dns SERVER, a server that its role allows (or --dns 127.0.0.1 for none); or set \"dns\" in /etc/docker/daemon.json for all"),
        );
    }
    out
}

/// The servers that Docker asks from the node.
fn from_the_node(docker: &Docker, resolvers: &Resolvers) -> Vec<IpAddr> {
    let servers = match resolvers.servers.as_slice() {
        [STUB] if !resolvers.upstream.is_empty() => &resolvers.upstream,
        _ => &resolvers.servers,
    };
    let all = docker.major_minor() >= FROM_THE_NODE;
    let asked = servers.iter().filter(|s| all || s.is_loopback());
    asked.copied().collect()
}
