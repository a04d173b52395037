//! A new ssh connection, and what a part of the firewall does to it.

use std::net::IpAddr;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::state::System;
use crate::plan::rich_match::Flow;

/// A new ssh connection, as the node would see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visit {
    pub peer: IpAddr,
    pub server: IpAddr,
    pub port: u16,
    /// The interface that it comes in by, if that is known.
    pub interface: Option<String>,
}

impl Visit {
    /// The one like ours; `None` if we did not come by ssh.
    pub(super) fn of(system: &System) -> Option<Result<Self, String>> {
        if system.ssh_connection.is_empty() {
            return None;
        }
        let words: Vec<&str> = system.ssh_connection.split(' ').collect();
        // A link-local address has its interface with it.
        let address = |text: &str| text.split('%').next().and_then(|text| text.parse().ok());
        let visit = match words[..] {
            [peer, _, server, port] => address(peer)
                .zip(address(server))
                .zip(port.parse().ok())
                .map(|((peer, server), port)| Visit {
                    peer,
                    server,
                    port,
                    interface: Some(system.ssh_interface.clone()).filter(|i| !i.is_empty()),
                }),
            _ => None,
        };
        Some(visit.ok_or_else(|| {
            format!(
                "cannot determine whether a new ssh connection could be opened: `{}` is not a value of SSH_CONNECTION",
                system.ssh_connection
            )
        }))
    }
}

impl Visit {
    /// Its first packet.
    pub(super) fn flow(&self) -> Flow<'static> {
        Flow {
            family: Family::of(&self.peer),
            source: Cidr::host(self.peer),
            destination: Some(Cidr::host(self.server)),
            protocol: Some("tcp"),
            port: Some(self.port),
        }
    }
}

/// What a part of the firewall does to the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Opens,
    Shuts,
}

/// A part of the firewall that the visit may meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The rule or lack, as a phrase.
    pub text: String,
    pub effect: Effect,
    /// Whether it is certain that the visit meets it.
    pub certain: bool,
}

impl Part {
    pub(super) fn opens(text: impl Into<String>, certain: bool) -> Self {
        Part {
            text: text.into(),
            effect: Effect::Opens,
            certain,
        }
    }

    pub(super) fn shuts(text: impl Into<String>, certain: bool) -> Self {
        Part {
            text: text.into(),
            effect: Effect::Shuts,
            certain,
        }
    }
}
