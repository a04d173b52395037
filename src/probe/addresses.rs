//! Ranges of addresses, as ipset and nft print them.

use std::net::IpAddr;

use crate::model::net::Cidr;

/// The first and the last address of `192.0.2.1`, `192.0.2.0/24` or `192.0.2.1-192.0.2.9`.
pub(super) fn ends(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = text.split_once('-') {
        return Some((first.parse().ok()?, last.parse().ok()?));
    }
    let net: Cidr = text.parse().ok()?;
    Some((net.address(), net.last()))
}
