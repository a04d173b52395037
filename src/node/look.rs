//! The look: one script that asks a node everything, and changes nothing.

use crate::node::quote;
use crate::node::shell::PROBE;

/// Returns the script that reads a node, to be fed to `sh -s` as root.
///
/// `zone` is the firewalld zone whose rich rules are read; `None` is the node's default zone. The answer is parsed by
/// `probe::observe`. A caller that runs it through sudo may pass `"$SSH_CONNECTION"` as the script's first argument; otherwise
/// the script finds the variable in the environment of the shells above.
pub fn probe_script(zone: Option<&str>) -> String {
    format!("FWDEPLOY_ZONE={}\n{PROBE}", quote(zone.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_a_quoted_parameter() {
        assert!(probe_script(Some("a b; reboot")).starts_with("FWDEPLOY_ZONE='a b; reboot'\n"));
        assert!(probe_script(None).starts_with("FWDEPLOY_ZONE=''\n"));
    }

    #[test]
    fn the_last_line_starts_everything() {
        let last = PROBE.trim_end().lines().last();
        assert_eq!(last, Some(r#"look "${1:-${SSH_CONNECTION-}}""#));
    }
}
