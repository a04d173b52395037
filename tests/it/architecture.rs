//! Which room may use which: the table of docs/architecture.md, checked against every source file.

mod uses;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::LazyLock;

use uses::Module;
use uses::Uses;

use crate::support::files::below;

/// Which rooms a room may use, from the document's table.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string("docs/architecture.md").expect("the document is there");
    let mut rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| from"))
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim().trim_matches('|').split('|');
            cells.map(|c| c.trim().to_string()).collect::<Vec<_>>()
        });
    let columns = rows.next().expect("the table has a head");
    let mut table = BTreeMap::new();
    for row in rows.filter(|row| !row[0].starts_with('-')) {
        let may: BTreeSet<String> = if row[1] == "everything" {
            columns[1..].iter().cloned().collect()
        } else {
            let marked = row.iter().zip(&columns).skip(1);
            let marked = marked.filter(|(cell, _)| matches!(cell.as_str(), "✓" | "·"));
            marked.map(|(_, column)| column.clone()).collect()
        };
        table.insert(row[0].clone(), may);
    }
    // The first column has no row: it uses nothing.
    table.entry(columns[1].clone()).or_default();
    table
}

/// A source file with the place of its module: `src/engine/run.rs` is `["engine", "run"]`.
struct Source {
    path: PathBuf,
    module: Vec<String>,
    text: String,
}

impl Source {
    fn all() -> Vec<Source> {
        let read = |path: PathBuf| {
            let inside = path.strip_prefix("src").expect("a source of ours");
            let names = inside.with_extension("");
            let mut module: Vec<String> = names
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect();
            module.pop_if(|last| last == "mod");
            Source {
                text: fs::read_to_string(&path).expect("a readable source"),
                path,
                module,
            }
        };
        let all: Vec<Source> = below("src", "rs").into_iter().map(read).collect();
        assert!(all.len() > 50, "the sources were not found");
        all
    }

    fn room(&self) -> &str {
        &self.module[0]
    }

    /// Lines with their numbers, without comments; links in them are no use.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = (1..).zip(self.text.lines());
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The same, up to the tests.
    fn lines_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self
            .module
            .iter()
            .any(|m| m.ends_with("tests") || m == "fake");
        self.lines()
            .take_while(move |(_, line)| !is_test && line.trim() != "#[cfg(test)]")
    }
}

/// What is named after each `crate::` and after enough `super::` to leave the room.
fn named(line: &str, depth: usize) -> Vec<String> {
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_string()
    };
    let mut found: Vec<String> = line
        .match_indices("crate::")
        .map(|(at, path)| word(&line[at + path.len()..]))
        .collect();
    let out = "super::".repeat(depth);
    found.extend(
        line.match_indices(&out)
            .map(|(at, path)| word(line[at + path.len()..].trim_start_matches("super::"))),
    );
    found
}

