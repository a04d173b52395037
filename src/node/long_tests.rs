//! Configurations of thousands of rules: no shell ends at their length, and no command line has to hold them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::node::apply::plan;
use crate::node::shell::LIBRARY;
use crate::node::shell::shells;
use crate::plan::Action;

const DBUS_CALL: &str = include_str!("python/dbus_call.py");

/// A permanent direct configuration with so many rules.
fn direct(rules: u32) -> Direct {
    let rule = |number: u32| DirectRule {
        family: Some(Family::V4),
        table: "filter".to_string(),
        chain: "DOCKER-USER".to_string(),
        priority: 200,
        args: [
            "-s",
            &format!("198.18.{}.{}/32", number / 256, number % 256),
            "-m",
            "comment",
            "--comment",
            "it's \u{fc}, \"*\"",
            "-j",
            "ACCEPT",
        ]
        .map(String::from)
        .to_vec()
        .into(),
    };
    Direct {
        chains: vec![DirectChain::ours(Family::V4)],
        rules: (0..rules).map(rule).collect(),
        passthroughs: vec![Passthrough::new("ipv4", vec![String::new()])],
    }
}

fn setting(rules: u32) -> String {
    plan(&[Action::SetPermanentDirect {
        before: Direct::default(),
        after: direct(rules),
    }])
}

/// The programs with these functions in place of their own, in a shell.
fn run(shell: &[&str], folder: &Path, script: &str) -> Output {
    let file = folder.join("script.sh");
    fs::write(&file, format!("{LIBRARY}\n{script}\n")).expect("a script");
    let mut command = Command::new(shell[0]);
    let output = command.args(&shell[1..]).arg(&file).output();
    output.expect("a shell")
}

/// As words of a command in a function 5,000 peers ended dash by signal 11: it copies a function with one call for each word.
#[test]
fn no_shell_ends_at_the_length_of_a_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    // What a step of firewalld's is called with; busctl itself is not.
    let script = "step() { shift; \"$@\"; }\nread_direct() { answer=$4; }\n\
        set_direct() { update_direct \"$2\"; }\nfind_python() { python=none; }\n\
        busctl() { echo \"busctl $# $5 $6 $7\"; }\npython_dbus_call() { echo \"python $# $1 $5 $6 $(wc -c)\"; }\n";
    for shell in shells() {
        for (rules, wanted) in [
            (
                100,
                "busctl 1318 org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1/config org.fedoraproject.FirewallD1.config.direct",
            ),
            (
                20_000,
                "python 6 org.fedoraproject.FirewallD1 (a(sss)a(sssias)a(sas)) 60 ",
            ),
        ] {
            let text = format!("{script}{}\nplan\nprintf %s \"$answer\"", setting(rules));
            let output = run(shell, folder.path(), &text);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{shell:?} {rules}: {output:?}");
            assert!(said.starts_with(wanted), "{shell:?} {rules}: {said}");
        }
    }
}

/// The program, on a bus that prints what is called. Each text is a line of `dbus` as firewalld has it.
const BUS: &str = r#"
import sys, types
class DBusException(Exception):
    def get_dbus_message(self): return str(self)
class Message:
    def __init__(self, *words): self.words = words
    def set_auto_start(self, auto): self.auto = auto
    def append(self, *values, **named): self.values, self.signature = values, named["signature"]
class Bus:
    def send_message_with_reply_and_block(self, message, seconds):
        if message.words[3] == "refused": raise DBusException("INVALID_RULE: no")
        print(repr((message.words, message.auto, message.signature, seconds, message.values)))
dbus, lowlevel = types.ModuleType("dbus"), types.ModuleType("dbus.lowlevel")
dbus.DBusException, dbus.SystemBus, lowlevel.MethodCallMessage, dbus.lowlevel = DBusException, Bus, Message, lowlevel
sys.modules.update({"dbus": dbus, "dbus.lowlevel": lowlevel})
"#;

/// What the program prints on each stream, and its exit code, with these values as its input.
fn called(before: &str, method: &str, signature: &str, values: &str) -> (String, String, i32) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("values");
    fs::write(&input, values).expect("values");
    let output = Command::new("python3")
        .args(["-BEs", "-c", &format!("{before}\n{DBUS_CALL}")])
        .args(["a.name", "/path", "a.interface", method, signature, "60"])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::from(fs::File::open(&input).expect("values")))
        .output()
        .expect("python3");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().expect("an exit code"),
    )
}

#[test]
fn values_of_any_length_are_called_with_as_busctl_would() {
    const SIGNATURE: &str = "(a(sss)a(sssias)a(sas))";
    let words = "1 ipv4 filter A 1 ipv4 filter A -5 2 it's ü 1 ipv4 1  ".replace(' ', "\u{1f}");
    let (said, error, code) = called(BUS, "update", SIGNATURE, &words);
    assert_eq!((error.as_str(), code), ("", 0));
    assert_eq!(
        said,
        "(('a.name', '/path', 'a.interface', 'update'), False, '(a(sss)a(sssias)a(sas))', 60.0, (([('ipv4', 'filter', 'A')], \
         [('ipv4', 'filter', 'A', -5, [\"it's\", 'ü'])], [('ipv4', [''])]),))\n"
    );
    // Empty arrays have no type of their own to read.
    let (said, ..) = called(BUS, "update", SIGNATURE, &"0 0 0 ".replace(' ', "\u{1f}"));
    assert!(said.ends_with("60.0, (([], [], []),))\n"), "{said}");
    let (said, ..) = called(BUS, "set", "as", &"2 a b ".replace(' ', "\u{1f}"));
    assert!(said.ends_with("60.0, (['a', 'b'],))\n"), "{said}");
}

#[test]
fn what_the_bus_refuses_is_told_and_nothing_is_called_with_half_of_the_values() {
    let refused = called(BUS, "refused", "as", "0\u{1f}");
    assert_eq!(
        refused,
        (String::new(), "INVALID_RULE: no\n".to_string(), 1)
    );
    for (values, wanted) in [
        ("2\u{1f}a\u{1f}", "the values are not those of as"),
        ("1\u{1f}a\u{1f}b\u{1f}", "there are more values"),
        ("x\u{1f}", "the values are not those of as"),
        ("1\u{1f}a", "the values were cut off"),
        ("", "the values are not those of as"),
    ] {
        let (said, error, code) = called(BUS, "set", "as", values);
        assert_eq!((said.as_str(), code), ("", 3), "{values}");
        assert!(error.contains(wanted), "{error}");
    }
    let without = "import sys\nsys.modules[\"dbus\"] = None\n";
    let (_, error, code) = called(without, "set", "as", "0\u{1f}");
    assert_eq!(code, 3);
    assert!(error.contains("needs the Python module dbus"), "{error}");
}
