//! Whether the controller's report was true.

use serde_json::Value;

use crate::cell::End;
use crate::cell::Ended;
use crate::fault::Fault;

/// What is wrong with the report, and with the exit code, for a node that ended in this state; `moved` is whether rules may be in
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
        // It may have printed its steps on stderr until then, but it cannot have printed a result.
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
                // Not while rules are missing that another tool has flushed.
                "as_before" | "goes_back" => !end.flushed,
                // What the fault itself has changed is a difference too.
                "different" => end.flushed || moved && !end.exactly,
                // A controller that was cut off from the node cannot know.
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
