//! Where the kernel's rules of firewalld's nftables backend differ from what firewalld has configured: rules that are there twice,
//! and forwards that are missing, left over, or behind another one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::backend::Backend;
use crate::model::backend::Forward;
use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::net::PortRange;
use crate::model::net::Service;
use crate::model::rich::RichRule;
use crate::model::rich::RichSource;
use crate::model::settings::Options;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::ownership::Ours;
use crate::plan::severity::Severity;

/// The tables of a firewalld whose backend is nftables, if the look asked for them.
fn backend(state: &NodeState) -> Option<Result<&Backend, &str>> {
    let firewalld = state.firewalld.known()?;
    // A table that is missing altogether is reported elsewhere.
    let here = firewalld.is_nftables()
        && firewalld.state == "RUNNING"
        && firewalld.in_kernel.known() != Some(&false);
    state
        .kernel
        .backend
        .as_ref()
        .filter(|_| here)
        .map(|told| told.as_result())
}

/// Faults of firewalld's tables as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TablesState<'a> {
    /// The chains whose rules are there twice: a removed rule would be removed only once.
    pub doubled: &'a [String],
    /// The chains that are empty and should not be.
    pub bare: &'a [String],
}

/// Faults of firewalld's tables as a whole; none if they were not read.
pub(super) fn state_of_tables(state: &NodeState) -> TablesState<'_> {
    match backend(state) {
        Some(Ok(backend)) => TablesState {
            doubled: &backend.doubled,
            bare: &backend.bare,
        },
        _ => TablesState {
            doubled: &[],
            bare: &[],
        },
    }
}

/// A forward that is not as firewalld believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mismatch<'a> {
    /// The forwards cannot be read; why.
    Unread(&'a str),
    /// It leads to a managed address, and firewalld does not have it.
    Left(&'a Forward),
    /// firewalld believes in it, and it is not in force.
    Lost(&'a RichRule),
    /// It is in force behind another one of the same port, which takes its packets.
    Behind(&'a Forward, &'a RichRule),
}

/// The forwards that are not as firewalld believes.
pub(super) fn mismatches<'a>(
    desired: &'a Desired,
    state: &'a NodeState,
    ours: &Ours,
) -> Vec<Mismatch<'a>> {
    let backend = match backend(state) {
        None => return Vec::new(),
        Some(Ok(backend)) => backend,
        Some(Err(why)) => return vec![Mismatch::Unread(why)],
    };
    let mut out = left(backend, state, ours);
    let memory: BTreeSet<&RichRule> = match state.runtime.rich.known() {
        Some(rich) => rich.iter().map(|r| &r.rule).collect(),
        None => return out,
    };
    let held = Held::of(backend);
    // What firewalld does not believe in yet is to be added.
    for rule in desired.rich.iter().filter(|rule| memory.contains(rule)) {
        if !held.has(rule) {
            out.push(Mismatch::Lost(rule));
        } else if let Some(ahead) = held.ahead_of(rule) {
            out.push(Mismatch::Behind(ahead, rule));
        }
    }
    out
}

/// The same as findings.
pub(super) fn troubles(desired: &Desired, state: &NodeState, ours: &Ours) -> Vec<Finding> {
    let mismatches = mismatches(desired, state, ours).into_iter();
    mismatches.map(finding).collect()
}

fn finding(mismatch: Mismatch<'_>) -> Finding {
    let found = |code, text| Finding::new(code, View::Kernel, text);
    match mismatch {
        Mismatch::Unread(why) => found(
            FindingCode::ForwardsUnread,
            format!("cannot determine whether the kernel holds firewalld's forwards: {why}"),
        )
        .hint("install nft on the node, with which firewalld's own table is read; or check `nft list table inet firewalld` there"),
        Mismatch::Left(forward) => Finding::with_severity(
            Severity::NotEnforced,
            FindingCode::ForwardLeft,
            View::Kernel,
            format!(
                "the kernel forwards `{}` (chain {} of firewalld's table), but firewalld does not have this rule: a removed port is still open",
                forward.text, forward.chain
            ),
        )
        .hint("`run --recover` reloads firewalld while blocking new flows; `firewall-cmd --reload` reloads it without blocking them"),
        Mismatch::Lost(rule) => found(
            FindingCode::ForwardLost,
            format!("firewalld has `{rule}`, but the kernel does not forward it: another program changed firewalld's nft table"),
        )
        .hint("`run --recover` reloads firewalld while blocking new flows; `firewall-cmd --reload` reloads it without blocking them"),
        Mismatch::Behind(ahead, rule) => found(
            FindingCode::ForwardBehind,
            format!("`{}` is ahead of `{rule}` in firewalld's nft table and sends its packets elsewhere", ahead.text),
        )
        .hint("remove the other forward if it is not needed, or give the role another port of the node"),
    }
}

