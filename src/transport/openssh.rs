//! A node over the system's `ssh`, for what libssh2 cannot do: hardware keys, Kerberos, algorithms of its own.
//!
//! One process for each script, without a control socket, and without a terminal: nobody is asked, and no password is given to it.

use std::io;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use super::Cancel;
use super::ConnectError;
use super::Connection;
use super::Endpoint;
use super::HostKeyChecking;
use super::OpenSshFailure;
use super::Output;
use super::Privilege;
use super::RunError;
use super::Settings;
use super::SshConfig;
use super::Target;
use super::local;
use super::script_protocol::ScriptProtocol;
use super::script_protocol::StreamEnd;
use super::secret::Vault;
use super::wait::Deadline;
use super::wait::Stopped;
use crate::model::Secret;
use crate::model::SshArguments;
use crate::model::ssh_arguments::Use;
use crate::model::visible::visible;

/// What ssh prints on this machine once it is logged in.
const READY: &str = "fwdeploy-is-logged-in";

/// What holds whatever the configuration says.
const ALWAYS: [&str; 8] = [
    "BatchMode=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "RequestTTY=no",
    "UpdateHostKeys=no",
];

/// The steps of a connection that have the limit of `-T` each: to accept, the handshake, the login, the session.
const STEPS: u32 = 4;

/// How much of ssh's complaints is kept.
const KEPT: u64 = 16 * 1024;

/// A node that the system's ssh can log in to.
pub(super) struct OpenSsh {
    at: Endpoint,
    arguments: Vec<String>,
    privilege: Privilege,
    password: Option<Secret>,
    opening: Duration,
}

/// Logs in once, and runs nothing.
pub(super) fn connect(
    target: &Target,
    settings: &Settings,
    vault: &Vault,
    cancel: &Cancel,
) -> Result<OpenSsh, ConnectError> {
    let at = target.place();
    let arguments = arguments(target, settings).map_err(|said| ConnectError::Config {
        at: at.clone(),
        said,
    })?;
    let opening = settings.connect_timeout * STEPS;
    try_login(&at, &arguments, &Deadline::new(opening, cancel))?;
    Ok(OpenSsh {
        password: match target.privilege {
            Privilege::Sudo { .. } => vault.become_password(&target.node),
            Privilege::AsIs => None,
        },
        at,
        arguments,
        privilege: target.privilege.clone(),
        opening,
    })
}

/// The arguments as far as the host.
fn arguments(target: &Target, settings: &Settings) -> Result<Vec<String>, String> {
    let flags = |arguments: &SshArguments| {
        let mut flags = arguments.uses().filter(|(name, _)| name.starts_with('-'));
        flags.find_map(|(name, it)| match it {
            Use::Refused(why) => Some(format!("`{name}` is not possible: {why}")),
            _ => None,
        })
    };
    if let Some(why) = flags(&target.arguments).or_else(|| flags(&settings.node_arguments)) {
        return Err(why);
    }
    let mut line: Vec<String> = Vec::new();
    let file = target
        .arguments
        .config_file()
        .or(settings.node_arguments.config_file());
    match (file, &settings.ssh_config) {
        (Some(file), _) => line.extend(["-F".to_owned(), file.to_owned()]),
        (None, SshConfig::File(file)) => {
            line.extend(["-F".to_owned(), file.display().to_string()]);
        }
        (None, SshConfig::None) => line.extend(["-F".to_owned(), "none".to_owned()]),
        (None, SshConfig::Standard) => {}
    }
    let mut option = |text: String| line.extend(["-o".to_owned(), text]);
    ALWAYS.iter().for_each(|it| option((*it).to_owned()));
    if let Some(user) = &target.user {
        option(format!("User={user}"));
    }
    if let Some(key) = &target.key_file {
        option(format!("IdentityFile=\"{}\"", key.display()));
        option("IdentitiesOnly=yes".to_owned());
    }
    let said = target
        .arguments
        .options()
        .map(|(name, value)| format!("{name}={value}"));
    said.for_each(&mut option);
    if target.port != 22 {
        option(format!("Port={}", target.port));
    }
    for said in [&settings.arguments, &settings.node_arguments] {
        said.options()
            .map(|(name, value)| format!("{name}={value}"))
            .for_each(&mut option);
    }
    // Without configuration, ssh has what this program has.
    if file.is_none() && settings.ssh_config == SshConfig::None {
        let paths: Vec<String> = settings
            .known_hosts
            .iter()
            .map(|path| format!("\"{}\"", path.display()))
            .collect();
        option(format!("UserKnownHostsFile={}", paths.join(" ")));
        option("GlobalKnownHostsFile=none".to_owned());
        option(match settings.host_key_checking {
            HostKeyChecking::Strict => "StrictHostKeyChecking=yes".to_owned(),
            HostKeyChecking::AcceptNew => "StrictHostKeyChecking=accept-new".to_owned(),
        });
        option(match &settings.agent {
            Some(agent) => format!("IdentityAgent=\"{}\"", agent.display()),
            None => "IdentityAgent=none".to_owned(),
        });
        option(format!(
            "ConnectTimeout={}",
            settings.connect_timeout.as_secs().max(1)
        ));
    }
    let alive = settings.keepalive.as_secs();
    if alive > 0 {
        option(format!("ServerAliveInterval={alive}"));
    }
    line.push("--".to_owned());
    line.push(target.address.clone());
    Ok(line)
}

