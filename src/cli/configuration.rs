//! What ansible.cfg and Ansible's environment variables say, and where they say it.
//!
//! Follows `config/manager.py` and `config/base.yml` of Ansible: the first ansible.cfg of ANSIBLE_CONFIG, the current directory, the home
//! directory and /etc/ansible counts alone; the environment wins over it, and the command line over both.

mod file;

use std::fmt;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use self::file::Settings;
use crate::cli::error::CliError;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::Located;
use crate::inventory::Location;
use crate::inventory::location::Source;
use crate::inventory::location::Span;
use crate::model::SshArguments;

/// A longer ansible.cfg is none. `ansible-config init` writes 50 KiB.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An ansible.cfg.
    File(Location),
    /// An environment variable.
    Environment(&'static str),
    /// A flag of this command line.
    Flag(&'static str),
    /// Nobody has set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(location) => {
                write!(f, "{}:{}", location.source().name(), location.place().line)
            }
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configured<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// Everything that is read of ansible.cfg and the environment. `None` is what neither of them sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Configuration {
    /// The ansible.cfg that counts.
    pub(super) file: Option<PathBuf>,
    /// The inventory, if the command line names none.
    pub(super) inventory: Option<Configured<Vec<PathBuf>>>,
    /// The directory whose `group_vars/` and `host_vars/` are read beside those of the inventory.
    pub(super) playbook_dir: Option<Configured<PathBuf>>,
    /// The user to log in as.
    pub(super) remote_user: Option<Configured<String>>,
    /// The key to log in with.
    pub(super) private_key_file: Option<Configured<PathBuf>>,
    /// Whether unknown host keys are refused.
    pub(super) host_key_checking: Option<Configured<bool>>,
    /// Nodes at the same time.
    pub(super) forks: Option<Configured<NonZeroUsize>>,
    /// Time for a connection.
    pub(super) timeout: Option<Configured<Duration>>,
    /// Whether another user is needed.
    pub(super) escalate: Option<Configured<bool>>,
    /// Which one.
    pub(super) escalate_user: Option<Configured<String>>,
    /// Whether sudo's password is asked for.
    pub(super) escalate_ask_pass: Option<Configured<bool>>,
    /// What ansible-vault's files and values are opened with.
    pub(super) vault: VaultSettings,
    /// Arguments for ssh.
    pub(super) ssh: SshSettings,
    /// What is set and has no effect here.
    pub(super) warnings: Vec<InputError>,
}

/// What ansible-vault's files and values are opened with.
#[derive(Clone, Debug, Default)]
pub(super) struct VaultSettings {
    /// A file with the password, or a program that prints it.
    pub(super) password_file: Option<Configured<PathBuf>>,
    /// Entries of the form `ID@FILE`, as they were written.
    pub(super) identity_list: Option<Configured<Vec<String>>>,
}

/// Arguments for ssh, as they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct SshSettings {
    /// `ssh_args`.
    pub(super) args: Option<Configured<String>>,
    /// `ssh_common_args`.
    pub(super) common_args: Option<Configured<String>>,
    /// `ssh_extra_args`.
    pub(super) extra_args: Option<Configured<String>>,
}

/// Where the configuration is looked for.
struct Places<'p> {
    environment: &'p dyn Fn(&str) -> Option<String>,
    /// The current directory as it is shown: empty.
    directory: &'p Path,
    home: Option<&'p Path>,
    /// `/etc`
    system: &'p Path,
}

static CURRENT: OnceLock<Result<Configuration, InputErrors>> = OnceLock::new();

/// The configuration of this process, which is read once.
///
/// # Errors
///
/// An ansible.cfg that cannot be read, and values that mean nothing.
pub(super) fn current() -> Result<&'static Configuration, CliError> {
    let read = CURRENT.get_or_init(|| {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        Configuration::read(&Places {
            environment: &environment,
            directory: Path::new(""),
            home: home.as_deref(),
            system: Path::new("/etc"),
        })
    });
    read.as_ref().map_err(|errors| errors.clone().into())
}

/// The same where a mistake is told elsewhere: every command that connects reads the inventory too, which tells it.
pub(super) fn current_or_default() -> Configuration {
    current().cloned().unwrap_or_default()
}

/// A setting in the file, and its environment variables. Of several the last one that is set counts.
struct Row {
    keys: &'static [(&'static str, &'static str)],
    environment: &'static [&'static str],
}

const fn row(
    keys: &'static [(&'static str, &'static str)],
    environment: &'static [&'static str],
) -> Row {
    Row { keys, environment }
}

