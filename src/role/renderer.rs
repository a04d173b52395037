//! The rendering of one role for one node: variables, each rendered when it is asked for, and no sooner.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use minijinja::Environment;
use minijinja::Value;

use crate::inventory::connection::is_connection_name;
use crate::inventory::document::Segment;
use crate::inventory::error::InputError;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::suggest::closest;
use crate::inventory::vars::Var;
use crate::inventory::vars::Vars;
use crate::role::fleet_vars::FleetVars;
use crate::role::fleet_vars::NodeVars;
use crate::role::provenance::Asked;
use crate::role::provenance::Key;
use crate::role::provenance::Places;
use crate::role::scope::Lookup;
use crate::role::scope::scope;
use crate::role::template;

/// Variables that ask for each other, one inside of the other. Deeper is a loop in disguise, or a stack overflow.
const DEEPEST: usize = 40;

/// The rendering of one role for one node.
pub(super) struct Renderer {
    pub(super) fleet: Arc<FleetVars>,
    environment: Arc<Environment<'static>>,
    node: String,
    pub(super) role: String,
    /// The role's own defaults, then those of the node's other roles.
    pub(super) defaults: Vec<Arc<Vars>>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Variables being rendered, the outermost first.
    pub(super) stack: Vec<Key>,
    /// What each thing being rendered has asked for so far, the outermost first.
    asked: Vec<BTreeSet<Asked>>,
    /// The variables that are already rendered.
    known: BTreeMap<Key, (Value, BTreeSet<Asked>)>,
    /// What cannot be rendered, with the number of its mistake: asked for twice by each of forty variables, it would be
    /// tried a million million times.
    failed: BTreeMap<Key, usize>,
    /// Mistakes that [`template::elsewhere`] refers to.
    pub(super) mistakes: Vec<InputError>,
}

/// A rendered value, with the places that it may have come from.
pub(super) struct Rendered {
    pub(super) value: Value,
    pub(super) places: Places,
}

impl Renderer {
    pub(super) fn new(
        fleet: Arc<FleetVars>,
        environment: Arc<Environment<'static>>,
        node: &str,
        role: &str,
        defaults: Vec<Arc<Vars>>,
    ) -> Arc<Self> {
        Arc::new(Renderer {
            fleet,
            environment,
            node: node.to_string(),
            role: role.to_string(),
            defaults,
            state: Mutex::new(State::default()),
        })
    }

    /// Renders a text of `role.yml` at `location`.
    pub(super) fn render(
        self: &Arc<Self>,
        text: &str,
        location: &Location,
    ) -> Result<Rendered, InputError> {
        self.state().asked.push(BTreeSet::new());
        let value = self.evaluate(&self.node.clone(), text, location);
        let asked = self.state().asked.pop().unwrap_or_default();
        Ok(Rendered {
            value: value?,
            places: Places::new(&asked, &self.fleet, location, |(node, name)| {
                self.variable(node, name)
            }),
        })
    }

    /// The names of all variables that were asked for; forgets everything that was rendered.
    ///
    /// Rendered values may hold this renderer; without an end they would keep it forever.
    pub(super) fn end(&self) -> BTreeSet<String> {
        let state = std::mem::take(&mut *self.state());
        let all = state.known.into_keys().chain(state.failed.into_keys());
        all.map(|(_, name)| name).collect()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // One thread renders; a panic in it ends the program.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A variable of a node as it was written.
    pub(super) fn variable(&self, node: &str, name: &str) -> Option<&Var> {
        let own = self.fleet.nodes.get(node)?.vars.get(name);
        own.or_else(|| {
            let mut defaults = self.defaults.iter().filter(|_| node == self.node);
            defaults.find_map(|vars| vars.get(name))
        })
    }

    /// Renders a text in the eyes of a node.
    fn evaluate(
        self: &Arc<Self>,
        node: &str,
        text: &str,
        location: &Location,
    ) -> Result<Value, InputError> {
        let names: Arc<dyn Lookup> = Arc::clone(self) as Arc<dyn Lookup>;
        template::evaluate(&self.environment, text, scope(&names, node))
            .map_err(|failure| self.explain(failure, node, text, location))
    }

    /// Renders the whole of a variable's value, element by element.
    fn render_var(
        self: &Arc<Self>,
        node: &str,
        var: &Var,
        value: &serde_yaml::Value,
        path: &mut Vec<Segment>,
    ) -> Result<Value, InputError> {
        use serde_yaml::Value as Yaml;
        match value {
            Yaml::Null => Ok(Value::from(())),
            Yaml::Bool(value) => Ok(Value::from(*value)),
            Yaml::Number(number) => Ok(match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Value::from(number),
                (None, Some(number)) => Value::from(number),
                (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
            }),
            Yaml::String(text) if template::is_template(text) => {
                self.evaluate(node, text, &var.origin().inside(path))
            }
            Yaml::String(text) => Ok(Value::from(text.as_str())),
            // `!unsafe`: never a template.
            Yaml::Tagged(tagged) => Ok(Value::from(tagged.value.as_str().unwrap_or_default())),
            Yaml::Sequence(elements) => {
                let mut rendered = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    path.push(Segment::Index(index));
                    rendered.push(self.render_var(node, var, element, path)?);
                    path.pop();
                }
                Ok(Value::from(rendered))
            }
            Yaml::Mapping(entries) => {
                let mut rendered = Vec::with_capacity(entries.len());
                for (key, element) in entries {
                    let key = key.as_str().unwrap_or_default();
                    path.push(Segment::Key(key.to_string()));
                    rendered.push((key.to_string(), self.render_var(node, var, element, path)?));
                    path.pop();
                }
                Ok(Value::from_pairs(rendered))
            }
        }
    }

