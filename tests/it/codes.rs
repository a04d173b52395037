//! Codes are values of their enums: no source decides by their spelling, and no finding has a severity that its code does not have.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use fwdeploy::engine::FailureCode;
use fwdeploy::engine::NotBegunCode;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::Severity;
use proc_macro2::Delimiter;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;

use crate::support::files::below;

/// The same words with another meaning: a word of rich rules and of roles, sudo as a program, the end of a wait, how a lease stands, a count.
const OTHER_WORDS: [(&str, &str); 11] = [
    ("src/cli/configuration.rs", "sudo"),
    ("src/inventory/connection.rs", "sudo"),
    ("src/plan/rich_match.rs", "audit"),
    ("src/probe/rich_file.rs", "audit"),
    ("src/report/merge/document.rs", "audit"),
    ("src/report/merge/document.rs", "unfinished"),
    ("src/report/status/lines.rs", "unfinished"),
    ("src/report/unread.rs", "unreadable"),
    ("src/role/schema.rs", "audit"),
    ("src/transport/script_protocol/mod.rs", "sudo"),
    ("src/transport/ssh/step.rs", "stopped"),
];

/// The sources of the program, without those of tests.
fn sources() -> impl Iterator<Item = PathBuf> {
    let is_test = |part: &OsStr| {
        let name = Path::new(part)
            .file_stem()
            .expect("a name")
            .to_string_lossy();
        name.ends_with("tests") || name == "fake"
    };
    let sources = below("src", "rs").into_iter();
    sources.filter(move |path| !path.iter().any(is_test))
}

/// The tokens of a source in groups: the file, and what stands in each pair of brackets. Items of tests are left out.
fn groups(tokens: TokenStream, into: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut group = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(inner) = &tokens[at] {
            let text = inner.to_string().replace(' ', "");
            let attribute = inner.delimiter() == Delimiter::Bracket && text == "[cfg(test)]";
            if attribute {
                let end = |token: &TokenTree| match token {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    TokenTree::Punct(punct) => punct.as_char() == ';',
                    _ => false,
                };
                let rest = tokens[at + 1..].iter().position(end);
                at += 2 + rest.unwrap_or(0);
                continue;
            }
            groups(inner.stream(), into);
        }
        group.push(tokens[at].to_string());
        at += 1;
    }
    into.push(group);
}

/// The groups of each source, without the enums themselves.
fn read() -> Vec<(String, Vec<Vec<String>>)> {
    let sources = sources().filter(|path| !path.ends_with("code.rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable source");
        let mut all = Vec::new();
        groups(text.parse().expect("Rust can be read"), &mut all);
        (path.display().to_string(), all)
    };
    sources.map(read).collect()
}

/// Tried with `finding.code.as_str() == "leased"` in `src/engine/run.rs`.
#[test]
fn no_source_spells_a_code() {
    let codes: Vec<&str> = FindingCode::ALL
        .iter()
        .map(|code| code.as_str())
        .chain(FailureCode::ALL.iter().map(|code| code.as_str()))
        .chain(NotBegunCode::ALL.iter().map(|code| code.as_str()))
        .collect();
    let mut wrong = Vec::new();
    let mut others = 0;
    for (path, groups) in read() {
        for word in groups.iter().flatten() {
            let Some(word) = word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) else {
                continue;
            };
            if OTHER_WORDS.contains(&(&*path, word)) {
                others += 1;
            } else if codes.contains(&word) {
                wrong.push(format!("{path}: \"{word}\""));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(others >= OTHER_WORDS.len(), "the sources were not read");
}

/// The name of a code of a finding at the beginning of these tokens.
fn code(tokens: &[String]) -> Option<FindingCode> {
    let [name, colon, again, code, comma, ..] = tokens else {
        return None;
    };
    let is = [name, colon, again, comma].map(String::as_str) == ["FindingCode", ":", ":", ","];
    let mut codes = FindingCode::ALL.iter().filter(|_| is);
    codes.find(|c| format!("{c:?}") == *code).copied()
}

/// The severity at the beginning of these tokens, and what stands after it.
fn severity(tokens: &[String]) -> Option<(Severity, &[String])> {
    let [name, _, _, severity, _, rest @ ..] = tokens else {
        return None;
    };
    let all = [
        Severity::Note,
        Severity::Warning,
        Severity::NotEnforced,
        Severity::Refuse,
    ];
    let mut all = all.into_iter().filter(|_| name == "Severity");
    let severity = all.find(|s| format!("{s:?}") == *severity)?;
    Some((severity, rest))
}

/// Every call that begins with a code, or with a severity and a code. Tried with `FindingCode::Relay` without a severity in
/// `src/plan/docker/beside.rs`, and with `Severity::Note` for `PendingPermanent` in `src/plan/reload.rs`.
#[test]
fn every_finding_is_made_with_a_severity_that_its_code_has() {
    let mut wrong = Vec::new();
    let (mut fixed, mut given) = (0, 0);
    for (path, groups) in read() {
        for group in &groups {
            if let Some(code) = code(group) {
                fixed += 1;
                if code.severity().is_none() {
                    wrong.push(format!("{path}: {code:?} has several severities"));
                }
            } else if let Some((severity, rest)) = severity(group)
                && let Some(code) = code(rest)
            {
                given += 1;
                if !code.severities().any(|s| s == severity) {
                    wrong.push(format!("{path}: {code:?} is never {severity:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(fixed > 50 && given > 5, "{fixed} and {given} were found");
}
