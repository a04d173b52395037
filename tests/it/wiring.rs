//! Every file of tests is compiled: a forgotten one would pass by never being run.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// What is in a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn is_rust(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("rs"))
}

/// Whether Rust files are in a folder, or in folders below it.
fn has_rust(folder: &Path) -> bool {
    entries(folder)
        .iter()
        .any(|path| is_rust(path) || path.is_dir() && has_rust(path))
}

/// The modules that a file declares as files of their own.
fn declared(source: &str) -> BTreeSet<&str> {
    source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter_map(|line| {
            let (before, name) = line.rsplit_once("mod ")?;
            (before.is_empty() || before.starts_with("pub")).then_some(name)
        })
        .collect()
}

/// Adds the files below a directory of modules that are not modules of its parent file.
fn forgotten(folder: &Path, found: &mut Vec<PathBuf>) {
    let roots = ["main.rs", "mod.rs"].map(|name| folder.join(name));
    let beside = folder.with_extension("rs");
    let Some(root) = roots.iter().chain([&beside]).find(|path| path.is_file()) else {
        found.push(folder.to_path_buf());
        return;
    };
    let source = fs::read_to_string(root).expect("a source");
    let declared = declared(&source);
    for path in entries(folder) {
        let is_module = is_rust(&path) || path.is_dir() && has_rust(&path);
        if path == *root || !is_module {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy();
        if !declared.contains(&*name) {
            found.push(path.clone());
        }
        if path.is_dir() {
            forgotten(&path, found);
        }
    }
}

#[test]
fn every_file_is_in_a_program_of_tests() {
    let manifest = fs::read_to_string("Cargo.toml").expect("the manifest");
    let mut found = Vec::new();
    let mut mains = String::new();
    let mut shared = Vec::new();
    for path in entries(Path::new("tests")) {
        if is_rust(&path) {
            // With `autotests = false` cargo does not look for those.
            found.push(path);
        } else if path.is_dir() && has_rust(&path) {
            let main = path.join("main.rs");
            match fs::read_to_string(&main) {
                Ok(source) if manifest.contains(&format!("path = {main:?}")) => mains += &source,
                Ok(_) => found.push(main),
                Err(_) => shared.push(path.clone()),
            }
            forgotten(&path, &mut found);
        }
    }
    // A folder that is no program is a part of some.
    found.extend(shared.into_iter().filter(|folder| {
        let name = folder.file_name().expect("a name").to_string_lossy();
        !mains.contains(&format!("#[path = \"../{name}/mod.rs\"]"))
    }));
    assert!(
        found.is_empty(),
        "in no program of tests, see tests/it/main.rs: {found:?}"
    );
}

#[test]
fn a_forgotten_file_is_found() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    };
    file("main.rs", "mod one;\npub(crate) mod three;\n// mod two;\n");
    file("one.rs", "");
    let two = file("two.rs", "");
    file("three/mod.rs", "");
    let four = file("three/four.rs", "");
    file("three/data.txt", "");
    let mut found = Vec::new();
    forgotten(folder.path(), &mut found);
    found.sort();
    assert_eq!(found, [four, two]);
}
