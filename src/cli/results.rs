//! The outcomes of all nodes: the end of the output, and the exit code.

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
use crate::report::output::Stdout;
use crate::report::progress;
use crate::report::recap;

/// Prints the outcomes as one JSON document, or the recap if they were printed one by one, and returns the exit code.
pub(super) fn print(options: &FleetOptions, fleet: &Fleet, done: Done<Vec<Outcome>>) -> u8 {
    let purpose = options.purpose;
    let code = exit_code(&done.result, purpose, done.signalled);
    let outcomes = with_skipped(fleet, done.result);
    match options.outcomes {
        None => {
            let warnings = remarks::of_warnings(&fleet.warnings);
            let (to, elapsed) = (&mut Stdout::new(), done.elapsed);
            // As everywhere, a closed pipe is ignored.
            let _ = match done.document {
                Some(document) => document.end(&outcomes, &warnings, elapsed, code),
                None => json::outcomes(to, &outcomes, purpose, &warnings, elapsed, code),
            };
        }
        Some(_) => progress::print(&recap::recap(&outcomes, done.elapsed)),
    }
    code
}

/// Returns the outcomes of nodes with a role and of nodes without one, both in the order of the inventory, as one list in that order.
pub(super) fn in_order(
    fleet: &Fleet,
    outcomes: Vec<Outcome>,
    others: Vec<Outcome>,
) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    let next = |member: &Member| {
        let is_it = |outcome: &Outcome| outcome.node == member.name;
        outcomes.next_if(is_it).or_else(|| others.next_if(is_it))
    };
    fleet.members.iter().filter_map(next).collect()
}

/// Returns the exit code; `signalled` is the one for the first signal, if one arrived. It counts only if nodes were left undone.
pub(super) fn exit_code(outcomes: &[Outcome], purpose: Purpose, signalled: Option<u8>) -> u8 {
    signal_code(outcomes, signalled).unwrap_or_else(|| Summary::of(outcomes).exit_code(purpose))
}

/// Returns the exit code for the first signal, if one arrived and nodes were left undone.
pub(super) fn signal_code<'a>(
    outcomes: impl IntoIterator<Item = &'a Outcome>,
    signalled: Option<u8>,
) -> Option<u8> {
    signalled.filter(|_| outcomes.into_iter().any(Outcome::was_interrupted))
}

/// Returns the outcomes of all selected nodes in the order of the inventory, at the end those that the command does not use. A node without a job has no
/// role and was skipped.
fn with_skipped(fleet: &Fleet, outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter().peekable();
    let outcome = |member: &Member| {
        let own = outcomes.next_if(|outcome| outcome.node == member.name);
        own.unwrap_or_else(|| Outcome::not_begun(&*member.name, NotBegun::NoRole))
    };
    let unused = fleet.unused.iter();
    let unused = unused.map(|name| Outcome::not_begun(name.as_str(), NotBegun::NoRole));
    let outcomes: Vec<Outcome> = fleet.members.iter().map(outcome).collect();
    outcomes.into_iter().chain(unused).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::with_skipped;
    use crate::cli::args::SelectionArgs;
    use crate::cli::fleet;
    use crate::engine::NotBegun;
    use crate::engine::Outcome;

    #[test]
    fn a_node_without_a_job_is_skipped_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let inventory = folder.path().join("inventory.yml");
        fs::write(&inventory, "all: {hosts: {a: , b: , c: , d: }}").unwrap();
        let selection = SelectionArgs::all_of(inventory);
        let fleet = fleet::read(&selection, fleet::Enforcing::AsWritten, fleet::Used::All);
        let fleet = fleet.unwrap();
        let stopped = |node: &str| Outcome::not_begun(node, NotBegun::Stopped);
        let without = |node: &str| Outcome::not_begun(node, NotBegun::NoRole);
        assert_eq!(
            with_skipped(&fleet, vec![stopped("b"), stopped("d")]),
            [without("a"), stopped("b"), without("c"), stopped("d")]
        );
    }
}
