//! Values that ansible-vault has encrypted, and secrets that a command prints: each is opened when it is asked for, and once.
//!
//! Among the variables such a value is a tagged one, as it was written: [`kind_of`] tells which. It can be copied, merged and listed
//! without being opened. Only [`Vault::open`] and [`Vault::run`] make text of it, which they return as a [`Secret`].
//!
//! ```text
//! envelope (text → salt, HMAC, ciphertext) ─▶ cipher (one password) ─▶ Vault (all passwords, each value once)
//! ```

mod cipher;
mod command;
mod envelope;
mod failure;
mod listed;
mod locked;
mod secret_value;
mod source;
mod taint;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;

use zeroize::Zeroizing;

pub(super) use self::command::expand;
use self::envelope::Envelope;
pub(super) use self::envelope::is_encrypted;
use self::failure::Failure;
pub use self::listed::listed;
pub(super) use self::locked::locked;
pub(super) use self::locked::take_locked;
pub use self::secret_value::SecretValue;
pub use self::secret_value::kind_of;
pub use self::secret_value::opened;
pub(super) use self::secret_value::vault_value;
pub use self::source::CommandFailure;
pub use self::source::NoSecrets;
pub use self::source::SecretSource;
pub use self::source::VaultIdentity;
pub use self::taint::Taint;
pub use self::taint::taint_of;
use super::error::InputError;
use super::location::Location;
use super::location::Source;
use super::location::Span;
use crate::model::Secret;

/// Opens encrypted values with the vault passwords of a [`SecretSource`], and runs its commands.
///
/// A password is asked for when the first value needs it, and once; a value is opened once, however many nodes have it.
pub struct Vault {
    source: Box<dyn SecretSource>,
    identities: Vec<VaultIdentity>,
    /// For each identity its password, or why there is none.
    passwords: Vec<OnceLock<Result<Secret, String>>>,
    opened: Mutex<BTreeMap<String, Result<Secret, Failure>>>,
    printed: Mutex<BTreeMap<Vec<String>, Result<Secret, CommandFailure>>>,
}

impl Vault {
    /// A vault with the passwords and commands of `source`. Nothing is asked for yet.
    pub fn new(source: impl SecretSource + 'static) -> Arc<Self> {
        let identities = source.identities();
        Arc::new(Self {
            passwords: identities.iter().map(|_| OnceLock::new()).collect(),
            identities,
            source: Box::new(source),
            opened: Mutex::default(),
            printed: Mutex::default(),
        })
    }

    /// Opens an encrypted value: the text of a `!vault` value, which is at `location`.
    ///
    /// # Errors
    ///
    /// There is no password, none of them is the right one, or the text is damaged. The error is at the place of the damage.
    pub fn open(&self, text: &str, location: &Location) -> Result<Secret, InputError> {
        let known = held(&self.opened).get(text).cloned();
        let result = match known {
            Some(known) => known,
            None => {
                let result = self.open_text(text);
                if let Ok(secret) = &result {
                    self.source.revealed(secret.expose());
                }
                held(&self.opened).insert(text.to_owned(), result.clone());
                result
            }
        };
        result.map_err(|failure| failure.at(text, location))
    }

    /// Opens a file that is encrypted as a whole. What is in it is not [revealed](SecretSource::revealed): it holds variables, some of
    /// which are addresses that every report shows.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(super) fn open_file(&self, name: &str, text: &str) -> Result<Source, InputError> {
        let whole = || {
            let span = Span {
                start: 0,
                end: text.len(),
            };
            Location::new(Arc::new(Source::file(name, text)), span)
        };
        let bytes = self
            .open_bytes(text)
            .map_err(|failure| failure.at(text, &whole()))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::not_text("the file").at(text, &whole()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Source::decrypted(name, text))
    }

    /// The line that a command prints. It is run at most once, whoever asks.
    ///
    /// # Errors
    ///
    /// It cannot be run, fails, takes too long, or does not print one line.
    pub fn run(&self, command: &[String], location: &Location) -> Result<Secret, InputError> {
        let known = held(&self.printed).get(command).cloned();
        let result = match known {
            Some(known) => known,
            None => {
                let result = self.source.run(command);
                if let Ok(secret) = &result {
                    self.source.revealed(secret.expose());
                }
                held(&self.printed).insert(command.to_vec(), result.clone());
                result
            }
        };
        result.map_err(|failure| {
            let error = InputError::at(location.clone(), failure.message);
            match failure.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }

    /// Says that a text was made from secrets, and is one too: the single addresses of a list that was opened.
    pub fn reveal(&self, text: &str) {
        self.source.revealed(text);
    }

    fn open_text(&self, text: &str) -> Result<Secret, Failure> {
        let bytes = self.open_bytes(text)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Failure::not_text("the value"))?;
        Ok(Secret::new(text))
    }

    fn open_bytes(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.try_passwords(text, self.identities.len())
    }

    /// Tries the first `count` identities: first those with the value's own vault id, then the others, each in their order.
    fn try_passwords(&self, text: &str, count: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let envelope = Envelope::parse(text)?;
        let id = envelope.id.as_deref().unwrap_or(VaultIdentity::DEFAULT);
        let matching = |index: &usize| self.identities[*index].label == id;
        let mut order: Vec<usize> = (0..count).filter(matching).collect();
        if !self.source.is_id_matched() {
            order.extend((0..count).filter(|index| !matching(index)));
        }
        let mut tried = Vec::new();
        let mut missing = Vec::new();
        for index in order {
            let identity = &self.identities[index];
            match self.password(index) {
                Ok(password) => match cipher::open(&envelope, &password)? {
                    Some(bytes) => return Ok(bytes),
                    None => tried.push(identity.to_string()),
                },
                Err(why) => missing.push(why),
            }
        }
        Err(Failure::closed(id, &tried, &missing))
    }

    /// The password of an identity, asked for once. Its file may be encrypted itself, with the password of an earlier one.
    fn password(&self, index: usize) -> Result<Secret, String> {
        let ask = || {
            let identity = &self.identities[index];
            let password = self.source.password(identity)?;
            if !is_encrypted(password.expose()) {
                return Ok(password);
            }
            let of = |why: &str| format!("{identity}: the password is itself encrypted, and {why}");
            let bytes = self
                .try_passwords(password.expose(), index)
                .map_err(|failure| of(failure.message()))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| of("is no text"))?;
            Ok(Secret::new(text.trim_matches(['\r', '\n'])))
        };
        self.passwords[index].get_or_init(ask).clone()
    }
}

/// The guard of a value that one thread works with; a panic in it ends the program.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Never shows what is in it.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("identities", &self.identities)
            .finish_non_exhaustive()
    }
}
