//! How the kernel prints a direct rule: by fwdeploy's own parser if every version of iptables prints it alike, otherwise by
//! the answer of the node's own iptables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::CHAIN;
use crate::model::net::Family;
use crate::model::rule::Args;
use crate::model::rule::DirectRule;
use crate::model::rule::Effect;
use crate::model::rule::Rule;
use crate::model::rule::quote_saved;
use crate::model::state::Direct;
use crate::model::state::KernelRule;
use crate::model::state::NodeState;
use crate::model::state::Printed;
use crate::model::state::Tables;

/// One line of the kernel, comparable by meaning; if it has none, by its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line<'a> {
    /// It was understood.
    Rule(&'a Rule),
    /// It was not.
    Text(Cow<'a, str>),
}

impl<'a> From<&'a KernelRule> for Line<'a> {
    fn from(line: &'a KernelRule) -> Self {
        match &line.rule {
            Some(rule) => Line::Rule(rule),
            None => Line::Text(Cow::Borrowed(&line.text)),
        }
    }
}

/// What the kernel holds for a direct rule.
pub(super) struct Form<'a> {
    /// The lines that it prints: several where the rule names several addresses.
    pub lines: Vec<Line<'a>>,
    /// The same lines in words that iptables takes.
    texts: Vec<Cow<'a, str>>,
    /// Whether these are the kernel's words. If not, the kernel may hold the rule in others.
    pub certain: bool,
}

impl Form<'_> {
    /// The lines as the kernel prints them, or as it would.
    pub(super) fn kernel_rules(&self) -> impl Iterator<Item = KernelRule> {
        self.texts.iter().zip(&self.lines).map(|(text, line)| {
            let rule = match line {
                Line::Rule(rule) => Some((*rule).clone()),
                Line::Text(_) => None,
            };
            let text = text.to_string();
            KernelRule { text, rule }
        })
    }
}

/// What the kernel holds for a direct rule of filter.
pub(super) fn form<'a>(rule: &'a DirectRule, tables: &'a Tables) -> Form<'a> {
    let is_chain = |name: &str| tables.chain("filter", name).is_some();
    if let Some(parsed) = rule.rule().filter(|parsed| parsed.is_plain(&is_chain)) {
        return Form {
            lines: vec![Line::Rule(parsed)],
            texts: vec![Cow::Owned(parsed.to_string())],
            certain: true,
        };
    }
    if let Some(Printed::Lines(lines)) = tables.printed.get(&*rule.args) {
        return Form {
            lines: lines.iter().map(Line::from).collect(),
            texts: lines
                .iter()
                .map(|line| Cow::Borrowed(&*line.text))
                .collect(),
            certain: true,
        };
    }
    let each = rule.args.each();
    let line = |args: &'a Args| match args.rule() {
        Some(rule) => Line::Rule(rule),
        None => Line::Text(Cow::Owned(words(args))),
    };
    Form {
        certain: each
            .iter()
            .all(|args| args.rule().is_some_and(|rule| rule.is_plain(&is_chain))),
        texts: each.iter().map(|args| Cow::Owned(words(args))).collect(),
        lines: each.iter().map(line).collect(),
    }
}

/// The words of a rule as one line for `iptables-restore`. An extension keeps the order of its own options.
pub(super) fn words(args: &[String]) -> String {
    let words: Vec<_> = args.iter().map(|arg| quote_saved(arg)).collect();
    words.join(" ")
}

/// Rules of one family for which only the node's own iptables can determine how it prints them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The family.
    pub family: Family,
    /// The arguments of each rule, none twice.
    pub rules: Vec<Vec<String>>,
    /// The chains of one's own in table filter: a rule may jump to one.
    pub chains: Vec<String>,
}

/// What the node has to be asked before its direct rules can be compared with its kernel; nothing on most nodes.
pub fn questions(state: &NodeState) -> Vec<Question> {
    Family::ALL
        .into_iter()
        .filter_map(|family| {
            let tables = state.kernel.tables(family).known()?;
            let rules = unknown(state, family, tables);
            let chains = tables.tables.get("filter").into_iter().flatten();
            let chains = chains.filter(|(_, chain)| chain.policy.is_none());
            (!rules.is_empty()).then(|| Question {
                family,
                rules: rules.into_iter().collect(),
                chains: chains.map(|(name, _)| name.clone()).collect(),
            })
        })
        .collect()
}

fn unknown(state: &NodeState, family: Family, tables: &Tables) -> BTreeSet<Vec<String>> {
    let seen = tables.chain("filter", CHAIN);
    let seen: BTreeSet<Line<'_>> = seen.iter().flat_map(|c| &c.rules).map(Line::from).collect();
    let mut out = BTreeSet::new();
    for direct in [&state.permanent.direct, &state.runtime.direct] {
        let Some(direct) = direct.known() else {
            continue;
        };
        for rule in direct.rules.iter().filter(|r| r.is_in_chain(family)) {
            let form = form(rule, tables);
            if !form.certain
                && may_be_loaded(&rule.args)
                && !form.lines.iter().all(|line| seen.contains(line))
            {
                out.insert(rule.args.to_vec());
            }
        }
        let others = unreadable(direct, family).into_iter();
        out.extend(others.filter(|args| may_be_loaded(args)));
    }
    out
}

