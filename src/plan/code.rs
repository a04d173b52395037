//! The codes of findings: what each means, how much it matters, and what to do about it.

use crate::model::code::Explanation;
use crate::model::code::codes;
use crate::plan::severity::Severity;

/// What a finding means where it matters as much as one of these severities: a row of the manual's tables of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingCase {
    /// The code.
    pub code: FindingCode,
    /// The severities, the worst first. The first one tells in which of the tables the row is.
    pub severities: &'static [Severity],
    /// What was found, and what to do.
    pub explanation: Explanation,
}

impl FindingCode {
    /// What it means, for each severity that its findings can have.
    pub fn cases(self) -> impl Iterator<Item = &'static FindingCase> {
        FindingCase::ALL
            .iter()
            .filter(move |case| case.code == self)
    }

    /// The severities that its findings can have.
    pub fn severities(self) -> impl Iterator<Item = Severity> {
        self.cases().flat_map(|case| case.severities).copied()
    }

    /// The severity of its findings, if all have the same.
    pub fn severity(self) -> Option<Severity> {
        let mut severities = self.severities();
        severities.next().filter(|_| severities.next().is_none())
    }

    /// What it means where it matters this much; `None` if no finding of this code does.
    pub fn explanation(self, severity: Severity) -> Option<&'static Explanation> {
        let mut cases = self.cases();
        let case = cases.find(|case| case.severities.contains(&severity))?;
        Some(&case.explanation)
    }
}

/// Declares the codes by the rows of the manual's tables, in their order. A row is
/// `Code = "spelling" [Severity]: "what was found" => "what to do";`. Only the first row of a code has its spelling.
macro_rules! findings {
    ( $(
        $code:ident $(= $spelling:literal)? [$($severity:ident),+]:
            $meaning:literal => $remedy:literal;
    )+ ) => {
        codes! {
            /// What was found, as a short fixed name for scripts and the manual. [`FindingCase::ALL`] says what each means.
            pub enum FindingCode {
                $( $(
                    #[doc = concat!("`", $spelling, "`: ", $meaning, ".")]
                    $code = $spelling,
                )? )+
            }
        }

        impl FindingCase {
            /// Every row of the manual's tables of findings, in their order.
            pub const ALL: &'static [FindingCase] = &[ $(
                FindingCase {
                    code: FindingCode::$code,
                    severities: &[$(Severity::$severity),+],
                    explanation: Explanation { meaning: $meaning, remedy: $remedy },
                },
            )+ ];
        }
    };
}

