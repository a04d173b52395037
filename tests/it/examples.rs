//! `examples/`: the commands of each example, run once for each shard as the program around them would run them. Between them they have every shard once,
//! and the program takes what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use serde::Deserialize as _;
use serde_yaml::Value;
use tempfile::TempDir;

use fwdeploy::cli::definition;
use fwdeploy::inventory::Shard;

use crate::support::files::below;
use crate::support::program::Place;
use crate::support::program::fleet;
use crate::support::program::listener;
use crate::support::program::ran;

/// A directory with programs of a test's own, which come first on PATH.
struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        Programs(TempDir::new().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A program of that text.
    fn add(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path().join(name);
        fs::write(&path, text).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    }

    fn search(&self) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let own = cargo_bin("fwdeploy");
        let own = own.parent().expect("a folder").display();
        format!("{}:{own}:{path}", self.path().display())
    }
}

/// A program in the place of fwdeploy that writes down its arguments, one a line.
const RECORDS: &str = "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done >>\"$RECORD\"\n";

/// Runs a piece of shell, and returns the arguments of the fwdeploy in it.
fn arguments(script: &str, variables: &[(&str, String)]) -> Vec<String> {
    let programs = Programs::new();
    programs.add("fwdeploy", RECORDS);
    let record = programs.path().join("record");
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-euc", script])
        .current_dir(programs.path())
        .env_clear()
        .env("PATH", programs.search())
        .env("RECORD", &record)
        .envs(variables.iter().map(|(name, value)| (*name, value)));
    let ran = ran(&mut shell);
    assert_eq!(ran.code, 0, "{script}\n{}", ran.stderr);
    let words = fs::read_to_string(record).expect("fwdeploy was called");
    words.lines().map(str::to_string).collect()
}

/// The values of an option, after the program has taken the arguments.
fn value(arguments: &[String], option: &str) -> String {
    let words = [&["fwdeploy".to_string()], arguments].concat();
    let taken = definition().try_get_matches_from(&words);
    assert!(taken.is_ok(), "{words:?}: {}", taken.unwrap_err());
    let at = words.iter().position(|word| word == option);
    let at = at.unwrap_or_else(|| panic!("{words:?} has no {option}"));
    words[at + 1].clone()
}

/// Checks that these command lines share a fleet, and write their reports as JSON.
fn assert_is_every_shard(lines: &[Vec<String>]) {
    let shards: BTreeSet<String> = lines
        .iter()
        .map(|line| {
            assert!(line.contains(&"--json".to_string()), "{line:?}");
            let shard = value(line, "--shard");
            Shard::parse(&shard).expect("a shard").to_string()
        })
        .collect();
    let count = lines.len();
    let all = (1..=count).map(|number| format!("{number}/{count}"));
    assert_eq!(shards, all.collect());
}

fn example(path: &str) -> String {
    fs::read_to_string(Path::new("examples").join(path)).expect("an example")
}

