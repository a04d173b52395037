//! Bad input, all in one place: each error has a message with its location, the exit code is 1, and it costs no connection.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use crate::support::program::Place;
use crate::support::program::fleet;
use crate::support::program::listener;
use crate::support::program::nobody_came;

/// A hundred megabytes are refused by their length: no command parses them for minutes. A busy machine takes seconds to start one.
const PROMPT: Duration = Duration::from_secs(30);

/// Runs every command that reads an inventory, and returns their messages. A correct node comes first in the
/// inventory, at a port with a listener: a command that connects before everything is read arrives there.
fn refused(added: &str, prepare: impl Fn(&Path), arguments: &[&str]) -> String {
    let (listener, port) = listener();
    let place = Place::with(&fleet(&format!("    a:\n{added}"), port));
    prepare(place.0.path());
    let mut said: Vec<String> = Vec::new();
    for command in [&["run"][..], &["run", "--check"], &["facts"], &["render"]] {
        let mut all = vec![command[0], "inventory.yml"];
        all.extend(&command[1..]);
        all.extend(arguments);
        let begun = Instant::now();
        let ran = place.run(&all);
        assert!(
            begun.elapsed() < PROMPT,
            "{all:?} took {:?}",
            begun.elapsed()
        );
        assert_eq!(ran.code, 1, "{all:?} {added}{}", ran.stderr);
        assert_eq!(ran.stdout, "", "{all:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        said.push(ran.stderr);
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    assert!(
        nobody_came(&listener),
        "a connection in spite of:\n{}",
        said[0]
    );
    said.swap_remove(0)
}

/// Without an error the listener does get a connection: otherwise the other tests would prove nothing.
#[test]
fn without_a_mistake_the_node_is_met() {
    let (listener, port) = listener();
    let place = Place::with(&fleet("    a:\n", port));
    place.run(&["run", "inventory.yml", "--check", "-T", "1"]);
    assert!(!nobody_came(&listener));
}

/// The messages about each of these, under its name.
fn sections<'a>(said: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (name, said) in said {
        writeln!(text, "## {name}\n\n{said}").unwrap();
    }
    text
}

