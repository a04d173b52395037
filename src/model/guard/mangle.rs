//! The chains of iptables' table mangle that hold the guard on a node whose nft cannot.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Rule;
use crate::model::rule::Target;
use crate::model::state::Chain;
use crate::model::state::DirectChain;
use crate::model::state::KernelRule;
use crate::model::state::Tables;

/// The table.
pub const TABLE: &str = "mangle";

/// A chain of firewalld's direct interface that holds a part of the guard, in each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MangleChain {
    /// Judges what comes out of a managed network.
    Outbound,
    /// Judges what goes into a managed network.
    Inbound,
    /// What the node forwards.
    Forward,
    /// What comes to the node itself.
    Input,
}

impl MangleChain {
    /// All of them. A chain comes after those that it jumps to.
    pub const ALL: [MangleChain; 4] = [
        MangleChain::Outbound,
        MangleChain::Inbound,
        MangleChain::Forward,
        MangleChain::Input,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            MangleChain::Outbound => "fwdeploy_outbound",
            MangleChain::Inbound => "fwdeploy_inbound",
            MangleChain::Forward => "fwdeploy_forward",
            MangleChain::Input => "fwdeploy_input",
        }
    }

    /// The built-in chain that jumps to it; `None` if another chain of the guard does.
    pub fn hook(self) -> Option<&'static str> {
        match self {
            MangleChain::Outbound | MangleChain::Inbound => None,
            MangleChain::Forward => Some("FORWARD"),
            MangleChain::Input => Some("INPUT"),
        }
    }

    /// The chain of that name.
    pub fn of(name: &str) -> Option<Self> {
        let is_it = |chain: &MangleChain| chain.name() == name;
        MangleChain::ALL.into_iter().find(is_it)
    }

    /// The chain that the rule leads to; `None` if it leads elsewhere.
    pub fn target(rule: &Rule) -> Option<Self> {
        match &rule.target {
            Target::Jump(name, args) if args.is_empty() => MangleChain::of(name),
            _ => None,
        }
    }

    /// Whether a line of the kernel's chain leads to the guard: a jump to one of its chains, or firewalld's own jump from the built-in
    /// chain to the one that holds its direct rules, without which nothing there is in force.
    fn is_led_to(chain: &str, line: &KernelRule) -> bool {
        let Some(rule) = &line.rule else {
            return false;
        };
        let is_way = |hook: &str| hook == chain && *rule == to_direct(hook);
        MangleChain::target(rule).is_some()
            || MangleChain::ALL
                .into_iter()
                .filter_map(MangleChain::hook)
                .any(is_way)
    }

    /// The chain as firewalld has it.
    pub fn direct(self, family: Family) -> DirectChain {
        DirectChain {
            ipv: family.name().to_string(),
            table: TABLE.to_string(),
            chain: self.name().to_string(),
        }
    }

    /// Whether the rule is in a chain of the guard, or leads to one from the built-in chain that belongs to it.
    pub fn holds(rule: &DirectRule) -> bool {
        if rule.family.is_none() || rule.table != TABLE {
            return false;
        }
        let leads = |chain: MangleChain| chain.hook() == Some(&*rule.chain);
        MangleChain::of(&rule.chain).is_some()
            || rule.rule().and_then(MangleChain::target).is_some_and(leads)
    }

    /// Whether firewalld's chain is one of the guard's.
    pub fn is(chain: &DirectChain) -> bool {
        Family::ALL
            .into_iter()
            .flat_map(|family| MangleChain::ALL.map(|of| of.direct(family)))
            .any(|ours| ours == *chain)
    }
}

/// What the kernel holds of the guard in one family's table mangle.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MangleState {
    /// The lines of each chain that is there.
    pub chains: BTreeMap<MangleChain, Vec<KernelRule>>,
    /// The jumps from other chains, in the order of these, and with firewalld's iptables backend its own jumps to its direct rules.
    pub jumps: Vec<MangleJump>,
}

/// A line of another chain that leads to the guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MangleJump {
    /// The chain that holds it.
    pub chain: String,
    /// Its position there, counted from 0.
    pub place: usize,
    /// The line (`iptables-save` without `-A CHAIN`).
    pub line: KernelRule,
}

impl MangleState {
    /// What these tables hold.
    pub fn of(tables: &Tables) -> Self {
        let mut out = MangleState::default();
        for (name, chain) in tables.tables.get(TABLE).into_iter().flatten() {
            if let Some(own) = MangleChain::of(name) {
                out.chains.insert(own, chain.rules.clone());
                continue;
            }
            for (place, line) in chain.rules.iter().enumerate() {
                if MangleChain::is_led_to(name, line) {
                    out.jumps.push(MangleJump {
                        chain: name.clone(),
                        place,
                        line: line.clone(),
                    });
                }
            }
        }
        out
    }

    /// Whether there is nothing of the guard. firewalld's own jumps do not count.
    pub fn is_empty(&self) -> bool {
        let leads = |jump: &MangleJump| {
            let rule = jump.line.rule.as_ref();
            rule.and_then(MangleChain::target).is_some()
        };
        self.chains.is_empty() && !self.jumps.iter().any(leads)
    }

    /// Writes it into the tables, instead of what they hold of the guard. A position beyond the end of a chain is the end.
    pub fn write(&self, tables: &mut Tables) {
        let table = tables.tables.entry(TABLE.to_string()).or_default();
        table.retain(|name, _| MangleChain::of(name).is_none());
        for (name, chain) in table.iter_mut() {
            let is_kept = |line: &KernelRule| !MangleChain::is_led_to(name, line);
            chain.rules.retain(is_kept);
        }
        for MangleJump { chain, place, line } in &self.jumps {
            let rules = &mut table.entry(chain.clone()).or_default().rules;
            rules.insert((*place).min(rules.len()), line.clone());
        }
        // A built-in chain that was read has a policy; one that is here for its jump only goes with it.
        table.retain(|name, chain| {
            let is_hook = MangleChain::ALL.iter().any(|of| of.hook() == Some(name));
            !is_hook || chain.policy.is_some() || !chain.rules.is_empty()
        });
        for (chain, lines) in &self.chains {
            let rules = lines.clone();
            let chain_there = Chain {
                policy: None,
                rules,
            };
            table.insert(chain.name().to_string(), chain_there);
        }
        if table.is_empty() {
            tables.tables.remove(TABLE);
        }
    }
}

/// The chain of the kernel that holds firewalld's direct rules of a built-in chain of mangle: one of firewalld's own with its iptables backend,
/// the built-in chain itself with its nftables backend (fw_direct.py).
pub fn kernel_chain(tables: &Tables, hook: &str) -> String {
    direct_chain(tables, hook).unwrap_or_else(|| hook.to_string())
}

/// firewalld's own chain for its direct rules of a built-in chain of mangle; `None` where there is none.
///
/// With its iptables backend firewalld has one in each table. A program that has flushed mangle and deleted its chains took this one too, and
/// firewalld, which does not notice, can neither add nor remove a rule there any more: so it counts as there while table filter has its own.
pub fn direct_chain(tables: &Tables, hook: &str) -> Option<String> {
    let own = direct_name(hook);
    let is_there = |table| tables.chain(table, &own).is_some();
    (is_there(TABLE) || is_there("filter")).then_some(own)
}

fn direct_name(hook: &str) -> String {
    format!("{hook}_direct")
}

/// firewalld's jump to that chain (`-A FORWARD -j FORWARD_direct`, ipXtables.py).
pub fn to_direct(hook: &str) -> Rule {
    Rule::new(Vec::new(), Target::Jump(direct_name(hook), Vec::new()))
}
