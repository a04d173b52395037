//! Asks the system's ssh what its configuration says of a host.

use std::env;
use std::fs;
use std::io;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use super::tokens::at_home;
use crate::model::SshArguments;
use crate::model::visible::visible;
use crate::transport::SshConfig;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;

/// The system's configuration.
const SYSTEM: &str = "/etc/ssh/ssh_config";

/// More than this is no answer of ssh's: it prints 6 KB.
const LONGEST: u64 = 256 * 1024;

/// The arguments to ask with; `None` where there is no file that could say anything.
pub(super) fn line(
    host: &str,
    arguments: &SshArguments,
    config: &SshConfig,
) -> Option<Vec<String>> {
    let mut line = vec!["-G".to_owned()];
    match config {
        SshConfig::None => return None,
        SshConfig::File(file) => line.extend(["-F".to_owned(), file.display().to_string()]),
        SshConfig::Standard => {
            let own = at_home("~/.ssh/config");
            let is_there = own.exists() || (Path::new(SYSTEM).exists() && program().is_some());
            if !is_there {
                return None;
            }
        }
    }
    for (name, value) in arguments.options() {
        line.extend(["-o".to_owned(), format!("{name}={value}")]);
    }
    // A host that begins with `-` is none of ssh's options.
    line.extend(["--".to_owned(), host.to_owned()]);
    Some(line)
}

/// Whether there is an `ssh` on the path.
fn program() -> Option<()> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path);
    places
        .any(|place| fs::metadata(place.join("ssh")).is_ok_and(|it| it.is_file()))
        .then_some(())
}

/// Runs `ssh -G` and returns what it prints.
pub(super) fn ask(line: &[String], deadline: &Deadline<'_>) -> Result<String, String> {
    let spawned = Command::new("ssh")
        .args(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(
                "ssh's configuration cannot be read, because `ssh` is not installed".to_owned(),
            );
        }
        Err(error) => return Err(format!("cannot run `ssh -G`: {error}")),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let collect = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(stream) = stream {
                let _ = stream.take(LONGEST).read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = collect(stdout.map(|it| Box::new(it) as Box<dyn Read + Send>));
    let stderr = collect(stderr.map(|it| Box::new(it) as Box<dyn Read + Send>));
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return Err(format!("cannot run `ssh -G`: {error}")),
        }
        if let Err(stopped) = deadline.check() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(match stopped {
                Stopped::Cancelled => "stopped, as asked".to_owned(),
                _ => format!("`ssh -G` did not answer within {:?}", deadline.limit),
            });
        }
        thread::sleep(std::time::Duration::from_millis(1));
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let lines = said.lines().map(str::trim);
        let words: Vec<&str> = lines
            .filter(|line| !line.is_empty() && !line.starts_with("Pseudo-terminal"))
            .collect();
        let words = words.join("; ");
        return Err(format!(
            "ssh does not accept its configuration: {}",
            visible(&words)
        ));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
