//! Where a rendered value came from: the variables that its template asked for are searched for its text.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::inventory::document::Segment;
use crate::inventory::location::Location;
use crate::inventory::vars::Var;
use crate::inventory::vault::kind_of;
use crate::role::fleet_vars::FleetVars;
use crate::role::fleet_vars::GroupAddresses;

/// In longer lists, a value that is not found as a whole is not searched for in pieces.
const FEW: usize = 64;

/// A node and a variable of it. What asks for those of thousands of nodes is noted in several places.
pub(super) type Key = (Arc<str>, Arc<str>);

/// Something that a template asked for, and that its value may have come from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// A variable of a node.
    Variable(Key),
    /// The addresses of a group.
    Addresses(String),
    /// The element of a `loop`. What that list has asked for is there too.
    Item,
}

/// The texts that a value may have come from, with the location of each.
///
/// minijinja's values carry no locations, and filters create new ones from old. So the text is searched for: the element
/// `203.0.113.300` of a rendered list was written somewhere in one of the variables that the template used.
pub(super) struct Places {
    by_text: BTreeMap<String, Location>,
    /// The addresses of large groups, which come after `by_text`.
    of_groups: Vec<Arc<GroupAddresses>>,
    only: Option<Location>,
    /// Where a variable is that has nothing in it.
    nothing: Option<Location>,
    template: Location,
}

impl Places {
    /// A value that is written where it is used.
    pub(super) fn here(location: Location) -> Self {
        Places {
            by_text: BTreeMap::new(),
            of_groups: Vec::new(),
            only: None,
            nothing: None,
            template: location,
        }
    }

    /// The locations of everything that a template used. `variable` finds a variable as it was written.
    pub(super) fn new<'a>(
        asked: &BTreeSet<Asked>,
        fleet: &FleetVars,
        template: &Location,
        variable: impl Fn(&Key) -> Option<&'a Var>,
    ) -> Self {
        let mut places = Places::here(template.clone());
        let mut variables = Vec::new();
        for one in asked {
            match one {
                Asked::Variable(key) => {
                    if let Some(var) = variable(key) {
                        places.add(var, var.value(), &mut Vec::new());
                        variables.push(var);
                    }
                }
                Asked::Item => {}
                Asked::Addresses(group) => {
                    let known = fleet.addresses_of(group);
                    if let Some(known) = known.filter(|known| known.places.len() > FEW) {
                        places.of_groups.push(known);
                        continue;
                    }
                    let members = fleet.groups.get(group).into_iter().flatten();
                    for member in members.filter_map(|name| fleet.nodes.get(name)) {
                        if let Some(address) = member.known_address() {
                            places.put(address.value.to_string(), || address.location.clone());
                        }
                    }
                }
            }
        }
        if let [var] = variables.as_slice() {
            places.only = Some(var.location());
        }
        places
    }

    fn put(&mut self, text: String, place: impl FnOnce() -> Location) {
        self.by_text.entry(text).or_insert_with(place);
    }

    fn add(&mut self, var: &Var, value: &serde_yaml::Value, path: &mut Vec<Segment>) {
        use serde_yaml::Value as Yaml;
        match value {
            Yaml::Sequence(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    path.push(Segment::Index(index));
                    self.add(var, element, path);
                    path.pop();
                }
            }
            Yaml::Mapping(entries) => {
                for (key, element) in entries {
                    path.push(Segment::Key(key.as_str().unwrap_or_default().to_string()));
                    self.add(var, element, path);
                    path.pop();
                }
            }
            Yaml::Null => {
                self.nothing
                    .get_or_insert_with(|| var.origin().inside(path));
            }
            Yaml::Bool(value) => self.put(value.to_string(), || var.origin().inside(path)),
            Yaml::Number(value) => self.put(value.to_string(), || var.origin().inside(path)),
            Yaml::String(text) => self.put(text.clone(), || var.origin().inside(path)),
            // Its text is not known here, and the place of the variable is enough.
            Yaml::Tagged(_) if kind_of(value).is_some() => {}
            Yaml::Tagged(tagged) => {
                let text = tagged.value.as_str().unwrap_or_default().to_string();
                self.put(text, || var.origin().inside(path));
            }
        }
    }

    /// The place that the author of a text can change.
    pub(super) fn of(&self, text: &str) -> Location {
        let of_groups = || {
            let mut of_groups = self.of_groups.iter();
            of_groups.find_map(|group| group.places.get(text))
        };
        let whole = self.by_text.get(text).or_else(of_groups).cloned();
        whole
            .or_else(|| self.of_piece(text))
            .unwrap_or_else(|| self.whole())
    }

    /// The place of a value that has no text of its own: of the one variable that was asked for, or of the template.
    pub(super) fn whole(&self) -> Location {
        self.only.clone().unwrap_or_else(|| self.template.clone())
    }

    /// The place of nothing: of the variable, or the part of one, that has no value.
    pub(super) fn of_nothing(&self) -> Location {
        self.nothing.clone().unwrap_or_else(|| self.whole())
    }

    /// The place of the longest text that is a part of this one, as `70000` is of `70000/tcp`.
    fn of_piece(&self, text: &str) -> Option<Location> {
        let are_few = self.of_groups.is_empty() && self.by_text.len() <= FEW;
        let pieces = self.by_text.iter().filter(|_| are_few);
        pieces
            .filter(|(piece, _)| piece.len() > 1 && text.contains(piece.as_str()))
            .max_by_key(|(piece, _)| piece.len())
            .map(|(_, place)| place.clone())
    }

    /// The location of the template.
    pub(super) fn template(&self) -> &Location {
        &self.template
    }
}
