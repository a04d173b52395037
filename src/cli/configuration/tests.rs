//! Which ansible.cfg counts, and what it says.

use std::collections::BTreeMap;

use super::*;

/// A current directory, a home and an /etc, with files in them.
struct World {
    folder: tempfile::TempDir,
    environment: BTreeMap<&'static str, String>,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for directory in ["here", "home", "etc/ansible"] {
            fs::create_dir_all(folder.path().join(directory)).unwrap();
        }
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self {
            folder,
            environment: BTreeMap::new(),
        }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        let value = value.replace("WORLD", &self.folder.path().display().to_string());
        self.environment.insert(name, value);
        self
    }

    fn read(&self) -> Result<Configuration, String> {
        let environment = |name: &str| self.environment.get(name).cloned();
        let path = |name| self.folder.path().join(name);
        let (directory, home, system) = (path("here"), path("home"), path("etc"));
        let read = Configuration::read(&Places {
            environment: &environment,
            directory: &directory,
            home: Some(&home),
            system: &system,
        });
        read.map_err(|errors| self.shown(&errors.to_string()))
    }

    fn shown(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// The number of forks, and where it is set.
    fn forks(&self) -> String {
        let forks = self.read().unwrap().forks;
        let shown = forks.map(|forks| format!("{} {}", forks.value, forks.origin));
        self.shown(&shown.unwrap_or_default())
    }
}

const ALL: [(&str, &str); 4] = [
    ("named.cfg", "[defaults]\nforks = 1\n"),
    ("here/ansible.cfg", "[defaults]\nforks = 2\n"),
    ("home/.ansible.cfg", "[defaults]\nforks = 3\n"),
    ("etc/ansible/ansible.cfg", "[defaults]\nforks = 4\n"),
];

#[test]
fn the_first_file_of_ansibles_places_counts_alone() {
    let all = World::new(&ALL).set("ANSIBLE_CONFIG", "WORLD/named.cfg");
    assert_eq!(all.forks(), "1 named.cfg:2");
    assert_eq!(World::new(&ALL[1..]).forks(), "2 here/ansible.cfg:2");
    assert_eq!(World::new(&ALL[2..]).forks(), "3 home/.ansible.cfg:2");
    assert_eq!(World::new(&ALL[3..]).forks(), "4 etc/ansible/ansible.cfg:2");
    assert_eq!(World::new(&[]).forks(), "");
    // One that ANSIBLE_CONFIG names and that is not there, and a directory.
    let missing = World::new(&ALL).set("ANSIBLE_CONFIG", "WORLD/missing.cfg");
    assert_eq!(missing.forks(), "2 here/ansible.cfg:2");
    let directory = World::new(&ALL).set("ANSIBLE_CONFIG", "WORLD/etc/ansible");
    assert_eq!(directory.forks(), "4 etc/ansible/ansible.cfg:2");
    // The first one counts, also if it says nothing of the matter.
    let silent = World::new(&[("here/ansible.cfg", "[defaults]\n"), ALL[2]]);
    assert_eq!(silent.forks(), "");
}

