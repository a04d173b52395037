//! A policy and a day → the peers that are listed on that day.

use crate::inventory::error::InputError;
use crate::inventory::location::Located;
use crate::model::Date;
use crate::model::Peer;
use crate::model::peer::KnownPeer;
use crate::role::schema::ListedPeer;
use crate::role::schema::Policy;

/// How many days before its last one a peer is said to be about to go.
pub const SOON: i64 = 14;

impl Policy {
    /// The policy of a day: peers whose last day is over are on no list any more. With what is to be said about that.
    #[must_use]
    pub fn on(mut self, today: Date) -> (Self, Vec<InputError>) {
        let mut said = Vec::new();
        let mut known = Vec::new();
        let mut settle = |peers: &mut Vec<Located<Peer>>, listed: Vec<Located<ListedPeer>>| {
            for Located { value, location } in listed {
                let left = value.about.until.map(|until| today.days_to(until));
                if let (Some(left), Some(until)) = (left, value.about.until) {
                    let who = match value.about.label() {
                        Some(label) => format!("`{}` ({label})", value.peer),
                        None => format!("`{}`", value.peer),
                    };
                    let error = |text| InputError::at(location.clone(), text);
                    if left < 0 {
                        said.push(
                            error(format!(
                                "the peer {who} is on no list any more: its last day was {until}"
                            ))
                            .hint("remove it, or give it a later `until`"),
                        );
                        // Its rules are still on nodes, and are shown when they go.
                        known.push(KnownPeer {
                            net: value.peer.net,
                            about: value.about,
                        });
                        continue;
                    }
                    if left <= SOON {
                        let days = match left {
                            0 => "today".to_string(),
                            1 => "in 1 day".to_string(),
                            n => format!("in {n} days"),
                        };
                        said.push(
                            error(format!("the last day of the peer {who} is {until}, {days}"))
                                .hint("give it a later `until` if it stays"),
                        );
                    }
                }
                known.push(KnownPeer {
                    net: value.peer.net,
                    about: value.about,
                });
                peers.push(Located::new(value.peer, location));
            }
        };
        for entry in &mut self.inbound {
            settle(&mut entry.from, std::mem::take(&mut entry.listed));
        }
        for entry in &mut self.outbound {
            settle(&mut entry.to, std::mem::take(&mut entry.listed));
        }
        self.known.extend(known);
        self.known.sort();
        self.known.dedup();
        (self, said)
    }
}
