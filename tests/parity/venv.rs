//! Programs from PyPI, in virtual environments of their own below `target/`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The Python of an environment with these packages (name and version), which is made if it is not there.
pub fn python(name: &str, packages: &[(&str, &str)]) -> PathBuf {
    let target = option_env!("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let versions: Vec<&str> = packages.iter().map(|(_, version)| *version).collect();
    let folder = target.join(format!("{name}-{}", versions.join("-")));
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    fs::create_dir_all(&target).expect("the target directory can be made");
    // Several tests may want it at once, each in a process of its own.
    let lock = fs::File::create(target.join(format!("{name}.lock"))).expect("a lock");
    lock.lock().expect("the lock is taken");
    if !ready.exists() {
        let _ = fs::remove_dir_all(&folder);
        let packages = packages
            .iter()
            .map(|(name, version)| format!("{name}=={version}"));
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(packages));
        fs::write(&ready, versions.join(" ")).expect("the environment is marked");
    }
    python
}

fn run(command: &mut Command) {
    let out = command.output();
    let out = out.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        out.status.success(),
        "what is compared with could not be installed: it takes Python's venv, and PyPI or a registry in its place that pip can \
         reach\n{command:?}\n{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}
