//! The awk programs of `src/node/awk`, in every awk at hand, over what real nodes answered.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use fwdeploy::model::NodeState;

use crate::support::captures::captures;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node/awk")
}

/// Each awk that is there: Debian's, that of the RHEL family, busybox's, and the one true awk.
fn awks() -> Vec<&'static [&'static str]> {
    let all: [&[&str]; 4] = [&["mawk"], &["gawk"], &["busybox", "awk"], &["original-awk"]];
    let there = |awk: &&[&str]| {
        let mut command = Command::new(awk[0]);
        let output = command.args(&awk[1..]).arg("BEGIN { exit 7 }").output();
        output.is_ok_and(|o| o.status.code() == Some(7))
    };
    let found: Vec<_> = all.into_iter().filter(there).collect();
    assert!(!found.is_empty(), "there is no awk");
    found
}

/// What the program of that name makes of a text, and its exit code. All awks say the same.
fn ran(name: &str, options: &[(&str, &str)], input: &str) -> (String, i32) {
    let mut said: Option<(String, i32)> = None;
    for awk in awks() {
        let mut command = Command::new(awk[0]);
        command.args(&awk[1..]).env("LC_ALL", "C");
        for (key, value) in options {
            command.arg("-v").arg(format!("{key}={value}"));
        }
        command.arg("-f").arg(folder().join(format!("{name}.awk")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("an awk");
        let mut stdin = child.stdin.take().expect("its stdin");
        let text = input.to_string();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().expect("an answer");
        let _ = writer.join();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr, "", "{awk:?} {name}");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let this = (out, output.status.code().expect("an exit code"));
        match &said {
            None => said = Some(this),
            Some(said) => assert_eq!(said, &this, "{awk:?} {name}"),
        }
    }
    said.expect("an awk")
}

fn awk(name: &str, options: &[(&str, &str)], input: &str) -> String {
    ran(name, options, input).0
}

/// Lines of values with `|` between them.
fn shown(text: &str) -> String {
    text.replace('\u{1f}', "|")
}

fn coded(text: &str) -> String {
    text.replace('|', "\u{1f}")
}

/// A capture: its parsed state, and its raw answers by question.
struct Answers {
    name: &'static str,
    state: NodeState,
    answers: BTreeMap<String, String>,
}

impl Answers {
    fn get(&self, question: &str) -> &str {
        self.answers.get(question).map_or("", String::as_str)
    }
}

/// The situations that differ in what the awk programs read, of every generation of Debian.
const SITUATIONS: [&str; 4] = ["whitelisted", "others", "flushed", "docker-first"];

fn all() -> Vec<Answers> {
    let found: Vec<Answers> = captures()
        .iter()
        .filter(|capture| SITUATIONS.contains(&capture.situation()))
        .map(|capture| Answers {
            name: &capture.name,
            state: capture.read(),
            answers: answers(&capture.stdout),
        })
        .collect();
    assert!(found.len() >= 4 * SITUATIONS.len());
    found
}

/// The answers with exit code 0, as probe.sh frames them.
fn answers(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut at = 0;
    while let Some(end) = bytes[at..].iter().position(|b| *b == b'\n') {
        let head = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        at += end + 1;
        let words: Vec<&str> = head.split(' ').collect();
        let (length, kept) = match words[..] {
            ["=", name, code, length] => (length, Some(name).filter(|_| code == "0")),
            ["!", _, length] => (length, None),
            _ => continue,
        };
        let length: usize = length.parse().expect("a length");
        if let Some(name) = kept {
            let text = String::from_utf8_lossy(&bytes[at..at + length]);
            found.insert(name.to_string(), text.into_owned());
        }
        at += length + 1;
    }
    found
}

/// busctl before systemd 221 leaves out the blank between two lists. Seen to fail when the quotes of a value were not followed.
#[test]
fn the_blanks_that_busctl_219_leaves_out_are_put_in() {
    let signature = "(a(sss)a(sssias)a(sas))";
    let blanks = |values: &str| awk("with_blanks", &[], &format!("{signature} {values}\n"));
    for (old, new) in [
        ("000", "0 0 0"),
        (
            r#"01 "ipv4" "filter" "X" 0 01 "eb" 0"#,
            r#"0 1 "ipv4" "filter" "X" 0 0 1 "eb" 0"#,
        ),
        (
            r#"1 "ipv4" "filter" "DOCKER-USER"2 "ipv4" "filter" "X" -10 1 "a\" 00\\" "ipv4" "filter" "X" 100 2 "" " 01"0"#,
            r#"1 "ipv4" "filter" "DOCKER-USER" 2 "ipv4" "filter" "X" -10 1 "a\" 00\\" "ipv4" "filter" "X" 100 2 "" " 01" 0"#,
        ),
    ] {
        let new = format!("{signature} {new}\n");
        assert_eq!(blanks(old), new);
        assert_eq!(awk("with_blanks", &[], &new), new, "it is so already");
    }
    let mut count = 0;
    for capture in all() {
        let answer = capture.get("permanent-direct");
        assert_eq!(awk("with_blanks", &[], answer), answer, "{}", capture.name);
        count += usize::from(answer.contains("DOCKER-USER"));
    }
    assert!(count > 5);
}

/// What an answer of firewalld's holds, as lines.
fn lines_of(what: &str, name: &str, answer: &str) -> String {
    let input = format!("\u{1e}{what}\u{1f}{name}\u{1f}{answer}");
    awk("bus_answers", &[], &input)
}

/// What firewalld before 0.9 says of a zone, and what a later one says of the same.
#[test]
fn a_zone_by_place_is_the_same_as_by_name() {
    let places = r#"(sssbsasa(ss)asba(ssss)asasasasa(ss)b) "" "Public" "in \"public\"" false "default" 2 "ssh" "dhcpv6-client" 1 "81" "tcp" 0 true 1 "8081" "tcp" "80" "" 1 "host0" 0 1 "rule family=\"ipv4\" reject" 0 0 false"#;
    let names = r#"a{sv} 9 "short" s "Public" "target" s "default" "services" as 2 "ssh" "dhcpv6-client" "ports" a(ss) 1 "81" "tcp" "masquerade" b true "forward_ports" a(ssss) 1 "8081" "tcp" "80" "" "interfaces" as 1 "host0" "rules_str" as 1 "rule family=\"ipv4\" reject" "icmp_block_inversion" b false"#;
    let lines = |answer: &str, what: &str| shown(&lines_of(what, "public", answer));
    assert_eq!(lines(places, "older"), lines(names, "zone"));
    assert!(lines(names, "zone").contains("zone|public|forward_ports|a(ssss)|1|8081|tcp|80|\n"));
}

/// The values of a capture in the order in which busctl printed them, as the reader has parsed them.
#[test]
fn every_direct_rule_of_every_capture_is_read_as_the_look_reads_it() {
    let mut rules = 0;
    for capture in all() {
        let Some(direct) = capture.state.runtime.direct.known() else {
            continue;
        };
        let entries = |question: &str, what: &str| lines_of(what, "", capture.get(question));
        let mut wanted = String::new();
        for rule in &direct.rules {
            let words = [
                rule.ipv(),
                &rule.table,
                &rule.chain,
                &rule.priority.to_string(),
                &rule.args.len().to_string(),
            ]
            .map(String::from);
            let words = words.iter().chain(rule.args.iter()).map(String::as_str);
            let words: Vec<&str> = ["rule"].into_iter().chain(words).collect();
            wanted.push_str(&(words.join("\u{1f}") + "\n"));
        }
        assert_eq!(entries("runtime-rules", "rule"), wanted, "{}", capture.name);
        rules += direct.rules.len();
        let mut wanted = String::new();
        for chain in &direct.chains {
            let words = ["chain", &chain.ipv, &chain.table, &chain.chain];
            wanted.push_str(&(words.join("\u{1f}") + "\n"));
        }
        assert_eq!(
            entries("runtime-chains", "chain"),
            wanted,
            "{}",
            capture.name
        );
    }
    assert!(rules > 100, "{rules}");
}

#[test]
fn zones_and_their_settings_are_read_from_every_capture() {
    let mut zones = 0;
    for capture in all() {
        let Some(firewalld) = capture
            .state
            .firewalld
            .known()
            .filter(|_| !capture.get("active-zones").is_empty())
        else {
            continue;
        };
        let mut names: Vec<String> = lines_of("zones", "", capture.get("active-zones"))
            .lines()
            .map(String::from)
            .collect();
        names.sort();
        let wanted: Vec<String> = firewalld.active_zones.keys().cloned().collect();
        assert_eq!(names, wanted, "{}", capture.name);
        for (question, answer) in &capture.answers {
            let Some(zone) = question.strip_prefix("runtime-zone:") else {
                continue;
            };
            let settings = lines_of("zone", zone, answer);
            // Each list is printed, also an empty one; there are as many values as the signature says.
            for list in ["services", "ports", "sources", "interfaces", "rules_str"] {
                let head = format!("zone\u{1f}{zone}\u{1f}{list}\u{1f}a");
                assert!(settings.lines().any(|l| l.starts_with(&head)), "{settings}");
            }
            let values = awk("runtime_values", &[], &settings);
            for service in ["ssh", "dhcpv6-client"] {
                let told = answer.contains(&format!("\"{service}\""));
                let line = format!("zone {zone} services {service}\n");
                assert_eq!(values.contains(&line), told, "{question}: {values}");
            }
            // What is the same in another order is the same.
            let turned: Vec<&str> = settings.lines().rev().collect();
            let sorted = |text: &str| {
                let text = awk("normalise", &[], text);
                let mut lines: Vec<String> = text.lines().map(String::from).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&settings), sorted(&turned.join("\n")));
            zones += 1;
        }
    }
    assert!(zones > 30, "{zones}");
}

