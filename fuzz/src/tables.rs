//! What `iptables-save` prints.

use fwdeploy::probe::fuzzing::iptables;

use crate::rules;
use crate::text;

/// A table without its end is no answer; each rule reads back as it was read, and none is lost.
pub fn law(data: &[u8]) {
    let Some((_, saved)) = text(data, 1) else {
        return;
    };
    let Ok(tables) = iptables(&saved) else {
        return;
    };
    let chains = || tables.tables.values().flat_map(|chains| chains.values());
    let appended = saved.lines().filter(|line| line.contains("-A ")).count();
    let held: usize = chains().map(|chain| chain.rules.len()).sum();
    // A comment of the file may speak of `-A`, and so may the name of a chain.
    assert!(held <= appended, "{held} rules of {appended} lines");
    for rule in chains().flat_map(|chain| &chain.rules) {
        if let Some(parsed) = rule.rule.as_ref().filter(|_| rules::is_printed(&rule.text)) {
            rules::reads_back(parsed);
        }
    }
    if let Some(open) = saved.trim_end().strip_suffix("COMMIT") {
        assert!(iptables(open).is_err(), "a table without its end is whole");
    }
}
