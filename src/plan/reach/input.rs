//! Packets to the node itself, and which of them are accepted.

use super::walk::Packets;
use super::walk::Walk;
use super::world::Owner;
use super::world::World;
use crate::model::ranges::Ranges;
use crate::model::step::Act;

/// What lets some of the packets in to a program of the node, the rule or the policy, and whether that is certain. `None` if
/// nothing does.
pub(super) fn admitted(packets: &Packets, peers: Ranges, world: &World) -> Option<(String, bool)> {
    let mut live = delivered(packets, peers, world);
    let mut by = "the policy of `INPUT`".to_string();
    let mut certain = live.clone();
    for base in world.at("input", packets.family) {
        if base.hook.kind == "nat" {
            continue;
        }
        let mut walk = Walk::new(&world.tables[base.chains], packets);
        let through = walk.enter(&base.chain, live.clone());
        let (mut accepted, mut surely) =
            (Ranges::none(packets.family), Ranges::none(packets.family));
        // Packets that may have been refused earlier are not certainly accepted by later rules.
        let mut refused = Ranges::none(packets.family);
        for met in &walk.met {
            match met.step.act {
                Act::Refuse => refused.add(&met.peers),
                Act::Accept => {
                    let mut sure = met.peers.clone();
                    sure.remove(&refused);
                    if met.sure && !sure.is_empty() || accepted.is_empty() {
                        by = match base.owner {
                            Owner::Iptables | Owner::Other => {
                                format!("`{} {}`", met.chain, met.step.text)
                            }
                            Owner::Nft | Owner::Docker | Owner::Firewalld | Owner::Ours => {
                                format!("{}, chain `{}`,", base.table, met.chain)
                            }
                        };
                    }
                    if met.sure {
                        surely.add(&sure);
                    }
                    accepted.add(&met.peers);
                }
                _ => {}
            }
        }
        if !base.hook.drops {
            accepted.add(&through);
            let mut sure = through;
            sure.remove(&refused);
            surely.add(&sure);
        }
        live = live.and(&accepted);
        certain = certain.and(&surely);
    }
    (!live.is_empty()).then_some((by, !certain.is_empty()))
}

/// Those whose packets come to the node itself: nothing refuses them on the way, and no forward takes them.
fn delivered(packets: &Packets, peers: Ranges, world: &World) -> Ranges {
    let mut live = peers;
    let mut tracked = Ranges::every(packets.family);
    for base in world.at("prerouting", packets.family) {
        let nat = base.hook.kind == "nat";
        // No rule of table nat applies to untracked packets.
        let here = if nat {
            live.and(&tracked)
        } else {
            live.clone()
        };
        let mut walk = Walk::new(&world.tables[base.chains], packets);
        let through = walk.enter(&base.chain, here);
        for met in walk.met.iter().filter(|met| met.sure) {
            match met.step.act {
                // Any other destination is not this container's matter.
                Act::Refuse | Act::Dnat(_) | Act::Redirect => live.remove(&met.peers),
                Act::Untrack => tracked.remove(&met.peers),
                _ => {}
            }
        }
        if base.hook.drops && !nat {
            live.remove(&through);
        }
    }
    live
}
