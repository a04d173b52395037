//! The real transport.

use super::Cancel;
use super::Client;
use super::ConnectError;
use super::ConnectOptions;
use super::Connection;
use super::Destination;
use super::Privilege;
use super::Scanned;
use super::Secrets;
use super::Transport;
use super::Via;
use super::hop::Resolver;
use super::local::Local;
use super::openssh;
use super::secret::SecretCache;
use super::ssh;

/// Reaches nodes over SSH, and this machine without.
pub struct SystemTransport {
    ways: ssh::Ways,
}

impl SystemTransport {
    /// One for a whole run: what `secrets` answers is remembered in it.
    pub fn new(settings: ConnectOptions, secrets: Box<dyn Secrets>) -> Self {
        Self {
            ways: ssh::Ways::new(Resolver::new(settings), SecretCache::new(secrets)),
        }
    }

    /// Looks at the host key of a node, on the way that a connection would take. Jump hosts are checked and logged in to; the node itself
    /// is not logged in to.
    ///
    /// # Errors
    /// As those of [`Transport::connect`], up to the handshake.
    pub fn scan(
        &self,
        destination: &Destination,
        cancel: &Cancel,
    ) -> Result<Scanned, ConnectError> {
        ssh::scan(destination, &self.ways, cancel)
    }
}

impl Transport for SystemTransport {
    fn connect(
        &self,
        destination: &Destination,
        cancel: &Cancel,
    ) -> Result<Box<dyn Connection>, ConnectError> {
        match destination.via {
            Via::Ssh if self.ways.resolver.settings().client == Client::OpenSsh => {
                let settings = self.ways.resolver.settings();
                let vault = &self.ways.vault;
                Ok(Box::new(openssh::connect(
                    destination,
                    settings,
                    vault,
                    cancel,
                )?))
            }
            Via::Ssh => Ok(Box::new(ssh::connect(destination, &self.ways, cancel)?)),
            Via::Local => {
                let password = match destination.privilege {
                    Privilege::AsIs => None,
                    Privilege::Sudo { .. } => self.ways.vault.become_password(&destination.node),
                };
                Ok(Box::new(Local::new(
                    destination.place(),
                    destination.privilege.clone(),
                    password,
                )))
            }
        }
    }
}
