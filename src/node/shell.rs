//! What the programs of a node are put together from.

/// The awk programs of these names, each as a function that takes awk's options and reads stdin. None has a single quote in it.
macro_rules! awk {
    ($($name:literal)*) => {
        concat!($(
            "\nawk_", $name, "() {\n    awk \"$@\" '\n",
            include_str!(concat!("awk/", $name, ".awk")),
            "'\n}\n"
        ),*)
    };
}

/// The Python program of these files, one after the other, as a function that takes the interpreter and the arguments. The program has no
/// single quote in it. Nothing is written (`-B`), and neither the environment nor anybody's own packages count (`-E`, `-s`, `-S`). One that is
/// `in_background` is to be started there: it takes the place of the shell that runs the function.
macro_rules! python {
    (in_background $function:literal, $($name:literal)*) => { python!(@ "exec ", $function, $($name)*) };
    ($function:literal, $($name:literal)*) => { python!(@ "", $function, $($name)*) };
    (@ $how:literal, $function:literal, $($name:literal)*) => {
        concat!(
            "\npython_",
            $function,
            "() {\n    local interpreter=\"$1\"\n    shift\n    ",
            $how,
            "\"$interpreter\" -BEsS -c '\n",
            $(include_str!(concat!("python/", $name, ".py")),)*
            "' \"$@\"\n}\n"
        )
    };
}

/// Reading a node.
pub(super) const PROBE: &str = concat!(
    include_str!("records.sh"),
    "\n",
    include_str!("interpreter.sh"),
    "\n",
    include_str!("nft.sh"),
    awk!("firewalld_nft"),
    python!("daemons", "look" "limits" "frame" "docker_api" "docker" "bus" "daemons"),
    "\n",
    include_str!("probe.sh"),
);

/// What a program needs that ends a run, or has it taken back.
macro_rules! lease {
    () => {
        concat!(
            include_str!("base.sh"),
            "\n",
            include_str!("records.sh"),
            "\n",
            include_str!("lease.sh"),
        )
    };
}

/// The beginning of [`LIBRARY`]: for programs that end a run or have it taken back, and change nothing else.
pub(super) const LEASE: &str = lease!();

/// The functions that every program that changes a node is made of.
pub(super) const LIBRARY: &str = concat!(
    lease!(),
    "\n",
    include_str!("interpreter.sh"),
    "\n",
    include_str!("nft.sh"),
    "\n",
    include_str!("bus.sh"),
    "\n",
    include_str!("firewalld.sh"),
    python!(in_background "bus_calls", "calls" "limits" "bus" "bus_calls"),
    "\n",
    include_str!("docker.sh"),
    python!("docker_query", "query" "limits" "docker_api" "docker_query"),
    "\n",
    include_str!("latch.sh"),
    "\n",
    "guard_unit_text='",
    include_str!("../model/guard/fwdeploy-guard.service"),
    "'\n",
    include_str!("guard.sh"),
    "\n",
    include_str!("tables.sh"),
    "\n",
    include_str!("chain.sh"),
    "\n",
    include_str!("reload.sh"),
    "\n",
    include_str!("runtime.sh"),
    "\n",
    include_str!("picture.sh"),
    "\n",
    include_str!("snapshot.sh"),
    "\n",
    include_str!("arm.sh"),
    awk!(
        "bus_answers" "chain_and_jumps" "docker_differences" "guard_text" "is_flushed" "jump_places" "lacking_rules"
        "missing_docker_rules" "move_jump" "normalise" "only_in" "picture_in_order" "relink_chain" "runtime_values" "seen_checksum"
        "table_lines" "unlink_chain" "url_encode" "with_blanks" "with_chain" "with_devices"
    ),
);

/// Taking steps, and telling how far it came.
pub(super) const STEPS: &str = include_str!("steps.sh");

/// Confirming a run, and requesting its rollback.
pub(super) const DISARM: &str = include_str!("disarm.sh");

/// Removing the records.
pub(super) const PURGE: &str = include_str!("purge.sh");

/// The rollback.
pub(super) const RESTORE: &str = concat!(
    include_str!("restore.sh"),
    "\n",
    include_str!("restore/files.sh"),
    "\n",
    include_str!("restore/docker.sh"),
    "\n",
    include_str!("restore/rules.sh"),
);

/// Making a node fit for a run.
pub(super) const RECOVER: &str = include_str!("recover.sh");

/// Going to an older snapshot.
pub(super) const ROLLBACK: &str = include_str!("rollback.sh");

/// Each available shell; the nodes of the lab have all three.
#[cfg(test)]
pub(super) fn shells() -> Vec<&'static [&'static str]> {
    let all: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "ash"]];
    let there = |shell: &&[&str]| {
        let mut command = std::process::Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", ":"]).output().is_ok()
    };
    all.into_iter().filter(there).collect()
}

/// Every available shell can read this script without a message.
#[cfg(test)]
pub(super) fn in_every_shell(script: &str) {
    // By a file: a word of a command line holds 128 KiB, and an arming script is longer.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("script.sh");
    std::fs::write(&file, script).expect("a script");
    for shell in shells() {
        let mut command = std::process::Command::new(shell[0]);
        let output = command.args(&shell[1..]).arg("-n").arg(&file).output();
        let output = output.expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{shell:?}: {said}"
        );
    }
}