/// Forwards with their places, by where they lead.
type Destinations<'a> = BTreeMap<(IpAddr, PortRange), Vec<(usize, &'a Forward)>>;

/// The forwards that packets match, by their conditions: one lookup for each of thousands.
struct Held<'a> {
    places: BTreeMap<&'a RichRule, usize>,
    /// Where those lead that say more than ours do.
    odd: BTreeSet<IpAddr>,
    /// By chain and service, then by where they lead: place and forward.
    to: BTreeMap<(&'a str, Family, Service), Destinations<'a>>,
    chains: Vec<&'a str>,
    /// Whether some of them are about ranges of ports: then one port is in several.
    has_ranges: bool,
}

impl<'a> Held<'a> {
    fn of(backend: &'a Backend) -> Self {
        let mut held = Held {
            places: BTreeMap::new(),
            odd: BTreeSet::new(),
            to: BTreeMap::new(),
            chains: Vec::new(),
            has_ranges: false,
        };
        for forward in backend.forwards.iter().filter(|f| f.reached) {
            let place = held.chains.len();
            held.chains.push(&forward.chain);
            match &forward.rule {
                Some(
                    rule @ RichRule::Forward {
                        family,
                        service,
                        to,
                        to_ports,
                        ..
                    },
                ) => {
                    held.places.entry(rule).or_insert(place);
                    held.has_ranges |= service.ports.single().is_none();
                    let key = (&*forward.chain, *family, *service);
                    let places = held.to.entry(key).or_default();
                    places
                        .entry((*to, *to_ports))
                        .or_default()
                        .push((place, forward));
                }
                _ => held.odd.extend(forward.to),
            }
        }
        held
    }

    fn has(&self, rule: &RichRule) -> bool {
        match rule {
            RichRule::Forward { to, .. } => self.places.contains_key(rule) || self.odd.contains(to),
            _ => true,
        }
    }

    /// A forward of the same port to another destination that is ahead in the same chain and takes this one's packets.
    fn ahead_of(&self, rule: &RichRule) -> Option<&'a Forward> {
        let RichRule::Forward {
            family,
            source,
            service,
            to,
            to_ports,
        } = rule
        else {
            return None;
        };
        let place = *self.places.get(rule)?;
        let chain = *self.chains.get(place)?;
        let meets = |forward: &Forward| match &forward.rule {
            Some(RichRule::Forward { source: other, .. }) => match (source, other) {
                (Some(RichSource::Net(own)), Some(RichSource::Net(other))) => own.overlaps(*other),
                _ => true,
            },
            _ => false,
        };
        let keeps_ports = service.ports == *to_ports;
        let others = self.taking(chain, *family, *service).into_iter();
        others
            .flat_map(|(other, places)| places.iter().map(move |place| (other, place)))
            .filter(|(other, ((there, ports), _))| {
                let is_same = ports == to_ports || (keeps_ports && other.ports == *ports);
                there != to || !is_same
            })
            .flat_map(|(_, (_, forwards))| forwards)
            .filter(|(at, forward)| *at < place && meets(forward))
            .map(|(_, forward)| *forward)
            .next()
    }

    /// The forwards of a chain that take some of a service's ports.
    fn taking(
        &self,
        chain: &'a str,
        family: Family,
        service: Service,
    ) -> Vec<(Service, &Destinations<'a>)> {
        if service.ports.single().is_none() || self.has_ranges {
            let all = self.to.iter();
            let taking = all.filter(|((own, of, other), _)| {
                *own == chain && *of == family && other.overlaps(service)
            });
            return taking
                .map(|((.., other), places)| (*other, places))
                .collect();
        }
        let same = self.to.get(&(chain, family, service)).into_iter();
        same.map(|places| (service, places)).collect()
    }
}

