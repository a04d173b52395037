//! Properties of the programs as they reach a node, whatever they do there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::model::Family;
use crate::model::state::Container;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::Network;
use crate::node;
use crate::node::Arming;
use crate::node::apply::tests::one_of_each;
use crate::node::arm;
use crate::node::restore;
use crate::node::shell::DISARM;
use crate::node::shell::LIBRARY;
use crate::node::shell::PROBE;
use crate::node::shell::PURGE;
use crate::node::shell::RECOVER;
use crate::node::shell::RESTORE;
use crate::node::shell::ROLLBACK;
use crate::node::shell::STEPS;
use crate::node::shell::in_every_shell;
use crate::plan::Question;
use crate::plan::Recovery;

const OUTSIDE: &str = include_str!("printed.sh");
const INSIDE: &str = include_str!("printed_inside.sh");

/// Every program that is fed to a node or kept there, by the name that it has in `target/node-programs`. What a program holds as a
/// quoted word, to run or to keep, is one of its own here.
fn programs() -> BTreeMap<&'static str, String> {
    let actions = one_of_each();
    let managed = vec!["172.20.0.0/16".parse().unwrap()];
    let arming = Arming {
        last: 6,
        timeout: 60,
        about: vec![("operator", "o'neil@desk".to_string())],
        seen: vec![(
            "/etc/firewalld/direct.xml".to_string(),
            "4294967295 0".to_string(),
        )],
        managed: managed.clone(),
    };
    let docker = Docker {
        networks: vec![Network {
            name: "chain".to_string(),
            driver: "bridge".to_string(),
            subnets: managed.clone(),
            ..Network::default()
        }],
        containers: vec![Container {
            name: "node".to_string(),
            endpoints: vec![Endpoint {
                network: "chain".to_string(),
                ..Endpoint::default()
            }],
            ..Container::default()
        }],
        ..Docker::default()
    };
    let subnets = managed.clone();
    let unfail = Recovery::Unfail {
        subnets: managed.clone(),
        permanent: Direct {
            chains: vec![DirectChain::ours(Family::V4)],
            rules: Vec::new(),
            passthroughs: vec![crate::model::rule::Passthrough::new(
                "ipv4",
                vec!["-L".to_string()],
            )],
        },
    };
    let release = Recovery::Release {
        number: 7,
        missing: Vec::new(),
    };
    let question = Question {
        family: Family::V4,
        rules: vec![vec!["-j".to_string(), "DROP".to_string()]],
        chains: Vec::new(),
    };
    let printed = node::printed_script(&[question]);
    let inner = printed.split_once("\ninner=").unwrap().1;
    let inner = shlex::split(inner).unwrap().remove(0);
    BTreeMap::from([
        ("apply", node::apply(&actions)),
        ("disarm", node::disarm_script(7)),
        ("go-back", node::revert_script(7)),
        ("look", node::probe_script(None)),
        ("printed", printed),
        ("purge", node::purge_script()),
        ("printed-inside", inner),
        ("recover-release", node::recover_script(&arming, &release)),
        (
            "recover-start",
            node::recover_script(&arming, &Recovery::Start { subnets }),
        ),
        ("recover-unfail", node::recover_script(&arming, &unfail)),
        ("retry-restore", node::retry_restore_script(7)),
        ("rollback", arm::to_snapshot(&arming, Some(&docker), 3)),
        ("run", node::arm_script(&arming, &actions)),
        ("snapshot/library", LIBRARY.to_string()),
        ("snapshot/recovery", restore::of_recovery(&managed)),
        ("snapshot/restore", restore::of_plan(&actions, &managed)),
        ("snapshot/state", restore::of_state(Some(&docker), &managed)),
    ])
}

/// `tests/lint-shell` runs this test, and then shellcheck and shfmt over the folder.
#[test]
fn every_program_can_be_read_by_every_shell_and_is_written_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node-programs");
    let _ = fs::remove_dir_all(&folder);
    for (name, program) in programs() {
        in_every_shell(&program);
        let file: PathBuf = folder.join(format!("{name}.sh"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, program).unwrap();
    }
}

