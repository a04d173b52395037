//! `fwdeploy report merge`: the reports of machines that share a fleet, as one.

use std::process::Stdio;

use serde_json::Value;

use crate::support::program::Place;
use crate::support::program::Ran;
use crate::support::program::fleet;
use crate::support::program::listener;
use crate::support::program::ran;

/// Nine nodes that nobody reaches, one of them without a role.
fn nine() -> Place {
    let port = listener().1;
    Place::with(&fleet(
        "    \"n[1:8]\":\n    plain: {fwdeploy_roles: []}\n",
        port,
    ))
}

const SHARDS: usize = 4;

/// Runs a command on each shard, side by side as several machines do, and keeps what it prints in `reports/`.
fn reports(place: &Place, command: &[&str]) {
    std::fs::create_dir_all(place.0.path().join("reports")).expect("a folder");
    let report = |number: usize| {
        let shard = format!("{number}/{SHARDS}");
        let arguments = [command, &["inventory.yml", "--shard", &shard]].concat();
        let ran = place.run(&arguments);
        assert!(!ran.stdout.is_empty(), "{arguments:?}: {}", ran.stderr);
        place.file(&format!("reports/shard-{number}.json"), &ran.stdout);
    };
    std::thread::scope(|scope| {
        for number in 1..=SHARDS {
            let report = &report;
            scope.spawn(move || report(number));
        }
    });
}

/// The document without what differs from run to run, its nodes by name.
fn steady(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).expect("one JSON document");
    let fields = document.as_object_mut().expect("a document");
    fields.shift_remove("reports");
    if let Some(summary) = fields.get_mut("summary") {
        summary["seconds"] = Value::Null;
    }
    let nodes = fields["nodes"].as_array_mut().expect("nodes");
    for node in nodes
        .iter_mut()
        .filter(|node| node.get("seconds").is_some())
    {
        node["seconds"] = Value::Null;
    }
    nodes.sort_by_key(|node| node["node"].as_str().map(str::to_string));
    // One whole has none where it has none.
    for empty in ["warnings", "errors"] {
        if fields.get(empty) == Some(&Value::Array(Vec::new())) {
            fields.shift_remove(empty);
        }
    }
    document
}

/// The recap, without the time.
fn recap(text: &str) -> String {
    let recap = text.split("RECAP\n").nth(1).expect("a recap");
    recap.rsplit_once(" (").expect("a time").0.to_string()
}

/// To see it fail: leave a report out, or take the code of the first.
#[test]
fn the_shards_of_a_fleet_make_the_report_of_the_whole() {
    let place = nine();
    for command in [
        &["run", "--json"][..],
        &["run", "--check", "--json"],
        &["rollback", "--json"],
        &["rollback", "--check", "--json"],
        &["drill", "--json"],
        &["remove", "-l", "all", "--json"],
        &["remove", "--check", "-l", "all", "--json"],
        &["status", "--json"],
        &["peers", "--json"],
        &["facts"],
        &["render", "--format", "json"],
    ] {
        reports(&place, command);
        let whole = place.run(&[command, &["inventory.yml"]].concat());
        let expect = SHARDS.to_string();
        let merged = place.run(&["report", "merge", "reports", "--json", "--expect", &expect]);
        assert_eq!(merged.code, whole.code, "{command:?}: {}", merged.stderr);
        assert_eq!(steady(&merged.stdout), steady(&whole.stdout), "{command:?}");
        let text = place.run(&["report", "merge", "reports"]);
        assert_eq!(text.code, whole.code, "{command:?}");
        if command[0] != "facts" && command.contains(&"--json") {
            let plain: Vec<&str> = command.iter().copied().filter(|w| *w != "--json").collect();
            let whole = place.run(&[&plain[..], &["inventory.yml"]].concat());
            match whole.stdout.contains("RECAP\n") {
                true => assert_eq!(recap(&text.stdout), recap(&whole.stdout), "{command:?}"),
                false => {
                    let last = |text: &str| {
                        text.lines()
                            .last()
                            .map(|l| l.split(" (").next().map(str::to_string))
                    };
                    assert_eq!(last(&text.stdout), last(&whole.stdout), "{command:?}");
                }
            }
        }
    }
}

#[test]
fn a_report_that_is_missing_is_an_error() {
    let place = nine();
    reports(&place, &["run", "--json"]);
    let merge = |arguments: &[&str]| place.run(&[&["report", "merge"], arguments].concat());
    assert_eq!(merge(&["reports", "--expect", "4"]).code, 4);
    std::fs::remove_file(place.0.path().join("reports/shard-2.json")).expect("removed");
    let three = merge(&["reports", "--expect", "4"]);
    assert_eq!((three.code, three.stdout.as_str()), (1, ""));
    assert!(
        three
            .stderr
            .starts_with("error: there are 3 reports, and 4 are expected\n"),
        "{}",
        three.stderr
    );
    // Those that were merged before count as many as they were.
    let document = merge(&["reports", "--json"]).stdout;
    place.file("three.json", &document);
    let again = merge(&["three.json", "--expect", "3"]);
    assert_eq!(again.code, 4, "{}", again.stderr);
    let gone = merge(&["reports/shard-2.json"]);
    assert_eq!(gone.code, 1);
    assert!(
        gone.stderr.contains(
            "cannot be read: No such file or directory (os error 2)\n--> reports/shard-2.json"
        ),
        "{}",
        gone.stderr
    );
}

#[test]
fn a_mistake_names_its_file_line_and_column() {
    let place = nine();
    reports(&place, &["run", "--json"]);
    let report = |number: usize| {
        let path = place.0.path().join(format!("reports/shard-{number}.json"));
        std::fs::read_to_string(path).expect("a report")
    };
    place.file("empty.json", "");
    // Where it is cut must not depend on how long it took.
    let text = report(1);
    let (cut, _) = text.split_once("\"summary\"").expect("a summary");
    place.file("cut.json", cut);
    place.file("text.json", "RECAP\nn1 : ok=7\n");
    place.file(
        "new.json",
        &report(1).replace("\"version\": 2", "\"version\": 3"),
    );
    place.file(
        "evil\u{1b}[2J.json",
        "{\"version\": 2, \"command\": \"\u{202e}run\"}",
    );
    std::fs::write(
        place.0.path().join("bytes.json"),
        b"{\n  \"version\": 2,\n  \"command\": \"\xff\"}",
    )
    .expect("a file");
    std::fs::create_dir(place.0.path().join("nothing")).expect("a folder");
    let said = |ran: Ran| {
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
        ran.stderr
    };
    let mut told = String::new();
    for files in [
        &["empty.json"][..],
        &["cut.json", "text.json", "new.json"],
        &["evil\u{1b}[2J.json"],
        &["bytes.json", "nothing"],
        &["reports", "reports/shard-1.json", "reports/shard-3.json"],
        &[],
    ] {
        let shown: Vec<String> = files
            .iter()
            .map(|file| file.escape_debug().to_string())
            .collect();
        let ran = place.run(&[&["report", "merge"], files].concat());
        told.push_str(&format!("$ {}\n{}", shown.join(" "), said(ran)));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_pipe_is_read_too() {
    let place = nine();
    let mut merge = place.command(&["report", "merge", "-", "--json"]);
    let document = place
        .run(&["render", "inventory.yml", "--format", "json"])
        .stdout;
    place.file("report.json", &document);
    let file = std::fs::File::open(place.0.path().join("report.json")).expect("a file");
    let merged = ran(merge.stdin(Stdio::from(file)));
    assert_eq!(merged.code, 0, "{}", merged.stderr);
    assert_eq!(steady(&merged.stdout), steady(&document));
}
