//! Vaults and secret commands, through the program: what is opened, what stays closed, and that no output shows a secret.
//!
//! The encrypted texts are ansible-vault's own, from tests/vault.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::program::Place;
use crate::support::program::Ran;
use crate::support::program::fleet;
use crate::support::program::listener;
use crate::support::program::nobody_came;
use crate::support::program::ran;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vault")
        .join(name);
    fs::read_to_string(path).expect("a fixture")
}

/// An encrypted text as a value of YAML, below a key that stands `depth` spaces deep.
fn value(name: &str, depth: usize) -> String {
    let lines = fixture(name);
    let lines = lines.lines().map(|line| format!("\n{:depth$}  {line}", ""));
    format!("!vault |{}", lines.collect::<String>())
}

/// A folder with the passwords, and an inventory of that text.
fn place(inventory: &str) -> Place {
    let place = Place::with(inventory);
    for name in ["default.pw", "prod.pw", "wrong.pw"] {
        place.file(name, &fixture(name));
    }
    place
}

fn program(place: &Place, name: &str, script: &str) -> String {
    let path = place.0.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    path.display().to_string()
}

/// A node with these variables; its role has the peer that `peers` says.
fn node(vars: &str) -> String {
    format!(
        "all:\n  hosts:\n    a:\n      ansible_host: 192.0.2.1\n      fwdeploy_roles: [cybex]\n{vars}"
    )
}

const VAULT: [&str; 2] = ["--vault-password-file", "default.pw"];

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

fn refused(ran: &Ran, says: &[&str]) {
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    for say in says {
        assert!(ran.stderr.contains(say), "no `{say}` in:\n{}", ran.stderr);
    }
}