/// Whether loading the rule in a namespace of its own leaves the node alone: `-M` runs a program, and a few targets keep
/// what belongs to the whole machine. A line ends at a newline.
fn may_be_loaded(args: &[String]) -> bool {
    let of_the_machine = ["CLUSTERIP", "IDLETIMER", "LED"];
    // getopt takes `--modprobe` by its beginning, and letters without a value in one word.
    let runs = |word: &str| {
        let name = word.split('=').next().unwrap_or_default();
        let letters = word.strip_prefix('-').unwrap_or_default();
        let last = letters.trim_start_matches(['4', '6', 'f', 'h', 'n', 'v', 'x', 'V']);
        last.starts_with('M') || (name.len() > 3 && "--modprobe".starts_with(name))
    };
    let is_of_the_machine = |word: &str| {
        let name = word.trim_start_matches("--jump=").trim_start_matches("-j");
        of_the_machine.contains(&name)
    };
    !args
        .iter()
        .any(|word| runs(word) || is_of_the_machine(word) || word.contains(char::is_control))
}

/// Rules before the whitelist that fwdeploy's own parser does not understand, so they might accept any packet.
fn unreadable(direct: &Direct, family: Family) -> Vec<Vec<String>> {
    let rules = direct.rules.iter().filter(|rule| {
        rule.family == Some(family) && rule.table == "filter" && rule.chain == "FORWARD"
    });
    let rules = rules
        .filter(|rule| rule.rule().is_none())
        .map(|rule| rule.args.to_vec());
    let passed = direct.passthroughs.iter();
    let passed = passed
        .filter(|passthrough| passthrough.ipv == family.name())
        .filter_map(|passthrough| match passthrough.effect() {
            Effect::Adds { table, rule, .. } if table == "filter" && rule.rule().is_none() => {
                Some(rule.to_vec())
            }
            _ => None,
        });
    rules.chain(passed).collect()
}

/// A place for each line, in order: of equal lines the first is found first.
#[derive(Debug, Default)]
pub(super) struct Places<'a>(BTreeMap<Line<'a>, Vec<usize>>);

impl<'a> Places<'a> {
    /// The places of these lines.
    pub(super) fn of(lines: impl IntoIterator<Item = (usize, Line<'a>)>) -> Self {
        let mut places: BTreeMap<Line<'a>, Vec<usize>> = BTreeMap::new();
        for (place, line) in lines {
            places.entry(line).or_default().push(place);
        }
        for list in places.values_mut() {
            list.reverse();
        }
        Places(places)
    }

    /// Takes the next place of a line.
    pub(super) fn take(&mut self, line: &Line<'a>) -> Option<usize> {
        self.0.get_mut(line)?.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> DirectRule {
        DirectRule {
            family: Some(Family::V4),
            table: "filter".to_string(),
            chain: CHAIN.to_string(),
            priority: 0,
            args: crate::model::rule::split_saved(text).unwrap().into(),
        }
    }

    #[test]
    fn a_list_of_addresses_is_a_rule_for_each() {
        let tables = Tables::default();
        let rule = rule("-s 10.0.0.1,10.0.0.2/32 -d 192.0.2.0/24,198.51.100.1 -j DROP");
        let form = form(&rule, &tables);
        assert!(form.certain);
        assert_eq!(
            form.texts,
            [
                "-s 10.0.0.1 -d 192.0.2.0/24 -j DROP",
                "-s 10.0.0.1 -d 198.51.100.1 -j DROP",
                "-s 10.0.0.2/32 -d 192.0.2.0/24 -j DROP",
                "-s 10.0.0.2/32 -d 198.51.100.1 -j DROP",
            ]
        );
    }

    #[test]
    fn only_what_every_version_prints_alike_is_known_without_asking() {
        let mut tables = Tables::default();
        let filter = tables.tables.entry("filter".to_string()).or_default();
        filter.insert("own".to_string(), crate::model::state::Chain::default());
        for (text, certain) in [
            ("-s 10.0.0.0/255.0.0.0 -p 6 --dport 443 -j ACCEPT", true),
            ("-p TCP --dport 1:65535 -j REJECT", true),
            ("-m state --state NEW -j own", true),
            ("-g own", true),
            ("-p tcp --dport https -j ACCEPT", false),
            ("-p tcp --syn -j ACCEPT", false),
            ("-m limit --limit 5/minute -j ACCEPT", false),
            ("-j LOG", false),
            ("-j REJECT --reject-with host-unreach", false),
            ("-p ospf -j DROP", false),
            ("-i + -j DROP", false),
            ("-s node.example -j DROP", false),
            ("-m comment --comment \u{fc} -j DROP", false),
        ] {
            assert_eq!(form(&rule(text), &tables).certain, certain, "{text}");
        }
    }

    #[test]
    fn what_reaches_beyond_its_namespace_is_not_loaded() {
        for (text, may) in [
            ("-m statistic --mode nth --every 3 -j DROP", true),
            ("-m mark --mark 1 -j MARK --set-mark 2", true),
            ("-fvs 10.0.0.1 -j DISABLED", true),
            ("-M /bin/sh -j DROP", false),
            ("-M/bin/sh -j DROP", false),
            ("-fvM/bin/sh -j DROP", false),
            ("--modprobe /bin/sh -j DROP", false),
            ("--modp=/bin/sh -j DROP", false),
            ("-j LED --led-trigger-id x", false),
            ("-jIDLETIMER --timeout 5 --label x", false),
            ("--jump=CLUSTERIP --new", false),
            ("-m comment --comment \"a\nCOMMIT\" -j DROP", false),
        ] {
            assert_eq!(may_be_loaded(&rule(text).args), may, "{text}");
        }
    }

    #[test]
    fn an_extension_keeps_the_order_of_its_words() {
        let text = "-m recent --set --name x --rsource -j LOG --log-prefix \"a b\"";
        assert_eq!(form(&rule(text), &Tables::default()).texts, [text]);
    }
}