/// The name of a type that other rooms can use, if the line defines one.
fn public_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let kinds = ["struct ", "enum ", "trait ", "type "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// One name means one thing in all rooms. To see it fail: give a public type the name of another room's.
#[test]
fn no_public_type_has_the_name_of_another() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in Source::all() {
        for (number, line) in source.lines_without_tests() {
            if let Some(name) = public_type(line) {
                let place = format!("{}:{number}", source.path.display());
                places.entry(name.to_string()).or_default().push(place);
            }
        }
    }
    assert!(places.len() > 200, "the types were not found");
    let twice: Vec<_> = places.iter().filter(|(_, at)| at.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

#[test]
fn no_room_uses_what_the_table_does_not_allow() {
    let table = table();
    let rooms: BTreeSet<&String> = table.keys().collect();
    let mut wrong = Vec::new();
    for source in Source::all() {
        let room = source.room();
        if ["lib", "main"].contains(&room) {
            continue;
        }
        let may = table
            .get(room)
            .unwrap_or_else(|| panic!("{} is in no room of the table", source.path.display()));
        for (number, line) in source.lines() {
            let place = format!("{}:{number}", source.path.display());
            if line.contains("crate::{") {
                wrong.push(format!("{place}: one `use` a line"));
            }
            for used in named(line, source.module.len()) {
                if rooms.contains(&used) && used != room && !may.contains(&used) {
                    wrong.push(format!("{place}: `{room}` may not use `{used}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_core_has_no_clock_no_file_no_thread_and_no_chance() {
    const NOT: [&str; 10] = [
        "std::fs",
        "std::time",
        "std::thread",
        "std::env",
        "std::process",
        "std::io",
        "HashMap",
        "HashSet",
        "SystemTime",
        "rand",
    ];
    let mut wrong = Vec::new();
    for source in Source::all() {
        if !["model", "policy", "probe", "plan", "node"].contains(&source.room()) {
            continue;
        }
        for (number, line) in source.lines_without_tests() {
            for word in NOT {
                let words = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                if words
                    .clone()
                    .any(|w| w == word || w.starts_with(&format!("{word}::")))
                {
                    wrong.push(format!("{}:{number}: {word}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The place of a file's module, as `engine/session/read`.
fn module(path: &str) -> Module {
    path.split('/').map(String::from).collect()
}

/// Which module uses which in the sources, read once.
static USES: LazyLock<Uses> = LazyLock::new(|| {
    let sources = Source::all();
    let inside = sources
        .iter()
        .filter(|source| !["lib", "main"].contains(&source.room()));
    Uses::of(inside.map(|source| (source.module.clone(), source.text.as_str())))
});

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circles = USES.circles().into_iter();
    let told: Vec<String> = circles
        .map(|circle| {
            let files: Vec<String> = circle.iter().map(|module| module.join("/")).collect();
            files.join(" → ")
        })
        .collect();
    assert!(told.is_empty(), "\n{}", told.join("\n"));
}

#[test]
fn what_only_reads_a_node_uses_no_file_that_changes_one() {
    let uses = &*USES;
    let changing = [
        "engine/confirm",
        "engine/scripts/write",
        "engine/session/write",
        "engine/transaction",
    ]
    .map(module);
    let by_run = uses.reached_from(&module("engine/run"));
    assert!(changing.iter().all(|file| by_run.contains(file)));
    for reading in ["engine/check", "engine/facts"].map(module) {
        let reached = uses.reached_from(&reading);
        let wrong: Vec<&Module> = changing.iter().filter(|f| reached.contains(*f)).collect();
        assert!(wrong.is_empty(), "{reading:?} reaches {wrong:?}");
        // A run's context contains the transport: code that gets it could connect by itself and run any script.
        assert!(reached.contains(&module("engine/session/read")));
        let by_itself = uses.by(&reading);
        assert!(!by_itself.contains(&module("engine/context")));
        assert!(!by_itself.iter().any(|file| file[0] == "transport"));
    }
    let by_the_choice = uses.by(&module("engine/snapshot_select"));
    assert!(!by_the_choice.contains(&module("engine/context")));
}

/// What the files of a small room `r` use.
fn uses_in(files: &[(&str, &str)]) -> Uses {
    let files = files.iter();
    Uses::of(files.map(|(path, text)| (module(path), *text)))
}

#[test]
fn a_use_of_a_file_is_seen_however_it_is_written() {
    for text in [
        "use crate::r::b::B;",
        "use super::b::B;",
        "use super::B;",
        "use crate::r::B as C;",
        "use crate::r::{b::B};",
        "use crate::r::b; fn f() { b::g() }",
        "fn f() { crate::r::b::g() }",
        "fn f() { super::b::g::<u8>(|x| x) }",
        "fn f() -> Vec<super::B> { vec![] }",
        "fn f() { println!(\"{}\", crate::r::B::new()) }",
        "use crate::r; fn f() { r::B::new() }",
        "mod c; use self::c::B;",
    ] {
        let uses = uses_in(&[
            ("r", "mod a; mod b; pub use b::B;"),
            ("r/a", text),
            ("r/a/c", "pub use crate::r::b::B;"),
            ("r/b", "pub struct B; pub fn g() {}"),
        ]);
        assert!(uses.by(&module("r/a")).contains(&module("r/b")), "{text}");
    }
}

#[test]
fn what_is_no_use_of_a_file_is_not_taken_for_one() {
    for text in [
        "// crate::r::b::g()\nfn f() { \"crate::r::b\"; }",
        "#[cfg(test)] mod tests { use crate::r::b::B; }",
        "#[cfg(test)] use crate::r::b::B; fn f() {}",
        "pub use crate::r::b::B;",
        "use std::b::B; fn f(x: X) { x.b(); ::b::g(); }",
        "use crate::r::b;",
    ] {
        let uses = uses_in(&[
            ("r", "mod a; mod b; #[cfg(test)] mod tests;"),
            ("r/a", text),
            ("r/b", "pub struct B;"),
            (
                "r/tests",
                "use crate::r::a; use crate::r::b::B; fn f() { a::f() }",
            ),
        ]);
        assert!(uses.by(&module("r/a")).is_empty(), "{text}");
    }
    // A name that is re-exported and occurs in code is used.
    let uses = uses_in(&[
        ("r", "mod b; pub use b::B; fn f(b: B) {}"),
        ("r/b", "pub struct B;"),
    ]);
    assert!(uses.by(&module("r")).contains(&module("r/b")));
}

#[test]
fn a_circle_is_found_once_by_its_shortest_way() {
    let uses = uses_in(&[
        ("r", "mod a; mod b; mod c; mod d;"),
        ("r/a", "use super::b::B; use super::d::D;"),
        ("r/b", "use super::c::C;"),
        ("r/c", "use super::a::A; use super::b::B;"),
        ("r/d", "pub struct D;"),
    ]);
    let circles = uses.circles();
    assert_eq!(circles, [["r/b", "r/c", "r/b"].map(module)]);
}

/// The documents that speak of files here.
fn documents() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "tests/lab/README.md"]
        .map(PathBuf::from)
        .into();
    all.extend(below("docs", "md"));
    all.sort();
    all
}

/// The targets of a document's links, but for those into the Internet.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.contains("://"))
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a readable document");
        let beside = document.parent().expect("a document stands in a folder");
        let links = links(&text).filter(|link| !link.starts_with('#'));
        let links = links.filter_map(|link| link.split('#').next());
        let ours = ["src/", "tests/", "docs/"];
        let quoted = text.split('`').skip(1).step_by(2);
        let quoted = quoted.filter(|word| ours.iter().any(|folder| word.starts_with(folder)));
        let quoted = quoted.filter(|word| !word.contains([' ', '*', '…']));
        let named = links
            .map(|link| beside.join(link))
            .chain(quoted.map(PathBuf::from));
        missing.extend(
            named
                .filter(|path| !path.exists())
                .map(|path| format!("{} names {}", document.display(), path.display())),
        );
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

/// The anchors of a document's headings, made as GitHub makes them: lower case, `-` for blanks, no other punctuation.
fn anchors(document: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(document).expect("a readable document");
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_heading_that_a_link_names_is_there() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a readable document");
        let beside = document.parent().expect("a document stands in a folder");
        for (file, heading) in links(&text).filter_map(|link| link.split_once('#')) {
            seen += 1;
            let named = if file.is_empty() {
                document.clone()
            } else {
                beside.join(file)
            };
            if !anchors(&named).contains(heading) {
                missing.push(format!("{} names {file}#{heading}", document.display()));
            }
        }
    }
    assert!(seen > 5, "the links to headings were not found");
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn every_decision_is_in_the_index() {
    let index = fs::read_to_string("docs/decisions/README.md").expect("the index is there");
    for document in documents() {
        let name = document.file_name().expect("a file").to_string_lossy();
        if document.starts_with("docs/decisions") && name != "README.md" {
            assert!(
                index.contains(&format!("({name})")),
                "{name} is not in the index"
            );
        }
    }
}

#[test]
fn a_use_is_seen_however_it_is_written() {
    assert_eq!(named("use crate::role::Roles;", 2), ["role"]);
    assert_eq!(named("let x: crate::role::Roles = f();", 2), ["role"]);
    assert_eq!(named("use super::super::role::Roles;", 2), ["role"]);
    assert_eq!(
        named("use super::scripts::ReadScripts;", 2),
        Vec::<String>::new()
    );
}
