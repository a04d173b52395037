//! Whether the controller told the truth.

use serde_json::Value;

use crate::cell::End;
use crate::cell::Ended;
use crate::fault::Fault;

/// What is wrong with what was said, and with the exit code, of a node that ended so; `moved` is whether rules may stand in
/// another order than before. `None` is a controller that was
/// killed.
pub fn wrong(
    code: Option<i32>,
    said: &str,
    heard: &str,
    end: Ended,
    (fault, moved): (Fault, bool),
) -> Option<String> {
    let Some(code) = code else {
        // It may have told its steps on stderr until then; an answer it cannot have given.
        return (!said.is_empty())
            .then(|| format!("a controller that was killed has answered: {said}"));
    };
    let report: Value = match serde_json::from_str(said) {
        Ok(report) => report,
        Err(error) => {
            return Some(format!(
                "no report with exit code {code} ({error}): {said}{heard}"
            ));
        }
    };
    let node = &report["nodes"][0];
    let (status, error) = (&node["status"], &node["error"]);
    let standing = error["standing"].as_str().unwrap_or_default();
    let true_words = match end.end {
        End::After => code == 0 && status == "changed" && error.is_null(),
        End::Before => {
            let as_before = match standing {
                "untouched" => true,
                // Not while it lacks what a stranger has flushed.
                "as_before" | "goes_back" => !end.flushed,
                // What the fault itself has changed is a difference too.
                "different" => end.flushed || moved && !end.exactly,
                // Who was cut off from the node cannot know.
                "unknown" => fault.cuts_the_node_off(),
                _ => false,
            };
            matches!(code, 2 | 4)
                && (status == "failed" || status == "unreachable" || status == "refused")
                && (as_before || status == "refused")
                && !(standing.is_empty() && status != "refused")
        }
    };
    (!true_words).then(|| {
        format!(
            "the node is as {}, and the report says: exit code {code}, {status}, {standing:?}, {}: {}",
            match end.end {
                End::Before => "before",
                End::After => "after",
            },
            error["code"],
            error["now"]
        )
    })
}
