//! The desired state of a node, for people and for other tools: commands, firewalld's own file, JSON.
//!
//! fwdeploy does not execute any of this; it shows what the rules amount to, for a person who has to read or repeat them.

use std::fmt::Write as _;
use std::io;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use serde::Serializer;

use crate::model::CHAIN;
use crate::model::Desired;
use crate::model::DesiredNetwork;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::direct_xml;
use crate::model::guard::NftablesService;
use crate::model::guard::UNIT;
use crate::model::guard::nftables_service::DROP_IN_FILE;
use crate::model::peer::KnownPeer;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::policy::compile::BETWEEN;
use crate::policy::compile::ESTABLISHED;
use crate::policy::compile::FORGED;
use crate::policy::compile::INBOUND;
use crate::policy::compile::OTHERWISE_IN;
use crate::policy::compile::OTHERWISE_OUT;
use crate::policy::compile::OUTBOUND;
use crate::policy::guard::Capabilities;
use crate::policy::guard::table;
use crate::report::json;
use crate::report::json_writer::Each;

/// The version of [`json()`]'s shape; it grows when a field changes its meaning or goes.
pub const JSON_VERSION: u32 = 1;

/// The commands that root would type on a fresh node to reach the same state: guard, networks, rules, containers, and a check of the result.
///
/// Run as one script, it stops at the first command that fails.
pub fn commands(desired: &Desired) -> String {
    let mut out = Commands(String::from("#!/bin/sh\nset -eu\n"));
    for audit in &desired.audits {
        out.comment(&format!(
            "AUDIT: role `{}` refuses nothing; fwdeploy records what is on no list of it.",
            audit.role
        ));
    }
    out.peers(desired);
    out.guard(desired);
    out.networks(desired);
    out.chain(desired);
    out.rich(desired);
    out.comment(
        "Load it. For a fraction of a second only the guard filters new connections, until Docker has restored its own rules.",
    );
    out.line(&["firewall-cmd", "--reload"]);
    out.attachments(desired);
    out.comment(
        "Check: the rules above, in order, and `-j DOCKER-USER` before every other ACCEPT of FORWARD. Docker 20.10 to 27 may put\n\
         its own before it; then `iptables -w -I FORWARD 1 -j DOCKER-USER`, and delete the later one by its number.",
    );
    for family in desired.families() {
        out.line(&[family.iptables(), "-w", "-S", CHAIN]);
        out.line(&[family.iptables(), "-w", "-S", "FORWARD"]);
    }
    out.0
}

/// firewalld's `/etc/firewalld/direct.xml` with the chain and the rules, written as firewalld writes it (firewalld.direct(5)).
///
/// Only what fwdeploy requires: a node's own file also contains the entries of others.
pub fn direct_xml(desired: &Desired) -> String {
    direct_xml::file(&Direct {
        chains: desired
            .families()
            .into_iter()
            .map(DirectChain::ours)
            .collect(),
        rules: desired.rules.clone(),
        passthroughs: Vec::new(),
    })
}

/// All of it as JSON: the version of the format, then the fields of [`Desired`]. Rules and rich rules are in their order.
pub fn json(desired: &Desired) -> String {
    #[derive(Serialize)]
    struct Versioned<'a> {
        version: u32,
        #[serde(flatten)]
        all: All<'a>,
    }
    let versioned = Versioned {
        version: JSON_VERSION,
        all: All::of(desired),
    };
    json::pretty(&versioned).trim_end().to_string()
}

/// A desired state with what is known of the peers.
#[derive(Serialize)]
struct All<'a> {
    #[serde(flatten)]
    desired: &'a Desired,
    #[serde(skip_serializing_if = "slice_is_empty")]
    peers: &'a [KnownPeer],
}

fn slice_is_empty(peers: &&[KnownPeer]) -> bool {
    peers.is_empty()
}

impl<'a> All<'a> {
    fn of(desired: &'a Desired) -> Self {
        All {
            desired,
            peers: &desired.known,
        }
    }
}

