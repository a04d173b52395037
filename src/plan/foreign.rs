//! Foreign rules before the whitelist: those that prevent its enforcement now or after the next reload, and those that are kept behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::net::Family;
use crate::model::rule::Args;
use crate::model::rule::DirectRule;
use crate::model::rule::Effect;
use crate::model::rule::Match;
use crate::model::rule::Passthrough;
use crate::model::rule::Target;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Docker;
use crate::model::state::KernelRule;
use crate::model::state::Tables;
use crate::model::state::View;
use crate::plan::bypass::args_could_admit;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::finding::command;
use crate::plan::firewall;
use crate::plan::ownership::Ours;
use crate::plan::printed::words;
use crate::plan::severity::Severity;
use crate::policy::Edge;

/// This many rules of one kind are named; the rest are counted.
const NAMED: usize = 5;

/// The words that remove a direct rule.
fn removal(permanent: Option<&str>, rule: &DirectRule) -> Vec<String> {
    let mut words = vec!["firewall-cmd".to_string()];
    words.extend(permanent.map(String::from));
    words.extend(
        [
            "--direct",
            "--remove-rule",
            rule.ipv(),
            &rule.table,
            &rule.chain,
        ]
        .map(String::from),
    );
    words.push(rule.priority.to_string());
    words.extend(rule.args.iter().cloned());
    words
}

/// Foreign direct rules ahead of the managed ones that could accept a managed packet: firewalld restores them at each reload, and
/// fwdeploy must not remove them.
pub(super) fn admits(
    desired: &Desired,
    view: View,
    direct: &Direct,
    tables: &Tables,
    family: Family,
    ours: &Ours,
) -> Vec<Finding> {
    let edges = ours.edges(family);
    let Some(last) = desired.rules_of(family).map(|r| r.priority).max() else {
        return Vec::new();
    };
    let chains = Chains::of(direct, family);
    let permanent = (view == View::Permanent).then_some("--permanent");
    direct
        .chain(family)
        .into_iter()
        .filter(|r| r.priority <= last && !ours.direct(r))
        .filter(|r| admit(&r.args, &chains, &edges, tables, 0))
        .map(|r: &DirectRule| {
            Finding::with_severity(
                Severity::NotEnforced,
                FindingCode::ForeignAccept,
                view,
                format!("`{r}` is not managed by fwdeploy and is ahead of the whitelist"),
            )
            .hint(format!(
                "if it is not needed: {}",
                command(removal(permanent, r))
            ))
        })
        .collect()
}

/// Chains that lead into each other deeper than this are not followed.
const DEEPEST: usize = 16;

/// Whether a rule could admit a managed packet, also by a chain that only firewalld's configuration has so far.
fn admit(args: &Args, chains: &Chains<'_>, edges: &[Edge], tables: &Tables, depth: usize) -> bool {
    if depth > DEEPEST || args_could_admit(args, edges, tables) {
        return true;
    }
    let name = match args.rule().map(|rule| &rule.target) {
        Some(Target::Jump(name, _) | Target::Goto(name)) => name.as_str(),
        _ => return false,
    };
    let Some(rules) = chains.rules.get(name) else {
        return false;
    };
    let told = (name.to_string(), depth);
    if let Some(verdict) = chains.told.borrow().get(&told) {
        return *verdict;
    }
    let mut rules = rules.iter();
    let verdict = rules.any(|rule| admit(&rule.args, chains, edges, tables, depth + 1));
    chains.told.borrow_mut().insert(told, verdict);
    verdict
}

/// The chains of table filter that firewalld's configuration declares, each with its rules there.
struct Chains<'a> {
    rules: BTreeMap<&'a str, Vec<&'a DirectRule>>,
    /// Whether a jump into a chain from this depth could accept: each chain is examined once, regardless of how many rules jump to it.
    told: RefCell<BTreeMap<(String, usize), bool>>,
}

impl<'a> Chains<'a> {
    fn of(direct: &'a Direct, family: Family) -> Self {
        let here = |chain: &&DirectChain| chain.ipv == family.name() && chain.table == "filter";
        let declared = direct.chains.iter().filter(here);
        let mut rules: BTreeMap<&str, Vec<&DirectRule>> =
            declared.map(|c| (c.chain.as_str(), Vec::new())).collect();
        for rule in &direct.rules {
            if rule.family == Some(family)
                && rule.table == "filter"
                && let Some(list) = rules.get_mut(rule.chain.as_str())
            {
                list.push(rule);
            }
        }
        Chains {
            rules,
            told: RefCell::new(BTreeMap::new()),
        }
    }
}

