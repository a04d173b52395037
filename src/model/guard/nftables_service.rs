//! The distribution's `nftables.service`, which flushes all tables when it is started, reloaded or stopped, the guard's too.

use serde::Serialize;

/// Where fwdeploy's drop-in for the unit is.
pub const DROP_IN_FILE: &str = "/etc/systemd/system/nftables.service.d/fwdeploy.conf";

/// The guard's file as nft includes it. A pattern that matches no file is no error (nft(8), "INCLUDE FILES"), so without the guard the unit does
/// what it did before.
const GUARD: &str = r#"include "/etc/fwdeploy/guard.[n]ft""#;

/// What `nftables.service` runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NftablesService {
    /// The lines `ExecStart=…`, `ExecReload=…` and `ExecStop=…` of the unit and of its drop-ins, in systemd's order, except for those of
    /// fwdeploy's drop-in.
    pub commands: Vec<String>,
}

impl NftablesService {
    /// Debian's unit (nftables 0.9.8 to 1.1.7).
    pub fn of_debian() -> Self {
        let commands = [
            "ExecStart=/usr/sbin/nft -f /etc/nftables.conf",
            "ExecReload=/usr/sbin/nft -f /etc/nftables.conf",
            "ExecStop=/usr/sbin/nft flush ruleset",
        ];
        NftablesService {
            commands: commands.map(str::to_string).to_vec(),
        }
    }

    /// The drop-in with which each command also loads the guard again, in the same transaction as it flushes it, so that no packet finds it
    /// missing. `None` if the commands are not understood, and in particular if somebody has already replaced one.
    ///
    /// Debian's unit has `nft -f FILE` and `nft flush ruleset` (nftables 0.9.8 to 1.1.7), that of Fedora and RHEL also `nft '…; include …;'`.
    pub fn drop_in(&self) -> Option<String> {
        let mut out = String::from(
            "# Written by fwdeploy: what flushes all tables loads the guard again, in the same transaction.\n[Service]\n",
        );
        let mut seen = Vec::new();
        for line in &self.commands {
            let (key, command) = line.split_once('=')?;
            if !matches!(key, "ExecStart" | "ExecReload" | "ExecStop") || seen.contains(&key) {
                return None;
            }
            seen.push(key);
            // The empty assignment takes the unit's own command away (systemd.service(5)).
            out.push_str(&format!("{key}=\n{key}={}\n", with_guard(command)?));
        }
        seen.contains(&"ExecStart").then_some(out)
    }
}

/// The command, which also loads the guard; `None` if it is not understood.
fn with_guard(command: &str) -> Option<String> {
    let (program, arguments) = command.trim().split_once(' ')?;
    if !program.ends_with("/nft") || !is_plain_path(program) {
        return None;
    }
    let arguments = arguments.trim();
    let script = if let Some(file) = arguments.strip_prefix("-f ") {
        let file = file.trim();
        if !is_plain_path(file) {
            return None;
        }
        format!("include \"{file}\"")
    } else if arguments == "flush ruleset" {
        arguments.to_string()
    } else {
        let script = arguments.strip_prefix('\'')?.strip_suffix('\'')?;
        // These mean something to systemd.
        if script.contains(['\'', '\\', '%', '$']) {
            return None;
        }
        script.trim().trim_end_matches(';').trim_end().to_string()
    };
    Some(format!("{program} '{script}; {GUARD}'"))
}

/// Whether it is an absolute path of characters that mean nothing to systemd and to nft.
fn is_plain_path(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    text.starts_with('/') && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(lines: &[&str]) -> NftablesService {
        NftablesService {
            commands: lines.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn each_command_of_a_distribution_loads_the_guard_again() {
        let debian = service(&[
            "ExecStart=/usr/sbin/nft -f /etc/nftables.conf",
            "ExecReload=/usr/sbin/nft -f /etc/nftables.conf",
            "ExecStop=/usr/sbin/nft flush ruleset",
        ]);
        insta::assert_snapshot!(debian.drop_in().unwrap(), @r#"
        # Written by fwdeploy: what flushes all tables loads the guard again, in the same transaction.
        [Service]
        ExecStart=
        ExecStart=/usr/sbin/nft 'include "/etc/nftables.conf"; include "/etc/fwdeploy/guard.[n]ft"'
        ExecReload=
        ExecReload=/usr/sbin/nft 'include "/etc/nftables.conf"; include "/etc/fwdeploy/guard.[n]ft"'
        ExecStop=
        ExecStop=/usr/sbin/nft 'flush ruleset; include "/etc/fwdeploy/guard.[n]ft"'
        "#);
        let fedora = service(&[
            "ExecStart=/sbin/nft -f /etc/sysconfig/nftables.conf",
            r#"ExecReload=/sbin/nft 'flush ruleset; include "/etc/sysconfig/nftables.conf";'"#,
            "ExecStop=/sbin/nft flush ruleset",
        ]);
        insta::assert_snapshot!(fedora.drop_in().unwrap(), @r#"
        # Written by fwdeploy: what flushes all tables loads the guard again, in the same transaction.
        [Service]
        ExecStart=
        ExecStart=/sbin/nft 'include "/etc/sysconfig/nftables.conf"; include "/etc/fwdeploy/guard.[n]ft"'
        ExecReload=
        ExecReload=/sbin/nft 'flush ruleset; include "/etc/sysconfig/nftables.conf"; include "/etc/fwdeploy/guard.[n]ft"'
        ExecStop=
        ExecStop=/sbin/nft 'flush ruleset; include "/etc/fwdeploy/guard.[n]ft"'
        "#);
    }

    #[test]
    fn a_command_that_is_not_understood_is_not_replaced() {
        let start = "ExecStart=/usr/sbin/nft -f /etc/nftables.conf";
        for lines in [
            &[][..],
            &["ExecStop=/usr/sbin/nft flush ruleset"],
            &[start, "ExecStartPre=/bin/true"],
            // Somebody's own drop-in.
            &[start, "ExecStart=", "ExecStart=/usr/sbin/nft -f /srv/rules"],
            &[start, "ExecStop="],
            &["ExecStart=-/usr/sbin/nft -f /etc/nftables.conf"],
            &["ExecStart=/usr/sbin/nft -f /etc/nftables.conf -I /srv"],
            &["ExecStart=/usr/sbin/nft -f %E/nftables.conf"],
            &["ExecStart=/usr/sbin/nft -f \\"],
            &["ExecStart=/usr/local/sbin/load-rules -f /etc/nftables.conf"],
            &[r#"ExecStart=/sbin/nft 'include "$X";'"#],
            &["ExecStart=/sbin/nft"],
        ] {
            assert_eq!(service(lines).drop_in(), None, "{lines:?}");
        }
    }
}
