//! A password of a node that is opened or rendered when a connection needs it.

use std::fmt;
use std::sync::Arc;

use minijinja::Environment;

use crate::inventory::InputError;
use crate::inventory::Password;
use crate::model::Secret;
use crate::role::fleet_vars::FleetVars;
use crate::role::renderer::Renderer;

/// A password that the inventory gives: as it is, encrypted, printed by a command, or by a template that asks for one of these.
pub struct LazyPassword {
    pub(super) fleet: Arc<FleetVars>,
    pub(super) environment: Arc<Environment<'static>>,
    pub(super) node: String,
    /// The variable's name, for messages.
    pub(super) name: &'static str,
    pub(super) password: Password,
}

impl LazyPassword {
    /// The password.
    ///
    /// # Errors
    ///
    /// It cannot be opened or rendered, or is not one line of text. No error shows it.
    pub fn reveal(&self) -> Result<Secret, InputError> {
        let var = match &self.password {
            Password::Written(secret) => return Ok(secret.clone()),
            Password::Asked(var) => var,
        };
        let renderer = Renderer::new(
            Arc::clone(&self.fleet),
            Arc::clone(&self.environment),
            &self.node,
            // `role_name` means nothing here.
            "",
            Vec::new(),
        );
        let password = renderer.password(self.name, var);
        renderer.end();
        let password = password?;
        self.fleet.vault.reveal(password.expose());
        Ok(password)
    }
}

/// Never shows the password.
impl fmt::Debug for LazyPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LazyPassword({}, {})", self.node, self.name)
    }
}
