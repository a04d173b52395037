//! Runs a command on the nodes of a fleet: connects transport, engine and report.

use std::collections::BTreeSet;
use std::io;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::cli::error::CliError;
use crate::cli::fleet::Fleet;
use crate::cli::fleet::Member;
use crate::cli::identity;
use crate::cli::open_files;
use crate::cli::options::BecomePassword;
use crate::cli::options::FleetOptions;
use crate::cli::password_file;
use crate::cli::secrets;
use crate::cli::secrets::NodePasswords;
use crate::cli::secrets::SecretProvider;
use crate::cli::signals;
use crate::engine::Differences;
use crate::engine::Event;
use crate::engine::EventSink;
use crate::engine::Job;
use crate::engine::RunContext;
use crate::engine::Transcript;
use crate::engine::WhenFailed;
use crate::report::Progress;
use crate::report::Verbosity;
use crate::report::json::OutcomesDocument;
use crate::report::output::Stdout;
use crate::report::progress::Screen;
use crate::report::progress::Show;
use crate::transport::Privilege;
use crate::transport::SystemTransport;

/// Wait between two attempts to connect to a node that was just changed, and between two reads of a node that may still be changing.
const PAUSE: Duration = Duration::from_secs(1);

/// One command on the nodes of a fleet.
pub(super) struct FleetRun<'a> {
    options: &'a FleetOptions,
    fleet: &'a Fleet,
    others: &'a [Job],
}

/// The result of a [`FleetRun`].
pub(super) struct Done<T> {
    /// What the engine returned.
    pub(super) result: T,
    /// Wall-clock time from the start of the progress display to its end.
    pub(super) elapsed: Duration,
    /// The exit code for the first signal that arrived (128 + its number), if one did.
    pub(super) signalled: Option<u8>,
    /// The document that the nodes are written to when they are done, if there is one.
    pub(super) document: Option<OutcomesDocument<Stdout>>,
}

/// Writes what became of a node to a document, and passes all events on.
struct Written<'a> {
    document: Mutex<OutcomesDocument<Stdout>>,
    sink: &'a dyn EventSink,
}

impl EventSink for Written<'_> {
    fn emit(&self, event: Event) {
        if let Event::Finished(outcome) = &event {
            let mut document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
            // As everywhere, a closed pipe is ignored.
            let _ = document.put(outcome);
        }
        self.sink.emit(event);
    }
}

impl<'a> FleetRun<'a> {
    /// Prepares a command with these options.
    pub(super) fn new(options: &'a FleetOptions, fleet: &'a Fleet) -> Self {
        FleetRun {
            options,
            fleet,
            others: &[],
        }
    }

    /// The same for a command that afterwards reads these other nodes, which have no role.
    pub(super) fn then_reads(self, others: &'a [Job]) -> Self {
        FleetRun { others, ..self }
    }

    /// The nodes of this run.
    fn connecting(&self, jobs: &[Job]) -> impl Iterator<Item = &Member> {
        let names: BTreeSet<String> = jobs
            .iter()
            .chain(self.others)
            .map(|job| job.node().to_string())
            .collect();
        let members = self.fleet.members.iter();
        members.filter(move |member| names.contains(&member.name))
    }

    /// The nodes of this run on which another user does the work, whom sudo lets in perhaps by a password only.
    fn escalating(&self, jobs: &[Job]) -> impl Iterator<Item = &Member> {
        let by_sudo = |job: &&Job| matches!(job.destination.privilege, Privilege::Sudo { .. });
        let names: BTreeSet<String> = jobs
            .iter()
            .chain(self.others)
            .filter(by_sudo)
            .map(|job| job.node().to_string())
            .collect();
        let members = self.fleet.members.iter();
        members.filter(move |member| names.contains(&member.name))
    }

