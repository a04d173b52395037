//! Is it that node?

use ssh2::Session;

use crate::transport::ConnectError;
use crate::transport::HostKeyChecking;
use crate::transport::Presented;
use crate::transport::Settings;
use crate::transport::Target;
use crate::transport::known_hosts::HostKey;
use crate::transport::known_hosts::KnownHosts;
use crate::transport::known_hosts::Verdict;
use crate::transport::known_hosts::append;
use crate::transport::known_hosts::lookup_name;

/// The host key algorithms of libssh2 1.11.2 for plain keys, each with the type of its key. Those for host certificates are left out: a
/// node with a certificate has a plain key too, and the certificate would not be understood.
const ALGORITHMS: [(&str, &str); 6] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "ssh-rsa"),
    ("rsa-sha2-256", "ssh-rsa"),
];

/// The algorithms to ask for: those of the known keys first, so that a node with several keys presents one that can be compared.
pub(super) fn preference(known: &[&str]) -> String {
    let (mut names, others): (Vec<_>, Vec<_>) = ALGORITHMS
        .into_iter()
        .partition(|(_, key)| known.contains(key));
    names.extend(others);
    names
        .into_iter()
        .map(|(name, _)| name)
        .collect::<Vec<_>>()
        .join(",")
}

pub(super) fn read(target: &Target, settings: &Settings) -> Result<KnownHosts, ConnectError> {
    KnownHosts::read(&settings.known_hosts).map_err(|(path, source)| ConnectError::KnownHosts {
        at: target.place(),
        path,
        source,
    })
}

/// Compares the key that the node has just proved to own with the known ones, and writes down a new one where that is wanted.
pub(super) fn verify(
    session: &Session,
    target: &Target,
    settings: &Settings,
    known: &KnownHosts,
) -> Result<(), ConnectError> {
    let at = target.place();
    let blob = session.host_key().map(|(blob, _)| blob.to_vec());
    let Some(key) = blob.and_then(HostKey::from_blob) else {
        let said = "its host key is malformed".to_owned();
        return Err(ConnectError::Handshake { at, said });
    };
    if key.is_too_short() {
        let said =
            "its host key is an RSA key of less than 1024 bits, which can be forged".to_owned();
        return Err(ConnectError::Handshake { at, said });
    }
    let mut verdict = known.check(&target.address, target.port, &key);
    let may_append = settings.host_key_checking == HostKeyChecking::AcceptNew;
    if let (Verdict::Unknown { .. }, true, Some(path)) =
        (&verdict, may_append, settings.known_hosts.first())
    {
        // Another thread may have met the node under the same name meanwhile, with this key or with another.
        verdict = match append(path, &target.address, target.port, &key) {
            Ok(Verdict::Unknown { .. }) => Verdict::Known,
            Ok(verdict) => verdict,
            Err(source) => {
                return Err(ConnectError::KnownHosts {
                    at,
                    path: path.clone(),
                    source,
                });
            }
        };
    }

    let presented = Box::new(Presented {
        algorithm: key.algorithm().to_owned(),
        fingerprint: key.fingerprint(),
        name: lookup_name(&target.address, target.port),
    });
    Err(match verdict {
        Verdict::Known => return Ok(()),
        Verdict::Unknown { authority: None } => ConnectError::HostKeyUnknown {
            at,
            presented,
            file: settings.known_hosts.first().cloned(),
            malformed: known.malformed().len(),
        },
        Verdict::Unknown {
            authority: Some(authority),
        } => ConnectError::HostKeyCertified {
            at,
            presented,
            authority,
        },
        Verdict::Changed {
            known,
            algorithm: known_algorithm,
        } => ConnectError::HostKeyChanged {
            at,
            presented,
            known,
            known_algorithm,
        },
        Verdict::Revoked { location } => ConnectError::HostKeyRevoked {
            at,
            presented,
            location,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_key_types_are_asked_for_first_and_certificates_never() {
        assert_eq!(
            preference(&["ssh-rsa", "sk-ssh-ed25519@openssh.com"]),
            "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
        );
        assert!(preference(&[]).starts_with("ssh-ed25519,"));
        assert!(!preference(&[]).contains("cert"));
    }
}
