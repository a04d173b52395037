//! Where vault passwords come from, by Ansible's flags and environment, and who runs the secret commands.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::cli::configuration::VaultSettings;
use crate::cli::password_file;
use crate::cli::program;
use crate::cli::program::Terminal;
use crate::cli::terminal::is_somebody_there;
use crate::inventory::error::shown;
use crate::inventory::vault::CommandFailure;
use crate::inventory::vault::SecretSource;
use crate::inventory::vault::Vault;
use crate::inventory::vault::VaultIdentity;
use crate::model::Secret;
use crate::model::visible::visible;
use crate::report::redact;

/// What `--vault-id` calls a password that is asked for.
const PROMPT: &str = "prompt";

/// What Ansible calls the password of `-J`; its prompt names no vault id.
const PROMPT_OF_FLAG: &str = "prompt_ask_vault_pass";

/// The heading of these flags in the help; flags of the commands follow under another one.
const VAULT: &str = "Vault";

/// Where the passwords are that ansible-vault has encrypted values with.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct VaultArgs {
    /// Read a vault password from this file, or from the output of this program; may be given several times
    #[arg(long, alias = "vault-pass-file", value_name = "FILE", help_heading = VAULT)]
    pub(super) vault_password_file: Vec<PathBuf>,

    /// The password of a vault id: a file, a program, or `prompt`; may be given several times
    #[arg(long, value_name = "[LABEL@]SOURCE", help_heading = VAULT)]
    pub(super) vault_id: Vec<String>,

    /// Ask for the vault password
    #[arg(
        short = 'J',
        long,
        alias = "ask-vault-password",
        conflicts_with = "vault_password_file",
        help_heading = VAULT
    )]
    pub(super) ask_vault_pass: bool,
}

/// What the environment and `ansible.cfg` say of vault passwords.
#[derive(Debug, Clone, Default)]
pub(super) struct VaultDefaults {
    /// `vault_password_file`, ANSIBLE_VAULT_PASSWORD_FILE.
    pub(super) password_file: Option<PathBuf>,
    /// `vault_identity_list`, ANSIBLE_VAULT_IDENTITY_LIST.
    pub(super) identity_list: Vec<String>,
    /// `vault_id_match`, ANSIBLE_VAULT_ID_MATCH.
    pub(super) is_id_matched: bool,
}

impl VaultDefaults {
    /// What `ansible.cfg` and the environment say.
    pub(super) fn configured(settings: &VaultSettings) -> VaultDefaults {
        let defaults = VaultDefaults {
            password_file: settings.password_file.as_ref().map(|set| set.value.clone()),
            identity_list: match &settings.identity_list {
                Some(set) => set.value.clone(),
                None => Vec::new(),
            },
            is_id_matched: false,
        };
        defaults.with_environment(|name| std::env::var(name).ok())
    }

