//! A part of an inventory, for one of several machines that work side by side.

use std::fmt;

use sha2::Digest;
use sha2::Sha256;

/// The most shards: more than any fleet has nodes for.
const MOST: u32 = 100_000;

/// One of `count` parts of an inventory (`--shard K/N`).
///
/// Which part a node is in depends on its name and on the number of parts alone: not on the other nodes, their order, or the machine. So machines that
/// know nothing of each other agree about it, and every node is in exactly one part.
///
/// The rule is a promise, which other programs may rely on (docs/manual.md, Shards): the first four bytes of the SHA-256 of the name in UTF-8, as a
/// number whose first byte is the most significant one, modulo the number of parts, plus 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `count`.
    number: u32,
    count: u32,
}

impl Shard {
    /// Reads `K/N`: part K of N, counted from 1. `I+1/N` is the same for an index that is counted from 0.
    ///
    /// # Errors
    ///
    /// As the end of a sentence: it is written otherwise, or there is no such part.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || {
            "not `K/N`, such as `3/10`; with an index that is counted from 0, `I+1/N`".to_string()
        };
        let (number, count) = text.split_once('/').ok_or_else(form)?;
        let count = natural(count).ok_or_else(form)?;
        let number = match number.split_once('+') {
            Some((index, "1")) => natural(index).and_then(|index| index.checked_add(1)),
            Some(_) => None,
            None => natural(number),
        };
        let number = number.ok_or_else(form)?;
        match (number, count) {
            (_, 0) => Err("there are no 0 shards: N is at least 1".to_string()),
            (_, count) if count > MOST => Err(format!("more than {MOST} shards")),
            (0, count) => Err(format!(
                "shards are counted from 1 to {count}; with an index that is counted from 0, write `0+1/{count}`"
            )),
            (number, count) if number > count => Err(format!(
                "there is no shard {number} of {count}: they are counted from 1"
            )),
            (number, count) => Ok(Shard { number, count }),
        }
    }

    /// Whether the node of this name is in it.
    pub fn contains(self, name: &str) -> bool {
        let digest = Sha256::digest(name.as_bytes());
        let first = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        first % self.count + 1 == self.number
    }
}

/// A number in plain digits, without a sign.
fn natural(text: &str) -> Option<u32> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

/// `3/10`.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(count: u32) -> impl Iterator<Item = Shard> {
        (1..=count).map(move |number| Shard { number, count })
    }

    proptest! {
        /// To see it fail: compare with `>=` in `contains`, or take another modulus.
        #[test]
        fn every_node_is_in_exactly_one_shard(name in ".{0,40}", count in 1u32..300) {
            let having = all(count).filter(|shard| shard.contains(&name)).count();
            prop_assert_eq!(having, 1);
        }

        #[test]
        fn what_is_printed_is_read_back(count in 1u32..=MOST, at in 0u32..MOST) {
            let shard = Shard { number: at % count + 1, count };
            prop_assert_eq!(Shard::parse(&shard.to_string()), Ok(shard));
            let from_0 = format!("{}+1/{count}", at % count);
            prop_assert_eq!(Shard::parse(&from_0), Ok(shard));
        }
    }

    /// The numbers are those of `printf %s NAME | sha256sum | cut -c1-8`: the rule is a promise. To see it fail: read the bytes in the other order.
    #[test]
    fn the_shard_of_a_name_never_changes() {
        for (name, first) in [
            ("cyb-1", 0xb24e_56bb),
            ("n1", 0x676b_8bb8_u32),
            ("münchen-1", 0x5d9a_7d87),
            ("", 0xe3b0_c442),
        ] {
            for count in [1, 2, 3, 7, 100, 99_991, MOST] {
                let number = first % count + 1;
                assert!(Shard { number, count }.contains(name), "{name} of {count}");
            }
        }
    }

    /// 10,000 names of one kind, as inventories have them, in 16 shards: 625 each, by chance 50 more or fewer in one of a thousand cases.
    #[test]
    fn shards_are_of_much_the_same_size() {
        for shard in all(16) {
            let names = (0..10_000).map(|number| format!("node-{number:05}.example.org"));
            let size = names.filter(|name| shard.contains(name)).count();
            assert!((525..=725).contains(&size), "{shard}: {size}");
        }
    }

    #[test]
    fn what_is_no_shard_says_why() {
        for (text, part) in [
            ("", "not `K/N`"),
            ("3", "not `K/N`"),
            ("/", "not `K/N`"),
            ("1/", "not `K/N`"),
            ("/2", "not `K/N`"),
            ("1/2/3", "not `K/N`"),
            ("+1/3", "not `K/N`"),
            ("1+2/3", "not `K/N`"),
            ("1+1+1/3", "not `K/N`"),
            ("-1/3", "not `K/N`"),
            ("1/+3", "not `K/N`"),
            (" 1/3", "not `K/N`"),
            ("1 / 3", "not `K/N`"),
            ("1/3 ", "not `K/N`"),
            ("0x1/3", "not `K/N`"),
            ("4294967296/3", "not `K/N`"),
            ("4294967295+1/3", "not `K/N`"),
            ("1/99999999999", "not `K/N`"),
            ("٣/٤", "not `K/N`"),
            ("$(JOB_COMPLETION_INDEX)+1/3", "not `K/N`"),
            ("1/0", "N is at least 1"),
            ("0/0", "N is at least 1"),
            ("0/3", "write `0+1/3`"),
            ("4/3", "no shard 4 of 3"),
            ("3+1/3", "no shard 4 of 3"),
            ("1/100001", "more than 100000"),
        ] {
            let why = Shard::parse(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        assert!(Shard::parse("003/010").is_ok());
    }
}
