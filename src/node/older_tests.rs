//! What the programs do on the systems of CentOS 7's time: systemd 219, iptables 1.4.21, firewalld before 0.9.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::node::quote;
use crate::node::shell::LIBRARY;
use crate::node::shell::RESTORE;
use crate::node::shell::shells;

/// A folder of programs that are found before the machine's own, and what they have noted.
struct Fakes {
    folder: TempDir,
}

impl Fakes {
    fn new(programs: &[(&str, &str)]) -> Self {
        let fakes = Fakes {
            folder: TempDir::new().expect("a folder"),
        };
        for folder in ["bin", "home/snapshots/7", "live"] {
            fs::create_dir_all(fakes.path(folder)).expect("a folder");
        }
        for (name, text) in programs {
            let path = fakes.path("bin").join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a program");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
        }
        fakes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// What a shell says to the file `name` with these arguments; the text of the file is a part of the library and then this.
    fn says(&self, shell: &[&str], name: &str, script: &str, args: &[&str]) -> (String, i32) {
        let folder = self.folder.path().display();
        let script = format!(
            "{LIBRARY}\nhome={folder}/home live={folder}/live\nsnapshot=$home/snapshots/7\n{script}\n"
        );
        let file = self.path(name);
        fs::write(&file, script).expect("a script");
        let path = format!("{folder}/bin:{}", std::env::var("PATH").unwrap_or_default());
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .arg(&file)
            .args(args)
            .env("PATH", path)
            .env("FAKE", self.folder.path())
            .output()
            .expect("a shell");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (said, output.status.code().expect("an exit code"))
    }
}

/// systemd 219 says this of `-p Restart=`, and starts nothing. Seen to fail without the word `repeat`.
#[test]
fn where_systemd_restarts_nothing_the_program_repeats_itself() {
    let note = "printf '%s ' \"$@\" >>\"$FAKE/log\"; echo >>\"$FAKE/log\"\n";
    let old = format!(
        "for word; do case $word in Restart=*) echo \"Unknown assignment $word.\" >&2; exit 1 ;; esac; done\n{note}"
    );
    for shell in shells() {
        for (program, end) in [(old.as_str(), " timer repeat \n"), (note, " timer \n")] {
            let fakes = Fakes::new(&[("systemd-run", program)]);
            let said = fakes.says(
                shell,
                "arm.sh",
                "start_timer 7 60 && echo started \"$answer\"",
                &[],
            );
            assert_eq!(said.0, "started \n", "{shell:?}");
            let log = fakes.log();
            assert!(log.ends_with(end) && log.lines().count() == 1, "{log}");
            assert_eq!(log.contains("Restart="), program == note, "{log}");
        }
    }
}

/// A run that is killed between its timer and its lease leaves the timer, and a later run has another number. Seen to fail when a run
/// stopped its own timer only.
#[test]
fn the_timers_of_all_runs_are_stopped_wherever_systemd_has_them() {
    let script = "units=$home transient_units=\"$FAKE/transient $FAKE/system\"\nend_lease 7";
    for shell in shells() {
        for folder in ["transient", "system"] {
            let note = "[ \"$1\" != stop ] || echo \"$@\" >>\"$FAKE/log\"\n";
            let fakes = Fakes::new(&[("systemctl", note), ("sync", "")]);
            fs::create_dir_all(fakes.path(folder)).expect("a folder");
            for unit in ["fwdeploy-restore-5", "fwdeploy-restore-7", "other"] {
                for kind in ["service", "timer"] {
                    let file = fakes.path(folder).join(format!("{unit}.{kind}"));
                    fs::write(file, "").expect("a unit");
                }
            }
            let said = fakes.says(shell, "arm.sh", script, &[]);
            assert_eq!(said, (String::new(), 0), "{shell:?}");
            let stopped = "stop fwdeploy-restore-5.timer fwdeploy-restore-7.timer\n";
            assert_eq!(fakes.log(), stopped, "{shell:?}");
        }
    }
}

/// systemd starts a restore anew that was killed. While another run is being armed there is no lease either.
#[test]
fn what_a_killed_restore_has_left_is_removed_unless_another_run_is_at_work() {
    for shell in shells() {
        for (leased, locked, wanted) in [
            ("false", "true", "7\n"),
            ("true", "true", ""),
            ("false", "false", ""),
        ] {
            let fakes = Fakes::new(&[]);
            let script = format!(
                "main() {{ :; }}\n{RESTORE}\nis_armed() {{ false; }}\nleased_snapshot() {{ {leased}; }}\n\
                 take_lock() {{ {locked}; }}\nclean_up_after() {{ echo \"$1\" >>\"$FAKE/log\"; }}\nmain \"$@\""
            );
            let said = fakes.says(shell, "home/snapshots/7/restore.sh", &script, &["timer"]);
            assert_eq!(said, (String::new(), 0), "{shell:?} {leased} {locked}");
            assert_eq!(fakes.log(), wanted, "{shell:?} {leased} {locked}");
        }
    }
}

/// The start of the guard's unit was killed, and a rollback removed its file: systemd listed it as failed from then on.
#[test]
fn a_unit_that_is_removed_is_neither_active_nor_failed() {
    for shell in shells() {
        for (active, wanted) in [
            ("true", "--no-block stop fwdeploy-guard.service\n"),
            ("false", "reset-failed fwdeploy-guard.service\n"),
        ] {
            let fakes = Fakes::new(&[("systemctl", "echo \"$@\" >>\"$FAKE/log\"\n")]);
            let script = format!("is_guard_active() {{ {active}; }}\nend_guard_unit");
            let said = fakes.says(shell, "guard.sh", &script, &[]);
            assert_eq!(said, (String::new(), 0), "{shell:?}");
            assert_eq!(fakes.log(), wanted, "{shell:?}");
        }
    }
}

#[test]
fn a_restore_that_fails_is_tried_five_times_whoever_repeats_it() {
    let script = format!(
        "main() {{ :; }}\n{RESTORE}\nsubnets=\ntouched=\nrepeat_after=0\nis_armed() {{ :; }}\ntake_over_lock() {{ :; }}\n\
         restore_in_place() {{ echo tried >>\"$FAKE/log\"; false; }}\nrestore_whole() {{ false; }}\nmain \"$@\""
    );
    for shell in shells() {
        for (args, tries, code, outcome) in [
            (&["timer", "repeat"][..], 5, 0, "outcome=failed"),
            (&["timer"], 1, 1, "outcome=trying"),
        ] {
            let fakes = Fakes::new(&[("iptables-restore", "exit 1\n")]);
            let (said, ended) = fakes.says(shell, "home/snapshots/7/restore.sh", &script, args);
            assert_eq!((said.as_str(), ended), ("", code), "{shell:?} {args:?}");
            assert_eq!(fakes.log().lines().count(), tries, "{shell:?} {args:?}");
            let record = fs::read_to_string(fakes.path("live/outcome-7")).expect("an outcome");
            assert!(record.starts_with(outcome), "{record}");
        }
    }
}

/// iptables-restore 1.4.21 says that it does not know the option, and ends with 0. Seen to fail when only the exit code counted.
#[test]
fn the_wait_flag_is_used_where_iptables_restore_takes_it_without_a_word() {
    let ignores = "echo \"iptables-restore: invalid option -- 'w'\" >&2; cat >/dev/null; exit 0\n";
    for (program, flag) in [("cat >/dev/null\n", "-w"), (ignores, ""), ("exit 2\n", "")] {
        let fakes = Fakes::new(&[("iptables-restore", program)]);
        for shell in shells() {
            let said = fakes.says(
                shell,
                "flag.sh",
                "find_wait_flag; echo \"<$wait_flag>\"",
                &[],
            );
            assert_eq!(said.0, format!("<{flag}>\n"), "{program}");
        }
    }
}

/// firewalld 0.6 to 0.8: the methods of 0.9 are unknown, and a zone's settings are known by their place.
const FIREWALLD: &str = r#"shift 7
method=$1
shift
case $method in
*Settings2)
    echo "Call failed: dbus.exceptions.UnknownMethodException: org.freedesktop.DBus.Error.UnknownMethod: Unknown method: $method is not a valid method" >&2
    exit 1
    ;;
