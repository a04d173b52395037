//! The nodes of a fleet → jobs for the engine.

use std::sync::Arc;

use crate::cli::fleet;
use crate::cli::fleet::Fleet;
use crate::cli::fleet::Member;
use crate::cli::lazy_desired::hash;
use crate::cli::options::ConnectionDefaults;
use crate::engine::Compiled;
use crate::engine::Goal;
use crate::engine::Job;
use crate::engine::Requires;
use crate::engine::Snapshots;
use crate::inventory::ConnectionMethod;
use crate::model::Desired;
use crate::model::SshArguments;
use crate::transport::Destination;
use crate::transport::Privilege;
use crate::transport::Via;

/// Returns a job for each node. A node without a role gets an empty desired state.
pub(super) fn of_all(fleet: &Fleet, defaults: &ConnectionDefaults) -> Vec<Job> {
    let members = fleet.members.iter();
    let nothing = requires(Desired::default());
    let job = |member: &Member| {
        let requires = member.requires().unwrap_or_else(|| Arc::clone(&nothing));
        job(member, requires, defaults)
    };
    members.map(job).collect()
}

/// Returns a job for each node that has a role.
pub(super) fn with_roles(fleet: &Fleet, defaults: &ConnectionDefaults) -> Vec<Job> {
    let members = fleet.members.iter();
    let job = |member: &Member| Some(job(member, member.requires()?, defaults));
    members.filter_map(job).collect()
}

/// Returns a job for each node that has no role.
pub(super) fn without_roles(fleet: &Fleet, defaults: &ConnectionDefaults) -> Vec<Job> {
    let members = fleet.members.iter();
    let without = members.filter(|member| member.desired.is_none());
    let nothing = requires(Desired::default());
    let job = |member| job(member, Arc::clone(&nothing), defaults);
    without.map(job).collect()
}

/// Returns a job for each node that takes everything of fwdeploy's away from it. What the roles of a node ask for helps to know what that is.
pub(super) fn to_remove(
    fleet: &Fleet,
    defaults: &ConnectionDefaults,
    snapshots: Snapshots,
) -> Vec<Job> {
    let members = fleet.members.iter();
    // Nothing is in force once it is done.
    let policy = hash(&Desired::default());
    let job = |member: &Member| {
        // Without a role, the zone of the rich rules is still the inventory's to say.
        let zone = member.connection.zone.as_ref();
        let nothing = || Desired {
            zone: zone.map(|zone| zone.value.clone()),
            ..Desired::default()
        };
        let of_roles = member.requires();
        let removed = Removed {
            of_roles: of_roles.unwrap_or_else(|| requires(nothing())),
            policy: policy.clone(),
        };
        let mut job = job(member, Arc::new(removed), defaults);
        job.goal = Goal::Removal(snapshots);
        job
    };
    members.map(job).collect()
}

/// What roles have required until they are removed.
#[derive(Debug)]
struct Removed {
    of_roles: Arc<dyn Requires>,
    /// The hash of what is in force then.
    policy: String,
}

impl Requires for Removed {
    fn desired(&self) -> Arc<Desired> {
        self.of_roles.desired()
    }

    fn policy(&self) -> String {
        self.policy.clone()
    }
}

/// What does not come from roles.
fn requires(desired: Desired) -> Arc<dyn Requires> {
    Arc::new(Compiled {
        policy: hash(&desired),
        desired: Arc::new(desired),
    })
}

fn job(member: &Member, requires: Arc<dyn Requires>, defaults: &ConnectionDefaults) -> Job {
    let zone = member.connection.zone.as_ref();
    let mut job = Job::new(destination(member, defaults), requires);
    job.zone_at = zone.map(|zone| zone.location.to_string());
    job
}

/// Returns how to connect to a node: from the inventory, or from the command line if the inventory does not set it.
fn destination(member: &Member, defaults: &ConnectionDefaults) -> Destination {
    let connection = &member.connection;
    let user = || {
        let user = connection.escalate_user.as_ref();
        user.map_or_else(|| defaults.escalate_user.clone(), |user| user.value.clone())
    };
    let privilege = match &connection.escalate {
        Some(escalate) if escalate.value => Privilege::Sudo { user: user() },
        Some(_) => Privilege::AsIs,
        None => match defaults.privilege {
            Privilege::Sudo { .. } => Privilege::Sudo { user: user() },
            Privilege::AsIs => Privilege::AsIs,
        },
    };
    // In the order in which Ansible gives them to ssh, where the first counts.
    let mut arguments = SshArguments::default();
    let first = connection.ssh_args.as_ref().map(|args| &args.value);
    if let Some(first) = first {
        arguments.extend(first);
    }
    let checking = connection.host_key_checking.as_ref();
    if checking.is_some_and(|checking| !checking.value) {
        arguments.push("stricthostkeychecking", "no");
    }
    if let Some(port) = &connection.port {
        arguments.push("port", &port.value.to_string());
    }
    for more in &connection.ssh_more_args {
        arguments.extend(&more.value);
    }
    let user = connection.user.as_ref().map(|user| user.value.clone());
    Destination {
        node: member.name.clone(),
        via: match connection.method {
            ConnectionMethod::Ssh => Via::Ssh,
            ConnectionMethod::Local => Via::Local,
        },
        address: connection.host.value.clone(),
        port: fleet::sshd_port(connection),
        user: first
            .and_then(|first| first.value("user").map(str::to_owned))
            .or(user)
            .or_else(|| defaults.user.clone()),
        key_file: connection
            .private_key_file
            .as_ref()
            .map(|path| path.value.clone())
            .or_else(|| defaults.key_file.clone()),
        arguments,
        privilege,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::of_all;
    use super::with_roles;
    use crate::cli::args::SelectionArgs;
    use crate::cli::fleet;
    use crate::cli::options::ConnectionDefaults;
    use crate::transport::Client;
    use crate::transport::Privilege;

    #[test]
    fn the_inventory_wins_over_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let inventory = folder.path().join("inventory.yml");
        let text = "all:
  hosts:
    plain:
    own: {ansible_user: eva, ansible_port: 2222, ansible_ssh_private_key_file: /keys/own, ansible_become: false}
    other: {ansible_become_user: admin}
";
        fs::write(&inventory, text).unwrap();
        let selection = SelectionArgs::all_of(inventory);
        let fleet = fleet::read(&selection, fleet::Enforcing::AsWritten, fleet::Used::All).unwrap();
        let sudo = |user: &str| Privilege::Sudo {
            user: user.to_string(),
        };
        let defaults = ConnectionDefaults {
            user: Some("ops".to_string()),
            key_file: Some("/keys/ops".into()),
            privilege: sudo("root"),
            escalate_user: "root".to_string(),
            client: Client::Own,
            arguments: Default::default(),
        };
        let jobs = of_all(&fleet, &defaults);
        let targets: Vec<_> = jobs
            .iter()
            .map(|job| {
                let destination = &job.destination;
                let key = destination.key_file.as_deref();
                (
                    destination.node.as_str(),
                    destination.user.as_deref(),
                    destination.port,
                    key,
                    destination.privilege.clone(),
                )
            })
            .collect();
        let key = |name| Some(Path::new(name));
        assert_eq!(
            targets,
            [
                ("plain", Some("ops"), 22, key("/keys/ops"), sudo("root")),
                ("own", Some("eva"), 2222, key("/keys/own"), Privilege::AsIs),
                ("other", Some("ops"), 22, key("/keys/ops"), sudo("admin")),
            ]
        );
        // None of them has a role.
        assert!(with_roles(&fleet, &defaults).is_empty());
    }
}
