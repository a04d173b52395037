//! What a node says while steps are taken, how a run ended, and how its iptables prints rules.

use fwdeploy::model::Family;
use fwdeploy::model::state::Printed;
use fwdeploy::node::Ending;
use fwdeploy::node::Steps;
use fwdeploy::probe::printed;

use crate::input;

/// In whatever pieces it comes, it says the same. Nothing is done, disarmed or restored without the last line.
pub fn law(data: &[u8]) {
    let Some((kind, said)) = input(data, 3) else {
        return;
    };
    if kind == 2 {
        printed_law(&said);
        return;
    }
    let end = said
        .split_inclusive(|byte| *byte == b'\n')
        .scan(0, |at, line| {
            *at += line.len();
            Some((*at - line.len(), line))
        })
        .filter(|(_, line)| line.trim_ascii_end() == b"end")
        .map(|(at, _)| at);
    if kind == 0 {
        // A line that was not ended is not heard.
        let first = end.clone().next();
        let mut whole = Steps::new();
        let events = whole.feed(&said);
        let mut pieces = Steps::new();
        let size = if said.len() > 4096 { 997 } else { 3 };
        let heard: Vec<_> = said.chunks(size).flat_map(|p| pieces.feed(p)).collect();
        assert_eq!((&events, &whole), (&heard, &pieces));
        let total = whole.done();
        if whole.outcome(total).is_ok() {
            let first = first.expect("done without an end");
            let mut cut = Steps::new();
            cut.feed(&said[..first]);
            assert!(cut.outcome(total).is_err(), "done, though it is cut off");
        }
    } else if let Some(ending) = Ending::read(&said) {
        if let Ending::Restored(restored) = &ending {
            let text = String::from_utf8_lossy(&said);
            let remarks = text.lines().filter_map(|line| line.strip_prefix("remark="));
            let remarks: Vec<&str> = remarks.filter(|remark| !remark.is_empty()).collect();
            let at = remarks.len().saturating_sub(restored.remarks.len());
            assert_eq!(remarks[at..], restored.remarks, "no remark is lost");
        }
        let last = end.clone().next().expect("an ending without an end");
        assert_eq!(Ending::read(&said[..last]), None, "it is cut off");
    }
}

/// Each rule has an answer, and none is printed in an answer that is cut off.
fn printed_law(said: &[u8]) {
    let word = |word: &str| word.to_string();
    let rules: Vec<Vec<String>> = (0..4).map(|n| vec![word("-m"), n.to_string()]).collect();
    let end = b"fwdeploy-printed end";
    let whole = said
        .split(|byte| *byte == b'\n')
        .any(|line| line.strip_suffix(b"\r").unwrap_or(line) == end);
    let lines = |answers: &std::collections::BTreeMap<_, Printed>| {
        let lines = answers.values().map(|answer| match answer {
            Printed::Lines(lines) => {
                assert!(!lines.is_empty(), "printed as nothing");
                lines.len()
            }
            Printed::Unknown(why) => {
                assert!(!why.is_empty() || said.windows(2).any(|two| two == b"! "));
                0
            }
        });
        lines.sum::<usize>()
    };
    for family in [Family::V4, Family::V6] {
        let answers = printed(said, family, &rules);
        assert!(rules.iter().all(|rule| answers.contains_key(rule)));
        let told = lines(&answers);
        assert!(told == 0 || whole);
        assert!(told <= said.split(|byte| *byte == b'\n').count());
        if let Some(at) = said.windows(end.len()).position(|window| window == end) {
            let cut = printed(&said[..at + end.len() - 1], family, &rules);
            assert_eq!(lines(&cut), 0, "printed, though it is cut off");
        }
    }
}
