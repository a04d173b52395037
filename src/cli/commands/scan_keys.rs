//! `scan-keys`: the host keys of the whole fleet, compared with those that are known, and written down on a yes.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::messages;
use crate::cli::options::FleetOptions;
use crate::cli::secrets;
use crate::cli::secrets::NodePasswords;
use crate::cli::secrets::SecretProvider;
use crate::engine::Job;
use crate::report::Purpose;
use crate::report::progress::print;
use crate::report::sanitize;
use crate::transport::Cancel;
use crate::transport::ConnectError;
use crate::transport::Scanned;
use crate::transport::SystemTransport;
use crate::transport::Via;
use crate::transport::known_hosts::HostKeyStatus;
use crate::transport::known_hosts::lookup_name;

/// The exit code if a node was not reached, or has a key that is not the known one.
const NOT_ALL: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct ScanKeysArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Write new keys down without asking
    #[arg(short = 'y', long)]
    yes: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Executes `fwdeploy scan-keys`.
pub(super) fn execute(args: &ScanKeysArgs) -> Result<u8, CliError> {
    let options = FleetOptions::new(Purpose::Facts, &args.connection);
    let fleet = load::fleet_with_keys(&args.selection, &options.defaults)?;
    let mut jobs = jobs::of_all(&fleet, &options.defaults);
    jobs.retain(|job| job.destination.via == Via::Ssh);
    let asked = secrets::ask_passwords(options.asks_password, false)?;
    let provider = SecretProvider::without_screen(NodePasswords::default(), asked);
    let system = SystemTransport::new(options.settings.clone(), Box::new(provider));
    let scanned = scan_all(&jobs, &system, options.forks.get());
    let lines: Vec<String> = jobs
        .iter()
        .zip(&scanned)
        .map(|(job, scanned)| line(job.node(), scanned))
        .collect();
    if !lines.is_empty() {
        print(&(lines.join("\n") + "\n"));
    }
    let is_bad = |scanned: &Result<Scanned, ConnectError>| match scanned {
        Ok(scanned) => matches!(
            scanned.status,
            HostKeyStatus::Changed { .. } | HostKeyStatus::Revoked { .. }
        ),
        Err(_) => true,
    };
    let is_new = |scanned: &&Scanned| matches!(scanned.status, HostKeyStatus::Unknown { .. });
    let new: Vec<&Scanned> = scanned.iter().flatten().filter(is_new).collect();
    let mut code = match scanned.iter().any(is_bad) {
        true => NOT_ALL,
        false => 0,
    };
    if !new.is_empty() && !write_down(&new, args.yes)? {
        code = NOT_ALL;
    }
    Ok(code)
}

/// Looks at the host key of every node, so many at a time.
fn scan_all(
    jobs: &[Job],
    system: &SystemTransport,
    forks: usize,
) -> Vec<Result<Scanned, ConnectError>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<Scanned, ConnectError>>>> =
        Mutex::new(jobs.iter().map(|_| None).collect());
    let cancel = Cancel::new();
    let worker = || {
        while let Some((at, job)) = {
            let at = next.fetch_add(1, Ordering::SeqCst);
            jobs.get(at).map(|job| (at, job))
        } {
            let scanned = system.scan(&job.destination, &cancel);
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(scanned);
        }
    };
    thread::scope(|scope| {
        for _ in 1..forks.min(jobs.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.into_iter().flatten().collect()
}

/// A node in one line: its name, the name of its key, the key, and what is known of it.
fn line(node: &str, scanned: &Result<Scanned, ConnectError>) -> String {
    let text = match scanned {
        Ok(scanned) => {
            let name = lookup_name(&scanned.known_as.0, scanned.known_as.1);
            let status = match &scanned.status {
                HostKeyStatus::Known => "known".to_owned(),
                HostKeyStatus::Unknown { .. } => "new".to_owned(),
                HostKeyStatus::Changed { known, algorithm } => {
                    format!("CHANGED: {known} has another one ({algorithm})")
                }
                HostKeyStatus::Revoked { location } => format!("REVOKED at {location}"),
            };
            let (algorithm, fingerprint) = (scanned.key.algorithm(), scanned.key.fingerprint());
            format!("{node}  {name}  {algorithm} {fingerprint}  {status}")
        }
        Err(error) => {
            let mut text = format!("{node}  failed: {error}");
            let mut next = std::error::Error::source(error);
            while let Some(cause) = next {
                text = format!("{text}: {cause}");
                next = cause.source();
            }
            text
        }
    };
    sanitize(&text)
}

/// Writes the new keys down, if the answer is yes. Returns whether it did.
fn write_down(new: &[&Scanned], yes: bool) -> Result<bool, CliError> {
    let count = match new.len() {
        1 => "1 new key".to_owned(),
        many => format!("{many} new keys"),
    };
    if !yes {
        if !io::stdin().is_terminal() {
            messages::note(&format!(
                "{count}, and nothing was written: compare the fingerprints, then run it with `--yes`"
            ));
            return Ok(false);
        }
        let mut stderr = io::stderr().lock();
        let _ = write!(
            stderr,
            "{count}: are the fingerprints right, and shall they be trusted? [y/N] "
        );
        let _ = stderr.flush();
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        let is_yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
        if read.is_err() || !is_yes {
            messages::note("nothing was written");
            return Ok(false);
        }
    }
    for scanned in new {
        let name = lookup_name(&scanned.known_as.0, scanned.known_as.1);
        match scanned.write_down() {
            Ok(HostKeyStatus::Unknown { .. } | HostKeyStatus::Known) => {}
            Ok(_) => {
                let message =
                    format!("another key of {name} was written meanwhile; nothing was replaced");
                return Err(CliError::new(message).hint("run it again"));
            }
            Err(error) => {
                return Err(CliError::new(format!(
                    "cannot write down the key of {name}: {error}"
                )));
            }
        }
    }
    let file = new.iter().find_map(|scanned| scanned.file.as_ref());
    let file = file.map_or_else(String::new, |file| format!(" in {}", file.display()));
    messages::note(&format!("{count} written down{file}"));
    Ok(true)
}
