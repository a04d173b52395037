//! What the programs of a node are put together from.

/// The functions that every program that changes a node is made of.
pub(super) const LIBRARY: &str = concat!(
    include_str!("base.sh"),
    include_str!("firewalld.sh"),
    include_str!("docker.sh"),
    include_str!("latch.sh"),
    include_str!("tables.sh"),
    include_str!("chain.sh"),
    include_str!("reload.sh"),
    include_str!("runtime.sh"),
    include_str!("arm.sh"),
);

/// Taking steps, and telling how far it came.
pub(super) const STEPS: &str = include_str!("steps.sh");

/// Confirming a run, and asking for the way back.
pub(super) const DISARM: &str = include_str!("disarm.sh");

/// The way back.
pub(super) const RESTORE: &str = include_str!("restore.sh");

/// Making a node fit for a run.
pub(super) const RECOVER: &str = include_str!("recover.sh");

/// Going to an older snapshot.
pub(super) const ROLLBACK: &str = include_str!("rollback.sh");
