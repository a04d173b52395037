//! `examples/` with the published schemas: what a cluster or a forge would refuse is refused here.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::venv::python;

/// What checks them: the schemas of GitHub and GitLab, those of Kubernetes, and a parser of HCL.
const PACKAGES: [(&str, &str); 3] = [
    ("check-jsonschema", "0.39.0"),
    ("kubernetes-validate", "1.37.0"),
    ("python-hcl2", "8.1.4"),
];

/// Whether a file is one of its kind, and what was said of it.
fn check(kind: &str, file: &Path) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/examples.py");
    let out = Command::new(python("examples", &PACKAGES))
        .arg(script)
        .arg(kind)
        .arg(file)
        .output()
        .expect("python starts");
    let text = [&out.stdout[..], &out.stderr].concat();
    (
        out.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn every_example_is_what_the_published_schema_describes() {
    for (kind, file, misspelt) in [
        (
            "kubernetes",
            "kubernetes/fwdeploy.yaml",
            ("backoffLimitPerIndex", "backofLimitPerIndex"),
        ),
        (
            "kubernetes",
            "kubernetes/report.yaml",
            ("restartPolicy: Never", "restartPolicy: 7"),
        ),
        ("github", "github/fwdeploy.yml", ("fail-fast", "fail-fastt")),
        (
            "gitlab",
            "gitlab/gitlab-ci.yml",
            ("when: always", "when: allways"),
        ),
        (
            "hcl",
            "nomad/fwdeploy.nomad.hcl",
            ("count = var.shards", "count = = var.shards"),
        ),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples")
            .join(file);
        let (is_right, said) = check(kind, &path);
        assert!(is_right, "{file}: {said}");
        // The check finds a mistake.
        let text = fs::read_to_string(&path).expect("an example");
        let folder = tempfile::tempdir().expect("a folder");
        let wrong = folder.path().join(path.file_name().expect("a name"));
        assert!(text.contains(misspelt.0), "{file}");
        fs::write(&wrong, text.replace(misspelt.0, misspelt.1)).expect("a file");
        let (is_right, _) = check(kind, &wrong);
        assert!(!is_right, "{file}: `{}` was taken", misspelt.1);
    }
}

/// What Nomad demands of a batch job, of which no schema is published.
#[test]
fn the_job_for_nomad_has_what_a_batch_job_needs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nomad/fwdeploy.nomad.hcl");
    let (is_right, said) = check("hcl", &path);
    assert!(is_right, "{said}");
    let document: Value = serde_json::from_str(said.trim()).expect("JSON");
    // The parser keeps the quotes of labels and texts.
    let inner = |value: &Value, key: &str| {
        let value = value.get(0).unwrap_or(value);
        let quoted = format!("\"{key}\"");
        let found = value.get(key).or_else(|| value.get(&quoted));
        found
            .unwrap_or_else(|| panic!("no {key} in {value}"))
            .clone()
    };
    let job = inner(&inner(&document, "job"), "fwdeploy");
    assert_eq!(inner(&job, "type"), "\"batch\"");
    let group = inner(&inner(&job, "group"), "shard");
    assert_eq!(inner(&group, "count"), "${var.shards}");
    assert_eq!(inner(&inner(&group, "restart"), "attempts"), 0);
    assert_eq!(inner(&inner(&group, "reschedule"), "attempts"), 0);
    let task = inner(&inner(&group, "task"), "fwdeploy");
    assert_eq!(inner(&task, "driver"), "\"docker\"");
    let written: Vec<Value> = task["template"]
        .as_array()
        .expect("templates")
        .iter()
        .map(|t| t["destination"].clone())
        .collect();
    let config = inner(&task, "config").to_string();
    for destination in &written {
        let name = destination
            .as_str()
            .expect("a text")
            .trim_matches('"')
            .rsplit('/')
            .next()
            .expect("a name")
            .to_string();
        assert!(
            config.contains(&format!("$NOMAD_SECRETS_DIR/{name}")),
            "{name} is used by nobody"
        );
    }
    assert_eq!(written.len(), 3);
}
