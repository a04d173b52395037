//! DNS names of peers, with the real resolver: each run has an /etc/hosts of its own, and no network.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;

use crate::support::program::Place;
use crate::support::program::Ran;
use crate::support::program::ran;

/// A node at whose port nobody listens, with a peer by its name.
const INVENTORY: &str = "all:
  vars: {fwdeploy_roles: [cybex], ansible_host: 127.0.0.1, ansible_port: 9}
  hosts:
    a:
      cybex_peers:
        - fra-2.example.org
        - {address: 'Hub.example.org:5001', owner: Acme}
    b:
      cybex_peers: [rpc.example.org]
";

const ALL: &str = "203.0.113.7 fra-2.example.org
2001:db8::7 fra-2.example.org
203.0.113.8 hub.example.org
203.0.113.9 rpc.example.org
";

const LOCK: &str = "fwdeploy.lock";

/// Runs the program where /etc/hosts is this text, and where no DNS server answers. `before` is a piece of shell.
fn run_after(place: &Place, hosts: &str, before: &str, arguments: &[&str]) -> Ran {
    let etc = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = etc.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let hosts = file("hosts", &format!("127.0.0.1 localhost\n{hosts}"));
    let resolver = file(
        "resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    );
    let switch = file("nsswitch.conf", "hosts: files dns\n");
    let inner = place.command(arguments);
    let script = format!(
        "ip link set lo up && mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" \"$(readlink -f /etc/resolv.conf)\" && \
         mount --bind \"$3\" /etc/nsswitch.conf && shift 3 && {before} exec \"$@\""
    );
    let mut outer = Command::new("unshare");
    outer
        .args(["--net", "--mount", "--propagation", "private"])
        .args(["sh", "-c", &script, "sh"])
        .args([&hosts, &resolver, &switch])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(place.0.path())
        .stdin(Stdio::null());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    ran(&mut outer)
}

fn run(place: &Place, hosts: &str, arguments: &[&str]) -> Ran {
    run_after(place, hosts, "", arguments)
}

fn lock(place: &Place) -> String {
    fs::read_to_string(place.0.path().join(LOCK)).expect("the pins")
}

fn is_pinned(place: &Place) -> bool {
    place.0.path().join(LOCK).exists()
}

/// To see it fail: pin in a check, or ask the resolver in `render`.
#[test]
fn a_run_pins_what_names_lead_to_and_nothing_else_does() {
    let place = Place::with(INVENTORY);
    // Nobody needs DNS for this.
    for arguments in [
        &["run", "inventory.yml", "--syntax-check"][..],
        &["run", "inventory.yml", "--list-hosts"],
        &["inventory", "inventory.yml", "--list"],
    ] {
        let ran = run(&place, "", arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    }
    let rendered = run(&place, ALL, &["render", "inventory.yml", "-l", "a"]);
    assert_eq!(rendered.code, 0, "{}", rendered.stderr);
    assert!(
        !rendered.stdout.contains("203.0.113."),
        "{}",
        rendered.stdout
    );
    let unknown = "inventory.yml:6:11: no run has used the name `fra-2.example.org` yet";
    assert!(rendered.stderr.contains(unknown), "{}", rendered.stderr);
    // A check asks, and leaves nothing.
    let checked = run(&place, ALL, &["run", "inventory.yml", "--check"]);
    assert_eq!(checked.code, 4, "{}", checked.stderr);
    assert!(!is_pinned(&place));
    let facts = run(&place, ALL, &["facts", "inventory.yml"]);
    assert_eq!(facts.code, 4, "{}", facts.stderr);
    assert!(!is_pinned(&place));

    let done = run(&place, ALL, &["run", "inventory.yml"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    assert_eq!(
        lock(&place),
        "# What the DNS names of peers led to when `fwdeploy run` last used them. Keep this file with the inventory.
version: 1
inventories:
  - sources: [\"inventory.yml\"]
    names:
      fra-2.example.org: [\"203.0.113.7\", \"2001:db8::7\"]
      hub.example.org: [\"203.0.113.8\"]
      rpc.example.org: [\"203.0.113.9\"]
"
    );
    // From now on it is known, also where nobody answers.
    let rendered = run(&place, "", &["render", "inventory.yml", "-l", "a"]);
    for peer in ["203.0.113.7", "203.0.113.8"] {
        assert!(rendered.stdout.contains(peer), "{}", rendered.stdout);
    }
    assert!(!rendered.stderr.contains("warning"), "{}", rendered.stderr);
    let document = run(
        &place,
        "",
        &["render", "inventory.yml", "-l", "a", "--format", "json"],
    );
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    let peers = document["nodes"][0]["peers"].as_array().unwrap();
    let called = |net: &str| -> Vec<&str> {
        let peers = peers.iter().filter(|peer| peer["net"] == net);
        peers.filter_map(|peer| peer["name"].as_str()).collect()
    };
    assert_eq!(called("203.0.113.7/32"), ["fra-2.example.org"]);
    assert_eq!(called("203.0.113.8/32"), ["hub.example.org"]);
}

#[test]
fn a_name_that_moves_is_told_with_old_and_new_until_a_run_has_used_it() {
    let place = Place::with(INVENTORY);
    run(&place, ALL, &["run", "inventory.yml"]);
    let before = lock(&place);
    let now = ALL
        .replace("203.0.113.7", "203.0.113.77")
        .replace("203.0.113.8", "203.0.113.88");
    let moved = [
        "inventory.yml:6:11: the name `fra-2.example.org` has moved from 203.0.113.7, 2001:db8::7 to 203.0.113.77, 2001:db8::7",
        "the name `hub.example.org` has moved from 203.0.113.8 to 203.0.113.88",
    ];
    let checked = run(&place, &now, &["run", "inventory.yml", "--check"]);
    for text in moved {
        assert!(checked.stderr.contains(text), "{}", checked.stderr);
    }
    let document = run(&place, &now, &["run", "inventory.yml", "--check", "--json"]);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    let warning = &document["warnings"][0];
    assert_eq!(
        warning["moved"],
        json!({
            "name": "fra-2.example.org",
            "from": ["203.0.113.7", "2001:db8::7"],
            "to": ["203.0.113.77", "2001:db8::7"],
        })
    );
    assert_eq!(
        (&warning["line"], &warning["column"], &warning["nodes"]),
        (&json!(6), &json!(11), &json!(1))
    );
    assert_eq!(lock(&place), before);
    // A run over another node leaves it as it was.
    let other = run(&place, &now, &["run", "inventory.yml", "-l", "b"]);
    assert!(!other.stderr.contains("has moved"), "{}", other.stderr);
    assert_eq!(lock(&place), before);
    let done = run(&place, &now, &["run", "inventory.yml"]);
    for text in moved {
        assert!(done.stderr.contains(text), "{}", done.stderr);
    }
    assert!(lock(&place).contains("fra-2.example.org: [\"203.0.113.77\", \"2001:db8::7\"]"));
    let again = run(&place, &now, &["run", "inventory.yml", "--check"]);
    assert!(!again.stderr.contains("has moved"), "{}", again.stderr);
    // However many have moved, each is told.
    let many: String = (0..9)
        .map(|n| format!("203.0.113.{n} n{n}.example.org\n"))
        .collect();
    let peers: Vec<String> = (0..9).map(|n| format!("n{n}.example.org")).collect();
    let inventory = format!(
        "all: {{hosts: {{a: {{ansible_host: 127.0.0.1, ansible_port: 9, fwdeploy_roles: [cybex], cybex_peers: [{}]}}}}}}\n",
        peers.join(", ")
    );
    let place = Place::with(&inventory);
    run(&place, &many, &["run", "inventory.yml"]);
    let moved = many.replace("203.0.113.", "198.51.100.");
    let checked = run(&place, &moved, &["run", "inventory.yml", "-C"]);
    assert_eq!(
        checked.stderr.matches("has moved from").count(),
        9,
        "{}",
        checked.stderr
    );
}

#[test]
fn a_name_that_does_not_resolve_has_its_pins_or_is_an_error_before_any_node() {
    let place = Place::with(INVENTORY);
    for arguments in [
        &["run", "inventory.yml"][..],
        &["run", "inventory.yml", "--check"],
    ] {
        let ran = run(&place, "", arguments);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("inventory.yml:6:11"), "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("the name `fra-2.example.org` does not resolve: "),
            "{}",
            ran.stderr
        );
        assert!(!is_pinned(&place));
    }
    let document = run(&place, "", &["run", "inventory.yml", "--json"]);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!(document["errors"].as_array().unwrap().len(), 3);
    assert_eq!(document["errors"][0]["line"], 6);

    run(&place, ALL, &["run", "inventory.yml"]);
    let before = lock(&place);
    let ran = run(&place, "", &["run", "inventory.yml"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("its pinned addresses are used, 203.0.113.7, 2001:db8::7"),
        "{}",
        ran.stderr
    );
    assert_eq!(lock(&place), before);
    // An answer that is no peer's is not the same as none.
    let odd = ALL.replace("203.0.113.7", "127.0.0.1");
    let ran = run(&place, &odd, &["run", "inventory.yml"]);
    assert_eq!((ran.code, &*ran.stdout), (1, ""), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("127.0.0.1 is not the address of a peer"),
        "{}",
        ran.stderr
    );
    assert_eq!(lock(&place), before);
}

/// To see it fail: write the pins after the run.
#[test]
fn what_cannot_be_pinned_is_told_before_any_node_is_connected_to() {
    let place = Place::with(INVENTORY);
    let before = "mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\" &&";
    let ran = run_after(&place, ALL, before, &["run", "inventory.yml", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["nodes"], json!([]));
    let error = document["errors"][0]["message"].as_str().unwrap();
    assert!(
        error.starts_with("cannot pin the addresses of names in `fwdeploy.lock`: Read-only"),
        "{error}"
    );
    let ran = run_after(&place, ALL, before, &["run", "inventory.yml"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no node was connected to"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("connection refused") && ran.stdout.is_empty(),
        "{}",
        ran.stdout
    );
    // A check writes nothing, and neither does a run that changes nothing in the file.
    let ran = run_after(&place, ALL, before, &["run", "inventory.yml", "--check"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    run(&place, ALL, &["run", "inventory.yml"]);
    let ran = run_after(&place, ALL, before, &["run", "inventory.yml"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    // What is damaged is refused at its place, by whatever uses it.
    let damaged = lock(&place).replace("\"203.0.113.8\"", "\"0.0.0.0\"");
    place.file(LOCK, &damaged);
    for arguments in [&["run", "inventory.yml"][..], &["render", "inventory.yml"]] {
        let ran = run(&place, ALL, arguments);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("fwdeploy.lock:7:7"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("0.0.0.0 is not the address of a peer"),
            "{}",
            ran.stderr
        );
        assert_eq!(lock(&place), damaged);
    }
}

/// The pins are beside whatever the inventory is, and Ansible never takes them for one.
#[test]
fn every_kind_of_inventory_has_its_pins_somewhere() {
    let place = Place::with("");
    let root = place.0.path();
    let names = "fwdeploy_roles: [cybex], ansible_port: 9, cybex_peers: [fra-2.example.org]";
    let inventory = format!("all: {{hosts: {{127.0.0.1: {{{names}}}}}}}\n");
    for folder in ["prod", "lists", "piped"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    fs::write(root.join("prod/hosts.yml"), &inventory).unwrap();
    fs::write(root.join("prod/more"), "127.0.0.2 ansible_port=9\n").unwrap();
    let reads = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    // A directory; and the same file by itself, whose pins are then in that directory.
    let ran = run(&place, ALL, &["run", "prod"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(reads(&root.join(LOCK)).contains("sources: [\"prod\"]"));
    let ran = run(&place, ALL, &["run", "prod/hosts.yml"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(reads(&root.join("prod/fwdeploy.lock")).contains("sources: [\"hosts.yml\"]"));
    let ran = run(&place, ALL, &["run", "prod", "--list-hosts"]);
    assert_eq!(
        ran.stdout, "  hosts (2):\n    127.0.0.1\n    127.0.0.2\n",
        "{}",
        ran.stderr
    );
    // A list of hosts, with its variables in the current directory; and a pipe.
    let vars = "{\"fwdeploy_roles\": [\"cybex\"], \"ansible_port\": 9, \"cybex_peers\": [\"fra-2.example.org\"]}";
    fs::create_dir(root.join("lists/group_vars")).unwrap();
    fs::write(root.join("lists/group_vars/all.json"), vars).unwrap();
    let ran = run_after(&place, ALL, "cd lists &&", &["run", "-i", "127.0.0.1,"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let listed = reads(&root.join("lists/fwdeploy.lock"));
    assert!(
        listed.contains("sources: [\"-\"]") && listed.contains("203.0.113.7"),
        "{listed}"
    );
    let piped = format!("cd piped && printf '%s' '{inventory}' |");
    let ran = run_after(&place, ALL, &piped, &["run", "-i", "/dev/stdin"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let listed = reads(&root.join("piped/fwdeploy.lock"));
    assert!(
        listed.contains("sources: [\"-\"]") && listed.contains("203.0.113.7"),
        "{listed}"
    );
    let redirected = "cd piped && rm fwdeploy.lock && exec < ../prod/hosts.yml &&";
    let ran = run_after(&place, ALL, redirected, &["run", "-i", "/dev/stdin"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let listed = reads(&root.join("piped/fwdeploy.lock"));
    assert!(listed.contains("sources: [\"-\"]"), "{listed}");
    // An executable one.
    let script = format!(
        "#!/bin/sh\necho '{{\"_meta\": {{\"hostvars\": {{\"127.0.0.1\": {vars}}}}}, \"all\": {{\"hosts\": [\"127.0.0.1\"]}}}}'\n"
    );
    fs::create_dir(root.join("scripts")).unwrap();
    let path = root.join("scripts/inventory.sh");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = run(&place, ALL, &["run", "-i", "scripts/inventory.sh"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(reads(&root.join("scripts/fwdeploy.lock")).contains("sources: [\"inventory.sh\"]"));
}

/// To see it fail: leave the taint out of `peers.rs`.
#[test]
fn a_name_that_is_a_secret_is_in_no_file_and_in_no_message() {
    let place = Place::with(
        "all:
  vars:
    fwdeploy_secret_command: {word: [echo, fra-2.example.org]}
  hosts:
    a:
      ansible_host: 127.0.0.1
      fwdeploy_roles: [cybex]
      cybex_peers: PEERS
",
    );
    let text = fs::read_to_string(place.0.path().join("inventory.yml")).unwrap();
    for peers in [
        "\"{{ word }}\"",
        "[\"{{ word }}:5001\"]",
        "[{address: \"{{ word }}\", name: fra}]",
        "[\"x.{{ word }}\"]",
    ] {
        place.file("inventory.yml", &text.replace("PEERS", peers));
        let ran = run(&place, ALL, &["run", "inventory.yml"]);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{peers}: {}", ran.stderr);
        let said = "the name of a peer comes from a value that is encrypted or secret";
        assert!(ran.stderr.contains(said), "{peers}: {}", ran.stderr);
        assert!(ran.stderr.contains("-->"), "{peers}: {}", ran.stderr);
        // The command itself is written in the inventory.
        let shown = ran.stderr.replace("[echo, fra-2.example.org]", "");
        assert!(!shown.contains("fra-2"), "{peers}: {}", ran.stderr);
        assert!(!is_pinned(&place));
    }
}
