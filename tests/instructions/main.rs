//! How many instructions the core executes, counted by valgrind (callgrind): a time would measure the machine, and this runs everywhere.
//!
//! Each piece of work is counted at two sizes. The larger one may not take more instructions than its share, whichever compiler has
//! made the program; and with the compiler of `recorded`, both may not take more than was recorded there.

mod work;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use crate::work::WORK;
use crate::work::Work;

/// Work of n times the size may take n times the instructions, and this part of them more: lists of names are sorted.
const TOLERATED_GROWTH: f64 = 1.2;

/// How much of a recorded count may be added, or be left out without being recorded anew.
const TOLERANCE: f64 = 0.1;

/// Set in the process that valgrind watches.
const WATCHED: &str = "FWDEPLOY_COUNTED";

/// Set to have the counts recorded.
const RECORD: &str = "RECORD_INSTRUCTIONS";

/// Where the counts are recorded.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/instructions/recorded");

/// Everything that is counted is done in here, and nothing else.
#[inline(never)]
fn work_that_is_counted(work: &mut dyn FnMut()) {
    work();
}

/// The instructions of each piece of work, smaller and larger, in the order of [`WORK`].
fn count() -> Vec<(u64, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("count");
    // `--dump-after` takes a whole name only.
    let within = format!("{}::work_that_is_counted", module_path!());
    let run = callgrind(&out)
        .arg("--collect-atstart=no")
        .args([
            format!("--toggle-collect={within}"),
            format!("--dump-after={within}"),
        ])
        .arg(env::current_exe().unwrap())
        .args(["--exact", NAME, "--test-threads=1"])
        .env(WATCHED, "1")
        .output()
        .unwrap_or_else(not_there);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    // A file for each time that the function is left, and one for the rest.
    let total = |number: usize| -> u64 {
        let file = folder.path().join(format!("count.{number}"));
        let text = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}\n{said}", file.display()));
        let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
        line.expect("a total").trim().parse().expect("a number")
    };
    let counts = (0..WORK.len()).map(|at| (total(2 * at + 1), total(2 * at + 2)));
    counts.collect()
}

fn callgrind(out: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind");
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command
}

fn not_there(error: io::Error) -> Output {
    panic!("valgrind cannot be run, which tests/setup installs: {error}")
}

/// The instructions that a file of callgrind's tells.
fn total(file: &Path) -> u64 {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    line.expect("a total").trim().parse().expect("a number")
}

/// What the counts depend on besides the sources.
fn compiler() -> String {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc");
    let version = String::from_utf8(version.stdout).expect("text");
    let field = |name: &str| {
        let mut lines = version.lines();
        lines
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .to_string()
    };
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    format!("rustc {} {} {profile}", field("release: "), field("host: "))
}

/// The recorded counts: of which compiler, and of each piece of work.
fn recorded() -> (String, BTreeMap<String, (u64, u64)>) {
    let text = fs::read_to_string(RECORDED).unwrap_or_default();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let compiler = lines.next().unwrap_or_default().to_string();
    let counts = lines.filter_map(|line| {
        let (name, counts) = line.split_once(": ")?;
        let (few, many) = counts.split_once(' ')?;
        Some((name.to_string(), (few.parse().ok()?, many.parse().ok()?)))
    });
    (compiler, counts.collect())
}

fn record(counts: &[(u64, u64)]) {
    let mut text = "# Instructions of each piece of work of tests/instructions/work.rs at its two sizes, by callgrind, with this compiler and profile.\n\
                    # `RECORD_INSTRUCTIONS=1 cargo test --test instructions` writes it.\n"
        .to_string();
    writeln!(text, "{}", compiler()).unwrap();
    for (Work { name, .. }, (few, many)) in WORK.iter().zip(counts) {
        writeln!(text, "{name}: {few} {many}").unwrap();
    }
    fs::write(RECORDED, text).unwrap();
}

/// The name of the test, which runs itself under valgrind.
const NAME: &str = "the_core_executes_no_more_instructions_than_recorded_and_is_linear";

/// To see it fail: change a recorded count by a fifth, or the larger size of a piece of work to that of the smaller one times twenty.
#[test]
fn the_core_executes_no_more_instructions_than_recorded_and_is_linear() {
    if env::var_os(WATCHED).is_some() {
        for Work {
            few, many, prepare, ..
        } in WORK
        {
            for size in [few, many] {
                let mut work = prepare(size);
                work_that_is_counted(&mut work);
            }
        }
        return;
    }
    assert!(Path::new(RECORDED).is_file() || env::var_os(RECORD).is_some());
    let counts = count();
    let (of, recorded) = recorded();
    let is_comparable = of == compiler();
    let mut wrong = Vec::new();
    for (
        Work {
            name, few, many, ..
        },
        (of_few, of_many),
    ) in WORK.iter().zip(&counts)
    {
        let times = *of_many as f64 / *of_few as f64;
        println!("{name}: {of_few} for {few}, {of_many} for {many} ({times:.1} times)");
        let most = *many as f64 / *few as f64 * TOLERATED_GROWTH;
        if times > most {
            wrong.push(format!(
                "{name}: {many} take {times:.1} times the instructions of {few}, and {most:.1} times are tolerated"
            ));
        }
        let Some((before_few, before_many)) = recorded.get(*name).filter(|_| is_comparable) else {
            continue;
        };
        for (size, count, before) in [(few, of_few, before_few), (many, of_many, before_many)] {
            let change = *count as f64 / *before as f64 - 1.0;
            if change.abs() > TOLERANCE {
                wrong.push(format!(
                    "{name}: {size} take {count} instructions, and {before} were recorded ({:+.0} %)",
                    change * 100.0
                ));
            }
        }
    }
    if env::var_os(RECORD).is_some() {
        record(&counts);
    } else if !is_comparable {
        println!(
            "the counts are not compared with those of {RECORDED}, because the compiler is another one: `{}`, and `{of}` there. {RECORD}=1 records them anew.",
            compiler()
        );
    } else {
        let missing = WORK.iter().filter(|work| !recorded.contains_key(work.name));
        wrong.extend(missing.map(|work| format!("{}: nothing was recorded", work.name)));
    }
    assert!(
        wrong.is_empty(),
        "\n{}\n(if that is meant: {RECORD}=1 records the counts anew)",
        wrong.join("\n")
    );
}

/// Ten milliseconds are some thirty million instructions of a processor of 2015, and an optimised program takes fewer than this one.
#[test]
fn the_program_starts_within_ten_milliseconds() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("count");
    let program = env!("CARGO_BIN_EXE_fwdeploy");
    let run = callgrind(&out).args([program, "--help"]).output();
    assert!(run.unwrap_or_else(not_there).status.success());
    let count = total(&out);
    assert!(count < 30_000_000, "{count}");
}
