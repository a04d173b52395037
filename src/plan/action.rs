//! One step on a node: what it changes, and its texts. `node` executes it, [`crate::plan::simulate()`] gives the state
//! after it, and [`Action::undo`] is the step that undoes it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::guard::GuardBoot;
use crate::model::guard::InstalledGuard;
use crate::model::guard::mangle::MangleChain;
use crate::model::guard::mangle::MangleState;
use crate::model::guard::mangle::TABLE;
use crate::model::guard::table::GuardSet;
use crate::model::guard::table::element;
use crate::model::ipset::IpSet;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Endpoint;
use crate::model::state::KernelRule;
use crate::model::state::Network;
use crate::model::state::RichText;
use crate::model::state::View;
use crate::plan::printed::Line;
use crate::plan::printed::Places;

/// A Docker network with all that it takes to make it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Its subnets, IPv4 first.
    pub subnets: Vec<Cidr>,
    /// Its gateways; Docker takes each subnet's first address where none is named.
    pub gateways: Vec<IpAddr>,
    /// `--internal`.
    pub internal: bool,
    /// Driver options, with the name of the bridge device among them.
    pub options: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Whether IPv6 is on. It is always set, because daemon.json can turn it on for every network that does not set it.
    pub ipv6: bool,
    /// `--attachable`.
    pub attachable: bool,
    /// `--ip-range`, one at most for each subnet.
    pub ranges: Vec<Cidr>,
    /// `--aux-address`.
    pub reserved: Vec<(String, IpAddr)>,
    /// `--ipam-driver`; empty for Docker's own.
    pub ipam_driver: String,
    /// `--ipam-opt`.
    pub ipam_options: Vec<(String, String)>,
    /// The id of an existing network, which distinguishes it from another one of the same name. A network that is created
    /// gets a new id.
    #[serde(skip_serializing)]
    pub id: String,
}

impl NetworkSpec {
    /// The specification of an existing network, from which it can be recreated.
    pub fn of(network: &Network) -> Self {
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        NetworkSpec {
            name: network.name.clone(),
            subnets: network.subnets.clone(),
            gateways: network.gateways.clone(),
            internal: network.internal,
            options: pairs(&network.options),
            labels: pairs(&network.labels),
            ipv6: network.ipv6,
            attachable: network.attachable,
            ranges: network.ranges.clone(),
            reserved: network
                .reserved
                .iter()
                .map(|(name, address)| (name.clone(), *address))
                .collect(),
            ipam_driver: network.ipam_driver.clone(),
            ipam_options: pairs(&network.ipam_options),
            id: network.id.clone(),
        }
    }
}

