//! A password for the system's ssh, which asks for it by running this program (`SSH_ASKPASS`, from OpenSSH 8.4 on).
//!
//! ssh closes all descriptors but three, and its arguments and environment are no place for a secret. So what it runs is a link to this
//! program in a folder that only this user can enter, with a socket beside it, on which [`answer`] passes on the question and gets the
//! password. The ssh processes of jump hosts inherit the environment and ask there as well: only the process that this program has
//! started gets an answer, once. A question that is not answered is never left to ssh, which would send an empty password to the server
//! and so count as a failed login: ssh is ended.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use openssl::rand::rand_bytes;
use rustix::process::getppid;
use zeroize::Zeroizing;

use crate::model::Secret;
use crate::model::visible::visible;

/// The name of the link that ssh runs.
const LINK: &str = "fwdeploy-askpass";

/// The socket beside it.
const SOCKET: &str = "socket";

/// The variable with the program that would show what ssh only tells; it is `SSH_ASKPASS` of this program's own environment.
const THEIRS: &str = "FWDEPLOY_SSH_ASKPASS";

/// The longest question, and the longest password.
const LONGEST: u64 = 64 * 1024;

/// How long the parts of one exchange may take: both sides are this program.
const PATIENCE: Duration = Duration::from_secs(5);

/// Passes ssh's question on, and prints the answer, if ssh has started this program for that; `None` if not.
pub fn answer() -> Option<ExitCode> {
    let mut arguments = env::args_os();
    let link = PathBuf::from(arguments.next()?);
    if link.file_name()? != LINK {
        return None;
    }
    let question = arguments.next().unwrap_or_default();
    let hint = env::var_os("SSH_ASKPASS_PROMPT");
    if hint.as_ref().is_some_and(|hint| hint == "none") {
        return Some(show(&question));
    }
    let ask = || -> io::Result<bool> {
        let mut socket = UnixStream::connect(link.with_file_name(SOCKET))?;
        let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        socket.write_all(&parent.to_be_bytes())?;
        socket.write_all(&[u8::from(hint.is_some())])?;
        socket.write_all(question.as_encoded_bytes())?;
        socket.shutdown(Shutdown::Write)?;
        let mut password = Zeroizing::new(Vec::with_capacity(1024));
        socket.take(LONGEST).read_to_end(&mut password)?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&password)?;
        stdout.flush()?;
        Ok(!password.is_empty())
    };
    Some(match ask() {
        Ok(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Shows what ssh only tells, such as that a hardware key waits to be touched, as without this program. ssh ends it in time.
fn show(words: &OsStr) -> ExitCode {
    let mut displays = ["DISPLAY", "WAYLAND_DISPLAY"].iter();
    if displays.any(|name| env::var_os(name).is_some_and(|it| !it.is_empty())) {
        let program = env::var_os(THEIRS).unwrap_or_else(|| "ssh-askpass".into());
        // It returns only if that program does not start: then nothing is shown.
        let _ = Command::new(program).arg(words).exec();
    }
    ExitCode::FAILURE
}

/// The place where one ssh process asks.
pub(super) struct Askpass {
    folder: PathBuf,
    listener: UnixListener,
    /// The password, until it is given.
    password: Option<Secret>,
    has_given: bool,
    /// Kept open until ssh has ended.
    unanswered: Option<UnixStream>,
}

/// Why ssh is not to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The server asks a second time: the password was wrong.
    Again,
    /// The server asks something else.
    Other(String),
    /// A jump host asks.
    JumpHost(String),
}

impl Askpass {
    /// A place for one ssh process, and one password or none.
    pub(super) fn open(program: &Path, password: Option<Secret>) -> io::Result<Self> {
        let mut random = [0; 8];
        rand_bytes(&mut random).map_err(io::Error::other)?;
        let name = format!("fwdeploy-{:016x}", u64::from_be_bytes(random));
        let folder = env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&folder)?;
        let made = || -> io::Result<UnixListener> {
            symlink(program, folder.join(LINK))?;
            let listener = UnixListener::bind(folder.join(SOCKET))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        match made() {
            Ok(listener) => Ok(Self {
                folder,
                listener,
                has_given: false,
                password,
                unanswered: None,
            }),
            Err(error) => {
                remove(&folder);
                Err(error)
            }
        }
    }

    /// Makes ssh ask here; it asks the node's questions if there is a password, once for each method.
    pub(super) fn prepare(&self, ssh: &mut Command) {
        ssh.env("SSH_ASKPASS", self.folder.join(LINK))
            .env("SSH_ASKPASS_REQUIRE", "force");
        if let Some(theirs) = env::var_os("SSH_ASKPASS") {
            ssh.env(THEIRS, theirs);
        }
        if self.password.is_some() {
            ssh.args(["-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=1"]);
        }
    }

    /// Whether the password was given.
    pub(super) fn has_given(&self) -> bool {
        self.has_given
    }

    /// Answers what was asked since the last time, without waiting for a question.
    pub(super) fn attend(&mut self, ssh: u32) -> Result<(), Unanswered> {
        while let Ok((mut socket, _)) = self.listener.accept() {
            let Ok((parent, hint, question)) = hear(&mut socket) else {
                continue;
            };
            // These ssh asks by itself, and goes on without an answer.
            let is_local = ["Enter passphrase for ", "Enter PIN"]
                .iter()
                .any(|begin| question.starts_with(begin));
            if hint || is_local {
                continue;
            }
            let is_ours = u32::try_from(parent) == Ok(ssh);
            // As Ansible's sshpass: what asks for a password says so.
            let wants_password = question.to_lowercase().contains("assword");
            if is_ours
                && wants_password
                && let Some(password) = self.password.take()
            {
                self.has_given = true;
                let line = Zeroizing::new(format!("{}\n", password.expose()));
                let _ = socket.write_all(line.as_bytes());
                continue;
            }
            self.unanswered = Some(socket);
            let question = visible(question.trim());
            return Err(match (is_ours, wants_password && self.has_given()) {
                (false, _) => Unanswered::JumpHost(question),
                (true, true) => Unanswered::Again,
                (true, false) => Unanswered::Other(question),
            });
        }
        Ok(())
    }
}

impl Drop for Askpass {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    for name in [LINK, SOCKET] {
        let _ = fs::remove_file(folder.join(name));
    }
    let _ = fs::remove_dir(folder);
}

/// The process that asks, whether it only wants a confirmation, and its words.
fn hear(socket: &mut UnixStream) -> io::Result<(i32, bool, String)> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut head = [0; 5];
    socket.read_exact(&mut head)?;
    let mut question = Vec::new();
    socket.take(LONGEST).read_to_end(&mut question)?;
    let [parent @ .., hint] = head;
    let question = String::from_utf8_lossy(&question).into_owned();
    Ok((i32::from_be_bytes(parent), hint != 0, question))
}

/// Whether the ssh of this machine asks as it is told to (`SSH_ASKPASS_REQUIRE`): an older one would ask at the terminal.
pub(super) fn is_known_to_ssh() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let mut ssh = Command::new("ssh");
        let output = ssh.arg("-V").stdin(Stdio::null()).output();
        output.is_ok_and(|output| is_new_enough(&String::from_utf8_lossy(&output.stderr)))
    })
}