/// The rules that iptables-save printed, with their tables; the programs read its output with and without counters.
fn rules_of(tables: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in tables.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_string();
        } else if line.starts_with("-A ") {
            found.push((table.clone(), line.to_string()));
        }
    }
    found
}

fn with_counters(tables: &str) -> String {
    let line = |line: &str| {
        let counters = if line.starts_with("-A ") {
            "[12:345] "
        } else {
            ""
        };
        format!("{counters}{line}\n")
    };
    tables.lines().map(line).collect()
}

#[test]
fn the_kernels_tables_are_compared_without_counters_and_rule_by_rule() {
    let mut flushed = 0;
    for capture in all() {
        for question in ["iptables-save", "ip6tables-save"] {
            let tables = capture.get(question);
            let lines = awk("table_lines", &[], tables);
            assert_eq!(lines, awk("table_lines", &[], &with_counters(tables)));
            let rules = rules_of(tables);
            let told = lines.lines().filter(|line| line.contains(" -A ")).count();
            assert_eq!(told, rules.len(), "{}", capture.name);
            for (table, rule) in &rules {
                assert!(
                    lines
                        .lines()
                        .any(|l| l.ends_with(&format!("\t{table} {rule}"))),
                    "{rule}"
                );
            }
            // Nothing is missing from the same, and all of it from nothing.
            let compared = |now: &str| format!("{now}\n=\n{tables}\n");
            assert_eq!(
                awk("lacking_rules", &[], &compared(&with_counters(tables))),
                ""
            );
            let missing = awk("lacking_rules", &[], &compared(""));
            let missing = missing.lines().filter(|l| l.contains(" -A ")).count();
            assert_eq!(missing, rules.len());
            let theirs = rules.iter().filter(|(_, rule)| {
                !rule.starts_with("-A DOCKER-USER") && !rule.ends_with(" DOCKER-USER")
            });
            let code = |now: &str| ran("is_flushed", &[], &compared(now)).1;
            assert_eq!(code(tables), 1);
            assert_eq!(code("") == 0, theirs.count() > 0);
            flushed += i32::from(code("") == 0);
        }
    }
    assert!(flushed > 20, "{flushed}");
}

