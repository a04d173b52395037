//! Where an inventory comes from: files of all kinds, scripts, directories, several at once, and what ansible.cfg says.
//!
//! What Ansible makes of the same inventories was recorded with `ansible-inventory` of ansible-core 2.19: `tests/parity/listed`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::support::program::Place;
use crate::support::program::Ran;
use crate::support::program::ran;

/// A folder with these files. Names that end in `.sh` can be executed.
fn place(files: &[(&str, &str)]) -> Place {
    let place = Place::with("");
    let folder = place.0.path();
    fs::remove_file(folder.join("inventory.yml")).unwrap();
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if name.ends_with(".sh") || name.starts_with("bin/") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    place
}

fn json_of(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The variables of a node.
fn host(place: &Place, arguments: &[&str], node: &str) -> Value {
    let all = [&["inventory"], arguments, &["--host", node]].concat();
    json_of(&place.run(&all))
}

/// The message of a run that has to fail, its lines joined.
fn refused(place: &Place, arguments: &[&str]) -> String {
    let ran = place.run(arguments);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

/// To see it fail: let an outer group win over an inner one (`layers.rs`), or read the sources in another order.
#[test]
fn inventories_are_listed_as_ansible_lists_them() {
    let mut compared = 0;
    for entry in fs::read_dir("tests/parity/listed").unwrap() {
        let recorded = entry.unwrap().path();
        let name = recorded.file_stem().unwrap().to_str().unwrap().to_owned();
        // These ask the real `ansible-inventory`.
        if name.starts_with("plugin") || name.ends_with("constructed") {
            continue;
        }
        let folder = Path::new("tests/parity/inventories").join(&name);
        let expected: Value = serde_json::from_str(&fs::read_to_string(recorded).unwrap()).unwrap();
        let mut sources: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("inventory"))
            .collect();
        sources.sort();
        let mut arguments = vec!["inventory", "--list"];
        for source in &sources {
            arguments.extend(["-i", source]);
        }
        let place = Place::with("");
        let ran = ran(place.command(&arguments).current_dir(&folder));
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        let listed: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(listed, expected, "{name}");
        compared += 1;
    }
    assert!(compared >= 35, "{compared}");
}

/// Each value as `ansible-inventory` gave it for these files. To see it fail: leave the directory of the playbook out of `Sources::directories`.
#[test]
fn variables_beside_the_working_directory_count_as_for_ansible() {
    let place = place(&[
        (
            "inv/hosts.ini",
            "[outer:children]\nweb\n[web]\nw1\n[web:vars]\na=inv\n",
        ),
        (
            "inv/group_vars/all.yml",
            "a: inv_all\nb: inv_all\nc: inv_all\n",
        ),
        ("inv/group_vars/web.yml", "b: inv_web\nd: inv_web\n"),
        ("inv/host_vars/w1.yml", "f: inv_host\ng: inv_host\n"),
        (
            "group_vars/all.yml",
            "b: play_all\nc: play_all\nd: play_all\n",
        ),
        ("group_vars/outer.yml", "d: play_outer\ne: play_outer\n"),
        ("host_vars/w1.yml", "f: play_host\n"),
        ("plays/group_vars/web.yml", "d: of_plays\n"),
        (
            "two/hosts.yml",
            "web: {hosts: {w1: {h: two}, w3: {}}, vars: {a: two}}\n",
        ),
        ("two/group_vars/web.yml", "e: two_web\nd: two_web\n"),
        ("two/group_vars/outer.yml", "b: two_outer\n"),
    ]);
    let inv = ["-i", "inv/hosts.ini"];
    let expected = json!({"a": "inv_all", "b": "inv_web", "c": "play_all", "d": "play_outer", "e": "play_outer", "f": "play_host", "g": "inv_host"});
    assert_eq!(host(&place, &inv, "w1"), expected);
    let plays = [&inv[..], &["--playbook-dir", "plays"]].concat();
    let expected = json!({"a": "inv_all", "b": "inv_web", "c": "inv_all", "d": "of_plays", "f": "inv_host", "g": "inv_host"});
    assert_eq!(host(&place, &plays, "w1"), expected);
    let both = [&inv[..], &["-i", "two/hosts.yml"]].concat();
    let expected = json!({"a": "inv_all", "b": "two_outer", "c": "play_all", "d": "play_outer", "e": "play_outer", "f": "play_host", "g": "inv_host", "h": "two"});
    assert_eq!(host(&place, &both, "w1"), expected);
    // A whitelist in such a file is the node's: the run sees it too.
    let fleet = crate::sources::place(&[
        (
            "inv/hosts",
            "[cybex]\nc1 ansible_host=192.0.2.1 fwdeploy_roles=cybex\n",
        ),
        ("group_vars/cybex.yml", "cybex_peers: [192.0.2.77]\n"),
    ]);
    let rendered = fleet.run(&["render", "-i", "inv/hosts"]);
    assert!(
        rendered.stdout.contains("192.0.2.77"),
        "{}{}",
        rendered.stdout,
        rendered.stderr
    );
}

#[test]
fn files_of_variables_that_are_not_read_are_told() {
    let place = place(&[
        ("hosts", "[testnets]\nt1\n[other]\no1\n"),
        ("group_vars/testnet.yml", "a: 1\n"),
        ("group_vars/elsewhere.yml", "a: 1\n"),
        ("group_vars/other.yml", "a: yml\n"),
        ("group_vars/other.json", "{\"a\": \"json\"}\n"),
        ("host_vars/o1/peers.ini", "a=1\n"),
        ("host_vars/o1/notes.md", "nothing\n"),
        ("host_vars/o1/sub.d/x.yml", "a: 1\n"),
    ]);
    let ran = place.run(&["inventory", "hosts", "--host", "o1"]);
    assert_eq!(json_of(&ran), json!({"a": "yml"}));
    let warnings: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        warnings,
        [
            "warning: group_vars/testnet.yml: there is no group `testnet` in the inventory (did you mean `testnets.yml`?)",
            "warning: group_vars/other.json: not read, as by Ansible: `other` has variables in `other.yml` too (put both into the directory `group_vars/other/`)",
            "warning: host_vars/o1/peers.ini: not read, as by Ansible: its name does not end in `.yml`, `.yaml` or `.json` (rename it; a dot before its name says that it is left out on purpose)",
            "warning: host_vars/o1/sub.d: not read, as by Ansible: a directory whose name has a dot (name it without a dot)",
        ]
    );
}

