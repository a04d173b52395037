//! The change: one script that takes the steps of a plan, and stops at the first that fails.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::guard::mangle::MangleChain;
use crate::model::guard::mangle::MangleJump;
use crate::model::guard::mangle::MangleState;
use crate::model::ipset::IpSet;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Endpoint;
use crate::model::state::RichText;
use crate::node::quote;
use crate::node::shell::LIBRARY;
use crate::node::shell::STEPS;
use crate::plan::Action;
use crate::plan::action::NetworkSpec;
use crate::plan::action::SetHolder;

/// Returns the script that takes these steps in order, to be fed to `sh -s` as root, on a node that is not armed.
///
/// Its answer is for [`Steps`](crate::node::Steps). The script does nothing until it has been read to its last line.
pub fn apply(actions: &[Action]) -> String {
    format!(
        "{LIBRARY}{STEPS}\nprepare() {{ :; }}\n{}\nmain\n",
        plan(actions)
    )
}

/// The function `plan` that takes these steps.
pub(super) fn plan(actions: &[Action]) -> String {
    let mut plan = String::new();
    for (number, action) in actions.iter().enumerate() {
        let _ = writeln!(plan, "    step {number} {}", line(&step(action)));
    }
    if actions.is_empty() {
        plan.push_str("    :\n");
    }
    format!("plan() {{\n{plan}}}\n")
}

/// Words as one line of shell.
pub(super) fn line<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words.iter().map(|w| quote(w.as_ref())).collect();
    words.join(" ")
}

/// Values of a signature as one word, however many there are: each ends with U+001F. No file of firewalld's can hold that character, as XML
/// has none such; a value with it would be taken for two, which firewalld refuses.
fn values(words: &[String]) -> String {
    words.iter().flat_map(|word| [word, "\u{1f}"]).collect()
}

