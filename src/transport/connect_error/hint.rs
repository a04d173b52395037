//! What to do about a connection that did not come about.

use std::path::Path;

use super::ConnectError;
use super::KeyProblem;
use super::OpenSshFailure;

impl ConnectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Resolve { .. } => "check `ansible_host`, and that this machine's resolver knows the name".to_owned(),
            Self::Refused { .. } => "check `ansible_port`, that sshd runs there, and that its firewall lets this machine in".to_owned(),
            Self::TimedOut { .. } | Self::NoRoute { .. } => {
                "check `ansible_host`, that the node is up, and that every firewall on the way lets this machine in".to_owned()
            }
            Self::Socket { .. } => "check `ansible_host`, and this machine's limit of open files (`ulimit -n`)".to_owned(),
            Self::Handshake { .. } | Self::HandshakeTimedOut { .. } => {
                "check that `ansible_port` is sshd's; it also closes connections under load (`MaxStartups`), and after failed logins from this machine (`PerSourcePenalties`): then wait a few minutes".to_owned()
            }
            Self::NoCommon { ours, .. } => format!(
                "this side offers: {ours}; `--transport openssh` uses the system's ssh and all that it has, or let the node's sshd_config offer one of these"
            ),
            Self::KnownHosts { path, .. } => format!("check the owner and mode of {}", path.display()),
            Self::HostKeyUnknown { presented, file, .. } => add_key_hint(&presented.name, file.as_deref()),
            Self::HostKeyCertified { presented, authority, .. } => add_key_hint(&presented.name, Some(&authority.path)),
            Self::HostKeyChanged { presented, known, .. } => format!(
                "if the node was reinstalled, remove the old key with `ssh-keygen -R {} -f {}`; otherwise the connection may be intercepted",
                word(&presented.name),
                word(&known.path.to_string_lossy())
            ),
            Self::HostKeyRevoked { .. } => "do not connect; the node needs a new host key".to_owned(),
            Self::User { .. } => "set `ansible_user`".to_owned(),
            Self::Key { path, problem, .. } => return problem.hint(path),
            Self::NoKey { .. } => {
                "start an agent and add a key (`ssh-add`), or name a key file (`ansible_ssh_private_key_file`)".to_owned()
            }
            Self::Authentication { tried, accepts, .. } if tried.is_empty() => {
                let by_password = accepts.split(',').any(|it| matches!(it, "password" | "keyboard-interactive"));
                match (by_password, accepts.contains("gssapi") || accepts.contains("hostbased")) {
                    (true, _) => "give the password with `-k` or `ansible_password`, or allow keys with `PubkeyAuthentication yes` in the node's sshd_config".to_owned(),
                    (false, true) => "`--transport openssh` uses the system's ssh, which has these methods".to_owned(),
                    (false, false) => "allow keys with `PubkeyAuthentication yes` in the node's sshd_config".to_owned(),
                }
            }
            Self::Authentication { tried, .. } if tried.iter().any(|it| it.contains("hardware keys")) => {
                "`--transport openssh` uses the system's ssh, which signs with hardware keys".to_owned()
            }
            Self::Authentication { tried, .. } if tried.iter().any(|it| it.starts_with("the password")) => {
                "check the password given with `-k` or in `ansible_password`; it was offered once".to_owned()
            }
            Self::Authentication { user, .. } => format!(
                "add one of these keys to the authorized_keys of {user} there, or choose another user (`ansible_user`) or key (`ansible_ssh_private_key_file`)"
            ),
            Self::TooManyKeys { .. } => "name the right key (`ansible_ssh_private_key_file`), so that no others are tried".to_owned(),
            Self::FurtherMethod { user, .. } => format!(
                "give the password with `-k` or `ansible_password`; codes are asked for at the terminal; or allow {user} to log in with a key alone (`Match User {user}` and `AuthenticationMethods publickey` in its sshd_config)"
            ),
            Self::HungUp { .. } => "the log of sshd on the node says why".to_owned(),
            Self::LoginTimedOut { .. } => {
                "the log of sshd on the node says why; if logins are slow there, allow more time with `-T`".to_owned()
            }
            Self::Config { .. } => {
                "correct it, or try `--transport openssh` (the system's ssh has all options) or `--ssh-config none` (ssh's own files are not read)".to_owned()
            }
            Self::Jump { source, .. } => return source.hint(),
            Self::Forward { .. } => {
                "check `ansible_host` and `ansible_port` as the jump host sees them, that the node lets the jump host in, and `AllowTcpForwarding` and `PermitOpen` in the jump host's sshd_config".to_owned()
            }
            Self::Proxy { .. } => "check `ProxyCommand`, and the shell in SHELL".to_owned(),
            Self::OpenSsh { kind, .. } => match kind {
                OpenSshFailure::Unreachable => "check `ansible_host`, `ansible_port`, that the node is up, and that every firewall on the way lets this machine in".to_owned(),
                OpenSshFailure::HostKey => "compare the fingerprint with the node's own, and add it with `fwdeploy scan-keys INVENTORY`".to_owned(),
                OpenSshFailure::Login => "`ssh -v` with the same options says more".to_owned(),
                OpenSshFailure::Password => "check the password given with `-k` or in `ansible_password`; it was offered once".to_owned(),
                OpenSshFailure::Question => {
                    "`--transport openssh` gives the node its password and answers nothing else: log in on jump hosts with a key, or leave the flag out, so that codes and the passwords of jump hosts are asked for at the terminal".to_owned()
                }
                OpenSshFailure::TurnedAway => {
                    "check that `ansible_port` is sshd's; it also closes connections under load (`MaxStartups`), and after failed logins from this machine (`PerSourcePenalties`): then wait a few minutes".to_owned()
                }
                OpenSshFailure::Program => "install OpenSSH's client, or leave out `--transport openssh`".to_owned(),
            },
            Self::Session { .. } | Self::Cancelled { .. } => return None,
        })
    }
}

