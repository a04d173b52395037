//! Files of firewalld that were edited by hand, and that firewalld has not read since.
//!
//! firewalld up to 2.4 reads them after some seconds, 2.5 and later only at a reload. Until then it writes them from its
//! memory, so a permanent change by fwdeploy would revert the edit; and a reload by fwdeploy would load it without review.

use std::collections::BTreeMap;

use crate::model::canonical;
use crate::model::files::File;
use crate::model::files::Files;
use crate::model::settings::Options;
use crate::model::settings::Settings;
use crate::model::state::Direct;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::RichText;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::pending::adds;
use crate::plan::pending::differences;
use crate::plan::pending::entries;
use crate::plan::pending::from_to;
use crate::plan::pending::options;
use crate::plan::pending::removes;
use crate::plan::severity::Severity;
use crate::plan::ssh;
use crate::plan::views::Side;
use crate::plan::views::Views;

/// A file that differs from firewalld's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edited<'a> {
    path: &'a str,
    /// What the file changes of what firewalld knows, each as a phrase after "it".
    changes: Vec<String>,
}

/// The files that were edited: a refusal for steps that would overwrite or load them, a note otherwise.
pub(super) fn findings(state: &NodeState, views: &Views<'_>, actions: &[Action]) -> Vec<Finding> {
    let touches = actions.iter().any(|action| {
        matches!(
            action,
            Action::SetPermanentDirect { .. }
                | Action::SetPermanentRich { .. }
                | Action::SetPermanentSet { .. }
                | Action::Reload { .. }
        )
    });
    let severity = if touches {
        Severity::Refuse
    } else {
        Severity::Warning
    };
    told(state, views, severity)
}

/// The files that were edited, each with what it changes, and what can be done about it.
pub(super) fn told(state: &NodeState, views: &Views<'_>, severity: Severity) -> Vec<Finding> {
    let Some(files) = state.files.known() else {
        return Vec::new();
    };
    let edited = edited(files, views);
    if edited.is_empty() {
        return Vec::new();
    }
    let hint = match lost(state, views, files) {
        None => "load it with `firewall-cmd --reload`, or revert the edit (what is reported even after a reload is ignored by firewalld); no flag overrides this".to_string(),
        Some(why) => format!(
            "do not reload firewalld yet: after a reload {why}; fix the file first, or revert the edit"
        ),
    };
    edited
        .into_iter()
        .map(|Edited { path, changes }| {
            let changes = changes.join(", ");
            Finding::with_severity(
                severity,
                FindingCode::EditedByHand,
                View::Permanent,
                format!("{path} was edited, and firewalld has not read it since (the file {changes}): a permanent change would overwrite the edit, and a reload would load it without review"),
            )
            .hint(hint.clone())
        })
        .collect()
}

fn edited<'a>(files: &'a Files, views: &Views<'_>) -> Vec<Edited<'a>> {
    let mut out = Vec::new();
    if let Some(direct) = files.direct.says.known() {
        out.push(Edited {
            path: &files.direct.path,
            changes: differences(&entries(direct), &entries(views.permanent.direct)),
        });
    }
    match views.permanent.settings {
        Ok(settings) => {
            let (file, told) = (&files.default_zone, &settings.default_zone);
            if let Some(zone) = file.says.known().filter(|zone| *zone != told) {
                out.push(Edited {
                    path: &file.path,
                    changes: vec![from_to("the default zone", told, zone)],
                });
            }
            let zones = with_rules(&settings.zones, views);
            out.extend(things("zone", &files.zones, &zones));
            out.extend(things("policy", &files.policies, &settings.policies));
            out.extend(things("service", &files.services, &settings.services));
        }
        // firewalld before 0.9 reports only the rich rules of the managed zone.
        Err(_) => out.extend(rules(files, views)),
    }
    out.retain(|edited| !edited.changes.is_empty());
    out
}

/// firewalld's zones, with the rich rules of the one whose rules are kept apart.
fn with_rules(zones: &BTreeMap<String, Options>, views: &Views<'_>) -> BTreeMap<String, Options> {
    let mut zones = zones.clone();
    if let Some(zone) = zones.get_mut(views.zone) {
        for rule in views.permanent.rich {
            zone.add("rules_str", rule.text.as_str());
        }
    }
    zones
}

/// What the files of all zones, or policies, or services change. Those that are not understood change nothing.
fn things<'a>(
    kind: &str,
    files: &'a BTreeMap<String, File<Option<Options>>>,
    told: &BTreeMap<String, Options>,
) -> Vec<Edited<'a>> {
    let changes = |name: &String, says: &Option<Options>| match (says, told.get(name)) {
        (Some(file), Some(told)) => compared(file, told),
        (Some(_), None) => vec![adds(&format!("this {kind}"))],
        (None, Some(_)) => vec![removes(&format!("this {kind}"))],
        (None, None) => Vec::new(),
    };
    files
        .iter()
        .filter_map(|(name, file)| {
            Some(Edited {
                path: &file.path,
                changes: changes(name, file.says.known()?),
            })
        })
        .collect()
}

/// The rich rules of the zone that is ours, alone.
fn rules<'a>(files: &'a Files, views: &Views<'_>) -> Option<Edited<'a>> {
    let file = files.zones.get(views.zone)?;
    let says = file.says.known()?.as_ref()?;
    let only = |rules: &mut dyn Iterator<Item = &str>| -> Options {
        rules.map(|rule| ("rules_str", rule)).collect()
    };
    let told = only(&mut views.permanent.rich.iter().map(|rule| rule.text.as_str()));
    Some(Edited {
        path: &file.path,
        changes: compared(&only(&mut says.all("rules_str")), &told),
    })
}

fn compared(file: &Options, told: &Options) -> Vec<String> {
    options(
        &canonical::options(file),
        &canonical::options(told),
        &|_| true,
    )
}

/// Why this ssh peer could not log in again once firewalld has loaded the files. Files that are not understood are
/// assumed to be as firewalld reports them.
fn lost(state: &NodeState, views: &Views<'_>, files: &Files) -> Option<String> {
    let backend = state.firewalld.known().map_or("", |f| f.backend.as_str());
    let direct: &Direct = files.direct.says.known().unwrap_or(views.permanent.direct);
    let mut rich: Vec<RichText> = views.permanent.rich.to_vec();
    let settings = views.permanent.settings.map(|told| {
        let mut settings: Settings = told.clone();
        if let Some(zone) = files.default_zone.says.known() {
            settings.default_zone.clone_from(zone);
        }
        for (file, told) in [
            (&files.zones, &mut settings.zones),
            (&files.policies, &mut settings.policies),
            (&files.services, &mut settings.services),
        ] {
            for (name, file) in file {
                match &file.says {
                    Observed::Known(Some(says)) => told.insert(name.clone(), says.clone()),
                    Observed::Known(None) => told.remove(name),
                    Observed::Unreadable(_) => None,
                };
            }
        }
        if let Some(zone) = settings.zones.get_mut(views.zone) {
            if files
                .zones
                .get(views.zone)
                .is_some_and(|f| f.says.known().is_some())
            {
                rich = zone.all("rules_str").map(RichText::new).collect();
            }
            zone.remove("rules_str");
        }
        settings
    });
    let loaded = Views {
        zone: views.zone,
        permanent: Side {
            direct,
            rich: &rich,
            settings: settings.as_ref().map_err(|why| *why),
        },
        runtime: views.runtime,
        sets: views.sets,
        docker: views.docker,
    };
    ssh::lost(&state.system, backend, &loaded)
}