/// A step of a plan. Each carries all that is needed to do it, to say it and to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Writes firewalld's permanent direct configuration as a whole (`config.direct.update`).
    SetPermanentDirect {
        /// The present configuration.
        before: Direct,
        /// The desired configuration, including foreign entries.
        after: Direct,
    },
    /// Writes the permanent rich rules of a zone as a whole (`setRichRules`).
    SetPermanentRich {
        /// The zone.
        zone: String,
        /// The present rules.
        before: Vec<RichText>,
        /// The desired rules, including foreign ones.
        after: Vec<RichText>,
    },
    /// Writes an address set of ours into firewalld's permanent configuration, or takes it away from there.
    SetPermanentSet {
        /// Its name.
        name: String,
        /// What is there; `None` if there is no such set.
        before: Option<IpSet>,
        /// What shall be there.
        after: Option<IpSet>,
    },
    /// Has firewalld write the file of an address set of ours once more: somebody has edited or removed it, and a reload would load what it says.
    RewriteSet {
        /// Its name.
        name: String,
        /// What the file says; `None` if there is none, or if it is not understood.
        file: Option<IpSet>,
        /// What firewalld's permanent configuration has, and what the file shall say.
        set: IpSet,
    },
    /// Changes the entries of a set of ours at runtime, in firewalld's memory and so in the kernel.
    SetEntries {
        /// Its name.
        name: String,
        /// The present set.
        before: IpSet,
        /// The desired one.
        after: IpSet,
    },
    /// Makes the kernel hold those entries of a set that firewalld believes it to hold.
    SettleSet {
        /// Its name.
        name: String,
        /// Which of the two that can hold it.
        holder: SetHolder,
        /// What it holds.
        before: IpSet,
        /// What it shall hold.
        after: IpSet,
    },
    /// Makes a Docker bridge network.
    CreateNetwork(NetworkSpec),
    /// Removes a Docker network that nothing is attached to.
    RemoveNetwork(NetworkSpec),
    /// Attaches a container to a network at a fixed address.
    Connect {
        /// The container's name.
        container: String,
        /// The network and address.
        endpoint: Endpoint,
    },
    /// Detaches a container from a network.
    Disconnect {
        /// The container's name.
        container: String,
        /// Its present endpoint.
        endpoint: Endpoint,
    },
    /// Makes the guard be so: its table in one transaction, and what loads it at boot.
    SetGuard {
        /// What is there.
        before: Box<InstalledGuard>,
        /// What shall be there; the default is nothing.
        after: Box<InstalledGuard>,
    },
    /// Drops *new* flows from and to the managed subnets until [`Action::Unlatch`], independently of firewalld and Docker.
    Latch {
        /// The subnets.
        subnets: Vec<Cidr>,
    },
    /// Takes the latch away.
    Unlatch {
        /// The subnets that the latch was for; empty for a latch that another run left behind.
        subnets: Vec<Cidr>,
    },
    /// Makes firewalld own DOCKER-USER at runtime, without a reload: the chain's content, the jump and every other
    /// rule of the kernel stay as they are, line for line.
    OwnChain {
        /// Which of the two chains.
        family: Family,
    },
    /// Takes [`Action::OwnChain`] back.
    DisownChain {
        /// Which of the two chains.
        family: Family,
    },
    /// Writes DOCKER-USER in the kernel as a whole, in one transaction: what firewalld believes to be there.
    SetKernelChain {
        /// Which of the two chains.
        family: Family,
        /// The present lines (`iptables-save` without `-A CHAIN`); `None` if the chain is missing.
        before: Option<Vec<KernelRule>>,
        /// The desired lines; `None` removes the chain.
        after: Option<Vec<KernelRule>>,
    },
    /// Puts the jump from FORWARD to DOCKER-USER at these places, and nowhere else.
    PlaceJump {
        /// Which of the two families.
        family: Family,
        /// The position of the jump, counted from 0 among all rules of FORWARD.
        before: Vec<usize>,
        /// The desired position.
        after: Vec<usize>,
    },
    /// Makes firewalld create a chain of the guard in table mangle at runtime.
    AddChain {
        /// Which of the two families.
        family: Family,
        /// The chain.
        chain: MangleChain,
    },
    /// Makes firewalld delete a chain of the guard in table mangle at runtime. It is empty, and nothing leads to it.
    RemoveChain {
        /// Which of the two families.
        family: Family,
        /// The chain.
        chain: MangleChain,
    },
    /// Writes what the kernel holds of the guard in table mangle as a whole, in one transaction: what firewalld believes to be there.
    SetMangle {
        /// Which of the two families.
        family: Family,
        /// What is there.
        before: MangleState,
        /// What shall be there.
        after: MangleState,
    },
    /// Adds a direct rule at runtime.
    AddRule(DirectRule),
    /// Removes a direct rule at runtime.
    RemoveRule(DirectRule),
    /// Adds a rich rule at runtime.
    AddRich {
        /// The zone.
        zone: String,
        /// The rule.
        rule: RichText,
    },
    /// Removes a rich rule at runtime.
    RemoveRich {
        /// The zone.
        zone: String,
        /// The rule.
        rule: RichText,
    },
    /// Reloads firewalld under the latch, waits until Docker has restored its rules, and repairs what the reload
    /// lost. The runtime configuration then equals the permanent one.
    Reload {
        /// The subnets whose NAT must be back before the reload counts as done.
        subnets: Vec<Cidr>,
    },
}

/// What holds a set in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetHolder {
    /// ipset, which iptables asks.
    Ipset,
    /// firewalld's table of nft, of that family.
    Nft(String),
}

/// Whether a difference is something added, removed or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Sign {
    /// `+`
    #[serde(rename = "+")]
    Add,
    /// `-`
    #[serde(rename = "-")]
    Remove,
    /// `~`
    #[serde(rename = "~")]
    Replace,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sign::Add => "+",
            Sign::Remove => "-",
            Sign::Replace => "~",
        })
    }
}

/// One difference between the present and the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Added, removed or replaced.
    pub sign: Sign,
    /// In which of the four truths.
    pub view: View,
    /// What, in one line.
    pub text: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:<9} {}",
            self.sign,
            self.view.to_string(),
            self.text
        )
    }
}

