//! A node for tests: one that works and is empty, with functions to add what a test needs.
//!
//! The unit tests have it as a module of this crate, the tests of `tests/it` include the same file (`tests/it/support`); so
//! it uses `fwdeploy::` where other files use `crate::`, and none of it is in the program.

use std::collections::BTreeMap;

use fwdeploy::model::Attachment;
use fwdeploy::model::DesiredNetwork;
use fwdeploy::model::Family;
use fwdeploy::model::Files;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::Records;
use fwdeploy::model::Settings;
use fwdeploy::model::backend::Backend;
use fwdeploy::model::guard::GuardState;
use fwdeploy::model::ipset::SetViews;
use fwdeploy::model::state::Chain;
use fwdeploy::model::state::Direct;
use fwdeploy::model::state::Docker;
use fwdeploy::model::state::Firewall;
use fwdeploy::model::state::Firewalld;
use fwdeploy::model::state::Kernel;
use fwdeploy::model::state::KernelRule;
use fwdeploy::model::state::RichText;
use fwdeploy::model::state::System;
use fwdeploy::model::state::Tables;

/// Builds a [`NodeState`]. Anything that is not set is as on a node that was read completely and is empty.
#[derive(Debug, Clone)]
pub struct NodeBuilder {
    state: NodeState,
}

impl NodeBuilder {
    /// A node with a running firewalld 1.3.3, with the nftables backend and the zone `public`; an empty kernel; and a
    /// Docker without networks and containers. firewalld's files were not read.
    pub fn new() -> Self {
        let firewall = || Firewall {
            direct: Observed::Known(Direct::default()),
            rich: Observed::Known(Vec::new()),
            settings: Observed::Known(Settings::default()),
        };
        let firewalld = Firewalld {
            version: "1.3.3".to_string(),
            state: "RUNNING".to_string(),
            backend: "nftables".to_string(),
            default_zone: "public".to_string(),
            active_zones: BTreeMap::new(),
            panic: false,
            in_kernel: Observed::Known(true),
        };
        let kernel = Kernel {
            v4: Observed::Known(Tables::default()),
            v6: Observed::Known(Tables::default()),
            split: Observed::Known(false),
            latch: Observed::Known(false),
            ip_forward: Observed::Known(true),
            guard: GuardState::default(),
            backend: None,
        };
        let state = NodeState {
            system: System::default(),
            firewalld: Observed::Known(firewalld),
            zone: Observed::Known("public".to_string()),
            permanent: firewall(),
            files: Observed::Unreadable("nobody looked".to_string()),
            runtime: firewall(),
            kernel,
            sets: SetViews::none(),
            docker: Observed::Known(Docker::default()),
            records: Observed::Known(Records::default()),
        };
        NodeBuilder { state }
    }

    /// The machine.
    pub fn system(mut self, system: System) -> Self {
        self.state.system = system;
        self
    }

    /// firewalld's version and backend.
    pub fn firewalld(mut self, version: &str, backend: &str) -> Self {
        if let Some(firewalld) = self.state.firewalld.known_mut() {
            firewalld.version = version.to_string();
            firewalld.backend = backend.to_string();
        }
        self
    }

    /// The active zones, with their interfaces.
    pub fn active_zones(mut self, zones: BTreeMap<String, Vec<String>>) -> Self {
        if let Some(firewalld) = self.state.firewalld.known_mut() {
            firewalld.active_zones = zones;
        }
        self
    }

    /// firewalld's files and its memory, each separately.
    pub fn firewalls(mut self, permanent: Firewall, runtime: Firewall) -> Self {
        self.state.permanent = permanent;
        self.state.runtime = runtime;
        self
    }

    /// The rich rules of the zone, in firewalld's files and in its memory.
    pub fn rich(mut self, rules: &[RichText]) -> Self {
        for firewall in [&mut self.state.permanent, &mut self.state.runtime] {
            firewall.rich = Observed::Known(rules.to_vec());
        }
        self
    }

    /// All else that firewalld has in its files and in its memory.
    pub fn settings(mut self, settings: &Observed<Settings>) -> Self {
        for firewall in [&mut self.state.permanent, &mut self.state.runtime] {
            firewall.settings = settings.clone();
        }
        self
    }

    /// firewalld's files as they are.
    pub fn files(mut self, files: Files) -> Self {
        self.state.files = Observed::Known(files);
        self
    }

    /// All of iptables of a family.
    pub fn tables(mut self, family: Family, tables: Tables) -> Self {
        *self.tables_of(family) = Observed::Known(tables);
        self
    }

    /// A chain of iptables of a family: its rules, as `iptables-save` prints them behind the chain's name.
    pub fn chain(mut self, family: Family, table: &str, name: &str, rules: &[&str]) -> Self {
        let chain = Chain {
            policy: None,
            rules: rules.iter().map(|rule| KernelRule::new(*rule)).collect(),
        };
        if let Some(tables) = self.tables_of(family).known_mut() {
            let table = tables.tables.entry(table.to_string()).or_default();
            table.insert(name.to_string(), chain);
        }
        self
    }

    fn tables_of(&mut self, family: Family) -> &mut Observed<Tables> {
        match family {
            Family::V4 => &mut self.state.kernel.v4,
            Family::V6 => &mut self.state.kernel.v6,
        }
    }

    /// What firewalld's own tables of nft hold.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.state.kernel.backend = Some(Observed::Known(backend));
        self
    }

    /// Whether the latch is on.
    pub fn latch(mut self, is_on: bool) -> Self {
        self.state.kernel.latch = Observed::Known(is_on);
        self
    }

    /// Docker, its networks and its containers.
    pub fn docker(mut self, docker: Docker) -> Self {
        self.state.docker = Observed::Known(docker);
        self
    }

    /// The node.
    pub fn build(self) -> NodeState {
        self.state
    }
}

/// The network `cybex`: 172.20.0.0/16 on the bridge `br-cybex`, without IPv6.
pub fn cybex_network() -> DesiredNetwork {
    DesiredNetwork {
        name: "cybex".to_string(),
        subnet: "172.20.0.0/16".parse().unwrap(),
        gateway: None,
        subnet6: None,
        bridge: "br-cybex".to_string(),
    }
}

/// A container of the role `cybex`, at 172.20.0.2 on the network of [`cybex_network`].
pub fn cybex_attachment(container: &str) -> Attachment {
    Attachment {
        role: "cybex".to_string(),
        container: container.to_string(),
        network: "cybex".to_string(),
        address: "172.20.0.2".parse().unwrap(),
        address6: None,
    }
}
