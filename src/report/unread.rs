//! What a reading of a node could not judge, one line for each reason.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::NodeState;

/// What is unreadable because it does not exist is known: a file that is not there has no content.
const NO_FILE: &str = "there is no such file";

/// A line for each reason, with what it has kept from being read: the keys of `fwdeploy facts`, such as `runtime.direct`. Empty if
/// everything was read.
pub fn unread(state: &NodeState) -> Vec<String> {
    let mut found: Vec<(String, String)> = Vec::new();
    // The document leaves these out.
    let routing = state.system.routing.as_result().err();
    let resolvers = state.system.resolvers.as_result().err();
    for (what, why) in [("system.routing", routing), ("system.resolvers", resolvers)] {
        found.extend(why.map(|why| (what.to_string(), why.to_string())));
    }
    match serde_json::to_value(state) {
        Ok(document) => walk("", &document, &mut found),
        Err(why) => found.push(("the state".to_string(), why.to_string())),
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (what, why) in &found {
        if why != NO_FILE {
            reasons.entry(why.trim()).or_default().push(what);
        }
    }
    let line = |(why, what): (&str, Vec<&str>)| format!("{} not read: {why}", what.join(", "));
    reasons.into_iter().map(line).collect()
}

/// Collects the unreadable parts of a document, each with its path; `known` is no part of a path.
fn walk(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let below = |key: &str| match (path, key) {
        (path, "known") => path.to_string(),
        ("", key) => key.to_string(),
        (path, key) => format!("{path}.{key}"),
    };
    match value {
        Value::Object(members) => {
            // `Observed::Unreadable` as it is written.
            if let (1, Some(Value::String(why))) = (members.len(), members.get("unreadable")) {
                found.push((path.to_string(), why.clone()));
                return;
            }
            for (key, value) in members {
                walk(&below(key), value, found);
            }
        }
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                walk(&below(&number.to_string()), value, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;
    use crate::model::node_builder::NodeBuilder;

    #[test]
    fn each_reason_is_one_line_with_all_that_it_has_hidden() {
        let mut state = NodeBuilder::new().build();
        let before = unread(&state);
        let stopped = || "firewalld is not running (inactive)\n".to_string();
        state.runtime.direct = Observed::Unreadable(stopped());
        state.runtime.rich = Observed::Unreadable(stopped());
        state.system.resolvers = Observed::Unreadable("no resolv.conf".to_string());
        let mut after = unread(&state);
        after.retain(|line| !before.contains(line));
        assert_eq!(
            after,
            [
                "runtime.direct, runtime.rich not read: firewalld is not running (inactive)",
                // The builder asks for no routes.
                "system.routing not read: it was not asked",
                "system.resolvers not read: no resolv.conf",
            ]
        );
    }
}
