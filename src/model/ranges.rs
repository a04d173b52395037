//! Sets of addresses of one family, as ranges: the peers that remain when one rule after another takes some of them.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use serde::Serialize;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::tally::counted;

/// A set of addresses of one family: ranges that are sorted and do not touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ranges {
    family: Family,
    ranges: Vec<(u128, u128)>,
}

/// An address as a number.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl Ranges {
    /// No address.
    pub fn none(family: Family) -> Self {
        Ranges {
            family,
            ranges: Vec::new(),
        }
    }

    /// Every address of a family.
    pub fn every(family: Family) -> Self {
        let last = match family {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
        };
        Ranges {
            family,
            ranges: vec![(0, last)],
        }
    }

    /// The addresses of the networks; those of the other family are left out.
    pub fn of(family: Family, networks: impl IntoIterator<Item = Cidr>) -> Self {
        let networks = networks.into_iter().filter(|net| net.family() == family);
        Self::from_ranges(family, networks.map(|net| (net.address(), net.last())))
    }

    /// The addresses from one to another; none if they are of another family.
    pub fn between(family: Family, ends: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let same = |(first, last): &(IpAddr, IpAddr)| {
            Family::of(first) == family && Family::of(last) == family
        };
        Self::from_ranges(family, ends.into_iter().filter(same))
    }

    fn from_ranges(family: Family, ends: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let mut all: Vec<(u128, u128)> = ends
            .into_iter()
            .map(|(first, last)| (number(first), number(last)))
            .filter(|(first, last)| first <= last)
            .collect();
        all.sort_unstable();
        let mut ranges: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
                _ => ranges.push((first, last)),
            }
        }
        Ranges { family, ranges }
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The number of ranges.
    pub fn count(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is one address and no other.
    pub fn is_one(&self) -> bool {
        matches!(self.ranges.as_slice(), [(first, last)] if first == last)
    }

    /// The first address.
    pub fn first(&self) -> Option<IpAddr> {
        let (first, _) = self.ranges.first()?;
        Some(match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(*first).ok()?)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(*first)),
        })
    }

    /// Whether an address is among them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let at = number(address);
        Family::of(&address) == self.family && {
            let next = self.ranges.partition_point(|(first, _)| *first <= at);
            next > 0 && at <= self.ranges[next - 1].1
        }
    }

    /// Those that are in both. The cost is the length of the shorter of the two, plus the result.
    #[must_use]
    pub fn and(&self, other: &Ranges) -> Ranges {
        let mut out = Ranges::none(self.family);
        if self.family != other.family {
            return out;
        }
        counted(self.ranges.len().min(other.ranges.len()));
        let (few, many) = if self.ranges.len() <= other.ranges.len() {
            (self, other)
        } else {
            (other, self)
        };
        for (first, last) in &few.ranges {
            let from = many.ranges.partition_point(|(_, end)| end < first);
            let found = many.ranges[from..]
                .iter()
                .take_while(|(start, _)| start <= last);
            out.ranges
                .extend(found.map(|(start, end)| (*start.max(first), *end.min(last))));
        }
        out
    }

    /// Takes others away, in place.
    pub fn remove(&mut self, other: &Ranges) {
        if self.family != other.family {
            return;
        }
        counted(other.ranges.len());
        for (first, last) in &other.ranges {
            let from = self.ranges.partition_point(|(_, end)| end < first);
            let to = self.ranges.partition_point(|(start, _)| start <= last);
            if from >= to {
                continue;
            }
            let mut left = Vec::new();
            if self.ranges[from].0 < *first {
                left.push((self.ranges[from].0, first - 1));
            }
            if self.ranges[to - 1].1 > *last {
                left.push((last + 1, self.ranges[to - 1].1));
            }
            self.ranges.splice(from..to, left);
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Ranges) {
        if self.family != other.family || other.is_empty() {
            return;
        }
        counted(other.ranges.len());
        // A few are put where they belong, and do not sort all of the others again.
        if other.ranges.len() * 16 <= self.ranges.len() {
            for (first, last) in &other.ranges {
                self.add_one(*first, *last);
            }
            return;
        }
        counted(self.ranges.len());
        let mut all = std::mem::take(&mut self.ranges);
        all.extend(&other.ranges);
        all.sort_unstable();
        for (first, last) in all {
            match self.ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
                _ => self.ranges.push((first, last)),
            }
        }
    }

    /// Adds one range, joined with those that it touches.
    fn add_one(&mut self, first: u128, last: u128) {
        let from = self
            .ranges
            .partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = self
            .ranges
            .partition_point(|(start, _)| *start <= last.saturating_add(1));
        let joined = match self.ranges.get(from..to) {
            Some([(start, end)]) => (first.min(*start), last.max(*end)),
            Some([(start, _), .., (_, end)]) => (first.min(*start), last.max(*end)),
            _ => (first, last),
        };
        self.ranges.splice(from..to.max(from), [joined]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(networks: &[&str]) -> Ranges {
        Ranges::of(Family::V4, networks.iter().map(|n| n.parse().unwrap()))
    }

    #[test]
    fn a_few_are_added_to_many_as_many_are() {
        let many: Vec<String> = (0..100).map(|n| format!("10.0.0.{}", n * 2)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for few in [
            "9.255.255.255",
            "10.0.0.0",
            "10.0.0.3",
            "10.0.0.1",
            "10.0.0.8/29",
            "10.0.0.0/8",
            "10.0.0.199",
            "10.0.1.0",
            "0.0.0.0/0",
        ] {
            let mut added = v4(&many);
            added.add(&v4(&[few]));
            assert_eq!(added, v4(&[&many[..], &[few]].concat()), "{few}");
        }
    }

    #[test]
    fn sets_are_cut_and_joined_as_sets_are() {
        let mut all = v4(&["192.0.2.0/24", "10.0.0.1", "10.0.0.2", "2001:db8::/32"]);
        assert_eq!(all.and(&v4(&["192.0.2.128/25"])), v4(&["192.0.2.128/25"]));
        assert!(all.and(&v4(&["10.0.0.3"])).is_empty());
        all.remove(&v4(&["192.0.2.0/25", "10.0.0.2"]));
        assert_eq!(all, v4(&["192.0.2.128/25", "10.0.0.1"]));
        all.remove(&v4(&["192.0.2.200"]));
        assert!(!all.contains("192.0.2.200".parse().unwrap()));
        assert!(all.contains("192.0.2.201".parse().unwrap()));
        assert_eq!(all.first(), "10.0.0.1".parse().ok());
        all.add(&v4(&["10.0.0.0", "192.0.2.200"]));
        assert_eq!(all, v4(&["192.0.2.128/25", "10.0.0.0/31"]));
        all.remove(&Ranges::every(Family::V4));
        assert!(all.is_empty());
        let mut every = Ranges::every(Family::V6);
        every.remove(&Ranges::every(Family::V6));
        assert!(every.is_empty());
    }
}