fn change(sign: Sign, view: View, text: impl Into<String>) -> Change {
    Change {
        sign,
        view,
        text: text.into(),
    }
}

impl Action {
    /// The differences that the step removes; none for a step that only prepares others (the latch).
    pub fn changes(&self) -> Vec<Change> {
        match self {
            Action::SetPermanentDirect { before, after } => direct_changes(before, after),
            Action::SetPermanentRich {
                zone,
                before,
                after,
            } => {
                let line = |r: &RichText| format!("{zone}: {}", r.text);
                let mut out = only_in(before, after, |r| {
                    change(Sign::Remove, View::Permanent, line(r))
                });
                out.extend(only_in(after, before, |r| {
                    change(Sign::Add, View::Permanent, line(r))
                }));
                out
            }
            Action::SetPermanentSet {
                name,
                before,
                after,
            } => set_changes(View::Permanent, name, before.as_ref(), after.as_ref()),
            Action::RewriteSet { name, file, set } => {
                set_changes(View::Permanent, name, file.as_ref(), Some(set))
            }
            Action::SetEntries {
                name,
                before,
                after,
            } => set_changes(View::Runtime, name, Some(before), Some(after)),
            Action::SettleSet {
                name,
                before,
                after,
                ..
            } => set_changes(View::Kernel, name, Some(before), Some(after)),
            Action::CreateNetwork(spec) => {
                vec![change(Sign::Add, View::Docker, spec.to_string())]
            }
            Action::RemoveNetwork(spec) => {
                vec![change(Sign::Remove, View::Docker, spec.to_string())]
            }
            Action::Connect {
                container,
                endpoint,
            } => vec![change(
                Sign::Add,
                View::Docker,
                format!("container {container} on {endpoint}"),
            )],
            Action::Disconnect {
                container,
                endpoint,
            } => vec![change(
                Sign::Remove,
                View::Docker,
                format!("container {container} on {endpoint}"),
            )],
            Action::SetGuard { before, after } => guard_changes(before, after),
            Action::Latch { .. } => Vec::new(),
            Action::Unlatch { subnets } if !subnets.is_empty() => Vec::new(),
            Action::Unlatch { .. } => vec![change(
                Sign::Remove,
                View::Kernel,
                "a latch that an interrupted run left behind",
            )],
            Action::OwnChain { family } => vec![change(
                Sign::Replace,
                View::Runtime,
                format!("{family} filter DOCKER-USER is owned by firewalld"),
            )],
            Action::DisownChain { family } => vec![change(
                Sign::Replace,
                View::Runtime,
                format!("{family} filter DOCKER-USER is not owned by firewalld"),
            )],
            Action::SetKernelChain {
                family,
                before,
                after,
            } => kernel_changes(*family, before.as_deref(), after.as_deref()),
            Action::PlaceJump {
                family,
                before,
                after,
            } => vec![jump_change(*family, before, after)],
            Action::AddChain { family, chain } => vec![change(
                Sign::Add,
                View::Runtime,
                format!("chain {family} {TABLE} {}", chain.name()),
            )],
            Action::RemoveChain { family, chain } => vec![change(
                Sign::Remove,
                View::Runtime,
                format!("chain {family} {TABLE} {}", chain.name()),
            )],
            Action::SetMangle {
                family,
                before,
                after,
            } => mangle_changes(*family, before, after),
            Action::AddRule(rule) => vec![change(Sign::Add, View::Runtime, rule.to_string())],
            Action::RemoveRule(rule) => {
                vec![change(Sign::Remove, View::Runtime, rule.to_string())]
            }
            Action::AddRich { zone, rule } => vec![change(
                Sign::Add,
                View::Runtime,
                format!("{zone}: {}", rule.text),
            )],
            Action::RemoveRich { zone, rule } => vec![change(
                Sign::Remove,
                View::Runtime,
                format!("{zone}: {}", rule.text),
            )],
            Action::Reload { .. } => vec![change(
                Sign::Replace,
                View::Runtime,
                "firewalld's runtime is replaced by its permanent configuration (reload)",
            )],
        }
    }

    /// Whether it changes Docker's networks, or who is on them.
    pub fn changes_docker(&self) -> bool {
        matches!(
            self,
            Action::CreateNetwork(_)
                | Action::RemoveNetwork(_)
                | Action::Connect { .. }
                | Action::Disconnect { .. }
        )
    }