#[test]
fn a_later_inventory_wins_and_all_forms_can_be_mixed() {
    let place = place(&[
        ("a.ini", "[g]\nh x=a y=a\n"),
        ("b.yml", "g: {hosts: {h: {x: b}, k: {}}}\n"),
        ("dir/1.ini", "[g]\nh z=1\n"),
        ("dir/2.yml", "g: {hosts: {h: {z: 2}}}\n"),
    ]);
    let all = ["a.ini", "-i", "b.yml", "-i", "dir", "-i", "h,extra:2222"];
    assert_eq!(host(&place, &all, "h"), json!({"x": "b", "y": "a", "z": 2}));
    assert_eq!(host(&place, &all, "extra"), json!({"ansible_port": 2222}));
    let back = ["-i", "b.yml", "--inventory", "a.ini"];
    assert_eq!(host(&place, &back, "h"), json!({"x": "a", "y": "a"}));
    let names = place.run(&["run", "-i", "dir,missing,", "--list-hosts"]);
    assert_eq!(names.stdout, "  hosts (2):\n    dir\n    missing\n");
}

#[test]
fn a_value_twice_in_one_file_is_the_last_one_and_told() {
    let place = place(&[("hosts.ini", "[a]\nh x=1\n[b]\nh x=2\n")]);
    let ran = place.run(&["inventory", "hosts.ini", "--host", "h"]);
    assert_eq!(json_of(&ran), json!({"x": 2}));
    assert_eq!(
        ran.stderr,
        "warning: hosts.ini:4:5: `x` has two values at one level (the last one holds, as for Ansible; keep one of them)\n"
    );
}

#[test]
fn a_group_and_a_host_of_one_name_are_told() {
    let place = place(&[("hosts.ini", "[web]\nweb x=1\nother\n")]);
    let ran = place.run(&["inventory", "hosts.ini", "--list"]);
    let listed = json_of(&ran);
    // Ansible gives the group the variables that are written at the host.
    let both = json!({"other": {"x": 1}, "web": {"x": 1}});
    assert_eq!(listed["_meta"]["hostvars"], both);
    assert!(
        ran.stderr
            .starts_with("warning: hosts.ini:2:1: `web` is both a group and a node ("),
        "{}",
        ran.stderr
    );
}

