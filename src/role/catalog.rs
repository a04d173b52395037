//! Which roles there are, and what each of them makes of a node.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use minijinja::Environment;

use crate::inventory::Inventory;
use crate::inventory::InventoryNode;
use crate::inventory::Password;
use crate::inventory::connection::is_connection_name;
use crate::inventory::connection::meant_connection_name;
use crate::inventory::document::Document;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::location::Located;
use crate::inventory::suggest::closest;
use crate::inventory::suggest::distance_of;
use crate::inventory::vars::Layer;
use crate::inventory::vars::Vars;
use crate::inventory::vars::variables;
use crate::role::dedup;
use crate::role::dependencies::Dependencies;
use crate::role::dependencies::Remembered;
use crate::role::files;
use crate::role::fleet_vars::FleetVars;
use crate::role::password::LazyPassword;
use crate::role::read;
use crate::role::renderer::Renderer;
use crate::role::schema::Policy;
use crate::role::source::DEFAULTS;
use crate::role::source::README;
use crate::role::source::Role;
use crate::role::source::RoleOrigin;
use crate::role::source::TEMPLATE;
use crate::role::template;
use crate::role::tree;

macro_rules! embedded {
    ($($name:literal),*) => {
        [$(($name, [
            (TEMPLATE, include_str!(concat!("../../roles/", $name, "/role.yml"))),
            (DEFAULTS, include_str!(concat!("../../roles/", $name, "/defaults.yml"))),
            (README, include_str!(concat!("../../roles/", $name, "/README.md"))),
        ])),*]
    };
}

/// The roles inside of the binary, file by file.
const EMBEDDED: [(&str, [(&str, &str); 3]); 3] = embedded!("cosmos", "cybex", "eos");

impl Role {
    fn document(&self, file: &str) -> Result<Option<Document>, InputErrors> {
        let text = self.files.get(file);
        text.map(|text| Document::parse(self.file_name(file), text))
            .transpose()
    }

    fn parse(&self) -> Result<Parsed, InputErrors> {
        let mut errors = InputErrors::none();
        let template = errors.take(self.document(TEMPLATE));
        let defaults = errors.take(self.document(DEFAULTS));
        let defaults = match defaults.flatten() {
            Some(document) => errors.take(variables(&document, Layer::RoleDefaults)),
            None => Some(Vars::new()),
        };
        if let Some(None) = template {
            let missing = InputError::in_file(self.file_name(TEMPLATE), "the file is missing");
            errors.push(missing.hint("a role is a folder with `role.yml`"));
        }
        match (template.flatten(), defaults) {
            (Some(template), Some(defaults)) => errors.or(Parsed {
                template: Arc::new(template),
                defaults: Arc::new(defaults),
            }),
            _ => Err(errors),
        }
    }
}

/// A role's texts, read.
#[derive(Clone)]
struct Parsed {
    template: Arc<Document>,
    defaults: Arc<Vars>,
}

/// The roles that nodes may have: those beside the inventory, and the built-in ones that no directory of that name replaces.
#[derive(Debug, Clone)]
pub struct Roles {
    roles: BTreeMap<String, Role>,
}

impl Roles {
    /// The roles inside of the binary.
    pub fn built_in() -> Self {
        let roles = EMBEDDED.map(|(name, files)| {
            let files = files.map(|(file, text)| (file.to_string(), text.to_string()));
            let role = Role {
                name: name.to_string(),
                origin: RoleOrigin::BuiltIn,
                files: files.into(),
            };
            (role.name.clone(), role)
        });
        Roles {
            roles: roles.into(),
        }
    }

    /// The roles in `roles/` below `beside`, the inventory's directory, and the built-in ones.
    ///
    /// # Errors
    /// A directory or file that cannot be read. The content of a role is only checked when a node has it.
    pub fn load(beside: &Path) -> Result<Self, InputErrors> {
        let mut roles = Roles::built_in();
        for role in files::read(beside)? {
            roles.roles.insert(role.name.clone(), role);
        }
        Ok(roles)
    }

