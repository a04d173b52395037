//! Runs the programs that an inventory is asked of, without a shell, for a limited time.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::inventory::document::MAX_FILE_BYTES;
use crate::inventory::programs::ProgramError;
use crate::inventory::programs::Programs;

/// How long an inventory script may take. Those that ask a cloud take many seconds.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// How much of stderr is kept: its end.
const STDERR_BYTES: usize = 4096;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The programs of this machine.
pub(super) struct SystemPrograms {
    time_limit: Duration,
}

impl SystemPrograms {
    pub(super) fn new() -> Self {
        Self {
            time_limit: TIME_LIMIT,
        }
    }
}

impl Programs for SystemPrograms {
    fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Vec<u8>, ProgramError> {
        // `execvp` of the C library hands any other file to a shell, which would run an inventory's lines.
        if !is_program(program) {
            return Err(ProgramError::NotAProgram);
        }
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| failed(format!("cannot be executed: {error}"), Vec::new()))?;
        let stdout = child
            .stdout
            .take()
            .map(|pipe| all_of(pipe, Keep::Beginning(MAX_FILE_BYTES as usize)));
        let stderr = child
            .stderr
            .take()
            .map(|pipe| all_of(pipe, Keep::End(STDERR_BYTES)));
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(failed("has no output".to_owned(), Vec::new()));
        };
        let deadline = Instant::now() + self.time_limit;
        let ended = wait(&mut child, deadline);
        // What it has started may hold its pipes open: what has come until then is enough.
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(200));
        let errors = || {
            stderr
                .recv_timeout(left.min(Duration::from_secs(1)))
                .unwrap_or_default()
        };
        let status = match ended {
            Ok(Some(status)) => status,
            Ok(None) => {
                let seconds = self.time_limit.as_secs();
                return Err(failed(
                    format!("took longer than {seconds} s and was ended"),
                    errors().bytes,
                ));
            }
            Err(error) => {
                return Err(failed(
                    format!("could not be waited for: {error}"),
                    Vec::new(),
                ));
            }
        };
        if !status.success() {
            return Err(failed(how_ended(status), errors().bytes));
        }
        match stdout.recv_timeout(left) {
            Ok(output) if output.is_whole => Ok(output.bytes),
            Ok(_) => {
                let mib = MAX_FILE_BYTES / 1024 / 1024;
                Err(failed(
                    format!("printed more than {mib} MiB"),
                    errors().bytes,
                ))
            }
            Err(_) => Err(failed(
                "ended, but something that it has started keeps its output open".to_owned(),
                errors().bytes,
            )),
        }
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let mut candidates = std::env::split_paths(&path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name));
        candidates.find(|file| {
            let metadata = file.metadata();
            metadata.is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        })
    }
}

fn failed(what: String, stderr: Vec<u8>) -> ProgramError {
    ProgramError::Failed {
        what,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

fn how_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not end well".to_owned(),
    }
}

/// Returns whether the system can execute a file by itself: it names its interpreter, or is a binary.
fn is_program(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut beginning));
    // A program that may be executed and not read is none that the user wrote.
    match read {
        Ok(_) => beginning.starts_with(b"#!") || beginning == b"\x7fELF",
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

/// Waits for the end of a program, and ends it if that does not come in time.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Which part of an output is kept if it is too long.
#[derive(Clone, Copy)]
enum Keep {
    Beginning(usize),
    End(usize),
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    is_whole: bool,
}

/// Reads a pipe to its end, in a thread of its own: a program that fills one pipe would wait for ever while another one is read.
fn all_of(mut pipe: impl Read + Send + 'static, keep: Keep) -> Receiver<Output> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = Output {
            bytes: Vec::new(),
            is_whole: true,
        };
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            output.bytes.extend_from_slice(&buffer[..count]);
            match keep {
                Keep::Beginning(most) if output.bytes.len() > most => {
                    output.bytes.truncate(most);
                    output.is_whole = false;
                }
                Keep::End(most) if output.bytes.len() > 2 * most => {
                    output.bytes.drain(..output.bytes.len() - most);
                    output.is_whole = false;
                }
                _ => {}
            }
        }
        // The receiver may have given up.
        let _ = sender.send(output);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn script(text: &str, time_limit: Duration) -> Result<String, ProgramError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let output = SystemPrograms { time_limit }.run(&path, &["--list"], &[("NAMED", "x")])?;
        Ok(String::from_utf8(output).unwrap())
    }

    const SECONDS: Duration = Duration::from_secs(20);

    #[test]
    fn a_script_gets_its_arguments_and_environment() {
        let said = script("#!/bin/sh\necho \"$1 $NAMED\"\n", SECONDS);
        assert_eq!(said.unwrap(), "--list x\n");
    }

    #[test]
    fn a_text_with_an_executable_bit_is_never_given_to_a_shell() {
        let said = script("touch /tmp/never\necho {}\n", SECONDS);
        assert_eq!(said.unwrap_err(), ProgramError::NotAProgram);
    }

    #[test]
    fn a_failure_tells_the_end_of_stderr() {
        let said = script("#!/bin/sh\nseq 5000 >&2\nexit 3\n", SECONDS);
        let ProgramError::Failed { what, stderr } = said.unwrap_err() else {
            panic!("it failed");
        };
        assert_eq!(what, "exited with 3");
        assert!(stderr.ends_with("4999\n5000\n") && stderr.len() <= 2 * STDERR_BYTES);
    }

    #[test]
    fn a_script_that_takes_too_long_is_ended_though_its_children_live_on() {
        let begun = Instant::now();
        let said = script(
            "#!/bin/sh\nsleep 8 &\nsleep 8\n",
            Duration::from_millis(300),
        );
        let ProgramError::Failed { what, .. } = said.unwrap_err() else {
            panic!("it failed");
        };
        assert!(what.contains("was ended"), "{what}");
        assert!(begun.elapsed() < Duration::from_secs(6));
    }

    #[test]
    fn more_output_than_a_file_may_have_is_refused() {
        let said = script("#!/bin/sh\nhead -c 9000000 /dev/zero\n", SECONDS);
        let ProgramError::Failed { what, .. } = said.unwrap_err() else {
            panic!("it failed");
        };
        assert_eq!(what, "printed more than 8 MiB");
    }
}
