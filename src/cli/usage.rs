//! Hints for commands and flags of Ansible and similar tools, which the parser only knows to be wrong.

use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;

/// Commands of other tools, with a hint what to use instead.
const COMMANDS: [(&[&str], &str); 9] = [
    (
        &[
            "plan", "check", "diff", "dry-run", "dryrun", "preview", "drift",
        ],
        "did you mean `fwdeploy run INVENTORY --check`? it shows what would change, and changes nothing",
    ),
    (
        &[
            "apply", "deploy", "play", "playbook", "up", "converge", "sync",
        ],
        "did you mean `fwdeploy run INVENTORY`?",
    ),
    (
        &["undo", "revert", "restore", "back", "destroy"],
        "did you mean `fwdeploy rollback INVENTORY`? it restores the state before the last run",
    ),
    (
        &[
            "ping",
            "setup",
            "gather",
            "gather-facts",
            "show",
            "inspect",
            "get",
        ],
        "did you mean `fwdeploy facts INVENTORY`? it reads every node; `status` shows who is changing it",
    ),
    (
        &[
            "list",
            "list-hosts",
            "hosts",
            "validate",
            "lint",
            "syntax-check",
            "template",
            "export",
        ],
        "did you mean `fwdeploy inventory INVENTORY`, or `fwdeploy render INVENTORY`, which prints what each node requires? Neither connects; `fwdeploy run INVENTORY --syntax-check` reads all files",
    ),
    (
        &["test", "verify", "simulate"],
        "did you mean `fwdeploy run INVENTORY --check`, or `fwdeploy drill INVENTORY`, which tests that nodes roll themselves back?",
    ),
    (
        &["history", "log", "who", "lock"],
        "did you mean `fwdeploy status INVENTORY`?",
    ),
    (
        &["init", "new", "create"],
        "write an inventory as for Ansible; `fwdeploy role list` names the roles that its nodes may have",
    ),
    (&["version"], "did you mean `fwdeploy --version`?"),
];

/// Flags of Ansible, with a hint what to use instead.
const FLAGS: [(&[&str], &str); 15] = [
    (
        &["-y", "--yaml", "--toml", "--export", "--output"],
        "`fwdeploy inventory` prints JSON (`--list`, `--host NODE`), a tree (`--graph`), or where values come from (`--vars NODE`)",
    ),
    (
        &["-n", "--dry-run", "--plan", "--noop", "--what-if"],
        "`--check` shows what would change, and changes nothing",
    ),
    (
        &[
            "-t",
            "--tags",
            "--skip-tags",
            "--start-at-task",
            "--step",
            "--list-tasks",
            "--list-tags",
        ],
        "there are no tasks and no tags: a run applies the roles, and `--limit` selects nodes",
    ),
    (
        &["--list-hosts", "--syntax-check"],
        "`fwdeploy run INVENTORY` has this flag",
    ),
    (
        &["--list", "--graph", "--host"],
        "`fwdeploy inventory INVENTORY` has this flag",
    ),
    (
        &["-m", "--module-name", "-a", "--args", "-M", "--module-path"],
        "there are no modules: `fwdeploy run INVENTORY` applies the roles",
    ),
    (
        &["-c", "--connection"],
        "set `ansible_connection: local` in the inventory for this machine; all others are reached by ssh",
    ),
    (
        &[
            "--become-user",
            "--become-method",
            "-S",
            "--su",
            "-s",
            "--sudo",
            "-U",
            "--sudo-user",
        ],
        "`-b` becomes root through sudo; `ansible_become_user` and `ansible_become_password` are set in the inventory, and `-K` and `--become-password-file` give the password",
    ),
    (
        &[
            "--ssh-extra-args",
            "--sftp-extra-args",
            "--scp-extra-args",
            "--ssh-args",
        ],
        "`--ssh-common-args` gives arguments of ssh to all nodes; `ansible_ssh_common_args` in the inventory to some",
    ),
    (&["--remote-user", "--ssh-user"], "did you mean `--user`?"),
    (
        &["--key", "--identity", "--identity-file"],
        "did you mean `--private-key`?",
    ),
    (
        &["-q", "--quiet", "-o", "--one-line"],
        "`--json` prints one document; `2>/dev/null` hides the progress",
    ),
    (
        &["--yes", "--force", "--auto-approve", "--force-handlers"],
        "there are no prompts: a run needs no confirmation, and a node that fails rolls itself back",
    ),
    (
        &["-P", "--poll", "-B", "--background", "--flush-cache", "-x"],
        "fwdeploy has no equivalent; `--help` shows all flags",
    ),
    (
        &[
            "-T",
            "--timeout",
            "-u",
            "--user",
            "-b",
            "--become",
            "-K",
            "-f",
            "--forks",
            "--private-key",
            "-k",
            "-v",
        ],
        "this command does not connect, so it has no connection flags",
    ),
];

