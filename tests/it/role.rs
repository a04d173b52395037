//! Roles and variables to policies: what is accepted, and what every mistake looks like.

use std::fmt::Write as _;
use std::path::Path;

use fwdeploy::inventory::Inventory;
use fwdeploy::inventory::error::Style;
use fwdeploy::model::Desired;
use fwdeploy::model::Port;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::compile;
use fwdeploy::policy::warnings;
use fwdeploy::role::Roles;

/// Writes the files, and returns for every node the rules of its roles, or the errors.
fn say(files: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let prefix = format!("{}/", directory.path().display());
    say_in(directory.path()).replace(&prefix, "")
}

fn say_in(directory: &Path) -> String {
    let inventory = match Inventory::load(&directory.join("inventory.yml"), &[]) {
        Ok(inventory) => inventory,
        Err(errors) => return errors.render(Style::Plain),
    };
    let roles = match Roles::load(inventory.directory()) {
        Ok(roles) => roles,
        Err(errors) => return errors.render(Style::Plain),
    };
    let resolver = roles.resolver(&inventory);
    let mut text = String::new();
    for node in inventory.nodes() {
        let connection = match node.connection(&resolver) {
            Ok(connection) => connection,
            Err(errors) => {
                writeln!(text, "{}", errors.render(Style::Plain)).unwrap();
                continue;
            }
        };
        let context = NodeContext {
            ipsets: fwdeploy::model::Ipsets::default(),
            node: node.name.clone(),
            zone: connection.zone,
            ssh_port: Port::new(22).unwrap(),
            today: "2027-01-31".parse().unwrap(),
        };
        let made = resolver.resolve_all(node).and_then(|(policies, doubtful)| {
            for warning in doubtful {
                writeln!(text, "warning: {warning}").unwrap();
            }
            for warning in warnings(&policies) {
                writeln!(text, "warning: {warning}").unwrap();
            }
            compile(&policies, &context)
        });
        match made {
            Ok(desired) => text.push_str(&rules(&desired)),
            Err(errors) => text.push_str(&errors.render(Style::Plain)),
        }
        text.push('\n');
    }
    text
}

fn rules(desired: &Desired) -> String {
    let rules = desired.rules.iter().map(ToString::to_string);
    let rich = desired.rich.iter().map(ToString::to_string);
    rules.chain(rich).collect::<Vec<_>>().join("\n")
}

/// One node `a` with role cybex and these variables.
fn with(vars: &str) -> String {
    let head =
        "all:\n  hosts:\n    a:\n      ansible_host: 192.0.2.1\n      fwdeploy_roles: [cybex]\n";
    let vars: String = vars.lines().map(|line| format!("      {line}\n")).collect();
    say(&[("inventory.yml", &format!("{head}{vars}"))])
}

/// One node `a` with a role `test` of this template and these defaults.
fn template(role: &str, defaults: &str) -> String {
    let inventory = "all: {hosts: {a: {ansible_host: 192.0.2.1, fwdeploy_roles: [test]}}}";
    say(&[
        ("inventory.yml", inventory),
        ("roles/test/role.yml", role),
        ("roles/test/defaults.yml", defaults),
    ])
}

const PLACES: &str =
    "network: {name: t, subnet: 172.30.0.0/16}\ncontainer: {name: t, address: 172.30.0.2}\n";

fn entry(entry: &str, defaults: &str) -> String {
    template(&format!("{PLACES}inbound:\n  - {entry}\n"), defaults)
}

#[test]
fn values_that_do_not_fit_are_shown_where_they_are_written() {
    let cases = [
        "cybex_peers: [198.51.100.1, 198.51.100.300]",
        "cybex_peers: [198.51.100.1/24]",
        "cybex_peers: node-1",
        "cybex_peers: 198.51.100.1, 198.51.100.2",
        "others: [198.51.100.1, 198.51.100.2:70000]\ncybex_peers: \"{{ others }}\"",
        "cybex_port: 70000",
        "cybex_address: 172.20.0.2/16",
        "cybex_otherwise: rejct",
        "cybex_covers: all",
        "cybex_subnet: ''",
        "cybex_peers: {a: 198.51.100.1}",
        "cybex_container: \"a\\nports: [22]\"",
        "cybex_bridge: br-with-a-long-name",
    ];
    insta::assert_snapshot!(cases.map(with).join("\n"));
}

