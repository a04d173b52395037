//! One SSH connection on the way to a node: to the node itself, or to a jump host. Everything that it depends on, resolved.
//!
//! What counts, in this order: what the inventory says, what the command line says, ssh's own files, the defaults. ssh itself resolves
//! its files (`ssh -G`), because `Match` and `Include` have rules that nobody should write a second time.

mod answer;
mod ask;
mod said;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;

pub(super) use self::said::Family;
pub(super) use self::said::Methods;
use self::said::Said;
use self::said::SaidProxy;
use self::tokens::Tokens;
use super::Cancel;
use super::ConnectError;
use super::ConnectOptions;
use super::Destination;
use super::Host;
use super::HostKeyChecking;
use super::HostKind;
use super::SshConfig;
use super::wait::Deadline;
use crate::model::SshArguments;
use crate::model::ssh_arguments::Use;

/// How many jump hosts there may be between this machine and a node.
const LONGEST_WAY: usize = 8;

/// One SSH connection.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    /// The server as messages name it.
    pub(super) at: Host,
    /// The name or address to connect to.
    pub(super) host: String,
    pub(super) port: u16,
    /// The name and port under which the host key is known.
    pub(super) known_as: (String, u16),
    /// The user to log in as; `None` is the user who runs this program.
    pub(super) user: Option<String>,
    /// The one key to use.
    pub(super) key_file: Option<PathBuf>,
    /// The keys to use if there is no such one.
    pub(super) identities: Identities,
    /// Whether the agent's other keys are left alone.
    pub(super) identities_only: bool,
    /// Files with user certificates, beside those that lie next to their keys.
    pub(super) certificates: Vec<PathBuf>,
    pub(super) agent: Option<PathBuf>,
    pub(super) known_hosts: Vec<PathBuf>,
    /// Whether new names are written down as hashes.
    pub(super) hashes_names: bool,
    pub(super) checking: HostKeyChecking,
    pub(super) connect_timeout: Duration,
    pub(super) keepalive: Duration,
    /// How many keepalives may go unanswered.
    pub(super) unanswered: u32,
    pub(super) family: Family,
    pub(super) methods: Methods,
    /// Whether nobody may be asked.
    pub(super) batch: bool,
    pub(super) way: Way,
    /// The file that a jump host's own configuration is read from.
    pub(super) config: SshConfig,
}

/// Key files to log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identities {
    /// The usual names in this folder.
    Default(Option<PathBuf>),
    /// These; one that does not exist is left out, as with ssh.
    Named(Vec<PathBuf>),
}

/// How the server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    /// Over these hosts, separated by commas: the first is reached first.
    Jump(String),
    /// By a command whose standard input and output are the connection. The first is as it is written, the second is to be run.
    Command {
        template: String,
        command: String,
    },
}

/// A jump host, as `ProxyJump` names it: `[USER@]HOST[:PORT]` or `ssh://[USER@]HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct JumpHost {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl JumpHost {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("ssh://").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user).filter(|user| !user.is_empty()), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                match after {
                    "" => (host, None),
                    _ => (host, Some(after.strip_prefix(':')?)),
                }
            }
            // An IPv6 address without brackets has no port.
            None => match rest.split_once(':') {
                Some((_, after)) if after.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
            None => None,
        };
        (!host.is_empty() && !host.starts_with('-')).then(|| JumpHost {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }
}

/// What ssh has said about one set of arguments: once, for all who ask.
type Answer = Arc<OnceLock<Result<Said, String>>>;

/// Resolves the connections of a run.
pub(super) struct Resolver {
    settings: ConnectOptions,
    answers: Mutex<BTreeMap<Vec<String>, Answer>>,
}

impl Resolver {
    pub(super) fn new(settings: ConnectOptions) -> Self {
        Self {
            settings,
            answers: Mutex::default(),
        }
    }

    pub(super) fn settings(&self) -> &ConnectOptions {
        &self.settings
    }