    /// The roles, by name.
    pub fn list(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// The role of that name.
    ///
    /// # Errors
    /// There is none; the message names the existing ones.
    pub fn show(&self, name: &str) -> Result<&Role, InputError> {
        self.roles
            .get(name)
            .ok_or_else(|| self.unknown(InputError::general(no_role(name)), name))
    }

    /// Writes the files of a role into `into/NAME/`, to be changed there. Never overwrites anything.
    ///
    /// # Errors
    /// There is no such role, the directory exists already, or it cannot be written.
    pub fn eject(&self, name: &str, into: &Path) -> Result<Vec<PathBuf>, InputError> {
        files::write(self.show(name)?, into)
    }

    /// Gets ready to resolve roles for the nodes of an inventory.
    pub fn resolver<'a>(&'a self, inventory: &Inventory) -> Resolver<'a> {
        Resolver {
            roles: self,
            parsed: self
                .roles
                .iter()
                .map(|(name, role)| (name.as_str(), role.parse()))
                .collect(),
            fleet: Arc::new(FleetVars::new(inventory)),
            environment: Arc::new(template::environment()),
            meant: Mutex::default(),
            remembered: Mutex::default(),
        }
    }

    /// What the roles of one node say. For a whole fleet, [`Roles::resolver`] does the common part once.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub fn resolve(
        &self,
        inventory: &Inventory,
        node: &InventoryNode,
    ) -> Result<Vec<Policy>, InputErrors> {
        self.resolver(inventory).resolve(node)
    }

    fn unknown(&self, error: InputError, name: &str) -> InputError {
        let names = || self.roles.keys().map(String::as_str);
        match closest(name, names()) {
            Some(meant) => error.did_you_mean(Some(meant)),
            None => {
                let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
                error.hint(format!("there are {}", known.join(", ")))
            }
        }
    }
}

/// Whether one name is the other with a letter or two wrong. In short names that is another word.
fn is_slip(name: &str, other: &str) -> bool {
    const SHORTEST: usize = 8;
    let length = name.chars().count().min(other.chars().count());
    let allowed = if length < SHORTEST { 1 } else { 2 };
    name.chars().count().abs_diff(other.chars().count()) <= allowed
        && distance_of(name, other) <= allowed
}

fn no_role(name: &str) -> String {
    format!("there is no role `{name}`")
}

/// The policies that nodes share, and the names of all variables that were asked for to make them.
type Shared = (Arc<Vec<Policy>>, Arc<BTreeSet<String>>);

/// Resolves roles for the nodes of one inventory.
pub struct Resolver<'a> {
    roles: &'a Roles,
    parsed: BTreeMap<&'a str, Result<Parsed, InputErrors>>,
    fleet: Arc<FleetVars>,
    environment: Arc<Environment<'static>>,
    /// What each name of a variable was probably meant for.
    meant: Mutex<BTreeMap<String, Option<String>>>,
    /// What was made for other nodes.
    remembered: Mutex<Remembered>,
}