#[test]
fn the_jump_is_found_where_it_stands_and_put_where_it_is_wanted() {
    let mut jumps = 0;
    for capture in all() {
        let tables = capture.get("iptables-save");
        let filter = tables
            .split("\n*")
            .find(|t| t.trim_start_matches("*").starts_with("filter") || t.contains("*filter"));
        let Some(filter) = filter else { continue };
        let forward: Vec<&str> = filter
            .lines()
            .filter(|l| *l == "-A FORWARD" || l.starts_with("-A FORWARD "))
            .collect();
        let place = forward
            .iter()
            .position(|l| *l == "-A FORWARD -j DOCKER-USER");
        // The guard, or a latch, in the chain of the same name of another table.
        let whole = format!("*mangle\n-A FORWARD -j fwdeploy_forward\nCOMMIT\n{tables}");
        let places = awk("jump_places", &[], &whole);
        assert_eq!(
            places,
            place.map(|p| (p + 1).to_string()).unwrap_or_default(),
            "{}",
            capture.name
        );
        let others = forward.len() - usize::from(place.is_some());
        let moved = awk("move_jump", &[("places", "1 999")], filter);
        let deletes = if place.is_some() {
            "-D FORWARD -j DOCKER-USER\n"
        } else {
            ""
        };
        let end = others + 2;
        assert_eq!(
            moved,
            format!(
                "#1 {end}\n*filter\n{deletes}-I FORWARD 1 -j DOCKER-USER\n-I FORWARD {end} -j DOCKER-USER\nCOMMIT\n"
            )
        );
        jumps += i32::from(place.is_some());
    }
    assert!(jumps > 10, "{jumps}");
}