    fn try_addresses(&self, node: &str, group: &str) -> Result<Value, InputError> {
        let Some(members) = self.fleet.groups.get(group) else {
            let meant = closest(group, self.fleet.groups.keys().map(String::as_str));
            let error = InputError::general(format!("there is no group `{}`", shown(group)));
            return Err(match meant {
                Some(meant) => error.did_you_mean(Some(meant)),
                None => error.hint("the groups of the inventory are meant"),
            });
        };
        self.state().note(Asked::Addresses(group.to_string()));
        let mut addresses = Vec::with_capacity(members.len());
        for name in members.iter().filter(|name| *name != node) {
            let Some(member) = self.fleet.nodes.get(name) else {
                continue;
            };
            let Some(address) = &member.address else {
                return Err(no_address(name, member));
            };
            addresses.push(Value::from(address.value.to_string()));
        }
        Ok(Value::from(addresses))
    }
}

impl Lookup for Renderer {
    fn fleet(&self) -> &FleetVars {
        &self.fleet
    }

    fn role(&self) -> &str {
        &self.role
    }

    fn look_up(self: Arc<Self>, node: &str, name: &str) -> Option<Value> {
        let var = self.variable(node, name)?;
        let key = (node.to_string(), name.to_string());
        let mut state = self.state();
        state.note(Asked::Variable(key.clone()));
        if let Some((value, asked)) = state.known.get(&key).cloned() {
            state.note_all(asked);
            return Some(value);
        }
        if let Some(number) = state.failed.get(&key) {
            return Some(Value::from(template::elsewhere(*number)));
        }
        let mistake = if state.stack.contains(&key) {
            Some("a template loop without end")
        } else if state.stack.len() >= DEEPEST {
            Some("too many variables that use each other")
        } else {
            None
        };
        if let Some(message) = mistake {
            let chain = chain(&state.stack, &key);
            drop(state);
            let error = InputError::at(var.location(), message)
                .label(chain)
                .hint("give one of them a value of its own");
            return Some(Value::from(self.state().mistake(error)));
        }
        state.stack.push(key.clone());
        state.asked.push(BTreeSet::new());
        drop(state);
        let value = self.render_var(node, var, var.value(), &mut Vec::new());
        let mut state = self.state();
        state.stack.pop();
        let asked = state.asked.pop().unwrap_or_default();
        state.note_all(asked.clone());
        match value {
            Ok(value) => {
                state.known.insert(key, (value.clone(), asked));
                Some(value)
            }
            Err(error) => {
                let number = state.mistakes.len();
                state.failed.insert(key, number);
                Some(Value::from(state.mistake(error)))
            }
        }
    }

    fn addresses(&self, node: &str, group: &str) -> Result<Value, minijinja::Error> {
        self.try_addresses(node, group)
            .map_err(|error| self.state().mistake(error))
    }
}

/// The error for a node whose peers would need a name instead of an address: packet filters know addresses.
fn no_address(name: &str, member: &NodeVars) -> InputError {
    const HOST: &str = "ansible_host";
    let host = member.vars.get(HOST);
    let near = || {
        let others = member
            .vars
            .iter()
            .filter(|(other, _)| other.starts_with("ansible_"));
        let others = others.filter(|(other, _)| !is_connection_name(other));
        others
            .into_iter()
            .find(|(other, _)| closest(other, [HOST]).is_some())
    };
    let (place, hint) = match (host, host.is_none().then(near).flatten()) {
        (Some(var), _) => (
            var.location(),
            "set `fwdeploy_address` beside it, to the address that its peers see: packet filters know no names"
                .to_string(),
        ),
        (None, Some((other, var))) => (
            var.origin().key_location(),
            format!("`{}` has no effect: did you mean `{HOST}`?", shown(other)),
        ),
        (None, None) => (
            member.location.clone(),
            format!("set `{HOST}`, or `fwdeploy_address` where its peers see another one"),
        ),
    };
    InputError::at(place, format!("node `{name}` has no IP address"))
        .hint(hint)
        .alone()
}

impl State {
    /// Keeps a mistake, and makes the error that leads back to it.
    fn mistake(&mut self, error: InputError) -> minijinja::Error {
        self.mistakes.push(error);
        template::elsewhere(self.mistakes.len() - 1)
    }

    fn note(&mut self, asked: Asked) {
        if let Some(innermost) = self.asked.last_mut() {
            innermost.insert(asked);
        }
    }

    fn note_all(&mut self, asked: BTreeSet<Asked>) {
        if let Some(innermost) = self.asked.last_mut() {
            innermost.extend(asked);
        }
    }
}

/// Which variable uses which, for the person who has to break the loop.
fn chain(stack: &[Key], last: &Key) -> String {
    let from = stack.iter().position(|key| key == last).unwrap_or(0);
    // The ends say it all where the chain is long.
    let names: Vec<String> = stack[from..]
        .iter()
        .chain([last])
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    match names.as_slice() {
        [first, .., last] if names.len() > 6 => format!("{first} asks for … for {last}"),
        _ => names.join(" asks for "),
    }
}

/// Never shows a value: it may be a password.
impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renderer({}, {})", self.node, self.role)
    }
}