    /// What the step does, as a short phrase for progress: `adding a rule`.
    pub fn doing(&self) -> &'static str {
        match self {
            Action::SetPermanentDirect { .. } => "writing permanent rules",
            Action::SetPermanentRich { .. } => "writing permanent rich rules",
            Action::SetPermanentSet { .. } | Action::RewriteSet { .. } => "writing permanent sets",
            Action::SetEntries { .. } => "changing sets",
            Action::SettleSet { .. } => "writing sets in the kernel",
            Action::CreateNetwork(_) => "creating the network",
            Action::RemoveNetwork(_) => "removing the network",
            Action::Connect { .. } => "attaching the container",
            Action::Disconnect { .. } => "detaching the container",
            Action::SetGuard { .. } => "setting the guard",
            Action::Latch { .. } => "blocking new flows",
            Action::Unlatch { .. } => "unblocking new flows",
            Action::OwnChain { .. } => "handing DOCKER-USER to firewalld",
            Action::DisownChain { .. } => "releasing DOCKER-USER from firewalld",
            Action::SetKernelChain { .. } => "writing DOCKER-USER in the kernel",
            Action::PlaceJump { .. } => "placing the jump to DOCKER-USER",
            Action::AddChain { .. } | Action::SetMangle { .. } => "setting the guard",
            Action::RemoveChain { .. } => "removing the guard",
            Action::AddRule(_) => "adding rules",
            Action::RemoveRule(_) => "removing rules",
            Action::AddRich { .. } => "adding rich rules",
            Action::RemoveRich { .. } => "removing rich rules",
            Action::Reload { .. } => "reloading firewalld",
        }
    }

    /// The steps that take this one back, in order.
    pub fn undo(&self) -> Action {
        match self.clone() {
            Action::SetPermanentDirect { before, after } => Action::SetPermanentDirect {
                before: after,
                after: before,
            },
            Action::SetPermanentRich {
                zone,
                before,
                after,
            } => Action::SetPermanentRich {
                zone,
                before: after,
                after: before,
            },
            Action::SetPermanentSet {
                name,
                before,
                after,
            } => Action::SetPermanentSet {
                name,
                before: after,
                after: before,
            },
            // What the file said before, the snapshot has.
            rewrite @ Action::RewriteSet { .. } => rewrite,
            Action::SetEntries {
                name,
                before,
                after,
            } => Action::SetEntries {
                name,
                before: after,
                after: before,
            },
            Action::SettleSet {
                name,
                holder,
                before,
                after,
            } => Action::SettleSet {
                name,
                holder,
                before: after,
                after: before,
            },
            Action::CreateNetwork(spec) => Action::RemoveNetwork(spec),
            Action::RemoveNetwork(spec) => Action::CreateNetwork(spec),
            Action::Connect {
                container,
                endpoint,
            } => Action::Disconnect {
                container,
                endpoint,
            },
            Action::Disconnect {
                container,
                endpoint,
            } => Action::Connect {
                container,
                endpoint,
            },
            Action::SetGuard { before, after } => Action::SetGuard {
                before: after,
                after: before,
            },
            Action::Latch { subnets } => Action::Unlatch { subnets },
            Action::Unlatch { subnets } => Action::Latch { subnets },
            Action::OwnChain { family } => Action::DisownChain { family },
            Action::DisownChain { family } => Action::OwnChain { family },
            Action::SetKernelChain {
                family,
                before,
                after,
            } => Action::SetKernelChain {
                family,
                before: after,
                after: before,
            },
            Action::PlaceJump {
                family,
                before,
                after,
            } => Action::PlaceJump {
                family,
                before: after,
                after: before,
            },
            Action::AddChain { family, chain } => Action::RemoveChain { family, chain },
            Action::RemoveChain { family, chain } => Action::AddChain { family, chain },
            Action::SetMangle {
                family,
                before,
                after,
            } => Action::SetMangle {
                family,
                before: after,
                after: before,
            },
            Action::AddRule(rule) => Action::RemoveRule(rule),
            Action::RemoveRule(rule) => Action::AddRule(rule),
            Action::AddRich { zone, rule } => Action::RemoveRich { zone, rule },
            Action::RemoveRich { zone, rule } => Action::AddRich { zone, rule },
            Action::Reload { subnets } => Action::Reload { subnets },
        }
    }
}