/// What the permanent configuration does apart from the chain's own rules when firewalld loads it, at the latest at the next
/// reload. Passthroughs are executed last, so what they insert goes ahead of every rule. All rules in FORWARD are ahead of
/// the whitelist until Docker has restored its jump, which takes a moment.
pub(super) fn after_a_reload(
    permanent: &Direct,
    tables: &Tables,
    family: Family,
    ours: &Ours,
) -> Vec<Finding> {
    let edges = ours.edges(family);
    if edges.is_empty() {
        return Vec::new();
    }
    let chains = Chains::of(permanent, family);
    let admits = |args: &Args| admit(args, &chains, &edges, tables, 0);
    let forward = permanent.rules.iter().filter(|rule| {
        rule.family == Some(family) && rule.table == "filter" && rule.chain == "FORWARD"
    });
    let mut out: Vec<Finding> = forward
        .filter(|rule| admits(&rule.args))
        .map(|rule| {
            let hint = command(removal(Some("--permanent"), rule));
            in_the_gap(format!("`{rule}`"), hint)
        })
        .collect();
    let passthroughs = permanent.passthroughs.iter();
    let passthroughs = passthroughs.filter(|p| p.ipv == family.name());
    out.extend(passthroughs.filter_map(|passthrough| {
        let Passthrough { ipv, args, .. } = passthrough;
        let text = format!("passthrough `{ipv} {}`", words(args));
        let remove = [
            "firewall-cmd",
            "--permanent",
            "--direct",
            "--remove-passthrough",
            ipv,
        ];
        let remove = command(remove.into_iter().chain(args.iter().map(String::as_str)));
        let inserts = !args
            .iter()
            .any(|word| word.starts_with("-A") || word.starts_with("--app"));
        match passthrough.effect() {
            Effect::Adds { table, chain, rule } if table == "filter" && admits(rule) => {
                match chain.as_str() {
                    // An appended rule comes after the rule that closes the chain.
                    CHAIN => inserts.then(|| {
                        not_enforced(
                            &text,
                            "puts a rule that is not managed by fwdeploy ahead of the whitelist",
                            remove,
                        )
                    }),
                    "FORWARD" => Some(in_the_gap(text, remove)),
                    _ => None,
                }
            }
            Effect::Takes { table, chain }
                if table == "filter" && chain.as_deref().is_none_or(|c| c == CHAIN) =>
            {
                Some(not_enforced(
                    &text,
                    "removes rules of the whitelist",
                    remove,
                ))
            }
            Effect::Unknown if args.iter().any(|word| word == CHAIN) => Some(
                Finding::with_severity(
                    Severity::Warning,
                    FindingCode::AdmitsAfterReload,
                    View::Permanent,
                    format!(
                        "{text} is not understood, and is executed at each reload of firewalld"
                    ),
                )
                .hint(format!("if it is not needed: {remove}")),
            ),
            _ => None,
        }
    }));
    out
}

fn not_enforced(what: &str, does: &str, remove: String) -> Finding {
    Finding::with_severity(
        Severity::NotEnforced,
        FindingCode::AdmitsAfterReload,
        View::Permanent,
        format!("{what} {does} at each reload of firewalld"),
    )
    .hint(format!("if it is not needed: {remove}"))
}

fn in_the_gap(what: String, remove: String) -> Finding {
    Finding::with_severity(
        Severity::Warning,
        FindingCode::AdmitsAfterReload,
        View::Permanent,
        format!("{what} is not managed by fwdeploy and, at each reload of firewalld, lets in hosts that are not on the whitelist until Docker has put the jump to {CHAIN} back ahead of it"),
    )
    .hint(format!("name the interfaces that it is for (`-i`, `-o`); or, if it is not needed: {remove}"))
}

/// Rules that are kept, although they would let in hosts that are not on the whitelist at their position: the whitelist moves ahead.
pub(super) fn kept_behind(
    runtime: &Direct,
    tables: &Tables,
    family: Family,
    ours: &Ours,
    docker: &Docker,
) -> Vec<Finding> {
    let passed: Vec<String> = firewall::passed(family, runtime, tables, ours)
        .into_iter()
        .filter(|(chain, line)| *chain == CHAIN || !is_of_a_daemon(line, docker))
        .map(|(chain, line)| format!("`{chain} {}`", line.text))
        .collect();
    let note = |text: String| Finding::new(FindingCode::KeptBehind, View::Kernel, text);
    let named = passed.iter().take(NAMED).map(|line| {
        note(format!(
            "{line} is not managed by fwdeploy and would let in hosts that are not on the whitelist: it is kept, and the whitelist is put ahead of it"
        ))
    });
    let rest = passed.len().saturating_sub(NAMED);
    let rest = (rest > 0).then(|| {
        note(format!(
            "{rest} more such rules are not managed by fwdeploy"
        ))
    });
    named.chain(rest).collect()
}

/// Whether Docker or firewalld has written a rule of FORWARD: they do so at each reload.
fn is_of_a_daemon(line: &KernelRule, docker: &Docker) -> bool {
    let Some(rule) = &line.rule else {
        return false;
    };
    let is_bridge = |name: &String| {
        name == "docker0"
            || docker
                .networks
                .iter()
                .any(|network| network.bridge == *name)
    };
    let by_name = match &rule.target {
        Target::Jump(name, _) | Target::Goto(name) => {
            name.starts_with("DOCKER") || name.starts_with("FORWARD_")
        }
        _ => false,
    };
    by_name
        || line.text == "-i lo -j ACCEPT"
        || rule.matches().any(|m| match m {
            Match::In(_, name) | Match::Out(_, name) => is_bridge(name),
            Match::State(..) => true,
            _ => false,
        })
}

/// Rules of firewalld that cannot be compared with the kernel, because it is unknown how iptables prints them.
pub(super) fn not_compared(
    runtime: &Direct,
    tables: &Tables,
    family: Family,
    ours: &Ours,
) -> Vec<Finding> {
    firewall::unprintable(family, runtime, tables, ours)
        .into_iter()
        .map(|(rule, why)| {
            Finding::new(
                FindingCode::NotCompared,
                View::Kernel,
                format!("cannot determine whether the kernel holds `{rule}`, which is not managed by fwdeploy: the node does not report how its iptables prints it ({why})"),
            )
        })
        .collect()
}
