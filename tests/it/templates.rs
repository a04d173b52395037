//! docs/templates.md: every example has the value that is written beside it, and every filter, test and method has its example.

use std::fs;

use fwdeploy::inventory::Inventory;
use fwdeploy::role::Templates;

const DOCUMENT: &str = "docs/templates.md";

/// The blocks of the document in a language.
fn blocks<'d>(document: &'d str, language: &str) -> Vec<&'d str> {
    let fence = format!("```{language}\n");
    let parts = document.split(&fence).skip(1);
    parts
        .filter_map(|part| part.split("\n```").next())
        .collect()
}

fn in_inventory(text: &str) -> (tempfile::TempDir, Inventory) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yml");
    fs::write(&path, text).unwrap();
    let inventory = Inventory::load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    (folder, inventory)
}

/// To see it fail: write another value beside an example.
#[test]
fn every_example_of_a_template_has_its_value() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (_folder, inventory) = in_inventory(blocks(&document, "yaml")[0]);
    let templates = Templates::new(&inventory);
    let mut count = 0;
    let mut wrong = Vec::new();
    for line in blocks(&document, "jinja")
        .iter()
        .flat_map(|block| block.lines())
    {
        let (text, expected) = line
            .split_once('→')
            .unwrap_or_else(|| panic!("no value: {line}"));
        let (text, expected) = (text.trim(), expected.trim());
        let agrees = match (
            templates.render("nu1", text),
            expected.strip_prefix("error: "),
        ) {
            (Err(error), Some(message)) => error.message() == message,
            (Ok(value), None) => {
                serde_json::from_str::<serde_json::Value>(expected)
                    .unwrap_or_else(|_| panic!("{line}"))
                    == value
            }
            _ => false,
        };
        if !agrees {
            wrong.push(format!(
                "{text} is not {expected}: {:?}",
                templates.render("nu1", text)
            ));
        }
        count += 1;
    }
    assert!(count > 100, "the examples were not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What each of these texts is for the only node of a small fleet.
fn rendered(text: &str) -> Result<serde_json::Value, String> {
    let (_folder, inventory) =
        in_inventory("all: {vars: {l: [2, 1], s: abc}, hosts: {a: {ansible_host: 192.0.2.1}}}");
    Templates::new(&inventory)
        .render("a", text)
        .map_err(|error| {
            let style = fwdeploy::inventory::error::Style::Plain;
            fwdeploy::inventory::InputErrors::from(error).render(style)
        })
}

/// To see it fail: give `ipaddr('net')` a host.
#[test]
fn every_filter_of_addresses_answers_as_netaddr_does() {
    let cases = fs::read_to_string("tests/parity/addresses").unwrap();
    let (_folder, inventory) = in_inventory("all: {hosts: {a: {ansible_host: 192.0.2.1}}}");
    let templates = Templates::new(&inventory);
    let mut wrong = Vec::new();
    let cases = cases.lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<_> = cases.map(|line| line.split_once(" → ").unwrap()).collect();
    assert!(cases.len() > 60);
    for (text, expected) in cases {
        let rendered = templates.render("a", text);
        let agrees = match &rendered {
            Ok(value) => {
                serde_json::from_str(expected).is_ok_and(|other: serde_json::Value| other == *value)
            }
            Err(_) => expected == "error",
        };
        if !agrees {
            wrong.push(format!("{text} is not {expected}: {rendered:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_unknown_filter_or_test_is_named_where_it_stands() {
    for (text, place, message) in [
        ("{{ l | srot }}", "1:8", "there is no filter `srot`"),
        ("{{ l | map('uper') }}", "1:13", "there is no filter `uper`"),
        (
            "x{{ l | select('od') | list }}",
            "1:17",
            "there is no test `od`",
        ),
        (
            "{{ l | rejectattr('a', 'od') }}",
            "1:25",
            "there is no test `od`",
        ),
        (
            "{{ false and s is mach('a') }}",
            "1:19",
            "there is no test `mach`",
        ),
        (
            "{% if l | frist %}{% endif %}",
            "1:11",
            "there is no filter `frist`",
        ),
        (
            "{{ [s | ansible.builtin.uper] }}",
            "1:9",
            "there is no filter `ansible.builtin.uper`",
        ),
        (
            "{% filter uper %}{% endfilter %}",
            "1:11",
            "there is no filter `uper`",
        ),
        (
            "{{ l | json_query('a') }}",
            "1:8",
            "fwdeploy does not have Ansible's filter `json_query`",
        ),
        (
            "{{ l is failed }}",
            "1:9",
            "fwdeploy does not have Ansible's test `failed`",
        ),
    ] {
        let said = rendered(text).unwrap_err();
        let is_there = said.contains(&format!("template:{place}\n")) && said.contains(message);
        assert!(is_there, "{text}:\n{said}");
        assert!(said.contains("hint:"), "{text} has no hint:\n{said}");
    }
}

#[test]
fn hostile_templates_end() {
    for text in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{{ range(100000) | product(range(100000)) }}",
        "{{ range(30) | list | permutations }}",
        "{{ range(100000) | list | difference(range(100000) | list) | length }}",
        "{{ ('a' * 100000) | regex_search('(a*)*b') }}",
        "{{ ('a' * 40) | regex_search('^(a|a)*$(?!x)(?=b)') }}",
        "{{ 'a' | regex_search('a{1000}{1000}{1000}') }}",
        "{{ 'a'.ljust(100000000000) }}",
        "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}",
        "{{ [[]] * 10000000 }}",
        "{% for i in range(100000) %}{% set x = range(100000) | list | hash %}{% endfor %}",
        "{% set l = range(100000) | list %}{% for i in l %}{% set x = -1 in l %}{% endfor %}",
    ] {
        println!("{text}");
        let began = std::time::Instant::now();
        let _ = rendered(text);
        // A loaded machine takes its time; what does not end takes hours.
        assert!(began.elapsed().as_secs() < 30, "{text}");
    }
}
