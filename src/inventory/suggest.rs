//! "Did you mean …?"

/// Returns the candidate that differs least from what was typed, if it may well have been meant.
///
/// Counts letters that are missing, too many, wrong or swapped; one of them for each three letters is forgiven. Of equally near candidates the first
/// one is returned.
///
/// ```
/// use fwdeploy::inventory::suggest::closest;
///
/// assert_eq!(closest("cybxe", ["eos", "cybex"]), Some("cybex"));
/// assert_eq!(closest("bitshares", ["eos", "cybex"]), None);
/// ```
pub fn closest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = typed.chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.chars().collect();
        let allowed = (typed.len().max(letters.len()) / 3).max(1);
        // Longer differences need no table.
        if typed.len().abs_diff(letters.len()) > allowed || letters.len() < 2 {
            continue;
        }
        let distance = distance(&typed, &letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// By how many letters two words differ: missing, too many, wrong or swapped.
pub fn distance_of(one: &str, other: &str) -> usize {
    let letters = |text: &str| text.chars().collect::<Vec<char>>();
    distance(&letters(one), &letters(other))
}

/// Optimal string alignment: the edit distance with swaps of neighbours.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 0..one.len() {
        let mut row = vec![i + 1];
        for j in 0..other.len() {
            let change = last[j] + usize::from(!one[i].eq_ignore_ascii_case(&other[j]));
            let mut least = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i] == other[j - 1] && one[i - 1] == other[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_mistakes() {
        for (one, other, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("ab", "ba", 1),
            ("abc", "abd", 1),
            ("kitten", "sitting", 3),
        ] {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(
                distance(&letters(one), &letters(other)),
                expected,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn the_nearest_candidate_wins_and_far_ones_are_not_named() {
        assert_eq!(
            closest("fwdeploy_role", ["fwdeploy_zone", "fwdeploy_roles"]),
            Some("fwdeploy_roles")
        );
        assert_eq!(closest("node07", ["node01", "node70"]), Some("node01"));
        assert_eq!(closest("x", ["a", ""]), None);
        assert_eq!(closest("Hosts", ["hosts"]), Some("hosts"));
    }
}