impl KeyProblem {
    fn hint(&self, path: &Path) -> Option<String> {
        let path = operand(&path.to_string_lossy());
        Some(match self {
            Self::Unreadable(_) | Self::NotAKey => {
                "check `ansible_ssh_private_key_file`; it names a private key in OpenSSH or PEM format".to_owned()
            }
            Self::Exposed { .. } => format!("chmod 600 {path}"),
            Self::PublicHalf(_) => "name the private key, or add it to the agent with `ssh-add`".to_owned(),
            Self::PassphraseNeeded | Self::PassphraseWrong => format!("add it to an agent: ssh-add {path}"),
        })
    }
}

fn add_key_hint(name: &str, file: Option<&Path>) -> String {
    let file = file.map_or_else(
        || "~/.ssh/known_hosts".to_owned(),
        |file| word(&file.to_string_lossy()),
    );
    let scan = match name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
    {
        Some((address, port)) => format!("ssh-keyscan -p {port} {}", operand(address)),
        None => format!("ssh-keyscan {}", operand(name)),
    };
    format!(
        "compare the fingerprint with the node's own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there); then `{scan} >> {file}`, or add the keys of all nodes with `fwdeploy scan-keys INVENTORY`, or run once with `--host-key-checking accept-new`"
    )
}

/// A word in a shell's quoting, so that a hint can be copied.
fn word(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| "...".to_owned(), |quoted| quoted.into_owned())
}

/// The same at a place where a word that begins with `-` would be an option.
fn operand(text: &str) -> String {
    match text.starts_with('-') {
        true => format!("-- {}", word(text)),
        false => word(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_can_be_copied_whatever_the_name() {
        let hint = |name| add_key_hint(name, Some(Path::new("/home/op one/kh")));
        assert!(hint("gw").contains("`ssh-keyscan gw >> '/home/op one/kh'`"));
        assert!(hint("-oX").contains("ssh-keyscan -- -oX "));
        assert!(hint("[-oX]:2222").contains("ssh-keyscan -p 2222 -- -oX"));
        assert!(hint("a;b").contains("ssh-keyscan 'a;b'"));
        let key = KeyProblem::Exposed { mode: 0o644 };
        assert_eq!(key.hint(Path::new("-key")).unwrap(), "chmod 600 -- -key");
    }
}
