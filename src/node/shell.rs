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
    include_str!("picture.sh"),
    include_str!("snapshot.sh"),
    include_str!("arm.sh"),
);

/// Taking steps, and telling how far it came.
pub(super) const STEPS: &str = include_str!("steps.sh");

/// Confirming a run, and asking for the way back.
pub(super) const DISARM: &str = include_str!("disarm.sh");

/// The way back.
pub(super) const RESTORE: &str = concat!(
    include_str!("restore.sh"),
    include_str!("restore/files.sh"),
    include_str!("restore/docker.sh"),
    include_str!("restore/rules.sh"),
);

/// Making a node fit for a run.
pub(super) const RECOVER: &str = include_str!("recover.sh");

/// Going to an older snapshot.
pub(super) const ROLLBACK: &str = include_str!("rollback.sh");

/// Every shell at hand can read this script, and has nothing to say about it.
#[cfg(test)]
pub(super) fn in_every_shell(script: &str) {
    for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "ash"]] {
        let mut command = std::process::Command::new(shell[0]);
        command.args(&shell[1..]).args(["-n", "-c", script]);
        // Not every machine has every shell; the lab's nodes have all three.
        if let Ok(output) = command.output() {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && said.is_empty(),
                "{shell:?}: {said}"
            );
        }
    }
}