/// Mistakes in one more node.
fn nodes(cases: &[(&'static str, &str)]) -> String {
    sections(
        cases
            .iter()
            .map(|(name, added)| (*name, refused(added, |_| {}, &[]))),
    )
}

/// Mistakes in the whole inventory.
fn inventories(cases: &[(&'static str, &[u8])]) -> String {
    sections(cases.iter().map(|(name, inventory)| {
        let prepare = |folder: &Path| fs::write(folder.join("inventory.yml"), inventory).unwrap();
        (*name, refused("", prepare, &[]))
    }))
}

#[test]
fn keys_are_known_and_there_once() {
    insta::assert_snapshot!(nodes(&[
        ("duplicate key", "    b: { cybex_port: 1, cybex_port: 2 }\n"),
        ("duplicate node", "    a:\n"),
        ("unknown key of a group", "  host:\n    b:\n"),
        ("unknown variable of a role", "    b: { cybex_peerz: [] }\n"),
        (
            "unknown variable of fwdeploy",
            "    b: { fwdeploy_adress: 192.0.2.1 }\n"
        ),
    ]));
}

#[test]
fn roles_and_variables_are_there() {
    insta::assert_snapshot!(nodes(&[
        ("unknown role", "    b: { fwdeploy_roles: [cybx] }\n"),
        (
            "undefined variable",
            "    b: { cybex_peers: \"{{ nodes }}\" }\n"
        ),
        (
            "template loop without end",
            "    b: { cybex_peers: \"{{ x }}\", x: \"{{ y }}\", y: \"{{ x }}\" }\n"
        ),
        (
            "template that works without end",
            "    b: { cybex_peers: \"{% for x in range(9999) %}{% for y in range(9999) %}.{% endfor %}{% endfor %}\" }\n"
        ),
    ]));
}

#[test]
fn addresses_and_ports_can_be() {
    insta::assert_snapshot!(nodes(&[
        (
            "address outside the subnet",
            "    b: { cybex_address: 172.21.0.2 }\n"
        ),
        (
            "two roles with one address",
            "    b: { fwdeploy_roles: [eos], eos_network: cybex, eos_subnet: 172.20.0.0/16, eos_address: 172.20.0.2 }\n"
        ),
        ("port 70000 of a role", "    b: { cybex_port: 70000 }\n"),
        (
            "port 70000 of a peer",
            "    b: { cybex_peers: [\"192.0.2.7:70000\"] }\n"
        ),
        ("port 70000 of ssh", "    b: { ansible_port: 70000 }\n"),
        (
            "prefix 33 of a peer",
            "    b: { cybex_peers: [10.0.0.0/33] }\n"
        ),
        (
            "prefix 33 of a subnet",
            "    b: { cybex_subnet: 10.0.0.0/33 }\n"
        ),
        ("octet 300", "    b: { cybex_peers: [10.0.0.300] }\n"),
    ]));
}

#[test]
fn what_is_there_is_not_empty() {
    let extra = |vars| refused("", |_| {}, &["-e", vars]);
    insta::assert_snapshot!(
        nodes(&[
            ("port of a role", "    b: { cybex_port: }\n"),
            ("port as an empty text", "    b: { cybex_rpc_port: '' }\n"),
            (
                "peers",
                "    b:\n      cybex_peers:\n        # - 192.0.2.7\n"
            ),
            ("trusted peers", "    b: { cybex_trusted: ' ' }\n"),
            ("what becomes of others", "    b: { cybex_otherwise: ~ }\n"),
            ("container", "    b: { cybex_container: None }\n"),
            ("roles", "    b: { fwdeploy_roles: }\n"),
            ("zone", "    b: { fwdeploy_zone: '' }\n"),
            ("address", "    b: { fwdeploy_address: }\n"),
            ("host", "    b: { ansible_host: ' ' }\n"),
            ("port of ssh", "    b: { ansible_port: '' }\n"),
        ]) + &sections([
            ("port in -e", extra("cybex_port=")),
            ("peers in -e", extra("{\"cybex_peers\": null}")),
            ("pattern", refused("", |_| {}, &["-l", ""])),
        ])
    );
}

#[test]
fn no_name_reaches_a_shell() {
    insta::assert_snapshot!(nodes(&[
        ("name of a node", "    \"b;reboot\":\n"),
        ("host name", "    b: { ansible_host: \"$(reboot)\" }\n"),
        ("user", "    b: { ansible_user: \"ops;reboot\" }\n"),
        (
            "user to become",
            "    b: { ansible_become_user: \"`reboot`\" }\n"
        ),
        ("container", "    b: { cybex_container: \"x|reboot\" }\n"),
        ("network", "    b: { cybex_network: \"x&reboot\" }\n"),
        ("zone", "    b: { fwdeploy_zone: \"x>y\" }\n"),
    ]));
}

#[test]
fn an_inventory_is_a_mapping_with_nodes() {
    insta::assert_snapshot!(inventories(&[
        ("empty file", b""),
        ("only a comment", b"# nothing yet\n"),
        ("no hosts", b"all:\n"),
        ("empty hosts", b"all: { hosts: {} }\n"),
        ("list", b"- a\n- b\n"),
        ("text", b"a b c\n"),
        ("INI", b"[all]\na ansible_host 192.0.2.1\n"),
        ("YAML that is never closed", b"all: {\n"),
        (
            "two documents",
            b"all: {hosts: {a: }}\n---\nall: {hosts: {b: }}\n"
        ),
        ("no text", b"all:\n  hosts:\n    \xff\xfe:\n"),
        ("aliases of aliases", LAUGHS.as_bytes()),
    ]));
}

/// A few lines that would be a billion values.
const LAUGHS: &str = "\
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]
h: &h [*g, *g, *g, *g, *g, *g, *g, *g, *g, *g]
all: *h
";

#[test]
fn a_pattern_matches_something() {
    let limit = |pattern| refused("", |_| {}, &["-l", pattern]);
    insta::assert_snapshot!(sections([
        ("no such node", limit("b")),
        ("nothing is left", limit("a:!all")),
        ("no file of patterns", limit("@retry")),
    ]));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    fn replaced(with: impl Fn(&Path)) -> String {
        let prepare = |folder: &Path| {
            let inventory = folder.join("inventory.yml");
            fs::remove_file(&inventory).unwrap();
            with(&inventory);
        };
        refused("", prepare, &[])
    }
    let beside = |name: &str| {
        let prepare = |folder: &Path| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            unreadable(&path);
        };
        refused("", prepare, &[])
    };
    // Root may read every file; this one cannot be read by anyone, whatever its mode.
    fn unreadable(path: &Path) {
        symlink("/proc/self/mem", path).unwrap();
    }
    insta::assert_snapshot!(sections([
        (
            "100 MB",
            replaced(|path| fs::File::create(path).unwrap().set_len(100 << 20).unwrap())
        ),
        (
            "no end",
            replaced(|path| symlink("/dev/zero", path).unwrap())
        ),
        ("nothing there", replaced(|_| {})),
        (
            "link to nothing",
            replaced(|path| symlink("nowhere", path).unwrap())
        ),
        ("unreadable inventory", replaced(unreadable)),
        (
            "empty folder",
            replaced(|path| fs::create_dir(path).unwrap())
        ),
        (
            "unreadable variables of a group",
            beside("group_vars/all.yml")
        ),
        ("unreadable variables of a node", beside("host_vars/a.yml")),
        ("unreadable role", beside("roles/cybex/role.yml")),
        (
            "unreadable variables of -e",
            refused("", |_| {}, &["-e", "@/proc/self/mem"])
        ),
    ]));
}
