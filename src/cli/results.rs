//! What became of all nodes: the end of the output, and the exit code.

use crate::cli::fleet::Fleet;
use crate::cli::fleet::Member;
use crate::cli::fleet_run::Done;
use crate::cli::options::FleetOptions;
use crate::cli::remarks;
use crate::engine::NotBegun;
use crate::engine::Outcome;
use crate::report::Purpose;
use crate::report::Summary;
use crate::report::json;
use crate::report::progress;
use crate::report::recap;

/// Prints what became of all nodes, as one document or as the recap below what was printed on the way, and returns the exit code.
pub(super) fn print(options: &FleetOptions, fleet: &Fleet, done: Done<Vec<Outcome>>) -> u8 {
    let purpose = options.purpose;
    let code = exit_code(&done.result, purpose, done.signalled);
    let outcomes = with_skipped(fleet, done.result);
    progress::print(&match options.outcomes {
        None => {
            let warnings = remarks::of_warnings(&fleet.warnings);
            json::outcomes(&outcomes, purpose, &warnings, done.elapsed, code)
        }
        Some(_) => recap::recap(&outcomes, done.elapsed),
    });
    code
}

/// The exit code; `signalled` is that of the signal which ended the command, if one came.
pub(super) fn exit_code(outcomes: &[Outcome], purpose: Purpose, signalled: Option<u8>) -> u8 {
    match signalled {
        Some(code) if outcomes.iter().any(Outcome::was_interrupted) => code,
        _ => Summary::of(outcomes).exit_code(purpose),
    }
}

/// The outcomes of all selected nodes, in the order of the inventory: a node that there was no job for has no role, and was skipped.
fn with_skipped(fleet: &Fleet, outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter().peekable();
    let outcome = |member: &Member| {
        let own = outcomes.next_if(|outcome| outcome.node == member.name);
        own.unwrap_or_else(|| Outcome::not_begun(&*member.name, NotBegun::NoRole))
    };
    fleet.members.iter().map(outcome).collect()
}
