//! Who runs, and what was asked for: what a node writes down beside a snapshot.

use std::env;

use openssl::hash::MessageDigest;
use openssl::hash::hash as digest;

use crate::model::Desired;

/// The user and the machine, such as `eva@desk`.
pub(super) fn name() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| match rustix::process::getuid() {
            user if user.is_root() => "root".to_string(),
            user => format!("user {}", user.as_raw()),
        });
    let system = rustix::system::uname();
    format!("{user}@{}", system.nodename().to_string_lossy())
}

/// The first 16 hex digits of the SHA-256 of what the roles ask of a node.
pub(super) fn hash(desired: &Desired) -> String {
    let text = serde_json::to_vec(desired).unwrap_or_default();
    let digest = digest(MessageDigest::sha256(), &text);
    let bytes = digest.map(|d| d[..8].to_vec()).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::hash;
    use crate::model::Desired;

    #[test]
    fn another_policy_has_another_hash() {
        let some = Desired::default();
        let other = Desired {
            zone: Some("public".to_string()),
            ..Desired::default()
        };
        assert_eq!(hash(&some), hash(&some.clone()));
        assert_ne!(hash(&some), hash(&other));
        assert_eq!(hash(&some).len(), 16);
    }
}
