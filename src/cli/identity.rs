//! The operator's identity, which a node records with each snapshot.

use std::env;

use crate::model::visible::visible;

/// Returns user and machine, such as `eva@desk`; `eva (root)@desk` if the user became root through sudo.
pub(super) fn name() -> String {
    let variable = |name: &str| env::var(name).ok();
    let system = rustix::system::uname();
    let user = user(&variable, rustix::process::getuid().as_raw());
    // It becomes one field of a line of the node's records, and is shown to other operators.
    visible(&format!("{user}@{}", system.nodename().to_string_lossy())).replace(['\n', '\t'], " ")
}

/// Returns the user's name from the environment, or else from the user's number.
fn user(variable: &dyn Fn(&str) -> Option<String>, number: u32) -> String {
    let told = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let own = told("USER").or_else(|| told("LOGNAME"));
    let own = own.unwrap_or_else(|| match number {
        0 => "root".to_string(),
        number => format!("user {number}"),
    });
    // sudo and doas set the name of the calling user; on a bastion all users may be root.
    match told("SUDO_USER").or_else(|| told("DOAS_USER")) {
        Some(asked) if asked != own => format!("{asked} ({own})"),
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::user;

    #[test]
    fn who_came_by_sudo_is_named_beside_whom_it_became() {
        let said = |variables: &[(&str, &str)], number| {
            let variable = |name: &str| {
                let mut set = variables.iter();
                set.find(|(set, _)| *set == name)
                    .map(|(_, value)| value.to_string())
            };
            user(&variable, number)
        };
        assert_eq!(said(&[("USER", "eva")], 1000), "eva");
        assert_eq!(
            said(&[("USER", "root"), ("SUDO_USER", "alice")], 0),
            "alice (root)"
        );
        assert_eq!(said(&[("SUDO_USER", "alice")], 0), "alice (root)");
        assert_eq!(
            said(&[("LOGNAME", "ops"), ("DOAS_USER", "bob")], 7),
            "bob (ops)"
        );
        assert_eq!(said(&[("USER", "root"), ("SUDO_USER", "root")], 0), "root");
        assert_eq!(said(&[("USER", " "), ("SUDO_USER", "")], 7), "user 7");
    }
}