/// Forwards to a managed address that firewalld does not have: a port that was removed successfully, but is still open.
fn left<'a>(backend: &'a Backend, state: &NodeState, ours: &Ours) -> Vec<Mismatch<'a>> {
    let managed: Vec<Cidr> = Family::ALL
        .into_iter()
        .flat_map(|family| ours.managed(family))
        .collect();
    let is_managed = |to: IpAddr| managed.iter().any(|net| net.contains(&to));
    let known = Known::of(state);
    backend
        .forwards
        .iter()
        .filter(|forward| forward.to.is_some_and(is_managed))
        .filter(|forward| !known.has(forward))
        .map(Mismatch::Left)
        .collect()
}

/// The forwards in firewalld's memory, of all zones and policies.
#[derive(Default)]
struct Known {
    forwards: BTreeSet<RichRule>,
    /// Where those lead that say more than ours do.
    to: BTreeSet<Cidr>,
}

impl Known {
    fn of(state: &NodeState) -> Self {
        let mut known = Known::default();
        for rich in state.runtime.rich.known().into_iter().flatten() {
            known.add(rich.rule.clone());
        }
        if let Some(settings) = state.runtime.settings.known() {
            for options in settings.zones.values().chain(settings.policies.values()) {
                known.add_options(options);
            }
        }
        known
    }

    fn add(&mut self, rule: RichRule) {
        match rule {
            RichRule::Forward { .. } => drop(self.forwards.insert(rule)),
            RichRule::Other(_) => self.to.extend(rule.about()),
            RichRule::Accept { .. } => {}
        }
    }

    fn add_options(&mut self, options: &Options) {
        for key in ["rules_str", "rich_rules"] {
            for text in options.all(key) {
                self.add(RichRule::parse(text));
            }
        }
        for text in options.all("forward_ports") {
            // The last of its words.
            let to = text.split_once("toaddr=");
            let to = to.and_then(|(_, to)| to.parse::<IpAddr>().ok());
            self.to.extend(to.map(Cidr::host));
        }
    }

    fn has(&self, forward: &Forward) -> bool {
        forward
            .rule
            .as_ref()
            .is_some_and(|rule| self.forwards.contains(rule))
            || forward
                .to
                .is_some_and(|to| self.to.contains(&Cidr::host(to)))
    }
}

/// What becomes of the tables when firewalld takes a rich rule at runtime, or drops one.
pub(super) fn changed(state: &mut NodeState, zone: &str, rule: &RichRule, there: bool) {
    let Some(backend) = state.kernel.backend.as_mut().and_then(|b| b.known_mut()) else {
        return;
    };
    let Some(made) = made(zone, rule) else {
        return;
    };
    let is_it = |forward: &Forward| forward.rule.as_ref() == Some(rule);
    if !there {
        if let Some(at) = backend.forwards.iter().position(is_it) {
            backend.forwards.remove(at);
        }
    } else if !backend.forwards.iter().any(is_it) {
        backend.forwards.push(made);
    }
}

/// What firewalld makes of a rich rule of a zone; `None` if it forwards nothing.
fn made(zone: &str, rule: &RichRule) -> Option<Forward> {
    let RichRule::Forward { to, .. } = rule else {
        return None;
    };
    Some(Forward {
        chain: format!("nat_PRE_{zone}_allow"),
        text: rule.to_string(),
        reached: true,
        to: Some(*to),
        rule: Some(rule.clone()),
    })
}

/// Their state after a reload of firewalld: they hold what firewalld has in memory, once.
pub(super) fn reloaded(state: &mut NodeState) {
    let zone = state.zone.known().cloned().unwrap_or_default();
    let rich = state.runtime.rich.known().cloned().unwrap_or_default();
    let Some(backend) = state.kernel.backend.as_mut().and_then(|b| b.known_mut()) else {
        return;
    };
    backend.doubled.clear();
    backend.bare.clear();
    // Those of other zones stay as they are.
    let own = format!("nat_PRE_{zone}_");
    backend
        .forwards
        .retain(|forward| forward.reached && !forward.chain.starts_with(&own));
    let there = backend.forwards.iter();
    let mut there: BTreeSet<RichRule> = there.filter_map(|f| f.rule.clone()).collect();
    for one in rich {
        if there.insert(one.rule.clone()) {
            backend.forwards.extend(made(&zone, &one.rule));
        }
    }
}

#[cfg(test)]
mod tests;