impl fmt::Display for NetworkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network {}", self.name)?;
        for subnet in &self.subnets {
            write!(f, " {subnet}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.network)?;
        match (self.fixed, self.address) {
            (Some(fixed), Some(now)) if fixed != now => {
                write!(f, " at {now} (fixed address {fixed})")
            }
            (Some(address), _) => write!(f, " at {address}"),
            (None, Some(address)) => write!(f, " at {address} (dynamic address)"),
            (None, None) => Ok(()),
        }
    }
}

/// The entries of `these` that are not among `those`, each as the change that `say` returns.
fn only_in<T: Ord>(these: &[T], those: &[T], say: impl Fn(&T) -> Change) -> Vec<Change> {
    let those: BTreeSet<&T> = those.iter().collect();
    these
        .iter()
        .filter(|x| !those.contains(x))
        .map(say)
        .collect()
}

pub(super) fn direct_changes(before: &Direct, after: &Direct) -> Vec<Change> {
    let chain = |c: &DirectChain| format!("chain {} {} {}", c.ipv, c.table, c.chain);
    let side = |sign, these: &Direct, those: &Direct| {
        let mut out = only_in(&these.chains, &those.chains, |c| {
            change(sign, View::Permanent, chain(c))
        });
        out.extend(only_in(&these.rules, &those.rules, |r| {
            change(sign, View::Permanent, r.to_string())
        }));
        out.extend(only_in(&these.passthroughs, &those.passthroughs, |p| {
            change(sign, View::Permanent, format!("passthrough {p}"))
        }));
        out
    };
    let mut out = side(Sign::Remove, before, after);
    out.extend(side(Sign::Add, after, before));
    if out.is_empty() && before != after {
        out.push(change(
            Sign::Replace,
            View::Permanent,
            "the order of the direct rules",
        ));
    }
    out
}

/// The differences of the entries of a set.
fn set_changes(
    view: View,
    name: &str,
    before: Option<&IpSet>,
    after: Option<&IpSet>,
) -> Vec<Change> {
    let mut out = Vec::new();
    let is_made = |set: &IpSet| (set.kind.clone(), set.options.clone());
    let made = match (before.map(is_made), after.map(is_made)) {
        (None, Some(_)) => Some(Sign::Add),
        (Some(_), None) => Some(Sign::Remove),
        (one, other) => (one != other).then_some(Sign::Replace),
    };
    if let (Some(sign), Some(set)) = (made, after.or(before)) {
        out.push(change(sign, view, format!("ipset {name} ({})", set.kind)));
    }
    let only_in = |set: Option<&IpSet>, other| set.map_or_else(Vec::new, |s| s.texts_beyond(other));
    for (sign, entries) in [
        (Sign::Remove, only_in(before, after)),
        (Sign::Add, only_in(after, before)),
    ] {
        let entry = |entry| change(sign, view, format!("ipset {name} {entry}"));
        out.extend(entries.into_iter().map(entry));
    }
    out
}

fn kernel_changes(
    family: Family,
    before: Option<&[KernelRule]>,
    after: Option<&[KernelRule]>,
) -> Vec<Change> {
    let mut out = Vec::new();
    match (before, after) {
        (None, Some(_)) => out.push(change(
            Sign::Add,
            View::Kernel,
            format!("chain {family} filter DOCKER-USER"),
        )),
        (Some(_), None) => out.push(change(
            Sign::Remove,
            View::Kernel,
            format!("chain {family} filter DOCKER-USER"),
        )),
        _ => {}
    }
    // The kernel may spell a rule differently; that is not a difference.
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let lacking = |these: &[KernelRule], those: &[KernelRule], sign| {
        let mut left = Places::of(those.iter().map(Line::from).enumerate());
        let lacking = these
            .iter()
            .filter(|line| left.take(&Line::from(*line)).is_none());
        let lacking = lacking.map(|line| {
            let text = format!("{family} filter DOCKER-USER {}", line.text);
            change(sign, View::Kernel, text)
        });
        lacking.collect::<Vec<Change>>()
    };
    out.extend(lacking(before, after, Sign::Remove));
    out.extend(lacking(after, before, Sign::Add));
    if out.is_empty() && before != after {
        out.push(change(
            Sign::Replace,
            View::Kernel,
            format!("{family} filter DOCKER-USER: the whitelist moves ahead of rules that accept other traffic"),
        ));
    }
    out
}

