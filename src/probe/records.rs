//! The records that runs have left on a node.

use crate::model::records::Lease;
use crate::model::records::Records;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::probe::sections::Answers;

/// Reads the records.
///
/// # Errors
/// Why they are unreadable. A line of a snapshot that is not known is left out: a later version may have written it.
pub fn records(answers: &Answers) -> Result<Records, String> {
    parse(answers.get("records")?)
}

fn parse(text: &str) -> Result<Records, String> {
    let mut records = Records::default();
    let mut last = None;
    for line in text.lines().filter(|line| !line.is_empty()) {
        // A word of the lease may have the sign in its text.
        if let Some((key, value)) = line.split_once('=')
            && !line.starts_with("trouble ")
            && let Some(snapshot) = records.snapshots.last_mut()
        {
            tell(snapshot, key, value);
            continue;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let number = || {
            let number: Result<u64, _> = value.parse();
            number.map_err(|_| format!("`{line}` has no number"))
        };
        match key {
            "last" => last = Some(number()?),
            "leftover" => records.leftovers.push(value.to_string()),
            "snapshot" => records.snapshots.push(Snapshot {
                number: number()?,
                ..Snapshot::default()
            }),
            "armed" => {
                records.lease = Some(Lease {
                    number: number()?,
                    alive: false,
                    left: None,
                    restore_failed: false,
                    trouble: Vec::new(),
                    missing: Vec::new(),
                    step: String::new(),
                });
            }
            _ => {
                let Some(lease) = &mut records.lease else {
                    return Err(format!("`{line}` is not a line of the records"));
                };
                match key {
                    "alive" => lease.alive = value == "yes",
                    "left" => lease.left = value.parse().ok(),
                    "restore" => lease.restore_failed = value == "failed",
                    "step" => lease.step = value.to_string(),
                    "trouble" => lease.trouble.push(value.to_string()),
                    "missing" => lease.missing.push(value.to_string()),
                    _ => return Err(format!("`{line}` is not a line of the records")),
                }
            }
        }
    }
    records.last = last.ok_or("they are cut off")?;
    if let Some(lease) = &mut records.lease {
        // What a boot has removed from `/run` is also in the snapshot.
        let snapshot = records.snapshots.iter().find(|s| s.number == lease.number);
        lease.restore_failed |= snapshot.is_some_and(|s| s.outcome == RunOutcome::Failed);
    }
    Ok(records)
}

fn tell(snapshot: &mut Snapshot, key: &str, value: &str) {
    let text = value.to_string();
    match key {
        "operator" => snapshot.operator = text,
        "since" => snapshot.since = text,
        "until" => snapshot.until = text,
        "run" => snapshot.run = text,
        "node" => snapshot.node = text,
        "what" => snapshot.what = text,
        "changes" => snapshot.changes = value.parse().unwrap_or_default(),
        "policy" => snapshot.policy = text,
        // The last value counts.
        "outcome" => snapshot.outcome = RunOutcome::of(value).unwrap_or_default(),
        "ended" => snapshot.ended = text,
        "late" => snapshot.late = value.parse().ok(),
        "why" => snapshot.why = text,
        "how" => snapshot.how = text,
        "remark" => snapshot.remarks.push(text),
        "trouble" => snapshot.trouble.push(text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_nobody_has_changed_has_none() {
        assert_eq!(parse("last 0\n"), Ok(Records::default()));
    }

    #[test]
    fn the_last_outcome_counts_and_the_lease_is_told() {
        let records = parse(
            "snapshot 3\noperator=eva@desk\noutcome=armed\noutcome=confirmed\nnews=1\nsnapshot 4\nwhat=run\n\
             changes=12\noutcome=armed\nlast 4\narmed 4\nalive yes\nleft -2\nstep 7\n",
        )
        .unwrap();
        assert_eq!(records.last, 4);
        assert_eq!(records.snapshot(3).unwrap().outcome, RunOutcome::Confirmed);
        assert_eq!(records.snapshot(4).unwrap().changes, 12);
        let lease = records.lease.unwrap();
        assert!(lease.alive && !lease.restore_failed);
        assert_eq!((lease.left, &*lease.step), (Some(-2), "7"));
    }

    #[test]
    fn what_a_rollback_could_not_do_is_read_with_its_signs() {
        let records = parse(
            "snapshot 4\noutcome=failed\nlate=3\nremark=container a no longer exists\ntrouble=x=y\nlast 4\narmed 4\nalive yes\n\
             restore trying\ntrouble zone public ports=22\n",
        )
        .unwrap();
        let snapshot = records.snapshot(4).unwrap();
        assert_eq!(snapshot.late, Some(3));
        assert_eq!(snapshot.remarks, ["container a no longer exists"]);
        assert_eq!(snapshot.trouble, ["x=y"]);
        assert_eq!(records.lease.unwrap().trouble, ["zone public ports=22"]);
    }

    #[test]
    fn what_was_left_behind_is_told() {
        let records = parse("last 4\nleftover /etc/firewalld/.fwdeploy\n").unwrap();
        assert_eq!(records.leftovers, ["/etc/firewalld/.fwdeploy"]);
        assert_eq!(records.lease, None);
    }

    #[test]
    fn garbled_records_are_unreadable_and_not_empty() {
        for text in [
            "",
            "last\n",
            "last x\n",
            "snapshot 1\n",
            "alive yes\nlast 0\n",
            "armed x\nlast 1\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
