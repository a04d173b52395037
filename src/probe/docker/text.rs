//! Addresses and ids, as Docker prints them.

use std::net::IpAddr;

/// How many characters of its id Docker takes for a short name.
const SHORT: usize = 12;

/// An address; empty is none, and the prefix that older engines give to IPv6 gateways is dropped.
pub(super) fn address(text: &str) -> Result<Option<IpAddr>, String> {
    let bare = text.split_once('/').map_or(text, |(bare, _)| bare);
    if bare.is_empty() || bare == "invalid IP" {
        return Ok(None);
    }
    match bare.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => Err(format!("`{text}` is not an address")),
    }
}

/// The short name that Docker makes of an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}
