//! What the commands that go to nodes have in common, and `run` and `facts`: the wiring of files, transport, engine and report.

use std::io;
use std::io::IsTerminal;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Resource;
use rustix::process::Rlimit;

use crate::cli::args;
use crate::cli::args::HostKeys;
use crate::cli::error;
use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::fleet::Defaults;
use crate::cli::fleet::Fleet;
use crate::cli::identity;
use crate::cli::rollout;
use crate::cli::secrets;
use crate::cli::secrets::SecretProvider;
use crate::cli::signals;
use crate::cli::signals::Watch;
use crate::engine;
use crate::engine::Job;
use crate::engine::NotBegun;
use crate::engine::Outcome;
use crate::engine::Rollout;
use crate::engine::RunContext;
use crate::engine::Transcript;
use crate::engine::WhenFailed;
use crate::model::Desired;
use crate::plan::Allowed;
use crate::plan::Permission;
use crate::plan::Reload;
use crate::report::Diff;
use crate::report::Progress;
use crate::report::Purpose;
use crate::report::Summary;
use crate::report::Verbosity;
use crate::report::json;
use crate::report::progress::Screen;
use crate::report::progress::Show;
use crate::report::progress::print;
use crate::report::recap;
use crate::transport::HostKeyChecking;
use crate::transport::Privilege;
use crate::transport::Settings;
use crate::transport::System;

/// Between two tries to connect to a node that was just changed, and between two looks at one that may still be changing.
const PAUSE: Duration = Duration::from_secs(1);

/// `fwdeploy run`.
pub(super) fn run(args: &args::Run) -> Result<u8, CliError> {
    let purpose = if args.check {
        Purpose::Check
    } else {
        Purpose::Run
    };
    let mut rollout = args.waves.rollout()?;
    if args.rollback_all {
        rollout.when_failed = WhenFailed::RollBackAll;
    }
    let fleet = read_with_roles(&args.selection, &args.connection)?;
    let diff = if args.diff || args.check {
        Diff::Shown
    } else {
        Diff::Counted
    };
    let jobs = jobs(&fleet, &args.connection, |desired| desired.cloned());
    if purpose == Purpose::Check {
        rollout::note_waves(&rollout, jobs.len());
    }
    let fleet_run = FleetRun {
        purpose,
        connection: &args.connection,
        rollout,
        fleet: &fleet,
        outcomes: (!args.json).then_some(diff),
        allowed: Allowed {
            replace_network: granted(args.replace_network),
            recover: granted(args.recover),
            reload: match args.reload {
                args::Reload::Auto => Reload::Auto,
                args::Reload::Always => Reload::Always,
                args::Reload::Never => Reload::Never,
            },
            pending: granted(args.allow_pending),
        },
        confirm: args.guard.confirm_timeout,
    };
    let (outcomes, watch, elapsed) = fleet_run.execute(&jobs, |jobs, context| match purpose {
        Purpose::Run => engine::run(jobs, context),
        _ => engine::check(jobs, context),
    })?;
    let code = exit_code(&outcomes, purpose, &watch);
    let outcomes = with_skipped(&fleet, outcomes);
    report(&outcomes, &fleet, purpose, elapsed, code, args.json);
    Ok(code)
}

/// Prints what became of all nodes: as one document, or as the recap below what was printed on the way.
pub(super) fn report(
    outcomes: &[Outcome],
    fleet: &Fleet,
    purpose: Purpose,
    elapsed: Duration,
    code: u8,
    as_json: bool,
) {
    if as_json {
        let warnings = error::remarks(&fleet.warnings);
        print(&json::outcomes(outcomes, purpose, &warnings, elapsed, code));
    } else {
        print(&recap::recap(outcomes, elapsed));
    }
}