/// The command of a step.
pub(super) fn step(action: &Action) -> Vec<String> {
    match action {
        Action::SetPermanentDirect { before, after } => {
            let (before, after) = (&grouped(before), &grouped(after));
            vec![
                "set_direct".to_string(),
                values(&direct_words(before)),
                values(&direct_words(after)),
                told_direct(before),
                told_direct(after),
            ]
        }
        Action::SetPermanentRich {
            zone,
            before,
            after,
        } => vec![
            "set_rich".to_string(),
            zone.clone(),
            values(&rich_words(before)),
            values(&rich_words(after)),
            told_rich(before),
            told_rich(after),
        ],
        Action::SetPermanentSet {
            name,
            before,
            after,
        } => {
            let (before, after) = (before.as_ref(), after.as_ref());
            vec![
                "save_set".to_string(),
                name.clone(),
                before.map_or_else(String::new, |set| values(&set_words(set))),
                after.map_or_else(String::new, |set| values(&set_words(set))),
            ]
        }
        // That nothing is to change says that the file is to be written.
        Action::RewriteSet { name, set, .. } => {
            let set = values(&set_words(set));
            vec!["save_set".to_string(), name.clone(), set.clone(), set]
        }
        Action::SetEntries {
            name,
            before,
            after,
        } => {
            let (gone, come) = (
                before.texts_beyond(Some(after)),
                after.texts_beyond(Some(before)),
            );
            if gone.len() + come.len() > SINGLE_ENTRIES {
                let whole = |set: &IpSet| values(&list_words(&set.texts()));
                return vec![
                    "fill_set".to_string(),
                    name.clone(),
                    whole(before),
                    whole(after),
                ];
            }
            vec![
                "change_set".to_string(),
                name.clone(),
                values(&gone),
                values(&come),
            ]
        }
        Action::SettleSet {
            name,
            holder,
            before,
            after,
        } => {
            let (gone, come) = (
                before.texts_beyond(Some(after)),
                after.texts_beyond(Some(before)),
            );
            let joined = |entries: &[String], separator: &str, word: &dyn Fn(&String) -> String| {
                let words: Vec<String> = entries.iter().map(word).collect();
                words.join(separator)
            };
            match holder {
                SetHolder::Ipset => vec![
                    "settle_ipset".to_string(),
                    name.clone(),
                    joined(&gone, "\n", &|entry| format!("del {name} {entry}")),
                    joined(&come, "\n", &|entry| format!("add {name} {entry}")),
                ],
                SetHolder::Nft(family) => vec![
                    "settle_nft_set".to_string(),
                    family.clone(),
                    name.clone(),
                    joined(&gone, ", ", &|entry| in_nft(entry)),
                    joined(&come, ", ", &|entry| in_nft(entry)),
                ],
            }
        }
        Action::CreateNetwork(spec) => network_words(spec),
        Action::RemoveNetwork(spec) => {
            let network = by_id(&spec.id, &spec.name);
            vec!["remove_network".to_string(), network]
        }
        Action::Connect {
            container,
            endpoint,
        } => {
            let mut words = connect_words(container, endpoint);
            // The last but one, as connect_words ends.
            let network = words.len() - 2;
            words[network] = by_id(&endpoint.network_id, &endpoint.network);
            words
        }
        Action::Disconnect {
            container,
            endpoint,
        } => vec![
            "disconnect".to_string(),
            by_id(&endpoint.network_id, &endpoint.network),
            container.clone(),
        ],
        Action::SetGuard { before, after } => match &after.table {
            None => vec!["remove_guard".to_string()],
            Some(table) => {
                let before = before.table.as_ref();
                let change = before.and_then(|before| table.change_from(before));
                let script = table.script();
                let drop_in = after.boot.drop_in.clone().unwrap_or_default();
                let change = change.unwrap_or_default();
                vec!["set_guard".to_string(), script, change, drop_in]
            }
        },
        Action::Latch { subnets } => with_subnets("latch", subnets),
        Action::Unlatch { .. } => vec!["unlatch".to_string()],
        Action::OwnChain { family } => on_family("own_chain", *family),
        Action::DisownChain { family } => on_family("disown_chain", *family),
        Action::SetKernelChain { family, after, .. } => match after {
            None => on_family("remove_chain", *family),
            Some(rules) => {
                let lines: Vec<String> = rules
                    .iter()
                    .map(|rule| format!("-A {} {}", crate::model::CHAIN, rule.text))
                    .collect();
                let mut words = on_family("set_chain", *family);
                words.extend([rules.len().to_string(), lines.join("\n")]);
                words
            }
        },
        Action::PlaceJump { family, after, .. } => {
            let places: BTreeSet<usize> = after.iter().copied().collect();
            let mut words = on_family("place_jump", *family);
            words.extend(places.iter().map(|place| (place + 1).to_string()));
            words
        }
        Action::AddChain { family, chain } => of_guard("add_guard_chain", *family, *chain),
        Action::RemoveChain { family, chain } => of_guard("remove_guard_chain", *family, *chain),
        Action::SetMangle { family, after, .. } => {
            let mut words = on_family("set_mangle", *family);
            words.push(mangle_text(after));
            words
        }
        Action::AddRule(rule) => direct_rule("add_rule", rule),
        Action::RemoveRule(rule) => direct_rule("remove_rule", rule),
        Action::AddRich { zone, rule } => {
            vec!["add_rich".to_string(), zone.clone(), rule.text.clone()]
        }
        Action::RemoveRich { zone, rule } => {
            vec!["remove_rich".to_string(), zone.clone(), rule.text.clone()]
        }
        Action::Reload { subnets } => with_subnets("reload", subnets),
    }
}

/// Up to so many entries of a set are added and removed one by one, without a moment in which another is missing. A call takes up to a tenth
/// of a second; to write the set as a whole takes firewalld half a second, and it empties the set first.
const SINGLE_ENTRIES: usize = 50;

/// An entry as nft writes it.
fn in_nft(entry: &str) -> String {
    match entry.split_once(',') {
        Some((address, place)) => format!("{address} . {}", place.replace(':', " . ")),
        None => entry.to_string(),
    }
}

/// Texts as the values of the signature `as`.
fn list_words(texts: &[String]) -> Vec<String> {
    let count = texts.len().to_string();
    std::iter::once(count)
        .chain(texts.iter().cloned())
        .collect()
}