#[test]
fn an_audit_and_its_last_day_are_read_strictly() {
    for (vars, error, place) in [
        (
            "cybex_enforce: no",
            "a role is always enforced, or in audit",
            "6:22",
        ),
        (
            "cybex_enforce: adit",
            "`adit` is not a value of `enforce`",
            "6:22",
        ),
        (
            "cybex_enforce: audit\ncybex_until: 2027-02-29",
            "`2027-02-29` is not a date such as `2027-01-31`",
            "7:20",
        ),
        (
            "cybex_enforce: audit\ncybex_until: [2027-01-31]",
            "`until` is a date such as `2027-01-31`",
            "7:20",
        ),
        (
            "cybex_enforce: audit\ncybex_until: ''",
            "a role has an empty `until`",
            "7:20",
        ),
        (
            "cybex_until: 2027-01-31",
            "`until` without `enforce: audit`",
            "6:20",
        ),
        (
            "cybex_enforce: yes\ncybex_until: 2027-01-31",
            "`until` without `enforce: audit`",
            "7:20",
        ),
    ] {
        let said = with(vars);
        let is_there = said.contains(&format!("--> inventory.yml:{place}\n"));
        assert!(
            said.starts_with(&format!("error: {error}\n")) && is_there,
            "{vars}:\n{said}"
        );
    }
    for vars in [
        "cybex_enforce: audit",
        "cybex_enforce: audit\ncybex_until: 2027-01-31",
        "cybex_enforce: audit\ncybex_until: null",
    ] {
        let said = with(vars);
        assert!(
            said.contains("ACCEPT") && !said.contains("REJECT"),
            "{vars}:\n{said}"
        );
    }
    for yes in ["yes", "on", "true", "'yes'"] {
        assert_eq!(with(&format!("cybex_enforce: {yes}")), with(""));
    }
}

