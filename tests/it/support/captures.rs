//! The captures of `tests/captures`, read.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::LazyLock;

use fwdeploy::model::NodeState;
use fwdeploy::probe::observe;

/// What one node answered in one situation.
pub struct Capture {
    /// `SUITE-BACKEND/SITUATION`.
    pub name: String,
    /// What it answered.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: Vec<u8>,
}

impl Capture {
    /// What was done to the node before.
    pub fn situation(&self) -> &str {
        self.name.split_once('/').unwrap().1
    }

    /// The parsed state.
    pub fn read(&self) -> NodeState {
        observe(&self.stdout, &self.stderr).unwrap_or_else(|why| panic!("{}: {why}", self.name))
    }
}

/// All captures, read once.
pub fn captures() -> &'static [Capture] {
    static CAPTURES: LazyLock<Vec<Capture>> = LazyLock::new(read_all);
    &CAPTURES
}

fn read_all() -> Vec<Capture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap()) {
        if folder.path().is_dir() {
            let files = fs::read_dir(folder.path()).unwrap();
            paths.extend(files.map(|file| file.unwrap().path()));
        }
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "stdout"));
    paths.sort();
    let captures: Vec<Capture> = paths
        .iter()
        .map(|path| Capture {
            name: path
                .strip_prefix(&root)
                .unwrap()
                .with_extension("")
                .to_string_lossy()
                .into_owned(),
            stdout: fs::read(path).unwrap(),
            stderr: fs::read(path.with_extension("stderr")).unwrap(),
        })
        .collect();
    assert!(!captures.is_empty());
    captures
}
