//! Files of firewalld that were edited by hand, and that firewalld has not read since.
//!
//! firewalld up to 2.4 reads them after some seconds, 2.5 and later only at a reload. Until then it writes them from its
//! memory, so a permanent change by fwdeploy would revert the edit; and a reload by fwdeploy would load it without review.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::canonical;
use crate::model::files::File;
use crate::model::files::Files;
use crate::model::settings::Options;
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
use crate::plan::planned::Plan;
use crate::plan::severity::Severity;
use crate::plan::ssh;
use crate::plan::views::Views;

/// A file that differs from firewalld's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edited<'a> {
    path: &'a str,
    /// What the file changes of what firewalld knows, each as a phrase after "it".
    changes: Vec<String>,
}

/// The files that were edited: a refusal for steps that would overwrite or load them, and where a reload by somebody else would take from the
/// whitelist; a note otherwise. `after_a_reload` plans for the node as it is once the files are loaded.
pub(super) fn findings(
    state: &NodeState,
    views: &Views<'_>,
    actions: &[Action],
    found: &[Finding],
    after_a_reload: impl FnOnce(&NodeState) -> Plan,
) -> Vec<Finding> {
    // A set that is only written again touches no other file.
    let touches = actions.iter().any(|action| {
        matches!(
            action,
            Action::SetPermanentDirect { .. }
                | Action::SetPermanentRich { .. }
                | Action::SetPermanentSet { .. }
                | Action::Reload { .. }
        )
    });
    let Some(edits) = Edits::of(state, views) else {
        return Vec::new();
    };
    let loaded = loaded(state, views, edits.files);
    let then = after_a_reload(&loaded);
    let weakens = weakens(&then, actions, found);
    let severity = match touches || weakens.is_some() {
        true => Severity::Refuse,
        false => Severity::Warning,
    };
    edits.told(severity, lost(&loaded).or(weakens))
}

/// The same for a command that writes firewalld's files in any case.
pub(super) fn refusals(state: &NodeState, views: &Views<'_>) -> Vec<Finding> {
    let edits = Edits::of(state, views);
    edits.map_or_else(Vec::new, |edits| {
        let why = lost(&loaded(state, views, edits.files));
        edits.told(Severity::Refuse, why)
    })
}

/// The files that differ from firewalld's memory; at least one.
struct Edits<'a> {
    files: &'a Files,
    edited: Vec<Edited<'a>>,
}

impl<'a> Edits<'a> {
    fn of(state: &'a NodeState, views: &Views<'_>) -> Option<Self> {
        let files = state.files.known()?;
        let edited = edited(files, views);
        (!edited.is_empty()).then_some(Edits { files, edited })
    }

    /// Each with what it changes, and what can be done about it; `harm` is what a reload would do.
    fn told(self, severity: Severity, harm: Option<String>) -> Vec<Finding> {
        let hint = match harm {
            None => "load it with `firewall-cmd --reload`, or revert the edit (what is reported even after a reload is ignored by firewalld); no flag overrides this".to_string(),
            Some(why) => format!(
                "do not reload firewalld yet: after a reload {why}; fix the file first, or revert the edit"
            ),
        };
        self.edited
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
}

/// What a reload that loads the edits would take from the whitelist: what has to be written then and has not now, or what lets others past it.
fn weakens(then: &Plan, actions: &[Action], found: &[Finding]) -> Option<String> {
    let permanent = |actions: &[Action]| -> Vec<String> {
        let changes = actions.iter().flat_map(Action::changes);
        let permanent = changes.filter(|change| change.view == View::Permanent);
        permanent.map(|change| change.to_string()).collect()
    };
    // A node can have thousands of either.
    let now: BTreeSet<String> = permanent(actions).into_iter().collect();
    let mut changes = permanent(&then.actions);
    changes.retain(|change| !now.contains(change));
    if let Some(first) = changes.first() {
        let more = match changes.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let squeezed = first.split_whitespace().collect::<Vec<_>>().join(" ");
        return Some(format!(
            "the whitelist would not be as the roles want it (drift: `{squeezed}`{more})"
        ));
    }
    let told: BTreeSet<(FindingCode, &str)> =
        found.iter().map(|f| (f.code, f.text.as_str())).collect();
    let is_new = |finding: &&Finding| {
        finding.severity == Severity::NotEnforced
            && !told.contains(&(finding.code, finding.text.as_str()))
    };
    let passes = then.findings.iter().find(is_new)?;
    Some(format!(
        "the whitelist would not be enforced ({})",
        passes.text
    ))
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

/// The node once firewalld has loaded the files. Files that are not understood are assumed to be as firewalld reports them.
fn loaded(state: &NodeState, views: &Views<'_>, files: &Files) -> NodeState {
    let mut out = state.clone();
    // Nothing is edited any more.
    out.files = Observed::Unreadable("they are loaded".to_string());
    if let Some(direct) = files.direct.says.known() {
        out.permanent.direct = Observed::Known(direct.clone());
    }
    if let Some(Some(zone)) = files.zones.get(views.zone).and_then(|f| f.says.known()) {
        let rules = zone.all("rules_str").map(RichText::new);
        out.permanent.rich = Observed::Known(rules.collect());
    }
    let Some(settings) = out.permanent.settings.known_mut() else {
        return out;
    };
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
        zone.remove("rules_str");
    }
    out
}

/// Why this ssh peer could not log in again to such a node.
fn lost(loaded: &NodeState) -> Option<String> {
    let firewalld = loaded.firewalld.known();
    let backend = firewalld.map_or("", |f| f.backend.as_str());
    ssh::lost(&loaded.system, backend, &Views::of(loaded)?)
}