const INVENTORY: Row = row(&[("defaults", "inventory")], &["ANSIBLE_INVENTORY"]);
const PLAYBOOK_DIR: Row = row(&[("defaults", "playbook_dir")], &["ANSIBLE_PLAYBOOK_DIR"]);
const REMOTE_USER: Row = row(&[("defaults", "remote_user")], &["ANSIBLE_REMOTE_USER"]);
const PRIVATE_KEY_FILE: Row = row(
    &[("defaults", "private_key_file")],
    &["ANSIBLE_PRIVATE_KEY_FILE"],
);
const HOST_KEY_CHECKING: Row = row(
    &[
        ("defaults", "host_key_checking"),
        ("ssh_connection", "host_key_checking"),
    ],
    &["ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_HOST_KEY_CHECKING"],
);
const FORKS: Row = row(&[("defaults", "forks")], &["ANSIBLE_FORKS"]);
const TIMEOUT: Row = row(
    &[("defaults", "timeout"), ("ssh_connection", "timeout")],
    &["ANSIBLE_TIMEOUT", "ANSIBLE_SSH_TIMEOUT"],
);
const VAULT_PASSWORD_FILE: Row = row(
    &[("defaults", "vault_password_file")],
    &["ANSIBLE_VAULT_PASSWORD_FILE"],
);
const VAULT_IDENTITY_LIST: Row = row(
    &[("defaults", "vault_identity_list")],
    &["ANSIBLE_VAULT_IDENTITY_LIST"],
);
const BECOME: Row = row(&[("privilege_escalation", "become")], &["ANSIBLE_BECOME"]);
const BECOME_METHOD: Row = row(
    &[("privilege_escalation", "become_method")],
    &["ANSIBLE_BECOME_METHOD"],
);
const BECOME_USER: Row = row(
    &[("privilege_escalation", "become_user")],
    &["ANSIBLE_BECOME_USER"],
);
const BECOME_ASK_PASS: Row = row(
    &[("privilege_escalation", "become_ask_pass")],
    &["ANSIBLE_BECOME_ASK_PASS"],
);
const SSH_ARGS: Row = row(&[("ssh_connection", "ssh_args")], &["ANSIBLE_SSH_ARGS"]);
const SSH_COMMON_ARGS: Row = row(
    &[("ssh_connection", "ssh_common_args")],
    &["ANSIBLE_SSH_COMMON_ARGS"],
);
const SSH_EXTRA_ARGS: Row = row(
    &[("ssh_connection", "ssh_extra_args")],
    &["ANSIBLE_SSH_EXTRA_ARGS"],
);

/// Settings that change what Ansible does with an inventory or a connection, and change nothing here. With the values that are the default
/// anyway, and what to do instead.
const WITHOUT_EFFECT: [(Row, &[&str], &str); 8] = [
    (
        row(
            &[("defaults", "hash_behaviour")],
            &["ANSIBLE_HASH_BEHAVIOUR"],
        ),
        &["replace"],
        "a mapping replaces the one of an outer group, and is not merged with it",
    ),
    (
        row(&[("defaults", "remote_port")], &["ANSIBLE_REMOTE_PORT"]),
        &["22"],
        "set `ansible_port` for the group `all`",
    ),
    (
        row(&[("defaults", "transport")], &["ANSIBLE_TRANSPORT"]),
        &["ssh", "smart", "paramiko"],
        "nodes are reached by ssh; set `ansible_connection: local` for this machine",
    ),
    (
        row(
            &[("inventory", "enable_plugins")],
            &["ANSIBLE_INVENTORY_ENABLED"],
        ),
        &[],
        "lists of hosts, scripts, YAML, INI and the plugins of `ansible-inventory` are always tried, in this order",
    ),
    (
        row(
            &[
                ("defaults", "inventory_ignore_extensions"),
                ("inventory", "ignore_extensions"),
            ],
            &["ANSIBLE_INVENTORY_IGNORE"],
        ),
        &[],
        "files of a directory are left out if their name begins with a dot",
    ),
    (
        row(
            &[
                ("defaults", "inventory_ignore_patterns"),
                ("inventory", "ignore_patterns"),
            ],
            &["ANSIBLE_INVENTORY_IGNORE_REGEX"],
        ),
        &[],
        "files of a directory are left out if their name begins with a dot",
    ),
    (
        row(&[("defaults", "precedence")], &["ANSIBLE_PRECEDENCE"]),
        &[],
        "variables have the order of precedence that Ansible has by default",
    ),
    (
        row(
            &[("defaults", "become_password_file")],
            &["ANSIBLE_BECOME_PASSWORD_FILE"],
        ),
        &[],
        "`-K` asks for the password; `ansible_become_password` may be set in the inventory",
    ),
];