fn documents(path: &str) -> Vec<Value> {
    let text = example(path);
    let documents = serde_yaml::Deserializer::from_str(&text);
    let documents = documents.map(|document| Value::deserialize(document).expect("YAML"));
    documents.collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_string()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// What is expected is as many reports as there are shards.
fn assert_expects(line: &[String], shards: usize) {
    assert_eq!(line[..2], ["report", "merge"], "{line:?}");
    assert_eq!(value(line, "--expect"), shards.to_string());
}

#[test]
fn the_indexes_of_a_kubernetes_job_are_all_shards() {
    let job = &documents("kubernetes/fwdeploy.yaml")[1];
    let spec = &job["spec"];
    assert_eq!(job["kind"], "Job");
    assert_eq!(spec["completionMode"], "Indexed");
    let pod = &spec["template"]["spec"];
    // What the API server demands of a Job with backoffLimitPerIndex.
    assert_eq!(pod["restartPolicy"], "Never");
    assert!(number(&spec["maxFailedIndexes"]) <= number(&spec["completions"]));
    let container = &pod["containers"][0];
    let rule = &spec["podFailurePolicy"]["rules"][0]["onExitCodes"];
    assert_eq!(rule["containerName"], container["name"]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    // Every mount has its volume.
    let names = |of: &Value| -> BTreeSet<String> {
        of.as_sequence()
            .expect("a list")
            .iter()
            .map(|one| text(&one["name"]))
            .collect()
    };
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));

    let completions = number(&spec["completions"]);
    let command = container["command"].as_sequence().expect("a command");
    assert_eq!(
        command.iter().map(text).collect::<Vec<_>>(),
        ["/bin/sh", "-euc"]
    );
    let script = text(&container["args"][0]);
    let reports = TempDir::new().expect("a folder");
    let lines: Vec<Vec<String>> = (0..completions)
        .map(|index| {
            let mut variables = vec![("JOB_COMPLETION_INDEX", index.to_string())];
            for one in container["env"].as_sequence().expect("variables") {
                let name = one["name"].as_str().expect("a name");
                match (name, one["value"].as_str()) {
                    ("REPORTS", _) => variables.push((name, reports.path().display().to_string())),
                    (name, Some(value)) => variables.push((name, value.to_string())),
                    (_, None) => {}
                }
            }
            arguments(&script, &variables)
        })
        .collect();
    assert_is_every_shard(&lines);
    assert_eq!(below(reports.path(), "json").len() as u64, completions);

    let report = &documents("kubernetes/report.yaml")[0];
    let container = &report["spec"]["template"]["spec"]["containers"][0];
    let words = container["args"].as_sequence().expect("arguments");
    let words: Vec<String> = words.iter().map(text).collect();
    assert_eq!(words[0], "fwdeploy");
    assert_expects(&words[1..], completions as usize);
}

/// The script around both Jobs, with a kubectl that says what a cluster would.
#[test]
fn the_exit_code_of_a_kubernetes_run_is_the_fleets() {
    let programs = Programs::new();
    programs.add(
        "kubectl",
        "#!/bin/sh
printf '%s\\n' \"$*\" >>\"$RECORD\"
case \"$*\" in
'get job '*conditions*)
    count=$(grep -c \"get job $3 .*conditions\" \"$RECORD\")
    [ \"$count\" -lt 3 ] || case $3 in fwdeploy) echo 'FailureTarget Failed' ;; *) echo 'SuccessCriteriaMet Complete' ;; esac ;;
*metadata.uid*) echo 1c6bd1c5-aaaa ;;
'apply -f -') cat >\"$RECORD.report\" ;;
logs*) echo '2 nodes: 1 ok, 1 unreachable (3 s)' ;;
*exitCode*) echo 4 ;;
esac
",
    );
    let record = programs.path().join("record");
    let mut script = Command::new("examples/kubernetes/run.sh");
    script
        .env("PATH", programs.search())
        .env("RECORD", &record)
        .env("PAUSE", "0.01");
    let ran = ran(&mut script);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stdout.contains("1 unreachable"), "{}", ran.stdout);
    let report = fs::read_to_string(programs.path().join("record.report")).expect("a Job");
    let report: Value = serde_yaml::from_str(&report).expect("YAML");
    let mount = &report["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["subPath"], "1c6bd1c5-aaaa");
}

/// The text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before}"))
        .1;
    rest.split_once(after)
        .unwrap_or_else(|| panic!("no {after}"))
        .0
}

#[test]
fn the_allocations_of_a_nomad_job_are_all_shards() {
    let job = example("nomad/fwdeploy.nomad.hcl");
    let count: usize = between(&job, "default = ", "\n").parse().expect("a number");
    assert!(job.contains("count = var.shards") && job.contains("SHARDS = \"${var.shards}\""));
    let script = between(&job, "\"-euc\",\n", ",\n");
    let script: String = serde_json::from_str(script.trim()).expect("a text");
    let lines: Vec<Vec<String>> = (0..count)
        .map(|index| {
            let variables = [
                ("NOMAD_ALLOC_INDEX", index.to_string()),
                ("NOMAD_SECRETS_DIR", "/secrets".to_string()),
                ("SHARDS", count.to_string()),
            ];
            arguments(&script, &variables)
        })
        .collect();
    assert_is_every_shard(&lines);
}