    /// The document that is written while the nodes are done; `None` if what became of them is told in another way, or may still change at
    /// the end.
    fn document(&self, jobs: &[Job], to: Stdout) -> Option<OutcomesDocument<Stdout>> {
        let options = self.options;
        if options.outcomes.is_some()
            || !options.purpose.has_outcomes()
            || options.rollout.when_failed != WhenFailed::Keep
        {
            return None;
        }
        let names: BTreeSet<&str> = jobs.iter().map(Job::node).collect();
        let members = self.fleet.members.iter().enumerate();
        let places = members
            .filter(|(_, member)| names.contains(&*member.name))
            .map(|(at, member)| (member.name.clone(), at));
        Some(OutcomesDocument::new(to, options.purpose, places.collect()))
    }

    /// Calls `work` with a context made from the options, and shows its progress.
    ///
    /// # Errors
    ///
    /// The password cannot be asked for, or the signal handlers cannot be installed. No connection was made.
    pub(super) fn execute<T>(
        &self,
        jobs: &[Job],
        work: impl FnOnce(&[Job], &RunContext<'_>) -> T,
    ) -> Result<Done<T>, CliError> {
        self.execute_with_output(jobs, |jobs, context, _| work(jobs, context))
    }

    /// As [`FleetRun::execute`], with standard output for what is written while nodes are at work.
    ///
    /// # Errors
    ///
    /// As [`FleetRun::execute`].
    pub(super) fn execute_with_output<T>(
        &self,
        jobs: &[Job],
        work: impl FnOnce(&[Job], &RunContext<'_>, Stdout) -> T,
    ) -> Result<Done<T>, CliError> {
        let options = self.options;
        // Before the bars are drawn, and while Ctrl-C still ends the program immediately.
        let asks_sudo = options.become_password == BecomePassword::Asked;
        let mut asked = secrets::ask_passwords(options.asks_password, asks_sudo)?;
        if let Some(file) = &options.password_file {
            asked.login = Some(password_file::read(file, "--connection-password-file")?);
        }
        if let BecomePassword::File(file) = &options.become_password {
            asked.escalate = Some(password_file::read(file, "--become-password-file")?);
        }
        let of_nodes = NodePasswords::open(self.connecting(jobs), self.escalating(jobs))?;
        open_files::allow(options.forks.get());
        let operator = identity::name();
        let begun = Instant::now();
        let progress = Progress::start(Show {
            purpose: options.purpose,
            nodes: jobs.iter().map(|job| job.node().to_string()).collect(),
            others: self
                .others
                .iter()
                .map(|job| job.node().to_string())
                .collect(),
            forks: options.forks.get(),
            verbosity: options.verbosity,
            outcomes: options.outcomes,
            screen: if io::stderr().is_terminal() {
                Screen::Terminal
            } else {
                Screen::Lines
            },
        });
        let secrets = SecretProvider::new(of_nodes, asked, progress.handle().clone());
        let transport = SystemTransport::new(options.settings.clone(), Box::new(secrets));
        let watch = signals::watch(progress.handle().clone())
            .map_err(|error| CliError::new(format!("cannot watch for signals: {error}")))?;
        let handle = progress.handle();
        let written = self
            .document(jobs, handle.output())
            .map(|document| Written {
                document: Mutex::new(document),
                sink: handle,
            });
        let sink: &dyn EventSink = match &written {
            Some(written) => written,
            None => handle,
        };
        let result = work(
            jobs,
            &RunContext {
                transport: &transport,
                forks: options.forks,
                rollout: &options.rollout,
                limit: options.command_timeout,
                pause: PAUSE,
                confirm: options.confirm,
                operator: &operator,
                allowed: options.allowed,
                transcript: match options.verbosity {
                    Verbosity::Quiet => Transcript::Off,
                    Verbosity::Steps | Verbosity::Everything => Transcript::On,
                },
                differences: match options.rollout.when_failed {
                    // They are shown when the node is done.
                    WhenFailed::Keep => Differences::Counted,
                    // What is rolled back afterwards is shown once more.
                    WhenFailed::RollBackAll => Differences::Kept,
                },
                sink,
                stop: &watch.stop,
            },
            handle.output(),
        );
        let document = written.map(|written| {
            let document = written.document.into_inner();
            document.unwrap_or_else(PoisonError::into_inner)
        });
        progress.finish();
        Ok(Done {
            result,
            elapsed: begun.elapsed(),
            signalled: watch.exit_code(),
            document,
        })
    }
}
