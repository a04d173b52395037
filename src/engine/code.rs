//! The codes of failures and of nodes that were not begun: what each means, and what to do about it.

use crate::model::code::Explanation;
use crate::model::code::codes;

/// Declares codes by the rows of the manual's table, in its order. A row is
/// `Code = "spelling": "what went wrong" => "what to do";`.
macro_rules! explained {
    (
        $(#[$attribute:meta])*
        pub enum $Name:ident {
            $( $code:ident = $spelling:literal: $meaning:literal => $remedy:literal; )+
        }
    ) => {
        codes! {
            $(#[$attribute])*
            pub enum $Name {
                $(
                    #[doc = concat!("`", $spelling, "`: ", $meaning, ".")]
                    $code = $spelling,
                )+
            }
        }

        impl $Name {
            /// What it means, and what to do.
            pub const fn explanation(self) -> Explanation {
                match self {
                    $( $Name::$code => Explanation { meaning: $meaning, remedy: $remedy }, )+
                }
            }
        }
    };
}

explained! {
    /// Why a node failed, as a short fixed name for scripts and the manual.
    pub enum FailureCode {
        NameUnknown = "name-unknown":
            "the address is a name that does not resolve"
            => "correct `ansible_host`";
        ConnectionRefused = "connection-refused":
            "nothing answers there"
            => "check `ansible_host` and `ansible_port`, that the node is up, and that the path to it is open";
        NoAnswer = "no-answer":
            "nothing answers there"
            => "check `ansible_host` and `ansible_port`, that the node is up, and that the path to it is open";
        NoRoute = "no-route":
            "nothing answers there"
            => "check `ansible_host` and `ansible_port`, that the node is up, and that the path to it is open";
        NoSocket = "no-socket":
            "this machine could not create a socket"
            => "raise `ulimit -n`, or use fewer `--forks`";
        NoHandshake = "no-handshake":
            "what answers does not speak SSH, or too slowly, or closes the connection at once"
            => "check `ansible_port`, and sshd's `MaxStartups` and `PerSourcePenalties`";
        NoCommonAlgorithm = "no-common-algorithm":
            "the node and fwdeploy have no key exchange, host key algorithm, cipher or MAC in common; the message lists what the node offers, the hint what fwdeploy offers"
            => "change sshd's `KexAlgorithms`, `HostKeyAlgorithms`, `Ciphers` or `MACs`, or install a newer sshd";
        KnownHosts = "known-hosts":
            "a known_hosts file cannot be read or written"
            => "check its owner and mode";
        HostKeyUnknown = "host-key-unknown":
            "the node's key is not in known_hosts"
            => "compare the fingerprint, then `ssh-keyscan` or `--host-key-checking accept-new`";
        HostKeyChanged = "host-key-changed":
            "known_hosts has another key for the node"
            => "only if the node was reinstalled: `ssh-keygen -R`";
        HostKeyRevoked = "host-key-revoked":
            "the key is marked as revoked"
            => "do not connect; the node needs a new key";
        NoUser = "no-user":
            "no login user is set"
            => "set `ansible_user`";
        NoKey = "no-key":
            "there is no key, or it cannot be used"
            => "`ssh-add`, `ansible_ssh_private_key_file`, `chmod 600`";
        KeyUnusable = "key-unusable":
            "there is no key, or it cannot be used"
            => "`ssh-add`, `ansible_ssh_private_key_file`, `chmod 600`";
        Passphrase = "passphrase":
            "the key is encrypted, and the passphrase is missing or wrong"
            => "`ssh-add`";
        LoginRefused = "login-refused":
            "the node accepts none of the keys, or requires more than a key"
            => "check authorized_keys there, or use another user or key; `AuthenticationMethods publickey` for this user";
        LoginLost = "login-lost":
            "the connection was lost during the login"
            => "see sshd's log on the node";
        SshOptions = "ssh-options":
            "ssh's configuration, or the ssh arguments in the inventory, have something that is not possible here"
            => "correct it, or use `--transport openssh` or `--ssh-config none`";
        JumpRefused = "jump-refused":
            "the jump host did not connect to the node"
            => "check the node's address as the jump host sees it, and `AllowTcpForwarding` and `PermitOpen` there";
        NoProxy = "no-proxy":
            "the `ProxyCommand` does not start"
            => "correct it";
        SshSession = "ssh-session":
            "libssh2 could not be set up"
            => "report it";
        NoChannel = "no-channel":
            "the node opens no channel"
            => "run again; if it stays so, raise sshd's `MaxSessions`";
        NoSession = "no-session":
            "the node accepted the login but did not open a session in time"
            => "check what a login runs there (PAM, systemd-logind), or allow more time with `-T`";
        LoginShell = "login-shell":
            "the login shell did not run the command: it is not a shell (nologin), it exited, or something replaced it"
            => "check /etc/passwd, `exit` and `exec` in `.bashrc`, and `ForceCommand`";
        Sudo = "sudo":
            "sudo refused"
            => "use `-K` or `ansible_become_password`; check sudoers on the node";
        ConnectionLost = "connection-lost":
            "the connection was lost while the state was read"
            => "run again";
        TimedOut = "timed-out":
            "the node did not finish in time"
            => "look for a daemon that hangs there, or allow more time with `--command-timeout`";
        AnswerTooLong = "answer-too-long":
            "the node sent more than 32 MiB of output, or more than 8 MiB of errors, and was cut off"
            => "find out what prints so much there";
        LookFailed = "look-failed":
            "the answer cannot be understood"
            => "run again with `-v`";
        AnswerUnreadable = "answer-unreadable":
            "the answer cannot be understood"
            => "run again with `-v`";
        Busy = "busy":
            "another run is changing the node: who, since when, until when at the latest"
            => "wait until that run ends, and run again";
        SameMachine = "same-machine":
            "this run is changing the same machine under another name"
            => "name each machine once";
        Unfinished = "unfinished":
            "a run was never ended, and still holds the node"
            => "`run --recover`";
        NotArmed = "not-armed":
            "the automatic rollback could not be prepared, so nothing was changed"
            => "fix what the answer names: space for `/var/lib/fwdeploy` and `/etc`, systemd; in `/etc/firewalld` a broken link, a hard link, a pipe or a name that could not be restored; a Docker or an iptables that does not report its state";
        NoSnapshot = "no-snapshot":
            "there is no snapshot to restore, or it is incomplete; nothing was changed"
            => "choose another one with `--to`; `fwdeploy status` lists them";
        RecordsUnreadable = "records-unreadable":
            "`/var/lib/fwdeploy` on the node could not be read"
            => "set `ansible_become: true`, or use `-b`";
        NotWell = "not-well":
            "after a rollback the node is in a state in which nothing may be changed"
            => "fix what it names, or choose another snapshot";
        RolledBack = "rolled-back":
            "the node was in the desired state, and was rolled back because the run failed elsewhere"
            => "repair the nodes that failed, and run again";
        NotRolledBack = "not-rolled-back":
            "the same, but it could not be rolled back"
            => "`fwdeploy rollback`, once it can be reached";
        NotOurs = "not-ours":
            "another run has changed the node since, so it was not rolled back"
            => "nothing; `fwdeploy status`";
        DidNotComeBack = "did-not-come-back":
            "the drill failed: the node did not roll itself back in time"
            => "see `journalctl -u 'fwdeploy-restore*'` there";
        CameBackDifferent = "came-back-different":
            "the drill failed: the node rolled back, and these differences are left"
            => "is someone else changing it?";
        NotByItself = "not-by-itself":
            "the node is as it was, but its timer did not do it"
            => "run the drill again";
        ConfirmedTooLate = "confirmed-too-late":
            "the node rolled back before the run could be confirmed"
            => "allow more time with `--confirm-timeout`";
        NotConfirmed = "not-confirmed":
            "everything was in the desired state, but the confirmation did not reach the node"
            => "see the condition of the node (`now`); run again";
        NotPurged = "not-purged":
            "everything else was removed from the node, but its records (`/var/lib/fwdeploy`) were not"
            => "fix what it names, and run `fwdeploy remove --purge` again";
        NotRecovered = "not-recovered":
            "what was repaired broke again at once, and the node rolled back"
            => "run again with `-v`; find out what undoes the repair";
        RestoreFailed = "restore-failed":
            "the rollback of an unfinished run failed again"
            => "fix what the answer names; or `rm /var/lib/fwdeploy/armed` on the node to keep it as it is";
        StepFailed = "step-failed":
            "a step failed, and the node said why"
            => "fix what it names, and run again";
        DockerHangs = "docker-hangs":
            "Docker did not answer while its networks were to be changed; a reload of firewalld can block Docker 28.1 to 28.5 permanently (moby#50619)"
            => "if `docker network ls` there does not answer either, restart Docker; run again";
        EditedByHand = "edited-by-hand":
            "one of firewalld's files was edited between the reading and the step; it was not written, and the edit is kept on the node at the path in the hint"
            => "put the edit in place and load it, or drop it; run again";
        ChainNotRecreated = "chain-not-recreated":
            "the chain could not be recreated in place, and a reload is not allowed or did not help"
            => "run again, without `--reload never`";
        StepLost = "step-lost":
            "a step was never answered"
            => "see the condition of the node (`now`); run again";
        NoWayBackIn = "no-way-back-in":
            "after the last step nobody could log in"
            => "see the condition of the node (`now`)";
        NotAsWanted = "not-as-wanted":
            "the verification shows differences"
            => "run again; is someone else changing the node?";
        NotEnforced = "not-enforced":
            "the whitelist does not hold"
            => "see the findings above it";
        Stopped = "stopped":
            "Ctrl-C, SIGTERM or SIGHUP"
            => "run again";
        Internal = "internal":
            "a bug in fwdeploy"
            => "report it, with the output of `-v`";
    }
}

explained! {
    /// Why nothing was begun on a node, as a short fixed name for scripts and the manual.
    pub enum NotBegunCode {
        NoRole = "no-role":
            "no role applies to the node"
            => "set `fwdeploy_roles`, if it is to have one";
        Stopped = "stopped":
            "Ctrl-C, SIGTERM or SIGHUP came first"
            => "run again";
        TooManyFailures = "too-many-failures":
            "more nodes of a wave failed than `--max-fail` allows"
            => "repair the nodes that failed, and run again";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_codes_are_spelled_alike() {
        let failures: BTreeSet<&str> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(failures.len(), FailureCode::ALL.len());
        let others: BTreeSet<&str> = NotBegunCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(others.len(), NotBegunCode::ALL.len());
    }
}
