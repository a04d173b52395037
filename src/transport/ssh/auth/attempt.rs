//! One key, offered to the node.

use std::fs;

use ssh2::ErrorCode;

use super::Login;
use super::Outcome;
use super::takes_keys;
use crate::model::Secret;
use crate::transport::ConnectError;
use crate::transport::KeyProblem;
use crate::transport::known_hosts::Certificate;
use crate::transport::ssh::key::PrivateKey;
use crate::transport::ssh::key::Protection;
use crate::transport::ssh::key::public_line;
use crate::transport::ssh::step::StepError;

/// `LIBSSH2_ERROR_AUTHENTICATION_FAILED`: the node refused a key on sight, or an answer.
pub(super) const AUTHENTICATION_FAILED: i32 = -18;
/// `LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED`: libssh2's code for every other problem of a key; the text distinguishes them.
const PUBLICKEY_UNVERIFIED: i32 = -19;
/// `LIBSSH2_ERROR_FILE`: the private key can't be read, or its passphrase is wrong.
const FILE: i32 = -16;

impl Login<'_> {
    /// Tries one private key, first under its certificate if it has one.
    pub(super) fn with_private_key(
        &mut self,
        key: &PrivateKey,
    ) -> Result<Result<Outcome, KeyProblem>, ConnectError> {
        let name = key.path.display().to_string();
        let plain = key
            .public
            .as_ref()
            .map(|key| format!("{} {}", key.algorithm(), key.to_base64()));
        let certificates = self.certificates(key);
        let certified = certificates
            .iter()
            .map(|(name, line)| (name.clone(), Some(line)));
        let offers = certified.chain([(name, plain.as_ref())]);
        for (name, public) in offers {
            let public = public.map(String::as_str);
            let user = self.user.clone();
            let session = self.wire.session.clone();
            let sign = |passphrase: Option<&str>| {
                session.userauth_pubkey_memory(&user, public, &key.text, passphrase)
            };
            let outcome = match key.protection {
                Protection::Clear => match self.attempt(&name, || sign(None))? {
                    Outcome::Unsigned => return Ok(Err(KeyProblem::NotAKey)),
                    outcome => outcome,
                },
                Protection::Encrypted => {
                    // Without a passphrase the node is asked about the public half only, if that is known in clear.
                    let wanted = match public {
                        Some(_) => self.attempt(&name, || sign(None))?,
                        None => Outcome::Unsigned,
                    };
                    match (wanted, self.vault_passphrase(wanted, key)) {
                        (Outcome::Unsigned, None) => return Ok(Err(KeyProblem::PassphraseNeeded)),
                        (Outcome::Unsigned, Some(passphrase)) => {
                            match self.attempt(&name, || sign(Some(passphrase.expose())))? {
                                Outcome::Unsigned => return Ok(Err(KeyProblem::PassphraseWrong)),
                                outcome => outcome,
                            }
                        }
                        (outcome, _) => outcome,
                    }
                }
            };
            match outcome {
                Outcome::LoggedIn | Outcome::FirstFactor => return Ok(Ok(outcome)),
                _ => self.tried.push(format!("{name}: refused")),
            }
        }
        Ok(Ok(Outcome::Refused))
    }

    /// The certificates of a key, each with its name: the configured ones, and the one beside it.
    fn certificates(&self, key: &PrivateKey) -> Vec<(String, String)> {
        let mut certificates = Vec::new();
        for path in &self.hop.certificates {
            let line = fs::read_to_string(path).unwrap_or_default();
            let certified = public_line(&line).and_then(|it| Certificate::read(&it));
            if certified.is_some_and(|it| key.public.as_ref().is_none_or(|key| *key == it.key)) {
                certificates.push((path.display().to_string(), line.trim().to_owned()));
            }
        }
        let beside = key.certificate.as_ref();
        let known = |line: &&String| certificates.iter().all(|(_, other)| other != *line);
        if let Some(line) = beside.filter(known) {
            certificates.push((format!("{}-cert.pub", key.path.display()), line.clone()));
        }
        certificates
    }

    fn vault_passphrase(&self, wanted: Outcome, key: &PrivateKey) -> Option<Secret> {
        (wanted == Outcome::Unsigned)
            .then(|| self.vault.passphrase(&key.path))
            .flatten()
    }

    /// One try, as far as the node's answer.
    pub(super) fn attempt(
        &mut self,
        name: &str,
        step: impl FnMut() -> Result<(), ssh2::Error>,
    ) -> Result<Outcome, ConnectError> {
        match self.retry_eagain(step) {
            Ok(()) => Ok(Outcome::LoggedIn),
            Err(StepError::Ssh(error)) => match (error.code(), error.message()) {
                (ErrorCode::Session(AUTHENTICATION_FAILED), _) => Ok(Outcome::Refused),
                (ErrorCode::Session(FILE), _) => Ok(Outcome::Unsigned),
                (ErrorCode::Session(PUBLICKEY_UNVERIFIED), said)
                    if said.starts_with("Callback") =>
                {
                    Ok(Outcome::Unsigned)
                }
                // It wanted the key and did not let its signature in, or not alone: then it has changed its mind about the methods.
                (ErrorCode::Session(PUBLICKEY_UNVERIFIED), said) if said.starts_with("Invalid") => {
                    let wants = self.methods()?;
                    if wants == self.accepts || takes_keys(&wants) {
                        return Ok(Outcome::Refused);
                    }
                    self.took = Some(name.to_owned());
                    self.accepts = wants;
                    Ok(Outcome::FirstFactor)
                }
                // sshd counts each refused key and disconnects at MaxAuthTries. libssh2 drops the reason that it gives.
                _ if !self.tried.is_empty() => {
                    self.tried.push(format!("{name}: not answered"));
                    let tried = std::mem::take(&mut self.tried);
                    Err(ConnectError::TooManyKeys {
                        at: self.place(),
                        user: self.user.clone(),
                        tried,
                    })
                }
                _ => Err(self.halted(StepError::Ssh(error))),
            },
            Err(halt) => Err(self.halted(halt)),
        }
    }
}
