//! The elements of `from` and `to`: addresses, networks, names, `node`, and mappings that say more about a peer.

use std::fmt;
use std::str::FromStr;

use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::location::Located;
use crate::inventory::location::Location;
use crate::inventory::vault::Taint;
use crate::model::Peer;
use crate::model::Port;
use crate::model::net::NetError;
use crate::model::peer::About;
use crate::role::fields::Fields;
use crate::role::fields::empty;
use crate::role::fields::parse;
use crate::role::schema::ListedPeer;
use crate::role::schema::Party;
use crate::role::schema::PeerHost;
use crate::role::tree::Content;
use crate::role::tree::Node;

/// The keys of a peer that is a mapping.
pub(super) const KEYS: [&str; 6] = ["address", "port", "name", "owner", "reason", "until"];

/// The longest text about a peer, in characters: it stands in a line beside others.
const TEXT_MAX: usize = 100;

/// The other sides of an entry.
#[derive(Default)]
pub(super) struct Parties {
    /// Those that are addresses only.
    pub(super) peers: Vec<Located<Peer>>,
    /// Those about which more is said.
    pub(super) listed: Vec<Located<ListedPeer>>,
    /// Where the node itself is named.
    pub(super) node: Option<Location>,
}

/// Reads the key of an entry that lists its peers; one is a list of one, and a list in a list is read as its elements. `None` if it has a
/// mistake.
pub(super) fn read(fields: &Fields<'_>, key: &str, errors: &mut InputErrors) -> Option<Parties> {
    let known = errors.len();
    let mut parties = Parties::default();
    if let Some(node) = fields.required(key, errors) {
        add(node, key, &mut parties, errors);
    }
    (errors.len() == known).then_some(parties)
}

fn add(node: &Node, key: &str, parties: &mut Parties, errors: &mut InputErrors) {
    match &node.content {
        Content::List(elements) => {
            for element in elements {
                add(element, key, parties, errors);
            }
        }
        Content::Mapping(_) => parties.listed.extend(mapping(node, errors)),
        Content::Failed => {}
        _ => {
            if let Some(label) = empty(node) {
                // A variable in a list of variables, with nothing in it.
                let error = node.error(format!("`{key}` has an empty element"));
                errors.push(error.label(label).hint("`[]` means none"));
                return;
            }
            let Some(party) = parse::<Party>(node, key, errors) else {
                return;
            };
            match party.value {
                Party::Peer(peer) => parties.peers.push(Located::new(peer, party.location)),
                Party::Name(..) if node.taint > Taint::None => errors.push(is_secret(node)),
                Party::Name(name, port) => {
                    let listed = ListedPeer {
                        host: PeerHost::Name(name),
                        port,
                        about: About::default(),
                    };
                    parties.listed.push(Located::new(listed, party.location));
                }
                Party::Node => parties.node = Some(party.location),
            }
        }
    }
}

/// `{ address: 203.0.113.7, port: 26656, name: sentry-1, owner: Acme, reason: …, until: 2027-01-31 }`
fn mapping(node: &Node, errors: &mut InputErrors) -> Option<Located<ListedPeer>> {
    let known = errors.len();
    let fields = Fields::of(node, "a peer", &KEYS, errors)?;
    let written = fields.required("address", errors);
    let address = written.and_then(|node| {
        let address: Located<Party> = parse(node, "address", errors)?;
        if node.taint > Taint::None && matches!(address.value, Party::Name(..)) {
            errors.push(is_secret(node));
            return None;
        }
        Some(address)
    });
    let port: Option<Located<Port>> = optional(&fields, "port", "port of a peer", errors);
    let mut text = |key: &str| -> Option<String> {
        let text: Located<Text> = fields.nullable(key, errors)?;
        Some(text.value.0)
    };
    let (name, owner, reason) = (text("name"), text("owner"), text("reason"));
    let until = fields.nullable("until", errors).map(|until| until.value);
    let address = address?;
    let (host, inside) = match address.value {
        Party::Peer(peer) => (PeerHost::Net(peer.net), peer.port),
        Party::Name(name, port) => (PeerHost::Name(name), port),
        Party::Node => {
            let error = InputError::at(address.location, "`node` is not the address of a peer");
            errors.push(error.hint("the node itself stands by itself: `from: [node]`"));
            return None;
        }
    };
    let own = port.as_ref().map(|port| port.value);
    if let (Some(inside), Some(port)) = (inside, &port)
        && inside != port.value
    {
        errors.push(
            InputError::at(
                port.location.clone(),
                format!("the peer has port {} and port {inside}", port.value),
            )
            .context(address.location.clone(), "the other one")
            .hint("give it one port: in `address`, or in `port`"),
        );
    }
    let listed = ListedPeer {
        host,
        port: own.or(inside),
        about: About {
            name,
            owner,
            reason,
            until,
        },
    };
    (errors.len() == known).then(|| Located::new(listed, address.location))
}

/// A name is pinned in a file that everybody reads.
fn is_secret(node: &Node) -> InputError {
    node.error("the name of a peer comes from a value that is encrypted or secret")
        .hint("`fwdeploy.lock` would show it: write the name where it may be read, or list its addresses")
}

/// A value that may be `null`, with a word for what it is: the key has another meaning in an entry.
fn optional(
    fields: &Fields<'_>,
    key: &str,
    what: &str,
    errors: &mut InputErrors,
) -> Option<Located<Port>> {
    let node = fields.written(key)?;
    match &node.content {
        Content::Nothing | Content::Failed => None,
        Content::Text(text) => match text.parse() {
            Ok(port) => Some(Located::new(port, node.place.clone())),
            Err(error) => {
                let error: NetError = error;
                let error = node.error(error.to_string());
                errors.push(
                    error.hint("the port of a peer is a number: the entry names the protocol"),
                );
                None
            }
        },
        other => {
            let error = node.error(format!("the {what} is a number"));
            errors.push(error.label(format!("this is {}", other.kind())));
            None
        }
    }
}

/// A text about a peer: one line that can be shown anywhere.
struct Text(String);

/// Why a text cannot be shown beside a peer.
struct NotALine;

impl fmt::Display for NotALine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a text about a peer is one line of at most {TEXT_MAX} characters"
        )
    }
}

impl FromStr for Text {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Self, NotALine> {
        let text = text.trim();
        let is_line = text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control);
        is_line.then(|| Text(text.to_string())).ok_or(NotALine)
    }
}