fn ssh() -> Command {
    let mut command = Command::new("ssh");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, with the processes of jump hosts: all are ended together, and Ctrl-C is for this program to act on.
        .process_group(0);
    command
}

fn try_login(
    at: &Endpoint,
    arguments: &[String],
    deadline: &Deadline<'_>,
) -> Result<(), ConnectError> {
    let mut command = ssh();
    // ssh runs this command on this machine as soon as it is logged in.
    command.args(["-N", "-o", "PermitLocalCommand=yes", "-o"]);
    command.arg(format!("LocalCommand=echo {READY}"));
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| failed(at, &error.to_string(), OpenSshFailure::Program))?;
    let (sender, receiver) = mpsc::channel();
    if let Some(mut stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut heard = Vec::new();
            let mut buffer = [0; 256];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                heard.extend_from_slice(&buffer[..count]);
                if heard.windows(READY.len()).any(|it| it == READY.as_bytes()) {
                    let _ = sender.send(());
                    return;
                }
                let surplus = heard.len().saturating_sub(READY.len());
                heard.drain(..surplus);
            }
        });
    }
    let stderr = child.stderr.take();
    let complaints = thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(KEPT).read_to_end(&mut said);
        }
        said
    });
    let ready = loop {
        match receiver.recv_timeout(Duration::from_millis(20)) {
            Ok(()) => break Ok(()),
            Err(RecvTimeoutError::Disconnected) => break Err(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Err(stopped) = deadline.check() {
            break Err(Some(stopped));
        }
    };
    local::end(&mut child);
    match ready {
        Ok(()) => Ok(()),
        Err(Some(Stopped::Cancelled)) => Err(ConnectError::Cancelled { at: at.clone() }),
        Err(Some(_)) => Err(ConnectError::TimedOut {
            at: at.clone(),
            after: deadline.limit,
        }),
        Err(None) => {
            let said = complaints.join().unwrap_or_default();
            let said = String::from_utf8_lossy(&said).into_owned();
            Err(failed(at, &said, kind(&said)))
        }
    }
}

/// What ssh's complaints mean.
fn kind(said: &str) -> OpenSshFailure {
    let has = |words: &[&str]| words.iter().any(|it| said.contains(it));
    if has(&[
        "Host key verification failed",
        "HOST IDENTIFICATION HAS CHANGED",
    ]) {
        return OpenSshFailure::HostKey;
    }
    if has(&["Permission denied", "Too many authentication failures"]) {
        return OpenSshFailure::Login;
    }
    if has(&[
        "Bad configuration option",
        "bad configuration options",
        "command-line",
        "jumphost loop",
    ]) {
        return OpenSshFailure::Program;
    }
    OpenSshFailure::Unreachable
}

fn failed(at: &Endpoint, said: &str, kind: OpenSshFailure) -> ConnectError {
    let lines = said.lines().map(str::trim);
    let words: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('@'))
        .collect();
    let last = words[words.len().saturating_sub(4)..].join(" / ");
    ConnectError::OpenSsh {
        at: at.clone(),
        said: match last.as_str() {
            "" => "it ended without a word".to_owned(),
            _ => visible(&last),
        },
        kind,
    }
}

impl Connection for OpenSsh {
    fn run(
        &mut self,
        script: &str,
        limit: Duration,
        on_stdout: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Output, RunError> {
        let refuse = |said: String| RunError::Start {
            at: self.at.clone(),
            said,
        };
        let mut protocol = ScriptProtocol::new(script, &self.privilege, self.password.clone())
            .map_err(|error| refuse(error.to_string()))?;
        let line = protocol
            .command_line()
            .map_err(|error| refuse(error.to_string()))?;
        // The login is a part of each run.
        let deadline = Deadline::new(limit + self.opening, cancel);
        let mut child: Child = ssh()
            .args(&self.arguments)
            .arg(line)
            .spawn()
            .map_err(|error: io::Error| refuse(error.to_string()))?;
        let end = local::converse(&mut child, &mut protocol, on_stdout, &deadline);
        let end = match end {
            // ssh's own status for a connection that failed or was lost.
            StreamEnd::Closed {
                status: Some(255), ..
            } => StreamEnd::Broken(format!("ssh ended{}", protocol.complaint())),
            end => end,
        };
        protocol.conclude(end, &self.at, limit)
    }
}