/// Docker's tables of nft are not touched by a reload, and its address translation never comes to iptables.
#[test]
fn a_reload_waits_for_docker_only_where_it_filters_with_iptables() {
    // As nft 1.1.7 lists chains: what has an owner says so, and a comment may look like a table.
    let chains = |name: &str| {
        format!(
            "table inet firewalld {{ # progname firewalld\n\tflags owner,persist\n\n\tchain mangle_INPUT {{\n\t\tcomment \"table ip docker-bridges {{\"\n\t}}\n}}\ntable ip {name} {{\n}}"
        )
    };
    let (nft, iptables) = (chains("docker-bridges"), chains("docker-bridges-of-mine"));
    let (nft, iptables) = (nft.as_str(), iptables.as_str());
    for (stamp, tables, backend) in [
        (r#"{"Driver":"nftables+firewalld","Info":[]}"#, "", "nft"),
        (r#"{"Driver":"nftables"}"#, "", "nft"),
        (r#"{"Driver":"iptables+firewalld"}"#, nft, "iptables"),
        // The docker command cannot say.
        ("", nft, "nft"),
        ("", iptables, "iptables"),
        ("", "", "iptables"),
    ] {
        let (said, told) = (node::quote(stamp), node::quote(tables));
        let script = format!(
            "{LIBRARY}\nlimited() {{ printf '%s\\n' {told}; }}\nstamp={said}\nis_docker_nft && echo nft || echo iptables\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script.sh");
        fs::write(&file, script).unwrap();
        let output = std::process::Command::new("sh").arg(&file).output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(output.trim(), backend, "{stamp} {tables}");
    }
}

/// A shell text in which only code is left: quoted text and comments are blanked, except for the expansions in them.
struct Code {
    chars: Vec<char>,
    /// How many command substitutions each character is in.
    depth: Vec<usize>,
}

impl Code {
    fn of(text: &str) -> Code {
        let mut code = Code {
            chars: Vec::new(),
            depth: Vec::new(),
        };
        let chars: Vec<char> = text.chars().collect();
        let end = code.plain(&chars, 0, 0, None);
        assert_eq!(end, chars.len(), "a quote or a parenthesis is not closed");
        code
    }

    fn push(&mut self, c: char, depth: usize) {
        self.chars.push(c);
        self.depth.push(depth);
    }

    fn blank(&mut self, c: char, depth: usize) {
        self.push(if c == '\n' { '\n' } else { ' ' }, depth);
    }

    /// Reads unquoted text up to `close`, or to the end; returns the text after it.
    fn plain(&mut self, text: &[char], from: usize, depth: usize, close: Option<char>) -> usize {
        let mut at = from;
        let mut open = 0;
        while at < text.len() {
            let c = text[at];
            let begins_word = at == 0 || " \t\n;(|&".contains(text[at - 1]);
            if Some(c) == close && open == 0 {
                self.push(c, depth);
                return at + 1;
            }
            match c {
                '\\' => {
                    self.blank(c, depth);
                    self.blank(text[at + 1], depth);
                    at += 2;
                }
                '#' if begins_word => {
                    while at < text.len() && text[at] != '\n' {
                        self.blank(text[at], depth);
                        at += 1;
                    }
                }
                '\'' => {
                    self.blank(c, depth);
                    at += 1;
                    while text[at] != '\'' {
                        self.blank(text[at], depth);
                        at += 1;
                    }
                    self.blank(c, depth);
                    at += 1;
                }
                '"' => {
                    self.blank(c, depth);
                    at = self.quoted(text, at + 1, depth);
                }
                '$' => at = self.expansion(text, at, depth),
                // The parenthesis of a pattern has no counterpart; this looks for a pattern in a command substitution.
                '(' if close == Some(')') => {
                    open += 1;
                    self.push(c, depth);
                    at += 1;
                }
                ')' if close == Some(')') => {
                    open -= 1;
                    self.push(c, depth);
                    at += 1;
                }
                _ => {
                    self.push(c, depth);
                    at += 1;
                }
            }
        }
        assert_eq!(close, None, "a parenthesis or a brace is not closed");
        at
    }

    fn quoted(&mut self, text: &[char], from: usize, depth: usize) -> usize {
        let mut at = from;
        while text[at] != '"' {
            match text[at] {
                '\\' => {
                    self.blank(' ', depth);
                    self.blank(text[at + 1], depth);
                    at += 2;
                }
                '$' => at = self.expansion(text, at, depth),
                c => {
                    self.blank(c, depth);
                    at += 1;
                }
            }
        }
        self.blank('"', depth);
        at + 1
    }

    fn expansion(&mut self, text: &[char], at: usize, depth: usize) -> usize {
        self.push('$', depth);
        match (text.get(at + 1), text.get(at + 2)) {
            (Some('('), Some('(')) => {
                self.push('(', depth);
                self.push('(', depth);
                let end = self.plain(text, at + 3, depth, Some(')'));
                self.push(text[end], depth);
                end + 1
            }
            (Some('('), _) => {
                self.push('(', depth);
                self.plain(text, at + 2, depth + 1, Some(')'))
            }
            (Some('{'), _) => {
                self.push('{', depth);
                self.plain(text, at + 2, depth, Some('}'))
            }
            _ => {
                let mut at = at + 1;
                while at < text.len() && (text[at].is_ascii_alphanumeric() || text[at] == '_') {
                    self.push(text[at], depth);
                    at += 1;
                }
                at
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        let text: String = self.chars.iter().collect();
        text.lines().map(String::from).collect()
    }

    /// The functions, each with its code.
    fn functions(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut inside = false;
        for line in self.lines() {
            if let Some((name, body)) = line.split_once("() {")
                && is_name(name)
            {
                found.push((name.to_string(), body.to_string()));
                inside = !body.trim_end().ends_with('}');
            } else if line.starts_with('}') {
                inside = false;
            } else if inside {
                let last = found.last_mut().unwrap();
                last.1.push('\n');
                last.1.push_str(&line);
            }
        }
        found
    }
}

fn is_name(word: &str) -> bool {
    let mut chars = word.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The variables that code declares, sets and reads.
#[derive(Default)]
struct Variables {
    local: BTreeSet<String>,
    set: BTreeSet<String>,
    read: BTreeSet<String>,
}

impl Variables {
    fn of(code: &str) -> Variables {
        let mut found = Variables::default();
        let name_at = |from: usize| {
            let rest = &code[from..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_string()
        };
        for (at, _) in code.match_indices('$') {
            let from = at + 1 + usize::from(code[at + 1..].starts_with('{'));
            let from = from + usize::from(code[from..].starts_with('#'));
            let name = name_at(from);
            if is_name(&name) {
                found.read.insert(name);
            }
            if code[at..].starts_with("$((") {
                // Up to the first command in it, and behind that.
                let inner = code[at + 3..].split("))").next().unwrap_or_default();
                let parts = inner.split("$(").enumerate();
                let parts = parts.map(|(n, part)| match part.split_once(')') {
                    Some((_, behind)) if n > 0 => behind,
                    None if n > 0 => "",
                    _ => part,
                });
                let inner: String = parts.collect();
                let words = inner.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                found
                    .read
                    .extend(words.filter(|w| is_name(w)).map(String::from));
            }
        }
        for command in code.split(['\n', ';', '|', '&', '(', ')', '{', '}']) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let begins = |word: &&&str| {
                [
                    "do", "else", "elif", "if", "local", "then", "until", "while", "!",
                ]
                .contains(word)
            };
            let command = words.iter().skip_while(begins);
            let sets = command.map_while(|word| word.split_once('=').filter(|(n, _)| is_name(n)));
            found.set.extend(sets.map(|(name, _)| name.to_string()));
            for (place, word) in words.iter().enumerate() {
                let names = words[place + 1..].iter();
                match *word {
                    "local" if place == 0 => {
                        let names = names.map(|w| w.split('=').next().unwrap_or_default());
                        let names = names.filter(|n| is_name(n)).map(String::from);
                        found.local.extend(names);
                    }
                    "for" if words[..place].iter().all(|w| *w == "do") => {
                        found.set.insert(words[place + 1].to_string());
                    }
                    "read" => {
                        let names = names.take_while(|w| **w != "do");
                        let names = names.filter(|n| is_name(n)).map(ToString::to_string);
                        found.set.extend(names);
                    }
                    _ => {}
                }
            }
        }
        // How words are split, which a command gets for itself or a function sets back.
        for found in [&mut found.set, &mut found.read] {
            found.remove("IFS");
        }
        found
    }
}

/// The names in the list of a program's head: lines of `#   NAME…  WHAT`.
fn listed(program: &str) -> BTreeSet<String> {
    let lines = program.lines().take_while(|line| line.starts_with('#'));
    lines
        .skip_while(|line| !line.ends_with("shared:") && !line.starts_with("# Fixed values:"))
        .filter_map(|line| line.strip_prefix("#   ")?.split("  ").next())
        .flat_map(|names| names.split(' '))
        .map(String::from)
        .collect()
}

/// Verified with a `local` removed, and with a name removed from the list.
#[test]
fn every_variable_is_local_or_listed() {
    let own = [LIBRARY, STEPS, DISARM, PURGE, RESTORE, RECOVER, ROLLBACK].concat();
    for (head, program) in [(LIBRARY, &*own), (PROBE_HEAD, PROBE), (INSIDE, INSIDE)] {
        let shared = listed(head);
        assert!(shared.len() > 4, "{shared:?}");
        let functions = Code::of(program).functions();
        assert!(functions.len() > 2);
        let mut wrong = Vec::new();
        let mut used = BTreeSet::new();
        for (name, code) in &functions {
            let Variables { local, set, read } = Variables::of(code);
            for variable in &local {
                if shared.contains(variable) {
                    wrong.push(format!("{name} hides {variable}"));
                }
                if !set.contains(variable) && !read.contains(variable) {
                    wrong.push(format!("{name} does not use {variable}"));
                }
            }
            for variable in set.union(&read) {
                if !local.contains(variable) && !shared.contains(variable) {
                    wrong.push(format!("{name}: {variable} is neither local nor listed"));
                }
            }
            used.extend(set);
            used.extend(read);
        }
        for variable in shared.difference(&used) {
            wrong.push(format!("nobody uses {variable}"));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// A program that has a part of the library has all functions and variables that it comes to. Verified with `lease.sh` left out of a
/// confirmation, and with a variable of `lease.sh` that only the library set.
#[test]
fn no_program_uses_what_it_lacks() {
    let whole = [LIBRARY, STEPS, DISARM, PURGE].concat();
    let known: BTreeMap<String, String> = Code::of(&whole).functions().into_iter().collect();
    for (name, start) in [
        ("disarm", "disarm"),
        ("go-back", "restore_and_wait"),
        ("purge", "print_purged"),
    ] {
        let program = &programs()[name];
        let has: BTreeMap<String, String> = Code::of(program).functions().into_iter().collect();
        let set = Variables::of(&Code::of(program).lines().join("\n")).set;
        let mut reached = BTreeSet::new();
        let mut next = vec![start.to_string()];
        while let Some(function) = next.pop() {
            let code = has.get(&function);
            let code = code.unwrap_or_else(|| panic!("{name} lacks {function}"));
            let Variables { local, read, .. } = Variables::of(code);
            let is_there =
                |variable: &&String| local.contains(*variable) || set.contains(*variable);
            let lacking: Vec<&String> = read.iter().filter(|v| !is_there(v)).collect();
            assert!(lacking.is_empty(), "{name}: {function} reads {lacking:?}");
            let words = code.split(|c: char| c.is_whitespace() || ";|&(){}`!".contains(c));
            let called = words.filter(|word| known.contains_key(*word));
            let new = called.filter(|word| reached.insert(word.to_string()));
            next.extend(new.map(String::from));
        }
        assert!(reached.len() > 5, "{name}: {reached:?}");
    }
}

/// The head of the reading program, which follows the part that it shares with the other programs.
const PROBE_HEAD: &str = include_str!("probe.sh");

/// dash splits the value of a `local` like any other word, and a command's exit code gets lost behind it.
#[test]
fn no_declaration_hides_an_exit_code_or_splits_a_value() {
    for program in [
        LIBRARY, STEPS, DISARM, PURGE, RESTORE, RECOVER, ROLLBACK, PROBE, OUTSIDE, INSIDE,
    ] {
        for line in program.lines() {
            let Some(words) = line.trim_start().strip_prefix("local ") else {
                continue;
            };
            assert!(!words.contains("$("), "{line}");
            assert!(!words.replace("=$?", "").contains("=$"), "{line}");
        }
    }
}

/// bash 4.2, the `sh` of CentOS 7, cannot read `$(case $a in b) …)`. With a parenthesis before the pattern it can, but shfmt removes
/// that; so there is no `case` in a command substitution at all.
fn cases_in_substitutions(program: &str) -> Vec<String> {
    let code = Code::of(program);
    let inside: String = code
        .chars
        .iter()
        .zip(&code.depth)
        .map(|(c, depth)| if *depth > 0 || *c == '\n' { *c } else { ' ' })
        .collect();
    let words = |line: &&str| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .any(|w| w == "case")
    };
    inside.lines().filter(words).map(String::from).collect()
}

#[test]
fn bash_4_2_can_read_every_program() {
    for (name, program) in programs() {
        assert_eq!(cases_in_substitutions(&program), [""; 0], "{name}");
    }
    for found in [
        "x=$(for a; do case $a in *:*) echo 6 ;; *) echo 4 ;; esac; done)",
        "x=\"a $(case a in (a) echo 1 ;; esac)\"",
        "x=$(\n# it's\ncase a in (a) echo 1 ;; esac)",
    ] {
        assert_eq!(cases_in_substitutions(found).len(), 1, "{found}");
    }
    for fine in [
        "case $(a) in b) echo \"$(c \"in case\")\" ;; esac",
        "x=$(a 'case x in')",
    ] {
        assert_eq!(cases_in_substitutions(fine), [""; 0], "{fine}");
    }
}

/// Its text is a shell's word in single quotes, in whatever locale.
#[test]
fn the_python_programs_are_safe_in_their_quotes_and_a_part_of_their_programs() {
    let parts = [
        include_str!("python/look.py"),
        include_str!("python/limits.py"),
        include_str!("python/frame.py"),
        include_str!("python/docker_api.py"),
        include_str!("python/docker.py"),
        include_str!("python/bus.py"),
        include_str!("python/daemons.py"),
    ];
    let query = [
        include_str!("python/query.py"),
        include_str!("python/limits.py"),
        include_str!("python/docker_api.py"),
        include_str!("python/docker_query.py"),
    ];
    let calls = [
        include_str!("python/calls.py"),
        include_str!("python/limits.py"),
        include_str!("python/bus.py"),
        include_str!("python/bus_calls.py"),
    ];
    let function = format!("\" -BEsS -c '\n{}' ", parts.concat());
    assert_eq!(PROBE.matches(&function).count(), 1);
    assert_eq!(PROBE.matches("python_daemons").count(), 2);
    let function = format!("\" -BEsS -c '\n{}' ", query.concat());
    assert_eq!(LIBRARY.matches(&function).count(), 1);
    assert_eq!(LIBRARY.matches("python_docker_query").count(), 2);
    let function = format!("\" -BEsS -c '\n{}' ", calls.concat());
    assert_eq!(LIBRARY.matches(&function).count(), 1);
    assert_eq!(LIBRARY.matches("python_bus_calls").count(), 2);
    for text in parts.into_iter().chain(query).chain(calls) {
        assert!(!text.contains('\'') && text.is_ascii());
    }
    for whole in [parts[0], query[0], calls[0]] {
        assert!(whole.starts_with("# "));
    }
}

#[test]
fn every_awk_program_is_part_of_a_program_and_safe_in_its_quotes() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node/awk"))
        .expect("the programs")
        .flatten()
    {
        let file = entry.file_name().into_string().expect("a name");
        let name = file.strip_suffix(".awk").expect("an awk program");
        let text = fs::read_to_string(entry.path()).expect("a text");
        assert!(
            !text.contains('\''),
            "{file} would end the quotes that it is in"
        );
        assert!(text.starts_with("# "), "{file} does not tell what it does");
        let function = format!("\nawk_{name}() {{\n    awk \"$@\" '\n{text}'\n}}\n");
        let programs: Vec<_> = [LIBRARY, PROBE]
            .into_iter()
            .filter(|program| program.contains(&function))
            .collect();
        assert_eq!(programs.len(), 1, "{file} is part of no program");
        let uses = programs.concat().matches(&format!("awk_{name}")).count();
        // restore/ has two of its own.
        let elsewhere = ["docker_differences", "runtime_values"].contains(&name);
        assert!(uses > 1 || elsewhere, "nobody runs {file}");
        count += 1;
    }
    assert_eq!(count, 22);
}