#[test]
fn mistakes_in_ini_have_their_place() {
    for (text, expected) in [
        ("[web\nx\n", "1:1: `[` is not allowed in the name of a node"),
        ("[web nodes]\n", "1:1: `[web nodes]` begins no section"),
        ("[web:var]\nx=1\n", "1:6: there is no section `:var`"),
        ("h1 h2\n", "1:4: `h2` is not `name=value`"),
        ("h1\n\n  h2 a='x\n", "3:8: a quote is never closed"),
        ("h1 a=x\\\n", "1:7: nothing follows the `\\`"),
        ("[g]\nh\n[g:vars]\nabc\n", "4:1: `abc` is not `name=value`"),
        (
            "[g:children]\none two\n",
            "2:1: `one two` is not the name of a group",
        ),
        (
            "[g]\nh\n[top:children]\nh1\ngg\n",
            "4:1: there is no group `h1`",
        ),
        ("[g]\nh\n[gg:vars]\nx=1\n", "3:2: there is no group `gg`"),
        ("h[3:1]\n", "1:1: the range `[3:1]` ends before it begins"),
        ("all:\n", "1:1: `all:` ends in `:`"),
        ("---\n", "1:1: `---` begins a YAML document"),
        (
            "h fwdeploy_rols=cybex\n",
            "1:3: there is no variable `fwdeploy_rols`",
        ),
        ("h a=\u{7}b\n", "1:1: the control character U+0007"),
        (
            "[a:children]\nb\n[b:children]\na\n[a]\nh\n",
            "group `a` is below itself",
        ),
    ] {
        let place = place(&[("hosts.ini", text)]);
        let said = refused(&place, &["run", "hosts.ini", "--list-hosts"]);
        let (place, message) = match expected.split_once(": ") {
            Some((place, message)) if place.starts_with(char::is_numeric) => {
                (format!("hosts.ini:{place}"), message)
            }
            _ => (String::new(), expected),
        };
        assert!(said.contains(message), "{text:?}: {said}");
        assert!(said.contains(&place), "{text:?}: {said}");
    }
}

#[test]
fn a_file_is_taken_for_what_it_is() {
    let ini = "[web]\nw1 x=1\n";
    let yaml = "web: {hosts: {w1: {x: 1}}}\n";
    let saved = "{\"_meta\": {\"hostvars\": {\"w1\": {\"x\": 1}}}, \"web\": {\"hosts\": [\"w1\"]}}";
    for (name, text) in [
        ("hosts", ini),
        ("hosts.ini", ini),
        ("hosts.prod", ini),
        ("hosts.yml", ini),
        ("run.sh", ini),
        ("hosts", yaml),
        ("hosts.yaml", yaml),
        ("saved.json", saved),
        ("hosts", saved),
    ] {
        let place = place(&[(name, text)]);
        assert_eq!(host(&place, &[name], "w1"), json!({"x": 1}), "{name}");
    }
    // What is neither says what it would have to be.
    let place = place(&[
        ("broken.yml", "all:\n  hosts: {a: [}\n"),
        ("broken", "all:\n  hosts:\n"),
        ("x.toml", "[web.hosts]\nw1 = {}\n"),
    ]);
    assert!(refused(&place, &["run", "broken.yml"]).contains("broken.yml:2:"));
    assert!(refused(&place, &["run", "broken"]).contains("there is no node"));
}

#[test]
fn a_saved_listing_has_no_ranges_and_old_forms_of_groups() {
    let saved = "{\"_meta\": {\"hostvars\": {\"w1\": {\"x\": \"{{ y }}\"}, \"gone\": {\"x\": 1}}}, \"list\": [\"w1\"], \"sole\": {\"v\": 2}, \"up\": {\"children\": [\"list\"], \"vars\": {\"y\": 3}}}";
    let place = place(&[("saved.json", saved)]);
    let listed = json_of(&place.run(&["inventory", "saved.json", "--list"]));
    let vars = json!({"w1": {"x": "{{ y }}", "y": 3}, "sole": {"v": 2}});
    assert_eq!(listed["_meta"]["hostvars"], vars);
    assert_eq!(listed["list"]["hosts"], json!(["w1"]));
    assert_eq!(listed["sole"]["hosts"], json!(["sole"]));
}