/// The script that merges, with a nomad that says what a cluster would: of an index that was placed twice the later report counts, and what an earlier
/// version of the job has left does not.
#[test]
fn the_reports_of_nomads_allocations_are_merged() {
    let place = Place::with(&fleet("    \"n[1:6]\":\n", listener().1));
    for number in 1..=2 {
        let shard = format!("{number}/2");
        let ran = place.run(&["run", "inventory.yml", "--json", "--shard", &shard]);
        place.file(&format!("id{number}"), &ran.stdout);
    }
    place.file("old", "cut");
    let programs = Programs::new();
    programs.add(
        "nomad",
        "#!/bin/sh
case \"$*\" in
'job inspect'*) echo 7 ;;
'job allocs'*) printf '%s\\n' '7 12 complete id1 fwdeploy.shard[0]' '6 20 complete old fwdeploy.shard[1]' '7 11 failed old fwdeploy.shard[0]' \"7 13 ${STATUS:-failed} id2 fwdeploy.shard[1]\" ;;
'alloc logs'*) cat \"$3\" ;;
esac
",
    );
    let script = fs::canonicalize("examples/nomad/collect.sh").expect("the script");
    let collect = |shards: &str, status: &str| {
        let mut script = Command::new(&script);
        script
            .arg(shards)
            .current_dir(place.0.path())
            .env("PATH", programs.search())
            .env("STATUS", status);
        ran(&mut script)
    };
    let merged = collect("2", "failed");
    assert_eq!(merged.code, 4, "{}", merged.stderr);
    assert!(
        merged.stdout.contains("6 nodes: 6 unreachable"),
        "{}",
        merged.stdout
    );
    assert_eq!(collect("3", "failed").code, 1);
    let running = collect("2", "running");
    assert!(
        running.stderr.contains("fwdeploy.shard[1] is running"),
        "{}",
        running.stderr
    );
    assert_eq!(running.code, 1);
}

#[test]
fn the_matrix_of_a_github_workflow_is_all_shards() {
    let workflow = &documents("github/fwdeploy.yml")[0];
    let job = &workflow["jobs"]["shard"];
    let matrix = job["strategy"]["matrix"]["shard"]
        .as_sequence()
        .expect("a list");
    assert_eq!(job["strategy"]["fail-fast"], false);
    let steps = job["steps"].as_sequence().expect("steps");
    let step = steps
        .iter()
        .find(|step| step["name"] == "Run")
        .expect("the step");
    assert_eq!(step["env"]["SHARD"], "${{ matrix.shard }}");
    assert_eq!(step["env"]["SHARDS"], "${{ strategy.job-total }}");
    let script = text(&step["run"]);
    let lines: Vec<Vec<String>> = matrix
        .iter()
        .map(|shard| {
            let variables = [
                ("SHARD", number(shard).to_string()),
                ("SHARDS", matrix.len().to_string()),
                ("PRIVATE_KEY", "a key".to_string()),
                ("RUNNER_TEMP", ".".to_string()),
            ];
            arguments(&script, &variables)
        })
        .collect();
    assert_is_every_shard(&lines);
    let report = &workflow["jobs"]["report"];
    assert_eq!(report["needs"], "shard");
    let steps = report["steps"].as_sequence().expect("steps");
    let merge = text(&steps.last().expect("a step")["run"]);
    assert_expects(&arguments(&merge, &[]), matrix.len());
}

