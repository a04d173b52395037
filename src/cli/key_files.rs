//! Checks the private key files.

use std::path::Path;

use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::fleet::Fleet;
use crate::inventory::ConnectionMethod;
use crate::inventory::InputError;
use crate::inventory::InputErrors;

/// Checks that every private key file exists. A missing one would otherwise be noticed after half of the fleet was done.
///
/// # Errors
///
/// Every missing file that the inventory names; otherwise the one of `--private-key`.
pub(super) fn check(fleet: &Fleet, default: Option<&Path>) -> Result<(), CliError> {
    let mut errors = InputErrors::none();
    for member in &fleet.members {
        if let Some(key) = &member.connection.private_key_file
            && member.connection.method == ConnectionMethod::Ssh
            && !key.value.is_file()
        {
            let path = key.value.display();
            let error = InputError::at(
                key.location.clone(),
                format!("there is no key file `{path}`"),
            );
            errors.push(error.hint("a relative path is relative to the inventory's directory"));
        }
    }
    fleet::unique(errors).or(())?;
    match default {
        Some(path) if !path.is_file() => Err(CliError::new(format!(
            "there is no key file `{}`",
            path.display()
        ))
        .hint("`--private-key` names a private key in OpenSSH or PEM format")),
        _ => Ok(()),
    }
}