/// Returns a hint to print after the parser's own message.
pub(super) fn hint(error: &clap::Error) -> Option<String> {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let known = |list: &[(&[&str], &str)], word: &str| {
        let mut found = list.iter().filter(|(names, _)| names.contains(&word));
        found.next().map(|(_, hint)| (*hint).to_string())
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = said(ContextKind::InvalidSubcommand)?;
            let is_inventory =
                word.contains('/') || word.ends_with(".yml") || word.ends_with(".yaml");
            match is_inventory {
                true => Some(
                    "a command goes first: `fwdeploy run INVENTORY`, or `run INVENTORY --check`"
                        .to_string(),
                ),
                false => known(&COMMANDS, &word.to_lowercase()),
            }
        }
        ErrorKind::UnknownArgument => {
            let word = said(ContextKind::InvalidArg)?;
            known(&FLAGS, word.split('=').next().unwrap_or(word))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let flag = said(ContextKind::InvalidArg)?;
            let seconds = flag.contains("SECONDS");
            seconds.then(|| "a whole number of seconds: `-T 30`; `--command-timeout 300` for one command on a node".to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::Parser;

    use super::*;
    use crate::cli::commands::Cli;

    fn hint_of(arguments: &[&str]) -> Option<String> {
        let mut all = vec!["fwdeploy"];
        all.extend(arguments);
        hint(&Cli::try_parse_from(all).expect_err("it is wrong"))
    }

    /// Tried with each list emptied.
    #[test]
    fn who_comes_from_another_tool_is_told_what_it_is_called_here() {
        for (words, hint) in COMMANDS {
            for word in words {
                assert_eq!(
                    hint_of(&[word, "inventory.yml"]).as_deref(),
                    Some(hint),
                    "{word}"
                );
            }
        }
        for (flags, hint) in &FLAGS[..FLAGS.len() - 1] {
            for flag in *flags {
                // `run` has those of the list of hosts itself.
                let command = match *flag {
                    "--list-hosts" | "--syntax-check" => "status",
                    _ => "run",
                };
                assert_eq!(
                    hint_of(&[command, "inventory.yml", flag]).as_deref(),
                    Some(*hint),
                    "{flag}"
                );
            }
        }
        for flag in FLAGS[FLAGS.len() - 1].0 {
            assert!(
                hint_of(&["render", "inventory.yml", flag]).is_some(),
                "{flag}"
            );
        }
        for path in ["inventory.yml", "./hosts", "/etc/ansible/hosts.yaml"] {
            assert!(
                hint_of(&[path]).is_some_and(|hint| hint.contains("fwdeploy run")),
                "{path}"
            );
        }
        for wrong in [
            &["-T"][..],
            &["-T", "30s"],
            &["-T", "0"],
            &["--command-timeout", "x"],
        ] {
            let mut all = vec!["run", "inventory.yml"];
            all.extend(wrong);
            assert!(
                hint_of(&all).is_some_and(|hint| hint.contains("`-T 30`")),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn no_hint_hides_a_word_that_there_is() {
        let cli = Cli::command();
        let names: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        let mut others = COMMANDS.iter().flat_map(|(words, _)| words.iter());
        assert!(others.all(|word| !names.contains(word)));
        assert_eq!(hint_of(&["rum"]), None);
        assert_eq!(hint_of(&["run", "inventory.yml", "--chek"]), None);
    }
}
