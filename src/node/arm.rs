//! Arming: the script of a run that the node can roll back by itself, and the commands for a node that is armed.

use std::collections::BTreeMap;

use crate::model::Cidr;
use crate::model::NodeState;
use crate::model::state::Docker;
use crate::node::apply;
use crate::node::quote;
use crate::node::restore;
use crate::node::shell::DISARM;
use crate::node::shell::LEASE;
use crate::node::shell::LIBRARY;
use crate::node::shell::ROLLBACK;
use crate::node::shell::STEPS;
use crate::plan::Action;

/// Another run holds the lease (EX_TEMPFAIL of sysexits.h).
pub const BUSY: i32 = 75;

/// Another run has changed the node since it was read.
pub const STALE: i32 = 76;

/// The lease belongs to a run that nothing will end.
pub const UNFINISHED: i32 = 77;

/// There is no such snapshot, or it is incomplete (EX_NOINPUT of sysexits.h).
pub const NO_SNAPSHOT: i32 = 66;

/// A step would have overwritten a file that was edited since the reading (EX_DATAERR of sysexits.h).
pub const EDITED: i32 = 65;

/// A step failed because firewalld is gone (EX_UNAVAILABLE of sysexits.h).
pub const GONE: i32 = 69;

/// What a run is armed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arming {
    /// The number of the last armed run when the node was read; 0 if there was none.
    pub last: u64,
    /// The node rolls back after this many seconds without confirmation.
    pub timeout: u64,
    /// The record of the run: `operator`, `what`, `policy` and more. Line breaks in values become spaces.
    pub about: Vec<(&'static str, String)>,
    /// The files of firewalld as the look has seen them, each with checksum and size.
    pub seen: Vec<(String, String)>,
    /// The managed subnets: new flows to and from them are blocked while the rollback reloads firewalld.
    pub managed: Vec<Cidr>,
}

/// Returns the script that arms the node to return to its present state, and then executes these steps.
///
/// Its answer is parsed by [`Steps`](crate::node::Steps).
pub fn arm_script(arming: &Arming, actions: &[Action]) -> String {
    let restore = restore::of_plan(actions, &arming.managed);
    whole(arming, &restore, "", &apply::plan(actions))
}

/// Returns the script that arms the node to return to `before`, and then restores an older snapshot, in one step.
///
/// Its answer is parsed by [`Steps`](crate::node::Steps).
pub fn rollback_script(arming: &Arming, before: &NodeState, to: u64) -> String {
    to_snapshot(arming, before.docker.known(), to)
}

/// The same, from the part of the state before that matters: Docker, if it was read.
pub(super) fn to_snapshot(arming: &Arming, before: Option<&Docker>, to: u64) -> String {
    let restore = restore::of_state(before, &arming.managed);
    let mut words = vec!["restore_snapshot".to_string(), to.to_string()];
    words.extend(arming.managed.iter().map(Cidr::to_string));
    let words = apply::line(&words);
    let plan = format!("{ROLLBACK}\nplan() {{\n    step 0 {words}\n}}\n");
    whole(arming, &restore, &format!("check_snapshot {to} && "), &plan)
}

/// Returns the script that confirms a run. Its answer is parsed by [`Ending`].
pub fn disarm_script(number: u64) -> String {
    asked("disarm", number)
}

/// Returns the script that rolls the node back immediately, and waits for the end of it. Its answer is parsed by [`Ending`].
pub fn revert_script(number: u64) -> String {
    asked("restore_and_wait", number)
}

fn asked(what: &str, number: u64) -> String {
    format!("{LEASE}\n{DISARM}\n{what} {number}\n")
}

pub(super) fn whole(arming: &Arming, restore: &str, first: &str, plan: &str) -> String {
    let about: Vec<String> = arming
        .about
        .iter()
        .map(|(key, value)| format!("{key}={}", value.replace(char::is_control, " ")))
        .collect();
    let seen: Vec<String> = arming
        .seen
        .iter()
        .map(|(path, sum)| format!("{sum} {}", path.replace(char::is_control, " ")))
        .collect();
    let managed: Vec<String> = arming.managed.iter().map(Cidr::to_string).collect();
    // The library twice: once for this shell, and once to be kept for the rollback. No program has an `eval`.
    format!(
        "{LIBRARY}\nlibrary={}\nseen_checksums={}\n{STEPS}\nabout={}\nrestore_program={}\nmanaged={}\nprepare() {{ {first}arm {} {}; }}\n{plan}\nmain\n",
        quote(LIBRARY),
        quote(&seen.join("\n")),
        quote(&about.join("\n")),
        quote(restore),
        quote(&managed.join(" ")),
        arming.last,
        arming.timeout,
    )
}

/// How a run ended, as the node reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is confirmed, and stays.
    Disarmed,
    /// The node was rolled back.
    Restored(Restored),
    /// It has ended with an unknown result: the node's record of it is lost.
    Unknown {
        /// What the node reported instead.
        said: String,
    },
    /// The node is still armed: it did not come back, or is not yet back.
    Still {
        /// What went wrong in the rollback, as reported by the node.
        trouble: Vec<String>,
    },
}