/// A set as the values of the signature `(ssssa{ss}as)`: a version and texts for people, which ours do not have, then its kind and so on.
fn set_words(set: &IpSet) -> Vec<String> {
    let mut words = vec![
        String::new(),
        String::new(),
        String::new(),
        set.kind.clone(),
    ];
    words.push(set.options.len().to_string());
    for (key, value) in &set.options {
        words.extend([key.clone(), value.clone()]);
    }
    words.extend(list_words(&set.texts()));
    words
}

/// A network in the words of Docker's command line: its id where it is known, since two can have one name, and a name can be
/// the beginning of another's id.
fn by_id(id: &str, name: &str) -> String {
    let known = if id.is_empty() { name } else { id };
    known.to_string()
}

fn with_subnets(command: &str, subnets: &[Cidr]) -> Vec<String> {
    let mut words = vec![command.to_string()];
    words.extend(subnets.iter().map(Cidr::to_string));
    words
}

fn on_family(command: &str, family: Family) -> Vec<String> {
    vec![command.to_string(), family.name().to_string()]
}

fn of_guard(command: &str, family: Family, chain: MangleChain) -> Vec<String> {
    let mut words = on_family(command, family);
    words.push(chain.name().to_string());
    words
}

/// What `iptables-restore` makes the guard of, in a table that holds nothing of it. Each line begins with a line break.
fn mangle_text(state: &MangleState) -> String {
    let mut text = String::new();
    for chain in state.chains.keys() {
        let _ = write!(text, "\n:{} - [0:0]", chain.name());
    }
    for (chain, lines) in &state.chains {
        for line in lines {
            let _ = write!(text, "\n-A {} {}", chain.name(), line.text);
        }
    }
    for MangleJump { chain, place, line } in &state.jumps {
        let _ = write!(text, "\n-I {chain} {} {}", place + 1, line.text);
    }
    text
}

fn direct_rule(command: &str, rule: &DirectRule) -> Vec<String> {
    let mut words = vec![command.to_string()];
    words.extend(rule_words(rule));
    words
}

/// A rule as the values of the signature `sssias`.
fn rule_words(rule: &DirectRule) -> Vec<String> {
    let mut words = vec![
        rule.ipv().to_string(),
        rule.table.clone(),
        rule.chain.clone(),
        rule.priority.to_string(),
        rule.args.len().to_string(),
    ];
    words.extend(rule.args.iter().cloned());
    words
}

/// A direct configuration as the values of the signature `(a(sss)a(sssias)a(sas))`.
fn direct_words(direct: &Direct) -> Vec<String> {
    let mut words = vec![direct.chains.len().to_string()];
    for DirectChain { ipv, table, chain } in &direct.chains {
        words.extend([ipv, table, chain].map(String::clone));
    }
    words.push(direct.rules.len().to_string());
    words.extend(direct.rules.iter().flat_map(rule_words));
    words.push(direct.passthroughs.len().to_string());
    for Passthrough { ipv, args, .. } in &direct.passthroughs {
        words.extend([ipv.clone(), args.len().to_string()]);
        words.extend(args.iter().cloned());
    }
    words
}

/// The same configuration as firewalld reports it: chains grouped by table, rules by chain and passthroughs by family,
/// each group at the position of its first member, and without duplicates.
fn grouped(direct: &Direct) -> Direct {
    Direct {
        chains: by_group(&direct.chains, |c| (c.ipv.clone(), c.table.clone())),
        rules: by_group(&direct.rules, |r| {
            (r.ipv(), r.table.clone(), r.chain.clone())
        }),
        passthroughs: by_group(&direct.passthroughs, |p| p.ipv.clone()),
    }
}

fn by_group<T: Clone + Ord, G: Ord>(items: &[T], group: impl Fn(&T) -> G) -> Vec<T> {
    let mut places: BTreeMap<G, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut seen: BTreeSet<&T> = BTreeSet::new();
    for item in items.iter().filter(|item| seen.insert(item)) {
        let place = *places.entry(group(item)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(members) => members.push(item.clone()),
            None => groups.push(vec![item.clone()]),
        }
    }
    groups.into_iter().flatten().collect()
}