fn done(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn what_nobody_asks_for_is_not_opened() {
    let (listener, port) = listener();
    // No password, and one of them is no text of ansible-vault's at all.
    let others = format!(
        "    a:\n      x: {}\n      y: !vault nonsense\n      z: [{{deep: !vault '1'}}]\n",
        value("value-1.1.txt", 6)
    );
    let place = place(&fleet(&others, port));
    done(&place.run(&["render", "inventory.yml"]));
    place.run(&["facts", "inventory.yml", "-T", "1"]);
    assert!(!nobody_came(&listener), "the node was not met");
    // A password that would have to be asked for, or that there is not, is not missed either.
    for flags in [&["-J"][..], &["--vault-password-file", "missing"]] {
        done(&place.run(&with(&["render", "inventory.yml"], flags)));
    }
}

#[test]
fn what_a_role_asks_for_is_opened_and_no_output_shows_it() {
    let vars = format!(
        "      vault_peer: {}\n      cybex_peers: [\"{{{{ vault_peer }}}}\", 198.51.100.9]\n",
        value("address.txt", 6)
    );
    let place = place(&node(&vars));
    let direct = node(&format!("      cybex_peers: {}\n", value("address.txt", 6)));
    place.file("direct.yml", &direct);
    for inventory in ["inventory.yml", "direct.yml"] {
        for format in ["commands", "json", "direct.xml"] {
            let render = ["render", inventory, "--format", format];
            let ran = place.run(&with(&render, &VAULT));
            done(&ran);
            assert!(!ran.stdout.contains("198.51.100.77"), "{}", ran.stdout);
            assert!(ran.stdout.contains("********"), "{}", ran.stdout);
        }
        let ran = place.run(&["render", inventory]);
        refused(
            &ran,
            &[
                "a password is needed for the vault id `default`",
                "`--vault-password-file FILE`",
                "inventory.yml:",
            ][..if inventory == "inventory.yml" { 3 } else { 2 }],
        );
        let ran = place.run(&["render", inventory, "--vault-password-file", "wrong.pw"]);
        refused(
            &ran,
            &["the vault password of `default@wrong.pw` does not open it"],
        );
    }
}

/// Each place where a value of a role is refused quotes it, unless it is a secret.
#[test]
fn no_mistake_quotes_a_secret() {
    let secret = "hunter2-of-the-fleet";
    for used in [
        "cybex_peers: [\"{{ vault }}\"]",
        "cybex_peers: [\"{{ vault }}/33\"]",
        "cybex_peers: [\"{{ vault | upper }}\"]",
        "cybex_port: \"{{ vault }}\"",
        "cybex_port: \"{{ vault | int }}\"",
        "cybex_port: \"{{ vault + 1 }}\"",
        "cybex_port: \"{{ (vault ~ 'x').y.z }}\"",
        "cybex_otherwise: \"{{ vault }}\"",
        "cybex_subnet: \"{{ vault }}\"",
        "cybex_bridge: \"{{ vault }}\"",
        "cybex_enforce: \"{{ vault }}\"",
        "cybex_container: \"{{ vault }} x\"",
        "cybex_until: \"{{ {'a': vault} }}\"",
        "ansible_port: \"VALUE\"",
        "ansible_host: \"VALUE\"",
        "ansible_user: \"VALUE\"",
        "ansible_become: \"VALUE\"",
        "fwdeploy_zone: \"VALUE\"",
        "fwdeploy_address: \"VALUE\"",
    ] {
        let encrypted = value("value-1.1.txt", 6);
        let vars = match used.split_once("\"VALUE\"") {
            Some((name, _)) => format!("      {name}{encrypted}\n      cybex_peers: []\n"),
            None => format!("      vault: {encrypted}\n      {used}\n"),
        };
        let mut inventory = node(&vars);
        if used.starts_with("ansible_host") {
            inventory = inventory.replace("      ansible_host: 192.0.2.1\n", "");
        }
        let place = place(&inventory);
        for arguments in [
            &["render", "inventory.yml"][..],
            &["run", "inventory.yml", "--check", "--json", "-T", "1"],
        ] {
            let ran = place.run(&with(arguments, &VAULT));
            let all = format!("{}{}", ran.stdout, ran.stderr).to_lowercase();
            assert!(!all.contains(secret), "{used}:\n{all}");
            assert!(!all.contains("panicked"), "{all}");
        }
    }
}

/// Says which password sudo was given; the test's sudo repeats it to whoever listens.
fn given_to_sudo(place: &Place, arguments: &[&str]) -> (Vec<String>, Vec<Ran>) {
    let log = place.0.path().join("given");
    let script = format!(
        "while [ $# -gt 0 ]; do case $1 in -p) printf '%s' \"$2\" >&2; shift;; esac; shift; done\n\
         IFS= read -r password\necho \"$password\" >>'{}'\necho \"sudo: no $password here\" >&2; echo \"$password\"; exit 1",
        log.display()
    );
    program(place, "bin/sudo", &script);
    let path = format!(
        "{}:{}",
        place.0.path().join("bin").display(),
        std::env::var("PATH").expect("a PATH")
    );
    let runs = [
        &["facts", "inventory.yml", "-vv"][..],
        &["run", "inventory.yml", "--check", "--json", "-vv"],
        &["run", "inventory.yml", "-vv"],
        &["run", "inventory.yml", "--json"],
        &["status", "inventory.yml", "--json"],
        &["peers", "inventory.yml"],
        &["refused", "inventory.yml", "--json"],
        &["rollback", "inventory.yml", "--check"],
        &["remove", "inventory.yml", "--check", "-l", "a"],
        &["drill", "inventory.yml"],
    ]
    .map(|command| {
        let mut command = place.command(&with(command, arguments));
        ran(command.env("PATH", &path))
    });
    let given = fs::read_to_string(&log).unwrap_or_default();
    let mut given: Vec<String> = given.lines().map(str::to_string).collect();
    given.dedup();
    (given, runs.into())
}

fn local(vars: &str) -> String {
    node(&format!(
        "      ansible_connection: local\n      ansible_become: true\n      cybex_peers: [198.51.100.9]\n{vars}"
    ))
}

#[test]
fn sudo_is_given_the_password_and_no_command_shows_it() {
    let encrypted = value("value-1.1.txt", 6);
    for (vars, secret, flags) in [
        (
            format!("      ansible_become_password: {encrypted}\n"),
            "hunter2-of-the-fleet",
            &VAULT[..],
        ),
        (
            format!("      v: {encrypted}\n      ansible_become_pass: \"{{{{ v }}}}\"\n"),
            "hunter2-of-the-fleet",
            &VAULT,
        ),
        (
            format!("      v: {encrypted}\n      w: \"{{{{ v }}}}\"\n      ansible_become_password: \"{{{{ w | upper }}}}\"\n"),
            "HUNTER2-OF-THE-FLEET",
            &VAULT,
        ),
        (
            format!("      ansible_become_password: {}\n", value("line-end.txt", 6)),
            "hunter2-and-line-end",
            &VAULT,
        ),
        (
            "      ansible_become_password: \"{{ vault_become }}\"\n".to_string(),
            "hunter2-in-a-file",
            &VAULT,
        ),
        (
            "      fwdeploy_secret_command: {ansible_become_password: [printf, 'hunter2-of-\"%s\"', \"{{ inventory_hostname }}\"]}\n".to_string(),
            "hunter2-of-\"a\"",
            &[],
        ),
        (
            String::new(),
            "hunter2-of-stdout",
            &["--become-password-file", "./print"],
        ),
    ] {
        let place = place(&local(&vars));
        fs::create_dir(place.0.path().join("group_vars")).expect("a folder");
        if secret == "hunter2-in-a-file" {
            place.file("group_vars/all.yml", &fixture("vars.yml"));
        }
        program(&place, "print", "echo hunter2-of-stdout");
        let (given, runs) = given_to_sudo(&place, flags);
        assert_eq!(given, [secret], "{vars}");
        for ran in runs {
            let shown = format!("{}{}", ran.stdout, ran.stderr);
            if flags.first() != Some(&"--become-password-file") {
                let json = secret.replace('"', "\\\"");
                assert!(!shown.contains(secret) && !shown.contains(&json), "{shown}");
            }
            if ran.stdout.starts_with('{') {
                assert!(serde_json::from_str::<serde_json::Value>(&ran.stdout).is_ok());
            }
        }
    }
}

#[test]
fn a_password_that_no_connection_needs_is_not_opened() {
    let vars = format!(
        "      ansible_become_password: {}\n",
        value("value-1.1.txt", 6)
    );
    let place = place(&local(&vars).replace("ansible_become: true", "ansible_become: false"));
    done(&place.run(&["render", "inventory.yml"]));
    let ran = place.run(&["facts", "inventory.yml"]);
    assert!(!ran.stderr.contains("vault"), "{}", ran.stderr);
    let ran = place.run(&["facts", "inventory.yml", "-e", "ansible_become=true"]);
    refused(&ran, &["a password is needed", "inventory.yml:10:"]);
}

#[test]
fn files_are_read_encrypted_as_a_whole() {
    let inventory = node("");
    let place = place(&inventory);
    fs::create_dir_all(place.0.path().join("group_vars/all")).expect("a folder");
    place.file("group_vars/all/vault.yml", &fixture("vars.yml"));
    let render = ["render", "inventory.yml"];
    let ran = place.run(&with(&render, &VAULT));
    done(&ran);
    assert!(ran.stdout.contains("198.51.100.21"), "{}", ran.stdout);
    refused(
        &place.run(&render),
        &["group_vars/all/vault.yml:1:1", "a password is needed"],
    );
    // From the command line, with line ends of another system.
    let path = place.0.path().join("group_vars");
    fs::remove_dir_all(path).expect("it was there");
    place.file("extra.yml", &fixture("vars.yml").replace('\n', "\r\n"));
    let ran = place.run(&with(&with(&render, &["-e", "@extra.yml"]), &VAULT));
    done(&ran);
    assert!(ran.stdout.contains("198.51.100.22"), "{}", ran.stdout);
    refused(
        &place.run(&with(&render, &["-e", "@extra.yml"])),
        &["extra.yml:1:1"],
    );
    // The inventory itself, and a password of another id.
    place.file("hidden.yml", &fixture("inventory.yml"));
    let ran = place.run(&["render", "hidden.yml", "--vault-id", "prod@prod.pw"]);
    done(&ran);
    assert!(ran.stdout.contains("198.51.100.31"), "{}", ran.stdout);
    refused(
        &place.run(&with(&["render", "hidden.yml"], &VAULT)),
        &[
            "hidden.yml:1:1",
            "`default@default.pw` does not open it",
            "`--vault-id prod@FILE`",
        ],
    );
}

#[test]
fn a_mistake_in_an_encrypted_file_has_its_place_and_shows_nothing_of_it() {
    let place = place(&node(""));
    fs::create_dir(place.0.path().join("host_vars")).expect("a folder");
    for (name, places, hidden) in [
        (
            "mistakes.yml",
            &["host_vars/a.yml:1:13", "host_vars/a.yml:2:"][..],
            &["hunter2", "198.51.100.300"][..],
        ),
        ("crlf-inside.yml", &["host_vars/a.yml:1:"], &["hunter2"]),
    ] {
        place.file("host_vars/a.yml", &fixture(name));
        let ran = place.run(&with(&["render", "inventory.yml"], &VAULT));
        refused(&ran, places);
        for secret in hidden {
            assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_closed_file_of_one_node_leaves_the_others_alone() {
    let inventory = "all:\n  vars: {fwdeploy_roles: [cybex], cybex_peers: []}\n  hosts:\n    a: {ansible_host: 192.0.2.1}\n    b: {ansible_host: 192.0.2.2}\n    c: {ansible_host: 192.0.2.3, cybex_peers: [\"{{ hostvars['b'].x }}\"]}\n    d: {ansible_host: 192.0.2.4, cybex_peers: \"{{ addresses('all') }}\"}\n";
    let place = place(inventory);
    fs::create_dir(place.0.path().join("host_vars")).expect("a folder");
    place.file("host_vars/b.yml", &fixture("vars.yml"));
    done(&place.run(&["render", "inventory.yml", "-l", "a"]));
    // Whoever asks for b, or for what it has, is told.
    for node in ["b", "c", "d", "all"] {
        let ran = place.run(&["render", "inventory.yml", "-l", node]);
        refused(&ran, &["host_vars/b.yml:1:1", "a password is needed"]);
    }
    done(&place.run(&with(&["render", "inventory.yml", "-l", "a,b,d"], &VAULT)));
}

#[test]
fn passwords_come_from_files_programs_clients_and_the_environment() {
    let vars = format!(
        "      vault: {}\n      cybex_peers: \"{{{{ [] if vault else [] }}}}\"\n",
        value("value-1.2-prod.txt", 6)
    );
    let place = place(&node(&vars));
    let prod = fixture("prod.pw").trim().to_string();
    program(&place, "script", &format!("echo '{prod}'"));
    program(
        &place,
        "keys-client.sh",
        &format!("[ \"$1 $2\" = '--vault-id prod' ] || exit 2; echo '{prod}'"),
    );
    program(&place, "broken", "echo 'no key ring' >&2; exit 3");
    let render = ["render", "inventory.yml"];
    for flags in [
        &["--vault-password-file", "prod.pw"][..],
        &["--vault-pass-file", "prod.pw"],
        &["--vault-id", "prod.pw"],
        &["--vault-id", "prod@prod.pw"],
        &["--vault-id", "dev@wrong.pw", "--vault-id", "prod@prod.pw"],
        &[
            "--vault-id",
            "prod@wrong.pw",
            "--vault-password-file",
            "prod.pw",
        ],
        &[
            "--vault-password-file",
            "missing",
            "--vault-password-file",
            "prod.pw",
        ],
        &["--vault-password-file", "script"],
        &["--vault-id", "prod@keys-client.sh"],
        &["--vault-id", "prod@./keys-client.sh"],
    ] {
        done(&place.run(&with(&render, flags)));
    }
    for (flags, says) in [
        (
            &["--vault-password-file", "missing"][..],
            "`missing`: there is no such file",
        ),
        (
            &["--vault-password-file", "/dev/null"],
            "`/dev/null`: it is empty",
        ),
        (&["--vault-password-file", "bin"], "a directory"),
        (
            &["--vault-id", "dev@keys-client.sh"],
            "it has no password for the vault id `dev`",
        ),
        (
            &["--vault-password-file", "broken"],
            "it ended with exit status: 3",
        ),
        (&["-J"], "stdin is not a terminal"),
        (&["--vault-id", "prod@prompt"], "stdin is not a terminal"),
    ] {
        fs::create_dir_all(place.0.path().join("bin")).expect("a folder");
        refused(&place.run(&with(&render, flags)), &[says]);
    }
    for (name, value) in [
        ("ANSIBLE_VAULT_PASSWORD_FILE", "prod.pw"),
        ("ANSIBLE_VAULT_IDENTITY_LIST", "dev@wrong.pw, prod@prod.pw"),
    ] {
        done(&ran(place.command(&render).env(name, value)));
    }
    // Only the password of its own id.
    let mut command = place.command(&with(&render, &["--vault-password-file", "prod.pw"]));
    refused(
        &ran(command.env("ANSIBLE_VAULT_ID_MATCH", "yes")),
        &["a password is needed for the vault id `prod`"],
    );
    let both = with(&render, &["-J", "--vault-password-file", "prod.pw"]);
    refused(&place.run(&both), &["cannot be used with"]);
}

#[test]
fn a_secret_command_is_run_once_for_the_fleet_and_only_if_it_is_needed() {
    let inventory = "all:\n  vars:\n    fwdeploy_roles: [cybex]\n    fwdeploy_secret_command:\n      peer: [./bin/peer, '198.51.100.78']\n      unused: [./bin/missing]\n      own: [./bin/peer, \"198.51.100.{{ number }}\"]\n    cybex_peers: [\"{{ peer }}\", \"{{ own }}\"]\n  hosts:\n    a: {ansible_host: 192.0.2.1, number: 81}\n    b: {ansible_host: 192.0.2.2, number: 82}\n";
    let place = place(inventory);
    program(
        &place,
        "bin/peer",
        "echo \"$1\" >>\"${0%/*}/../asked\"; echo \"$1\"",
    );
    let ran = place.run(&["render", "inventory.yml"]);
    done(&ran);
    assert!(
        !ran.stdout.contains("198.51.100.7") && !ran.stdout.contains("198.51.100.8"),
        "{}",
        ran.stdout
    );
    let mut asked: Vec<String> = fs::read_to_string(place.0.path().join("asked"))
        .expect("it was run")
        .lines()
        .map(str::to_string)
        .collect();
    asked.sort();
    assert_eq!(asked, ["198.51.100.78", "198.51.100.81", "198.51.100.82"]);
    // The inner value wins over the outer command.
    let inner = inventory.replace(
        "number: 81",
        "number: 81, own: 198.51.100.1, peer: 198.51.100.2",
    );
    place.file("inventory.yml", &inner);
    let ran = place.run(&["render", "inventory.yml", "-l", "a"]);
    done(&ran);
    assert!(ran.stdout.contains("198.51.100.1") && ran.stdout.contains("198.51.100.2"));
}

#[test]
fn a_secret_command_that_fails_says_why_and_shows_no_secret() {
    for (script, says) in [
        ("exit 1", "it ended with exit status: 1"),
        (
            "echo hunter2; echo 'hunter2 is wrong' >&2; exit 1",
            "exit status: 1",
        ),
        ("echo hunter2; echo second", "it prints more than one line"),
        (":", "it prints nothing"),
        ("printf '\\377\\n'", "not UTF-8"),
        ("yes hunter2", "it prints more than 64 KiB"),
    ] {
        let vars = "      fwdeploy_secret_command: {x: [./run, hunter2-as-argument]}\n      cybex_peers: [\"{{ x }}\"]\n";
        let place = place(&node(vars));
        program(&place, "run", script);
        let ran = place.run(&["render", "inventory.yml"]);
        refused(
            &ran,
            &[
                "the secret command `./run` gave no secret",
                says,
                "inventory.yml:",
            ],
        );
        let message = ran.stderr.lines().next().unwrap_or_default();
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_password_file_gives_one_line() {
    let place = place(&local(""));
    for (content, says) in [
        ("", "it is empty"),
        ("one\ntwo\n", "the password is not one line of text"),
    ] {
        place.file("sudo.pw", content);
        let ran = place.run(&[
            "facts",
            "inventory.yml",
            "--become-password-file",
            "sudo.pw",
        ]);
        refused(&ran, &["--become-password-file sudo.pw", says]);
    }
    let both = [
        "facts",
        "inventory.yml",
        "-K",
        "--become-password-file",
        "sudo.pw",
    ];
    refused(&place.run(&both), &["cannot be used with"]);
    let ran = place.run(&[
        "facts",
        "inventory.yml",
        "--become-password-file",
        "missing",
    ]);
    refused(&ran, &["there is no such file"]);
}

/// To see it fail: list a variable by its plain value.
#[test]
fn a_listing_of_variables_opens_nothing_and_misses_no_file() {
    let text = format!(
        "all:\n  hosts:\n    a:\n      x: {}\n      deep: [{{plain: 1, y: {}}}]\n",
        value("value-1.1.txt", 6),
        "!vault '1'",
    );
    let place = place(&text);
    fs::create_dir(place.0.path().join("host_vars")).expect("a folder");
    place.file("host_vars/a.yml", &fixture("vars.yml"));
    for how in [&["--list"][..], &["--host", "a"], &["--vars", "a"]] {
        let arguments = with(&["inventory", "inventory.yml"], how);
        let ran = place.run(&with(&arguments, &VAULT));
        done(&ran);
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!shown.contains("hunter2"), "{shown}");
        // A value whose name says nothing of a secret.
        assert!(!shown.contains("198.51.100"), "{shown}");
        assert!(shown.contains("__ansible_vault"), "{shown}");
        // Of a file that is encrypted as a whole the names are shown.
        assert!(shown.contains("vault_become"), "{shown}");
        // Without that file it would be another list.
        refused(&place.run(&arguments), &["a.yml"]);
    }
}
