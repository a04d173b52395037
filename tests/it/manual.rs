//! The manual names every code that a person or a script can meet.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Texts in quotes that are written like a code: words of small letters and digits with `-` between them.
fn codes(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new("src").join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inner = path.strip_prefix("src").unwrap().to_str().unwrap();
            found.extend(codes(inner));
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let made_up = ["fake.rs", "tests.rs"].map(|end| name.ends_with(end));
        if path.extension().is_none_or(|e| e != "rs") || made_up.contains(&true) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod").next().unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let quoted = line.split('"').skip(1).step_by(2);
            found.extend(quoted.filter(|text| is_code(text)).map(String::from));
        }
    }
    found
}

/// Programs of the node, a protocol, and the words of firewalld.richlanguage(5).
const NOT_CODES: [&str; 11] = [
    "firewall-cmd",
    "docker-proxy",
    "iptables-legacy-save",
    "ipv6-icmp",
    "source-port",
    "forward-port",
    "icmp-block",
    "icmp-type",
    "tcp-mss-clamp",
    "to-port",
    "to-addr",
];

fn is_code(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.contains('-') && text.split('-').all(word) && !NOT_CODES.contains(&text)
}

#[test]
fn every_finding_and_error_is_in_the_manual_with_what_to_do() {
    let manual = fs::read_to_string("docs/manual.md").unwrap();
    let first_cells: Vec<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .collect();
    let named = |code: &str| {
        first_cells
            .iter()
            .any(|cell| format!("`{cell}").contains(&format!("`{code}`")))
    };
    for (room, one) in [
        ("plan", "foreign-accept"),
        ("plan/docker", "address-taken"),
        ("engine", "connection-refused"),
    ] {
        let codes = codes(room);
        assert!(
            codes.contains(one),
            "the codes of {room} were not found: {codes:?}"
        );
        let missing: Vec<&String> = codes.iter().filter(|code| !named(code)).collect();
        assert!(
            missing.is_empty(),
            "docs/manual.md does not name {missing:?}"
        );
    }
}
