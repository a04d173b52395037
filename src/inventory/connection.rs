//! How a node is reached, by Ansible's variables.
//!
//! Nothing is read before somebody asks for it: a node that no command uses is never judged by its connection variables, and its templates and secrets
//! stay closed. So an `Unread` is all that a node has, and [`ConnectionVars`] are made from it together with what renders templates ([`Render`]).
//! This room may not know templates, which are the role's; the caller passes in who does.

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_yaml::Value;

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
use super::vault::kind_of;
use crate::model::Secret;
use crate::model::SshArguments;

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
    pub escalate_password: Option<Password>,
    /// `ansible_password`, to log in with. In no other variable and no message.
    pub password: Option<Password>,
    /// `ansible_ssh_args`: what goes before all other arguments of ssh.
    pub ssh_args: Option<Located<SshArguments>>,
    /// `ansible_ssh_common_args` and `ansible_ssh_extra_args`, in this order: what goes after them.
    pub ssh_more_args: Vec<Located<SshArguments>>,
    /// `ansible_host_key_checking`: whether an unknown host key is refused.
    pub host_key_checking: Option<Located<bool>>,
    /// The address that other nodes see: `fwdeploy_address`, or `ansible_host` or the name if that is one. `None` if only a name is known.
    pub address: Option<Located<IpAddr>>,
    /// `fwdeploy_zone`: the firewalld zone that external hosts arrive in.
    pub zone: Option<Located<String>>,
    /// `fwdeploy_ipset_threshold`: with more peers than that a list becomes an address set of firewalld's; `None` for `never`.
    pub ipset_threshold: Option<Located<Option<usize>>>,
}

/// A password as an inventory gives it. `Debug` does not show it.
#[derive(Clone, Debug)]
pub enum Password {
    /// As it was written.
    Written(Secret),
    /// An encrypted value, a command or a template, which is asked for its value when a connection needs it.
    Asked(Var),
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

/// Renders variables.
pub trait Render {
    /// The value of the variable `name` of a node, with its templates rendered in the eyes of that node.
    ///
    /// # Errors
    ///
    /// It cannot be rendered. The message has no values in it.
    fn render(&self, node: &str, name: &str, var: &Var) -> Result<Value, InputError>;
}

/// The connection variables of one node, as they were written. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Unread {
    /// Those that are secrets; the others are among the node's variables.
    secrets: Vars,
    around: Arc<Surroundings>,
}

/// What the meaning of variables depends on, apart from their values.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// The directory of the inventory.
    pub(super) directory: PathBuf,
    /// The home directory of the user who runs this.
    pub(super) home: Option<PathBuf>,
}

/// The address that a node's peers see, where it is another one than that of the connection.
const ADDRESS: &[&str] = &["fwdeploy_address"];

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
    pub(super) const SSH_ARGS: &[&str] = &["ansible_ssh_args"];
    pub(super) const SSH_COMMON_ARGS: &[&str] = &["ansible_ssh_common_args"];
    pub(super) const SSH_EXTRA_ARGS: &[&str] = &["ansible_ssh_extra_args"];
    pub(super) const HOST_KEY_CHECKING: &[&str] =
        &["ansible_host_key_checking", "ansible_ssh_host_key_checking"];
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
        names::SSH_COMMON_ARGS,
        names::SSH_EXTRA_ARGS,
        names::HOST_KEY_CHECKING,
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

impl Unread {
    /// Takes the secrets out of a node's variables: no template and no report sees them.
    pub(super) fn take(vars: &mut Vars, around: &Arc<Surroundings>) -> Self {
        let mut secrets = Vars::new();
        for name in names::BECOME_PASSWORD.iter().chain(names::PASSWORD) {
            secrets.extend(vars.remove_entry(*name));
        }
        Self {
            secrets,
            around: Arc::clone(around),
        }
    }

    /// Reads the variables of the node `name`.
    pub(super) fn read(
        &self,
        name: &str,
        location: &Location,
        vars: &Vars,
        render: &dyn Render,
    ) -> Result<ConnectionVars, InputErrors> {
        let mut errors = InputErrors::none();
        let around = &self.around;
        let mut reader = Reader {
            node: name,
            vars,
            secrets: &self.secrets,
            render,
            errors: &mut errors,
        };
        let reader = &mut reader;
        let named = reader.read(names::HOST, read::host);
        let address = reader.read(ADDRESS, read::address);
        let key = reader.read(names::KEY, |name, var| key_file(name, var, around));
        let method = reader.read(&["ansible_connection"], method);
        let host = named.unwrap_or_else(|| Located::new(name.to_owned(), location.clone()));
        let connection = ConnectionVars {
            method: method.map(|method| method.value).unwrap_or_default(),
            address: address.or_else(|| as_address(&host)),
            host,
            port: reader.read(names::PORT, read::port),
            user: reader.read(names::USER, read::word),
            private_key_file: key,
            escalate: reader.read(names::BECOME, read::boolean),
            escalate_user: reader.read(names::BECOME_USER, read::word),
            escalate_password: reader.password(names::BECOME_PASSWORD),
            password: reader.password_filled(names::PASSWORD),
            ssh_args: reader.read_filled(names::SSH_ARGS, ssh_arguments),
            ssh_more_args: [names::SSH_COMMON_ARGS, names::SSH_EXTRA_ARGS]
                .into_iter()
                .filter_map(|names| reader.read_filled(names, ssh_arguments))
                .collect(),
            host_key_checking: reader.read(names::HOST_KEY_CHECKING, read::boolean),
            zone: reader.read(&["fwdeploy_zone"], read::zone),
            ipset_threshold: reader.read(&["fwdeploy_ipset_threshold"], read::ipset_threshold),
        };
        reader.read(&["ansible_become_method"], become_method);
        errors.or(connection)
    }
}

