//! The real Ansible, in a virtual environment of its own.

use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use fwdeploy::inventory::programs::ProgramError;
use serde_json::Value;

use crate::venv;

/// What is compared with.
pub const VERSION: &str = "2.19.14";

/// The Python of the environment.
fn python() -> PathBuf {
    venv::python("ansible-core", &[("ansible-core", VERSION)])
}

/// Asks `tests/parity/answers.py`.
pub fn ask(question: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/answers.py");
    let home = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(python())
        .arg(script)
        .current_dir(home.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_DEPRECATION_WARNINGS", "false")
        .env("FWDEPLOY_PARITY", "from the environment")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("its input");
    let text = question.to_string();
    // The answer comes after the question was read as a whole.
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let out = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&out.stderr);
    serde_json::from_slice(&out.stdout).unwrap_or_else(|wrong| panic!("{wrong}\n{errors}"))
}

/// Runs inventory scripts and Ansible's own programs.
pub struct Programs;

impl fwdeploy::inventory::programs::Programs for Programs {
    fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Vec<u8>, ProgramError> {
        /// What execve(2) says of a text without `#!`.
        const NO_PROGRAM: i32 = 8;
        let failed = |what: String| ProgramError::Failed {
            what,
            stderr: String::new(),
        };
        let ran = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output();
        match ran {
            Ok(ran) if ran.status.success() => Ok(ran.stdout),
            Ok(ran) => Err(failed(String::from_utf8_lossy(&ran.stderr).into_owned())),
            Err(error) if error.raw_os_error() == Some(NO_PROGRAM) => {
                Err(ProgramError::NotAProgram)
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        Some(python().with_file_name(name))
    }
}

/// A value, or that there is none.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// A value.
    Value(Value),
    /// A mistake, in the program's own words.
    Error(String),
}

impl Answer {
    /// An answer of `answers.py`.
    pub fn of(json: &Value) -> Self {
        match json.get("value") {
            Some(value) => Answer::Value(value.clone()),
            None => Answer::Error(json["error"].as_str().unwrap_or_default().to_string()),
        }
    }

    /// Whether both have the same value, or both none.
    pub fn agrees(&self, other: &Answer) -> bool {
        match (self, other) {
            (Answer::Value(one), Answer::Value(other)) => one == other,
            (Answer::Error(_), Answer::Error(_)) => true,
            _ => false,
        }
    }
}
