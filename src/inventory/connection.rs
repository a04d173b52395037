//! How a node is reached, by Ansible's variables.

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

use super::error::InputError;
use super::error::InputErrors;
use super::error::shown;
use super::location::Located;
use super::location::Location;
use super::read;
use super::suggest;
use super::suggest::closest;
use super::vars::Layer;
use super::vars::Var;
use super::vars::Vars;
use crate::model::Secret;

/// How to reach one node and what to be there. What the inventory does not say is `None`: the command line may say it.
#[derive(Clone, Debug)]
pub struct ConnectionVars {
    /// `ansible_connection`.
    pub method: ConnectionMethod,
    /// `ansible_host`, or the node's name: an IP address (IPv6 perhaps with `%interface`) or a host name.
    pub host: Located<String>,
    /// `ansible_port`.
    pub port: Option<Located<u16>>,
    /// `ansible_user`.
    pub user: Option<Located<String>>,
    /// `ansible_ssh_private_key_file`: `~` is the home directory, and what is relative is so to the inventory's directory; from `-e`, to the current one.
    pub private_key_file: Option<Located<PathBuf>>,
    /// `ansible_become`: whether another user is needed for the work.
    pub escalate: Option<Located<bool>>,
    /// `ansible_become_user`.
    pub escalate_user: Option<Located<String>>,
    /// `ansible_become_password`. In no other variable and no message.
    pub escalate_password: Option<Located<Secret>>,
    /// The address that other nodes see: `fwdeploy_address`, or `ansible_host` or the name if that is one. `None` if only a name is known.
    pub address: Option<Located<IpAddr>>,
    /// `fwdeploy_zone`: the firewalld zone that external hosts arrive in.
    pub zone: Option<Located<String>>,
}

/// `ansible_connection`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionMethod {
    /// Over ssh.
    #[default]
    Ssh,
    /// The node is this machine.
    Local,
}

/// What the meaning of variables depends on, apart from their values.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// The directory of the inventory.
    pub(super) directory: PathBuf,
    /// The home directory of the user who runs this.
    pub(super) home: Option<PathBuf>,
}

/// Ansible's names for one thing, today's first.
mod names {
    pub(super) const HOST: &[&str] = &["ansible_host", "ansible_ssh_host"];
    pub(super) const PORT: &[&str] = &["ansible_port", "ansible_ssh_port"];
    pub(super) const USER: &[&str] = &["ansible_user", "ansible_ssh_user"];
    pub(super) const KEY: &[&str] = &["ansible_ssh_private_key_file", "ansible_private_key_file"];
    pub(super) const BECOME: &[&str] = &["ansible_become", "ansible_sudo"];
    pub(super) const BECOME_USER: &[&str] = &["ansible_become_user", "ansible_sudo_user"];
    pub(super) const BECOME_PASSWORD: &[&str] = &[
        "ansible_become_password",
        "ansible_become_pass",
        "ansible_sudo_pass",
    ];
    pub(super) const PASSWORD: &[&str] = &[
        "ansible_password",
        "ansible_ssh_password",
        "ansible_ssh_pass",
    ];
    pub(super) const SSH_ARGS: &[&str] = &[
        "ansible_ssh_common_args",
        "ansible_ssh_extra_args",
        "ansible_ssh_args",
    ];
}

/// Names of Ansible's that are read or refused here, and those that change nothing for ssh; the first are the ones to suggest.
const KNOWN: [&str; 12] = [
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_connection",
    "ansible_become",
    "ansible_become_user",
    "ansible_become_password",
    "ansible_become_method",
    "ansible_password",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
    "ansible_python_interpreter",
];

/// Whether fwdeploy knows a connection variable of this name.
pub fn is_connection_name(name: &str) -> bool {
    let lists = [
        names::HOST,
        names::PORT,
        names::USER,
        names::KEY,
        names::BECOME,
        names::BECOME_USER,
        names::BECOME_PASSWORD,
        names::PASSWORD,
        names::SSH_ARGS,
        &KNOWN,
    ];
    lists.into_iter().any(|list| list.contains(&name))
}

/// The connection variable that was probably meant by an unknown name: `ansible_usr`. Ansible has many more of its own, which are only
/// taken for one of these if a letter or two differ.
pub fn meant_connection_name(name: &str) -> Option<&'static str> {
    let near = closest(name, KNOWN)?;
    (!is_connection_name(name) && suggest::distance_of(name, near) <= 2).then_some(near)
}

impl ConnectionVars {
    /// Takes the variables that say how the node `name` is reached; passwords do not stay among the others.
    pub(super) fn take(
        name: &str,
        location: &Location,
        vars: &mut Vars,
        around: &Surroundings,
    ) -> Result<Self, InputErrors> {
        let mut errors = InputErrors::none();
        let reader = &mut Reader {
            vars,
            errors: &mut errors,
        };
        let named = reader.read(names::HOST, read::host);
        let address = reader.read(&["fwdeploy_address"], read::address);
        let key = reader.read(names::KEY, |name, var| key_file(name, var, around));
        let method = reader.read(&["ansible_connection"], method);
        let connection = Self {
            method: method.map(|method| method.value).unwrap_or_default(),
            address: address.or_else(|| {
                let seen = named
                    .clone()
                    .unwrap_or_else(|| Located::new(name.to_owned(), location.clone()));
                let address = seen
                    .value
                    .parse()
                    .ok()
                    .filter(|address| read::is_seen(*address))?;
                Some(Located::new(address, seen.location))
            }),
            host: named.unwrap_or_else(|| Located::new(name.to_owned(), location.clone())),
            port: reader.read(names::PORT, read::port),
            user: reader.read(names::USER, read::word),
            private_key_file: key,
            escalate: reader.read(names::BECOME, read::boolean),
            escalate_user: reader.read(names::BECOME_USER, read::word),
            escalate_password: reader.read(names::BECOME_PASSWORD, password),
            zone: reader.read(&["fwdeploy_zone"], read::zone),
        };
        reader.read(&["ansible_become_method"], become_method);
        reader.refuse();
        for name in names::BECOME_PASSWORD.iter().chain(names::PASSWORD) {
            vars.remove(*name);
        }
        errors.or(connection)
    }
}

