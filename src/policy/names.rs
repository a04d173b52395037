//! Names that end up on a node: which letters they may have, and the ones that we make ourselves.

use crate::model::rule::Tag;
use crate::role::InputError;
use crate::role::Located;
use crate::role::shown;

/// The longest name of a network device (IFNAMSIZ of linux/if.h, less its NUL).
pub const DEVICE_NAME_MAX: usize = 15;

/// Docker's own alphabet for containers and networks (moby, `daemon/names/names.go`): `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub fn is_docker_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// The allowed names of a role and an entry: `[a-z0-9][a-z0-9_-]*`, so a tag needs no quoting anywhere.
pub fn is_tag_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

/// A name that Docker or firewalld would refuse.
pub(super) fn bad_name(what: &str, name: &Located<String>) -> InputError {
    InputError::at(
        name.location.clone(),
        format!("`{}` cannot be the name of a {what}", shown(&name.value)),
    )
    .hint("letters, digits, `_`, `.` and `-`, and a letter or digit first")
}

/// The tag of an entry's rules.
pub(super) fn tag(role: &str, what: &str) -> String {
    Tag {
        role: role.to_string(),
        what: what.to_string(),
    }
    .to_string()
}

/// A bridge device's name for a network: `br-NAME`, or its beginning and a checksum where that is too long.
///
/// A readable name is what an operator meets in `iptables -S` and `ip link`; Docker's own is `br-` and twelve digits.
///
/// ```
/// use fwdeploy::policy::default_bridge;
/// assert_eq!(default_bridge("cybex"), "br-cybex");
/// assert_eq!(default_bridge("a-rather-long-network").len(), 15);
/// ```
pub fn default_bridge(network: &str) -> String {
    let whole = format!("br-{network}");
    if whole.len() <= DEVICE_NAME_MAX {
        return whole;
    }
    // FNV-1a, folded: two long names with the same beginning must not want the same device.
    let hash = network.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let beginning: String = network.chars().take(7).collect();
    format!("br-{beginning}-{:04x}", (hash >> 16) ^ (hash & 0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_with_one_beginning_get_different_bridges() {
        let (a, b) = (
            default_bridge("production-cybex"),
            default_bridge("production-eos-1"),
        );
        assert_ne!(a, b);
        assert!(a.starts_with("br-product-") && a.len() == DEVICE_NAME_MAX);
    }
}
