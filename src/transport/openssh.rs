//! A node over the system's `ssh`, for what libssh2 cannot do: hardware keys, Kerberos, algorithms of its own.
//!
//! One process for each script, without a control socket, and without a terminal: nobody is asked. The password of the node is all that is
//! given to it (`askpass`). A login is a part of each run, so each of them is tried again where sshd had too many visitors.

use std::io;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;

use super::Cancel;
use super::ConnectError;
use super::ConnectOptions;
use super::Connection;
use super::Destination;
use super::Host;
use super::HostKeyChecking;
use super::OpenSshFailure;
use super::Output;
use super::Privilege;
use super::RunError;
use super::SshConfig;
use super::askpass;
use super::askpass::Askpass;
use super::askpass::Unanswered;
use super::local;
use super::script_protocol::ScriptProtocol;
use super::script_protocol::StreamEnd;
use super::secret::SecretCache;
use super::ssh::pace::Again;
use super::ssh::pace::Retries;
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

/// How often it is looked whether ssh asks something.
const LOOK: Duration = Duration::from_millis(10);

/// How much of ssh's complaints is kept.
const KEPT: u64 = 16 * 1024;

/// A node that the system's ssh can log in to.
pub(super) struct OpenSsh {
    at: Host,
    arguments: Vec<String>,
    privilege: Privilege,
    password: Option<Secret>,
    login: Login,
    /// How long a server that turns visitors away is tried again.
    patience: Duration,
    opening: Duration,
}

/// What ssh is given to log in with.
struct Login {
    /// This program; `None` where ssh cannot be told to ask it.
    program: Option<PathBuf>,
    password: Option<Secret>,
}

impl Login {
    /// A place where one ssh process asks.
    fn open(&self) -> Result<Option<Askpass>, String> {
        let Some(program) = &self.program else {
            return Ok(None);
        };
        let open = Askpass::open(program, self.password.clone());
        let place =
            open.map_err(|error| format!("cannot make a socket for its questions: {error}"));
        place.map(Some)
    }
}

/// Logs in once, and runs nothing.
pub(super) fn connect(
    destination: &Destination,
    settings: &ConnectOptions,
    vault: &SecretCache,
    cancel: &Cancel,
) -> Result<OpenSsh, ConnectError> {
    let at = destination.place();
    let arguments = arguments(destination, settings).map_err(|said| ConnectError::Config {
        at: at.clone(),
        said,
    })?;
    let opening = settings.connect_timeout * STEPS;
    let login = Login {
        program: settings
            .askpass
            .clone()
            .filter(|_| askpass::is_known_to_ssh()),
        password: vault.login_password(&destination.node),
    };
    let patience = Deadline::new(settings.connect_timeout, cancel);
    let mut retries = Retries::default();
    loop {
        let tried = try_login(&at, &arguments, &login, &Deadline::new(opening, cancel));
        match tried {
            Ok(()) => break,
            Err((_, again)) if retries.wait(again, &patience) => {}
            Err((error, _)) => return Err(*error),
        }
    }
    Ok(OpenSsh {
        login,
        patience: settings.connect_timeout,
        password: match destination.privilege {
            Privilege::Sudo { .. } => vault.become_password(&destination.node),
            Privilege::AsIs => None,
        },
        at,
        arguments,
        privilege: destination.privilege.clone(),
        opening,
    })
}

