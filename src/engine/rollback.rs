//! Going to an older snapshot, armed like any other change; and taking back what a failed run has changed elsewhere.

use crate::engine::Conditions;
use crate::engine::Job;
use crate::engine::change::Change;
use crate::engine::change::Judged;
use crate::engine::change::Tried;
use crate::engine::change::until_fresh;
use crate::engine::choice;
use crate::engine::craft::Craft;
use crate::engine::deed::Deed;
use crate::engine::event::Event;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::fleet;
use crate::engine::hands::Maker;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::standing::Standing;
use crate::engine::standing::compare;
use crate::model::NodeState;
use crate::model::records::Snapshot;

/// Brings a node back to a snapshot: to that one, or to the state before the last confirmed run.
pub(super) fn node(job: &Job, maker: &Maker<'_>, to: Option<u64>) -> Outcome {
    let choose = |before: &NodeState| choice::of(before, to);
    until_fresh(job, maker, || once(job, maker, choose, None))
}

/// The outcome's changes are those since the node was looked at, or since `origin`.
fn once(
    job: &Job,
    maker: &Maker<'_>,
    choose: impl Fn(&NodeState) -> Result<Snapshot, Box<Failure>>,
    origin: Option<&NodeState>,
) -> Tried {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let (before, hands) = match maker.look(job) {
        Ok(looked) => looked,
        Err(failure) => return Tried::done(outcome.failed(*failure)),
    };
    outcome.findings = choice::refusals(&before);
    if !outcome.findings.is_empty() {
        outcome.verdict = Verdict::Refused;
        return Tried::done(outcome);
    }
    let snapshot = match choose(&before) {
        Ok(snapshot) => snapshot,
        Err(failure) => return Tried::done(outcome.failed(*failure)),
    };
    let (to, policy) = (snapshot.number, choice::policy_at(&before, snapshot.number));
    outcome.snapshot = Some(snapshot);
    let change = Change {
        job,
        maker,
        before: &before,
        deed: Deed::Snapshot {
            to,
            policy: &policy,
        },
    };
    change.finish(hands, outcome, |now, outcome| {
        judge(origin.unwrap_or(&before), now, outcome)
    })
}

/// No plan must be empty here: it is enough that the node can be judged, and the outcome says what is different.
fn judge(before: &NodeState, now: &NodeState, outcome: &mut Outcome) -> Judged {
    outcome.changes = compare(before, now);
    match choice::ailments(now).first() {
        None => Ok(None),
        Some(finding) => Err(Box::new(
            Failure::new(
                Stage::Verifying,
                "not-well",
                format!(
                    "the snapshot was brought back, and a second look shows a node that is not well: {}",
                    finding.text
                ),
            )
            .hint("see on the node what the second look found, or choose another snapshot with --to"),
        )),
    }
}

/// Takes the nodes that a failed run has changed back to the state before it. Nothing to do where no node failed.
pub(super) fn all(
    jobs: &[Job],
    outcomes: &mut [Outcome],
    conditions: &Conditions<'_>,
    craft: &dyn Craft,
    run: &str,
) {
    if !outcomes.iter().any(Outcome::is_failure) {
        return;
    }
    let (places, changed): (Vec<usize>, Vec<Job>) = outcomes
        .iter()
        .zip(jobs)
        .enumerate()
        .filter(|(_, (outcome, _))| outcome.kept.is_some())
        .map(|(place, (_, job))| (place, job.clone()))
        .unzip();
    if changed.is_empty() {
        return;
    }
    let nodes = places.iter().map(|place| &outcomes[*place]);
    let nodes = nodes.map(|o| (o.node.clone(), o.verdict)).collect();
    conditions.sink.tell(Event::TakingBack(nodes));
    let maker = Maker::new(conditions, craft);
    let before: Vec<Outcome> = places.iter().map(|p| outcomes[*p].clone()).collect();
    let work = |job: &Job| {
        let outcome = before.iter().find(|outcome| outcome.node == job.node());
        (take_back(job, &maker, outcome, run), None)
    };
    let seen = fleet::all(&changed, conditions, work);
    for (place, (after, _)) in places.into_iter().zip(seen) {
        outcomes[place] = match after.not_begun {
            None => after,
            Some(why) => stays(
                outcomes[place].clone(),
                Failure::new(Stage::RollingBack, "stopped", why.to_string()),
            ),
        };
    }
}

/// One node that was changed and confirmed, taken back.
fn take_back(job: &Job, maker: &Maker<'_>, outcome: Option<&Outcome>, run: &str) -> Outcome {
    let Some((outcome, kept)) = outcome.and_then(|o| Some((o, o.kept.as_ref()?))) else {
        return Outcome::new(job.node(), Verdict::Ok);
    };
    let choose = |now: &NodeState| choice::ours(now, kept, run);
    let gone = until_fresh(job, maker, || once(job, maker, choose, Some(&kept.before)));
    let mut taken = Outcome {
        took: outcome.took + gone.took,
        ..outcome.clone()
    };
    if let Some(failure) = &gone.failure {
        return stays(taken, failure.clone());
    }
    if let Some(finding) = gone
        .findings
        .first()
        .filter(|_| gone.verdict == Verdict::Refused)
    {
        let failure = Failure::new(Stage::Looking, "not-well", finding.text.clone());
        return stays(taken, failure);
    }
    let standing = match gone.changes {
        differences if differences.is_empty() => Standing::AsBefore {
            since: String::new(),
        },
        differences => Standing::Different(differences),
    };
    let rolled_back = || {
        Failure::new(
            Stage::RollingBack,
            "rolled-back",
            "the node was as wanted, and was taken back because the run failed elsewhere (--rollback-all)",
        )
    };
    // One that failed after it was confirmed has a reason of its own.
    let failure = taken.failure.take().unwrap_or_else(rolled_back);
    Outcome {
        verdict: Verdict::RolledBack,
        holds: 0,
        changes: Vec::new(),
        failure: Some(failure.standing(standing)),
        snapshot: gone.snapshot,
        kept: None,
        ..taken
    }
}

/// A node that was to be taken back, and is as the run left it.
fn stays(outcome: Outcome, failure: Failure) -> Outcome {
    let message = format!(
        "the node is changed, and could not be taken back after the run failed elsewhere (--rollback-all): {}",
        failure.message
    );
    let standing = match failure.standing {
        Standing::Untouched | Standing::AsBefore { .. } => Standing::Applied(Vec::new()),
        // What it says of the state before means the one that the run has made.
        other => Standing::Unknown(other.to_string()),
    };
    outcome.failed(
        Failure {
            code: "not-rolled-back",
            stage: Stage::RollingBack,
            message,
            standing,
            ..failure
        }
        .hint("`fwdeploy rollback` takes it back once it can be reached"),
    )
}
