//! Whether a rule in the kernel could accept a new flow of a managed subnet ahead of the whitelist.
//!
//! The question is answered on the safe side: a condition that is not understood counts as met.

use crate::model::rule::Args;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Target;
use crate::model::rule::split_saved;
use crate::model::state::KernelRule;
use crate::model::state::Printed;
use crate::model::state::Tables;
use crate::plan::printed::words;
use crate::policy::Edge;
use crate::policy::may_match;

/// Whether the rule alone could decide about such a packet before the whitelist does: an ACCEPT, a RETURN, or a jump to a
/// chain from which a packet could be accepted.
pub fn could_admit(rule: &KernelRule, edges: &[Edge], tables: &Tables) -> bool {
    admits(line(rule), edges, tables, Returns::End, 0)
}

/// Whether a rule of firewalld's direct interface, or of a passthrough, could do so. Its target is known from its arguments.
pub fn args_could_admit(args: &Args, edges: &[Edge], tables: &Tables) -> bool {
    let admit = |line: Result<&Rule, &str>| {
        let counts = line.is_ok_and(|rule| rule.target == Target::Nothing);
        !counts && admits(line, edges, tables, Returns::End, 0)
    };
    match (args.rule(), tables.printed.get(&**args)) {
        (None, Some(Printed::Lines(lines))) => lines.iter().any(|rule| admit(line(rule))),
        (Some(rule), _) => admit(Ok(rule)),
        (None, _) => admit(Err(&words(args))),
    }
}

/// A line of the kernel: its meaning, or its text if that cannot be parsed.
fn line(rule: &KernelRule) -> Result<&Rule, &str> {
    rule.rule.as_ref().ok_or(&rule.text)
}

/// A rule that is not understood refuses the packets that it matches, if that is its target.
fn refuses(text: &str) -> bool {
    let words = split_saved(text).unwrap_or_default();
    words.windows(2).any(|pair| {
        matches!(pair[0].as_str(), "-j" | "--jump") && matches!(pair[1].as_str(), "DROP" | "REJECT")
    })
}

/// A rule without a target counts, or holds what iptables has no words for: a verdict map of nft is printed so. What has an
/// extension that nft cannot write was written by iptables, which would have printed its target.
fn could_hide_a_verdict(rule: &Rule) -> bool {
    let of_iptables = [
        "bpf",
        "connbytes",
        "geoip",
        "hashlimit",
        "helper",
        "owner",
        "quota",
        "recent",
        "set",
        "string",
        "time",
        "u32",
    ];
    !rule.matches().any(|m| match m {
        Match::Other(words) => words
            .get(1)
            .is_some_and(|m| of_iptables.contains(&m.as_str())),
        _ => false,
    })
}

/// What a RETURN means at the position of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    /// It ends the chain that holds the whitelist.
    End,
    /// It returns to a chain that is still to be traversed.
    GoOn,
}

/// Chains may not call themselves, but a listing taken while another program rewrites them may look as if they did.
const DEEPEST: usize = 16;

fn admits(
    rule: Result<&Rule, &str>,
    edges: &[Edge],
    tables: &Tables,
    returns: Returns,
    depth: usize,
) -> bool {
    let parsed = match rule {
        Ok(parsed) => parsed,
        Err(text) => return !refuses(text),
    };
    if !may_match(parsed, edges) {
        return false;
    }
    match &parsed.target {
        Target::Accept => true,
        Target::Return => returns == Returns::End,
        Target::Drop | Target::Reject(_) => false,
        Target::Nothing => could_hide_a_verdict(parsed),
        Target::Jump(name, _) => match tables.chain("filter", name) {
            Some(chain) if depth < DEEPEST => chain
                .rules
                .iter()
                .any(|r| admits(line(r), edges, tables, Returns::GoOn, depth + 1)),
            Some(_) => true,
            // Extensions: LOG, MARK, NFLOG and their like go on to the next rule. NFQUEUE may accept.
            None => name == "NFQUEUE" || name == "QUEUE",
        },
        Target::Goto(name) => match tables.chain("filter", name) {
            Some(chain) if depth < DEEPEST => {
                returns == Returns::End
                    || chain
                        .rules
                        .iter()
                        .any(|r| admits(line(r), edges, tables, Returns::GoOn, depth + 1))
            }
            _ => true,
        },
    }
}