#[test]
fn the_chain_goes_away_and_comes_back_as_it_was() {
    let mut chains = 0;
    for capture in all() {
        let tables = with_counters(capture.get("iptables-save"));
        let chain = awk("chain_and_jumps", &[], &tables);
        if !chain.contains(":DOCKER-USER\n") {
            continue;
        }
        chains += 1;
        assert_eq!(
            awk("with_chain", &[], "*nat\nCOMMIT"),
            "*nat\nCOMMIT\n*filter\n:DOCKER-USER - [0:0]\nCOMMIT\n"
        );
        let unlink = awk("unlink_chain", &[("method", "addChain")], &tables);
        let jumps: Vec<&str> = chain
            .lines()
            .filter(|l| l.ends_with(" DOCKER-USER"))
            .collect();
        let gone: String = jumps
            .iter()
            .map(|j| j.replacen("-A", "-D", 1) + "\n")
            .collect();
        assert_eq!(
            unlink,
            format!("*filter\n{gone}-F DOCKER-USER\n-X DOCKER-USER\nCOMMIT\n"),
            "{}",
            capture.name
        );
        let relink = awk("relink_chain", &[], &tables);
        let rules = chain.lines().filter(|l| l.starts_with("-A DOCKER-USER"));
        let rules: String = rules.map(|r| format!("[12:345] {r}\n")).collect();
        let head = format!("*filter\n:DOCKER-USER - [0:0]\n{rules}");
        assert!(relink.starts_with(&head), "{relink}");
        assert_eq!(
            relink[head.len()..]
                .lines()
                .filter(|l| l.starts_with("-I "))
                .count(),
            jumps.len()
        );
    }
    assert!(chains > 10, "{chains}");
}

