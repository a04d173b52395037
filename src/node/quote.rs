//! The one way for a value into a shell script.

/// Quotes a word, so that a POSIX shell that runs a script reads exactly that word.
///
/// A shell's words cannot contain a NUL character: it would be dropped silently or end the word. It becomes U+FFFD, so
/// such a value names nothing that exists, instead of something else that does.
///
/// ```
/// use fwdeploy::node::quote;
/// assert_eq!(quote("public"), "public");
/// assert_eq!(quote("$(reboot)"), "'$(reboot)'");
/// assert_eq!(quote(""), "''");
/// ```
pub fn quote(word: &str) -> String {
    match shlex::try_quote(word) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => quote(&word.replace('\0', "\u{fffd}")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nul_names_nothing_that_exists() {
        assert_eq!(quote("a\0b"), quote("a\u{fffd}b"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_real_shell_reads_back_the_very_word(word in "\\PC*|[\x01-\x7f]{0,20}") {
            let script = format!("printf %s {}", quote(&word));
            let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