/// How a node was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// When, by the node's clock (RFC 3339, UTC).
    pub ended: String,
    /// What set it off: `timer`, `boot`, or `now` for the operator.
    pub why: String,
    /// In which way: `in place`, `by a reload of firewalld`, …
    pub how: String,
    /// What is not as it was before, because others have changed it since.
    pub remarks: Vec<String>,
}

impl Ending {
    /// Reads the answer of [`disarm_script`] and [`revert_script`]; `None` if it was cut off.
    pub fn read(answer: &[u8]) -> Option<Ending> {
        let answer = String::from_utf8_lossy(answer);
        let mut lines = answer.lines().skip_while(|line| {
            !["disarmed ", "gone ", "still "]
                .iter()
                .any(|word| line.starts_with(word))
        });
        let first = lines.next()?;
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        let mut trouble = Vec::new();
        let mut remarks = Vec::new();
        let mut whole = false;
        for line in lines {
            match line.split_once('=') {
                Some(("trouble", said)) if !said.is_empty() => trouble.push(said.to_string()),
                Some(("remark", said)) if !said.is_empty() => remarks.push(said.to_string()),
                Some((key, value)) => drop(values.insert(key, value)),
                None => whole |= line == "end",
            }
        }
        if !whole {
            return None;
        }
        let value = |key: &str| values.get(key).copied().unwrap_or_default().to_string();
        Some(match first.split(' ').next()? {
            "still" => Ending::Still { trouble },
            "disarmed" => Ending::Disarmed,
            // The program that released the lease either reported it, or rolled back.
            _ => match values.get("outcome").copied() {
                Some("restored") => Ending::Restored(Restored {
                    ended: value("ended"),
                    why: value("why"),
                    how: value("how"),
                    remarks,
                }),
                Some("confirmed") => Ending::Disarmed,
                other => Ending::Unknown {
                    said: other.unwrap_or("nothing").to_string(),
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::model::DirectRule;
    use crate::model::Family;
    use crate::model::Rule;
    use crate::model::state::Endpoint;
    use crate::node::shell::RESTORE;
    use crate::node::shell::in_every_shell;
    use crate::plan::action::NetworkSpec;

    fn arming() -> Arming {
        Arming {
            last: 6,
            timeout: 60,
            about: vec![
                ("operator", "o'neil@desk\noutcome=confirmed".to_string()),
                ("what", "run".to_string()),
            ],
            seen: vec![(
                "/etc/firewalld/direct.xml".to_string(),
                "4294967295 0".to_string(),
            )],
            managed: vec!["172.20.0.0/16".parse().unwrap()],
        }
    }

    fn actions() -> Vec<Action> {
        let rule =
            Rule::parse_text("-s 172.20.0.2 -m comment --comment \"it's $(reboot)\" -j ACCEPT");
        let endpoint = |network: &str| Endpoint {
            network: network.to_string(),
            fixed: "172.20.0.2".parse().ok(),
            ..Endpoint::default()
        };
        vec![
            Action::CreateNetwork(NetworkSpec {
                name: "chain".to_string(),
                subnets: vec!["172.20.0.0/16".parse().unwrap()],
                ..NetworkSpec::default()
            }),
            Action::Latch {
                subnets: vec!["172.20.0.0/16".parse().unwrap()],
            },
            Action::OwnChain { family: Family::V4 },
            Action::AddRule(DirectRule::ours(Family::V4, 200, rule.unwrap())),
            Action::Unlatch {
                subnets: vec!["172.20.0.0/16".parse().unwrap()],
            },
            Action::Connect {
                container: "node".to_string(),
                endpoint: endpoint("chain"),
            },
            Action::Disconnect {
                container: "node".to_string(),
                endpoint: endpoint("bridge"),
            },
        ]
    }

    /// What a shell prints that reads the library and then this.
    fn said(script: &str) -> String {
        // By a file: a word of a command line holds 128 KiB.
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, format!("{LIBRARY}\n{script}\n")).unwrap();
        let output = Command::new("sh").arg(file.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout)
            .unwrap()
            .replace('\u{1f}', "|")
    }

    /// A node's records in a folder, with so many snapshots; what the functions do elsewhere is left out.
    fn records(folder: &Path, snapshots: u32) -> String {
        let at = |name: &str| quote(&folder.join(name).to_string_lossy());
        let (home, live, staging, units) = (at("home"), at("live"), at("staging"), at("units"));
        let mut script = format!(
            "home={home}\nlive={live}\nstaging={staging}\nunits={units}\nlimited() {{ :; }}\ntake_lock() {{ :; }}\nmkdir -p \"$live\"\n"
        );
        for number in 1..=snapshots {
            script.push_str(&format!("mkdir -p \"$home/snapshots/{number}\"\n"));
        }
        script
    }

    /// Seen to fail without the line that spares it.
    #[test]
    fn the_state_before_the_first_run_is_never_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let script = records(folder.path(), 15) + "clean_up\nsnapshot_numbers";
        let kept: Vec<u32> = said(&script).lines().map(|n| n.parse().unwrap()).collect();
        assert_eq!(kept, [1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn only_a_node_that_no_run_holds_loses_its_records() {
        let purge = format!(
            "{}\ncapture_limited() {{ answer=$(\"$@\" 2>&1); }}\nprint_purged\nls \"$home\"",
            crate::node::shell::PURGE
        );
        let folder = tempfile::tempdir().unwrap();
        let held = "ln -s snapshots/2 \"$home/armed\"\n";
        let script = records(folder.path(), 2) + held + &purge;
        let answer = said(&script);
        assert!(
            answer.starts_with("kept\n| an unfinished run holds this node"),
            "{answer}"
        );
        assert!(answer.ends_with("end\narmed\nsnapshots\n"), "{answer}");
        let free = records(folder.path(), 2) + "rm \"$home/armed\"\n" + &purge;
        let free = free.replace("ls \"$home\"", "ls -d \"$home\" \"$live\" 2>/dev/null");
        assert_eq!(said(&free), "purged\nend\n");
    }

    #[test]
    fn every_shell_at_hand_can_read_the_scripts() {
        in_every_shell(&arm_script(&arming(), &actions()));
        in_every_shell(&disarm_script(7));
        in_every_shell(&revert_script(7));
        in_every_shell(LIBRARY);
        in_every_shell(&restore::of_plan(&actions(), &[]));
    }

    #[test]
    fn the_rollback_is_repeatable_and_in_reverse() {
        let program = restore::of_plan(&actions(), &arming().managed);
        let own = program.split_once(RESTORE).unwrap().1;
        insta::assert_snapshot!(own);
    }

    #[test]
    fn a_reload_is_not_undone_in_place() {
        let reload = [Action::Reload {
            subnets: Vec::new(),
        }];
        let program = restore::of_plan(&reload, &[]);
        let own = program.split_once(RESTORE).unwrap().1;
        insta::assert_snapshot!(own);
    }

    #[test]
    fn who_runs_writes_no_lines_of_his_own() {
        let script = arm_script(&arming(), &[]);
        let about = script.split_once("\nabout=").unwrap().1;
        let about = about.split_once("\nrestore_program=").unwrap().0;
        assert_eq!(
            said(&format!("about={about}\nprintf '%s' \"$about\"")),
            "operator=o'neil@desk outcome=confirmed\nwhat=run"
        );
    }

    #[test]
    fn the_words_of_busctl_are_read_whole() {
        // As systemd 247 to 262 print them.
        let rules = r#"a(sssias) 2 "ipv4" "filter" "DOCKER-USER" 0 2 "--comment" "a \"b\" \\ \303\274 $x" "ipv6" "raw" "X" -1 0"#;
        let script = format!("lines_of rule {}", quote(rules));
        assert_eq!(
            said(&script),
            "rule|ipv4|filter|DOCKER-USER|0|2|--comment|a \"b\" \\ \u{fc} $x\nrule|ipv6|raw|X|-1|0\n"
        );
        assert_eq!(said("lines_of chain 'a(sss) 0'"), "");
    }

    #[test]
    fn the_order_of_a_zones_values_says_nothing_and_their_number_does() {
        let differ = |a: &str, b: &str| {
            let text = |words: &str| quote(&format!("zone public {words}").replace(' ', "\u{1f}"));
            said(&format!(
                "[ \"$(normalise {})\" = \"$(normalise {})\" ] || echo yes",
                text(a),
                text(b)
            ))
        };
        assert_eq!(differ("services ssh dhcp", "services dhcp ssh"), "");
        assert_eq!(differ("services ssh", "services ssh ssh"), "yes\n");
        assert_eq!(differ("services ssh", "services"), "yes\n");
    }

    #[test]
    fn how_a_run_ended_is_read_to_its_last_line() {
        let read = |text: &str| Ending::read(text.as_bytes());
        assert_eq!(read("Welcome!\ndisarmed 7\nend\n"), Some(Ending::Disarmed));
        assert_eq!(
            read(
                "gone 7\noutcome=restored\nended=12:00\nwhy=timer\nhow=in place\nremark=container x no longer exists\ntrouble=\nend\n"
            ),
            Some(Ending::Restored(Restored {
                ended: "12:00".to_string(),
                why: "timer".to_string(),
                how: "in place".to_string(),
                remarks: vec!["container x no longer exists".to_string()],
            }))
        );
        // The lease is gone because the confirmation came through, and only its answer was lost.
        assert_eq!(
            read("gone 7\noutcome=confirmed\nend\n"),
            Some(Ending::Disarmed)
        );
        assert_eq!(
            read("still 7\noutcome=failed\ntrouble=a\ntrouble=b\nend\n"),
            Some(Ending::Still {
                trouble: vec!["a".to_string(), "b".to_string()]
            })
        );
        // A missing answer is not taken for a confirmation.
        for (told, said) in [
            ("", "nothing"),
            ("outcome=armed\n", "armed"),
            ("outcome=failed\nwhy=released\n", "failed"),
        ] {
            assert_eq!(
                read(&format!("gone 7\n{told}end\n")),
                Some(Ending::Unknown {
                    said: said.to_string()
                })
            );
        }
        for text in ["", "disarmed 7\n", "gone 7\noutcome=rest"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