getZoneSettings) cat "$FAKE/zone" ;;
*)
    printf '%s|' "$method" "$@" >>"$FAKE/log"
    echo >>"$FAKE/log"
    echo 's "public"'
    ;;
esac
"#;

const ZONE: &str = r#"(sssbsasa(ss)asba(ssss)asasasasa(ss)b) "" "Public" "" false "default" 2 "ssh" "cockpit" 1 "81" "tcp" 0 false 1 "8081" "tcp" "80" "" 1 "host0" 0 1 "rule family=\"ipv4\" reject" 1 "gre" 0 false
"#;

#[test]
fn a_zone_is_set_value_by_value_before_firewalld_0_9() {
    let wanted = |key: &str, values: &str| format!("zone|public|{key}|{values}");
    let cases = [
        // As it is.
        (wanted("services", "as|2|ssh|cockpit"), ""),
        (
            wanted("services", "as|2|ssh|http"),
            "addService|ssi|public|http|0|\nremoveService|ss|public|cockpit|\n",
        ),
        (
            wanted("services", "as|0"),
            "removeService|ss|public|ssh|\nremoveService|ss|public|cockpit|\n",
        ),
        (
            wanted("ports", "a(ss)|2|81|tcp|81|udp"),
            "addPort|sssi|public|81|udp|0|\n",
        ),
        (
            wanted("source_ports", "a(ss)|1|99|udp"),
            "addSourcePort|sssi|public|99|udp|0|\n",
        ),
        (
            wanted("protocols", "as|0"),
            "removeProtocol|ss|public|gre|\n",
        ),
        (
            wanted("icmp_blocks", "as|1|echo-request"),
            "addIcmpBlock|ssi|public|echo-request|0|\n",
        ),
        (
            wanted("forward_ports", "a(ssss)|1|8081|tcp||10.0.0.1"),
            "addForwardPort|sssssi|public|8081|tcp||10.0.0.1|0|\nremoveForwardPort|sssss|public|8081|tcp|80||\n",
        ),
        (
            wanted(
                "rules_str",
                "as|1|rule family=\"ipv4\" source address=\"1.2.3.4\" drop",
            ),
            "addRichRule|ssi|public|rule family=\"ipv4\" source address=\"1.2.3.4\" drop|0|\nremoveRichRule|ss|public|rule family=\"ipv4\" reject|\n",
        ),
        (
            wanted("sources", "as|1|10.1.0.0/16"),
            "changeZoneOfSource|ss|public|10.1.0.0/16|\n",
        ),
        (
            wanted("interfaces", "as|1|br-x"),
            "changeZoneOfInterface|ss|public|br-x|\nremoveInterface|ss|public|host0|\n",
        ),
        (
            wanted("masquerade", "b|true"),
            "addMasquerade|si|public|0|\n",
        ),
        (
            wanted("masquerade", "b|false"),
            "removeMasquerade|s|public|\n",
        ),
        (
            wanted("icmp_block_inversion", "b|true"),
            "addIcmpBlockInversion|s|public|\n",
        ),
    ];
    for shell in shells() {
        for (line, calls) in &cases {
            let fakes = Fakes::new(&[("busctl", FIREWALLD)]);
            fs::write(fakes.path("zone"), ZONE).expect("a zone");
            let line = quote(&line.replace('|', "\u{1f}"));
            let script = format!(
                "runtime_trouble=\napply_entries set {line}\nprintf '%s' \"$runtime_trouble\""
            );
            let (said, _) = fakes.says(shell, "set.sh", &script, &[]);
            assert_eq!(
                (said.as_str(), fakes.log()),
                ("", calls.to_string()),
                "{shell:?} {line}"
            );
        }
    }
}