/// Writes one JSON document for nodes, in the shape of the other documents. Each node's state is asked for when it is written.
///
/// # Errors
/// It cannot be written: nobody reads it any more.
pub fn document<'n>(
    to: &mut impl Write,
    nodes: impl Iterator<Item = (&'n str, Arc<Desired>)>,
) -> io::Result<()> {
    #[derive(Serialize)]
    #[serde(bound = "")]
    struct Document<I: Iterator<Item: Serialize>> {
        version: u32,
        command: &'static str,
        nodes: Each<I>,
    }
    struct Node<'n>(&'n str, Arc<Desired>);
    impl Serialize for Node<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            #[derive(Serialize)]
            struct Named<'a> {
                node: &'a str,
                #[serde(flatten)]
                all: All<'a>,
            }
            let (node, all) = (self.0, All::of(&self.1));
            Named { node, all }.serialize(serializer)
        }
    }
    let document = Document {
        version: json::VERSION,
        command: "render",
        nodes: Each::new(nodes.map(|(name, desired)| Node(name, desired))),
    };
    json::write(to, &document)
}

/// A shell script in the making.
struct Commands(String);

impl Commands {
    /// A section's comment, after an empty line.
    fn comment(&mut self, text: &str) {
        self.0.push('\n');
        for line in text.lines() {
            put(&mut self.0, &format!("# {line}"));
        }
    }

    /// One command, each word quoted for a POSIX shell.
    fn line<S: AsRef<str>>(&mut self, words: &[S]) {
        for (number, word) in words.iter().enumerate() {
            if number > 0 {
                self.0.push(' ');
            }
            self.word(word.as_ref());
        }
        self.0.push('\n');
    }

    /// A word, quoted where a shell would read it otherwise.
    fn word(&mut self, word: &str) {
        let word = shlex::try_quote(word);
        self.0
            .push_str(&word.expect("names and addresses are checked, and hold no NUL"));
    }

    /// A file that root alone can read.
    fn file(&mut self, path: &str, content: &str) {
        self.0.push_str(&format!("cat >{path} <<'END'\n"));
        self.0.push_str(content);
        put(&mut self.0, "END");
    }

    /// Who the peers are, as far as the inventory says.
    fn peers(&mut self, desired: &Desired) {
        let about = desired.known.iter().filter_map(|peer| {
            let label = peer.about.label();
            let until = peer.about.until.map(|until| format!("until {until}"));
            let parts = [label, peer.about.reason.clone(), until]
                .into_iter()
                .flatten();
            let parts: Vec<String> = parts.collect();
            (!parts.is_empty()).then(|| format!("  {}: {}", peer.net.short(), parts.join("; ")))
        });
        let lines: Vec<String> = about.collect();
        if !lines.is_empty() {
            self.comment(&format!("Peers:\n{}", lines.join("\n")));
        }
    }

    fn guard(&mut self, desired: &Desired) {
        if desired.guard.networks.is_empty() {
            return;
        }
        let can = Capabilities {
            element_counters: true,
            mark: None,
        };
        self.comment(
            "The guard: what enforces the whitelist while others reload or restart, and at boot. nft before 1.0.6 cannot count the packets of\n\
             an element; there the lines `counter` in sets are left out.",
        );
        self.line(&["umask", "077"]);
        self.line(&["mkdir", "-p", "/etc/fwdeploy"]);
        self.file(
            "/etc/fwdeploy/guard.nft",
            &table(&desired.guard, can).script(),
        );
        self.file("/etc/systemd/system/fwdeploy-guard.service", UNIT);
        if let Some(drop_in) = NftablesService::of_debian().drop_in() {
            self.comment(
                "nftables.service flushes all tables. This is for Debian's; a node without the unit does not need it.",
            );
            self.line(&["mkdir", "-p", "/etc/systemd/system/nftables.service.d"]);
            self.file(DROP_IN_FILE, &drop_in);
        }
        self.line(&["systemctl", "daemon-reload"]);
        self.line(&["systemctl", "enable", "--now", "fwdeploy-guard.service"]);
    }

    fn networks(&mut self, desired: &Desired) {
        if !desired.networks.is_empty() {
            self.comment("Networks, with bridges that can be recognised.");
        }
        for network in &desired.networks {
            self.line(&create_network(network));
        }
    }

    fn attachments(&mut self, desired: &Desired) {
        if !desired.attachments.is_empty() {
            self.comment(
                "Containers at their fixed addresses, now that the rules are in place. One that does not exist yet is created with\n\
                 `docker run --network NETWORK --ip ADDRESS` instead, without `-p`; none belongs on any other network.",
            );
        }
        for attachment in &desired.attachments {
            let mut words = vec!["docker", "network", "connect"];
            let address = attachment.address.to_string();
            let address6 = attachment.address6.map(|address| address.to_string());
            words.extend(["--ip", &address]);
            if let Some(address6) = &address6 {
                words.extend(["--ip6", address6]);
            }
            words.extend([attachment.network.as_str(), attachment.container.as_str()]);
            self.line(&words);
        }
    }

