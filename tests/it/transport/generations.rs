//! The table of SSH cases with the sshd of each Debian release that the lab has the root of (tests/lab).

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::transport::sshd::Machine;
use crate::transport::table::each_case_holds_on;

/// The root of a release; the newest, where an older recipe has left one.
fn root(suite: &str) -> PathBuf {
    let cache = env::var_os("FWDEPLOY_LAB_CACHE").filter(|it| !it.is_empty());
    let cache = cache.map_or_else(|| PathBuf::from("/var/cache/fwdeploy-lab"), PathBuf::from);
    let folders = fs::read_dir(cache.join("roots"))
        .into_iter()
        .flatten()
        .flatten();
    let ours = folders.filter(|it| {
        let name = it.file_name().to_string_lossy().into_owned();
        name.starts_with(&format!("{suite}-")) && it.path().join("usr/sbin/sshd").exists()
    });
    let newest = ours.max_by_key(|it| it.metadata().unwrap().modified().unwrap());
    newest
        .unwrap_or_else(|| panic!("`tests/lab/lab build {suite}` makes the root that is missing"))
        .path()
}

fn each_case_holds(suite: &str, is_expected: impl Fn((u32, u32)) -> bool) {
    let machine = Machine::at(&root(suite));
    let version = machine.version();
    assert!(is_expected(version), "{suite} has sshd {version:?}");
    each_case_holds_on(machine);
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn each_case_holds_with_openssh_8_4() {
    each_case_holds("bullseye", |version| version == (8, 4));
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn each_case_holds_with_openssh_9_2() {
    each_case_holds("bookworm", |version| version == (9, 2));
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn each_case_holds_with_openssh_10_0() {
    each_case_holds("trixie", |version| version == (10, 0));
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn each_case_holds_with_the_newest_openssh() {
    each_case_holds("forky", |version| version >= (10, 1));
}
