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
    let length = typed.chars().count();
    let near = candidates.into_iter().filter_map(|candidate| {
        let letters = candidate.chars().count();
        let allowed = (length.max(letters) / 3).max(1);
        // A longer difference needs no table, which may be large: a key can be as long as a file.
        let may_be_near = letters >= 2 && length.abs_diff(letters) <= allowed;
        let distance = may_be_near.then(|| distance_of(typed, candidate))?;
        (distance <= allowed).then_some((distance, candidate))
    });
    // Of equal ones the first.
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// By how many letters two words differ: missing, too many, wrong or swapped. Upper and lower case of ASCII are the same.
pub fn distance_of(one: &str, other: &str) -> usize {
    strsim::osa_distance(&one.to_ascii_lowercase(), &other.to_ascii_lowercase())
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
            ("Hosts", "hosts", 0),
            // A letter between the two that were swapped makes it two mistakes more.
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance_of(one, other), expected, "{one} {other}");
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
