//! Texts of ansible-vault itself, from tests/vault, and what was done to them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::inventory::document::Document;
use crate::inventory::document::Path;
use crate::inventory::error::Style;

const DEFAULT: &str = "test password of default";
const PROD: &str = "test password of prod";

/// Passwords by their identities, and a record of what was asked for.
#[derive(Clone)]
struct Known {
    identities: Vec<(&'static str, Result<&'static str, &'static str>)>,
    is_id_matched: bool,
    said: Arc<Mutex<Vec<String>>>,
}

impl Known {
    fn new(identities: &[(&'static str, Result<&'static str, &'static str>)]) -> Self {
        Self {
            identities: identities.to_vec(),
            is_id_matched: false,
            said: Arc::default(),
        }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn say(&self, text: String) {
        self.said.lock().unwrap().push(text);
    }
}

impl SecretSource for Known {
    fn identities(&self) -> Vec<VaultIdentity> {
        let all = self.identities.iter().enumerate();
        all.map(|(number, (label, _))| VaultIdentity {
            label: (*label).to_owned(),
            source: number.to_string(),
        })
        .collect()
    }

    fn password(&self, identity: &VaultIdentity) -> Result<Secret, String> {
        self.say(format!("asked {identity}"));
        let number: usize = identity.source.parse().unwrap();
        let password = self.identities[number].1;
        password.map(Secret::new).map_err(str::to_owned)
    }

    fn is_id_matched(&self) -> bool {
        self.is_id_matched
    }

    fn run(&self, command: &[String]) -> Result<Secret, CommandFailure> {
        self.say(format!("run {}", command.join(" ")));
        match command[0].as_str() {
            "false" => Err(CommandFailure {
                message: "it failed".to_owned(),
                hint: None,
            }),
            _ => Ok(Secret::new(command.join("-"))),
        }
    }

    fn revealed(&self, text: &str) {
        self.say(format!("revealed {text}"));
    }
}

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/vault/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap()
}

fn here(text: &str) -> Location {
    let span = Span {
        start: 0,
        end: text.len(),
    };
    Location::new(Arc::new(Source::file("f", text)), span)
}

fn open(known: &Known, text: &str) -> Result<String, String> {
    let opened = Vault::new(known.clone()).open(text, &here(text));
    opened
        .map(|secret| secret.expose().to_owned())
        .map_err(|error| error.to_string())
}

#[test]
fn what_ansible_vault_writes_is_read() {
    let known = Known::new(&[
        ("default", Ok(DEFAULT)),
        ("prod", Ok(PROD)),
        ("default", Ok("pässwörd 日本")),
    ]);
    let long: String = (1..=2000).map(|number| format!("{number}\n")).collect();
    for (name, plain) in [
        ("value-1.1.txt", "hunter2-of-the-fleet"),
        ("value-1.2-prod.txt", "hunter2-of-prod"),
        ("unicode.txt", "Passwört \"日本\" \\ 🔑"),
        ("line-end.txt", "hunter2-and-line-end\n"),
        ("one-block.txt", "0123456789abcdef"),
        ("template.txt", "{{ 1 + 1 }}"),
        ("long.txt", long.as_str()),
    ] {
        let text = fixture(name);
        assert!(is_encrypted(&text));
        for text in [
            text.clone(),
            text.replace('\n', "\r\n"),
            text.replace('\n', " \t\n"),
            text.trim_end().to_owned(),
            format!("{text}\n\n"),
            text.replace(";AES256", " ; AES256 "),
        ] {
            assert_eq!(open(&known, &text).as_deref(), Ok(plain), "{name}");
        }
    }
}

#[test]
fn each_mistake_is_said_with_what_to_do() {
    let default = ("default", Ok(DEFAULT));
    let (of_default, of_prod) = (fixture("value-1.1.txt"), fixture("value-1.2-prod.txt"));
    let say = |identities: &[_], text: &str| open(&Known::new(identities), text).unwrap_err();
    let cut = "`ansible-vault view` would refuse it too: encrypt it anew, or take it from a backup";
    let lines: Vec<&str> = of_default.lines().collect();
    for (identities, text, expected) in [
        (
            &[][..],
            of_default.clone(),
            "f:1:1: a password is needed for the vault id `default` (give its password with `--vault-password-file FILE`, or let fwdeploy ask for it with `-J`)".to_owned(),
        ),
        (
            &[],
            of_prod.clone(),
            "f:1:1: a password is needed for the vault id `prod` (give its password with `--vault-id prod@FILE` or `--vault-id prod@prompt`)".to_owned(),
        ),
        (
            &[("default", Ok("wrong"))],
            of_default.clone(),
            "f:1:1: the vault password of `default@0` does not open it (give its password with `--vault-password-file FILE`, or let fwdeploy ask for it with `-J`)".to_owned(),
        ),
        (
            &[default, ("dev", Err("`x`: there is no such file"))],
            of_prod.clone(),
            "f:1:1: none of the vault passwords opens it: `default@0`; `x`: there is no such file (give its password with `--vault-id prod@FILE` or `--vault-id prod@prompt`)".to_owned(),
        ),
        (
            &[("prod", Err("`x`: it is empty"))],
            of_prod.clone(),
            "f:1:1: there is no password for the vault id `prod`: `x`: it is empty (give its password with `--vault-id prod@FILE` or `--vault-id prod@prompt`)".to_owned(),
        ),
        (
            &[default],
            "$ANSIBLE_VAULT\n66\n".to_owned(),
            format!("f:1:1: this is not the first line of an encrypted text ({cut})"),
        ),
        (
            &[default],
            of_default.replace("1.1", "1.0"),
            format!("f:1:1: the format `1.0` of ansible-vault is not known ({cut})"),
        ),
        (
            &[default],
            of_default.replace("AES256", "AES"),
            format!("f:1:1: the cipher `AES` is not one of ansible-vault's ({cut})"),
        ),
        (
            &[default],
            format!("{}\n{}\nxy\n", lines[0], lines[1]),
            format!("f:3:1: `x` is no hexadecimal digit ({cut})"),
        ),
        (
            &[default],
            format!("{}\n{}\n6\u{1b}\n", lines[0], lines[1]),
            format!("f:3:2: `\\u{{1b}}` is no hexadecimal digit ({cut})"),
        ),
        (
            &[default],
            format!("{}\n{}\n616\n", lines[0], lines[1]),
            format!("f:3:1: the encrypted text is cut off ({cut})"),
        ),
        (
            &[default],
            format!("{}\n", lines[0]),
            format!("f:1:1: the encrypted text is cut off ({cut})"),
        ),
        (
            &[default],
            lines[..4].join("\n"),
            format!("f:1:1: the encrypted text is damaged or cut off ({cut})"),
        ),
        (
            &[default],
            fixture("binary.txt"),
            "f:1:1: what the value holds is no text in UTF-8".to_owned(),
        ),
    ] {
        let text = text.as_str();
        assert_eq!(say(identities, text), expected, "{text}");
    }
}

/// As YAML has it: indented under its key, where the place is found nevertheless.
#[test]
fn a_damage_is_shown_in_the_file_where_it_is_written() {
    let text = fixture("value-1.1.txt")
        .replacen("\n3", "\nZ", 1)
        .replacen("\n6", "\nZ", 1);
    let indented: String = text.lines().map(|line| format!("      {line}\n")).collect();
    let yaml = format!("a:\n  b: !vault |\n{indented}  c: 1\n");
    let document = Document::parse("group_vars/all.yml", &yaml).unwrap();
    let cursor = document.at(&Path::root().key("a").key("b")).unwrap();
    let Some(SecretValue::Encrypted(value)) = kind_of(cursor.value()) else {
        panic!("not encrypted");
    };
    let known = Known::new(&[("default", Ok(DEFAULT))]);
    let error = Vault::new(known)
        .open(value, &cursor.location())
        .unwrap_err();
    let place = yaml[..yaml.find('Z').unwrap()].lines().count();
    assert!(
        error
            .to_string()
            .starts_with(&format!("group_vars/all.yml:{place}:7: `Z` is no")),
        "{error}"
    );
    assert!(error.render(Style::Plain).contains("ansible-vault view"));
}

#[test]
fn the_password_of_the_values_own_id_is_tried_first_and_each_is_asked_for_once() {
    let known = Known::new(&[
        ("dev", Ok("another one")),
        ("prod", Ok("wrong")),
        ("prod", Ok(PROD)),
        ("default", Ok(DEFAULT)),
    ]);
    let vault = Vault::new(known.clone());
    let (of_prod, of_default) = (fixture("value-1.2-prod.txt"), fixture("value-1.1.txt"));
    for _ in 0..3 {
        vault.open(&of_prod, &here(&of_prod)).unwrap();
    }
    assert_eq!(
        known.said(),
        ["asked prod@1", "asked prod@2", "revealed hunter2-of-prod"]
    );
    vault.open(&of_default, &here(&of_default)).unwrap();
    assert_eq!(
        known.said()[3..],
        ["asked default@3", "revealed hunter2-of-the-fleet"]
    );
    // An id that nobody has a password for: all of them are tried, unless only matching ones may be.
    let strange = of_prod.replace(";prod", ";elsewhere");
    assert!(open(&known, &strange).is_ok());
    let matching = Known {
        is_id_matched: true,
        ..known
    };
    assert!(
        open(&matching, &strange)
            .unwrap_err()
            .contains("`elsewhere`")
    );
    assert!(open(&matching, &of_prod).is_ok());
}

#[test]
fn a_password_may_be_encrypted_with_an_earlier_one() {
    // The value of value-1.1.txt is the password of the second identity.
    let text: &'static str = Box::leak(fixture("value-1.1.txt").into_boxed_str());
    let ordered = Known::new(&[("default", Ok(DEFAULT)), ("inner", Ok(text))]);
    let vault = Vault::new(ordered);
    assert_eq!(vault.password(1).unwrap().expose(), "hunter2-of-the-fleet");
    // Not with a later one, nor with itself.
    let vault = Vault::new(Known::new(&[("inner", Ok(text)), ("default", Ok(DEFAULT))]));
    assert!(vault.password(0).unwrap_err().contains("itself encrypted"));
}

#[test]
fn a_command_is_run_once_for_all_who_ask() {
    let known = Known::new(&[]);
    let vault = Vault::new(known.clone());
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for command in [
        "pass show a",
        "pass show a",
        "pass show b",
        "false",
        "false",
    ] {
        let _ = vault.run(&words(command), &here("x"));
    }
    assert_eq!(
        known.said(),
        [
            "run pass show a",
            "revealed pass-show-a",
            "run pass show b",
            "revealed pass-show-b",
            "run false"
        ]
    );
}

#[test]
fn a_vault_and_what_it_returns_show_nothing() {
    let text = fixture("value-1.1.txt");
    let vault = Vault::new(Known::new(&[("default", Ok(DEFAULT))]));
    let secret = vault.open(&text, &here(&text));
    let shown = format!(
        "{vault:?} {secret:?} {:?}",
        kind_of(&vault_value("hunter2"))
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains(DEFAULT),
        "{shown}"
    );
}

/// The variables of a document, by the secrets that are in them.
fn expanded(yaml: &str) -> Result<BTreeMap<String, bool>, String> {
    use crate::inventory::vars::Layer;
    use crate::inventory::vars::variables;
    let document = Document::parse("f.yml", yaml).map_err(|errors| errors.to_string())?;
    let vars = variables(&document, Layer::Group).map_err(|errors| errors.to_string())?;
    let vars = expand(&vars).map_err(|errors| errors.to_string())?;
    let is_command =
        |var: &crate::inventory::Var| matches!(kind_of(var.value()), Some(SecretValue::Command(_)));
    Ok(vars
        .iter()
        .map(|(name, var)| (name.clone(), is_command(var)))
        .collect())
}

#[test]
fn a_secret_command_stands_for_the_variable_that_it_prints() {
    let yaml = "x: 1\nfwdeploy_secret_command:\n  a: [pass, show, x]\n  b: [gpg, -d, 7]\n";
    let names = ["a", "b", "x"].map(str::to_owned);
    let kinds = [true, true, false];
    assert_eq!(expanded(yaml), Ok(names.into_iter().zip(kinds).collect()));
}

#[test]
fn a_secret_command_is_read_strictly() {
    let hint = "(list the program and its arguments: `[pass, show, fleet/sudo]`; a shell is one too: `[sh, -c, '…']`)";
    let say = |value: &str| expanded(&format!("x: 1\nfwdeploy_secret_command: {value}\n"));
    for (value, expected) in [
        (
            "pass show x",
            "f.yml:2:26: `fwdeploy_secret_command` takes a mapping of variables to commands (write `fwdeploy_secret_command: {ansible_become_password: [pass, show, fleet/sudo]}`)".to_owned(),
        ),
        (
            "{a: pass show x}",
            format!("f.yml:2:30: a command is a list {hint}"),
        ),
        (
            "{a: []}",
            format!("f.yml:2:30: a command has 1 to 64 words {hint}"),
        ),
        (
            "{a: [pass, [x]]}",
            "f.yml:2:37: a word of a command is text".to_owned(),
        ),
        (
            "{a: ['', x]}",
            "f.yml:2:31: this is no word of a command: it is empty, too long, or has a NUL".to_owned(),
        ),
        (
            "{x: [pass]}",
            "f.yml:2:27: `x` has a value and a command here".to_owned(),
        ),
        (
            "{fwdeploy_roles: [pass]}",
            "f.yml:2:27: no command can print `fwdeploy_roles`".to_owned(),
        ),
    ] {
        assert_eq!(say(value), Err(expected), "{value}");
    }
}

#[test]
fn values_saved_by_ansible_inventory_are_encrypted_still() {
    let json = r#"{"a": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n66\n"}, "b": {"__ansible_unsafe": "{{ x }}"}, "c": {"__ansible_vault": "x", "d": 1}}"#;
    let document = Document::parse("saved.json", json).unwrap();
    let value = document.value();
    assert!(
        matches!(kind_of(&value["a"]), Some(SecretValue::Encrypted(text)) if text.starts_with("$ANSIBLE_VAULT;1.1"))
    );
    assert_eq!(kind_of(&value["b"]), None);
    assert!(value["b"].as_str() == Some("{{ x }}") && !value["b"].is_mapping());
    assert!(value["c"].is_mapping());
}

#[test]
fn a_listing_has_values_as_they_were_encrypted_and_no_other_secret() {
    let yaml = "a: !vault x\nb: [1, {c: !vault y}, !unsafe '{{ z }}', null, 1.5]\n";
    let document = Document::parse("f.yml", yaml).unwrap();
    let listing = listed(document.value());
    let expected = serde_json::json!({
        "a": {"__ansible_vault": "x"},
        "b": [1, {"c": {"__ansible_vault": "y"}}, {"__ansible_unsafe": "{{ z }}"}, null, 1.5],
    });
    assert_eq!(listing, expected);
    // Which is read as the same again.
    let saved = Document::parse("saved.json", &listing.to_string()).unwrap();
    assert_eq!(saved.value(), document.value());
    let command = secret_value::command_value(vec![serde_yaml::Value::from("hunter2")]);
    for secret in [opened("hunter2"), command] {
        assert_eq!(listed(&secret), "********");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Verified with the comparison of the HMAC taken out: the flipped ciphertext opens.
    #[test]
    fn a_text_with_a_changed_digit_stays_closed(place in 0usize..340, digit in 0u32..16) {
        let text = fixture("value-1.1.txt");
        let start = text.find('\n').unwrap() + 1;
        let mut bytes = text.clone().into_bytes();
        let place = start + place % (bytes.len() - start);
        let new = char::from_digit(digit, 16).unwrap() as u8;
        prop_assume!(bytes[place] != b'\n' && bytes[place] != new);
        // A small letter becomes a capital, which means the same in hexadecimal.
        prop_assume!((bytes[place], new) != (b'6', b'4'));
        bytes[place] = new;
        let changed = String::from_utf8(bytes).unwrap();
        let known = Known::new(&[("default", Ok(DEFAULT))]);
        prop_assert!(open(&known, &changed).is_err(), "{changed}");
    }

    #[test]
    fn no_text_breaks_the_reader(rest in "[0-9a-fA-Z;\\r\\n é]{0,300}", cut in 0usize..420) {
        let known = Known::new(&[("default", Ok(DEFAULT))]);
        let _ = open(&known, &format!("$ANSIBLE_VAULT{rest}"));
        let _ = open(&known, &format!("$ANSIBLE_VAULT;1.1;AES256\n{rest}"));
        let text = fixture("value-1.1.txt");
        let cut = &text[..cut.min(text.len() - 2)];
        prop_assert!(open(&known, cut).is_err());
    }
}
