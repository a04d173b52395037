//! What the roles of a node require, compiled when it is asked for.
//!
//! A fleet keeps the policies of its nodes, which are small, and compiles them one by one. Nodes with the same policies share them, and what
//! they are compiled to.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use openssl::hash::Hasher;
use openssl::hash::MessageDigest;

use crate::engine::Requires;
use crate::model::Desired;
use crate::policy::NodeContext;
use crate::policy::compile_checked;
use crate::role::Policy;

/// How many rules of shared states are kept for the next node: some tens of megabytes.
const KEPT_RULES: usize = 50_000;

/// Policies in which no contradiction was found, and what they require.
pub(super) struct LazyDesired {
    policies: Arc<Vec<Policy>>,
    context: NodeContext,
    /// What they were compiled to, as long as somebody has it.
    compiled: Mutex<Weak<Desired>>,
    hash: OnceLock<String>,
    /// Whether it is required of more than one node.
    is_shared: AtomicBool,
    recent: Arc<Recent>,
}

/// What was compiled last and other nodes need too.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Arc<Desired>>>);

impl Recent {
    /// Keeps a state, and lets go of the oldest ones where there are too many.
    fn keep(&self, desired: &Arc<Desired>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Arc::clone(desired));
        let rules = |kept: &VecDeque<Arc<Desired>>| {
            let rules = kept.iter().map(|one| one.rules.len());
            rules.sum::<usize>()
        };
        while kept.len() > 1 && rules(&kept) > KEPT_RULES {
            kept.pop_front();
        }
    }
}

impl LazyDesired {
    /// What policies require of one node.
    pub(super) fn new(
        policies: Arc<Vec<Policy>>,
        context: NodeContext,
        recent: &Arc<Recent>,
    ) -> Self {
        LazyDesired {
            policies,
            context,
            compiled: Mutex::default(),
            hash: OnceLock::new(),
            is_shared: AtomicBool::new(false),
            recent: Arc::clone(recent),
        }
    }

    /// The same for one more node.
    pub(super) fn shared(self: &Arc<Self>) -> Arc<Self> {
        self.is_shared.store(true, Ordering::Relaxed);
        Arc::clone(self)
    }

    /// Whether it is the same for a node that is reached as `context` says.
    pub(super) fn is_for(&self, context: &NodeContext) -> bool {
        let zone = |context: &NodeContext| context.zone.as_ref().map(|zone| zone.value.clone());
        self.context.ssh_port == context.ssh_port
            && self.context.ipsets == context.ipsets
            && zone(&self.context) == zone(context)
    }
}

impl Requires for LazyDesired {
    fn desired(&self) -> Arc<Desired> {
        // Who comes second waits for the first, and does not compile the same once more.
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desired) = compiled.upgrade() {
            return desired;
        }
        let desired = Arc::new(compile_checked(&self.policies, &self.context));
        *compiled = Arc::downgrade(&desired);
        if self.is_shared.load(Ordering::Relaxed) {
            self.recent.keep(&desired);
        }
        desired
    }

    fn policy(&self) -> String {
        self.hash.get_or_init(|| hash(&self.desired())).clone()
    }
}

/// Shows no policy: a peer may be secret.
impl fmt::Debug for LazyDesired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LazyDesired({})", self.context.node)
    }
}

/// Returns the first 16 hex digits of the SHA-256 of a desired state.
pub(super) fn hash(desired: &Desired) -> String {
    let digest = || -> Option<_> {
        let hasher = Hasher::new(MessageDigest::sha256()).ok()?;
        let mut writer = io::BufWriter::new(hasher);
        serde_json::to_writer(&mut writer, desired).ok()?;
        writer.into_inner().ok()?.finish().ok()
    };
    let bytes = digest().map(|digest| digest[..8].to_vec());
    let bytes = bytes.unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use openssl::hash::hash as digest;

    use super::*;

    #[test]
    fn another_policy_has_another_hash() {
        let some = Desired::default();
        let other = Desired {
            zone: Some("public".to_string()),
            ..Desired::default()
        };
        assert_eq!(hash(&some), hash(&some.clone()));
        assert_ne!(hash(&some), hash(&other));
        assert_eq!(hash(&some).len(), 16);
    }

    /// Nodes have it in their records, and scripts compare it.
    #[test]
    fn the_hash_is_that_of_the_whole_document() {
        let some = Desired::default();
        let text = serde_json::to_vec(&some).unwrap();
        let whole = digest(MessageDigest::sha256(), &text).unwrap();
        let hex = whole.iter().map(|byte| format!("{byte:02x}"));
        assert_eq!(hash(&some), hex.collect::<String>()[..16]);
    }
}