impl Configuration {
    fn read(places: &Places<'_>) -> Result<Self, InputErrors> {
        let mut warnings = Vec::new();
        let file = find(places, &mut warnings);
        let settings = match &file {
            Some(path) => file::read(text(path)?)?,
            None => Settings::new(),
        };
        let mut reader = Reader {
            places,
            file: file.as_deref(),
            settings: &settings,
            errors: InputErrors::none(),
        };
        reader.method();
        reader.without_effect(&mut warnings);
        let configuration = Self {
            inventory: reader.value(&INVENTORY, |reader, found| {
                Ok(reader.paths(&found.text, &found.origin))
            }),
            playbook_dir: reader.path(&PLAYBOOK_DIR),
            remote_user: reader.text(&REMOTE_USER),
            private_key_file: reader.path(&PRIVATE_KEY_FILE),
            host_key_checking: reader.boolean(&HOST_KEY_CHECKING),
            forks: reader.value(&FORKS, |_, found| {
                found
                    .text
                    .parse()
                    .map_err(|_| "a number of nodes from 1 on")
            }),
            timeout: reader.value(&TIMEOUT, |_, found| match found.text.parse() {
                Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
                _ => Err("a number of seconds from 1 to 3600"),
            }),
            escalate: reader.boolean(&BECOME),
            escalate_user: reader.text(&BECOME_USER),
            escalate_ask_pass: reader.boolean(&BECOME_ASK_PASS),
            vault: VaultSettings {
                password_file: reader.path(&VAULT_PASSWORD_FILE),
                identity_list: reader.value(&VAULT_IDENTITY_LIST, |_, found| {
                    let entries = found.text.split(',').map(str::trim);
                    let entries = entries.filter(|entry| !entry.is_empty());
                    Ok(entries.map(str::to_owned).collect())
                }),
            },
            ssh: SshSettings {
                args: reader.ssh_arguments(&SSH_ARGS),
                common_args: reader.ssh_arguments(&SSH_COMMON_ARGS),
                extra_args: reader.ssh_arguments(&SSH_EXTRA_ARGS),
            },
            file: file.clone(),
            warnings,
        };
        reader.errors.or(configuration)
    }
}

/// Finds the ansible.cfg that counts.
fn find(places: &Places<'_>, warnings: &mut Vec<InputError>) -> Option<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(named) = (places.environment)("ANSIBLE_CONFIG") {
        let named = home_expanded(&named, places.home);
        let in_directory = named.join("ansible.cfg");
        candidates.push(if named.is_dir() { in_directory } else { named });
    }
    let here = places.directory.join("ansible.cfg");
    let directory = if places.directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        places.directory
    };
    let mode = fs::metadata(directory).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o002 != 0) {
        if here.exists() && candidates.iter().all(|named| !named.exists()) {
            let message = "not read, as by Ansible: everybody may write into this directory";
            let warning = InputError::in_file(here.display().to_string(), message);
            warnings.push(warning.hint("`chmod o-w .`, or name the file in ANSIBLE_CONFIG"));
        }
    } else {
        candidates.push(here);
    }
    candidates.extend(places.home.map(|home| home.join(".ansible.cfg")));
    candidates.push(places.system.join("ansible/ansible.cfg"));
    candidates.into_iter().find(|path| path.is_file())
}

fn text(path: &Path) -> Result<Source, InputErrors> {
    let name = path.display().to_string();
    let refused =
        |error: io::Error| InputError::in_file(name.clone(), format!("cannot be read: {error}"));
    let length = fs::metadata(path).map_err(refused)?.len();
    if length > MAX_BYTES {
        let message = format!("{length} bytes are too many for an ansible.cfg");
        return Err(InputError::in_file(name, message).into());
    }
    let text = fs::read_to_string(path).map_err(refused)?;
    Ok(Source::file(
        name,
        text.strip_prefix('\u{feff}').unwrap_or(&text),
    ))
}

/// `~` at the beginning is the home directory.
fn home_expanded(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(text),
    }
}

/// A value as it was written, without quotes.
struct Found {
    text: String,
    origin: Origin,
}

struct Reader<'r> {
    places: &'r Places<'r>,
    file: Option<&'r Path>,
    settings: &'r Settings,
    errors: InputErrors,
}

