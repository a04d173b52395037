//! fwdeploy on the node itself: the packaged units and their script, and the node that is this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::Place;
use crate::support::program::Ran;
use crate::support::program::ran;

const SCRIPT: &str = "packaging/systemd/fwdeploy-pull";

/// A node with a repository of its own to pull from.
struct Node {
    folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Node {
            folder: TempDir::new().expect("a folder"),
        };
        node.in_folder("git init -q -b main origin");
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs shell in the folder, with a git that knows nobody.
    fn in_folder(&self, script: &str) -> Ran {
        let ran = self.ran(Command::new("sh").args(["-euc", script]), &[]);
        assert_eq!(ran.code, 0, "{script}: {}{}", ran.stdout, ran.stderr);
        ran
    }

    fn ran(&self, command: &mut Command, settings: &[(&str, &str)]) -> Ran {
        let path = std::env::var("PATH").unwrap_or_default();
        let own = cargo_bin("fwdeploy");
        let own = own.parent().expect("a folder").display();
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{own}:{path}"))
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Eva")
            .env("GIT_AUTHOR_EMAIL", "eva@example.org")
            .env("GIT_COMMITTER_NAME", "Eva")
            .env("GIT_COMMITTER_EMAIL", "eva@example.org")
            .env("STATE_DIRECTORY", self.path("state"))
            .envs(settings.iter().copied());
        ran(command)
    }

    /// What the unit runs.
    fn pull(&self, verb: &str, settings: &[(&str, &str)]) -> Ran {
        fs::create_dir_all(self.path("state")).expect("a folder");
        let script = fs::canonicalize(SCRIPT).expect("the script");
        self.ran(Command::new(script).arg(verb), settings)
    }

    /// Commits an inventory with these peers, and returns the commit.
    fn commit(&self, peers: &str, flags: &str) -> String {
        let text = inventory(peers);
        fs::write(self.path("origin/inventory.yml"), text).expect("an inventory");
        let script = format!(
            "cd origin && git add -A && git {flags} commit -q --allow-empty -m '{peers}' && git rev-parse HEAD"
        );
        self.in_folder(&script).stdout.trim().to_string()
    }

    fn checked_out(&self) -> String {
        self.in_folder("git -C state/checkout rev-parse HEAD")
            .stdout
            .trim()
            .to_string()
    }

    fn update(&self, more: &[(&str, &str)]) -> Ran {
        let origin = self.path("origin").display().to_string();
        let settings = [&[("FWDEPLOY_REPOSITORY", origin.as_str())], more].concat();
        self.pull("update", &settings)
    }
}

fn inventory(peers: &str) -> String {
    format!(
        "all:\n  vars: {{ansible_user: ops, ansible_become: true, ansible_ssh_private_key_file: ~/.ssh/fleet}}\n  hosts:\n    cyb-1: {{fwdeploy_roles: [cybex], cybex_peers: [{peers}]}}\n    cyb-2: {{fwdeploy_roles: [cybex], cybex_peers: [192.0.2.7]}}\n"
    )
}