#[test]
fn a_script_that_fails_says_what_it_printed() {
    let place = place(&[
        (
            "fails.sh",
            "#!/bin/sh\necho first >&2\nprintf 'no \\033[31mtoken\\n' >&2\nexit 3\n",
        ),
        ("garbage.sh", "#!/bin/sh\necho hello\n"),
        ("list.sh", "#!/bin/sh\necho '[1]'\n"),
        (
            "host.sh",
            "#!/bin/sh\ncase $1 in --list) echo '{\"g\": [\"a\"]}' ;; *) echo \"no $2\" >&2; exit 1 ;; esac\n",
        ),
        ("missing.sh", "#!/no/such/interpreter\n"),
    ]);
    for (name, expected) in [
        (
            "fails.sh",
            "fails.sh: the inventory script exited with 3 (it printed to stderr: first ⏎ no \\u{1b}[31mtoken)",
        ),
        ("garbage.sh", "garbage.sh --list: no JSON object of groups"),
        ("list.sh", "list.sh --list: no JSON object of groups"),
        (
            "host.sh",
            "host.sh: the inventory script, asked with `--host a`, exited with 1 (it printed to stderr: no a)",
        ),
        (
            "missing.sh",
            "missing.sh: the inventory script cannot be executed: No such file or directory",
        ),
    ] {
        let said = refused(&place, &["run", name]);
        let (message, hint) = expected.split_once(" (").unwrap_or((expected, ""));
        let (file, message) = message.split_once(": ").unwrap();
        for part in [file, message, hint.trim_end_matches(')')] {
            assert!(said.contains(part), "{name}: {said}");
        }
        assert!(!said.contains("\u{1b}[31mtoken"), "{said}");
    }
}

#[test]
fn a_plugin_is_answered_by_ansible_inventory_or_refused_with_that_sentence() {
    let place = place(&[
        ("aws_ec2.yml", "plugin: amazon.aws.aws_ec2\nregions: [eu]\n"),
        ("group_vars/tag_node.yml", "x: file\n"),
        (
            "bin/ansible-inventory",
            "#!/bin/sh\nfor a; do echo \"$a\"; done > asked\nenv | grep ANSIBLE_ | sort >> asked\necho '{\"_meta\": {\"hostvars\": {\"i-1\": {\"ansible_host\": \"192.0.2.1\"}}}, \"tag_node\": {\"hosts\": [\"i-1\"], \"vars\": {\"x\": \"plugin\", \"y\": 1}}}'\n",
        ),
        ("failing/ansible-inventory", ""),
    ]);
    let folder = place.0.path().to_owned();
    let arguments = ["inventory", "aws_ec2.yml", "--host", "i-1"];
    let without = ran(place.command(&arguments).env("PATH", "/nowhere"));
    assert_eq!(without.code, 1);
    for says in [
        "`plugin: amazon.aws.aws_ec2` is answered by the `ansible-inventory` on PATH, and there is none",
        "aws_ec2.yml:1:9",
        "`ansible-inventory -i aws_ec2.yml --list --export > inventory.json`",
    ] {
        assert!(without.stderr.contains(says), "{}", without.stderr);
    }
    let path = format!("{}:/usr/bin:/bin", folder.join("bin").display());
    let with = ran(place.command(&arguments).env("PATH", path));
    let vars = json!({"ansible_host": "192.0.2.1", "x": "file", "y": 1});
    assert_eq!(json_of(&with), vars);
    let asked = fs::read_to_string(folder.join("asked")).unwrap();
    let source = fs::canonicalize(&folder).unwrap().join("aws_ec2.yml");
    let source = source.display();
    let expected = format!(
        "--list\n--export\n-i\n{source}\nANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=True\nANSIBLE_VARS_ENABLED=,\n"
    );
    assert_eq!(asked, expected);
}

#[test]
fn a_directory_is_read_as_ansible_reads_it_but_lets_no_file_fail_in_silence() {
    let place = place(&[
        ("inv/1", "[g]\na\n"),
        ("inv/ignored.cfg", "[g\n"),
        ("inv/ignored.txt", "[g\n"),
        ("inv/sub/2.yml", "g: {hosts: {b: {}}}\n"),
        ("inv/roles/r/role.yml", "not: an inventory\n"),
        ("inv/empty.yml", "# nothing\n"),
    ]);
    let names = place.run(&["run", "inv", "--list-hosts"]);
    assert_eq!(
        names.stdout, "  hosts (2):\n    a\n    b\n",
        "{}",
        names.stderr
    );
    place.file("inv/3.ini", "[g\n");
    assert!(refused(&place, &["run", "inv", "--list-hosts"]).contains("inv/3.ini:1:1"));
}

