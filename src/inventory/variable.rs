//! Which variables may be set, and where.

use super::error::InputError;
use super::error::shown;
use super::suggest::closest;
use super::vars::Layer;
use super::vars::Var;

/// What fwdeploy itself reads from the inventory.
const OURS: [&str; 5] = [
    "fwdeploy_address",
    "fwdeploy_ipset_threshold",
    "fwdeploy_roles",
    "fwdeploy_secret_command",
    "fwdeploy_zone",
];

/// The names that every template finds set; Ansible calls these magic variables and ignores attempts to set them.
const GIVEN: [&str; 6] = [
    "groups",
    "group_names",
    "hostvars",
    "inventory_hostname",
    "inventory_hostname_short",
    "role_name",
];

/// Checks that a variable of this name may be set where it is set.
///
/// # Errors
///
/// Names that fwdeploy sets for templates, unknown names with fwdeploy's prefix, and names that have a meaning only elsewhere.
pub(super) fn check_variable(name: &str, var: &Var) -> Result<(), InputError> {
    let key = var.origin().key_location();
    let layer = var.origin().layer();
    if name.is_empty() {
        return Err(InputError::at(key, "the name of a variable is missing"));
    }
    if GIVEN.contains(&name) {
        return Err(InputError::at(
            key,
            format!("`{name}` is set by fwdeploy and cannot be changed"),
        )
        .hint("choose another name"));
    }
    if name.starts_with("fwdeploy_") && !OURS.contains(&name) {
        let error = InputError::at(key, format!("there is no variable `{}`", shown(name)));
        return Err(match closest(name, OURS) {
            Some(meant) => error.did_you_mean(Some(meant)),
            None => error.hint(format!(
                "fwdeploy reads {}",
                OURS.map(|name| format!("`{name}`")).join(", ")
            )),
        });
    }
    if name == "fwdeploy_roles" && layer == Layer::CommandLine {
        let error = InputError::at(
            key,
            "roles cannot be given with `-e`: every node would get them",
        );
        return Err(error.hint("set `fwdeploy_roles` in the inventory, at a group or node"));
    }
    if name == "ansible_group_priority" && layer != Layer::Group {
        let error = InputError::at(key, "`ansible_group_priority` has no meaning here");
        return Err(error.hint("set it in the inventory, in the `vars` of a group"));
    }
    Ok(())
}