#[test]
fn a_newer_commit_is_checked_out_and_an_older_one_never() {
    let node = Node::new();
    let first = node.commit("192.0.2.1", "");
    assert_eq!(node.update(&[]).code, 0);
    assert_eq!(node.checked_out(), first);
    let second = node.commit("192.0.2.2", "");
    // A run has pinned names, also in a file that is in the repository.
    fs::write(node.path("state/checkout/inventory.yml"), "changed").expect("a file");
    fs::write(node.path("state/checkout/fwdeploy.lock"), "pins").expect("a file");
    assert_eq!(node.update(&[]).code, 0);
    assert_eq!(node.checked_out(), second);
    let text = fs::read_to_string(node.path("state/checkout/inventory.yml")).expect("a file");
    assert_eq!(text, inventory("192.0.2.2"));
    assert!(node.path("state/checkout/fwdeploy.lock").exists());
    // Whoever has the server could go back to a list with a peer that was taken off since, or to another history.
    for other in [
        "git reset -q --hard HEAD~1",
        "git checkout -q --orphan x && git commit -q -m x && git branch -M main",
    ] {
        node.in_folder(&format!("cd origin && {other}"));
        let said = node.update(&[]);
        assert_eq!(said.code, 1, "{other}");
        assert!(
            said.stderr.contains("which is checked out and stays"),
            "{}",
            said.stderr
        );
        assert_eq!(node.checked_out(), second);
    }
    node.in_folder("mv origin away");
    let said = node.update(&[]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("cannot be fetched"), "{}", said.stderr);
    assert_eq!(node.checked_out(), second);
    // Nobody but root reads whitelists and reports.
    let mode = |name: &str| {
        fs::metadata(node.path(name))
            .expect("it is there")
            .permissions()
            .mode()
            & 0o077
    };
    assert_eq!(
        (mode("state/checkout"), mode("state/checkout/inventory.yml")),
        (0, 0)
    );
}

/// To see it fail: leave `verify-commit` out of the script.
#[test]
fn only_a_commit_of_an_allowed_signer_is_checked_out() {
    let node = Node::new();
    node.in_folder("for key in eva bob; do ssh-keygen -q -t ed25519 -N '' -f $key; done; printf 'eva@example.org %s\\n' \"$(cat eva.pub)\" >signers");
    let signers = node.path("signers").display().to_string();
    let allowed = [("FWDEPLOY_ALLOWED_SIGNERS", signers.as_str())];
    let by = |key: &str| {
        let key = node.path(key).display().to_string();
        format!("-c gpg.format=ssh -c user.signingKey={key} -c commit.gpgSign=true")
    };
    let signed = node.commit("192.0.2.1", &by("eva"));
    let said = node.update(&allowed);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(node.checked_out(), signed);
    for (peers, flags) in [("192.0.2.2", String::new()), ("192.0.2.3", by("bob"))] {
        node.commit(peers, &flags);
        let said = node.update(&allowed);
        assert_eq!(said.code, 1, "{peers}");
        assert!(
            said.stderr.contains("is not signed by anybody in"),
            "{}",
            said.stderr
        );
        assert_eq!(node.checked_out(), signed);
    }
    let again = node.commit("192.0.2.4", &by("eva"));
    assert_eq!(node.update(&allowed).code, 0);
    assert_eq!(node.checked_out(), again);
}