/// A direct configuration in busctl's words.
fn told_direct(direct: &Direct) -> String {
    let mut told = format!("(a(sss)a(sssias)a(sas)) {}", direct.chains.len());
    for DirectChain { ipv, table, chain } in &direct.chains {
        told.extend([ipv, table, chain].map(|text| told_string(text)));
    }
    let _ = write!(told, " {}", direct.rules.len());
    for rule in &direct.rules {
        told.extend([rule.ipv(), &rule.table, &rule.chain].map(told_string));
        let _ = write!(told, " {} {}", rule.priority, rule.args.len());
        told.extend(rule.args.iter().map(|arg| told_string(arg)));
    }
    let _ = write!(told, " {}", direct.passthroughs.len());
    for Passthrough { ipv, args, .. } in &direct.passthroughs {
        told.push_str(&told_string(ipv));
        let _ = write!(told, " {}", args.len());
        told.extend(args.iter().map(|arg| told_string(arg)));
    }
    told
}

/// Rich rules as the values of the signature `as`.
fn rich_words(rules: &[RichText]) -> Vec<String> {
    let count = rules.len().to_string();
    let rules = rules.iter().map(|rule| rule.text.clone());
    std::iter::once(count).chain(rules).collect()
}

/// Rich rules in busctl's words.
fn told_rich(rules: &[RichText]) -> String {
    let mut told = format!("as {}", rules.len());
    told.extend(rules.iter().map(|rule| told_string(&rule.text)));
    told
}

/// A space and a string as busctl prints it: escaped as in C, bytes beyond ASCII in octal (systemd's `cescape`).
fn told_string(text: &str) -> String {
    let mut told = String::from(" \"");
    for byte in text.bytes() {
        match byte {
            0x07 => told.push_str("\\a"),
            0x08 => told.push_str("\\b"),
            0x0b => told.push_str("\\v"),
            0x0c => told.push_str("\\f"),
            b'\n' => told.push_str("\\n"),
            b'\r' => told.push_str("\\r"),
            b'\t' => told.push_str("\\t"),
            b'\\' | b'"' | b'\'' => {
                told.push('\\');
                told.push(char::from(byte));
            }
            b' '..=b'~' => told.push(char::from(byte)),
            _ => {
                let _ = write!(told, "\\{byte:03o}");
            }
        }
    }
    told.push('"');
    told
}

pub(super) fn network_words(spec: &NetworkSpec) -> Vec<String> {
    let mut words = vec!["create_network".to_string()];
    let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
    for subnet in &spec.subnets {
        option("--subnet", subnet.to_string());
    }
    for gateway in &spec.gateways {
        option("--gateway", gateway.to_string());
    }
    for (key, value) in &spec.options {
        option("--opt", format!("{key}={value}"));
    }
    for (key, value) in &spec.labels {
        option("--label", format!("{key}={value}"));
    }
    for range in &spec.ranges {
        option("--ip-range", range.to_string());
    }
    for (name, address) in &spec.reserved {
        option("--aux-address", format!("{name}={address}"));
    }
    if !spec.ipam_driver.is_empty() {
        option("--ipam-driver", spec.ipam_driver.clone());
    }
    for (key, value) in &spec.ipam_options {
        option("--ipam-opt", format!("{key}={value}"));
    }
    words.push(format!("--ipv6={}", spec.ipv6));
    if spec.internal {
        words.push("--internal".to_string());
    }
    if spec.attachable {
        words.push("--attachable".to_string());
    }
    words.extend(no_option(&spec.name));
    words.push(spec.name.clone());
    words
}

pub(super) fn connect_words(container: &str, endpoint: &Endpoint) -> Vec<String> {
    let mut words = vec!["connect".to_string()];
    let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
    if let Some(address) = endpoint.fixed {
        option("--ip", address.to_string());
    }
    if let Some(address) = endpoint.fixed6 {
        option("--ip6", address.to_string());
    }
    // Docker refuses aliases on its default network, but `inspect` shows some there.
    if endpoint.network != "bridge" {
        for alias in &endpoint.aliases {
            option("--alias", alias.clone());
        }
    }
    for link in &endpoint.links {
        option("--link", link.clone());
    }
    for address in &endpoint.link_local {
        option("--link-local-ip", address.to_string());
    }
    for (key, value) in &endpoint.driver_options {
        option("--driver-opt", format!("{key}={value}"));
    }
    // Docker before 28 has no such option.
    if endpoint.gateway_priority != 0 {
        option("--gw-priority", endpoint.gateway_priority.to_string());
    }
    words.extend(no_option(&endpoint.network));
    words.extend([endpoint.network.clone(), container.to_string()]);
    words
}

