//! The views that a plan is made of.

use crate::model::ipset::SetViews;
use crate::model::settings::Settings;
use crate::model::state::Direct;
use crate::model::state::Docker;
use crate::model::state::Firewall;
use crate::model::state::NodeState;
use crate::model::state::RichText;

/// The views that a plan is made of, all of them read.
pub(super) struct Views<'a> {
    /// The zone whose rich rules are ours.
    pub zone: &'a str,
    /// firewalld's files, as it has read them.
    pub permanent: Side<'a>,
    /// firewalld's memory.
    pub runtime: Side<'a>,
    /// Address sets.
    pub sets: &'a SetViews,
    /// Docker.
    pub docker: &'a Docker,
}

/// One of firewalld's two views. Its settings are needed for a reload only.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    /// The direct interface.
    pub direct: &'a Direct,
    /// The rich rules of the zone.
    pub rich: &'a [RichText],
    /// All else that a reload could change, or why it is not known.
    pub settings: Result<&'a Settings, &'a str>,
}

impl<'a> Side<'a> {
    fn of(firewall: &'a Firewall) -> Option<Self> {
        Some(Side {
            direct: firewall.direct.known()?,
            rich: firewall.rich.known()?,
            settings: firewall.settings.as_result(),
        })
    }
}

impl<'a> Views<'a> {
    /// The views of a node; `None` if one of them could not be read.
    pub(super) fn of(state: &'a NodeState) -> Option<Self> {
        Some(Views {
            zone: state.zone.known()?,
            permanent: Side::of(&state.permanent)?,
            runtime: Side::of(&state.runtime)?,
            sets: &state.sets,
            docker: state.docker.known()?,
        })
    }
}