#[test]
fn a_run_is_on_this_machine_alone_and_leaves_its_report() {
    let node = Node::new();
    node.commit("192.0.2.1", "");
    assert_eq!(node.update(&[]).code, 0);
    // The inventory is read, and nothing is connected.
    let only_read = [
        ("FWDEPLOY_NODE", "cyb-1"),
        ("FWDEPLOY_ARGUMENTS", "--syntax-check --audit"),
    ];
    let said = node.pull("run", &only_read);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr
            .contains("no mistake in the inventory and the roles of 1 node"),
        "{}",
        said.stderr
    );

    // A name that is not in the inventory is no success: nothing would be enforced.
    let said = node.pull("run", &[("FWDEPLOY_NODE", "cyb-3")]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("cyb-3"), "{}", said.stderr);
    assert_eq!(node.pull("keep", &[]).code, 0);
    let report = fs::read_to_string(node.path("state/report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("one JSON document");
    assert_eq!(report["summary"]["exit_code"], 1);
    assert!(
        report["errors"][0]["message"]
            .as_str()
            .expect("an error")
            .contains("cyb-3")
    );
    let mode = fs::metadata(node.path("state/report.json"))
        .expect("it is there")
        .permissions();
    assert_eq!(mode.mode() & 0o077, 0);

    // One that was killed before it had said all leaves the last one.
    for part in ["", "{\n  \"version\": 2,\n  \"nodes\": [\n    {\n    }"] {
        fs::write(node.path("state/report.json.new"), part).expect("a file");
        assert_eq!(node.pull("keep", &[]).code, 0);
        let last = fs::read_to_string(node.path("state/report.json")).expect("a report");
        assert!(last.contains("cyb-3"));
    }
    // The name of the machine is the default; it is in no inventory here.
    let name = node.in_folder("uname -n").stdout;
    let said = node.pull("run", &[]);
    assert!(said.stderr.contains(name.trim()), "{}", said.stderr);
}

/// A machine that is called like a group would get the whitelists of all its nodes. To see it fail: leave the check out of `load.rs`.
#[test]
fn this_machine_is_one_node() {
    let text = "all: {children: {cybex: {vars: {fwdeploy_roles: [cybex], cybex_peers: [192.0.2.7]}, hosts: {a: {ansible_host: 192.0.2.1}, b: {ansible_host: 192.0.2.2}}}}}\n";
    let place = Place::with(text);
    for arguments in [
        &["run", "inventory.yml", "--check"][..],
        &["run", "inventory.yml"],
        &["status", "inventory.yml"],
        &["drill", "inventory.yml"],
    ] {
        let all = [
            arguments,
            &["-l", "cybex", "-e", "ansible_connection=local"],
        ]
        .concat();
        let ran = place.run(&all);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(
            ran.stderr,
            "error: 2 nodes are this machine (`ansible_connection: local`): a, b\nhint: select the one that it is: `--limit NAME`\n"
        );
    }
}

/// What systemd itself says of the units, where there is a systemd.
#[test]
fn systemd_takes_the_units() {
    let folder = TempDir::new().expect("a folder");
    let script = fs::canonicalize(SCRIPT).expect("the script");
    for name in ["fwdeploy-pull.service", "fwdeploy-pull.timer"] {
        let text = fs::read_to_string(Path::new("packaging/systemd").join(name)).expect("a unit");
        // Where the script lies once it is installed.
        let text = text.replace(
            "/usr/lib/fwdeploy/fwdeploy-pull",
            &script.display().to_string(),
        );
        fs::write(folder.path().join(name), text).expect("a unit");
    }
    let verify = |name: &str| {
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(folder.path().join(name))
            .output()
    };
    let Ok(verified) = verify("fwdeploy-pull.timer") else {
        assert!(
            std::env::var("CI").is_err(),
            "systemd-analyze is not installed: make setup"
        );
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    };
    for said in [
        verified,
        verify("fwdeploy-pull.service").expect("it was there"),
    ] {
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(
            said.status.success() && !text.contains("fwdeploy-pull"),
            "{text}"
        );
    }
    // It finds what is wrong.
    let service = folder.path().join("fwdeploy-pull.service");
    let text = fs::read_to_string(&service).expect("a unit");
    fs::write(&service, text.replace("KillMode=mixed", "KillMode=mixde")).expect("a unit");
    let said = verify("fwdeploy-pull.service").expect("it was there");
    assert!(String::from_utf8_lossy(&said.stderr).contains("mixde"));
}

/// The manual says where the files go; the unit looks for them there.
#[test]
fn the_manual_installs_what_the_unit_runs() {
    let manual = fs::read_to_string("docs/manual.md").expect("the manual");
    let unit = fs::read_to_string("packaging/systemd/fwdeploy-pull.service").expect("the unit");
    for path in [
        "/usr/lib/fwdeploy/fwdeploy-pull",
        "/etc/default/fwdeploy-pull",
    ] {
        assert!(manual.contains(path) && unit.contains(path), "{path}");
    }
    // Every setting of the script is described in the file of settings.
    let script = fs::read_to_string(SCRIPT).expect("the script");
    let settings =
        fs::read_to_string("packaging/systemd/fwdeploy-pull.default").expect("the settings");
    let names = script.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    let names: Vec<&str> = names.filter(|name| name.starts_with("FWDEPLOY_")).collect();
    assert!(names.len() > 5);
    for name in names {
        assert!(settings.contains(&format!("\n#{name}=")), "{name}");
    }
}
