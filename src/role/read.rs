//! The rendered tree of a role → [`Policy`], strictly: every key is known, every value fits.

use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::error::shown;
use crate::inventory::location::Located;
use crate::inventory::suggest::closest;
use crate::model::Date;
use crate::model::Port;
use crate::model::Traffic;
use crate::role::fields::Fields;
use crate::role::fields::parse;
use crate::role::fields::ticked;
use crate::role::peers;
use crate::role::ports::Ports;
use crate::role::schema::ContainerPolicy;
use crate::role::schema::Covers;
use crate::role::schema::Enforce;
use crate::role::schema::Inbound;
use crate::role::schema::Log;
use crate::role::schema::NetworkPolicy;
use crate::role::schema::NodeAccess;
use crate::role::schema::Otherwise;
use crate::role::schema::Outbound;
use crate::role::schema::Policy;
use crate::role::tree::Content;
use crate::role::tree::LOOP;
use crate::role::tree::Node;
use crate::role::tree::WHEN;

const OF_ROLE: [&str; 9] = [
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
const OF_NETWORK: [&str; 7] = [
    "name", "subnet", "gateway", "bridge", "subnet6", "node", "log",
];
const OF_CONTAINER: [&str; 3] = ["name", "address", "address6"];
const OF_INBOUND: [&str; 6] = ["what", "from", "port", "to_port", WHEN, LOOP];
const OF_OUTBOUND: [&str; 5] = ["what", "to", "port", WHEN, LOOP];

/// Every mapping that `role.yml` may hold, with its keys.
pub fn keys() -> [(&'static str, &'static [&'static str]); 6] {
    [
        ("a role", &OF_ROLE),
        ("`network`", &OF_NETWORK),
        ("`container`", &OF_CONTAINER),
        ("an inbound entry", &OF_INBOUND),
        ("an outbound entry", &OF_OUTBOUND),
        ("a peer", &peers::KEYS),
    ]
}

/// Reads a role's rendered document. Everything that does not fit goes to `errors`; the policy is `None` then.
pub(super) fn policy(
    role: &Located<String>,
    root: &Node,
    errors: &mut InputErrors,
) -> Option<Policy> {
    let fields = Fields::of(root, "a role", &OF_ROLE, errors)?;
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
        known: Vec::new(),
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
    let fields = Fields::of(node, "`network`", &OF_NETWORK, errors)?;
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
    if let Content::Text(text) = &node.content
        && text == "host"
    {
        errors.push(
            node.error("a chain that runs on the node itself, or in a container with the node's network, has no whitelist of fwdeploy")
                .label("`container: host`")
                .hint("give the container a network of its own and a fixed address, without `--network host` and without `-p`"),
        );
        return None;
    }
    let fields = Fields::of(node, "`container`", &OF_CONTAINER, errors)?;
    let name = fields.value("name", errors);
    let address = fields.value("address", errors);
    Some(ContainerPolicy {
        address6: fields.nullable("address6", errors),
        name: name?,
        address: address?,
    })
}

fn read_inbound(node: &Node, errors: &mut InputErrors) -> Option<Inbound> {
    let fields = Fields::of(node, "an inbound entry", &OF_INBOUND, errors)?;
    let what = fields.value("what", errors);
    let parties = peers::read(&fields, "from", errors);
    let ports = read_ports(&fields, errors);
    let to_port: Option<Located<Port>> = fields.optional("to_port", errors);
    let parties = parties?;
    if let (Some(Some(ports)), Some(to_port)) = (&ports, &to_port) {
        check_to_port(ports, to_port, errors);
    }
    let entry = Inbound {
        ports: ports?,
        to_port,
        what: what?,
        from: parties.peers,
        listed: parties.listed,
        named: Vec::new(),
        from_node: parties.node,
    };
    if let (None, Some(to_port)) = (&entry.ports, &entry.to_port) {
        errors.push(
            InputError::at(to_port.location.clone(), "`to_port` without `port`").hint(
                "without a port the entry is about every port of the container; `port` is the node's",
            ),
        );
    }
    Some(entry)
}

fn read_outbound(node: &Node, errors: &mut InputErrors) -> Option<Outbound> {
    let fields = Fields::of(node, "an outbound entry", &OF_OUTBOUND, errors)?;
    let what = fields.value("what", errors);
    let parties = peers::read(&fields, "to", errors);
    let ports = read_ports(&fields, errors);
    let parties = parties?;
    Some(Outbound {
        ports: ports?,
        what: what?,
        to: parties.peers,
        listed: parties.listed,
        named: Vec::new(),
        to_node: parties.node,
    })
}

/// The ports of an entry, each once; `Some(None)` if the key is left out, so that the entry is about every port. `None` if it has a
/// mistake.
fn read_ports(
    fields: &Fields<'_>,
    errors: &mut InputErrors,
) -> Option<Option<Vec<Located<Traffic>>>> {
    const KEY: &str = "port";
    let Some(node) = fields.written(KEY) else {
        return Some(None);
    };
    let texts: Vec<Located<Ports>> = fields.list(KEY, errors)?;
    let mut ports: Vec<Located<Traffic>> = Vec::new();
    for text in texts {
        for traffic in text.value.0 {
            if !ports.iter().any(|known| known.value == traffic) {
                ports.push(Located::new(traffic, text.location.clone()));
            }
        }
    }
    if ports.is_empty() {
        if is_failed(node) {
            return None;
        }
        let error = node.error("`port` is an empty list").hint(
            "give it a port such as `5000/tcp`; an entry about every port has no key `port` at all",
        );
        errors.push(error);
        return None;
    }
    Some(Some(ports))
}

/// Whether a value has a mistake that is known.
fn is_failed(node: &Node) -> bool {
    match &node.content {
        Content::Failed => true,
        Content::List(elements) => elements.iter().any(is_failed),
        _ => false,
    }
}

/// One port of the container can be the end of one port of the node for each protocol, and of nothing else.
fn check_to_port(ports: &[Located<Traffic>], to_port: &Located<Port>, errors: &mut InputErrors) {
    let mut error = |at: &Located<Traffic>, text: String| {
        errors.push(
            InputError::at(to_port.location.clone(), text)
                .context(at.location.clone(), "the node's ports")
                .hint("a list and a range keep their ports: leave `to_port` out, or make an entry for each port"),
        );
    };
    let services = ports.iter().map(|port| (port, port.value.service()));
    let mut of_node: Option<Port> = None;
    for (port, service) in services {
        let Some(service) = service else {
            return error(port, "`to_port` for `icmp`, which has no ports".to_string());
        };
        match (service.ports.single(), of_node) {
            (None, _) => return error(port, format!("`to_port` for the range `{service}`")),
            (Some(one), Some(other)) if one != other => {
                let text = format!("`to_port` for two ports of the node, {other} and {one}");
                return error(port, text);
            }
            (one, _) => of_node = one,
        }
    }
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