/// From OpenSSH 8.4 on.
fn is_new_enough(said: &str) -> bool {
    let number = said.split_once("OpenSSH_").map(|(_, rest)| rest);
    let Some((major, rest)) = number.and_then(|it| it.split_once('.')) else {
        return false;
    };
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let version = (major.parse::<u32>(), minor.parse::<u32>());
    matches!(version, (Ok(major), Ok(minor)) if (major, minor) >= (8, 4))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_version_of_ssh_is_read() {
        for (said, expected) in [
            ("OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.20", true),
            ("OpenSSH_8.4p1 Debian-5", true),
            ("OpenSSH_10.0p2", true),
            ("OpenSSH_8.3p1", false),
            ("OpenSSH_7.4p1, OpenSSL 1.0.2k-fips", false),
            ("Sun_SSH_1.1", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(said), expected, "{said}");
        }
    }

    /// What the place answers to a process.
    fn asked(
        place: &mut Askpass,
        parent: i32,
        hint: u8,
        question: &str,
    ) -> (Result<(), Unanswered>, String) {
        let mut socket = UnixStream::connect(place.folder.join(SOCKET)).unwrap();
        socket.write_all(&parent.to_be_bytes()).unwrap();
        socket.write_all(&[hint]).unwrap();
        socket.write_all(question.as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let said = place.attend(7);
        place.unanswered = None;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        (said, answer)
    }

    #[test]
    fn the_password_is_given_to_the_node_alone_and_once() {
        let mut place = Askpass::open(Path::new("/bin/true"), Some(Secret::new("right"))).unwrap();
        let folder = place.folder.clone();
        let nothing = (Ok(()), String::new());
        let key = "Enter passphrase for key '/home/op/.ssh/password_id': ";
        assert_eq!(asked(&mut place, 7, 0, key), nothing);
        let confirm = "Are you sure that your password is right?";
        assert_eq!(asked(&mut place, 7, 1, confirm), nothing);
        let question = "eva@web's password: ";
        let jump = Unanswered::JumpHost("eva@web's password:".to_owned());
        assert_eq!(
            asked(&mut place, 8, 0, question),
            (Err(jump), String::new())
        );
        let (said, answer) = asked(&mut place, 7, 0, "(eva@web) Code\u{1b}: ");
        assert!(matches!(said, Err(Unanswered::Other(_))), "{said:?}");
        assert!(!format!("{said:?}").contains('\u{1b}') && answer.is_empty());
        assert!(!place.has_given());
        let given = (Ok(()), "right\n".to_owned());
        assert_eq!(asked(&mut place, 7, 0, question), given);
        let again = (Err(Unanswered::Again), String::new());
        assert_eq!(asked(&mut place, 7, 0, question), again);
        drop(place);
        assert!(!folder.exists());
    }

    #[test]
    fn one_that_connects_and_says_nothing_keeps_nobody_waiting_for_ever() {
        let mut place = Askpass::open(Path::new("/bin/true"), Some(Secret::new("right"))).unwrap();
        let socket = UnixStream::connect(place.folder.join(SOCKET)).unwrap();
        let silent = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(socket);
        });
        assert_eq!(place.attend(7), Ok(()));
        silent.join().unwrap();
        assert!(!place.has_given());
    }
}
