//! Which variables hold passwords, and texts without them.

/// Names of variables whose value is a secret, as [`is_secret`] and [`mask_secrets`] look for them.
const SECRET_NAMES: [&str; 6] = [
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_password",
    "ansible_ssh_password",
    "ansible_ssh_pass",
];

/// Returns whether a variable of this name holds a password.
pub fn is_secret(variable: &str) -> bool {
    SECRET_NAMES.contains(&variable)
}

/// Returns the text with each password in it replaced by as many `*` bytes, so that spans remain valid.
///
/// Works on the text alone, because errors are also shown for a text that is not YAML.
pub(super) fn mask_secrets(text: &str) -> String {
    let mut masked = text.to_owned();
    for name in SECRET_NAMES {
        for (found, _) in text.match_indices(name) {
            let after = found + name.len();
            let Some((start, end)) = secret_after(&text[after..]) else {
                continue;
            };
            masked.replace_range(after + start..after + end, &"*".repeat(end - start));
        }
    }
    masked
}

/// Where the value begins and ends in what follows the name of a variable, or `None` if none follows.
fn secret_after(text: &str) -> Option<(usize, usize)> {
    let unquoted = text.trim_start_matches(['"', '\'']).trim_start_matches(' ');
    let value = unquoted.strip_prefix([':', '='])?.trim_start();
    let start = text.len() - value.len();
    let length = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].find(quote).map_or(value.len(), |end| end + 2),
        // A block or an unusual value: all of the shown text.
        '|' | '>' | '[' | '{' | '!' | '&' => value.len(),
        // To the end of the line, because a password may hold commas and braces.
        _ => value.find('\n').unwrap_or(value.len()),
    };
    Some((start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_place() {
        for (text, expected) in [
            (
                "ansible_become_password: hunter2\nx: 1",
                "ansible_become_password: *******\nx: 1",
            ),
            (
                "{ansible_become_pass: a, ansible_port: 0}",
                "{ansible_become_pass: *******************",
            ),
            (
                "\"ansible_password\": \"a, b\", x",
                "\"ansible_password\": ******, x",
            ),
            ("ansible_become_password=é", "ansible_become_password=**"),
            (
                "ansible_become_password:\n  x",
                "ansible_become_password:\n  *",
            ),
            ("ansible_become_password", "ansible_become_password"),
        ] {
            assert_eq!(mask_secrets(text), expected);
        }
    }
}