    /// The connection to a node.
    pub(super) fn destination(
        &self,
        destination: &Destination,
        cancel: &Cancel,
    ) -> Result<Hop, ConnectError> {
        let mut arguments = SshArguments::default();
        if let Some(user) = &destination.user {
            arguments.push("user", user);
        }
        arguments.extend(&destination.arguments);
        if destination.port != 22 {
            arguments.push("port", &destination.port.to_string());
        }
        arguments.extend(&self.settings.arguments);
        arguments.extend(&self.settings.node_arguments);
        let config = self.config(&arguments);
        let mut hop = self.hop(
            destination.place(),
            &destination.address,
            &arguments,
            config,
            cancel,
            destination.key_file.clone(),
        )?;
        hop.at.address = shown(&hop).into();
        Ok(hop)
    }

    /// The connection to the last host of a chain; over the others of it, if there are any.
    pub(super) fn jump(
        &self,
        chain: &str,
        config: &SshConfig,
        depth: usize,
        cancel: &Cancel,
    ) -> Result<Hop, ConnectError> {
        let (before, last) = match chain.rsplit_once(',') {
            Some((before, last)) => (Some(before), last),
            None => (None, chain),
        };
        let at = Host {
            kind: HostKind::JumpHost,
            node: last.trim().to_owned(),
            address: last.trim().into(),
        };
        let fails = |said: &str| ConnectError::Config {
            at: at.clone(),
            said: said.to_owned(),
        };
        let Some(host) = JumpHost::parse(last) else {
            return Err(fails("`ProxyJump` names hosts as `[USER@]HOST[:PORT]`"));
        };
        if depth >= LONGEST_WAY {
            return Err(fails(
                "the jump hosts lead in a circle, or there are too many",
            ));
        }
        let mut arguments = SshArguments::default();
        if let Some(user) = &host.user {
            arguments.push("user", user);
        }
        if let Some(port) = host.port {
            arguments.push("port", &port.to_string());
        }
        if let Some(before) = before {
            arguments.push("proxyjump", before);
        }
        arguments.extend(&self.settings.arguments);
        let mut hop = self.hop(
            at.clone(),
            &host.host,
            &arguments,
            config.clone(),
            cancel,
            None,
        )?;
        hop.at.address = shown(&hop).into();
        Ok(hop)
    }

    fn config(&self, arguments: &SshArguments) -> SshConfig {
        match arguments.config_file() {
            Some(none) if none.eq_ignore_ascii_case("none") => SshConfig::None,
            Some(file) => SshConfig::File(tokens::at_home(file)),
            None => self.settings.ssh_config.clone(),
        }
    }

    /// What the arguments and ssh's own files say of a host.
    fn said(
        &self,
        host: &str,
        arguments: &SshArguments,
        config: &SshConfig,
        cancel: &Cancel,
    ) -> Result<Said, String> {
        if let Some((name, why)) = arguments.uses().find_map(|(name, it)| match it {
            Use::Refused(why) => Some((name, why)),
            _ => None,
        }) {
            return Err(format!("`{name}` is not possible: {why}"));
        }
        let Some(line) = ask::line(host, arguments, config) else {
            return Said::of_arguments(arguments);
        };
        let slot = Arc::clone(
            self.answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(line.clone())
                .or_default(),
        );
        let limit = self.settings.connect_timeout;
        let ask = || {
            let text = ask::ask(&line, &Deadline::new(limit, cancel))?;
            answer::read(&text)
        };
        slot.get_or_init(ask).clone()
    }

