//! The fleet counted, and the exit code that the counts call for.

use std::time::Duration;

use serde::Serialize;

use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::report::Purpose;

/// How many nodes came to which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// All of them.
    pub nodes: usize,
    /// In the desired state, nothing done.
    pub ok: usize,
    /// Changed, and confirmed by a second look.
    pub changed: usize,
    /// As required, with a role in audit.
    pub audit: usize,
    /// Not in the desired state, in a check.
    pub drift: usize,
    /// In a state in which nothing may be touched.
    pub refused: usize,
    /// Changed, and rolled back because other nodes failed.
    pub rolled_back: usize,
    /// Failed, whether or not the node is as it was before.
    pub failed: usize,
    /// Out of reach.
    pub unreachable: usize,
    /// Not started.
    pub skipped: usize,
}

impl Summary {
    /// Counts.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut summary = Summary::default();
        for outcome in outcomes {
            summary.add(outcome.verdict);
        }
        summary
    }

    /// Counts one node more.
    pub fn add(&mut self, verdict: Verdict) {
        self.nodes += 1;
        *self.count(verdict) += 1;
    }

    /// Counts one node less: it came to another end after all.
    pub fn remove(&mut self, verdict: Verdict) {
        self.nodes -= 1;
        *self.count(verdict) -= 1;
    }

    fn count(&mut self, verdict: Verdict) -> &mut usize {
        match verdict {
            Verdict::Ok => &mut self.ok,
            Verdict::Changed => &mut self.changed,
            Verdict::Audit => &mut self.audit,
            Verdict::Drift => &mut self.drift,
            Verdict::Skipped => &mut self.skipped,
            Verdict::Unreachable => &mut self.unreachable,
            Verdict::Refused => &mut self.refused,
            Verdict::RolledBack => &mut self.rolled_back,
            Verdict::Failed => &mut self.failed,
        }
    }

    /// `3 changed, 1 unreachable`: the counts that are not zero.
    pub fn words(&self) -> String {
        let counts = [
            (self.ok, "ok"),
            (self.changed, "changed"),
            (self.audit, "in audit"),
            (self.drift, "drifted"),
            (self.refused, "refused"),
            (self.rolled_back, "rolled back"),
            (self.failed, "failed"),
            (self.unreachable, "unreachable"),
            (self.skipped, "skipped"),
        ];
        let words: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        words.join(", ")
    }

    /// The exit code of the whole.
    ///
    /// `run` has Ansible's: 2 when a node failed, else 4 when one was out of reach. A check promises with 0 and 2 that every
    /// node was judged: so 4 goes before 1, and 1 before 2.
    pub fn exit_code(&self, purpose: Purpose) -> u8 {
        let failed = self.failed + self.refused + self.rolled_back;
        if purpose.is_change() {
            match () {
                () if failed > 0 => 2,
                () if self.unreachable > 0 => 4,
                () => 0,
            }
        } else {
            match () {
                () if self.unreachable > 0 => 4,
                () if failed > 0 => 1,
                () if self.drift > 0 => 2,
                () => 0,
            }
        }
    }
}

/// `0.8 s`, `41 s`, `3 min 5 s`: with the precision that is useful to a reader.
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", elapsed.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(verdicts: &[Verdict]) -> Summary {
        let mut summary = Summary::default();
        for verdict in verdicts {
            summary.add(*verdict);
        }
        summary
    }

    #[test]
    fn the_exit_codes_are_those_of_the_manual() {
        use Verdict::*;
        for (verdicts, run, check) in [
            (&[][..], 0, 0),
            (&[Ok, Ok], 0, 0),
            (&[Ok, Changed], 0, 0),
            (&[Ok, Audit], 0, 0),
            (&[Audit, Drift], 0, 2),
            (&[Ok, Drift], 0, 2),
            (&[Ok, Unreachable], 4, 4),
            (&[Failed, Ok], 2, 1),
            (&[Refused, Ok], 2, 1),
            (&[Failed, Unreachable], 2, 4),
            (&[Drift, Unreachable], 4, 4),
            (&[Drift, Failed], 2, 1),
            (&[Skipped, Ok], 0, 0),
            (&[RolledBack, Unreachable], 2, 4),
        ] {
            let summary = summary(verdicts);
            assert_eq!(summary.exit_code(Purpose::Run), run, "{verdicts:?}");
            assert_eq!(summary.exit_code(Purpose::Check), check, "{verdicts:?}");
        }
    }

    #[test]
    fn durations_are_as_exact_as_anybody_reads_them() {
        let say = |seconds| duration(Duration::from_secs_f64(seconds));
        assert_eq!(say(0.84), "0.8 s");
        assert_eq!(say(41.2), "41 s");
        assert_eq!(say(185.0), "3 min 5 s");
    }
}
