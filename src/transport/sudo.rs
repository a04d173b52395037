//! What sudo's complaints mean.

/// Why sudo did not let the user through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SudoProblem {
    /// There is no sudo on the node.
    Missing,
    /// It wants a password, and none was given.
    PasswordRequired,
    /// It was given a password and did not take it. It was offered once.
    WrongPassword,
    /// It wants a terminal (`Defaults requiretty`), which no run has.
    TerminalRequired,
    /// Its rules do not let this user become that one.
    NotAllowed,
    /// It asked for something other than the password and got no answer.
    Unanswered,
    /// Something else; its output is in the message.
    Other,
}

impl SudoProblem {
    /// Understands the messages in the C locale of sudo 1.8 and 1.9, of sudo-rs, and of env if sudo is missing.
    pub(super) fn read(said: &str, status: Option<i32>) -> Self {
        const WORDS: [(&str, SudoProblem); 12] = [
            // Before "a password is required": with requiretty both lines can be present.
            ("you must have a tty", SudoProblem::TerminalRequired),
            ("is not in the sudoers file", SudoProblem::NotAllowed),
            ("is not allowed to", SudoProblem::NotAllowed),
            ("may not run sudo", SudoProblem::NotAllowed),
            ("I'm afraid I can't do that", SudoProblem::NotAllowed),
            ("incorrect password attempt", SudoProblem::WrongPassword),
            ("Sorry, try again", SudoProblem::WrongPassword),
            (
                "Authentication failed, try again",
                SudoProblem::WrongPassword,
            ),
            ("password is required", SudoProblem::PasswordRequired),
            ("authentication is required", SudoProblem::PasswordRequired),
            ("terminal is required", SudoProblem::PasswordRequired),
            (
                "no tty present and no askpass",
                SudoProblem::PasswordRequired,
            ),
        ];
        if status == Some(127) {
            return Self::Missing;
        }
        let problem = WORDS.iter().find(|(words, _)| said.contains(words));
        problem.map_or(Self::Other, |(_, problem)| *problem)
    }

    /// What happened, as the middle of a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Missing => "sudo is not installed there",
            Self::PasswordRequired => "sudo asks for a password and none was given",
            Self::WrongPassword => "sudo did not take the password",
            Self::TerminalRequired => "sudo asks for a terminal",
            Self::NotAllowed => "sudo's rules do not allow it",
            Self::Unanswered => "sudo waited for something other than the password",
            Self::Other => "sudo refused",
        }
    }

    /// What to do about it.
    pub(super) fn hint(self, user: &str) -> Option<String> {
        Some(match self {
            Self::Missing => format!(
                "install sudo there, or log in as {user} (`ansible_user: {user}`) with `ansible_become: false`"
            ),
            Self::PasswordRequired => {
                "give the password with `-K`, or let the user run sudo without one (NOPASSWD)"
                    .to_owned()
            }
            Self::WrongPassword => {
                "check the password given with `-K` or in `ansible_become_password`; it was offered once"
                    .to_owned()
            }
            Self::TerminalRequired => {
                "add `Defaults:USER !requiretty` to the node's sudoers for the login user".to_owned()
            }
            Self::NotAllowed => format!(
                "let the login user run `/bin/sh` as {user} in the node's sudoers, or log in as another user (`ansible_user`)"
            ),
            Self::Unanswered => {
                "sudo there uses more than a password; allow the login user NOPASSWD".to_owned()
            }
            Self::Other => return None,
        })
    }
}

/// The output of sudo, without the lecture that it gives a user once.
pub(super) fn without_lecture(said: &str) -> String {
    const LECTURE: [&str; 6] = [
        "We trust you have received the usual lecture from the local System",
        "Administrator. It usually boils down to these three things:",
        "#1) Respect the privacy of others.",
        "#2) Think before you type.",
        "#3) With great power comes great responsibility.",
        "For security reasons, the password you type will not be visible.",
    ];
    said.lines()
        .filter(|line| !LECTURE.contains(&line.trim()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_every_sudo_are_understood() {
        let cases = [
            (
                "env: 'sudo': No such file or directory\n",
                127,
                SudoProblem::Missing,
            ),
            (
                "sudo: a password is required\n",
                1,
                SudoProblem::PasswordRequired,
            ),
            (
                "sudo: interactive authentication is required\n",
                1,
                SudoProblem::PasswordRequired,
            ),
            (
                "sudo: no tty present and no askpass program specified\n",
                1,
                SudoProblem::PasswordRequired,
            ),
            (
                "sudo: sorry, you must have a tty to run sudo\n",
                1,
                SudoProblem::TerminalRequired,
            ),
            (
                "ops is not in the sudoers file.\nThis incident has been reported to the administrator.\n",
                1,
                SudoProblem::NotAllowed,
            ),
            (
                "Sorry, user ops is not allowed to execute '/bin/sh' as root on edge.\n",
                1,
                SudoProblem::NotAllowed,
            ),
            (
                "sudo: I'm sorry ops. I'm afraid I can't do that\n",
                1,
                SudoProblem::NotAllowed,
            ),
            (
                "sudo: 1 incorrect password attempt\n",
                1,
                SudoProblem::WrongPassword,
            ),
            ("sudo: unknown user nobody2\n", 1, SudoProblem::Other),
        ];
        for (said, status, problem) in cases {
            assert_eq!(SudoProblem::read(said, Some(status)), problem, "{said}");
        }
    }
}
