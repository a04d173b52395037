//! The rendered tree of a role → [`Policy`], strictly: every key is known, every value fits.

use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::error::shown;
use crate::inventory::location::Located;
use crate::inventory::location::Location;
use crate::inventory::suggest::closest;
use crate::model::Date;
use crate::model::Peer;
use crate::role::fields::Fields;
use crate::role::fields::parse;
use crate::role::fields::ticked;
use crate::role::schema::ContainerPolicy;
use crate::role::schema::Covers;
use crate::role::schema::Enforce;
use crate::role::schema::Inbound;
use crate::role::schema::Log;
use crate::role::schema::NetworkPolicy;
use crate::role::schema::NodeAccess;
use crate::role::schema::Otherwise;
use crate::role::schema::Outbound;
use crate::role::schema::Party;
use crate::role::schema::Policy;
use crate::role::tree::Content;
use crate::role::tree::Node;
use crate::role::tree::WHEN;

/// Reads a role's rendered document. Everything that does not fit goes to `errors`; the policy is `None` then.
pub(super) fn policy(
    role: &Located<String>,
    root: &Node,
    errors: &mut InputErrors,
) -> Option<Policy> {
    const KEYS: [&str; 9] = [
        "summary",
        "network",
        "container",
        "inbound",
        "outbound",
        "otherwise",
        "covers",
        "enforce",
        "until",
    ];
    let fields = Fields::of(root, "a role", &KEYS, errors)?;
    let summary: Option<Located<String>> = fields.optional("summary", errors);
    let network = fields
        .required("network", errors)
        .and_then(|node| read_network(node, errors));
    let container = fields
        .required("container", errors)
        .and_then(|node| read_container(node, errors));
    let inbound = read_entries(&fields, "inbound", errors, read_inbound);
    let outbound = read_entries(&fields, "outbound", errors, read_outbound);
    let otherwise = read_word(&fields, "otherwise", &Otherwise::ALL, errors);
    let covers = read_word(&fields, "covers", &Covers::ALL, errors);
    let enforce = read_enforce(&fields, errors);
    let until: Option<Located<Date>> = fields.nullable("until", errors);
    if let (Some(enforce), Some(until)) = (&enforce, &until)
        && enforce.value != Enforce::Audit
    {
        errors.push(
            InputError::at(until.location.clone(), "`until` without `enforce: audit`")
                .hint("it is the last day of an audit; a role that is enforced has no such day"),
        );
    }
    Some(Policy {
        role: role.clone(),
        summary: summary.map(|summary| summary.value).unwrap_or_default(),
        network: network?,
        container: container?,
        inbound: inbound?,
        outbound: outbound?,
        otherwise: otherwise?,
        covers: covers?,
        enforce: enforce?,
        until,
    })
}

/// Reads whether the whitelist is enforced. `yes` is a boolean of YAML, and so is `no`, which is not among the words.
fn read_enforce(fields: &Fields<'_>, errors: &mut InputErrors) -> Option<Located<Enforce>> {
    const KEY: &str = "enforce";
    match fields.written(KEY) {
        Some(node) if matches!(node.content, Content::Bool(true)) => {
            Some(Located::new(Enforce::Yes, node.place.clone()))
        }
        Some(node) if matches!(node.content, Content::Bool(false)) => {
            errors.push(
                node.error("a role is always enforced, or in audit")
                    .hint("`enforce: audit` lets everything pass and records what is on no list"),
            );
            None
        }
        _ => read_word(fields, KEY, &Enforce::ALL, errors),
    }
}

fn read_network(node: &Node, errors: &mut InputErrors) -> Option<NetworkPolicy> {
    const KEYS: [&str; 7] = [
        "name", "subnet", "gateway", "bridge", "subnet6", "node", "log",
    ];
    let fields = Fields::of(node, "`network`", &KEYS, errors)?;
    let name = fields.value("name", errors);
    let subnet = fields.value("subnet", errors);
    let node = read_word(&fields, "node", &NodeAccess::ALL, errors);
    let log = read_word(&fields, "log", &Log::ALL, errors);
    Some(NetworkPolicy {
        gateway: fields.nullable("gateway", errors),
        bridge: fields.nullable("bridge", errors),
        subnet6: fields.nullable("subnet6", errors),
        name: name?,
        subnet: subnet?,
        node: node?,
        log: log?,
    })
}

