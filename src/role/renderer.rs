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
use minijinja::value::ValueKind;
use zeroize::Zeroizing;

use crate::inventory::connection::is_connection_name;
use crate::inventory::document::Segment;
use crate::inventory::error::InputError;
use crate::inventory::error::shown;
use crate::inventory::location::Location;
use crate::inventory::suggest::closest;
use crate::inventory::vars::Var;
use crate::inventory::vars::Vars;
use crate::inventory::vault::SecretValue;
use crate::inventory::vault::Taint;
use crate::inventory::vault::kind_of;
use crate::inventory::vault::taint_of;
use crate::model::Secret;
use crate::role::dependencies::Dependencies;
use crate::role::fleet_vars::FleetVars;
use crate::role::fleet_vars::NodeVars;
use crate::role::provenance::Asked;
use crate::role::provenance::Key;
use crate::role::provenance::Places;
use crate::role::scope::Lookup;
use crate::role::scope::scope;
use crate::role::template;
use crate::role::template::TemplateError;
use crate::role::template::is_plain;

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
    pub(super) asked: Vec<BTreeSet<Asked>>,
    /// The variables that are already rendered.
    known: BTreeMap<Key, (Value, BTreeSet<Asked>)>,
    /// What cannot be rendered, with the number of its mistake: asked for twice by each of forty variables, it would be
    /// tried a million million times.
    pub(super) failed: BTreeMap<Key, Failed>,
    /// Whether the last template that failed is undefined.
    is_undefined: bool,
    /// The element of the innermost `loop`, with what its list has asked for.
    item: Option<Item>,
    /// The names of other variables that were asked for: of those that are forgotten, and of those with nothing to render.
    used: BTreeSet<String>,
    /// Mistakes that [`template::elsewhere`] refers to.
    pub(super) mistakes: Vec<InputError>,
    /// What was asked of the node that is rendered for.
    depends: Dependencies,
}

/// A variable that has no value.
#[derive(Clone, Copy)]
pub(super) struct Failed {
    /// The number of its mistake.
    pub(super) number: usize,
    /// Whether its template is undefined. Then it is undefined itself, which `default` may mend.
    pub(super) is_undefined: bool,
}

impl Failed {
    fn value(self) -> Option<Value> {
        (!self.is_undefined).then(|| Value::from(template::elsewhere(self.number)))
    }
}

/// The name of the element that an entry with `loop` is repeated for, as in Ansible.
const ITEM: &str = "item";

/// An element of a `loop`, with what its list has asked for.
pub(super) type Item = (Value, BTreeSet<Asked>);