/// The address that the peers of a node see, from nothing but the variables that say it: `fwdeploy_address`, or `ansible_host` or the name if that is one.
/// `None` if only a name is known.
///
/// # Errors
///
/// One of these variables cannot be rendered, or is neither an address nor a host's name.
pub fn address(
    name: &str,
    location: &Location,
    vars: &Vars,
    render: &dyn Render,
) -> Result<Option<Located<IpAddr>>, InputError> {
    let mut errors = InputErrors::none();
    let mut reader = Reader {
        node: name,
        vars,
        secrets: &Vars::new(),
        render,
        errors: &mut errors,
    };
    let mut address = reader.read(ADDRESS, read::address);
    if address.is_none() && reader.errors.is_empty() {
        let named = reader.read(names::HOST, read::host);
        let host = named.unwrap_or_else(|| Located::new(name.to_owned(), location.clone()));
        address = as_address(&host);
    }
    match errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(address),
    }
}

/// A host as an address that others see, if it is one.
fn as_address(host: &Located<String>) -> Option<Located<IpAddr>> {
    let address: IpAddr = host.value.parse().ok()?;
    read::is_seen(address).then(|| Located::new(address, host.location.clone()))
}

struct Reader<'v> {
    node: &'v str,
    vars: &'v Vars,
    secrets: &'v Vars,
    render: &'v dyn Render,
    errors: &'v mut InputErrors,
}

impl<'v> Reader<'v> {
    fn get(&self, name: &str) -> Option<&'v Var> {
        self.vars.get(name).or_else(|| self.secrets.get(name))
    }

    /// Reads the one of these names that is set, rendered; several with different values are a mistake, because Ansible's plugins do not agree which one wins.
    fn read<T>(
        &mut self,
        names: &[&str],
        read: impl Fn(&str, &Var) -> Result<T, InputError>,
    ) -> Option<T> {
        let (name, var) = self.one(names)?;
        let rendered = self
            .render
            .render(self.node, name, var)
            .map(|value| var.rendered(value));
        self.errors
            .take(rendered.and_then(|rendered| read(name, &rendered)))
    }

    /// A password, which stays closed until a connection needs it.
    fn password(&mut self, names: &[&'static str]) -> Option<Password> {
        let (name, var) = self.one(names)?;
        self.errors.take(password(name, var))
    }

    /// The one of these names that is set.
    fn one<'n>(&mut self, names: &[&'n str]) -> Option<(&'n str, &'v Var)> {
        let mut set = names
            .iter()
            .filter_map(|name| Some((*name, self.get(name)?)));
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
        Some((name, var))
    }

    /// The same, where an empty value is none: a common way to switch a variable off.
    fn read_filled<T>(
        &mut self,
        names: &[&str],
        read: impl Fn(&str, &Var) -> Result<T, InputError>,
    ) -> Option<T> {
        let is_set = |name: &&str| self.get(name).is_some_and(|var| !is_blank(var));
        let set: Vec<&str> = names.iter().copied().filter(is_set).collect();
        self.read(&set, read)
    }

    /// The same for a password.
    fn password_filled(&mut self, names: &[&'static str]) -> Option<Password> {
        let is_set = |name: &&'static str| self.get(name).is_some_and(|var| !is_blank(var));
        let set: Vec<&'static str> = names.iter().copied().filter(is_set).collect();
        self.password(&set)
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
fn password(name: &str, var: &Var) -> Result<Password, InputError> {
    let is_template = match var.value() {
        Value::String(text) => text.contains("{{") || text.contains("{%"),
        _ => false,
    };
    if is_template || kind_of(var.value()).is_some() {
        return Ok(Password::Asked(var.clone()));
    }
    let location = var.origin().key_location();
    let text = read::text(name, var).map_err(|error| {
        let error = InputError::at(location.clone(), error.message().to_owned());
        error.hint("put the password into quotes")
    })?;
    Ok(Password::Written(Secret::new(text.value)))
}

/// Arguments of ssh, in a shell's quoting.
fn ssh_arguments(name: &str, var: &Var) -> Result<Located<SshArguments>, InputError> {
    let text = read::text(name, var)?;
    let arguments = SshArguments::parse(&text.value).map_err(|why| {
        InputError::at(var.location(), format!("`{name}`: {}", shown(&why)))
            .hint("write options of ssh, as in `-o ProxyJump=bastion -o StrictHostKeyChecking=yes`")
    })?;
    Ok(text.map(|_| arguments))
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
