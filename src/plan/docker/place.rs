//! A container's place on a network: what it is, how somebody brings it about, and what is lost on the way.

use std::net::IpAddr;

use crate::model::desired::Attachment;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::finding::command;

/// A finding about Docker.
pub(super) fn found(code: FindingCode, text: String) -> Finding {
    Finding::new(code, View::Docker, text)
}

/// How to start a container at its place.
pub(super) fn start(wanted: &Attachment, container: Option<&Container>) -> String {
    if container.is_some_and(|c| c.of_compose) {
        let service = container.map(|c| c.service.as_str()).unwrap_or_default();
        return compose(wanted, service);
    }
    format!(
        "start it with --network {} --ip {}",
        wanted.network, wanted.address
    )
}

/// The place that a role wants for a container, with the names and settings that it has there.
pub(super) fn at(wanted: &Attachment, was: Option<&Endpoint>, container: &Container) -> Endpoint {
    let running = |address: Option<IpAddr>| address.filter(|_| container.running);
    Endpoint {
        network: wanted.network.clone(),
        address: running(Some(wanted.address)),
        fixed: Some(wanted.address),
        address6: running(wanted.address6),
        fixed6: wanted.address6,
        mac: String::new(),
        ..was.cloned().unwrap_or_default()
    }
}

/// `docker network connect` cannot say a MAC address. Docker before 28 derives it from the address where nobody chose one.
pub(super) fn loses_mac(
    container: &Container,
    endpoint: &Endpoint,
    seen: &Docker,
) -> Option<Finding> {
    let version = seen.major_minor();
    // Before 25 it is the container's own setting, which stays.
    if endpoint.mac.is_empty() || version < (25, 0) {
        return None;
    }
    let derived = match endpoint.address {
        Some(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
        }
        _ => String::new(),
    };
    if version < (28, 0) && endpoint.mac == derived {
        return None;
    }
    Some(setting_lost(format!(
        "container `{}` gets another MAC address than {} on network `{}`: Docker's command line cannot set one",
        container.name, endpoint.mac, endpoint.network
    )))
}

/// What to write into a Compose file, so that the container comes to its place at each `up`.
pub(super) fn compose(wanted: &Attachment, service: &str) -> String {
    // A label is somebody's text.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let service = Some(service).filter(|s| !s.is_empty() && s.chars().all(is_plain));
    let service = service.unwrap_or("SERVICE");
    let mut addresses = format!("ipv4_address: {}", wanted.address);
    if let Some(address6) = wanted.address6 {
        addresses = format!("{addresses}, ipv6_address: {address6}");
    }
    format!(
        "write in its Compose file: services: {{{service}: {{container_name: {}, networks: {{{network}: {{{addresses}}}}}}}}}, networks: {{{network}: {{external: true}}}}",
        wanted.container,
        network = wanted.network,
    )
}

/// How to bring a container to rest that ends again and again.
pub(super) fn stop(container: &Container) -> String {
    format!(
        "{}, then run again; {} shows why it ends",
        command(["docker", "stop", &container.name]),
        command(["docker", "logs", &container.name])
    )
}

/// A setting of a network or an endpoint that does not survive.
pub(super) fn setting_lost(text: String) -> Finding {
    Finding::new(FindingCode::SettingLost, View::Docker, text)
}