/// The differences that [`Action::SetMangle`] removes.
fn mangle_changes(family: Family, before: &MangleState, after: &MangleState) -> Vec<Change> {
    let lines = |state: &MangleState| -> Vec<String> {
        let chains = state.chains.iter();
        let in_chains = chains.flat_map(|(chain, lines)| {
            let lines = lines.iter();
            lines.map(|line| format!("{family} {TABLE} {} {}", chain.name(), said(line)))
        });
        let jumps = state.jumps.iter();
        let jumps =
            jumps.map(|jump| format!("{family} {TABLE} {} {}", jump.chain, said(&jump.line)));
        in_chains.chain(jumps).collect()
    };
    let (old, new) = (lines(before), lines(after));
    let mut out = only_in(&old, &new, |text| {
        change(Sign::Remove, View::Kernel, text.as_str())
    });
    out.extend(only_in(&new, &old, |text| {
        change(Sign::Add, View::Kernel, text.as_str())
    }));
    if out.is_empty() && before != after {
        out.push(change(
            Sign::Replace,
            View::Kernel,
            format!(
                "{family} {TABLE}: the order of the guard's rules, or the place of the jump to them"
            ),
        ));
    }
    out
}

/// A line by its meaning, which versions of iptables spell differently.
fn said(line: &KernelRule) -> String {
    let rule = line.rule.as_ref();
    rule.map_or_else(|| line.text.clone(), ToString::to_string)
}

fn jump_change(family: Family, before: &[usize], after: &[usize]) -> Change {
    let jump = format!("{family} filter FORWARD -j DOCKER-USER");
    let places = |at: &[usize]| {
        let numbers: Vec<String> = at.iter().map(|n| (n + 1).to_string()).collect();
        numbers.join(", ")
    };
    match (before, after) {
        ([], _) => change(
            Sign::Add,
            View::Kernel,
            format!("{jump}: missing, so the whitelist filters nothing"),
        ),
        (_, []) => change(Sign::Remove, View::Kernel, jump),
        _ => change(
            Sign::Replace,
            View::Kernel,
            format!(
                "{jump}: from position {} to position {}, ahead of rules that accept",
                places(before),
                places(after)
            ),
        ),
    }
}

/// The differences that [`Action::SetGuard`] removes.
fn guard_changes(before: &InstalledGuard, after: &InstalledGuard) -> Vec<Change> {
    let mut out = Vec::new();
    let mut say = |sign, text: String| out.push(change(sign, View::Guard, text));
    match (&before.table, &after.table) {
        (None, None) => {}
        (None, Some(_)) => say(Sign::Add, "table inet fwdeploy".to_string()),
        (Some(_), None) => say(Sign::Remove, "table inet fwdeploy".to_string()),
        (Some(old), Some(new)) => {
            if new.change_from(old).is_none() {
                let how = match (old.is_audit(), new.is_audit()) {
                    (true, false) => ", which are in audit: they are enforced from now on",
                    (false, true) => ", which are enforced: they are in audit from now on",
                    _ => "",
                };
                say(
                    Sign::Replace,
                    format!("the rules of table inet fwdeploy{how}"),
                );
            }
            let nothing = GuardSet::default();
            for (name, set) in &new.sets {
                let was = old.sets.get(name).unwrap_or(&nothing);
                for gone in was.elements.difference(&set.elements) {
                    say(Sign::Remove, format!("{name} {}", element(gone)));
                }
                for come in set.elements.difference(&was.elements) {
                    say(Sign::Add, format!("{name} {}", element(come)));
                }
            }
        }
    }
    if before.boot.drop_in != after.boot.drop_in {
        let sign = match (&before.boot.drop_in, &after.boot.drop_in) {
            (None, _) => Sign::Add,
            (_, None) => Sign::Remove,
            _ => Sign::Replace,
        };
        say(
            sign,
            "a drop-in of nftables.service, which loads the table again when that flushes all tables".to_string(),
        );
    }
    let rest = |boot: &GuardBoot| GuardBoot {
        drop_in: None,
        ..boot.clone()
    };
    if rest(&before.boot) != rest(&after.boot) {
        let sign = match (&before.boot.script, &after.boot.script) {
            (None, Some(_)) => Sign::Add,
            (Some(_), None) => Sign::Remove,
            _ => Sign::Replace,
        };
        say(
            sign,
            "fwdeploy-guard.service, which loads the table at boot".to_string(),
        );
    }
    out
}
