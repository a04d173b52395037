//! `config`: shows which settings count, and who says so.

use std::fmt::Write;

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::HostKeys;
use crate::cli::args::SelectionArgs;
use crate::cli::configuration;
use crate::cli::configuration::Configuration;
use crate::cli::configuration::Configured;
use crate::cli::configuration::Origin;
use crate::cli::error::CliError;
use crate::cli::messages;
use crate::cli::settings;
use crate::cli::sources;
use crate::cli::warning::Warnings;
use crate::model::visible::visible;
use crate::report::progress::print;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A setting by Ansible's name, its value, and where that comes from.
type Row = (&'static str, String, String);

/// Executes `fwdeploy config`.
pub(super) fn execute(args: &ConfigArgs) -> Result<u8, CliError> {
    let configured = configuration::current()?;
    let mut warnings = Warnings::default();
    warnings.add_general(configured.warnings.iter().cloned());
    for warning in &warnings.into_found() {
        messages::warn(warning);
    }
    print(&table(&rows(args, configured)));
    Ok(0)
}

fn rows(args: &ConfigArgs, configured: &Configuration) -> Vec<Row> {
    let (selection, connection) = (&args.selection, &args.connection);
    let file = configured
        .file
        .as_ref()
        .map(|file| file.display().to_string());
    let mut rows = vec![("ansible.cfg", file.unwrap_or_else(none), String::new())];
    let paths = |paths: &[std::path::PathBuf]| {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        paths.join(", ")
    };
    let inventories = sources::inventories(selection, configured);
    rows.push(maybe("inventory", inventories.as_ref(), |value| {
        paths(value)
    }));
    let directory = sources::playbook_directory(selection, configured);
    rows.push(row("playbook_dir", &directory, |value| {
        match value.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => value.display().to_string(),
        }
    }));
    let path = |value: &Option<std::path::PathBuf>| {
        let shown = value.as_ref().map(|path| path.display().to_string());
        shown.unwrap_or_else(none)
    };
    let flag = |value: &bool| value.to_string();
    rows.push(row(
        "remote_user",
        &settings::user(connection, configured),
        |value| {
            value
                .clone()
                .unwrap_or_else(|| "the user of this command".to_owned())
        },
    ));
    rows.push(row(
        "private_key_file",
        &settings::key_file(connection, configured),
        path,
    ));
    rows.push(row(
        "host_key_checking",
        &settings::host_keys(connection, configured),
        |how| match how {
            HostKeys::Strict => "strict".to_owned(),
            HostKeys::AcceptNew => "accept-new".to_owned(),
        },
    ));
    rows.push(row(
        "forks",
        &settings::forks(connection, configured),
        ToString::to_string,
    ));
    rows.push(row(
        "timeout",
        &settings::timeout(connection, configured),
        |time| format!("{} s", time.as_secs()),
    ));
    rows.push(row(
        "become",
        &settings::escalate(connection, configured),
        flag,
    ));
    rows.push(row(
        "become_user",
        &settings::escalate_user(configured),
        String::clone,
    ));
    let asked = settings::ask_escalate_password(connection, configured);
    rows.push(row("become_ask_pass", &asked, flag));
    let vault = &configured.vault;
    rows.push(maybe(
        "vault_password_file",
        vault.password_file.as_ref(),
        |file| file.display().to_string(),
    ));
    rows.push(maybe(
        "vault_identity_list",
        vault.identity_list.as_ref(),
        |list| list.join(", "),
    ));
    for (name, value) in [
        ("ssh_args", &configured.ssh.args),
        ("ssh_common_args", &configured.ssh.common_args),
        ("ssh_extra_args", &configured.ssh.extra_args),
    ] {
        rows.push(maybe(name, value.as_ref(), String::clone));
    }
    rows
}

fn none() -> String {
    "none".to_owned()
}

fn row<T>(name: &'static str, found: &Configured<T>, shown: impl Fn(&T) -> String) -> Row {
    (name, shown(&found.value), found.origin.to_string())
}

fn maybe<T>(
    name: &'static str,
    found: Option<&Configured<T>>,
    shown: impl Fn(&T) -> String,
) -> Row {
    match found {
        Some(found) => row(name, found, shown),
        None => (name, none(), Origin::Default.to_string()),
    }
}

fn table(rows: &[Row]) -> String {
    let rows: Vec<(&str, String, String)> = rows
        .iter()
        .map(|(name, value, origin)| (*name, visible(value), visible(origin)))
        .collect();
    let name_width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let widths = rows.iter().map(|(_, value, _)| value.chars().count());
    let value_width = widths.max().unwrap_or(0).min(60);
    let mut text = String::new();
    for (name, value, origin) in rows {
        let line = format!("{name:name_width$}  {value:value_width$}  {origin}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