#[test]
fn the_jobs_of_a_gitlab_pipeline_are_all_shards() {
    let pipeline = &documents("gitlab/gitlab-ci.yml")[0];
    let job = &pipeline["shard"];
    let script = |job: &Value| -> String {
        let lines = job["script"].as_sequence().expect("a script").iter();
        lines.map(text).collect::<Vec<_>>().join("\n")
    };
    let count = number(&job["parallel"]);
    let lines: Vec<Vec<String>> = (1..=count)
        .map(|index| {
            let variables = [
                ("CI_NODE_INDEX", index.to_string()),
                ("CI_NODE_TOTAL", count.to_string()),
                ("FWDEPLOY_PRIVATE_KEY", "/key".to_string()),
            ];
            arguments(&script(job), &variables)
        })
        .collect();
    assert_is_every_shard(&lines);
    assert_eq!(pipeline["report"]["when"], "always");
    assert_expects(
        &arguments(&script(&pipeline["report"]), &[]),
        count as usize,
    );
}

/// Whether a program is there; where nothing may be missing, it has to be.
fn is_there(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", program])
        .status();
    let is_there = found.is_ok_and(|status| status.success());
    assert!(
        is_there || std::env::var("CI").is_err(),
        "{program} is not installed: make setup"
    );
    if !is_there {
        eprintln!("skipped: {program} is not installed");
    }
    is_there
}

/// To see it fail: leave out `-q`, or the removal of older reports.
#[test]
fn gnu_parallel_runs_all_shards() {
    if !is_there("parallel") {
        return;
    }
    let place = Place::with(&fleet("    \"n[1:12]\":\n", listener().1));
    let script = fs::canonicalize("examples/parallel/run.sh").expect("the script");
    let programs = Programs::new();
    let run = |shards: &str, arguments: &[&str]| {
        let mut script = Command::new(&script);
        script
            .args([shards, "reports of today"])
            .args(arguments)
            .current_dir(place.0.path())
            .env("PATH", programs.search())
            .env("HOME", place.0.path())
            .env_remove("SSH_AUTH_SOCK");
        ran(&mut script)
    };
    let whole = place.run(&["run", "inventory.yml", "--check"]);
    for shards in ["5", "3"] {
        let merged = run(
            shards,
            &[
                "run",
                "inventory.yml",
                "--check",
                "-e",
                r#"{"note": "$HOME * '"}"#,
            ],
        );
        assert_eq!(merged.code, whole.code, "{}", merged.stderr);
        let recap = |text: &str| {
            let recap = text.split_once("RECAP\n").expect("a recap").1;
            recap.rsplit_once(" (").expect("a time").0.to_string()
        };
        assert_eq!(recap(&merged.stdout), recap(&whole.stdout));
    }
    // No shard is started, and that is no success.
    let wrong = run("2", &["run", "inventory.yml", "-l", "nobody"]);
    assert_eq!(wrong.code, 1, "{}{}", wrong.stdout, wrong.stderr);
}

/// The shell of the examples and of the packages.
fn scripts() -> Vec<PathBuf> {
    let mut scripts = below("examples", "sh");
    scripts.push("packaging/systemd/fwdeploy-pull".into());
    scripts
}

#[test]
fn the_scripts_are_posix_shell_in_which_nothing_is_wrong() {
    for script in scripts() {
        for shell in ["dash", "bash", "busybox"] {
            let mut command = Command::new(shell);
            if shell == "busybox" {
                command.arg("sh");
            }
            let Ok(read) = command.arg("-n").arg(&script).output() else {
                continue;
            };
            assert!(read.status.success(), "{shell}: {script:?}: {read:?}");
        }
        if is_there("shellcheck") {
            let said = ran(Command::new("shellcheck").args(["-s", "sh"]).arg(&script));
            assert_eq!(said.code, 0, "{}", said.stdout);
        }
        if is_there("shfmt") {
            let said = ran(Command::new("shfmt")
                .args(["-ln", "posix", "-i", "4", "-d"])
                .arg(&script));
            assert_eq!(said.code, 0, "{}", said.stdout);
        }
    }
}