    fn hop(
        &self,
        at: Host,
        host: &str,
        arguments: &SshArguments,
        config: SshConfig,
        cancel: &Cancel,
        key_file: Option<PathBuf>,
    ) -> Result<Hop, ConnectError> {
        let settings = &self.settings;
        let fails = |said: String| ConnectError::Config {
            at: at.clone(),
            said,
        };
        let said = self.said(host, arguments, &config, cancel).map_err(fails)?;
        if cancel.is_cancelled() {
            return Err(ConnectError::Cancelled { at });
        }
        let hostname = said.hostname.clone().unwrap_or_else(|| host.to_owned());
        let port = said.port.unwrap_or(22);
        let tokens = Tokens {
            original: host,
            host: &hostname,
            port,
            user: said.user.as_deref(),
            alias: said.host_key_alias.as_deref(),
            jump: match &said.proxy {
                Some(SaidProxy::Jump(jump)) => jump,
                _ => "",
            },
        };
        let files = |names: &[String]| -> Result<Vec<PathBuf>, ConnectError> {
            let named = names
                .iter()
                .filter(|name| !name.eq_ignore_ascii_case("none"));
            named
                .map(|name| tokens.path(name).map_err(fails))
                .collect::<Result<Vec<_>, _>>()
        };
        let agent = match said.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => settings.agent.clone(),
            Some(none) if none.eq_ignore_ascii_case("none") => None,
            Some(name) => match name.strip_prefix('$').filter(|rest| !rest.starts_with('{')) {
                Some(variable) => std::env::var_os(variable).map(PathBuf::from),
                None => Some(tokens.path(name).map_err(fails)?),
            },
        };
        let known_hosts = match (&said.user_known_hosts, &said.global_known_hosts) {
            (None, None) => settings.known_hosts.clone(),
            (own, system) => {
                let own = match own {
                    Some(own) => files(own)?,
                    None => settings.own_known_hosts(),
                };
                let system = match system {
                    Some(system) => files(system)?,
                    None => ConnectOptions::system_known_hosts().to_vec(),
                };
                [own, system].concat()
            }
        };
        let way = match &said.proxy {
            None => Way::Direct,
            Some(SaidProxy::Jump(jump)) => Way::Jump(jump.clone()),
            Some(SaidProxy::Command(template)) => {
                tokens.check_for_shell().map_err(fails)?;
                Way::Command {
                    template: template.clone(),
                    command: tokens.expand(template).map_err(fails)?,
                }
            }
        };
        let identities = match &said.identity_files {
            None => Identities::Default(settings.key_folder.clone()),
            Some(names) => Identities::Named(files(names)?),
        };
        let certificates = files(&said.certificate_files)?;
        Ok(Hop {
            known_as: match &said.host_key_alias {
                Some(alias) => (tokens.expand(alias).map_err(fails)?, 22),
                None => (hostname.clone(), port),
            },
            host: hostname,
            port,
            user: said.user.clone(),
            key_file,
            identities,
            identities_only: said.identities_only,
            certificates,
            agent,
            known_hosts,
            hashes_names: said.hashes_names,
            checking: said.checking.unwrap_or(settings.host_key_checking),
            connect_timeout: said.connect_timeout.unwrap_or(settings.connect_timeout),
            keepalive: said.keepalive.unwrap_or(settings.keepalive),
            unanswered: said.unanswered.unwrap_or(3),
            family: said.family,
            methods: said.methods.unwrap_or(Methods {
                keys: true,
                interactive: true,
                password: true,
            }),
            batch: said.batch,
            way,
            config,
            at,
        })
    }
}

/// The address with the way there, for messages.
fn shown(hop: &Hop) -> String {
    let place = match hop.host.contains(':') {
        true => format!("[{}]:{}", hop.host, hop.port),
        false => format!("{}:{}", hop.host, hop.port),
    };
    match &hop.way {
        Way::Direct => place,
        Way::Jump(chain) => format!("{place} through {chain}"),
        Way::Command { .. } => format!("{place} by ProxyCommand"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_host_is_read_as_ssh_reads_it() {
        let parsed = |text: &str| {
            let host = JumpHost::parse(text)?;
            Some((host.user.unwrap_or_default(), host.host, host.port))
        };
        for (text, user, host, port) in [
            ("gw", "", "gw", None),
            ("eva@gw", "eva", "gw", None),
            ("gw:2222", "", "gw", Some(2222)),
            ("eva@gw:2222", "eva", "gw", Some(2222)),
            ("a@b@gw", "a@b", "gw", None),
            ("ssh://eva@gw:22/", "eva", "gw", Some(22)),
            ("[2001:db8::1]:2222", "", "2001:db8::1", Some(2222)),
            ("[2001:db8::1]", "", "2001:db8::1", None),
            ("2001:db8::1", "", "2001:db8::1", None),
        ] {
            let expected = Some((user.to_owned(), host.to_owned(), port));
            assert_eq!(parsed(text), expected, "{text}");
        }
        for text in [
            "", "eva@", "gw:", "gw:x", "gw:0", "gw:70000", "-oX", "[::1", "[::1]x",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