    fn chain(&mut self, desired: &Desired) {
        for family in desired.families() {
            self.comment(&format!(
                "{family}: firewalld owns {CHAIN}, or nothing below would be loaded."
            ));
            self.line(&[
                "firewall-cmd",
                "--permanent",
                "--direct",
                "--add-chain",
                family.name(),
                "filter",
                CHAIN,
            ]);
            self.rules(desired, family);
        }
    }

    fn rules(&mut self, desired: &Desired, family: Family) {
        let mut band = None;
        for rule in desired.rules_of(family) {
            if band != Some(rule.priority) {
                band = Some(rule.priority);
                self.comment(&format!("{family}: {}", meaning(rule)));
            }
            let priority = rule.priority.to_string();
            let mut words = vec!["firewall-cmd", "--permanent", "--direct", "--add-rule"];
            words.extend([rule.ipv(), &rule.table, &rule.chain, &priority]);
            words.extend(rule.args.iter().map(String::as_str));
            self.line(&words);
        }
    }

    fn rich(&mut self, desired: &Desired) {
        if !desired.rich.is_empty() {
            self.comment(
                "Whitelisted peers are forwarded to the containers. Nothing is published.",
            );
        }
        let zone = desired.zone.as_ref().map(|zone| format!("--zone={zone}"));
        for rule in &desired.rich {
            let rule = format!("--add-rich-rule={rule}");
            let mut words = vec!["firewall-cmd", "--permanent"];
            words.extend(zone.as_deref());
            words.push(&rule);
            self.line(&words);
        }
    }
}

fn create_network(network: &DesiredNetwork) -> Vec<String> {
    let mut words: Vec<String> = ["docker", "network", "create", "--driver", "bridge"]
        .map(String::from)
        .into();
    words.extend(["--subnet".to_string(), network.subnet.to_string()]);
    if let Some(gateway) = network.gateway {
        words.extend(["--gateway".to_string(), gateway.to_string()]);
    }
    if let Some(subnet6) = network.subnet6 {
        words.extend([
            "--ipv6".to_string(),
            "--subnet".to_string(),
            subnet6.to_string(),
        ]);
    }
    let bridge = format!("com.docker.network.bridge.name={}", network.bridge);
    words.extend(["--opt".to_string(), bridge, network.name.clone()]);
    words
}

/// What the rules of a priority band are for.
fn meaning(rule: &DirectRule) -> &'static str {
    match rule.priority {
        ESTABLISHED => "replies of accepted connections pass",
        FORGED => "nothing leaves a network with a source address of another",
        BETWEEN => "nothing passes from one of these networks to another",
        INBOUND => "inbound whitelist",
        OUTBOUND => "outbound whitelist",
        OTHERWISE_IN => "all other inbound traffic",
        OTHERWISE_OUT => "all other outbound traffic",
        _ => "others",
    }
}

fn put(out: &mut String, line: &str) {
    writeln!(out, "{line}").expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(args: &[&str]) -> Desired {
        Desired {
            rules: vec![DirectRule {
                family: Some(Family::V4),
                table: "filter".to_string(),
                chain: CHAIN.to_string(),
                priority: 7,
                args: args.iter().map(ToString::to_string).collect(),
            }],
            ..Desired::default()
        }
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        let args = [
            "!",
            "-s",
            "10.0.0.0/8",
            "--comment",
            "it's $(x) & \"y\" <z>",
        ];
        let desired = one(&args);
        let commands = commands(&desired);
        let line = commands.lines().find(|line| line.contains("--add-rule"));
        let words = shlex::split(line.unwrap()).unwrap();
        assert_eq!(words[words.len() - args.len()..], args);
        let xml = direct_xml(&desired);
        let text = "'!' -s 10.0.0.0/8 --comment 'it'\"'\"'s $(x) &amp; \"y\" &lt;z&gt;'";
        assert!(
            xml.contains(&format!("priority=\"7\">{text}</rule>")),
            "{xml}"
        );
    }
}
