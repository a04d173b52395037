use proptest::prelude::*;

use super::*;
use crate::inventory::error::Style;

fn parse(text: &str) -> Document {
    Document::parse("x.yml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> String {
    Document::parse("x.yml", text)
        .expect_err("a mistake")
        .to_string()
}

fn place(text: &str, path: &Path) -> String {
    parse(text).span(path).expect("a place").to_string()
}

/// Every value of the document, by its path.
fn paths(value: &Value, path: &Path, found: &mut Vec<Path>) {
    found.push(path.clone());
    match value {
        Value::Sequence(values) => {
            for (index, value) in values.iter().enumerate() {
                paths(value, &path.clone().index(index), found);
            }
        }
        Value::Mapping(values) => {
            for (key, value) in values {
                paths(
                    value,
                    &path.clone().key(key.as_str().expect("keys are text")),
                    found,
                );
            }
        }
        _ => {}
    }
}

#[test]
fn every_value_has_its_own_place() {
    let text = "a:\n  b: [1, {c: x}]\n  d:\né: |\n  block\n";
    assert_eq!(
        place(text, &Path::root().key("a").key("b").index(1).key("c")),
        "2:14"
    );
    assert_eq!(place(text, &Path::root().key("é")), "5:3");
    assert_eq!(
        place(text, &Path::root().key("a").key("d")),
        "3:3",
        "the key of a value that was left out"
    );
    let document = parse(text);
    assert_eq!(
        document
            .key_location(&Path::root().key("a").key("b"))
            .unwrap()
            .to_string(),
        "x.yml:2:3"
    );
}

#[test]
fn a_place_inside_of_an_alias_is_where_the_value_is_written() {
    let text = "x: &peers\n  - 192.0.2.1\n  - bad\ny: *peers\n";
    assert_eq!(place(text, &Path::root().key("y").index(1)), "3:5");
    assert_eq!(place(text, &Path::root().key("y")), "4:4");
}

#[test]
fn merge_keys_give_way_to_what_is_written_out() {
    let text = "one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\nx:\n  a: 0\n  <<: [*one, *two]\n";
    let document = parse(text);
    let x = document.at(&Path::root().key("x")).unwrap();
    let values: Vec<_> = x
        .entries()
        .unwrap()
        .into_iter()
        .map(|(key, cursor)| (key, cursor.value().as_u64()))
        .collect();
    assert_eq!(values, [("b", Some(1)), ("c", Some(2)), ("a", Some(0))]);
    assert_eq!(x.get("c").unwrap().location().to_string(), "x.yml:2:21");
}

#[test]
fn an_unsafe_string_keeps_its_tag() {
    let document = parse("x: !unsafe '{{ y }}'\n");
    let x = document.at(&Path::root().key("x")).unwrap();
    assert!(matches!(x.value(), Value::Tagged(tagged) if tagged.tag == "!unsafe"));
    assert_eq!(x.as_str(), Some("{{ y }}"));
}

#[test]
fn no_text_within_an_unsafe_list_is_a_template() {
    let document = parse("x: !unsafe [a, {b: '{{ c }}', n: 1}]\ny: d\n");
    let x = document.at(&Path::root().key("x")).unwrap();
    let tag = |value: &Value| matches!(value, Value::Tagged(tagged) if tagged.tag == "!unsafe");
    assert!(tag(&x.value()[0]) && tag(&x.value()[1]["b"]));
    assert_eq!(x.value()[1]["n"], Value::from(1u64));
    assert_eq!(document.value()["y"], Value::from("d"));
}

#[test]
fn a_place_within_brackets_is_where_the_user_wrote_it() {
    let text = "é:\n  b: [\n  \"ö\", x,\n\"y\"]\nc: z\n";
    assert!(saphyr_parser::Parser::new_from_str(text).any(|event| event.is_err()));
    assert_eq!(place(text, &Path::root().key("é").key("b").index(0)), "3:3");
    assert_eq!(place(text, &Path::root().key("é").key("b").index(1)), "3:8");
    assert_eq!(place(text, &Path::root().key("é").key("b").index(2)), "4:1");
    assert_eq!(place(text, &Path::root().key("c")), "5:4");
    // Where more is wrong, the message is about the text as it is.
    assert!(errors("a: [\n'x']\nb: c: d\n").starts_with("x.yml:2:1:"));
}

#[test]
fn an_empty_text_is_nothing() {
    for text in ["", "\u{feff}", "# comment\n", "---\n"] {
        assert!(parse(text).value().is_null(), "{text:?}");
    }
    assert_eq!(parse("\u{feff}a: 1").value()["a"], Value::from(1u64));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases = [
        "a: 1\nb: 2\na: 3\n",
        "1: a\n'1': b\n",
        "a: !vault |\n  66\nb: !custom x\nc: !!int x\nd: !custom [a]\n",
        "? [a, b]\n: c\n",
        "a: {{ x }}\n",
        "a: 1\n---\nb: 2\n",
        "a:\n\tb: 1\n",
        "a: b: c\n",
        "a: *nothing\n",
        "a: &a [*a]\n",
        "a: @x\n",
        "a: 'x\n",
        "a: [1, 2\nb: 3\n",
        "a: \u{1b}[31m\n",
        "a: b\0\n",
        "<<: 1\n",
        "a: {x: 1}\n<<: {y: 1}\n<<: {z: 1}\n",
        ": x\n",
        "$ANSIBLE_VAULT;1.1;AES256\n6263: : \n",
        "- a\nb: c\n",
    ];
    let all: Vec<_> = cases
        .iter()
        .map(|text| format!("{text:?}\n{}\n", errors(text)))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_mistake_is_underlined_with_its_context() {
    let text = "all:\n  hosts:\n    web1:\n    web2: {port: 1}\n    web1: {ansible_become_password: hunter2}\n";
    let errors = Document::parse("inventory.yml", text).expect_err("a mistake");
    insta::assert_snapshot!(errors.render(Style::Plain));
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let errors = Document::from_bytes("x.yml", b"a: 1\nb: \xff\n").expect_err("a mistake");
    insta::assert_snapshot!(errors.render(Style::Plain));
}

#[test]
fn a_text_cannot_ask_for_more_than_it_is_worth() {
    let deep = "[".repeat(100_000);
    let nested = |levels: usize| {
        (0..levels)
            .map(|level| format!("a{level}: &a{level} [*a{}]\n", level.max(1) - 1))
            .skip(1)
    };
    let chain: String = std::iter::once("a0: &a0 [x]\n".to_owned())
        .chain(nested(200))
        .collect();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let wide = "- x\n".repeat(500_001);
    let long = "#".repeat(MAX_FILE_BYTES as usize + 1);
    let all: Vec<_> = [&deep, &chain, &bomb, &wide, &long]
        .map(|text| errors(text))
        .into();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn debug_shows_no_value() {
    let document = parse("ansible_become_password: hunter2\n");
    assert!(!format!("{document:?} {:?}", document.root()).contains("hunter2"));
}

/// Texts that are nearly YAML, where mistakes are likelier than in noise.
fn yamlish() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b: ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "!unsafe ",
        "!!str ",
        "'",
        "\"",
        "|\n",
        ">-\n",
        "é",
        "# c",
        "---\n",
        "...\n",
        "? ",
        "\t",
        "{{ x }}",
        "1.5",
        "0x1f",
        "null",
        "%YAML 1.2\n",
        "\r\n",
        "\u{2028}",
        "\u{feff}",
        "!vault ",
        "~",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Values that YAML can write down.
fn values() -> impl Strategy<Value = serde_json::Value> {
    let text = "[ -~é日\n]{0,12}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        text.prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map(text, inner, 0..5)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn parses_or_explains(text: &str) -> Result<(), TestCaseError> {
    match Document::parse("x.yml", text) {
        Ok(document) => {
            let mut found = Vec::new();
            paths(document.value(), &Path::root(), &mut found);
            for path in found {
                prop_assert!(document.span(&path).is_some(), "no place for {path}");
            }
        }
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            errors.render(Style::Plain);
            errors.render(Style::Colored);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        parses_or_explains(&text)?;
    }

    #[test]
    fn no_text_that_is_nearly_yaml_makes_it_panic(text in yamlish()) {
        parses_or_explains(&text)?;
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(errors) = Document::from_bytes("x.yml", &bytes) {
            errors.render(Style::Plain);
        }
    }

    #[test]
    fn json_is_read_as_it_is(value in values()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let document = parse(&text);
        prop_assert_eq!(serde_json::to_value(document.value()).unwrap(), value);
    }

    #[test]
    fn quoted_yaml_is_read_as_serde_yaml_reads_it(value in values()) {
        let text = serde_yaml::to_string(&value).unwrap();
        let theirs: Result<Value, _> = serde_yaml::from_str(&text);
        let Ok(theirs) = theirs else { return Ok(()) };
        // serde_yaml writes the text `<<` without quotes, and reads it back as a text. In a key it is a merge.
        if text.contains("<<") {
            return Ok(());
        }
        let ours = parse(&text);
        // YAML 1.1's booleans are written without quotes by serde_yaml and are no text here.
        let odd = ["yes", "no", "on", "off", "0o", "0x", "e", "E"];
        if !odd.iter().any(|word| text.to_lowercase().contains(word)) {
            prop_assert_eq!(ours.value(), &theirs);
        }
    }
}