findings! {
    NotRoot = "not-root" [Refuse]:
        "the login user is not root"
        => "set `ansible_become: true`, or use `-b`";
    NoBusctl = "no-busctl" [Refuse]:
        "systemd's `busctl` is missing"
        => "install it (part of systemd)";
    FirewalldMissing = "firewalld-missing" [Refuse]:
        "it is not installed"
        => "install it";
    DockerMissing = "docker-missing" [Refuse]:
        "it is not installed"
        => "install it";
    FirewalldStopped = "firewalld-stopped" [Refuse]:
        "it is not running"
        => "`systemctl enable --now firewalld`; its journal says why it stopped. `run --recover` starts one that has crashed";
    DockerStopped = "docker-stopped" [Refuse]:
        "it is not running"
        => "`systemctl enable --now docker`; its journal says why it stopped";
    FirewalldSilent = "firewalld-silent" [Refuse]:
        "it is running but does not answer"
        => "`systemctl status …` and its journal";
    DockerSilent = "docker-silent" [Refuse]:
        "it is running but does not answer"
        => "`systemctl status …` and its journal";
    LocksOut = "locks-out" [Refuse]:
        "the role forwards the port on which this ssh connection came in, or, if fwdeploy runs on the node itself, one on which sshd listens; or a subnet to be created contains the address that it came from, or a gateway of the node"
        => "forward another port of the node (`port` with `to_port`), or let sshd listen on another one; or choose another subnet";
    SubnetShadows = "subnet-shadows" [Refuse]:
        "a subnet to be created overlaps a network that the node itself is on, or contains one that it routes elsewhere: hosts there would count as containers"
        => "choose another subnet in the inventory";
    FromNodeNeedsNft = "from-node-needs-nft" [Refuse]:
        "an inbound entry has `from: node`, and the node has no nft, or one before 0.9.4: the guard in iptables' table mangle cannot refuse what programs of the node send to a container"
        => "install nftables 0.9.4 or later on the node, or remove `node` from the entry: then its programs reach every port of the container";
    FirewalldFailed = "firewalld-failed" [Refuse]:
        "firewalld is in state FAILED: it could not load a rule"
        => "`run --recover`; or fix what its journal names, then `firewall-cmd --reload`";
    FirewalldFlushed = "firewalld-flushed" [Refuse]:
        "the kernel does not hold firewalld's rules: they were flushed without firewalld's knowledge"
        => "`run --recover`";
    FirewalldDoubled = "firewalld-doubled" [Refuse]:
        "firewalld was killed, and the new instance added all its rules to the same nft table again: the older forwards come first, and a removed port stays open"
        => "`run --recover`";
    FirewalldPanic = "firewalld-panic" [Refuse]:
        "panic mode drops everything"
        => "`firewall-cmd --panic-off`";
    FirewalldOld = "firewalld-old" [Refuse]:
        "older than firewalld 0.6, Docker 18.02"
        => "upgrade it";
    DockerOld = "docker-old" [Refuse]:
        "older than firewalld 0.6, Docker 18.02"
        => "upgrade it";
    DockerNftables = "docker-nftables" [Refuse]:
        "Docker filters with its nftables backend, and the node has no nft of 0.9.4 or later for the guard, or firewalld filters with iptables, or Docker's tables are not understood; or a network of `covers: container` would need the gateway mode `nat-unprotected`"
        => "install nftables; set `FirewallBackend=nftables`; or set `\"firewall-backend\": \"iptables\"` in daemon.json, and restart Docker";
    NoIptables = "no-iptables" [Refuse]:
        "iptables is not installed: firewalld takes direct rules, reports success, and has none of them in force"
        => "install the package `iptables`, then restart firewalld";
    DockerNftMix = "docker-nft-mix" [Refuse]:
        "Docker before 20.10 together with firewalld's nftables backend"
        => "set `FirewallBackend=iptables`, or upgrade Docker";
    DockerDeaf = "docker-deaf" [Refuse]:
        "Docker started before firewalld and is not notified of its reloads"
        => "restart Docker; `After=firewalld.service` in its unit helps at the next boot";
    DockerRulesGone = "docker-rules-gone" [Refuse]:
        "Docker's rules are missing in iptables, or in nft with its nftables backend: flushed, or lost in a reload that failed"
        => "`run --recover`; also restart Docker if it is `docker-deaf`, or filters with its nftables backend";
    DockerWithoutIptables = "docker-without-iptables" [Refuse]:
        "Docker was configured not to manage iptables, or does not manage ip6tables"
        => "remove `\"iptables\": false`, or set `\"ip6tables\": true`";
    LeaseWithoutOwner = "lease-without-owner" [Refuse]:
        "a run was never ended, and the node's timer that would end it is gone"
        => "`run --recover`";
    RestoreUnfinished = "restore-unfinished" [Refuse]:
        "the node tried to roll back a run and failed"
        => "its journal (`journalctl -u 'fwdeploy-restore*'`) says why; `run --recover`";
    SnapshotDamaged = "snapshot-damaged" [Refuse]:
        "a run was never ended, and its snapshot is incomplete, so it cannot be rolled back"
        => "`run --recover` abandons that run; the node stays as it is";
    SplitIptables = "split-iptables" [Refuse]:
        "`DOCKER-USER` exists in both iptables-legacy and iptables-nft"
        => "choose one with `update-alternatives`, reboot";
    NoZone = "no-zone" [Refuse]:
        "the node has no zone of that name; the existing zones are listed"
        => "set `fwdeploy_zone` to the zone of the public interface";
    Unreadable = "unreadable" [Refuse]:
        "required information could not be read"
        => "run again, with `-v`";
    SubnetTaken = "subnet-taken" [Refuse]:
        "another Docker network has (part of) the subnet"
        => "choose another subnet in the inventory, or remove that network";
    NetworkDiffers = "network-differs" [Refuse]:
        "the Docker network has another subnet, gateway …"
        => "run again with `--replace-network`";
    NetworkTwice = "network-twice" [Refuse]:
        "Docker has two networks of that name"
        => "`docker network rm ID` for the one that is not needed";
    AddressTaken = "address-taken" [Refuse]:
        "another container has the address"
        => "move it, or choose another address";
    AddressReserved = "address-reserved" [Refuse]:
        "Docker gives the address to no container: it is the gateway, reserved (`--aux-address`), or an end of the subnet"
        => "choose another address";
    ContainerRestarting = "container-restarting" [Refuse]:
        "with `--replace-network`: a container on the network is in a restart loop and cannot be detached"
        => "`docker stop`, then run again";
    PendingPermanent = "pending-permanent" [Refuse]:
        "a reload is needed or was requested, and would also activate changes that are not fwdeploy's; or this cannot be determined"
        => "resolve the pending changes, or allow them with `--allow-pending`";
    EditedByHand = "edited-by-hand" [Refuse]:
        "one of firewalld's files was edited, and firewalld has not read it since: writing the permanent configuration would overwrite the edit, and a reload would load it without review. Also where nothing has to be written, if the file lacks rules of the whitelist or lets others past it: the next reload by anybody would put that in force"
        => "`firewall-cmd --reload`, unless ssh would be lost by it; or revert the edit. Lines that firewalld ignores are reported even after a reload and must be removed";
    SshLost = "ssh-lost" [Refuse]:
        "after a reload, this ssh connection's peer could not open a new one, or this cannot be determined"
        => "in the permanent configuration, fix what the finding names";
    ForeignAccept = "foreign-accept" [NotEnforced]:
        "another tool's rule in firewalld's own configuration is ahead of the whitelist"
        => "remove it if it is not needed";
    AdmitsAfterReload = "admits-after-reload" [NotEnforced]:
        "at each reload, a passthrough in firewalld's permanent configuration puts a rule ahead of the whitelist, or removes rules of the whitelist"
        => "remove it if it is not needed";
    SharedNetworkStack = "shared-network-stack" [NotEnforced]:
        "the container uses the network stack of the node or of another container"
        => "start it again on the role's network";
    ForwardLeft = "forward-left" [NotEnforced]:
        "firewalld's nft table forwards to a managed address, and firewalld does not know about it"
        => "`run --recover`";
    SecondNetwork = "second-network" [NotEnforced]:
        "the container is also on a network that leads out"
        => "`docker network disconnect`, or remove that network from its Compose file";
    Relay = "relay" [NotEnforced]:
        "a running container that no role manages is on the managed network and on another one: it can relay traffic that the whitelist refuses, in both directions"
        => "remove it from one of the two networks";
    SubnetShadows [NotEnforced]:
        "as above, for an existing network"
        => "choose another subnet in the inventory";
    AuditExpired = "audit-expired" [NotEnforced]:
        "the role is in audit, and the last day in its `until` is over: what is on no list still passes. It never begins to be refused by itself"
        => "remove `enforce: audit` and `until`, or set a later day";
    ContainerRestarting [NotEnforced]:
        "the container is in a restart loop, and is not configured to be (only) on the role's network"
        => "`docker stop`, then run again";
    ProxyOpen = "proxy-open" [NotEnforced, Warning]:
        "a host that is not on the whitelist reaches the container through a published port: docker-proxy takes the packets, and they never pass the whitelist (over IPv6, from another container, untracked, or where firewalld's iptables backend comes before Docker's forward). A warning if a condition on the path is not understood"
        => "start it without `-p`";
    InMotion = "in-motion" [Warning]:
        "the packet filter kept changing while it was read"
        => "check again when firewalld is not being reloaded and no containers are being started";
    Leased = "leased" [Warning]:
        "someone is changing the node at this moment"
        => "wait until that run ends, or until the node has rolled back";
    SecondName = "second-name" [Warning]:
        "the inventory has another name for the same machine; a run works on its names one after the other"
        => "name each machine once in the inventory, with all its roles";
    NoForwarding = "no-forwarding" [Warning]:
        "`net.ipv4.ip_forward`, or IPv6's `forwarding`, is 0: nobody reaches a container"
        => "turn it on";
    ZoneInactive = "zone-inactive" [Warning]:
        "the zone has no interface, so nothing is forwarded"
        => "set `fwdeploy_zone` to the zone of the public interface";
    BridgeUnzoned = "bridge-unzoned" [Warning]:
        "the bridge is in no zone, so firewalld rejects what its containers send, even to a peer"
        => "`firewall-cmd --zone=docker --add-interface=BRIDGE`, or restart Docker";
    NoMasquerade = "no-masquerade" [Warning]:
        "Docker's MASQUERADE for the subnet is missing, disabled, or behind an ACCEPT, so no peer can answer"
        => "restart Docker; remove that rule if it is not needed";
    ForeignDrop = "foreign-drop" [Warning, Note]:
        "another tool's rule refuses traffic that is on the whitelist: in any table and chain of iptables, in a chain reached from there, in the other iptables backend, or in an nft table. A note if the rule uses a set that cannot be read"
        => "remove that rule if it is not needed";
    ForwardTaken = "forward-taken" [Warning]:
        "a rule sends traffic for the container elsewhere: another container that publishes the port, a redirect, an earlier forward"
        => "remove that rule, or give one of the two another port";
    Untracked = "untracked" [Warning]:
        "a rule exempts a whitelisted flow from connection tracking: it is not forwarded, and its answers are refused"
        => "remove that rule if it is not needed";
    ProxyReached = "proxy-reached" [Warning]:
        "the container reaches a port that another container publishes, through docker-proxy on the node"
        => "publish it on 127.0.0.1 if only the node needs it, or `\"userland-proxy\": false` in daemon.json";
    ListenerShadowed = "listener-shadowed" [Warning]:
        "a program on the node, or another container, uses a port that is forwarded for the whitelist: peers reach the one, everyone else the other"
        => "give one of them another port (`port` with `to_port`)";
    PortlessRefused = "portless-refused" [Warning]:
        "an entry without a port lets peers send to the container's own address, and Docker (28 and later) or firewalld's nftables backend refuses that"
        => "give the entry a port";
    PolicyRouting = "policy-routing" [Warning]:
        "a rule of `ip rule` matches the addresses of a flow, and its effect is not evaluated"
        => "see `ip route get`";
    NetworkOption = "network-option" [Warning]:
        "the Docker network has an option by which its containers have no way in or out, or send with their own addresses"
        => "recreate it without the option";
    NotJudged = "not-judged" [Note]:
        "something on the node that decides about flows could not be read: listeners, routing, sets, nft tables"
        => "look on the node with `ss`, `ip rule`, `ipset list` or `nft list ruleset`";
    PeerInOtherZone = "peer-in-other-zone" [Warning]:
        "a peer's packets arrive in a zone other than the one with the rules, because of a source, an address set or an interface: the peer does not get in"
        => "remove the binding that the message names, or set `fwdeploy_zone` to that zone if all peers come in through it";
    PeerZoneUnknown = "peer-zone-unknown" [Note]:
        "a zone has an address set as its source that firewalld does not list completely, so a peer may be in it"
        => "look with `ipset list` or `nft list sets`; if no peer is in it, nothing is wrong";
    RefusedByFirewalld = "refused-by-firewalld" [Warning]:
        "with firewalld's nftables backend, a policy or the zone of the bridge refuses what the container sends to a peer"
        => "change the policy, or bind the bridge to zone `docker`";
    ForwardLost = "forward-lost" [Warning]:
        "firewalld reports a forward that the kernel does not hold"
        => "with the nftables backend `run --recover`; with the iptables backend `firewall-cmd --reload`, then run again";
    ForwardBehind = "forward-behind" [Warning]:
        "another forward of the same port comes first in firewalld's table and takes the packets elsewhere"
        => "remove the other one, or use another port of the node";
    ForwardsUnread = "forwards-unread" [Warning]:
        "firewalld's nft table cannot be read, so it is unknown whether its forwards are in effect"
        => "install `nft` on the node";
    ForeignAccept [Warning]:
        "as above, on a node with the guard, which refuses what the rule would let in"
        => "remove it if it is not needed";
    ForwardLeft [Warning]:
        "as above, on a node with the guard, which refuses what is forwarded"
        => "`run --recover`";
    GuardInMangle = "guard-in-mangle" [Note]:
        "the node has no nft, or one before 0.9.4, so the guard is held in iptables' table mangle by direct rules of firewalld: what it refuses is dropped without an answer and is not recorded, and with firewalld's nftables backend connections that were open before pass for the moment of a reload"
        => "nothing, or install nftables 0.9.4 or later on the node";
    Audit = "audit" [Warning]:
        "the role has `enforce: audit`, or the run `--audit`: what is on no list passes. It is recorded where the guard is held by nft"
        => "look at `fwdeploy refused`, add to the whitelist what is missing there, then remove `enforce: audit`, or run without `--audit`";
    AuditEnds = "audit-ends" [Warning]:
        "the guard on the node is in audit, and its roles are not (any more): the run enforces the whitelist"
        => "before the run, look at `fwdeploy refused`: it shows what will be refused";
    GuardAlone = "guard-alone" [Note]:
        "Docker filters with its nftables backend, which has no `DOCKER-USER`: the guard alone enforces the whitelist, and nothing does if it is removed"
        => "nothing";
    DockerRefuses = "docker-refuses" [Warning]:
        "Docker's nftables backend drops what firewalld forwards to the network, although its gateway mode, or the mark that it accepts, says otherwise"
        => "restart Docker";
    GuardPassed = "guard-passed" [Warning]:
        "the guard is held in iptables' table mangle, and a direct rule of others with a priority of -1000 or less accepts packets there ahead of it, once firewalld has reloaded"
        => "give it a higher priority, or name the interfaces that it is for (`-i`, `-o`)";
    GuardLeft = "guard-left" [Warning]:
        "nft held the guard and is not on the node any more, or too old: the kernel keeps the table until the next boot, and it refuses peers that were added since"
        => "install nftables again, which takes the guard back; or remove `/etc/fwdeploy` and `fwdeploy-guard.service`, and reboot";
    GuardOverridden = "guard-overridden" [Warning]:
        "files in `fwdeploy-guard.service.d` change the unit that loads the guard at boot"
        => "remove them (`systemctl revert fwdeploy-guard.service`)";
    GuardFlushed = "guard-flushed" [Note]:
        "`nftables.service` flushes all tables, and its commands are not those of a distribution that fwdeploy knows: the guard is missing for about a tenth of a second whenever it is started, reloaded or stopped"
        => "let it run `nft -f FILE` and `nft flush ruleset`, as the distribution's unit does, or disable it";
    Orphaned = "orphaned" [Warning]:
        "no role applies to the node, and it still holds what an earlier run has made there; it stays as it is"
        => "give the node its role back, or take it away with `fwdeploy remove -l NODE`";
    NotRemoved = "not-removed" [Warning]:
        "something was not removed: it is in use, or nothing proves that fwdeploy has made it"
        => "if nothing needs it, remove it by hand";
    NodeClosed = "node-closed" [Note]:
        "the guard is new on the node, and closes the node's own services to the containers of a managed network; those that listen there are listed"
        => "if a container needs one of them, add an outbound entry with `to: node` to its role, or set `node: open` on the network";
    NodeOpen = "node-open" [Note]:
        "the network has `node: open`: its containers reach every service of the node that listens on an address other than loopback"
        => "nothing, or remove `node: open` and name what they need with `to: node`";
    LeftBehind = "left-behind" [Note]:
        "a run was killed while it was arming the node; what it left has no effect"
        => "nothing: the next run that changes the node removes it";
    KeptBehind = "kept-behind" [Note]:
        "another tool's rule would let in hosts that are not on the whitelist from its present position: the whitelist is put ahead of it, and the rule is kept"
        => "nothing, or remove it if it is not needed";
    NotCompared = "not-compared" [Note]:
        "the node does not report how its iptables prints another tool's rule, so it is unknown whether the kernel holds the rule"
        => "nothing; if `unshare` is missing, install util-linux";
    AdmitsAfterReload [Warning]:
        "at each reload, another tool's permanent rule in `FORWARD` lets in hosts that are not on the whitelist until Docker has restored its jump; or a passthrough about `DOCKER-USER` is not understood"
        => "restrict it to the interfaces it is for, or remove it";
    DockerUnfiltered = "docker-unfiltered" [Warning]:
        "Docker was configured not to manage iptables, and its earlier rules remain until the next reload or boot"
        => "remove `\"iptables\": false`, and restart Docker";
    PendingPermanent [Warning]:
        "with `--allow-pending`: what the reload changes besides fwdeploy's own rules"
        => "nothing";
    EditedByHand [Warning]:
        "the same as above, but nothing has to be written or reloaded, and the edit does not weaken the whitelist; a `rollback` or a `drill` writes, and is refused"
        => "before the next change, `firewall-cmd --reload`, unless ssh would be lost by it; or revert the edit";
    SetAside = "set-aside" [Warning]:
        "with `--recover`: a permanent direct rule that could not be loaded was removed"
        => "fix it, and add it again";
    IsolationLost = "isolation-lost" [Warning]:
        "Docker's isolation between networks has been missing since a reload (CVE-2025-54410)"
        => "restart Docker, or upgrade it";
    AddressLost = "address-lost" [Warning]:
        "a container's address is outside the new subnet"
        => "nothing, or give it a new one";
    SettingLost = "setting-lost" [Warning]:
        "a setting that someone has made does not survive `--replace-network`, or a container's move"
        => "nothing, or set it again";
    AddressClaimed = "address-claimed" [Warning]:
        "a container that is not running has the same fixed address: whichever starts first gets it"
        => "`docker rm`, or choose another address for it";
    ContainerRestarting [Warning, Note]:
        "the container is in a restart loop, or has no address at the moment; its fixed address is correct"
        => "`docker logs`";
    ContainerElsewhere = "container-elsewhere" [Warning]:
        "the container does not exist, and another one that may be it is on no managed network, and therefore open"
        => "move it to the role's network, or correct its name in the inventory";
    Opened = "opened" [Warning]:
        "the container was on the whitelist of a role that the node no longer has, or the whitelist is removed from the node: without its rules it is open"
        => "give the node the role back, or stop the container";
    Relay [Warning]:
        "as above, for a container that is not running"
        => "remove it from one of the two networks";
    NetAdmin = "net-admin" [Warning]:
        "a container on the managed network may change its addresses (NET_ADMIN, privileged), and so use another container's address and whitelist"
        => "start it without";
    MacTwice = "mac-twice" [Warning]:
        "two running containers on the network have the same MAC address"
        => "start all but one with another `--mac-address`";
    DnsLeaves = "dns-leaves" [Warning]:
        "Docker resolves names from the node itself, bypassing the whitelist: through every server with Docker 28 and later, through a server on the node's loopback before that"
        => "set `--dns` for the container, or `\"dns\"` in daemon.json";
    RouteShadowed = "route-shadowed" [Warning]:
        "a subnet to be created hides part of a route, or a DNS server, from the node"
        => "choose another subnet, if the route or server is needed";
    RoutesUnread = "routes-unread" [Warning]:
        "it cannot be determined whether a subnet to be created hides any of the node's routes"
        => "compare it with `ip route`";
    PeerInside = "peer-inside" [Warning]:
        "a peer on the whitelist is within the subnet"
        => "remove it from the whitelist, or choose another subnet";
    PublishedPort = "published-port" [Warning]:
        "the container publishes ports: the node itself reaches it through them, and no one else appears to"
        => "start it without `-p`";
    IpsetsUnused = "ipsets-unused" [Note]:
        "a list has more peers than `fwdeploy_ipset_threshold`, and each of them keeps its rules: ipset is missing, or a set would need a reload of firewalld that may not be"
        => "install ipset and restart firewalld; resolve what is pending; or nothing";
    CameBack = "came-back" [Note]:
        "the drill passed"
        => "nothing";
    ReloadedInstead = "reloaded-instead" [Note]:
        "the chain could not be recreated in place, so firewalld was reloaded under the latch"
        => "nothing";
    NoContainer = "no-container" [Note]:
        "the container does not exist yet; its rules are already in place"
        => "start it on the role's network, at its address";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_has_one_explanation_for_each_of_its_severities() {
        for code in FindingCode::ALL {
            let severities: Vec<Severity> = code.severities().collect();
            let each: BTreeSet<Severity> = severities.iter().copied().collect();
            assert!(!severities.is_empty(), "{code}");
            assert_eq!(each.len(), severities.len(), "{code} has one twice");
        }
        for case in FindingCase::ALL {
            assert!(case.severities.is_sorted_by(|a, b| a > b), "{}", case.code);
        }
    }

    #[test]
    fn no_two_codes_are_spelled_alike() {
        let spelled: BTreeSet<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(spelled.len(), FindingCode::ALL.len());
    }
}