#[test]
fn a_directory_that_everybody_may_write_into_has_no_say() {
    let world = World::new(&ALL);
    let here = world.folder.path().join("here");
    fs::set_permissions(&here, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(world.forks(), "3 home/.ansible.cfg:2");
    let warnings = world.read().unwrap().warnings;
    assert!(warnings[0].to_string().contains("everybody may write"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let world = World::new(&ALL).set("ANSIBLE_FORKS", "9");
    assert_eq!(world.forks(), "9 environment ANSIBLE_FORKS");
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let text = "[defaults]\ninventory = hosts, ~/more,/abs\nprivate_key_file = \"keys/id\"\nvault_password_file = ./vault.sh\nvault_identity_list = dev@~/a , prod@b\nplaybook_dir = {{CWD}}/plays\n";
    let world = World::new(&[("here/ansible.cfg", text)]);
    let read = world.read().unwrap();
    let shown = |path: &PathBuf| world.shown(&path.display().to_string());
    let inventory: Vec<String> = read.inventory.unwrap().value.iter().map(shown).collect();
    assert_eq!(inventory, ["here/hosts", "home/more", "/abs"]);
    assert_eq!(shown(&read.private_key_file.unwrap().value), "here/keys/id");
    assert_eq!(
        shown(&read.vault.password_file.unwrap().value),
        "here/./vault.sh"
    );
    let identities = read.vault.identity_list.unwrap().value;
    assert_eq!(identities, ["dev@~/a", "prod@b"]);
    assert_eq!(shown(&read.playbook_dir.unwrap().value), "here/plays");
    // What the environment names is relative to the current directory.
    let named = World::new(&[]).set("ANSIBLE_INVENTORY", "hosts,b");
    let inventory = named.read().unwrap().inventory.unwrap();
    assert_eq!(
        inventory.value,
        [PathBuf::from("hosts"), PathBuf::from("b")]
    );
}

#[test]
fn every_setting_is_read() {
    let text = "[defaults]\nremote_user = ops\nhost_key_checking = False\ntimeout = 30\n[privilege_escalation]\nbecome = yes\nbecome_method = sudo\nbecome_user = admin\nbecome_ask_pass = True\n[ssh_connection]\nssh_args = -C -o ControlMaster=auto\nssh_common_args = -J bastion\nssh_extra_args = -v\n";
    let read = World::new(&[("here/ansible.cfg", text)]).read().unwrap();
    assert_eq!(read.remote_user.unwrap().value, "ops");
    assert!(!read.host_key_checking.unwrap().value);
    assert_eq!(read.timeout.unwrap().value, Duration::from_secs(30));
    assert!(read.escalate.unwrap().value);
    assert_eq!(read.escalate_user.unwrap().value, "admin");
    assert!(read.escalate_ask_pass.unwrap().value);
    assert_eq!(read.ssh.args.unwrap().value, "-C -o ControlMaster=auto");
    assert_eq!(read.ssh.common_args.unwrap().value, "-J bastion");
    assert_eq!(read.ssh.extra_args.unwrap().value, "-v");
    assert!(read.warnings.is_empty());
}

#[test]
fn a_value_that_means_nothing_is_refused_at_its_place() {
    for (line, expected) in [
        (
            "forks = many",
            "here/ansible.cfg:2:9: `many` is not a number of nodes from 1 on",
        ),
        (
            "forks = 0",
            "here/ansible.cfg:2:9: `0` is not a number of nodes from 1 on",
        ),
        (
            "timeout = 0",
            "here/ansible.cfg:2:11: `0` is not a number of seconds from 1 to 3600",
        ),
        (
            "host_key_checking = Flase",
            "here/ansible.cfg:2:21: `Flase` is not `true` or `false`",
        ),
    ] {
        let text = format!("[defaults]\n{line}\n");
        let said = World::new(&[("here/ansible.cfg", &text)])
            .read()
            .unwrap_err();
        assert_eq!(said, expected);
    }
    let said = World::new(&[])
        .set("ANSIBLE_BECOME_METHOD", "su")
        .read()
        .unwrap_err();
    assert_eq!(
        said,
        "ANSIBLE_BECOME_METHOD: becoming root by `su` is not supported"
    );
}

#[test]
fn settings_that_have_no_effect_are_named() {
    let text = "[defaults]\nhash_behaviour = merge\nremote_port = 2222\ntransport = ssh\n[inventory]\nenable_plugins = ini\n";
    let world = World::new(&[("here/ansible.cfg", text)]);
    let warnings = world.read().unwrap().warnings;
    let named: Vec<String> = warnings
        .iter()
        .map(|warning| world.shown(&warning.to_string()))
        .collect();
    assert_eq!(named.len(), 3, "{named:?}");
    assert!(named[0].starts_with("here/ansible.cfg:2:18: `hash_behaviour` has no effect here ("));
    assert!(named[1].starts_with("here/ansible.cfg:3:15: `remote_port`"));
    assert!(named[2].starts_with("here/ansible.cfg:6:18: `enable_plugins`"));
}
