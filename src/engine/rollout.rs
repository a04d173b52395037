//! The fleet in waves: which node is in which wave, and after how many failures no other node is started. Values only:
//! [`pool`](crate::engine::pool) runs the waves.

use std::fmt;
use std::ops::Range;

/// A number of nodes, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A number of nodes.
    Count(usize),
    /// A percentage, rounded down.
    Percent(u8),
}

impl Amount {
    /// The number of nodes, out of this total.
    pub fn of(self, nodes: usize) -> usize {
        match self {
            Amount::Count(count) => count,
            // In whole numbers: 29 % of 100 nodes are 29, which they are not in floating point.
            Amount::Percent(percent) => {
                (nodes as u128 * u128::from(percent) / 100).min(nodes as u128) as usize
            }
        }
    }
}

/// The waves of a run, and how many failures are too many. The default is one wave without a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rollout {
    /// The sizes of the waves, percentages of the whole fleet, the last for all that follow; none is one wave of all.
    pub serial: Vec<Amount>,
    /// How many nodes of a wave may fail, percentages of the wave; `None` is any number.
    pub max_fail: Option<Amount>,
    /// What becomes of the nodes that were changed, if others failed.
    pub when_failed: WhenFailed,
}

/// What becomes of the nodes that a run has changed, if others failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFailed {
    /// They stay as they are.
    #[default]
    Keep,
    /// They are restored to the state before the run.
    RollBackAll,
}

impl Rollout {
    /// The nodes of each wave, by position: each node is in one wave, in order, and no wave is empty.
    pub fn waves(&self, nodes: usize) -> Vec<Range<usize>> {
        let mut waves = Vec::new();
        let mut sizes = self.serial.iter();
        let mut size = nodes;
        let mut begin = 0;
        while begin < nodes {
            if let Some(amount) = sizes.next() {
                size = amount.of(nodes).max(1);
            }
            let end = begin.saturating_add(size).min(nodes);
            waves.push(begin..end);
            begin = end;
        }
        waves
    }
}

/// One wave among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wave {
    /// Its number, from 1.
    pub number: usize,
    /// How many waves there are.
    pub of: usize,
    /// How many nodes it has.
    pub nodes: usize,
}

/// `wave 2 of 4, 10 nodes`.
impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.nodes == 1 { "" } else { "s" };
        write!(
            f,
            "wave {} of {}, {} node{s}",
            self.number, self.of, self.nodes
        )
    }
}

/// A wave in which more nodes failed than may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetExceeded {
    /// The wave.
    pub wave: Wave,
    /// How many of its nodes failed, were refused or were unreachable.
    pub failed: usize,
    /// How many may.
    pub allowed: usize,
}

/// `wave 1 of 4 had 2 failures, 0 allowed`.
impl fmt::Display for BudgetExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wave {
            Wave { of: 1, .. } => f.write_str("the run")?,
            Wave { number, of, .. } => write!(f, "wave {number} of {of}")?,
        }
        let s = if self.failed == 1 { "" } else { "s" };
        write!(
            f,
            " had {} failure{s}, {} allowed",
            self.failed, self.allowed
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sizes(serial: &[Amount], nodes: usize) -> Vec<usize> {
        let rollout = Rollout {
            serial: serial.to_vec(),
            ..Rollout::default()
        };
        rollout
            .waves(nodes)
            .iter()
            .map(ExactSizeIterator::len)
            .collect()
    }

    #[test]
    fn waves_are_counted_as_ansible_counts_them() {
        use Amount::Count;
        use Amount::Percent;
        for (serial, nodes, expected) in [
            (&[][..], 5, &[5][..]),
            (&[], 0, &[]),
            (&[Count(1)], 3, &[1, 1, 1]),
            (&[Count(2)], 5, &[2, 2, 1]),
            (&[Count(9)], 5, &[5]),
            (&[Count(1), Percent(10), Percent(50)], 40, &[1, 4, 20, 15]),
            // Rounded down, but at least one.
            (&[Percent(30)], 9, &[2, 2, 2, 2, 1]),
            (&[Percent(10)], 3, &[1, 1, 1]),
            (&[Percent(29)], 100, &[29, 29, 29, 13]),
            (&[Percent(100)], 7, &[7]),
            (&[Count(1), Percent(100)], 7, &[1, 6]),
        ] {
            assert_eq!(sizes(serial, nodes), expected, "{serial:?} of {nodes}");
        }
    }

    #[test]
    fn a_part_of_a_wave_is_rounded_down_to_none() {
        assert_eq!(Amount::Percent(30).of(10), 3);
        assert_eq!(Amount::Percent(30).of(9), 2);
        assert_eq!(Amount::Percent(30).of(3), 0);
        assert_eq!(Amount::Percent(100).of(usize::MAX), usize::MAX);
        assert_eq!(Amount::Count(4).of(3), 4);
    }

    #[test]
    fn what_was_too_much_is_said_in_words() {
        let said = |number, of, failed| {
            let wave = Wave {
                number,
                of,
                nodes: 10,
            };
            let exceeded = BudgetExceeded {
                wave,
                failed,
                allowed: failed - 1,
            };
            exceeded.to_string()
        };
        assert_eq!(said(1, 4, 2), "wave 1 of 4 had 2 failures, 1 allowed");
        assert_eq!(said(1, 1, 1), "the run had 1 failure, 0 allowed");
    }

    fn amount() -> impl Strategy<Value = Amount> {
        prop_oneof![
            (0_usize..500).prop_map(Amount::Count),
            Just(Amount::Count(usize::MAX)),
            any::<u8>().prop_map(Amount::Percent),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_node_is_in_one_wave_in_order_and_no_wave_is_empty(
            serial in prop::collection::vec(amount(), 0..6),
            nodes in 0_usize..500,
        ) {
            let waves = Rollout { serial, ..Rollout::default() }.waves(nodes);
            prop_assert!(waves.iter().all(|wave| !wave.is_empty()));
            let together: Vec<usize> = waves.into_iter().flatten().collect();
            prop_assert_eq!(together, (0..nodes).collect::<Vec<_>>());
        }
    }
}
