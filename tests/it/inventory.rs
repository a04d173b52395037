//! Inventories as files, and what becomes of them.
//!
//! Each file in `tests/inventory/` is a case: its first line is what the case claims, then come files as `=== name`, perhaps `=== -e` with an argument
//! of the command line, and what is expected is in the snapshot of the same name: the nodes and groups, or the mistakes as a user sees them.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use fwdeploy::inventory::ConnectionVars;
use fwdeploy::inventory::ExtraVars;
use fwdeploy::inventory::InputErrors;
use fwdeploy::inventory::Inventory;
use fwdeploy::inventory::InventoryNode;
use fwdeploy::inventory::Password;
use fwdeploy::inventory::Pattern;
use fwdeploy::inventory::error::Style;
use fwdeploy::role::Roles;
use proptest::prelude::*;

/// The files of a case in a directory of their own.
struct Case {
    directory: tempfile::TempDir,
    extra: Vec<ExtraVars>,
}

impl Case {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut extra = Vec::new();
        for part in text.split("=== ").skip(1) {
            let (name, content) = part.split_once('\n').unwrap();
            if name == "-e" {
                let file = |file: &str| format!("@{}", directory.path().join(file).display());
                let argument = content.trim_end();
                extra.push(ExtraVars::from_argument(
                    &argument.strip_prefix('@').map_or(argument.to_owned(), file),
                ));
            } else {
                let path = directory.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
        Self { directory, extra }
    }

    fn inventory(text: &str) -> Self {
        Self::new(&format!("=== inventory.yml\n{text}"))
    }

    fn path(&self) -> PathBuf {
        let file = self.directory.path().join("inventory.yml");
        if file.exists() {
            file
        } else {
            self.directory.path().join("inventory")
        }
    }

    fn load(&self) -> Result<Inventory, InputErrors> {
        Inventory::load(&self.path(), &self.extra)
    }

    /// The text without the directory, which is another one each time.
    fn shown(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn node(node: &InventoryNode, connection: &ConnectionVars) -> serde_json::Value {
    let vars = node.vars.iter().map(|(name, var)| {
        let value = serde_json::to_value(var.value()).unwrap();
        (
            name.clone(),
            serde_json::json!([value, var.origin().to_string()]),
        )
    });
    serde_json::json!({
        "groups": node.groups,
        "roles": node.roles.iter().map(|role| format!("{} ({})", role.value, role.location)).collect::<Vec<_>>(),
        "vars": serde_json::Map::from_iter(vars),
        "connection": {
            "method": format!("{:?}", connection.method),
            "host": connection.host.value,
            "port": connection.port.as_ref().map(|port| port.value),
            "user": connection.user.as_ref().map(|user| &user.value),
            "private_key_file": connection.private_key_file.as_ref().map(|file| &file.value),
            "escalate": connection.escalate.as_ref().map(|escalate| escalate.value),
            "escalate_user": connection.escalate_user.as_ref().map(|user| &user.value),
            "escalate_password": connection.escalate_password.as_ref().map(|password| format!("{password:?}")),
            "address": connection.address.as_ref().map(|address| address.value),
            "zone": connection.zone.as_ref().map(|zone| &zone.value),
        },
    })
}

/// How every node is reached, as if all of them were used.
fn connections(inventory: &Inventory) -> Result<Vec<ConnectionVars>, InputErrors> {
    let roles = Roles::built_in();
    let resolver = roles.resolver(inventory);
    let mut errors = InputErrors::none();
    let read = inventory.nodes().map(|node| node.connection(&resolver));
    let connections: Vec<_> = read.filter_map(|read| errors.take(read)).collect();
    fwdeploy::role::dedup(errors).or(connections)
}

fn outcome(case: &Case) -> String {
    let loaded = case.load().and_then(|inventory| {
        let connections = connections(&inventory)?;
        Ok((inventory, connections))
    });
    match loaded {
        Ok((inventory, connections)) => {
            let nodes = inventory.nodes().zip(&connections);
            let nodes = nodes.map(|(one, connection)| (one.name.clone(), node(one, connection)));
            let all = serde_json::json!({ "nodes": serde_json::Map::from_iter(nodes), "groups": inventory.groups() });
            let mut text = serde_json::to_string_pretty(&all).unwrap();
            // Empty parts are not shown.
            for nothing in [
                "port",
                "user",
                "private_key_file",
                "escalate",
                "escalate_user",
                "escalate_password",
                "address",
                "zone",
            ] {
                let line = format!("        \"{nothing}\": null");
                text = text
                    .replace(&format!("{line},\n"), "")
                    .replace(&format!(",\n{line}\n"), "\n");
            }
            for warning in inventory.warnings() {
                write!(text, "\n\nwarning: {warning}").unwrap();
            }
            case.shown(&text)
        }
        Err(errors) => {
            let mut lines = case.shown(&errors.to_string());
            lines.push_str("\n\n");
            lines.push_str(&case.shown(&errors.render(Style::Plain)));
            lines
        }
    }
}

#[test]
fn every_case_ends_as_its_snapshot_says() {
    let mut cases: Vec<PathBuf> = fs::read_dir("tests/inventory")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "case")
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    for path in cases {
        let text = fs::read_to_string(&path).unwrap();
        let claim = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("# ")
            .to_owned();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut settings = settings();
        settings.set_description(claim);
        settings.bind(|| insta::assert_snapshot!(name, outcome(&Case::new(&text))));
    }
}

/// Snapshots are next to the cases.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../inventory");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn message(result: Result<Inventory, InputErrors>) -> String {
    result.expect_err("a mistake").to_string()
}

#[test]
fn a_huge_inventory_is_refused_before_it_is_read() {
    let case = Case::inventory("");
    // A file with a hole: a hundred gigabytes that no disk has.
    fs::File::create(case.path())
        .unwrap()
        .set_len(100 << 30)
        .unwrap();
    let message = message(case.load());
    assert_eq!(
        case.shown(&message),
        "inventory.yml: the file has 102400 MiB; more than 8 MiB are not read (is this the right file?)"
    );
}

#[test]
fn a_device_without_an_end_is_refused() {
    let message = message(Inventory::load(Path::new("/dev/zero"), &[]));
    assert!(
        message.contains("more than 8 MiB are not read"),
        "{message}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let case = Case::new("=== inventory/a.yml\nall: {hosts: {web1: }}\n=== inventry.yml\n");
    let mut all = String::new();
    let path = |name: &str| case.directory.path().join(name);
    std::os::unix::fs::symlink(path("nowhere"), path("link.yml")).unwrap();
    fs::create_dir(path("empty")).unwrap();
    for name in [
        "inventory.yml",
        "link.yml",
        "empty",
        "nowhere/inventory.yml",
    ] {
        writeln!(all, "{}", message(Inventory::load(&path(name), &[]))).unwrap();
    }
    for file in ["inventory", "missing.yml"] {
        let extra = ExtraVars::from_argument(&format!("@{}", path(file).display()));
        writeln!(
            all,
            "{}",
            message(Inventory::load(&path("inventory"), &[extra]))
        )
        .unwrap();
    }
    settings().bind(|| insta::assert_snapshot!("unreadable_files", case.shown(&all)));
}

const FLEET: &str = "
all:
  children:
    cybex:
      hosts:
        cyb-bp-[01:03]:
        cyb-seed-01: {ansible_host: 203.0.113.10}
    eos:
      children:
        eos_bp: {hosts: {eos-bp-1: , eos-bp-2: }}
        eos_api: {hosts: {eos-api-1: }}
    both: {hosts: {cyb-bp-01: , eos-bp-1: }}
  hosts: {alone: }
";

#[test]
fn patterns_select_what_ansible_selects() {
    let case = Case::inventory(FLEET);
    let inventory = case.load().unwrap();
    let patterns = [
        "all",
        "*",
        "cybex",
        "cyb-bp-02",
        "cyb-bp-*",
        "eos_?p*",
        "eos*",
        "cybex,eos_api",
        "cybex:eos_api",
        "cybex:&both",
        "cybex:!cyb-seed-*",
        "!cybex",
        "&both",
        "cybex[0]",
        "cybex[-1]",
        "cybex[1:2]",
        "cybex[2:]",
        "cyb-bp-0[1-2]*",
        "eos[0:1]:!both",
        "ungrouped",
        "alone,alone",
        " cybex , !both ",
        "eos:!eos_bp",
    ];
    let mut all = String::new();
    for pattern in patterns {
        let nodes = inventory
            .select(&Pattern::parse(pattern).unwrap())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        writeln!(all, "{pattern:18} {}", names.join(" ")).unwrap();
    }
    settings().bind(|| insta::assert_snapshot!("patterns", all));
}

/// `tests/parity/patterns`: the real Ansible's answers, as its `InventoryManager` gave them (ansible-core 2.19.14). To see it fail: read a class of
/// characters before a subscript.
#[test]
fn every_pattern_selects_what_the_real_ansible_selects() {
    let folder = Path::new("tests/parity/patterns");
    let inventory = Inventory::load(&folder.join("inventory.yml"), &[]).unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (patterns, expected) = (read("patterns"), read("expected"));
    assert!(patterns.lines().count() >= 60);
    for (pattern, line) in patterns.lines().zip(expected.lines()) {
        let (recorded, expected) = line.split_once('\t').unwrap();
        assert_eq!(pattern, recorded, "record the answers again");
        let limit = format!("@{}", folder.join("limit").display());
        let selected = Pattern::load(&pattern.replace("@limit", &limit))
            .and_then(|pattern| inventory.select(&pattern));
        match selected {
            Ok(nodes) => {
                let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
                assert_eq!(names.join(" "), expected, "{pattern}");
            }
            // What selects nothing is an error here, so that a misspelt limit is one.
            Err(errors) => assert!(["none", "error"].contains(&expected), "{pattern}: {errors}"),
        }
    }
}

#[test]
fn a_pattern_that_matches_nothing_is_a_mistake() {
    let case = Case::inventory(FLEET);
    let inventory = case.load().unwrap();
    let patterns = [
        "cybx",
        "cybex,eso",
        "cybex:!cyb-seed-02",
        "nothing-like-it",
        "cybex:&eos",
        "cybex[9]",
        "!all",
        "node*",
        "::1",
        "fe80::1,cybex",
        "",
        ",",
        "!",
        "~cybx",
        "cybex:~e(",
        "cyb-bp-0[1-2]",
        "cybex:&both,alone",
        "cyb-bp-99",
        "fe80::1:cybex",
        "@file",
        "\u{1b}[31m",
    ];
    let mut all = String::new();
    for pattern in patterns {
        let errors = Pattern::parse(pattern)
            .and_then(|pattern| inventory.select(&pattern).map(drop))
            .expect_err(pattern);
        writeln!(all, "{errors}").unwrap();
    }
    let errors = inventory
        .select(&Pattern::parse("cybex:eos_bq").unwrap())
        .expect_err("a mistake");
    write!(all, "\n{}", errors.render(Style::Plain)).unwrap();
    settings().bind(|| insta::assert_snapshot!("patterns_of_nothing", all));
}

#[test]
fn a_file_of_patterns_adds_them() {
    let case = Case::new(&format!(
        "=== inventory.yml{FLEET}=== limit\n# retry these\ncyb-bp-01\neos  # all but these\n!eos_bp\n~(al|x):?one#?\n\n=== bad\ncybex\ncybx\n=== empty\n# none\n"
    ));
    let inventory = case.load().unwrap();
    let select = |name: &str| {
        let pattern = Pattern::load(&format!("@{}", case.directory.path().join(name).display()))?;
        Ok::<_, InputErrors>(
            inventory
                .select(&pattern)?
                .into_iter()
                .map(|node| node.name.clone())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(
        select("limit").unwrap(),
        ["alone", "cyb-bp-01", "eos-api-1"]
    );
    let mistakes = ["bad", "empty", "missing"]
        .map(|name| case.shown(&select(name).expect_err(name).to_string()));
    assert_eq!(
        mistakes,
        [
            "bad:2:1: `cybx` matches no node and no group (did you mean `cybex`?)",
            "empty: no pattern in this file",
            "missing: there is no such file",
        ]
    );
}

#[test]
fn a_password_is_in_no_message() {
    let case = Case::new(
        "=== inventory.yml\nall:\n  hosts:\n    web1: {ansible_port: 0, ansible_become_password: hunter2}\n    web2: {ansible_become_password: [hunter2]}\n=== -e\nansible_become_password=hunter2\n",
    );
    let errors = connections(&case.load().unwrap()).expect_err("a mistake");
    let shown = format!(
        "{errors} {errors:?} {} {}",
        errors.render(Style::Plain),
        errors.render(Style::Colored)
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    let case = Case::inventory("all: {hosts: {web1: {ansible_become_password: hunter2, x: 1}}}\n");
    let inventory = case.load().unwrap();
    assert!(!format!("{inventory:?}").contains("hunter2"));
    let node = inventory.node("web1").unwrap();
    match connections(&inventory).unwrap()[0]
        .escalate_password
        .as_ref()
        .unwrap()
    {
        Password::Written(secret) => assert_eq!(secret.expose(), "hunter2"),
        other => panic!("{other:?}"),
    }
    assert_eq!(node.vars.keys().collect::<Vec<_>>(), ["x"]);
}

#[test]
fn a_bad_element_is_found_inside_of_its_variable() {
    use fwdeploy::inventory::document::Segment;
    let case = Case::new(
        "=== inventory.yml\nall: {hosts: {web1: }}\n=== group_vars/all.yml\ncybex_peers:\n  - 192.0.2.1\n  - 192.0.2.2\n  - 192.0.2.300\n=== -e\neos_peers=bad\n",
    );
    let inventory = case.load().unwrap();
    let node = inventory.node("web1").unwrap();
    let third = node.vars["cybex_peers"]
        .origin()
        .inside(&[Segment::Index(2)]);
    assert_eq!(case.shown(&third.to_string()), "group_vars/all.yml:4:5");
    assert_eq!(third.text(), "192.0.2.300");
    let eos = node.vars["eos_peers"].location();
    assert_eq!(
        (eos.to_string().as_str(), eos.text()),
        ("-e eos_peers=…", "bad")
    );
}

#[test]
fn five_thousand_nodes_are_read_at_once() {
    let mut text = String::from("all:\n  vars: {peers: [192.0.2.1, 192.0.2.2]}\n  children:\n");
    for group in 0..50 {
        writeln!(
            text,
            "    g{group}:\n      vars: {{x: {group}}}\n      hosts:"
        )
        .unwrap();
        for node in 0..100 {
            writeln!(text, "        n{group}-{node}:\n          ansible_host: 10.{group}.0.{node}\n          ansible_port: 22\n          tags: [a, b]").unwrap();
        }
    }
    let inventory = Case::inventory(&text).load().unwrap();
    assert_eq!(inventory.nodes().count(), 5000);
    assert_eq!(inventory.groups()["g7"].len(), 100);
}

/// Inventories that are nearly right.
fn inventoryish() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "all:",
        "  hosts:",
        "    web1:",
        "    web[1:3]: {x: 1}",
        "    web2: {ansible_port: 0}",
        "  children:",
        "    eos:",
        "      hosts: {web1: }",
        "      children: {all: }",
        "      children: {eos: }",
        "    cybex: {children: {eos: }}",
        "      children: {cybex: }",
        "  vars: {fwdeploy_roles: [cybex]}",
        "  vars: {fwdeploy_role: x}",
        "eos:",
        "  vars: {ansible_group_priority: x}",
        "ungrouped: {hosts: {web1: }}",
        "  hosts: [web1, 2, []]",
        "  hosts: a b",
        "web1: {hosts: {web1: }}",
        "  vars: 1",
        "    web3: {ansible_host: '{{ x }}', ansible_become: 2}",
    ]);
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_inventory_makes_it_panic(text in inventoryish()) {
        match Case::inventory(&text).load() {
            Ok(inventory) => prop_assert!(inventory.nodes().count() > 0),
            Err(errors) => prop_assert!(!errors.render(Style::Plain).is_empty()),
        }
    }

    #[test]
    fn no_argument_makes_it_panic(argument in "[ -~é\n]{0,30}", pattern in "[ -?a-e\\[\\]!&,:*é]{0,20}") {
        prop_assume!(!argument.starts_with('@'));
        let case = Case::inventory(FLEET);
        let _ = Inventory::load(&case.path(), &[ExtraVars::from_argument(&argument)]).map_err(|errors| errors.render(Style::Plain));
        let inventory = case.load().unwrap();
        let selected = Pattern::parse(&pattern).and_then(|pattern| inventory.select(&pattern).map(|nodes| nodes.len()));
        if let Ok(selected) = selected {
            prop_assert!(selected > 0);
        }
    }
}
