//! What a node says while steps are taken, and how a run ended.

use fwdeploy::node::Ending;
use fwdeploy::node::Steps;

use crate::input;

/// In whatever pieces it comes, it says the same. Nothing is done, disarmed or restored without the last line.
pub fn law(data: &[u8]) {
    let Some((kind, said)) = input(data, 2) else {
        return;
    };
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
    } else if Ending::read(&said).is_some() {
        let last = end.clone().next().expect("an ending without an end");
        assert_eq!(Ending::read(&said[..last]), None, "it is cut off");
    }
}