#[test]
fn ansible_cfg_names_the_inventory_and_config_says_who_says_what() {
    let place = place(&[
        (
            "ansible.cfg",
            "[defaults]\ninventory = inv/hosts\nforks = 7\nremote_user = ops\nhost_key_checking = False\nhash_behaviour = merge\n",
        ),
        ("inv/hosts", "h1\nh2\n"),
    ]);
    let names = place.run(&["run", "--list-hosts"]);
    assert_eq!(names.stdout, "  hosts (2):\n    h1\n    h2\n");
    let mut command = place.command(&["config", "-f", "3"]);
    let shown = ran(command
        .env("ANSIBLE_TIMEOUT", "33")
        .env("ANSIBLE_VAULT_PASSWORD_FILE", "pass"));
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let lines: Vec<Vec<&str>> = shown
        .stdout
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect()
        })
        .collect();
    for expected in [
        &["ansible.cfg", "ansible.cfg"][..],
        &["inventory", "inv/hosts", "ansible.cfg:2"],
        &["forks", "3", "flag --forks"],
        &["timeout", "33 s", "environment ANSIBLE_TIMEOUT"],
        &["remote_user", "ops", "ansible.cfg:4"],
        &["host_key_checking", "accept-new", "ansible.cfg:5"],
        &["become", "false", "default"],
        &[
            "vault_password_file",
            "pass",
            "environment ANSIBLE_VAULT_PASSWORD_FILE",
        ],
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected:?}: {}",
            shown.stdout
        );
    }
    assert!(
        shown
            .stderr
            .starts_with("warning: ansible.cfg:6:18: `hash_behaviour` has no effect here")
    );
    // The command line wins, and a mistake is told by every command that reads the inventory.
    let named = place.run(&["run", "-i", "other,", "--list-hosts"]);
    assert_eq!(named.stdout, "  hosts (1):\n    other\n");
    place.file("ansible.cfg", "[defaults]\nforks = many\n");
    assert!(refused(&place, &["run", "inv/hosts"]).contains("ansible.cfg:2:9"));
    assert!(refused(&crate::sources::place(&[]), &["run"]).contains("no inventory is named"));
}

#[test]
fn the_inventory_shows_where_values_come_from_and_no_secrets() {
    let place = place(&[
        (
            "hosts.ini",
            "[g]\nh ansible_become_password=hunter2 x=1 api_token=hunter2\n[g:vars]\nx=0\ndb_password={{ vault_db }}\n",
        ),
        ("group_vars/all.yml", "x: -1\nvault_db: hunter2\n"),
    ]);
    let places = place.run(&["inventory", "hosts.ini", "--vars", "h"]);
    assert_eq!(
        places.stdout,
        "ansible_become_password: \"<redacted>\"\n    hosts.ini:2:3\napi_token: \"<redacted>\"\n    hosts.ini:2:39\ndb_password: \"{{ vault_db }}\"\n    hosts.ini:5:1\nvault_db: \"<redacted>\"\n    group_vars/all.yml:2:1\nx: 1\n    hosts.ini:2:35\n    over group_vars/all.yml:1:1\n    over hosts.ini:4:1\n"
    );
    for what in [
        &["--list"][..],
        &["--host", "h"],
        &["--vars", "h"],
        &["--graph"],
    ] {
        let ran = place.run(&[&["inventory", "hosts.ini"], what].concat());
        assert_eq!(ran.code, 0);
        assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"));
    }
    let graph = place.run(&["inventory", "hosts.ini"]).stdout;
    assert_eq!(graph, "@all:\n  |--@ungrouped:\n  |--@g:\n  |  |--h\n");
    assert_eq!(
        place.run(&["inventory", "hosts.ini", "--graph=g"]).stdout,
        "@g:\n  |--h\n"
    );
    assert!(refused(&place, &["inventory", "hosts.ini", "--host", "hh"]).contains("no node `hh`"));
}

#[test]
fn a_run_can_list_its_nodes_or_only_read_its_files() {
    let place = Place::with(
        "all: {hosts: {a: {ansible_host: 192.0.2.1, fwdeploy_roles: [cybex], cybex_peers: [192.0.2.9]}, b: {}, c: {}}}\n",
    );
    let listed = place.run(&["run", "inventory.yml", "-l", "a:c", "--list-hosts"]);
    assert_eq!(listed.stdout, "  hosts (2):\n    a\n    c\n");
    let checked = place.run(&["run", "inventory.yml", "--syntax-check"]);
    assert_eq!(checked.code, 0);
    assert!(
        checked
            .stderr
            .contains("no mistake in the inventory and the roles of 3 nodes")
    );
    let wrong = place.run(&[
        "run",
        "inventory.yml",
        "--syntax-check",
        "-e",
        "cybex_peers=x",
    ]);
    assert_eq!(wrong.code, 1);
}