fn read_container(node: &Node, errors: &mut InputErrors) -> Option<ContainerPolicy> {
    const KEYS: [&str; 3] = ["name", "address", "address6"];
    let fields = Fields::of(node, "`container`", &KEYS, errors)?;
    let name = fields.value("name", errors);
    let address = fields.value("address", errors);
    Some(ContainerPolicy {
        address6: fields.nullable("address6", errors),
        name: name?,
        address: address?,
    })
}

fn read_inbound(node: &Node, errors: &mut InputErrors) -> Option<Inbound> {
    const KEYS: [&str; 5] = ["what", "from", "port", "to_port", WHEN];
    let fields = Fields::of(node, "an inbound entry", &KEYS, errors)?;
    let what = fields.value("what", errors);
    let from = fields.list("from", errors);
    let port = fields.optional("port", errors);
    let to_port = fields.optional("to_port", errors);
    let (from, from_node) = peers_and_node(from?);
    let entry = Inbound {
        port,
        to_port,
        what: what?,
        from,
        from_node,
    };
    if let (None, Some(to_port)) = (&entry.port, &entry.to_port)
        && fields.written("port").is_none()
    {
        errors.push(
            InputError::at(to_port.location.clone(), "`to_port` without `port`").hint(
                "without a port the entry is about every port of the container; `port` is the node's",
            ),
        );
    }
    Some(entry)
}

fn read_outbound(node: &Node, errors: &mut InputErrors) -> Option<Outbound> {
    const KEYS: [&str; 4] = ["what", "to", "port", WHEN];
    let fields = Fields::of(node, "an outbound entry", &KEYS, errors)?;
    let what = fields.value("what", errors);
    let to = fields.list("to", errors);
    let port = fields.optional("port", errors);
    let (to, to_node) = peers_and_node(to?);
    Some(Outbound {
        port,
        what: what?,
        to,
        to_node,
    })
}

/// The peers of an entry, and where it names the node itself.
fn peers_and_node(parties: Vec<Located<Party>>) -> (Vec<Located<Peer>>, Option<Location>) {
    let (mut peers, mut node) = (Vec::new(), None);
    for party in parties {
        match party.value {
            Party::Peer(peer) => peers.push(Located::new(peer, party.location)),
            Party::Node => node = Some(party.location),
        }
    }
    (peers, node)
}

/// A list of entries; one that is left out has none.
fn read_entries<T>(
    fields: &Fields<'_>,
    key: &str,
    errors: &mut InputErrors,
    read: fn(&Node, &mut InputErrors) -> Option<T>,
) -> Option<Vec<T>> {
    if fields.written(key).is_none() {
        return Some(Vec::new());
    }
    let node = fields.get(key, errors)?;
    let elements = match &node.content {
        Content::List(elements) => elements,
        Content::Failed => return None,
        other => {
            errors.push(
                node.error(format!("`{key}` is a list of entries"))
                    .label(format!("this is {}", other.kind())),
            );
            return None;
        }
    };
    let known = errors.len();
    let entries: Vec<T> = elements
        .iter()
        .filter_map(|element| read(element, errors))
        .collect();
    (errors.len() == known).then_some(entries)
}

/// One of a few words; the first one if it is left out.
fn read_word<T: Copy>(
    fields: &Fields<'_>,
    key: &str,
    all: &[(T, &'static str)],
    errors: &mut InputErrors,
) -> Option<Located<T>> {
    if fields.written(key).is_none() {
        let place = fields.node.place.part(0, 0);
        return all.first().map(|(value, _)| Located::new(*value, place));
    }
    let node = fields.get(key, errors)?;
    let text: Located<String> = parse(node, key, errors)?;
    let found = all.iter().find(|(_, word)| *word == text.value);
    if found.is_none() {
        let words: Vec<&str> = all.iter().map(|(_, word)| *word).collect();
        let error = node.error(format!(
            "`{}` is not a value of `{key}`",
            shown(&text.value)
        ));
        errors.push(match closest(&text.value, words.iter().copied()) {
            Some(meant) => error.did_you_mean(Some(meant)),
            None => error.hint(format!("it is one of {}", ticked(&words))),
        });
    }
    found.map(|(value, _)| Located::new(*value, text.location))
}
