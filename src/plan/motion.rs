//! A node in motion: what was read may be of a passing state, so the node is read again before anything is reported.
//!
//! A reload of firewalld flushes Docker's rules, and Docker restores them one by one, which takes a second or two. Until then a
//! reading shows missing rules and a jump in the wrong place, and a moment later none of it is true.

use crate::model::net::Family;
use crate::model::state::Daemon;
use crate::model::state::Firewalld;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::planned::Plan;
use crate::plan::preflight;
use crate::plan::severity::Severity;

/// Refusals for a reason that no second changes. Any other may be of a moment: a daemon that starts, a run that begins.
const LASTING: [FindingCode; 22] = [
    FindingCode::AddressReserved,
    FindingCode::AddressTaken,
    FindingCode::DockerMissing,
    FindingCode::DockerNftMix,
    FindingCode::DockerNftables,
    FindingCode::DockerOld,
    FindingCode::FirewalldFailed,
    FindingCode::FirewalldMissing,
    FindingCode::FirewalldOld,
    FindingCode::FirewalldPanic,
    FindingCode::FromNodeNeedsNft,
    FindingCode::LocksOut,
    FindingCode::NetworkDiffers,
    FindingCode::NetworkTwice,
    FindingCode::NoBusctl,
    FindingCode::NoIptables,
    FindingCode::NoZone,
    FindingCode::NotRoot,
    FindingCode::PendingPermanent,
    FindingCode::SshLost,
    FindingCode::SubnetShadows,
    FindingCode::SubnetTaken,
];

/// What is missing until Docker and firewalld have restored their rules.
const PUT_BACK: [FindingCode; 3] = [
    FindingCode::BridgeUnzoned,
    FindingCode::ForwardLost,
    FindingCode::NoMasquerade,
];

/// How long a node that may be in motion is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Motion {
    /// It may be another one within a second or two; if it is the same then, it stays so.
    Moving,
    /// A daemon is starting, as after a boot, which takes longer.
    Starting,
}

/// Whether the observed state and the plan may be of a passing state; `None` if they will be the same in a second.
///
/// A node in the desired state is not checked: whatever changes there, the policy is enforced.
pub fn motion(state: &NodeState, plan: &Plan) -> Option<Motion> {
    let troubled = plan.findings.iter().any(|f| f.severity > Severity::Note);
    if plan.is_empty() && !troubled {
        return None;
    }
    if is_starting(state) {
        return Some(Motion::Starting);
    }
    let of_a_moment = |finding: &Finding| match (finding.severity, finding.code) {
        (Severity::Refuse, code) => !LASTING.contains(&code),
        // Docker puts it back, if this one does at all.
        (_, FindingCode::IsolationLost) => comes_back(state),
        (_, code) => PUT_BACK.contains(&code),
    };
    let moving = state.system.moving
        || state.system.settling.is_some()
        || plan.findings.iter().any(of_a_moment)
        || contradicts_firewalld(state, plan);
    moving.then_some(Motion::Moving)
}

/// What the operator must know of a verdict on a node that was never at rest.
pub(super) fn told(state: &NodeState, plan: &Plan) -> Option<Finding> {
    (state.system.moving && motion(state, plan).is_some()).then(|| {
        Finding::new(
            FindingCode::InMotion,
            View::Kernel,
            "the packet filter kept changing while it was read, so these results may be outdated",
        )
        .hint("check again when firewalld is not being reloaded and no containers are being started; a program that changes rules all the time, such as a ban list, is harmless")
    })
}

fn comes_back(state: &NodeState) -> bool {
    let docker = state.docker.known();
    docker.is_some_and(preflight::puts_isolation_back)
}

fn is_starting(state: &NodeState) -> bool {
    let system = &state.system;
    let daemons = [&system.firewalld_daemon, &system.docker_daemon];
    let starts = |daemon: &Daemon| matches!(daemon, Daemon::Stopped(how) if ["activating", "deactivating", "reloading"].contains(&how.as_str()));
    let loads = |firewalld: &Firewalld| firewalld.state == "INIT";
    daemons.into_iter().any(starts) || state.firewalld.known().is_some_and(loads)
}

/// Whether the plan repairs a chain of the kernel that firewalld already owns: its content is not what firewalld has configured,
/// or the jump to it is not where it was placed.
fn contradicts_firewalld(state: &NodeState, plan: &Plan) -> bool {
    let owned = |family: &Family| {
        let direct = state.runtime.direct.known();
        direct.is_some_and(|direct| direct.owns(*family))
    };
    plan.actions.iter().any(|action| match action {
        Action::PlaceJump { family, .. } | Action::SetKernelChain { family, .. } => owned(family),
        _ => false,
    })
}
