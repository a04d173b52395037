//! What is done to a node, or to the controller, in the middle of a run.

use std::fmt;

use crate::matrix::Row;

/// A fault. What of it happens on the node is [`Fault::script`]; the rest is [`crate::cell`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    SshCut,
    ControllerKilled,
    NetworkLost,
    FirewalldKilled,
    FirewalldStopped,
    DockerdKilled,
    DockerdRestarting,
    EtcFull,
    VarFull,
    Reboot,
    ClockJumped,
    TimerServiceFailing,
    ContainerRestarted,
    ChainFlushed,
    FirewalldRestarting,
    SystemdReexecuted,
    TwoPlugs,
}

/// Whether a fault comes ahead of what the step does, or behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

impl When {
    /// As the shim reads it.
    pub fn word(self) -> &'static str {
        match self {
            When::Before => "before",
            When::After => "after",
        }
    }
}

/// Lets the harness do its part, and waits for it with a time limit.
const ASK: &str = ": >/run/fault/asked; n=0; until [ -e /run/fault/answered ] || [ $n = 500 ]; do sleep 0.02; n=$((n + 1)); done\n";

impl Fault {
    pub const ALL: [Fault; 17] = [
        Fault::SshCut,
        Fault::ControllerKilled,
        Fault::NetworkLost,
        Fault::FirewalldKilled,
        Fault::FirewalldStopped,
        Fault::DockerdKilled,
        Fault::DockerdRestarting,
        Fault::EtcFull,
        Fault::VarFull,
        Fault::Reboot,
        Fault::ClockJumped,
        Fault::TimerServiceFailing,
        Fault::ContainerRestarted,
        Fault::ChainFlushed,
        Fault::FirewalldRestarting,
        Fault::SystemdReexecuted,
        Fault::TwoPlugs,
    ];

    /// What the shim runs on the node; its own process id is `$1`.
    pub fn script(self, row: &Row) -> String {
        match self {
            Fault::SshCut => r#"
pid=$1
while [ "$pid" -gt 1 ]; do
    read -r name </proc/$pid/comm
    case $name in sshd*) kill -9 "$pid"; break ;; esac
    pid=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$pid/status)
done
sleep 0.2
"#
            .to_string(),
            Fault::FirewalldKilled => {
                "/usr/bin/systemctl kill -s KILL firewalld; sleep 0.1".to_string()
            }
            Fault::FirewalldStopped => "/usr/bin/systemctl stop firewalld".to_string(),
            Fault::DockerdKilled => {
                "/usr/bin/systemctl kill --kill-who=main -s KILL docker; sleep 0.1".to_string()
            }
            Fault::DockerdRestarting => {
                "/usr/bin/systemctl --no-block restart docker; sleep 0.1".to_string()
            }
            // The step goes on meanwhile.
            Fault::ContainerRestarted => {
                "timeout 20 /usr/bin/docker restart -t 0 cybex & sleep 0.2".to_string()
            }
            Fault::ChainFlushed => "/usr/sbin/iptables -w -F DOCKER-USER".to_string(),
            Fault::FirewalldRestarting => {
                "/usr/bin/systemctl --no-block restart firewalld; sleep 0.1".to_string()
            }
            Fault::SystemdReexecuted => "/usr/bin/systemctl daemon-reexec; sleep 0.1".to_string(),
            Fault::EtcFull => fill("/run/fault.etc"),
            Fault::VarFull => fill("/run/fault.var"),
            Fault::ClockJumped => format!(": >/run/fault/clock\n{ASK}"),
            Fault::TimerServiceFailing if *row == Row::Timer => ": >/run/fault/refused".to_string(),
            Fault::ControllerKilled
            | Fault::NetworkLost
            | Fault::Reboot
            | Fault::TwoPlugs
            | Fault::TimerServiceFailing => ASK.to_string(),
        }
    }

    /// Whether the controller is killed too, so there is no report.
    pub fn kills_the_controller(self, row: &Row, when: When) -> bool {
        match self {
            Fault::ControllerKilled => true,
            Fault::TimerServiceFailing => *row != Row::Timer,
            Fault::ClockJumped => when == When::After,
            _ => false,
        }
    }

    /// Whether it may restart containers.
    pub fn starts_containers(self) -> bool {
        matches!(self, Fault::ContainerRestarted) || self.starts_docker()
    }

    /// Whether it restarts Docker.
    fn starts_docker(self) -> bool {
        matches!(
            self,
            Fault::DockerdKilled | Fault::DockerdRestarting | Fault::Reboot | Fault::TwoPlugs
        )
    }

    /// Whether the node itself goes down with it, so the controller cannot know its condition.
    pub fn cuts_the_node_off(self) -> bool {
        matches!(self, Fault::NetworkLost | Fault::Reboot | Fault::TwoPlugs)
    }

    /// Whether it changes what the kernel and the daemons hold, so that even an untouched node differs
    /// afterwards.
    pub fn moves_the_world(self) -> bool {
        self.starts_docker()
            || matches!(
                self,
                Fault::FirewalldKilled | Fault::FirewalldStopped | Fault::FirewalldRestarting
            )
    }

    /// Whether nothing is left that could finish the run, or nothing on the node continues.
    pub fn takes_the_run_away(self) -> bool {
        matches!(
            self,
            Fault::SshCut
                | Fault::ControllerKilled
                | Fault::DockerdKilled
                | Fault::DockerdRestarting
                | Fault::TwoPlugs
        )
    }

    /// The fault alone, on a node without a run, and what an operator would do about it.
    pub fn alone(self) -> &'static str {
        match self {
            Fault::FirewalldStopped => {
                "systemctl stop firewalld; sleep 1; systemctl start firewalld"
            }
            Fault::DockerdKilled => {
                "systemctl kill --kill-who=main -s KILL docker; sleep 1; systemctl start docker"
            }
            _ => ":",
        }
    }

    /// The file system that it fills: the folder on the node, and where the file system itself is mounted.
    pub fn fills(self) -> Option<(&'static str, &'static str)> {
        match self {
            Fault::EtcFull => Some(("/etc/firewalld", "/run/fault.etc")),
            Fault::VarFull => Some(("/var/lib/fwdeploy", "/run/fault.var")),
            _ => None,
        }
    }
}

/// Writes until nothing more goes in.
fn fill(place: &str) -> String {
    format!("cat /dev/zero >{place}/filler; df {place}")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::SshCut => "ssh cut",
            Fault::ControllerKilled => "controller SIGKILL",
            Fault::NetworkLost => "network lost",
            Fault::FirewalldKilled => "firewalld kill -9",
            Fault::FirewalldStopped => "firewalld stopped",
            Fault::DockerdKilled => "dockerd kill -9",
            Fault::DockerdRestarting => "dockerd restarting",
            Fault::EtcFull => "/etc full",
            Fault::VarFull => "/var full",
            Fault::Reboot => "reboot",
            Fault::ClockJumped => "clock jumped",
            Fault::TimerServiceFailing => "timer service failing",
            Fault::ContainerRestarted => "container restarted",
            Fault::ChainFlushed => "DOCKER-USER flushed",
            Fault::FirewalldRestarting => "firewalld restarting",
            Fault::SystemdReexecuted => "systemd re-executed",
            Fault::TwoPlugs => "plug pulled twice",
        })
    }
}