impl Resolver<'_> {
    /// What the roles of a node say, in the order in which the inventory gives them.
    ///
    /// # Errors
    /// Everything that is wrong with the roles or the variables they ask for: roles that do not exist, templates that cannot
    /// be rendered, values that do not fit, and variables with a role's prefix that the role does not know.
    pub fn resolve(&self, node: &InventoryNode) -> Result<Vec<Policy>, InputErrors> {
        self.resolve_all(node).map(|(policies, _)| policies)
    }

    /// The same, with what works and may not be meant: variables that nothing asks for and that are almost a role's, or almost one of
    /// Ansible's that say how a node is reached.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub fn resolve_all(
        &self,
        node: &InventoryNode,
    ) -> Result<(Vec<Policy>, Vec<InputError>), InputErrors> {
        let (policies, doubtful) = self.resolve_shared(node)?;
        Ok((Arc::unwrap_or_clone(policies), doubtful))
    }

    /// The same for many nodes: those for which the same is made share it, and it is made once.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub fn resolve_shared(
        &self,
        node: &InventoryNode,
    ) -> Result<(Arc<Vec<Policy>>, Vec<InputError>), InputErrors> {
        let mut errors = InputErrors::none();
        errors.extend(node.locked.iter().cloned());
        errors = errors.or(InputErrors::none())?;
        let mut found = Vec::new();
        for name in &node.roles {
            match (
                self.roles.roles.get(&name.value),
                self.parsed.get(name.value.as_str()),
            ) {
                (Some(role), Some(Ok(parsed))) => found.push((name, role, parsed)),
                (_, Some(Err(wrong))) => errors.extend(wrong.clone()),
                _ => {
                    let error = InputError::at(name.location.clone(), no_role(&name.value));
                    errors.push(self.roles.unknown(error, &name.value));
                }
            }
        }
        let unknown = |name: &&Located<String>| !self.roles.roles.contains_key(&name.value);
        for name in node.roles_taken_off.iter().filter(unknown) {
            let error = InputError::at(name.location.clone(), no_role(&name.value));
            errors.push(self.roles.unknown(error, &name.value));
        }
        // Whoever has a role that is wrong is told so for each node.
        let known = match errors.is_empty() {
            true => self.remembered(node),
            false => None,
        };
        let (policies, used) = match known {
            Some(known) => known,
            None => self.make(node, &found, &mut errors),
        };
        let mut doubtful = self.doubtful_variables(node, &used);
        for (_, role, parsed) in &found {
            let (wrong, foreign) = self.unknown_variables(node, role, &parsed.defaults, &used);
            errors.extend(wrong);
            doubtful.extend(foreign);
        }
        dedup(errors).or((policies, doubtful))
    }

    /// What was made for another node, and would be the same for this one.
    fn remembered(&self, node: &InventoryNode) -> Option<Shared> {
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        let made = remembered.of(node)?;
        Some((Arc::clone(&made.policies), Arc::clone(&made.used)))
    }

    /// Renders and reads the roles of a node.
    fn make(
        &self,
        node: &InventoryNode,
        found: &[(&Located<String>, &Role, &Parsed)],
        errors: &mut InputErrors,
    ) -> Shared {
        let mut policies = Vec::new();
        let mut used = BTreeSet::new();
        let mut depends = Dependencies::default();
        for (position, (name, _, parsed)) in found.iter().enumerate() {
            // The role's own defaults first; a role may then share another one's network by naming its variables.
            let others = found.iter().enumerate().filter(|(at, _)| *at != position);
            let others = others.map(|(_, (_, _, other))| Arc::clone(&other.defaults));
            let defaults = std::iter::once(Arc::clone(&parsed.defaults)).chain(others);
            let renderer = self.renderer(&node.name, &name.value, defaults.collect());
            let root = tree::render(&renderer, &parsed.template.root(), errors);
            depends.extend(renderer.depends());
            used.extend(renderer.end());
            policies.extend(read::policy(name, &root, errors));
        }
        let (policies, used) = (Arc::new(policies), Arc::new(used));
        if errors.is_empty() {
            let remembered = self.remembered.lock();
            let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
            remembered.add(node, depends, &policies, &used);
        }
        (policies, used)
    }

    /// A password of a node, which is the variable `name`. Nothing is opened or rendered yet.
    pub fn password(
        &self,
        node: &InventoryNode,
        name: &'static str,
        password: &Password,
    ) -> LazyPassword {
        LazyPassword {
            fleet: Arc::clone(&self.fleet),
            environment: Arc::clone(&self.environment),
            node: node.name.clone(),
            name,
            password: password.clone(),
        }
    }

    /// The rendering of one role for one node; `defaults` are the role's own, then those of the node's other roles.
    pub(super) fn renderer(
        &self,
        node: &str,
        role: &str,
        defaults: Vec<Arc<Vars>>,
    ) -> Arc<Renderer> {
        Renderer::new(
            Arc::clone(&self.fleet),
            Arc::clone(&self.environment),
            node,
            role,
            defaults,
        )
    }

    /// Variables that nothing uses and that look mistyped: `cybx_peers`, `ansible_usr`; also on a node that has no such role, or none at all.
    fn doubtful_variables(&self, node: &InventoryNode, used: &BTreeSet<String>) -> Vec<InputError> {
        let roles = node.roles.iter();
        let roles = roles.filter_map(|role| self.roles.roles.get(&role.value));
        let prefixes: Vec<String> = roles.map(Role::prefix).collect();
        let doubtful = |name: &str| {
            // With the prefix of a role that the node has, it is judged by that role.
            let judged = prefixes.iter().any(|prefix| name.starts_with(prefix));
            (!judged && !used.contains(name)).then(|| self.meant(name))?
        };
        node.vars
            .iter()
            .filter_map(|(name, var)| {
                let meant = doubtful(name)?;
                let place = var.origin().key_location();
                let error = InputError::at(place, format!("nothing uses the variable `{name}`"));
                Some(error.did_you_mean(Some(&meant)))
            })
            .collect()
    }

    /// The variable of a role, or of a connection, that was probably meant by a name that is neither. Looked up once for a fleet: nodes have the same names.
    fn meant(&self, name: &str) -> Option<String> {
        let mut known = self.meant.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meant) = known.get(name) {
            return meant.clone();
        }
        let of_roles = || self.parsed.values().flatten();
        let meant = if is_connection_name(name)
            || of_roles().any(|role| role.defaults.contains_key(name))
        {
            None
        } else {
            let near = |other: &&String| is_slip(name, other);
            let mut of_roles = of_roles().flat_map(|role| role.defaults.keys());
            let meant = meant_connection_name(name).map(str::to_owned);
            meant.or_else(|| of_roles.find(near).cloned())
        };
        known.insert(name.to_owned(), meant.clone());
        meant
    }

    /// Variables with the role's prefix that neither the role nor any template knows. A misspelt one of the role (`cybex_peerz`) is a mistake; one that is
    /// nothing like the role's (`cybex_image`) may be meant for somebody else who reads the inventory, and is only named.
    fn unknown_variables(
        &self,
        node: &InventoryNode,
        role: &Role,
        defaults: &Vars,
        used: &BTreeSet<String>,
    ) -> (Vec<InputError>, Vec<InputError>) {
        let prefix = role.prefix();
        let of_longer_prefix = |name: &str| {
            self.roles.roles.values().any(|other| {
                let longer = other.prefix();
                longer.len() > prefix.len() && name.starts_with(&longer)
            })
        };
        let (mut wrong, mut foreign) = (Vec::new(), Vec::new());
        for (name, var) in &node.vars {
            let Some(rest) = name.strip_prefix(&prefix) else {
                continue;
            };
            if defaults.contains_key(name) || used.contains(name) || of_longer_prefix(name) {
                continue;
            }
            let message = format!("the role `{}` has no variable `{name}`", role.name);
            let error = InputError::at(var.origin().key_location(), message);
            // The prefix is right, and does not count for how near the names are.
            let of_role = || {
                defaults
                    .keys()
                    .filter_map(|name| name.strip_prefix(&prefix))
            };
            match of_role().find(|other| is_slip(rest, other)) {
                Some(meant) => {
                    let meant = format!("{prefix}{meant}");
                    wrong.push(error.did_you_mean(Some(&meant)));
                }
                None => foreign.push(error.hint(format!(
                    "`fwdeploy role show {}` lists its variables; nothing is wrong if this one is for something else",
                    role.name
                ))),
            }
        }
        (wrong, foreign)
    }
}