/// A rendered value, with the places that it may have come from.
pub(super) struct Rendered {
    pub(super) value: Value,
    pub(super) places: Places,
    /// How secret it is: as much as the most secret variable that the template asked for, and those asked for in turn.
    pub(super) taint: Taint,
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
            taint: self.taint_of(&asked),
            places: Places::new(&asked, &self.fleet, location, |(node, name)| {
                self.variable(node, name)
            }),
        })
    }

    /// Renders the whole of a variable of the node; nothing if it has none of that name.
    pub(super) fn value_of(self: &Arc<Self>, name: &str) -> Option<Result<Value, InputError>> {
        let var = self.variable(&self.node, name)?;
        Some(self.render_var(&self.node, var, var.value(), &mut Vec::new()))
    }

    /// Renders a text of `role.yml` at `location`; adds to `asked` what it has asked for.
    pub(super) fn value(
        self: &Arc<Self>,
        text: &str,
        location: &Location,
        asked: &mut BTreeSet<Asked>,
    ) -> Result<Value, InputError> {
        self.state().asked.push(BTreeSet::new());
        let value = self.evaluate(&self.node.clone(), text, location);
        asked.extend(self.state().asked.pop().unwrap_or_default());
        value
    }

    /// Sets what templates call `item`, and returns what that was before. Variables that were rendered with the other one are forgotten.
    pub(super) fn set_item(&self, item: Option<Item>) -> Option<Item> {
        let mut state = self.state();
        let state = &mut *state;
        let failed = std::mem::take(&mut state.failed).into_keys();
        state.used.extend(failed.map(|(_, name)| name.to_string()));
        let used = &mut state.used;
        state.known.retain(|(_, name), (_, asked)| {
            let stays = !asked.contains(&Asked::Item);
            if !stays {
                used.insert(name.to_string());
            }
            stays
        });
        std::mem::replace(&mut state.item, item)
    }

    /// What was asked of the node, so far.
    pub(super) fn depends(&self) -> Dependencies {
        std::mem::take(&mut self.state().depends)
    }

    /// The names of all variables that were asked for; forgets everything that was rendered.
    ///
    /// Rendered values may hold this renderer; without an end they would keep it forever.
    pub(super) fn end(&self) -> BTreeSet<String> {
        let state = std::mem::take(&mut *self.state());
        let all = state.known.into_keys().chain(state.failed.into_keys());
        all.map(|(_, name)| name.to_string())
            .chain(state.used)
            .collect()
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
        template::evaluate(&self.environment, text, scope(&names, node)).map_err(|failure| {
            self.state().is_undefined = matches!(failure, TemplateError::Undefined { .. });
            self.explain(self.without_values(failure), node, text, location)
        })
    }

    /// An error that quotes nothing, if a secret was asked for: the words of minijinja may have values in them.
    fn without_values(&self, failure: TemplateError) -> TemplateError {
        match failure {
            TemplateError::Other { range, .. } if self.taint() > Taint::None => {
                TemplateError::Other {
                    message: "the template cannot be rendered; the reason is not shown, because a value in it is a secret"
                        .to_string(),
                    range,
                }
            }
            failure => failure,
        }
    }

    /// Renders the whole of a variable's value, element by element.
    pub(super) fn render_var(
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
            Yaml::Tagged(tagged) => match kind_of(value) {
                Some(secret) => {
                    let location = var.origin().inside(path);
                    let secret = self.open(node, secret, &location)?;
                    Ok(Value::from(secret.expose()))
                }
                // `!unsafe`: never a template.
                None => Ok(Value::from(tagged.value.as_str().unwrap_or_default())),
            },
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

    /// Opens a secret. Its text is no template, as in Ansible; the words of a command may be.
    pub(super) fn open(
        self: &Arc<Self>,
        node: &str,
        secret: SecretValue<'_>,
        location: &Location,
    ) -> Result<Secret, InputError> {
        // Each node opens its own.
        self.state().depends.alone();
        match secret {
            SecretValue::Encrypted(text) => self.fleet.vault.open(text, location),
            SecretValue::Opened(text) => Ok(Secret::new(text)),
            SecretValue::Command(words) => {
                let mut command = Vec::with_capacity(words.len());
                for word in words {
                    let word = self.evaluate(node, word.as_str().unwrap_or_default(), location)?;
                    command.push(word.to_string());
                }
                self.fleet.vault.run(&command, location)
            }
        }
    }

    /// Opens a secret in the eyes of the node that is rendered for.
    pub(super) fn open_here(
        self: &Arc<Self>,
        secret: SecretValue<'_>,
        location: &Location,
    ) -> Result<Secret, InputError> {
        self.open(&self.node.clone(), secret, location)
    }

    /// Renders a variable of the node that is a password.
    ///
    /// # Errors
    /// It cannot be opened or rendered, or is not one line of text. No error shows it.
    pub(super) fn password(self: &Arc<Self>, name: &str, var: &Var) -> Result<Secret, InputError> {
        let location = var.origin().key_location();
        let value = self.render_var(&self.node, var, var.value(), &mut Vec::new())?;
        let wrong = |message: &str| {
            let message = format!("`{name}` {message}");
            Err(InputError::at(location.clone(), message))
        };
        let text = match value.kind() {
            ValueKind::String | ValueKind::Number => Zeroizing::new(value.to_string()),
            other => return wrong(&format!("takes a string, and this is {other}")),
        };
        // `echo PASSWORD | ansible-vault encrypt_string` encrypts the line end too.
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return wrong("is empty");
        }
        if line.contains(char::is_control) {
            return wrong("holds a control character, which no password has");
        }
        Ok(Secret::new(line))
    }

    /// How secret the thing is that is being rendered, by all that it has asked for so far.
    fn taint(&self) -> Taint {
        let asked = self.state().asked.last().cloned().unwrap_or_default();
        self.taint_of(&asked)
    }

    pub(super) fn taint_of(&self, asked: &BTreeSet<Asked>) -> Taint {
        let taint = |asked: &Asked| match asked {
            Asked::Variable((node, name)) => self.variable(node, name).map(taint_of),
            // What the list of a loop asked for is noted with its element.
            Asked::Addresses(_) | Asked::Item => None,
        };
        asked.iter().filter_map(taint).max().unwrap_or_default()
    }

    fn try_addresses(self: &Arc<Self>, node: &str, group: &str) -> Result<Value, InputError> {
        let Some(members) = self.fleet.groups.get(group) else {
            let meant = closest(group, self.fleet.groups.keys().map(String::as_str));
            let error = InputError::general(format!("there is no group `{}`", shown(group)));
            return Err(match meant {
                Some(meant) => error.did_you_mean(Some(meant)),
                None => error.hint("the groups of the inventory are meant"),
            });
        };
        {
            let mut state = self.state();
            state.note(Asked::Addresses(group.to_string()));
            if node == self.node {
                // Which nodes are in no group, and that all are in `all`, their groups do not say.
                let is_seen = !["all", "ungrouped"].contains(&group);
                match is_seen && !members.iter().any(|name| name == node) {
                    true => state.depends.group(group),
                    false => state.depends.alone(),
                }
            }
        }
        if let Some(known) = self.fleet.addresses_of(group) {
            let others = known.members.iter().filter(|(name, _)| name != node);
            let others: Vec<Value> = others.map(|(_, address)| address.clone()).collect();
            return Ok(Value::from(others));
        }
        let mut addresses = Vec::with_capacity(members.len());
        for name in members.iter().filter(|name| *name != node) {
            let Some(member) = self.fleet.nodes.get(name) else {
                continue;
            };
            if let Some(error) = member.locked.first() {
                return Err(error.clone());
            }
            let Some(address) = self.address_of(name, member)? else {
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
        if node == self.node {
            self.state().depends.variable(name);
        } else if self.variable(node, name).is_none() {
            // For that node itself it would be a default of the role.
            self.state().depends.alone();
        }
        self.found(node, name)
    }

    fn look_up_of(self: Arc<Self>, node: &str, name: &str) -> Option<Value> {
        let written = self.fleet.nodes.get(node).map(|member| &member.vars);
        match written.and_then(|vars| vars.get(name)) {
            // What is written is the same, whoever asks for it.
            Some(var) if is_plain(var.value()) => {}
            Some(_) if node != self.node => {}
            _ => self.state().depends.alone(),
        }
        self.found(node, name)
    }

    fn asks_for_itself(&self, node: &str) {
        if node == self.node {
            self.state().depends.alone();
        }
    }

    fn asks_for_groups(&self, node: &str) {
        if node == self.node {
            self.state().depends.group_names();
        }
    }

    fn addresses(self: Arc<Self>, node: &str, group: &str) -> Result<Value, minijinja::Error> {
        self.try_addresses(node, group)
            .map_err(|error| self.state().mistake(error))
    }
}

impl Renderer {
    /// The value of a variable of a node.
    fn found(self: Arc<Self>, node: &str, name: &str) -> Option<Value> {
        if name == ITEM && node == self.node {
            let item = self.state().item.clone();
            if let Some((value, asked)) = item {
                let mut state = self.state();
                state.note(Asked::Item);
                state.note_all(asked);
                return Some(value);
            }
        }
        let member = self.fleet.nodes.get(node);
        if let Some(error) = member.and_then(|member| member.locked.first()) {
            // The file that cannot be opened may set this variable, or another one before it.
            return Some(Value::from(self.state().mistake(error.clone())));
        }
        let var = self.variable(node, name)?;
        let key: Key = (node.into(), name.into());
        let mut state = self.state();
        state.note(Asked::Variable(key.clone()));
        if is_plain(var.value()) && state.stack.len() < DEEPEST {
            // It asks for nothing else, and has no mistake in it.
            if !state.used.contains(name) {
                state.used.insert(name.to_string());
            }
            drop(state);
            let path = &mut Vec::new();
            return self.render_var(node, var, var.value(), path).ok();
        }
        if let Some((value, asked)) = state.known.get(&key).cloned() {
            state.note_all(asked);
            return Some(value);
        }
        if let Some(failed) = state.failed.get(&key) {
            return failed.value();
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
                // A list with something undefined in it is a list, and a mistake.
                let is_template = matches!(var.value(), serde_yaml::Value::String(_));
                let failed = Failed {
                    number: state.mistakes.len(),
                    is_undefined: is_template && state.is_undefined,
                };
                state.mistakes.push(error);
                state.failed.insert(key, failed);
                failed.value()
            }
        }
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
    /// Why a variable that was just looked up is not valid.
    pub(super) fn mistake_of(&self, key: &Key) -> Option<InputError> {
        let known = self
            .failed
            .get(key)
            .and_then(|failed| self.mistakes.get(failed.number));
        // A loop is found before the variable has failed.
        known.or(self.mistakes.last()).cloned()
    }

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
