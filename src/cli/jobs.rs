//! The nodes of a fleet → the jobs that the engine takes.

use openssl::hash::MessageDigest;
use openssl::hash::hash as digest;

use crate::cli::fleet;
use crate::cli::fleet::Fleet;
use crate::cli::fleet::Member;
use crate::cli::options::ConnectionDefaults;
use crate::engine::Job;
use crate::inventory::ConnectionMethod;
use crate::model::Desired;
use crate::transport::Privilege;
use crate::transport::Target;
use crate::transport::Via;

/// A job for each node, also for one that no role asks anything of.
pub(super) fn of_all(fleet: &Fleet, defaults: &ConnectionDefaults) -> Vec<Job> {
    let members = fleet.members.iter();
    let job = |member: &Member| {
        let desired = member.desired.clone().unwrap_or_default();
        job(member, desired, defaults)
    };
    members.map(job).collect()
}

/// A job for each node with a role.
pub(super) fn with_roles(fleet: &Fleet, defaults: &ConnectionDefaults) -> Vec<Job> {
    let members = fleet.members.iter();
    let job = |member: &Member| Some(job(member, member.desired.clone()?, defaults));
    members.filter_map(job).collect()
}

fn job(member: &Member, desired: Desired, defaults: &ConnectionDefaults) -> Job {
    let zone = member.connection.zone.as_ref();
    Job {
        target: target(member, defaults),
        policy: hash(&desired),
        zone_at: zone.map(|zone| zone.location.to_string()),
        desired,
    }
}

/// Where a node is and as whom to come: the inventory's words, and the command line's where it has none.
fn target(member: &Member, defaults: &ConnectionDefaults) -> Target {
    let connection = &member.connection;
    let user = || {
        let user = connection.escalate_user.as_ref();
        user.map_or_else(|| "root".to_string(), |user| user.value.clone())
    };
    let privilege = match &connection.escalate {
        Some(escalate) if escalate.value => Privilege::Sudo { user: user() },
        Some(_) => Privilege::AsIs,
        None => match defaults.privilege {
            Privilege::Sudo { .. } => Privilege::Sudo { user: user() },
            Privilege::AsIs => Privilege::AsIs,
        },
    };
    Target {
        node: member.name.clone(),
        via: match connection.method {
            ConnectionMethod::Ssh => Via::Ssh,
            ConnectionMethod::Local => Via::Local,
        },
        address: connection.host.value.clone(),
        port: fleet::sshd_port(connection),
        user: connection
            .user
            .as_ref()
            .map(|user| user.value.clone())
            .or_else(|| defaults.user.clone()),
        key_file: connection
            .private_key_file
            .as_ref()
            .map(|path| path.value.clone())
            .or_else(|| defaults.key_file.clone()),
        privilege,
    }
}

/// The first 16 hex digits of the SHA-256 of what the roles ask of a node.
pub(super) fn hash(desired: &Desired) -> String {
    let text = serde_json::to_vec(desired).unwrap_or_default();
    let digest = digest(MessageDigest::sha256(), &text);
    let bytes = digest.map(|d| d[..8].to_vec()).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::hash;
    use crate::model::Desired;

    #[test]
    fn another_policy_has_another_hash() {
        let some = Desired::default();
        let other = Desired {
            zone: Some("public".to_string()),
            ..Desired::default()
        };
        assert_eq!(hash(&some), hash(&some.clone()));
        assert_ne!(hash(&some), hash(&other));
        assert_eq!(hash(&some).len(), 16);
    }
}