/// `fwdeploy facts`.
pub(super) fn facts(args: &args::Facts) -> Result<u8, CliError> {
    let fleet = read(&args.selection, &args.connection)?;
    // A node without a role can be looked at all the same.
    let jobs = jobs_of_all(&fleet, &args.connection);
    let fleet_run = FleetRun::looking(Purpose::Facts, &args.connection, &fleet);
    let (seen, watch, elapsed) = fleet_run.execute(&jobs, engine::facts)?;
    let outcomes: Vec<Outcome> = seen.iter().map(|(outcome, _)| outcome.clone()).collect();
    let code = exit_code(&outcomes, Purpose::Facts, &watch);
    let warnings = error::remarks(&fleet.warnings);
    print(&json::facts(&seen, &warnings, elapsed, code));
    for outcome in &outcomes {
        if let Some(failure) = &outcome.failure {
            let error = CliError::new(&*failure.message);
            match &failure.hint {
                Some(hint) => error.hint(hint).print(),
                None => error.print(),
            }
        }
    }
    Ok(code)
}

pub(super) fn exit_code(outcomes: &[Outcome], purpose: Purpose, watch: &Watch) -> u8 {
    match watch.exit_code() {
        Some(code) if outcomes.iter().any(Outcome::was_interrupted) => code,
        _ => Summary::of(outcomes).exit_code(purpose),
    }
}

pub(super) fn read(
    selection: &args::Selection,
    connection: &args::Connection,
) -> Result<Fleet, CliError> {
    let fleet = fleet::read(selection)?;
    fleet::check_keys(&fleet, connection.private_key.as_deref())?;
    for warning in &fleet.warnings {
        error::warn(warning);
    }
    Ok(fleet)
}

/// The same, of which at least one node has a role. Those without are named.
pub(super) fn read_with_roles(
    selection: &args::Selection,
    connection: &args::Connection,
) -> Result<Fleet, CliError> {
    let fleet = read(selection, connection)?;
    let without: Vec<&str> = names_without_role(&fleet);
    if without.len() == fleet.members.len() {
        return Err(CliError::new("no selected node has a role")
            .hint("give a group or a node `fwdeploy_roles: [cybex]`; `fwdeploy role list` names the roles"));
    }
    if !without.is_empty() {
        error::note(&without_role(&without));
    }
    Ok(fleet)
}

/// What is said of nodes without a role. Nobody goes there, so that nobody knows what an earlier run has left.
fn without_role(names: &[&str]) -> String {
    format!(
        "left alone without a role: {}; what an earlier run has left there stays",
        error::names(names)
    )
}

pub(super) fn names_without_role(fleet: &Fleet) -> Vec<&str> {
    let without = fleet.members.iter().filter(|m| m.desired.is_none());
    without.map(|m| m.name.as_str()).collect()
}

/// What a flag of the operator's permits.
fn granted(flag: bool) -> Permission {
    match flag {
        true => Permission::Granted,
        false => Permission::Withheld,
    }
}

/// A job for each node, also for one that no role asks anything of.
pub(super) fn jobs_of_all(fleet: &Fleet, connection: &args::Connection) -> Vec<Job> {
    jobs(fleet, connection, |desired| {
        Some(desired.cloned().unwrap_or_default())
    })
}

/// A job for each node of which `desired` makes something.
pub(super) fn jobs(
    fleet: &Fleet,
    connection: &args::Connection,
    desired: impl Fn(Option<&Desired>) -> Option<Desired>,
) -> Vec<Job> {
    let defaults = Defaults {
        user: connection.user.clone(),
        key_file: connection.private_key.clone(),
        privilege: if connection.escalate {
            Privilege::Sudo {
                user: "root".to_string(),
            }
        } else {
            Privilege::AsIs
        },
    };
    let job = |member: &fleet::Member| {
        let desired = desired(member.desired.as_ref())?;
        Some(Job {
            target: fleet::target(member, &defaults),
            policy: identity::hash(&desired),
            zone_at: member
                .connection
                .zone
                .as_ref()
                .map(|zone| zone.location.to_string()),
            desired,
        })
    };
    fleet.members.iter().filter_map(job).collect()
}

/// The outcomes of all selected nodes in the order of the inventory: who has no role was skipped.
pub(super) fn with_skipped(fleet: &Fleet, outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter();
    let outcome = |member: &fleet::Member| match member.desired {
        Some(_) => outcomes.next(),
        None => Some(Outcome::not_begun(&*member.name, NotBegun::NoRole)),
    };
    fleet.members.iter().filter_map(outcome).collect()
}

