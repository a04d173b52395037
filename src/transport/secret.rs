//! Passwords and passphrases: asked for once.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use crate::model::Secret;

/// What a server wants to know from the person who logs in, such as a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPrompt {
    /// The server, as messages name it.
    pub at: String,
    /// The user to log in as.
    pub user: String,
    /// The server's words. It is authenticated, but the words are not ours: not to be printed raw.
    pub text: String,
    /// Whether the answer may be seen while it is typed.
    pub echo: bool,
}

/// A source of secrets: the person at the terminal, or the inventory.
///
/// `None` means that there is no one to ask, or that no answer was given. [`SystemTransport`](super::SystemTransport) asks at most once for each key and for
/// each node in a run, but for several of them at the same time from several threads.
pub trait Secrets: Send + Sync {
    /// The passphrase of a private key file.
    fn passphrase(&self, key: &Path) -> Option<Secret>;

    /// The password with which sudo on this node lets the login user in.
    fn become_password(&self, node: &str) -> Option<Secret>;

    /// The password to log in with on this node (`ansible_password`, `-k`).
    fn login_password(&self, node: &str) -> Option<Secret> {
        let _ = node;
        None
    }

    /// The person's answer to a server's question. It is asked for each time.
    fn answer(&self, question: &LoginPrompt) -> Option<Secret> {
        let _ = question;
        None
    }
}

/// Remembers the answers, including refusals, so twenty threads ask once.
pub(super) struct SecretCache {
    secrets: Box<dyn Secrets>,
    passphrases: Drawer<PathBuf>,
    passwords: Drawer<String>,
    login_passwords: Drawer<String>,
    silent_agent: OnceLock<String>,
}

type Drawer<K> = Mutex<BTreeMap<K, Arc<OnceLock<Option<Secret>>>>>;

impl SecretCache {
    pub(super) fn new(secrets: Box<dyn Secrets>) -> Self {
        Self {
            secrets,
            passphrases: Mutex::default(),
            passwords: Mutex::default(),
            login_passwords: Mutex::default(),
            silent_agent: OnceLock::new(),
        }
    }

    /// What there is to say of an agent that kept silent in this run.
    pub(super) fn silent_agent(&self) -> Option<String> {
        self.silent_agent.get().cloned()
    }

    /// Spares the other nodes the wait for an agent that keeps silent.
    pub(super) fn remember_silent_agent(&self, why: &str) {
        let _ = self.silent_agent.set(why.to_owned());
    }

    pub(super) fn passphrase(&self, key: &Path) -> Option<Secret> {
        once(&self.passphrases, key.to_owned(), || {
            self.secrets.passphrase(key)
        })
    }

    pub(super) fn become_password(&self, node: &str) -> Option<Secret> {
        once(&self.passwords, node.to_owned(), || {
            self.secrets.become_password(node)
        })
    }

    pub(super) fn login_password(&self, node: &str) -> Option<Secret> {
        once(&self.login_passwords, node.to_owned(), || {
            self.secrets.login_password(node)
        })
    }

    /// Codes are good for one login: no answer is remembered.
    pub(super) fn answer(&self, question: &LoginPrompt) -> Option<Secret> {
        self.secrets.answer(question)
    }
}

fn once<K: Ord>(
    drawer: &Drawer<K>,
    key: K,
    ask: impl FnOnce() -> Option<Secret>,
) -> Option<Secret> {
    // The lock is released before asking: a person who thinks about one key must not delay the threads that need another.
    let slot = Arc::clone(
        drawer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_default(),
    );
    slot.get_or_init(ask).clone()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::Duration;

    use super::*;

    struct Counting(Arc<AtomicUsize>);

    impl Secrets for Counting {
        fn passphrase(&self, _: &Path) -> Option<Secret> {
            self.0.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
            Some(Secret::new("correct horse".to_owned()))
        }

        fn become_password(&self, _: &str) -> Option<Secret> {
            self.0.fetch_add(1, Ordering::SeqCst);
            None
        }
    }

    #[test]
    fn twenty_threads_ask_for_one_passphrase_once() {
        let asked = Arc::new(AtomicUsize::new(0));
        let vault = SecretCache::new(Box::new(Counting(Arc::clone(&asked))));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let secret = vault.passphrase(Path::new("/k")).expect("the fake answers");
                    assert_eq!(secret.expose(), "correct horse");
                });
            }
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_refusal_is_remembered_too() {
        let asked = Arc::new(AtomicUsize::new(0));
        let vault = SecretCache::new(Box::new(Counting(Arc::clone(&asked))));
        assert_eq!(vault.become_password("edge-1"), None);
        assert_eq!(vault.become_password("edge-1"), None);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(vault.become_password("edge-2"), None);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn debug_does_not_show_a_secret() {
        assert_eq!(
            format!("{:?}", Secret::new("hunter2".to_owned())),
            "Secret(…)"
        );
    }
}