impl Reader<'_> {
    fn find(&self, row: &Row) -> Option<Found> {
        let mut found = None;
        for (section, key) in row.keys {
            let known = self
                .settings
                .get(&((*section).to_owned(), (*key).to_owned()));
            if let Some(Located { value, location }) = known {
                found = Some(Found {
                    text: unquoted(value).to_owned(),
                    origin: Origin::File(location.clone()),
                });
            }
        }
        for name in row.environment {
            if let Some(text) = (self.places.environment)(name) {
                found = Some(Found {
                    text,
                    origin: Origin::Environment(name),
                });
            }
        }
        found.filter(|found| !found.text.is_empty())
    }

    fn value<T>(
        &mut self,
        row: &Row,
        read: impl FnOnce(&Self, &Found) -> Result<T, &'static str>,
    ) -> Option<Configured<T>> {
        let found = self.find(row)?;
        match read(self, &found) {
            Ok(value) => Some(Configured {
                value,
                origin: found.origin,
            }),
            Err(expected) => {
                let error = at(&found, format!("`{}` is not {expected}", found.text));
                self.errors.push(error);
                None
            }
        }
    }

    fn text(&mut self, row: &Row) -> Option<Configured<String>> {
        self.value(row, |_, found| Ok(found.text.clone()))
    }

    /// Arguments of ssh, as they were written.
    fn ssh_arguments(&mut self, row: &Row) -> Option<Configured<String>> {
        self.value(row, |_, found| match SshArguments::parse(&found.text) {
            Ok(_) => Ok(found.text.clone()),
            Err(_) => Err("a line of ssh's options, such as `-o ProxyJump=bastion`"),
        })
    }

    fn path(&mut self, row: &Row) -> Option<Configured<PathBuf>> {
        self.value(row, |reader, found| {
            Ok(reader.resolved(&found.text, &found.origin))
        })
    }

    fn boolean(&mut self, row: &Row) -> Option<Configured<bool>> {
        // Ansible takes any other word for `false`, which would switch a check off by a typing error.
        self.value(row, |_, found| match found.text.to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Ok(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Ok(false),
            _ => Err("`true` or `false`"),
        })
    }

    /// A path in the file is relative to the file, one in the environment to the current directory. A list of hosts is no path.
    fn resolved(&self, text: &str, origin: &Origin) -> PathBuf {
        let text = text.replace("{{CWD}}", &current_directory(self.places.directory));
        let path = home_expanded(&text, self.places.home);
        match (origin, self.file.and_then(Path::parent)) {
            (Origin::File(_), Some(beside)) => beside.join(path),
            _ => path,
        }
    }

    /// A list of paths. Ansible splits it at each comma, so that it cannot hold a list of hosts.
    fn paths(&self, text: &str, origin: &Origin) -> Vec<PathBuf> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts.map(|part| self.resolved(part, origin)).collect()
    }

    /// Refuses to become another user by anything but sudo.
    fn method(&mut self) {
        let found = self.find(&BECOME_METHOD);
        if let Some(found) =
            found.filter(|found| !matches!(found.text.as_str(), "sudo" | "ansible.builtin.sudo"))
        {
            let message = format!("becoming root by `{}` is not supported", found.text);
            self.errors
                .push(at(&found, message).label("expected `sudo`"));
        }
    }

    fn without_effect(&self, warnings: &mut Vec<InputError>) {
        for (row, defaults, instead) in &WITHOUT_EFFECT {
            let found = self.find(row);
            if let Some(found) = found.filter(|found| !defaults.contains(&found.text.as_str())) {
                let name = row.keys[0].1;
                warnings.push(at(&found, format!("`{name}` has no effect here")).hint(*instead));
            }
        }
    }
}

/// The error about a value, at its place.
fn at(found: &Found, message: String) -> InputError {
    match &found.origin {
        Origin::File(location) => InputError::at(location.clone(), message),
        Origin::Environment(name) => {
            let source = Arc::new(Source::command_line(*name, found.text.as_str()));
            let end = found.text.len();
            InputError::at(Location::new(source, Span { start: 0, end }), message)
        }
        Origin::Flag(_) | Origin::Default => InputError::general(message),
    }
}

fn current_directory(directory: &Path) -> String {
    let absolute = std::path::absolute(if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    });
    absolute.map_or_else(|_| ".".to_owned(), |path| path.display().to_string())
}

/// Quotes around a whole value are not part of it.
fn unquoted(text: &str) -> &str {
    let quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if quoted('"') || quoted('\'') {
        &text[1..text.len() - 1]
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
