//! The functions of the rollback, in every available shell, with a simulated Docker.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::node::quote;
use crate::node::restore::coded;
use crate::node::shell::DISARM;
use crate::node::shell::LIBRARY;
use crate::node::shell::RECOVER;
use crate::node::shell::RESTORE;
use crate::node::shell::ROLLBACK;
use crate::node::shell::STEPS;
use crate::node::shell::shells;

/// Reports the networks and containers of two files, logs its calls, and switches to the files of `after` at the first change.
const DOCKER: &str = r#"#!/bin/sh
case "$1 $2" in
"network ls" | "ps -aq") sed -n 's/.* //p' "$FAKE/${1%twork}" 2>/dev/null | sort -u; exit "$(cat "$FAKE/code" 2>/dev/null || echo 0)" ;;
esac
case "$1 $2 $3" in
"network inspect -f"*) case $4 in 'network {{'*) cat "$FAKE/ne" ;; esac; exit 0 ;;
"inspect -f "*) exit 0 ;;
# Which firewall it uses, and when it has put back the last of its rules.
"info --format "*) echo null; exit 0 ;;
"inspect --type container") case $5 in 'container {{'*) cat "$FAKE/ps" ;; esac; exit 0 ;;
esac
printf '%s|' "$@" >>"$FAKE/log"
echo >>"$FAKE/log"
[ ! -d "$FAKE/after" ] || cp "$FAKE/after"/* "$FAKE"
"#;

struct Node {
    folder: TempDir,
}

const CYBEX: &str = "network cybex bridge false false 172.20.0.0%2F16|||,. . . n1";
const MOVED: &str = "network cybex bridge false false 172.29.0.0%2F16|||,. . . n2";

fn place(address: &str) -> String {
    format!("container %2Fcybex true c1\nplace %2Fcybex cybex {address}. . {address}. . . . c1\n")
}

impl Node {
    /// A node with a snapshot and a fake Docker, both with nothing in them.
    fn new() -> Self {
        let node = Node {
            folder: TempDir::new().expect("a folder"),
        };
        for folder in ["bin", "fake", "home/snapshots/7", "live", "etc"] {
            fs::create_dir_all(node.path(folder)).expect("a folder");
        }
        for (name, text) in [("ne", ""), ("ps", ""), ("log", "")] {
            node.write(&format!("fake/{name}"), text);
        }
        node.program("docker", DOCKER);
        node
    }

    /// A program that is found before the machine's own.
    fn program(&self, name: &str, text: &str) {
        let path = format!("bin/{name}");
        self.write(&path, text);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(&path), executable).expect("a program");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it can be written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Sets what Docker reports from now on.
    fn docker(&self, networks: &str, containers: &str) {
        self.write("fake/ne", &format!("{networks}\n"));
        self.write("fake/ps", containers);
    }

    /// The output of a shell that has read all parts of the rollback, and then executes this.
    fn says(&self, shell: &[&str], script: &str) -> String {
        let folder = self.folder.path().display();
        let script = format!(
            "{LIBRARY}\nset --\nmain() {{ :; }}\n{RESTORE}\nhome={folder}/home live={folder}/live etc={folder}/etc staging={folder}/etc/.fwdeploy\n\
             docker_socket={folder}/docker.sock\nsnapshot=$home/snapshots/7 number=7 mode=now touched=\nsubnets=\n{script}\n"
        );
        let path = format!("{folder}/bin:{}", std::env::var("PATH").unwrap_or_default());
        // By a file: a word of a command line holds 128 KiB.
        self.write("script.sh", &script);
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", ". \"$SCRIPT\"", "/nowhere/snapshots/7/restore.sh"])
            .env("SCRIPT", self.path("script.sh"))
            .env("PATH", path)
            .env("FAKE", self.path("fake"))
            .output()
            .expect("a shell");
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }
}

/// Records in the snapshot what Docker reports now.
const TAKE: &str = "read_picture || echo \"$answer\"; printf '%s\\n' \"$picture\" >\"$snapshot/picture\"; fresh_picture=\n";

#[test]
fn no_program_evaluates_anything() {
    for program in [LIBRARY, STEPS, DISARM, RESTORE, RECOVER, ROLLBACK] {
        for line in program.lines() {
            let code = line.split(" #").next().unwrap_or_default();
            let code = if code.trim_start().starts_with('#') {
                ""
            } else {
                code
            };
            let words: Vec<&str> = code
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
                .collect();
            assert!(!words.contains(&"eval"), "{line}");
        }
    }
    // What a program is put together from besides is quoted words.
    let source = include_str!("arm.rs").split("#[cfg(test)]").next();
    assert!(!source.unwrap_or_default().contains("eval \\\""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_name_is_coded_in_a_shell_as_here_and_is_one_plain_word(name in "\\PC{0,12}|[\x01-\x7f]{1,20}") {
        let node = Node::new();
        for shell in shells() {
            let said = node.says(shell, &format!("url_encode {}", quote(&name)));
            prop_assert_eq!(said.trim_end_matches('\n'), coded(&name));
            prop_assert!(coded(&name).bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~+%".contains(&b)));
        }
    }
}

#[test]
fn a_container_at_another_address_is_detached_and_attached_where_it_was() {
    for shell in shells() {
        for (was, is) in [
            ("172.20.0.2", "172.20.0.9"),
            ("172.20.0.2", ""),
            ("", "172.20.0.9"),
        ] {
            let node = Node::new();
            node.docker(CYBEX, &place(was));
            node.says(shell, TAKE);
            node.docker(CYBEX, &place(is));
            let said = node.says(shell, "restore_attachment --ip X cybex cybex; echo $?");
            assert_eq!(said, "0\n", "{shell:?} {was} {is}");
            assert_eq!(
                node.read("fake/log"),
                "network|disconnect|n1|cybex|\nnetwork|connect|--ip|X|cybex|cybex|\n"
            );
        }
        // If it is unchanged, nothing is done.
        let node = Node::new();
        node.docker(CYBEX, &place("172.20.0.2"));
        node.says(shell, TAKE);
        node.says(shell, "restore_attachment --ip 172.20.0.2 cybex cybex; remove_new_attachment cybex cybex; restore_network cybex; remove_new_network cybex");
        assert_eq!(node.read("fake/log"), "");
    }
}

#[test]
fn an_ipv6_address_that_differs_counts_as_well() {
    let six = |address: &str| {
        format!(
            "container %2Fcybex true c1\nplace %2Fcybex cybex 172.20.0.2. {address}. 172.20.0.2. {address}. . . c1\n"
        )
    };
    for shell in shells() {
        let node = Node::new();
        node.docker(CYBEX, &six("fd00%3A%3A2"));
        node.says(shell, TAKE);
        node.docker(CYBEX, &six("fd00%3A%3A9"));
        let said = node.says(
            shell,
            "touched='place cybex cybex'; same_docker || echo \"$answer\"",
        );
        assert_eq!(
            said,
            "container cybex has 172.20.0.2 fd00::9 on network cybex where it had 172.20.0.2 fd00::2\n"
        );
    }
}

#[test]
fn a_network_with_another_subnet_option_or_gateway_is_made_anew() {
    for shell in shells() {
        for other in [
            MOVED,
            "network cybex bridge false false 172.20.0.0%2F16|172.20.0.9||,. . . n2",
            "network cybex bridge true false 172.20.0.0%2F16|||,. . . n2",
            "network cybex bridge false true 172.20.0.0%2F16|||,. . . n2",
            "network cybex bridge false false 172.20.0.0%2F16|||,. com.docker.network.driver.mtu=1400,. . n2",
            "network cybex bridge false false 172.20.0.0%2F16|||,. . com.docker.compose.project=x,. n2",
        ] {
            let node = Node::new();
            node.docker(CYBEX, &place("172.20.0.2"));
            node.says(shell, TAKE);
            node.docker(other, &place("172.29.0.2"));
            let said = node.says(
                shell,
                "touched='network cybex'; same_docker || echo \"$answer\"; restore_network --subnet 172.20.0.0/16 cybex; echo $?",
            );
            assert!(said.starts_with("network cybex is another one, "), "{said}");
            assert!(said.ends_with("0\n"), "{said}");
            let log = node.read("fake/log");
            assert_eq!(
                log,
                "network|disconnect|n2|cybex|\nnetwork|rm|n2|\nnetwork|create|--driver|bridge|--subnet|172.20.0.0/16|cybex|\n",
                "{shell:?} {other}"
            );
        }
    }
}

#[test]
fn what_is_ours_and_differs_is_a_failure_and_what_others_did_is_a_remark() {
    let two = |address: &str| {
        format!(
            "{}container %2Fguest true g1\nplace %2Fguest cybex . . 172.20.0.3. . . . g1\n",
            place(address)
        )
    };
    for shell in shells() {
        let node = Node::new();
        node.docker(CYBEX, &two("172.20.0.2"));
        node.says(shell, TAKE);
        let judged = |ours: &str| {
            node.says(
                shell,
                &format!(
                    "touched={}; same_docker; echo \"$?|$answer|$remarks\"",
                    quote(ours)
                ),
            )
        };
        let ours = "place cybex cybex";
        node.docker(CYBEX, &two("172.20.0.9"));
        assert_eq!(
            judged(ours),
            "1|container cybex has 172.20.0.9 on network cybex where it had 172.20.0.2|\n"
        );
        assert_eq!(
            judged(""),
            "0||container cybex has 172.20.0.9 on network cybex where it had 172.20.0.2 (not by this run)\n"
        );
        // Gone with its container, which is no fault.
        node.docker(CYBEX, &place("172.20.0.2"));
        assert_eq!(
            judged(ours),
            "0||container guest no longer exists, and could not be reattached\n"
        );
        node.docker(CYBEX, "container %2Fcybex true c1\n");
        assert!(
            judged(ours).starts_with("1|container cybex is not on network cybex, where it was|")
        );
        // Another one started, and a network made: others may.
        node.docker(
            &format!("{CYBEX}\nnetwork other bridge false false . . . n9"),
            &format!(
                "{}container %2Fnew true x1\nplace %2Fnew other . . . . . . x1\n",
                two("172.20.0.2")
            ),
        );
        assert_eq!(judged(ours), "0||\n");
        assert_eq!(
            judged("place cybex cybex\nnetwork other"),
            "1|network other is still there|\n"
        );
        node.docker("", "");
        assert!(judged("network cybex").starts_with("1|network cybex is missing|"));
    }
}

#[test]
fn a_docker_that_does_not_answer_is_not_a_docker_without_containers() {
    for shell in shells() {
        let node = Node::new();
        node.docker(CYBEX, &place("172.20.0.2"));
        node.says(shell, TAKE);
        for code in ["124", "1", "125"] {
            node.write("fake/code", code);
            for what in [
                "restore_attachment --ip 172.20.0.2 cybex cybex",
                "remove_new_attachment cybex cybex",
                "restore_network cybex",
                "remove_new_network cybex",
                "detach_from_others cybex bridge",
                "same_docker",
            ] {
                let said = node.says(shell, &format!("{what}; echo \"$?|$answer\""));
                assert!(!said.starts_with('0'), "{what} {code}: {said}");
                assert!(
                    said.contains("docker does not report where"),
                    "{what} {code}: {said}"
                );
            }
        }
        assert_eq!(
            node.read("fake/log")
                .lines()
                .filter(|l| !l.starts_with("network|ls") && !l.starts_with("ps"))
                .count(),
            0
        );
    }
}

/// A container that goes away between the list and the question: once more, and it is not in the list.
#[test]
fn what_goes_away_while_docker_is_asked_is_asked_for_once_more() {
    for shell in shells() {
        let node = Node::new();
        node.docker(CYBEX, &place("172.20.0.2"));
        node.write(
            "bin/docker",
            &DOCKER.replacen("#!/bin/sh\n", "#!/bin/sh\n[ \"$1\" != inspect ] || [ -e \"$FAKE/gone\" ] || { : >\"$FAKE/gone\"; exit 1; }\n", 1),
        );
        let said = node.says(shell, "read_picture; echo \"$?|$answer\"");
        assert!(said.starts_with("0|"), "{shell:?} {said}");
    }
}

#[test]
fn a_name_of_any_kind_is_a_name() {
    for name in [
        "a b",
        "-x",
        "*",
        "$(touch pwned)",
        "a'b\"c",
        "a\nsubnets=$(touch pwned)",
        "%41",
        "+",
    ] {
        for shell in shells() {
            let node = Node::new();
            let network = format!(
                "network {} bridge false false 10.9.0.0%2F24|||,. . . n9",
                coded(name)
            );
            let container = format!(
                "container %2Fcybex true c1\nplace %2Fcybex {} 10.9.0.2. . 10.9.0.2. . . . c1\n",
                coded(name)
            );
            node.docker(&network, &container);
            node.says(shell, TAKE);
            node.docker(&network.replace("10.9.0.0", "10.8.0.0"), &container);
            let quoted = quote(name);
            let said = node.says(
                shell,
                &format!("cd {}; mode=chosen; ln -s snapshots/7 \"$home/armed\"; touched=; restore_network --subnet 10.9.0.0/24 {quoted}; echo $?; fresh_picture=; is_recorded \"network $(url_encode {quoted})\"; echo $?", quote(&node.path("live").display().to_string())),
            );
            assert_eq!(said, "0\n0\n", "{shell:?} {name:?}");
            assert!(
                node.read("fake/log")
                    .contains(&format!("|10.9.0.0/24|{name}|\n"))
            );
            assert!(!node.path("live/pwned").exists());
        }
    }
}

/// A unit of systemd that reports the next line of a file at each query, and its last one forever.
const SYSTEMCTL: &str = r#"#!/bin/sh
tr ' ' '\n' <<END
$(head -n 1 "$FAKE/units")
END
[ "$(wc -l <"$FAKE/units")" -le 1 ] || sed -i 1d "$FAKE/units"
"#;

/// Verified: `snapshot_docker` without `wait_until_docker_settles` reports a stopped Docker if it restarts between the two halves.
#[test]
fn a_docker_that_is_being_restarted_is_not_one_that_does_not_run() {
    let unit = |state: &str, job: &str| format!("LoadState=loaded ActiveState={state} Job={job}\n");
    for (units, pictured) in [
        // A restart, as systemd 247 to 262 show it.
        (
            [
                unit("deactivating", "867"),
                unit("inactive", "867"),
                unit("activating", "867"),
                unit("active", ""),
            ]
            .concat(),
            "running",
        ),
        // One that failed, and is started again.
        (
            [unit("failed", "12"), unit("active", "")].concat(),
            "running",
        ),
        // One that goes.
        (
            [unit("deactivating", "9"), unit("inactive", "")].concat(),
            "stopped",
        ),
        (unit("inactive", ""), "stopped"),
        (unit("failed", ""), "stopped"),
        (unit("inactive", "7"), "did not finish"),
        (unit("deactivating", ""), "did not finish"),
    ] {
        for shell in shells() {
            let node = Node::new();
            node.docker(CYBEX, &place("172.20.0.2"));
            node.program("systemctl", SYSTEMCTL);
            node.write("fake/units", &units);
            // A busy machine may take a second for each question.
            let seconds = if pictured == "did not finish" { 1 } else { 60 };
            let said = node.says(
                shell,
                &format!(
                    "seconds={seconds}; if snapshot_docker; then printf '%s\n' \"$picture\"; else printf '%s\n' \"$answer\"; fi"
                ),
            );
            let told = match pictured {
                "running" => said.contains(CYBEX),
                "stopped" => said == "stopped\n",
                words => said.contains(words),
            };
            assert!(told, "{shell:?} {units}: {said}");
        }
    }
}

/// Verified: `same_docker` that accepts a snapshot without Docker, whatever was changed.
#[test]
fn nothing_that_was_changed_of_docker_is_as_before_where_nobody_knows_what_was() {
    for shell in shells() {
        let said = |script: &str| {
            let node = Node::new();
            node.docker(MOVED, &place("172.29.0.2"));
            node.write("home/snapshots/7/picture", "stopped\n");
            let said = node.says(
                shell,
                &format!(
                    "ln -s snapshots/7 \"$home/armed\"; {script}; same_docker && echo same || echo \"$answer\""
                ),
            );
            (said, node.read("fake/log"))
        };
        assert_eq!(said(":").0, "same\n", "{shell:?}: nothing was changed");
        for changed in [
            "touched='network cybex'",
            "echo 'place cybex cybex' >\"$snapshot/touched\"",
            "echo cybex >\"$snapshot/made\"",
        ] {
            let (said, log) = said(changed);
            assert!(
                said.contains("cannot be compared"),
                "{shell:?} {changed}: {said}"
            );
            assert_eq!(log, "", "{shell:?} {changed}");
        }
        let (said, log) = said(
            "mode=chosen; restore_network --subnet 172.20.0.0/16 cybex || echo \"$answer\"; mode=now",
        );
        assert!(
            said.contains("its earlier state is unknown"),
            "{shell:?}: {said}"
        );
        assert_eq!(
            log, "",
            "{shell:?}: a rollback changes nothing that it cannot take back"
        );
    }
}

#[test]
fn only_subnets_are_read_where_a_snapshot_names_subnets() {
    for shell in shells() {
        let node = Node::new();
        let read = |file: &str, text: &str| {
            let _ = fs::remove_file(node.path("home/snapshots/7/subnets"));
            node.write(&format!("home/snapshots/7/{file}"), text);
            node.says(
                shell,
                &format!(
                    "cd {}\n{ROLLBACK}\nsubnets_of 7",
                    node.path("live").display()
                ),
            )
        };
        assert_eq!(
            read("subnets", "172.20.0.0/16 fd00::/64\n"),
            "172.20.0.0/16 fd00::/64 "
        );
        for hostile in [
            "$(touch pwned)",
            "`touch pwned`",
            "1.2.3.0/24;touch pwned",
            "'; touch pwned; '",
            "*",
            "-e /24",
        ] {
            let said = read("subnets", hostile);
            assert!(!said.contains("pwned") && !said.contains('*'), "{said}");
        }
        // One of before: the first such line is the program's own.
        assert_eq!(
            read(
                "restore.sh",
                "subnets='10.1.0.0/16 10.2.0.0/16'\ndocker_back() { x 'a\nsubnets=$(touch pwned) 10.3.0.0/16 #'\n}\n"
            ),
            "10.1.0.0/16 10.2.0.0/16 "
        );
        assert!(!node.path("live/pwned").exists());
    }
}

#[test]
fn what_a_rollback_to_an_older_kind_of_snapshot_changed_is_ours_too() {
    for shell in shells() {
        let node = Node::new();
        node.docker(CYBEX, &place("172.20.0.2"));
        node.says(shell, TAKE);
        node.write("home/snapshots/7/removed", "cybex\n");
        node.write("home/snapshots/7/made", "a b\n");
        node.docker(
            &format!("{MOVED}\nnetwork a+b bridge false false 10.1.0.0%2F16|||,. . . n3"),
            &place("172.20.0.2"),
        );
        let said = node.says(
            shell,
            "same_docker || echo \"$answer\"; remove_made_networks",
        );
        assert!(
            said.contains("network cybex is another one, subnet 172.29.0.0/16"),
            "{said}"
        );
        assert!(said.contains("network a b is still there"), "{said}");
        assert_eq!(node.read("fake/log"), "network|rm|n3|\n");
        // Where not even names are written down, all that was there is.
        fs::create_dir_all(node.path("home")).unwrap();
        let _ = symlink("snapshots/7", node.path("home/armed"));
        node.says(shell, &format!("{ROLLBACK}\nrecord_everything"));
        assert_eq!(
            node.read("home/snapshots/7/touched"),
            "network cybex\nplace cybex cybex\n"
        );
    }
}

// ---- firewalld's files

impl Node {
    /// firewalld's files, with a zone.
    fn files(&self) {
        self.write("etc/direct.xml", "before\n");
        fs::create_dir_all(self.path("etc/zones")).expect("a folder");
        self.write("etc/zones/public.xml", "public\n");
    }

    /// Takes the snapshot of the files, and stages them.
    fn taken(&self, shell: &[&str]) -> String {
        self.says(
            shell,
            "snapshot_files && stage_files && echo taken || { echo \"$?\"; printf '%s\\n' \"$answer\"; }",
        )
    }

    /// Restores them.
    fn put(&self, shell: &[&str]) -> String {
        self.says(
            shell,
            "put_files && same_files && echo same || printf '%s\\n' \"$answer\"",
        )
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o7777
}

#[test]
fn files_come_back_behind_links_of_every_shape() {
    for shell in shells() {
        // The folder itself, a folder in it, a file, a file by a chain of links, a relative one, and one with odd characters.
        type Shape = fn(&Node);
        let shapes: [(&str, Shape, &str); 6] = [
            (
                "root",
                |n| {
                    fs::rename(n.path("etc"), n.path("real")).unwrap();
                    symlink(n.path("real"), n.path("etc")).unwrap();
                },
                "real/direct.xml",
            ),
            (
                "folder",
                |n| {
                    fs::rename(n.path("etc/zones"), n.path("zones")).unwrap();
                    symlink(n.path("zones"), n.path("etc/zones")).unwrap();
                },
                "zones/public.xml",
            ),
            (
                "file",
                |n| {
                    fs::rename(n.path("etc/direct.xml"), n.path("kept.xml")).unwrap();
                    symlink(n.path("kept.xml"), n.path("etc/direct.xml")).unwrap();
                },
                "kept.xml",
            ),
            (
                "chain",
                |n| {
                    fs::rename(n.path("etc/direct.xml"), n.path("kept.xml")).unwrap();
                    symlink("kept.xml", n.path("middle.xml")).unwrap();
                    symlink(n.path("middle.xml"), n.path("etc/direct.xml")).unwrap();
                },
                "kept.xml",
            ),
            (
                "relative",
                |n| {
                    fs::rename(n.path("etc/direct.xml"), n.path("etc/zones/d.xml")).unwrap();
                    symlink("zones/d.xml", n.path("etc/direct.xml")).unwrap();
                },
                "etc/zones/d.xml",
            ),
            (
                "odd",
                |n| {
                    fs::rename(n.path("etc/direct.xml"), n.path("a b'\"$(id)\\*.xml")).unwrap();
                    symlink(n.path("a b'\"$(id)\\*.xml"), n.path("etc/direct.xml")).unwrap();
                },
                "a b'\"$(id)\\*.xml",
            ),
        ];
        for (name, shape, real) in shapes {
            let node = Node::new();
            node.files();
            shape(&node);
            let before = node.read(real);
            assert_eq!(node.taken(shell), "taken\n", "{name}");
            let links = |node: &Node| {
                ["etc", "etc/zones", "etc/direct.xml"].map(|p| fs::read_link(node.path(p)).ok())
            };
            let linked = links(&node);
            node.write(real, "after\n");
            node.write("etc/zones/new.xml", "new\n");
            assert!(
                node.says(shell, "same_files || echo \"$answer\"")
                    .contains("is not as it was"),
                "{name}"
            );
            assert_eq!(node.put(shell), "same\n", "{shell:?} {name}");
            assert_eq!(node.read(real), before, "{name}");
            assert_eq!(links(&node), linked, "{name}: a link stays a link");
            assert!(!node.path("etc/zones/new.xml").exists());
            // Nothing is left of what was staged.
            node.says(shell, "unstage_files");
            let left: Vec<_> = fs::read_dir(node.folder.path())
                .unwrap()
                .flatten()
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .filter(|n| n.contains("fwdeploy"))
                .collect();
            assert_eq!(left, Vec::<String>::new(), "{name}");
        }
    }
}

#[test]
fn a_link_that_was_replaced_by_a_file_is_a_link_again() {
    for shell in shells() {
        let node = Node::new();
        node.files();
        fs::rename(node.path("etc/direct.xml"), node.path("kept.xml")).unwrap();
        symlink(node.path("kept.xml"), node.path("etc/direct.xml")).unwrap();
        assert_eq!(node.taken(shell), "taken\n");
        // As a program does that writes another file and renames it.
        node.write("etc/new", "after\n");
        fs::rename(node.path("etc/new"), node.path("etc/direct.xml")).unwrap();
        assert_eq!(node.put(shell), "same\n");
        assert_eq!(
            fs::read_link(node.path("etc/direct.xml")).unwrap(),
            node.path("kept.xml")
        );
        assert_eq!(node.read("kept.xml"), "before\n");
    }
}

#[test]
fn nothing_behind_a_link_that_came_later_is_touched() {
    for shell in shells() {
        let node = Node::new();
        node.files();
        assert_eq!(node.taken(shell), "taken\n");
        fs::create_dir(node.path("precious")).unwrap();
        node.write("precious/file", "mine\n");
        symlink(node.path("precious"), node.path("etc/zones/link")).unwrap();
        assert_eq!(node.put(shell), "same\n");
        assert_eq!(node.read("precious/file"), "mine\n");
        assert!(!node.path("etc/zones/link").exists());
    }
}

#[test]
fn modes_and_odd_names_come_back() {
    for shell in shells() {
        let node = Node::new();
        node.files();
        let names = [
            "a b.xml",
            "-x.xml",
            "q'\"$(touch pwned)`.xml",
            "back\\slash.xml",
            "*.xml",
            ".hidden",
            "%s.xml",
            "\u{fc}.xml",
        ];
        for name in names {
            node.write(&format!("etc/zones/{name}"), name);
        }
        fs::set_permissions(
            node.path("etc/direct.xml"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();
        fs::set_permissions(node.path("etc/zones"), fs::Permissions::from_mode(0o2750)).unwrap();
        assert_eq!(node.taken(shell), "taken\n");
        for name in names {
            node.write(&format!("etc/zones/{name}"), "after");
        }
        fs::remove_file(node.path("etc/zones/*.xml")).unwrap();
        fs::set_permissions(
            node.path("etc/direct.xml"),
            fs::Permissions::from_mode(0o666),
        )
        .unwrap();
        fs::set_permissions(node.path("etc/zones"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir_all(node.path("etc/zones/deep/er")).unwrap();
        node.write("etc/zones/deep/er/x.xml", "x");
        assert_eq!(node.put(shell), "same\n", "{shell:?}");
        for name in names {
            assert_eq!(node.read(&format!("etc/zones/{name}")), name);
        }
        assert_eq!(
            (
                mode(&node.path("etc/direct.xml")),
                mode(&node.path("etc/zones"))
            ),
            (0o640, 0o2750)
        );
        assert!(!node.path("etc/zones/deep").exists());
    }
}

#[test]
fn what_cannot_be_brought_back_is_refused_with_a_reason() {
    type Spoil = fn(&Node);
    let cases: [(Spoil, &str); 7] = [
        (
            |n| symlink("/nowhere/x", n.path("etc/zones/gone.xml")).unwrap(),
            "leads to nothing",
        ),
        (
            |n| {
                symlink("b.xml", n.path("etc/zones/a.xml")).unwrap();
                symlink("a.xml", n.path("etc/zones/b.xml")).unwrap()
            },
            "Too many levels of symbolic links",
        ),
        (
            |n| symlink(".", n.path("etc/zones/loop")).unwrap(),
            "cannot be read to its end",
        ),
        (
            |n| fs::hard_link(n.path("etc/direct.xml"), n.path("twin")).unwrap(),
            "hard link",
        ),
        (
            |n| {
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    n.path("etc/zones/pipe"),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::from_raw_mode(0o600),
                    0,
                )
                .unwrap()
            },
            "neither a file nor a folder",
        ),
        (|n| n.write("etc/zones/a\nb.xml", "x"), "control character"),
        (
            |n| symlink("/", n.path("etc/zones/all")).unwrap(),
            "more than 50 files",
        ),
    ];
    for shell in shells() {
        for (spoil, why) in cases {
            let node = Node::new();
            node.files();
            spoil(&node);
            let said = node.says(
                shell,
                "things=50; snapshot_files && echo taken || printf '%s\\n' \"$answer\"",
            );
            assert!(said.contains(why), "{why}: {said}");
        }
    }
}

#[test]
fn what_came_back_after_a_boot_is_compared_value_by_value() {
    let zone = |ports: &str| format!("zone|public|ports|a(ss)|{ports}").replace('|', "\u{1f}");
    for shell in shells() {
        let node = Node::new();
        let more = |was: &str, now: &str| {
            node.says(
                shell,
                &format!(
                    "lines_only_in \"$(runtime_values {})\" \"$(runtime_values {})\"",
                    quote(&zone(now)),
                    quote(&zone(was))
                ),
            )
        };
        assert_eq!(
            more("1|22|tcp", "2|22|tcp|5000|tcp"),
            "zone public ports 5000 tcp\n"
        );
        assert_eq!(more("2|22|tcp|5000|tcp", "1|22|tcp"), "");
        assert_eq!(more("2|22|tcp|5000|tcp", "2|5000|tcp|22|tcp"), "");
    }
}