#[test]
fn variables_that_are_not_there_are_named() {
    let cases = [
        entry("{what: p2p, from: \"{{ test_peerz }}\"}", "test_peers: []"),
        entry(
            "{what: p2p, from: \"{{ test_peers }}\"}",
            "test_peers: \"{{ all_peers }}\"",
        ),
        entry("{what: p2p, from: \"x{{ test.peers }}\"}", "test: {a: 1}"),
        entry("{what: p2p, from: \"{{ test.peers }}\"}", "test: {a: 1}"),
        entry("{what: p2p, from: \"{{ addresses('al') }}\"}", ""),
        entry("{what: p2p, from: \"{{ hostvars['b'].x }}\"}", ""),
        entry("{what: p2p, from: \"{{ addresses('all') | frist }}\"}", ""),
        entry("{what: p2p, from: \"{{ addresses('all' }}\"}", ""),
        entry("{what: p2p, from: \"{{ [missing] }}\"}", ""),
        with("cybex_peerz: []"),
        with("cybex_something_else: []"),
        with("cybex_peers: \"{{ cybex_helper }}\"\ncybex_helper: []"),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn templates_without_end_end() {
    let deep: String = (0..80)
        .map(|n| format!("v{n}: \"{{{{ v{} }}}}\"\n", n + 1))
        .collect();
    let double: String = (0..39)
        .map(|n| format!("v{n}: \"{{{{ v{0} + v{0} }}}}\"\n", n + 1))
        .collect();
    let nested: String = (0..39)
        .map(|n| format!("v{n}: [\"{{{{ v{0} }}}}\", \"{{{{ v{0} }}}}\"]\n", n + 1))
        .collect();
    let cases = [
        entry(
            "{what: p2p, from: \"{{ a }}\"}",
            "a: \"{{ b }}\"\nb: \"{{ c }}\"\nc: \"{{ a }}\"",
        ),
        entry(
            "{what: p2p, from: \"{{ a }}\"}",
            "a: \"{{ hostvars['a'].a }}\"",
        ),
        entry("{what: p2p, from: \"{{ v0 }}\"}", &format!("{deep}v80: x")),
        entry(
            "{what: p2p, from: \"{{ v0 }}\"}",
            &format!("{double}v39: x"),
        ),
        entry(
            "{what: p2p, from: \"{{ v0 }}\"}",
            &format!("{nested}v39: [x]"),
        ),
        entry(
            "what: \"{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}\"",
            "",
        ),
        entry("{what: p2p, from: \"{{ range(100000000) }}\"}", ""),
        entry("{what: p2p, from: \"{{ 'x' * 1000000000 }}\"}", ""),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn a_role_is_read_strictly() {
    let cases = [
        template("", ""),
        template("[]", ""),
        template(&format!("{PLACES}inbond: []"), ""),
        template(&format!("{PLACES}inbound: {{}}"), ""),
        template(&format!("{PLACES}inbound: [x]"), ""),
        template("network: {name: t}\n", ""),
        template(
            &format!("{PLACES}outbound:\n  - {{what: p2p, from: []}}"),
            "",
        ),
        entry("{what: P2P, from: []}", ""),
        entry("{what: p2p, from: [], to_port: 1}", ""),
        entry("{what: p2p, from: [], port: 5000}", ""),
        entry("{what: p2p, from: [], port: 5000/sctp}", ""),
        entry(
            "{what: p2p, from: [192.0.2.1], when: test_open}",
            "test_open: true",
        ),
        entry("{what: p2p, from: [192.0.2.1], when: \"{{ 1 }}\"}", ""),
        entry("{what: p2p, what: rpc, from: []}", ""),
        entry("{what: p2p, \"{{ key }}\": []}", ""),
        entry("{what: p2p, from: [192.0.2.1, nodes], port: 5000/tcp}", ""),
        template(&with_key("log", "refuse"), ""),
        template(&with_key("log", "\"{{ test_log }}\""), "test_log: false"),
        say(&[(
            "inventory.yml",
            "all: {hosts: {a: {fwdeploy_roles: [cybx, bitshares]}}}",
        )]),
        say(&[
            (
                "inventory.yml",
                "all: {hosts: {a: {fwdeploy_roles: [test]}}}",
            ),
            ("roles/test/role.yaml", ""),
        ]),
        say(&[
            (
                "inventory.yml",
                "all: {hosts: {a: {fwdeploy_roles: [test]}}}",
            ),
            ("roles/test/README.md", ""),
        ]),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

/// A role in which the value of one key is `VALUE`.
fn with_key(key: &str, value: &str) -> String {
    let of = |name: &str, other: &str| match name == key {
        true => value.to_string(),
        false => other.to_string(),
    };
    let optional = |name: &str, in_key: &str| match in_key == key {
        true => format!(", {name}: {value}"),
        false => String::new(),
    };
    let whole = |name: &str| match name == key {
        true => format!("{name}: {value}\n"),
        false => String::new(),
    };
    let lists = match key {
        "inbound" | "outbound" => whole(key),
        _ => format!(
            "inbound:\n  - {{what: {}, from: {}{}{}{}}}\noutbound:\n  - {{what: {}, to: {}{}}}\n",
            of("inbound what", "p2p"),
            of("from", "[192.0.2.9]"),
            match key {
                "to_port" => ", port: 5000/tcp".to_string(),
                _ => optional("port", "inbound port"),
            },
            optional("to_port", "to_port"),
            optional("when", "when"),
            of("outbound what", "p2p"),
            of("to", "[192.0.2.9]"),
            optional("port", "outbound port"),
        ),
    };
    format!(
        "network: {{name: {}, subnet: {}{}{}{}{}{}}}\ncontainer: {{name: {}, address: {}{}}}\n{lists}{}{}{}",
        of("network name", "t"),
        of("subnet", "172.30.0.0/16"),
        optional("gateway", "gateway"),
        optional("bridge", "bridge"),
        optional("subnet6", "subnet6"),
        optional("node", "node"),
        optional("log", "log"),
        of("container name", "t"),
        of("address", "172.30.0.2"),
        optional("address6", "address6"),
        whole("otherwise"),
        whole("covers"),
        whole("enforce") + &whole("summary"),
    )
}

/// Every key of a role that has a value of its own.
const ALL_KEYS: [&str; 23] = [
    "network name",
    "subnet",
    "gateway",
    "bridge",
    "subnet6",
    "node",
    "log",
    "container name",
    "address",
    "address6",
    "inbound",
    "outbound",
    "inbound what",
    "outbound what",
    "from",
    "to",
    "inbound port",
    "outbound port",
    "to_port",
    "when",
    "otherwise",
    "covers",
    "enforce",
];

/// Ways to write nothing, in a role or in a variable.
const EMPTY: [&str; 12] = [
    "''", "' '", "\"\\t\"", "null", "~", "", "{}", "none", "None", "'null'", "'~'", "NULL",
];

/// Ways in which a template has nothing to say.
const EMPTY_TEMPLATES: [&str; 6] = [
    "\"{{ missing | default('') }}\"",
    "\"{{ missing | default(none) }}\"",
    "\"{% if false %}5000/tcp{% endif %}\"",
    "\"{{ '' }}\"",
    "\"{{ none }}\"",
    "\"{{ 'None' }}\"",
];

/// Tried with `Fields::get` that returns nothing for what is empty: an empty port is then every port.
#[test]
fn a_key_that_is_there_and_empty_is_never_the_same_as_one_that_is_not() {
    let refused = |key: &str, spelled: &str, said: &str| {
        assert!(said.starts_with("error: "), "{key} = {spelled}\n{said}");
        assert!(!said.contains("DOCKER-USER"), "{key} = {spelled}\n{said}");
        let place = said.lines().nth(1).unwrap_or_default();
        let file = [
            "roles/test/role.yml:",
            "roles/test/defaults.yml:",
            "inventory.yml:",
            "group_vars/all.yml:",
            "host_vars/a.yml:",
        ];
        assert!(
            file.iter()
                .any(|file| place.contains(&format!("--> {file}"))),
            "{key} = {spelled}\n{said}"
        );
    };
    // `null` is none where nothing is opened by it.
    let may_be_null = ["gateway", "bridge", "subnet6", "address6"];
    for key in ALL_KEYS {
        let none = |spelled: &str| {
            may_be_null.contains(&key) && ["null", "~", "", "NULL"].contains(&spelled)
        };
        for spelled in EMPTY {
            let said = template(&with_key(key, spelled), "");
            match none(spelled) {
                true => assert!(!said.contains("error"), "{key} = {spelled}\n{said}"),
                false => refused(key, spelled, &said),
            }
            let role = with_key(key, "\"{{ test_value }}\"");
            let said = template(&role, &format!("test_value: {spelled}\n"));
            match none(spelled) {
                true => assert!(!said.contains("error"), "{key} = {spelled}\n{said}"),
                false => refused(key, spelled, &said),
            }
        }
        for spelled in EMPTY_TEMPLATES {
            let said = template(&with_key(key, spelled), "");
            let is_null = spelled.contains("none");
            match may_be_null.contains(&key) && is_null {
                true => assert!(!said.contains("error"), "{key} = {spelled}\n{said}"),
                false => refused(key, spelled, &said),
            }
        }
        // An empty list is allowed where it can mean none, and wrong everywhere else.
        let said = template(&with_key(key, "[]"), "");
        match key {
            "from" | "to" | "inbound" | "outbound" => {
                assert!(!said.contains("error"), "{key}\n{said}");
            }
            _ => refused(key, "[]", &said),
        }
    }
}

#[test]
fn an_empty_value_is_found_wherever_the_variable_is_set() {
    let inventory = "all: {hosts: {a: {ansible_host: 192.0.2.1, fwdeploy_roles: [test]}}}";
    let role = with_key("inbound port", "\"{{ test_value }}\"");
    for (file, text) in [
        ("group_vars/all.yml", "test_value:\n"),
        ("host_vars/a.yml", "test_value: ''\n"),
        (
            "group_vars/all.yml",
            "test_value: \"{{ test_other }}\"\ntest_other: null\n",
        ),
    ] {
        let said = say(&[
            ("inventory.yml", inventory),
            ("roles/test/role.yml", &role),
            ("roles/test/defaults.yml", "test_value: 5000/tcp\n"),
            (file, text),
        ]);
        assert!(
            said.contains("an inbound entry has an empty `port`"),
            "{said}"
        );
        assert!(said.contains(&format!("--> {file}:")), "{said}");
    }
}

#[test]
fn what_is_there_and_empty_says_what_to_write_instead() {
    let peers = |value: &str| {
        entry(
            "{what: p2p, from: [192.0.2.9, \"{{ test_peers }}\"], port: 5000/tcp}",
            &format!("test_peers: {value}"),
        )
    };
    let cases = [
        entry(
            "{what: p2p, from: [192.0.2.9], port: \"{{ test_port }}\"}",
            "test_port: null",
        ),
        entry(
            "{what: p2p, from: [192.0.2.9], port: \"{{ test_port }}/tcp\"}",
            "test_port: null",
        ),
        entry(
            "\"{{ test_entry }}\"",
            "test_entry: {what: p2p, from: [192.0.2.9], port: ''}",
        ),
        entry("{what: p2p, from: }", ""),
        peers("null"),
        peers("''"),
        peers("[192.0.2.10, null]"),
        peers("[]"),
        template(&format!("{PLACES}inbound:\n"), ""),
        template(&with_key("network name", "None"), ""),
        template(
            &with_key("container name", "\"{{ test_name }}-1\""),
            "test_name: null",
        ),
        with("cybex_gateway: ''"),
        with("cybex_peers:"),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn what_contradicts_is_refused() {
    let two = |vars: &str| {
        let head = "all:\n  hosts:\n    a:\n      ansible_host: 192.0.2.1\n      fwdeploy_roles: [cybex, eos]\n";
        let vars: String = vars.lines().map(|line| format!("      {line}\n")).collect();
        say(&[("inventory.yml", &format!("{head}{vars}"))])
    };
    let cases = [
        two("eos_network: cybex"),
        two("eos_subnet: 172.20.128.0/17\neos_address: 172.20.128.2"),
        two("eos_network: cybex\neos_subnet: 172.20.0.0/16\neos_address: 172.20.0.2"),
        two(
            "eos_network: cybex\neos_subnet: 172.20.0.0/16\neos_address: 172.20.0.3\neos_covers: container\neos_otherwise: drop",
        ),
        two(
            "eos_network: cybex\neos_subnet: 172.20.0.0/16\neos_address: 172.20.0.3\neos_enforce: audit",
        ),
        two("eos_container: cybex"),
        two("eos_bridge: br-cybex"),
        two(
            "eos_port: 5000\neos_peers: [198.51.100.0/24]\ncybex_peers: [198.51.100.7:5001, 203.0.113.1]",
        ),
        two("eos_peers: [172.20.0.2]"),
        with("cybex_address: 172.21.0.2"),
        with("cybex_address: 172.20.0.0"),
        with("cybex_address: 172.20.255.255"),
        with("cybex_address: 172.20.0.1"),
        with("cybex_gateway: 172.20.0.2"),
        with("cybex_gateway: 172.21.0.1"),
        with("cybex_subnet: 0.0.0.0/0"),
        with("cybex_subnet: fd00::/64"),
        with("cybex_port: 22"),
        with("cybex_network: 'a b'"),
        with("cybex_container: -x"),
        with("cybex_peers: [2001:db8::1]"),
        with("cybex_address6: fd00::2"),
        with("cybex_subnet6: fd00::/64\ncybex_covers: container"),
        entry(&format!("{{what: {}, from: []}}", "x".repeat(250)), ""),
        entry(
            "{what: p2p, from: [0.0.0.0/0, 192.0.2.1, 192.0.2.1/32]}",
            "",
        ),
        two(
            "eos_network: cybex\neos_subnet: 172.20.0.0/16\neos_address: 172.20.0.3\neos_node: open\ncybex_log: refused",
        ),
        // The node reaches the container's own ssh; nothing is forwarded, and no rule says so.
        entry("{what: ssh, from: node, port: 22/tcp}", ""),
        entry("{what: ssh, from: [node, 192.0.2.9], port: 22/tcp}", ""),
        entry("{what: all, from: node}", ""),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn values_keep_their_type_and_templates_their_scope() {
    let role = format!(
        "{PLACES}inbound:
  - {{what: one, from: \"{{{{ test_peers }}}}\", port: \"{{{{ test_port }}}}/tcp\", to_port: \"{{{{ test_port + 1 }}}}\"}}
  - {{what: two, from: [\"{{{{ addresses('web') }}}}\", \"{{{{ test_empty }}}}\", 203.0.113.9], when: \"{{{{ 'web' in groups }}}}\"}}
  - {{what: three, from: \"{{{{ missing }}}}\", when: \"{{{{ 'nobody' in groups }}}}\"}}
  - {{what: \"{{{{ inventory_hostname_short }}}}\", from: \"{{{{ hostvars['b.example.net'].test_peers }}}}\"}}
  - {{what: \"{{{{ role_name }}}}\", from: \"{{% for g in group_names %}}{{{{ hostvars[groups[g][1]].here }}}}{{% endfor %}}\"}}
"
    );
    let inventory = "
all:
  children:
    web:
      vars: {fwdeploy_roles: [test], here: \"{{ inventory_hostname | length }}.0.0.1\"}
      hosts:
        a.example.net: {ansible_host: 192.0.2.1, test_peers: [198.51.100.1, 198.51.100.2]}
        b.example.net: {ansible_host: 192.0.2.2, test_peers: [\"{{ fwdeploy_address }}\"], fwdeploy_address: 192.0.2.22}
";
    insta::assert_snapshot!(say(&[
        ("inventory.yml", inventory),
        ("roles/test/role.yml", &role),
        (
            "roles/test/defaults.yml",
            "test_port: 5000\ntest_empty: []\ntest_peers: []\n"
        ),
    ]));
}

#[test]
fn a_member_without_an_address_is_named() {
    let inventory = "
all:
  children:
    cybex:
      vars: {fwdeploy_roles: [cybex]}
      hosts:
        a: {ansible_host: 192.0.2.1}
        b: {ansible_host: b.example.net}
";
    insta::assert_snapshot!(say(&[("inventory.yml", inventory)]));
}

#[test]
fn a_member_without_an_address_says_what_to_set() {
    let member = |vars: &str| {
        say(&[(
            "inventory.yml",
            &format!(
                "all:\n  children:\n    cybex:\n      hosts:\n        a: {{ansible_host: 192.0.2.1, fwdeploy_roles: [cybex]}}\n        b: {{{vars}}}\n"
            ),
        )])
    };
    let cases = [
        member(""),
        member("ansible_hosts: 192.0.2.2"),
        member("ansble_host: 192.0.2.2"),
        member("ansible_host: b.example.net"),
        member("ansible_host: 127.0.0.1"),
    ];
    for said in &cases {
        // One place, not the whole way through the role.
        assert_eq!(said.matches("--> ").count(), 1, "{said}");
        assert!(!said.contains("built-in"), "{said}");
    }
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn variables_that_nothing_asks_for_and_that_are_almost_others_are_doubted() {
    let meant = |vars: &str| {
        let said = with(vars);
        let lines = said
            .lines()
            .filter_map(|line| line.strip_prefix("warning: "))
            .filter(|line| line.contains("nothing uses"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let doubted = [
        "cybx_peers: []",
        "cbyex_peers: []",
        "cybexpeers: []",
        "cybexx_trusted: []",
        "ansible_usr: ops",
        "ansible_hosts: 192.0.2.1",
        "ansibel_user: ops",
        "ansible_prot: 22",
        "ansible_becom: true",
        "ansible_ssh_private_key: x",
    ];
    insta::assert_snapshot!(doubted.map(meant).concat());
    for fine in [
        // Another role's, which this node does not have.
        "eos_peers: []",
        "my_peers: []",
        // Ansible's own.
        "ansible_become_exe: x",
        "ansible_shell_type: sh",
        "ansible_timeout: 3",
        "ansible_python_interpreter: x",
        "ansible_ssh_user: ops",
        // A helper that something asks for.
        "cybx_peers: []\ncybex_peers: \"{{ cybx_peers }}\"",
    ] {
        assert_eq!(meant(fine), "", "{fine}");
    }
}

#[test]
fn a_misspelt_variable_is_named_wherever_it_stands() {
    let all =
        |vars: &str, node: &str| format!("all: {{vars: {{{vars}}}, hosts: {{a: {{{node}}}}}}}\n");
    for (inventory, file) in [
        // On a node without any role, and for a role that the node does not have.
        (all("cybx_peers: []", "x: 1"), None),
        (all("x: 1", "cybx_peers: []"), None),
        (
            all(
                "cybx_peers: []",
                "fwdeploy_roles: [eos], eos_peers: [192.0.2.7]",
            ),
            None,
        ),
        (all("x: 1", "y: 1"), Some("group_vars/all.yml")),
        (all("x: 1", "y: 1"), Some("host_vars/a.yml")),
    ] {
        let mut files = vec![("inventory.yml", inventory.as_str())];
        files.extend(file.map(|file| (file, "cybx_peers: []\n")));
        let said = say(&files);
        let expected = "nothing uses the variable `cybx_peers` (did you mean `cybex_peers`?)";
        assert_eq!(said.matches(expected).count(), 1, "{inventory}{said}");
    }
}

#[test]
fn another_programs_variable_with_a_roles_prefix_is_only_named() {
    for (name, is_wrong) in [
        ("cybex_image", false),
        ("cybex_version", false),
        ("cybex_user", false),
        ("cybex_host", false),
        ("cybex_peerz", true),
        ("cybex_peer", true),
        ("cybex_conatiner", true),
        ("cybex_rpc_client", true),
    ] {
        let said = with(&format!("{name}: x\ncybex_peers: [192.0.2.7]"));
        let message = format!("the role `cybex` has no variable `{name}`");
        assert!(said.contains(&message), "{said}");
        assert_eq!(said.contains("error:"), is_wrong, "{said}");
        assert_eq!(said.contains("warning:"), !is_wrong, "{said}");
    }
}

#[test]
fn a_whitelist_with_nobody_on_it_is_warned_of_unless_it_is_an_audit() {
    let warned = |vars: &str| with(vars).contains("is empty: nobody reaches");
    assert!(warned("cybex_peers: []"));
    assert!(warned("cybex_fleet: \"{{ [] }}\"\ncybex_trusted: []"));
    assert!(!warned("cybex_peers: [192.0.2.7]"));
    assert!(!warned("cybex_seeds: [192.0.2.7]"));
    assert!(!warned("cybex_enforce: audit"));
}

#[test]
fn a_peer_that_is_there_again_and_again_is_one_warning() {
    let peers: Vec<String> = (0..40)
        .map(|n| format!("192.0.2.{n}, 192.0.2.{n}"))
        .collect();
    let said = with(&format!("cybex_peers: [{}]", peers.join(", ")));
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("listed twice"))
        .collect();
    let expected = "` is listed twice in `cybex/p2p`, and 39 more";
    assert!(
        lines.iter().all(|line| line.contains(expected)),
        "{lines:?}"
    );
    // Once for what comes in, once for what goes out: the command line says it once.
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_role_that_is_taken_off_exists() {
    let said = say(&[(
        "inventory.yml",
        "all: {hosts: {a: {fwdeploy_roles: ['!cybx']}}}",
    )]);
    assert!(said.contains("there is no role `cybx`"), "{said}");
    assert!(said.contains("did you mean `cybex`?"), "{said}");
}

#[test]
fn no_value_is_told_but_the_offending_one() {
    let cases = [
        with("token: hunter2\ncybex_peers: \"{{ token + 1 }}\""),
        with("token: hunter2\ncybex_peers: \"{{ token.a.b }}\""),
        with("token: hunter2\ncybex_peers: \"{{ token | int }}\""),
        with("token: hunter2\ncybex_peers: \"{{ debug() }}\""),
        with("token: 999999999999999999\ncybex_peers: \"{{ token ** token }}\""),
        with("cybex_peers: !unsafe \"{{ token }}\""),
    ];
    let text = cases.join("\n");
    // The lines of the user's own file may be shown; fwdeploy's own text must not contain the value.
    for line in text.lines().filter(|line| !line.contains('|')) {
        assert!(!line.contains("hunter2"), "{line}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn ejected_roles_win_and_are_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let roles = Roles::built_in();
    let into = directory.path().join("roles");
    let written = roles.eject("cybex", &into).unwrap();
    assert_eq!(written.len(), 3);
    let again = roles.eject("cybex", &into).unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    let loaded = Roles::load(directory.path()).unwrap();
    let names: Vec<&str> = loaded.list().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["cosmos", "cybex", "eos"]);
    let ours = loaded.show("cybex").unwrap();
    assert_ne!(ours.origin, roles.show("cybex").unwrap().origin);
    assert_eq!(ours.files, roles.show("cybex").unwrap().files);
    assert_eq!(
        roles.show("cybx").unwrap_err().to_string(),
        "there is no role `cybx` (did you mean `cybex`?)"
    );
}

#[test]
fn a_role_may_share_the_network_of_another_in_both_families() {
    let inventory = "
all:
  hosts:
    a:
      ansible_host: 192.0.2.1
      fwdeploy_roles: [cybex, eos]
      cybex_subnet6: fd00:20::/64
      cybex_address6: fd00:20::2
      cybex_peers: [198.51.100.7, '2001:db8::7']
      eos_network: \"{{ cybex_network }}\"
      eos_subnet: \"{{ cybex_subnet }}\"
      eos_subnet6: \"{{ cybex_subnet6 }}\"
      eos_address: 172.20.0.3
      eos_address6: fd00:20::3
      eos_accept_p2p: false
      eos_peers: ['[2001:db8::8]:9877']
";
    insta::assert_snapshot!(say(&[("inventory.yml", inventory)]));
}

#[test]
fn an_entry_with_a_loop_is_made_for_each_element() {
    let inventory = "all:
  hosts:
    n1:
      ansible_host: 192.0.2.1
      fwdeploy_roles: [test]
      test_services: [{name: one, port: 81}, {name: two, port: 82, off: true}, {name: three, port: 83}]
";
    // A variable that uses `item` is rendered anew for each element.
    let defaults = "test_services: []\ntest_port: \"{{ item.port }}/tcp\"\n";
    let role = "network: {name: test, subnet: 172.25.0.0/16}
container: {name: test, address: 172.25.0.2}
outbound:
  - loop: \"{{ test_services }}\"
    when: \"{{ not item.off | default(false) }}\"
    what: \"{{ item.name }}\"
    to: 203.0.113.7
    port: \"{{ test_port }}\"
  - loop: []
    what: none
    to: 203.0.113.8
";
    let said = say(&[
        ("inventory.yml", inventory),
        ("roles/test/role.yml", role),
        ("roles/test/defaults.yml", defaults),
    ]);
    for (words, there) in [
        ("--dport 81 -m comment --comment fwdeploy:test/one ", true),
        ("--dport 83 -m comment --comment fwdeploy:test/three ", true),
        ("--dport 82", false),
        ("fwdeploy:test/two", false),
        ("203.0.113.8", false),
    ] {
        assert_eq!(said.contains(words), there, "{words}\n{said}");
    }
}

#[test]
fn the_networks_that_each_docker_has_are_refused() {
    for (name, error) in [
        ("bridge", "the network `bridge` is Docker's own"),
        ("host", "the network `host` is Docker's own"),
        ("none", "`network` has an empty `name`"),
    ] {
        let inventory = format!(
            "all: {{hosts: {{n1: {{ansible_host: 192.0.2.1, fwdeploy_roles: [cybex], cybex_network: '{name}'}}}}}}\n"
        );
        let said = say(&[("inventory.yml", &inventory)]);
        assert!(said.contains(error), "{said}");
    }
}