/// One going to the nodes of a fleet.
pub(super) struct FleetRun<'a> {
    pub(super) purpose: Purpose,
    pub(super) connection: &'a args::Connection,
    pub(super) rollout: Rollout,
    pub(super) fleet: &'a Fleet,
    /// How each node's outcome is printed; `None` prints none.
    pub(super) outcomes: Option<Diff>,
    pub(super) allowed: Allowed,
    pub(super) confirm: Duration,
}

impl<'a> FleetRun<'a> {
    /// Only looking: nothing is shown on the way, and nothing is allowed.
    pub(super) fn looking(
        purpose: Purpose,
        connection: &'a args::Connection,
        fleet: &'a Fleet,
    ) -> Self {
        FleetRun {
            purpose,
            connection,
            rollout: Rollout::default(),
            fleet,
            outcomes: None,
            allowed: Allowed::default(),
            confirm: Duration::ZERO,
        }
    }

    /// Does it, with everything set up around it and taken down again.
    pub(super) fn execute<T>(
        &self,
        jobs: &[Job],
        work: impl FnOnce(&[Job], &RunContext<'_>) -> T,
    ) -> Result<(T, Watch, Duration), CliError> {
        // Before there are bars, and before Ctrl-C means anything but leaving.
        let password = match self.connection.ask_become_pass {
            true => Some(secrets::ask_become_password()?),
            false => None,
        };
        let verbosity = match self.connection.verbose {
            0 => Verbosity::Quiet,
            1 => Verbosity::Steps,
            _ => Verbosity::Everything,
        };
        allow_open_files(self.connection.forks.get());
        let operator = identity::name();
        let begun = Instant::now();
        let progress = Progress::start(Show {
            purpose: self.purpose,
            nodes: jobs.iter().map(|job| job.node().to_string()).collect(),
            forks: self.connection.forks.get(),
            verbosity,
            outcomes: self.outcomes,
            screen: if io::stderr().is_terminal() {
                Screen::Terminal
            } else {
                Screen::Lines
            },
        });
        let secrets = SecretProvider::new(self.fleet, password, progress.handle().clone());
        let transport = System::new(self.settings(), Box::new(secrets));
        let watch = signals::watch(progress.handle().clone())
            .map_err(|error| CliError::new(format!("cannot watch for signals: {error}")))?;
        let result = work(
            jobs,
            &RunContext {
                transport: &transport,
                forks: self.connection.forks,
                rollout: &self.rollout,
                limit: self.connection.command_timeout,
                pause: PAUSE,
                confirm: self.confirm,
                operator: &operator,
                allowed: self.allowed,
                transcript: match verbosity {
                    Verbosity::Quiet => Transcript::Off,
                    Verbosity::Steps | Verbosity::Everything => Transcript::On,
                },
                sink: progress.handle(),
                stop: &watch.stop,
            },
        );
        progress.finish();
        Ok((result, watch, begun.elapsed()))
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings {
            host_key_checking: match self.connection.host_key_checking {
                HostKeys::Strict => HostKeyChecking::Strict,
                HostKeys::AcceptNew => HostKeyChecking::AcceptNew,
            },
            connect_timeout: self.connection.timeout,
            ..Settings::default()
        };
        if let Some(file) = &self.connection.known_hosts {
            // As `ssh -o UserKnownHostsFile`: the system's files count beside it.
            settings.known_hosts = vec![file.clone()];
            settings.known_hosts.extend(Settings::system_known_hosts());
        }
        settings
    }
}

/// Raises the limit of open files as far as so many nodes at a time need, and as the system lets anybody. Who needs more is told
/// by the node that finds no socket.
fn allow_open_files(forks: usize) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // A socket each, the agent's beside it while logging in, and what every program has.
    let needed = forks as u64 * 2 + 64;
    if limit.current.is_some_and(|current| current < needed) {
        let current = limit.maximum.map_or(needed, |most| most.min(needed));
        let raised = Rlimit {
            current: Some(current),
            maximum: limit.maximum,
        };
        let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    }
}