#[test]
fn what_a_reload_took_from_docker_comes_back_behind_what_it_stood_behind() {
    let was = "*filter\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n:DOCKER-ISOLATION-STAGE-1 - [0:0]\n:DOCKER-USER - [0:0]\n:OTHERS - [0:0]\n\
               -A FORWARD -j OTHERS\n-A FORWARD -o br-1 -j DOCKER\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n\
               -A DOCKER -d 172.20.0.2/32 ! -i br-1 -o br-1 -j ACCEPT\n-A DOCKER-ISOLATION-STAGE-1 -j RETURN\nCOMMIT\n\
               *nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 172.20.0.0/16 ! -o br-1 -j MASQUERADE\nCOMMIT\n";
    let now = "*filter\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j OTHERS\nCOMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n";
    let asked = |changed: &str, now: &str| {
        let options = [("devices", "br-1 "), ("changed", changed)];
        awk("missing_docker_rules", &options, &format!("{was}=\n{now}"))
    };
    assert_eq!(
        asked("", now),
        "*filter\n:DOCKER-ISOLATION-STAGE-1 - [0:0]\n-I FORWARD 2 -o br-1 -j DOCKER\n-I FORWARD 3 -j DOCKER-ISOLATION-STAGE-1\n\
         -I DOCKER 1 -d 172.20.0.2/32 ! -i br-1 -o br-1 -j ACCEPT\n-I DOCKER-ISOLATION-STAGE-1 1 -j RETURN\nCOMMIT\n\
         *nat\n-I POSTROUTING 1 -s 172.20.0.0/16 ! -o br-1 -j MASQUERADE\nCOMMIT\n"
    );
    // A container that came or went has its rules from Docker.
    assert_eq!(
        asked("yes", now),
        "*filter\n:DOCKER-ISOLATION-STAGE-1 - [0:0]\n-I DOCKER-ISOLATION-STAGE-1 1 -j RETURN\nCOMMIT\n"
    );
    assert_eq!(asked("", was), "");
    for capture in all() {
        let tables = capture.get("iptables-save");
        let options = [("devices", ""), ("changed", "")];
        let same = format!("{tables}=\n{}", with_counters(tables));
        assert_eq!(
            awk("missing_docker_rules", &options, &same),
            "",
            "{}",
            capture.name
        );
    }
}