/// What is put before a name that Docker would take for an option.
fn no_option(name: &str) -> Option<String> {
    name.starts_with('-').then(|| "--".to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use std::process::Command;

    use super::*;
    use crate::node::shell::in_every_shell;

    fn direct(chain: &str, args: &str) -> DirectRule {
        DirectRule {
            family: Some(Family::V4),
            table: "filter".to_string(),
            chain: chain.to_string(),
            priority: 200,
            args: args.split(' ').map(String::from).collect(),
        }
    }

    /// The rule with one argument more.
    fn with(rule: DirectRule, last: &str) -> DirectRule {
        let args = rule.args.iter().cloned().chain([last.to_string()]);
        DirectRule {
            args: args.collect(),
            ..rule
        }
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            network: "chain".to_string(),
            fixed: Some("172.20.0.2".parse().unwrap()),
            fixed6: Some("fd00::2".parse().unwrap()),
            aliases: vec!["node".to_string()],
            links: vec!["db:database".to_string()],
            driver_options: [("a".to_string(), "b c".to_string())].into(),
            link_local: vec!["169.254.8.8".parse().unwrap()],
            gateway_priority: 7,
            ..Endpoint::default()
        }
    }

    /// One action of each kind, with values that a shell could misread.
    pub(in crate::node) fn one_of_each() -> Vec<Action> {
        let subnets = vec![
            "172.20.0.0/16".parse().unwrap(),
            "fd00::/64".parse().unwrap(),
        ];
        let tagged = with(
            direct("DOCKER-USER", "-m comment --comment"),
            "it's $(reboot)\t\u{fc}",
        );
        let rich = |port: u16| {
            RichText::new(format!(
                "rule family=\"ipv4\" forward-port port=\"{port}\" protocol=\"tcp\" to-port=\"1\" to-addr=\"172.20.0.2\""
            ))
        };
        let spec = NetworkSpec {
            name: "chain".to_string(),
            subnets: subnets.clone(),
            gateways: vec!["172.20.0.1".parse().unwrap()],
            internal: true,
            options: vec![(
                "com.docker.network.bridge.name".to_string(),
                "br-chain".to_string(),
            )],
            labels: vec![("who".to_string(), "a b".to_string())],
            ipv6: true,
            attachable: true,
            ranges: vec!["172.20.4.0/24".parse().unwrap()],
            reserved: vec![("it's".to_string(), "172.20.0.9".parse().unwrap())],
            ipam_driver: "own".to_string(),
            ipam_options: vec![("a".to_string(), "b c".to_string())],
            id: String::new(),
        };
        let family = Family::V4;
        vec![
            Action::SetPermanentDirect {
                before: Direct::default(),
                after: Direct {
                    chains: vec![DirectChain::ours(family)],
                    rules: vec![
                        tagged.clone(),
                        direct("FORWARD", "-j ACCEPT"),
                        direct("DOCKER-USER", "-j DROP"),
                        tagged.clone(),
                    ],
                    passthroughs: vec![Passthrough::new("ipv4", vec!["-L".to_string()])],
                },
            },
            Action::SetPermanentRich {
                zone: "public".to_string(),
                before: vec![rich(1)],
                after: vec![],
            },
            Action::CreateNetwork(spec.clone()),
            Action::Connect {
                container: "node".to_string(),
                endpoint: endpoint(),
            },
            Action::Latch {
                subnets: subnets.clone(),
            },
            Action::OwnChain { family },
            Action::SetKernelChain {
                family,
                before: None,
                after: Some(vec![
                    "-j RETURN".into(),
                    "-m comment --comment \"a 'b\" -j DROP".into(),
                ]),
            },
            Action::SetKernelChain {
                family,
                before: Some(vec![]),
                after: None,
            },
            Action::PlaceJump {
                family,
                before: vec![4],
                after: vec![2, 0],
            },
            Action::AddRule(tagged.clone()),
            Action::AddRich {
                zone: "public".to_string(),
                rule: rich(2),
            },
            Action::RemoveRich {
                zone: "public".to_string(),
                rule: rich(2),
            },
            Action::RemoveRule(tagged),
            Action::Reload {
                subnets: subnets.clone(),
            },
            Action::DisownChain { family: Family::V6 },
            Action::Unlatch { subnets },
            Action::Disconnect {
                container: "node".to_string(),
                endpoint: Endpoint {
                    network: "bridge".to_string(),
                    ..endpoint()
                },
            },
            Action::Connect {
                container: "node".to_string(),
                endpoint: Endpoint {
                    network: "bridge".to_string(),
                    aliases: vec!["node".to_string()],
                    ..Endpoint::default()
                },
            },
            Action::RemoveNetwork(spec),
            Action::AddChain {
                family,
                chain: MangleChain::Forward,
            },
            Action::SetMangle {
                family,
                before: MangleState::default(),
                after: MangleState {
                    chains: [(
                        MangleChain::Forward,
                        vec!["-s 172.20.0.0/16 -j DROP".into()],
                    )]
                    .into(),
                    jumps: vec![MangleJump {
                        chain: "FORWARD_direct".to_string(),
                        place: 0,
                        line: "-j fwdeploy_forward".into(),
                    }],
                },
            },
            Action::RemoveChain {
                family,
                chain: MangleChain::Forward,
            },
        ]
    }

    /// The script without the common part.
    fn own_part(script: &str) -> &str {
        script.split_once("prepare() { :; }\n").unwrap().1
    }

    #[test]
    fn each_step_is_one_command() {
        let script = apply(&one_of_each());
        insta::assert_snapshot!(own_part(&script));
    }

    #[test]
    fn a_plan_without_steps_is_a_script_too() {
        let script = apply(&[]);
        insta::assert_snapshot!(own_part(&script), @r"

        plan() {
            :
        }

        main
        ");
    }

    #[test]
    fn every_shell_at_hand_can_read_the_script() {
        let script = apply(&one_of_each());
        in_every_shell(&script);
    }

    /// The words that a shell hands to a step.
    fn words_in_a_shell(action: Action) -> Vec<String> {
        let script = apply(&[action]);
        let plan = own_part(&script);
        let script =
            format!("step() {{ shift; printf '%s\\0' \"$@\"; }}\nmain() {{ plan; }}\n{plan}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.stderr.is_empty());
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(String::from).collect()
    }

    #[test]
    fn nasty_values_come_through_as_they_are() {
        for nasty in [
            "", " ", "it's", "\"", "$(id)", "`id`", "\\", "a\nb", "*", "-n", "#", "\t", "\u{fc}",
            "!", "\r", "~", "a=b",
        ] {
            let rule = with(direct("DOCKER-USER", "-j ACCEPT"), nasty);
            let words = words_in_a_shell(Action::AddRule(rule));
            assert_eq!(words.last().map(String::as_str), Some(nasty));
            let words = words_in_a_shell(Action::SetKernelChain {
                family: Family::V6,
                before: None,
                after: Some(vec![nasty.into(), "-j RETURN".into()]),
            });
            let rules = format!("-A DOCKER-USER {nasty}\n-A DOCKER-USER -j RETURN");
            assert_eq!(words, ["set_chain", "ipv6", "2", &rules]);
        }
    }

    #[test]
    fn strings_are_told_as_busctl_tells_them() {
        // As systemd 247 to 262 print them.
        assert_eq!(
            told_string("it's \"q\" \\ b\tt \u{fc} $x & <y>\u{7f}"),
            r#" "it\'s \"q\" \\ b\tt \303\274 $x & <y>\177""#
        );
    }

    #[test]
    fn firewalld_groups_what_it_is_given() {
        let rules = ["A", "B", "A", "A"].map(|chain| direct(chain, "-j DROP"));
        let mut last = direct("A", "-j ACCEPT");
        last.priority = 0;
        let all = Direct {
            rules: [&rules[..], std::slice::from_ref(&last)].concat(),
            ..Direct::default()
        };
        let grouped = grouped(&all);
        assert_eq!(grouped.rules, [rules[0].clone(), last, rules[1].clone()]);
    }
}