struct Reader<'v> {
    vars: &'v Vars,
    errors: &'v mut InputErrors,
}

impl Reader<'_> {
    /// Reads the one of these names that is set; several with different values are a mistake, because Ansible's plugins do not agree which one wins.
    fn read<T>(
        &mut self,
        names: &[&str],
        read: impl Fn(&str, &Var) -> Result<T, InputError>,
    ) -> Option<T> {
        let mut set = names
            .iter()
            .filter_map(|name| Some((*name, self.vars.get(*name)?)));
        let (name, var) = set.next()?;
        if let Some((other_name, other)) = set.find(|(_, other)| other.value() != var.value()) {
            let error = InputError::at(
                other.origin().key_location(),
                format!("`{other_name}` and `{name}` have different values"),
            );
            self.errors.push(
                error
                    .context(var.origin().key_location(), "the other one")
                    .hint(format!("keep `{name}` alone")),
            );
        }
        self.errors.take(read(name, var))
    }

    /// What would change the connection, and is not done: silence would be a connection that the user did not ask for.
    fn refuse(&mut self) {
        for name in names::SSH_ARGS {
            if let Some(var) = self.vars.get(*name).filter(|var| !is_blank(var)) {
                let error = InputError::at(
                    var.origin().key_location(),
                    format!("`{name}` is not supported yet"),
                );
                self.errors
                    .push(error.hint("remove it: jump hosts and options of ssh would be ignored"));
            }
        }
        for name in names::PASSWORD {
            if let Some(var) = self.vars.get(*name).filter(|var| !is_blank(var)) {
                let error = InputError::at(
                    var.origin().key_location(),
                    format!("`{name}` is not supported"),
                );
                self.errors.push(error.hint(
                    "log in with a key or an agent, and keep passwords out of the inventory",
                ));
            }
        }
    }
}

fn is_blank(var: &Var) -> bool {
    var.value().is_null()
        || var
            .value()
            .as_str()
            .is_some_and(|text| text.trim().is_empty())
}

/// A plugin's own name, without that of Ansible's own collection: `ansible.builtin.ssh`.
fn plugin(text: &str) -> &str {
    text.strip_prefix("ansible.builtin.").unwrap_or(text)
}

fn method(name: &str, var: &Var) -> Result<Located<ConnectionMethod>, InputError> {
    let text = read::text(name, var)?;
    match plugin(&text.value) {
        // `smart` is ssh since there is OpenSSH with ControlPersist.
        "ssh" | "smart" => Ok(text.map(|_| ConnectionMethod::Ssh)),
        "local" => Ok(text.map(|_| ConnectionMethod::Local)),
        other => {
            let error = InputError::at(
                var.location(),
                format!("the connection `{}` is not supported", shown(other)),
            );
            Err(error
                .label("expected `ssh` or `local`")
                .did_you_mean(closest(other, ["ssh", "local"])))
        }
    }
}

fn become_method(name: &str, var: &Var) -> Result<(), InputError> {
    let text = read::text(name, var)?;
    match plugin(&text.value) {
        "sudo" => Ok(()),
        other => {
            let error = InputError::at(
                var.location(),
                format!("becoming root by `{}` is not supported", shown(other)),
            );
            Err(error.label("expected `sudo`"))
        }
    }
}

/// Mistakes are shown at the variable's name, and never with its value.
fn password(name: &str, var: &Var) -> Result<Located<Secret>, InputError> {
    let location = var.origin().key_location();
    let text = read::text(name, var).map_err(|error| {
        let error = InputError::at(location.clone(), error.message().to_owned());
        error.hint("put the password into quotes; it can be no template")
    })?;
    Ok(Located::new(Secret::new(text.value), location))
}

fn key_file(name: &str, var: &Var, around: &Surroundings) -> Result<Located<PathBuf>, InputError> {
    let text = read::text(name, var)?;
    let path = expand_home(&text.value, around)
        .map_err(|problem| InputError::at(var.location(), problem))?;
    let path = match var.origin().layer() {
        Layer::CommandLine => path,
        _ => around.directory.join(path),
    };
    Ok(Located::new(path, var.location()))
}

/// Replaces a `~` at the beginning by the home directory.
pub(super) fn expand_home(text: &str, around: &Surroundings) -> Result<PathBuf, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(PathBuf::from(text));
    };
    match (&around.home, rest.strip_prefix('/')) {
        (Some(home), Some(rest)) => Ok(home.join(Path::new(rest.trim_start_matches('/')))),
        (Some(home), None) if rest.is_empty() => Ok(home.clone()),
        (_, None) if !rest.is_empty() => {
            Err("the home directory of another user is not known; write the whole path".to_owned())
        }
        _ => Err("`~` stands for the home directory, and HOME is not set".to_owned()),
    }
}
