//! Checks what the inventory says to ssh, before the first connection.

use std::collections::BTreeSet;

use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::fleet::Fleet;
use crate::cli::messages;
use crate::cli::options::ConnectionDefaults;
use crate::inventory::ConnectionMethod;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::model::ssh_arguments::Use;
use crate::transport::Client;

const HINT: &str = "remove it, or use `--transport openssh`: the system's ssh has all options";

/// Checks the arguments of ssh of all nodes, and prints a note with those that have no effect.
///
/// # Errors
///
/// Every option that would be missed, unless the system's ssh is used, which has them all.
pub(super) fn check(fleet: &Fleet, defaults: &ConnectionDefaults) -> Result<(), CliError> {
    let mut errors = InputErrors::none();
    let mut without_effect = BTreeSet::new();
    let client = defaults.client;
    if client != Client::OpenSsh {
        for (name, it) in defaults.arguments.uses() {
            match it {
                Use::Heeded => {}
                Use::WithoutEffect => {
                    without_effect.insert(name);
                }
                Use::Refused(why) => errors.push(
                    InputError::general(format!(
                        "the ssh option `{name}` of `--ssh-common-args` or ansible.cfg is not possible: {why}"
                    ))
                    .hint(HINT),
                ),
            }
        }
    }
    for member in &fleet.members {
        let connection = &member.connection;
        if connection.method != ConnectionMethod::Ssh || client == Client::OpenSsh {
            continue;
        }
        for arguments in connection.ssh_args.iter().chain(&connection.ssh_more_args) {
            for (name, it) in arguments.value.uses() {
                match it {
                    Use::Heeded => {}
                    Use::WithoutEffect => {
                        without_effect.insert(name);
                    }
                    Use::Refused(why) => errors.push(
                        InputError::at(
                            arguments.location.clone(),
                            format!("the ssh option `{name}` is not possible: {why}"),
                        )
                        .hint(HINT),
                    ),
                }
            }
        }
    }
    fleet::unique(errors).or(())?;
    if !without_effect.is_empty() {
        let names: Vec<String> = without_effect.into_iter().collect();
        messages::note(&format!(
            "ssh options that have no effect here: {}",
            names.join(", ")
        ));
    }
    Ok(())
}