/// The arguments as far as the host.
fn arguments(destination: &Destination, settings: &ConnectOptions) -> Result<Vec<String>, String> {
    let flags = |arguments: &SshArguments| {
        let mut flags = arguments.uses().filter(|(name, _)| name.starts_with('-'));
        flags.find_map(|(name, it)| match it {
            Use::Refused(why) => Some(format!("`{name}` is not possible: {why}")),
            _ => None,
        })
    };
    if let Some(why) = flags(&destination.arguments).or_else(|| flags(&settings.node_arguments)) {
        return Err(why);
    }
    let mut line: Vec<String> = Vec::new();
    let file = destination
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
    if let Some(user) = &destination.user {
        option(format!("User={user}"));
    }
    if let Some(key) = &destination.key_file {
        option(format!("IdentityFile=\"{}\"", key.display()));
        option("IdentitiesOnly=yes".to_owned());
    }
    let said = destination
        .arguments
        .options()
        .map(|(name, value)| format!("{name}={value}"));
    said.for_each(&mut option);
    if destination.port != 22 {
        option(format!("Port={}", destination.port));
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
    line.push(destination.address.clone());
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

/// Why there was no login, and whether it can help to try again.
type NoLogin = (Box<ConnectError>, Again);

fn try_login(
    at: &Host,
    arguments: &[String],
    login: &Login,
    deadline: &Deadline<'_>,
) -> Result<(), NoLogin> {
    let never = |error: ConnectError| (Box::new(error), Again::Never);
    let mut place = login
        .open()
        .map_err(|said| never(failed(at, &said, OpenSshFailure::Program)))?;
    let mut command = ssh();
    // ssh runs this command on this machine as soon as it is logged in.
    command.args(["-N", "-o", "PermitLocalCommand=yes", "-o"]);
    command.arg(format!("LocalCommand=echo {READY}"));
    if let Some(place) = &place {
        place.prepare(&mut command);
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| never(failed(at, &error.to_string(), OpenSshFailure::Program)))?;
    let id = child.id();
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
    let mut unanswered = None;
    let ready = loop {
        match receiver.recv_timeout(LOOK) {
            Ok(()) => break Ok(()),
            Err(RecvTimeoutError::Disconnected) => break Err(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(place) = &mut place
            && let Err(question) = place.attend(id)
        {
            unanswered = Some(question);
            break Err(None);
        }
        if let Err(stopped) = deadline.check() {
            break Err(Some(stopped));
        }
    };
    local::end(&mut child);
    if let Some(question) = unanswered {
        let (said, kind) = words(&question);
        return Err(never(failed(at, &said, kind)));
    }
    match ready {
        Ok(()) => Ok(()),
        Err(Some(Stopped::Cancelled)) => Err(never(ConnectError::Cancelled { at: at.clone() })),
        Err(Some(_)) => Err(never(ConnectError::TimedOut {
            at: at.clone(),
            after: deadline.limit,
        })),
        Err(None) => {
            let said = complaints.join().unwrap_or_default();
            let said = String::from_utf8_lossy(&said).into_owned();
            let has_given = place.is_some_and(|place| place.has_given());
            let (said, kind) = match (kind(&said), &login.program, &login.password) {
                (OpenSshFailure::Login, ..) if has_given => (
                    format!("the password: refused\n{said}"),
                    OpenSshFailure::Password,
                ),
                (OpenSshFailure::Login, None, Some(_)) => (
                    format!("{said}\nssh before OpenSSH 8.4 cannot be given the password"),
                    OpenSshFailure::Login,
                ),
                (kind, ..) => (said, kind),
            };
            Err((Box::new(failed(at, &said, kind)), again(&said)))
        }
    }
}

/// What a question means that ssh gets no answer to.
fn words(question: &Unanswered) -> (String, OpenSshFailure) {
    match question {
        Unanswered::Again => ("the password: refused".to_owned(), OpenSshFailure::Password),
        Unanswered::Other(text) => (format!("the node asks `{text}`"), OpenSshFailure::Question),
        Unanswered::JumpHost(text) => (
            format!("a jump host asks `{text}`"),
            OpenSshFailure::Question,
        ),
    }
}

/// Whether it can help to try again, by what ssh says.
fn again(said: &str) -> Again {
    match kind(said) {
        OpenSshFailure::TurnedAway => Again::TurnedAway,
        OpenSshFailure::Unreachable if said.contains("Connection refused") => Again::Refused,
        _ => Again::Never,
    }
}

/// Whether ssh says nothing but that the connection was closed before the server's banner, be it that of the node or of a jump host.
fn is_turned_away(said: &str) -> bool {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_end = |line: &str| {
        let begins = [
            "kex_exchange_identification: ",
            "ssh_exchange_identification: ",
            "Connection closed by ",
            "Connection reset by ",
        ];
        begins.iter().any(|it| line.starts_with(it))
            && ["onnection closed", "onnection reset"]
                .iter()
                .any(|it| line.contains(it))
    };
    said.contains("_exchange_identification: ") && lines.all(is_end)
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
    if is_turned_away(said) {
        return OpenSshFailure::TurnedAway;
    }
    OpenSshFailure::Unreachable
}

fn failed(at: &Host, said: &str, kind: OpenSshFailure) -> ConnectError {
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
        let patience = Deadline::new(self.patience, cancel);
        let mut retries = Retries::default();
        loop {
            let mut protocol = ScriptProtocol::new(script, &self.privilege, self.password.clone())
                .map_err(|error| refuse(error.to_string()))?;
            let line = protocol
                .command_line()
                .map_err(|error| refuse(error.to_string()))?;
            let place = self.login.open().map_err(refuse)?;
            let mut command = ssh();
            if let Some(place) = &place {
                place.prepare(&mut command);
            }
            // The login is a part of each run.
            let deadline = Deadline::new(limit + self.opening, cancel);
            let mut child: Child = command
                .args(&self.arguments)
                .arg(line)
                .spawn()
                .map_err(|error: io::Error| refuse(error.to_string()))?;
            let end = attended(place, child.id(), || {
                local::converse(&mut child, &mut protocol, on_stdout, &deadline)
            });
            let end = match end {
                // ssh's own status for a connection that failed or was lost.
                StreamEnd::Closed {
                    status: Some(255), ..
                } => {
                    let said = protocol.last_words().unwrap_or_default();
                    if retries.wait(again(&said), &patience) {
                        continue;
                    }
                    StreamEnd::Broken(format!("ssh ended{}", protocol.complaint()))
                }
                end => end,
            };
            return protocol.conclude(end, &self.at, limit);
        }
    }
}

/// Answers ssh's questions while something is done; one that gets no answer ends ssh.
fn attended(place: Option<Askpass>, ssh: u32, work: impl FnOnce() -> StreamEnd) -> StreamEnd {
    let Some(mut place) = place else {
        return work();
    };
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let attendant = scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                if let Err(question) = place.attend(ssh) {
                    let group = i32::try_from(ssh).ok().and_then(Pid::from_raw);
                    let _ = group.map(|group| kill_process_group(group, Signal::TERM));
                    return Some(question);
                }
                thread::sleep(LOOK);
            }
            None
        });
        let end = work();
        is_done.store(true, Ordering::SeqCst);
        match attendant.join() {
            Ok(Some(question)) => StreamEnd::Broken(words(&question).0),
            _ => end,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_tried_again_is_told_from_what_cannot() {
        let closed = "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 192.0.2.1 port 22\r\n";
        let reset = "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 192.0.2.1 port 22\n";
        let behind = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n";
        let no_way = format!("no way\n{behind}");
        let not_forwarded = format!(
            "channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed\n{behind}"
        );
        let nobody_behind = format!(
            "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n{behind}"
        );
        let denied = format!("root@gw: Permission denied (publickey).\n{behind}");
        for (said, expected) in [
            (closed, Again::TurnedAway),
            (reset, Again::TurnedAway),
            (&[closed, behind].concat(), Again::TurnedAway),
            (&no_way, Again::Never),
            (&not_forwarded, Again::Never),
            (&denied, Again::Never),
            (&nobody_behind, Again::Refused),
            (
                "ssh: connect to host 192.0.2.1 port 22: Connection refused\r\n",
                Again::Refused,
            ),
            (
                "kex_exchange_identification: banner line contains invalid characters\n",
                Again::Never,
            ),
            ("Connection closed by 192.0.2.1 port 22\n", Again::Never),
            ("", Again::Never),
        ] {
            assert_eq!(again(said), expected, "{said}");
        }
    }
}
