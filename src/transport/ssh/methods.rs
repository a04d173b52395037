//! Which algorithms are asked for.
//!
//! libssh2 offers ciphers in CBC mode as well, which can be attacked (plain text recovery, CVE-2008-5161). What is here is what an sshd
//! of the last ten years has, that of CentOS 7 (OpenSSH 7.4) included.

use ssh2::Error;
use ssh2::MethodType;
use ssh2::Session;

/// Key exchanges. libssh2 leaves out those that the system's OpenSSL is too old for (ML-KEM before 3.5): [`key_exchanges`].
pub(super) const KEY_EXCHANGES: &str = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";

/// Ciphers, both ways.
pub(super) const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";

/// Message authentication codes, both ways.
pub(super) const MACS: &str =
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// The key exchanges that are offered here, separated by commas.
pub(super) fn key_exchanges(session: &Session) -> String {
    let supported = session.supported_algs(MethodType::Kex).unwrap_or_default();
    let offered = KEY_EXCHANGES
        .split(',')
        .filter(|name| supported.contains(name));
    offered.collect::<Vec<_>>().join(",")
}

/// Asks for these and no others.
pub(super) fn set(session: &Session, host_keys: &str) -> Result<(), Error> {
    for (method, names) in [
        (MethodType::HostKey, host_keys),
        (MethodType::Kex, KEY_EXCHANGES),
        (MethodType::CryptCs, CIPHERS),
        (MethodType::CryptSc, CIPHERS),
        (MethodType::MacCs, MACS),
        (MethodType::MacSc, MACS),
    ] {
        session.method_pref(method, names)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_can_be_broken_is_asked_for() {
        let all = [KEY_EXCHANGES, CIPHERS, MACS].join(",");
        for word in [
            "cbc", "arcfour", "3des", "md5", "sha1", "-96", "group1-", "none",
        ] {
            assert!(!all.contains(word), "{word}");
        }
        set(&Session::new().unwrap(), "ssh-ed25519").unwrap();
    }

    #[test]
    fn what_libssh2_leaves_out_is_not_said_to_be_offered() {
        let session = Session::new().unwrap();
        let offered = key_exchanges(&session);
        assert!(offered.contains("curve25519-sha256,"), "{offered}");
        let supported = session.supported_algs(MethodType::Kex).unwrap();
        assert!(offered.split(',').all(|name| supported.contains(&name)));
    }
}
