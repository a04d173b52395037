//! "Did you mean …?"

/// Returns the candidate that is most similar to what was typed, if it is similar enough.
///
/// Counts letters that are missing, extra, wrong or swapped; one for every three letters is allowed. Of equally similar candidates the
/// first is returned.
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
        // Words of very different length need no comparison, which is slow for a key as long as a file.
        let may_be_near = letters >= 2 && length.abs_diff(letters) <= allowed;
        let distance = may_be_near.then(|| distance_of(typed, candidate))?;
        (distance <= allowed).then_some((distance, candidate))
    });
    // Of equal ones the first.
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns by how many letters two words differ: missing, extra, wrong, or swapped with a neighbour (optimal string alignment). The case
/// of ASCII letters does not count.
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