/// What packets put into the table is no difference between a snapshot and the node.
#[test]
fn the_guards_table_is_the_same_text_before_and_after_packets() {
    let text = |name: String| {
        let path = folder().join("../../../tests/captures/guard").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    for release in ["bullseye", "bookworm", "trixie", "forky"] {
        let (fresh, used) = (
            text(format!("{release}.txt")),
            text(format!("{release}-used.txt")),
        );
        assert_ne!(fresh, used, "{release}");
        let before = awk("guard_text", &[], &fresh);
        assert_eq!(before, fresh, "{release}: nothing is in those sets");
        assert_eq!(awk("guard_text", &[], &used), before, "{release}");
    }
}

#[test]
fn lines_count_as_often_as_they_stand_there() {
    assert_eq!(awk("only_in", &[], "a\nb\n=\na\na\nc\n\n"), "a\nc\n");
}

#[test]
fn a_zones_devices_are_those_that_can_be_there_now() {
    // Devices that are there; the text of now; the text of before.
    let devices = |now: &str, was: &str| {
        let text = format!("eth0\nbr-1\nbr-2\n=\n{now}\n=\n{was}\n");
        shown(&awk("with_devices", &[], &coded(&text)))
    };
    let zone = |zone: &str, list: &str| format!("zone|{zone}|interfaces|as|{list}");
    // One that is gone is left out; one that came stays where it is now.
    assert_eq!(
        devices(
            &zone("docker", "2|br-1|br-2"),
            &zone("docker", "2|br-1|br-gone")
        ),
        "zone|docker|interfaces|as|2|br-1|br-2\n"
    );
    // An interface in another zone returns to its own.
    assert_eq!(
        devices(
            &zone("public", "2|eth0|br-1"),
            &format!("{}\n{}", zone("public", "1|eth0"), zone("docker", "1|br-1"))
        ),
        "zone|public|interfaces|as|1|eth0\nzone|docker|interfaces|as|1|br-1\n"
    );
    assert_eq!(devices("rule|a", "rule|b|c"), "rule|b|c\n");
}

#[test]
fn a_picture_is_in_an_order_that_does_not_change() {
    let picture = "network bridge bridge false false . . . n0\nnetwork chain bridge false false . . . n1\n\
                   place cybex chain 172.20.0.2. . 172.20.0.2. . witness,abcdefghijkl,cybex,. db:db,. abcdefghijklmnop\n\n";
    assert_eq!(
        awk("picture_in_order", &[], picture),
        "network chain bridge false false . . . n1\nplace cybex chain 172.20.0.2. . 172.20.0.2. . cybex,witness,. db:db,.\n"
    );
}

#[test]
fn what_differs_of_docker_is_wrong_or_a_remark_by_whose_it_is() {
    let was = "network a bridge false false 10.1.0.0%2F16|||,. . . n1\ncontainer c true c1\nplace c a 10.1.0.2. . 10.1.0.2. . . .\n";
    let now = "network a bridge false false 10.9.0.0%2F16|||,. . . n2\ncontainer c false c1\nplace c a 10.1.0.2. . 10.1.0.3. . . .\n";
    let judged = |ours: &str, old: &str| {
        awk(
            "docker_differences",
            &[("old", old)],
            &format!("{ours}\n=\n{was}=\n{now}"),
        )
    };
    assert_eq!(
        judged("network a", ""),
        "wrong network a is another one, subnet 10.9.0.0%2F16|||, where it was 10.1.0.0%2F16|||,\n\
         remark container c was running, and is not running now\n\
         wrong container c has 10.1.0.3 on network a but is configured with 10.1.0.2\n"
    );
    assert_eq!(judged("", "yes"), "");
}

#[test]
fn the_last_checksum_of_a_file_counts() {
    let seen = "1 2 /etc/firewalld/a b.xml\n3 4 /etc/firewalld/direct.xml\n5 6 /etc/firewalld/direct.xml\n";
    let of = |path: &str| awk("seen_checksum", &[("path", path)], seen);
    assert_eq!(of("/etc/firewalld/direct.xml"), "5 6\n");
    assert_eq!(of("/etc/firewalld/a b.xml"), "1 2\n");
    assert_eq!(of("/etc/firewalld/zones/public.xml"), "-\n");
}

#[test]
fn bytes_are_coded_one_by_one() {
    assert_eq!(
        awk("url_encode", &[], " 61 20 2f 7e c3 bc 0a\n 2d\n"),
        "a+%2F~%C3%BC%0A-\n"
    );
}

#[test]
fn of_firewallds_own_table_only_what_matters_is_told() {
    let listing = "table inet firewalld {\n\tchain mangle_PREROUTING {\n\t\ttype filter hook prerouting priority -140; policy accept;\n\
                   \t\tjump mangle_PREROUTING_ZONES\n\t\tjump mangle_PREROUTING_ZONES\n\t}\n\tchain filter_INPUT {\n\t\ttype filter hook input priority 10; policy accept;\n\t}\n\
                   \tchain nat_PRE_public {\n\t\ttcp dport 5000 dnat ip to 172.20.0.2:5000\n\t\tgoto nat_PRE_public_allow\n\t}\n}\n";
    assert_eq!(
        awk("firewalld_nft", &[], listing),
        "leads mangle_PREROUTING mangle_PREROUTING_ZONES\ntwice mangle_PREROUTING\nbare filter_INPUT\n\
         forward nat_PRE_public tcp dport 5000 dnat ip to 172.20.0.2:5000\nleads nat_PRE_public nat_PRE_public_allow\n"
    );
}
