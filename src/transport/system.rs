//! The real transport.

use super::Cancel;
use super::ConnectError;
use super::Connection;
use super::Privilege;
use super::Secrets;
use super::Settings;
use super::Target;
use super::Transport;
use super::Via;
use super::local::Local;
use super::secret::Vault;
use super::ssh;

/// Reaches nodes over SSH, and this machine without.
pub struct System {
    settings: Settings,
    vault: Vault,
}

impl System {
    /// One for a whole run: what `secrets` answers is remembered in it.
    pub fn new(settings: Settings, secrets: Box<dyn Secrets>) -> Self {
        Self {
            settings,
            vault: Vault::new(secrets),
        }
    }
}

impl Transport for System {
    fn connect(
        &self,
        target: &Target,
        cancel: &Cancel,
    ) -> Result<Box<dyn Connection>, ConnectError> {
        match target.via {
            Via::Ssh => Ok(Box::new(ssh::connect(
                target,
                &self.settings,
                &self.vault,
                cancel,
            )?)),
            Via::Local => {
                let password = match target.privilege {
                    Privilege::AsIs => None,
                    Privilege::Sudo { .. } => self.vault.become_password(&target.node),
                };
                Ok(Box::new(Local::new(
                    target.place(),
                    target.privilege.clone(),
                    password,
                )))
            }
        }
    }
}