    /// What the environment says, over what `ansible.cfg` says.
    pub(super) fn with_environment(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> VaultDefaults {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let list = |text: String| {
            let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
            words.map(str::to_string).collect()
        };
        let is_true = |text: String| {
            let text = text.trim().to_lowercase();
            matches!(text.as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
        };
        VaultDefaults {
            password_file: set("ANSIBLE_VAULT_PASSWORD_FILE")
                .map(PathBuf::from)
                .or(self.password_file),
            identity_list: set("ANSIBLE_VAULT_IDENTITY_LIST").map_or(self.identity_list, list),
            is_id_matched: set("ANSIBLE_VAULT_ID_MATCH").map_or(self.is_id_matched, is_true),
        }
    }
}

/// A vault that asks the places that the arguments and the defaults name. `inventory` is its path: relative programs of
/// `fwdeploy_secret_command` are beside it.
pub(super) fn vault(args: &VaultArgs, defaults: &VaultDefaults, inventory: &Path) -> Arc<Vault> {
    let beside = match inventory.is_dir() {
        true => inventory,
        false => inventory.parent().unwrap_or(Path::new("")),
    };
    Vault::new(Passwords {
        identities: identities(args, defaults),
        is_id_matched: defaults.is_id_matched,
        beside: beside.to_path_buf(),
    })
}

/// The passwords in the order in which Ansible tries them (`CLI.setup_vault_secrets`): the list of the configuration, `--vault-id`,
/// `--vault-password-file`, the file of the configuration, `-J`.
fn identities(args: &VaultArgs, defaults: &VaultDefaults) -> Vec<VaultIdentity> {
    let default = |source: String| VaultIdentity {
        label: VaultIdentity::DEFAULT.to_string(),
        source,
    };
    let of_id = |text: &String| match text.split_once('@') {
        Some((label, source)) if !label.is_empty() => VaultIdentity {
            label: label.to_string(),
            source: source.to_string(),
        },
        Some((_, source)) => default(source.to_string()),
        None => default(text.clone()),
    };
    let of_file = |file: &PathBuf| default(file.to_string_lossy().into_owned());
    let lists = defaults.identity_list.iter().chain(&args.vault_id);
    let files = args
        .vault_password_file
        .iter()
        .chain(&defaults.password_file);
    let asked = args
        .ask_vault_pass
        .then(|| default(PROMPT_OF_FLAG.to_string()));
    lists
        .map(of_id)
        .chain(files.map(of_file))
        .chain(asked)
        .collect()
}

struct Passwords {
    identities: Vec<VaultIdentity>,
    is_id_matched: bool,
    beside: PathBuf,
}

impl SecretSource for Passwords {
    fn identities(&self) -> Vec<VaultIdentity> {
        self.identities.clone()
    }

    fn password(&self, identity: &VaultIdentity) -> Result<Secret, String> {
        match identity.source.as_str() {
            PROMPT => ask(&format!("Vault password ({}): ", identity.label)),
            PROMPT_OF_FLAG => ask("Vault password: "),
            file => password_file::of_vault(Path::new(file), &identity.label),
        }
    }

    fn is_id_matched(&self) -> bool {
        self.is_id_matched
    }

    fn run(&self, command: &[String]) -> Result<Secret, CommandFailure> {
        let (name, arguments) = command.split_first().ok_or_else(|| CommandFailure {
            message: "the command has no word".to_string(),
            hint: None,
        })?;
        let failed = |why: &str, hint: Option<&str>| CommandFailure {
            // Arguments may be secrets themselves.
            message: format!("the secret command `{}` gave no secret: {why}", shown(name)),
            hint: hint.map(str::to_string),
        };
        let program = self.program(name);
        let printed = program::run(
            program.as_os_str(),
            arguments,
            Terminal::Apart,
            program::LIMIT,
        )
        .map_err(|why| failed(&why, None))?;
        if let Some(why) = printed.failure() {
            return Err(failed(
                &why,
                Some("run it by hand: it has no stdin, and must end by itself"),
            ));
        }
        let text = std::str::from_utf8(&printed.stdout)
            .map_err(|_| failed("what it prints is not UTF-8", None))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line {
            "" => Err(failed("it prints nothing", None)),
            line if line.contains(['\n', '\r']) => Err(failed(
                "it prints more than one line",
                Some("let it print the secret alone: `[sh, -c, 'pass show NAME | head -n 1']`"),
            )),
            line => Ok(Secret::new(line)),
        }
    }

    fn revealed(&self, text: &str) {
        redact::hide(text);
    }
}

impl Passwords {
    /// A program with a `/` in its name is beside the inventory, `~/` is the home directory, and others are found by PATH.
    fn program(&self, name: &str) -> PathBuf {
        match (name.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ if name.contains('/') => {
                // Without a directory the name would be searched for in PATH.
                let beside = match self.beside.as_os_str() == OsStr::new("") {
                    true => Path::new("."),
                    false => self.beside.as_path(),
                };
                beside.join(name)
            }
            _ => PathBuf::from(name),
        }
    }
}

/// Asks the person at the terminal.
fn ask(prompt: &str) -> Result<Secret, String> {
    if !is_somebody_there() {
        return Err("it would be asked for, but stdin is not a terminal".to_string());
    }
    let password = rpassword::prompt_password(visible(prompt))
        .map_err(|error| format!("it cannot be asked for: {error}"))?;
    match password.trim() {
        "" => Err("an empty password was given".to_string()),
        password => Ok(Secret::new(password)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_tried_in_the_order_of_ansible() {
        let args = VaultArgs {
            vault_password_file: vec!["one".into(), "two".into()],
            vault_id: vec!["prod@p".into(), "plain".into(), "@x".into(), "a@b@c".into()],
            ask_vault_pass: false,
        };
        let defaults = VaultDefaults {
            password_file: Some("cfg".into()),
            identity_list: vec!["dev@d".into()],
            is_id_matched: false,
        };
        let shown = |args, defaults| {
            let all = identities(args, defaults).into_iter();
            all.map(|identity| identity.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&args, &defaults),
            [
                "dev@d",
                "prod@p",
                "default@plain",
                "default@x",
                "a@b@c",
                "default@one",
                "default@two",
                "default@cfg"
            ]
        );
        let asked = VaultArgs {
            ask_vault_pass: true,
            ..VaultArgs::default()
        };
        assert_eq!(
            shown(&asked, &VaultDefaults::default()),
            ["default@prompt_ask_vault_pass"]
        );
    }

    #[test]
    fn the_environment_wins_over_the_configuration() {
        let configured = VaultDefaults {
            password_file: Some("cfg".into()),
            identity_list: vec!["dev@d".into()],
            is_id_matched: true,
        };
        let none = configured.clone().with_environment(|_| None);
        assert_eq!(none.password_file, Some("cfg".into()));
        assert!(none.is_id_matched);
        let all = configured.with_environment(|name| {
            Some(match name {
                "ANSIBLE_VAULT_PASSWORD_FILE" => "env".to_string(),
                "ANSIBLE_VAULT_IDENTITY_LIST" => "a@b, c@d,".to_string(),
                _ => "false".to_string(),
            })
        });
        assert_eq!(all.password_file, Some("env".into()));
        assert_eq!(all.identity_list, ["a@b", "c@d"]);
        assert!(!all.is_id_matched);
    }
}
