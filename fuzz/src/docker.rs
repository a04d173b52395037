//! Docker's networks and containers.

use fwdeploy::probe::fuzzing::docker;

use crate::frame::answers;
use crate::frame::frame;
use crate::text;

/// As many networks, containers as were counted; a line less is no answer.
pub fn law(data: &[u8]) {
    let Some((kind, lines)) = text(data, 4) else {
        return;
    };
    let read = |lines: &str| {
        let none = "0\n";
        let (networks, containers, firewall, told) = match kind {
            0 => (lines, none, "", ""),
            1 => (none, lines, "", ""),
            2 => (none, none, lines, ""),
            _ => (none, none, "", lines),
        };
        docker(&answers(&frame(&[
            ("docker-version", "28.5.2\n"),
            ("docker-firewall", firewall),
            ("docker-told", told),
            ("docker-networks", networks),
            ("docker-containers", containers),
        ])))
    };
    let Ok(docker) = read(&lines) else {
        return;
    };
    if kind < 2 {
        let count = lines.lines().next().and_then(|n| n.parse().ok());
        let read_count = docker.networks.len() + docker.containers.len();
        assert_eq!(count, Some(read_count));
        if let Some((rest, last)) = lines.trim_end().rsplit_once('\n') {
            for part in ["", &last[..last.floor_char_boundary(last.len() / 2)]] {
                assert!(read(&format!("{rest}\n{part}")).is_err());
            }
        }
    }
}
