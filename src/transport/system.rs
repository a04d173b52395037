//! The real transport.

use super::Cancel;
use super::Client;
use super::ConnectError;
use super::Connection;
use super::Privilege;
use super::Scanned;
use super::Secrets;
use super::Settings;
use super::Target;
use super::Transport;
use super::Via;
use super::hop::Resolver;
use super::local::Local;
use super::openssh;
use super::secret::Vault;
use super::ssh;

/// Reaches nodes over SSH, and this machine without.
pub struct System {
    ways: ssh::Ways,
}

impl System {
    /// One for a whole run: what `secrets` answers is remembered in it.
    pub fn new(settings: Settings, secrets: Box<dyn Secrets>) -> Self {
        Self {
            ways: ssh::Ways::new(Resolver::new(settings), Vault::new(secrets)),
        }
    }

    /// Looks at the host key of a node, on the way that a connection would take. Jump hosts are checked and logged in to; the node itself
    /// is not logged in to.
    ///
    /// # Errors
    /// As those of [`Transport::connect`], up to the handshake.
    pub fn scan(&self, target: &Target, cancel: &Cancel) -> Result<Scanned, ConnectError> {
        ssh::scan(target, &self.ways, cancel)
    }
}

impl Transport for System {
    fn connect(
        &self,
        target: &Target,
        cancel: &Cancel,
    ) -> Result<Box<dyn Connection>, ConnectError> {
        match target.via {
            Via::Ssh if self.ways.resolver.settings().client == Client::OpenSsh => {
                let settings = self.ways.resolver.settings();
                let vault = &self.ways.vault;
                Ok(Box::new(openssh::connect(target, settings, vault, cancel)?))
            }
            Via::Ssh => Ok(Box::new(ssh::connect(target, &self.ways, cancel)?)),
            Via::Local => {
                let password = match target.privilege {
                    Privilege::AsIs => None,
                    Privilege::Sudo { .. } => self.ways.vault.become_password(&target.node),
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
