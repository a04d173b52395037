//! The content of firewalld's files, which a reload would load. firewalld's permanent view is as old as the last time it read them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::direct::Direct;
use crate::model::ipset::IpSet;
use crate::model::observed::Observed;
use crate::model::settings::Options;

/// The files of what [`Settings`](crate::model::Settings) lists, and of the direct configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Files {
    /// The direct configuration; empty if there is no file.
    pub direct: File<Direct>,
    /// The default zone of firewalld.conf.
    pub default_zone: File<String>,
    /// The zones by name, rich rules among their settings; `None` where a zone has no file.
    pub zones: BTreeMap<String, File<Option<Options>>>,
    /// The policies by name.
    pub policies: BTreeMap<String, File<Option<Options>>>,
    /// The services by name.
    pub services: BTreeMap<String, File<Option<Options>>>,
    /// Our address sets that firewalld's permanent configuration has, by name; `None` where a set has no file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipsets: BTreeMap<String, File<Option<IpSet>>>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File<T> {
    /// Its location: in /etc/firewalld if it exists there, or else the distribution's.
    pub path: String,
    /// Its content; unreadable if any part of it is not understood.
    pub says: Observed<T>,
}
