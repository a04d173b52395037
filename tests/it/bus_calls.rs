//! The process that calls firewalld for a program that changes a node (src/node/bus.sh and python/calls.py), on a bus of the test's own.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::bus::Bus;
use crate::support::bus::Call;
use crate::support::bus::Reply;
use crate::support::bus::packed;

const SHELLS: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "ash"]];

/// The functions of a program that changes a node, with these commands in place of its last line; what they print, after `busctl` where that was
/// called instead.
struct Program {
    folder: TempDir,
    bus: String,
}

impl Program {
    fn new(bus: &Bus) -> Self {
        Program {
            folder: TempDir::new().expect("a folder"),
            bus: bus.socket(),
        }
    }

    fn text(&self, commands: &str) -> String {
        let whole = fwdeploy::node::apply(&[]);
        let text = whole.strip_suffix("main\n").expect("its last line");
        let place = "bus_socket=/run/dbus/system_bus_socket\n";
        assert_eq!(text.matches(place).count(), 1);
        let text = text.replace(place, &format!("bus_socket={}\n", self.bus));
        format!(
            "{text}\nlive={}/live\nseconds=2\nbusctl() {{ echo \"busctl $*\"; }}\n\
             call() {{ call_firewalld \"$@\" && echo \"ok $answer\" || echo \"failed $answer\"; }}\n{commands}\n",
            self.folder.path().display()
        )
    }

    fn command(&self, shell: &[&str], commands: &str) -> Command {
        let file = self.folder.path().join("program.sh");
        std::fs::write(&file, self.text(commands)).expect("a program");
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(file);
        command
    }

    fn run(&self, shell: &[&str], commands: &str) -> String {
        let output = self.command(shell, commands).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "", "{shell:?}");
        String::from_utf8(output.stdout).expect("a text")
    }

    /// Nothing is left beside the program.
    fn assert_clean(&self) {
        let left = || -> Vec<_> {
            let there = self.folder.path().join("live").read_dir();
            there.map_or_else(|_| Vec::new(), |entries| entries.flatten().collect())
        };
        for _ in 0..100 {
            if left().is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("left behind: {:?}", left());
    }
}

/// A bus with a method for each kind of answer; what is called is put down.
fn bus() -> (Bus, Arc<Mutex<Vec<Call>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let bus = Bus::new(move |call| {
        let reply = match call.method.as_str() {
            "nothing" => Reply::Value(String::new()),
            "long" => Reply::Value(format!("as 1 \"{}\"", "long ".repeat(20_000))),
            "refused" => Reply::Error("INVALID_RULE: no".to_string()),
            "lines" => Reply::Error("COMMAND_FAILED: one\ntwo".to_string()),
            "silent" => Reply::Silence,
            "garbage" => Reply::Bytes(vec![0; 64]),
            "slow" => {
                thread::sleep(Duration::from_millis(700));
                Reply::Value("s \"late\"".to_string())
            }
            method => Reply::Value(format!("s \"{method}\"")),
        };
        seen.lock().expect("a list").push(call.clone());
        reply
    });
    (bus, calls)
}

#[test]
fn a_call_is_answered_as_busctl_would_print_it() {
    let (bus, calls) = bus();
    for shell in SHELLS {
        calls.lock().unwrap().clear();
        let program = Program::new(&bus);
        let said = program.run(
            shell,
            "open_bus\n[ -n \"$bus\" ] && echo open\ncall /p an.interface hello\ncall /p an.interface nothing s ''\n\
             call /p an.interface refused\ncall /p an.interface lines\ncall /p an.interface long | wc -c\n\
             text=$(call /p an.interface inner ss 'it is' \"a * \\\\ %s\")\necho \"$text\"\nclose_bus\ncall /p an.interface after",
        );
        assert_eq!(
            said,
            format!(
                "open\nok s \"hello\"\nok \nfailed INVALID_RULE: no\nfailed COMMAND_FAILED: one\ntwo\n{}\nok s \"inner\"\n\
                 ok busctl --auto-start=no --timeout=2 call -- org.fedoraproject.FirewallD1 /p an.interface after\n",
                "ok as 1 \"\"\n".len() + 100_000
            ),
            "{shell:?}"
        );
        program.assert_clean();
        let calls = calls.lock().unwrap();
        assert_eq!(
            (calls[0].path.as_str(), calls[0].interface.as_str()),
            ("/p", "an.interface")
        );
        assert_eq!(calls[1].arguments, [""]);
        assert_eq!(calls[5].arguments, ["it is", "a * \\ %s"]);
    }
}

/// The types that firewalld's methods have, and a length that fits into neither a line nor a pipe.
#[test]
fn values_of_each_type_and_of_any_length_are_called_with() {
    let (bus, calls) = bus();
    let many: Vec<String> = (0..20_000)
        .map(|n| format!("198.18.{}.{}/32 it's \u{fc}", n / 256, n % 256))
        .collect();
    let mut list = vec!["20000".to_string()];
    list.extend(many);
    let words = |text: &str| text.split('|').map(String::from).collect::<Vec<_>>();
    let cases = [
        ("sssias", words("ipv4|filter|A|-5|2|-s||")[..7].to_vec()),
        (
            "(a(sss)a(sssias)a(sas))",
            words("1|ipv4|filter|A|1|ipv4|filter|A|-5|2|it's|\u{fc}|1|ipv4|1|"),
        ),
        ("(a(sss)a(sssias)a(sas))", words("0|0|0")),
        (
            "sa{sv}",
            words("public|3|ports|a(ss)|1|80|tcp|masquerade|b|true|rules_str|as|0"),
        ),
        ("s(ssssa{ss}as)", words("name||||hash:net|1|family|inet6|0")),
        ("as", list),
    ];
    for shell in SHELLS {
        calls.lock().unwrap().clear();
        let program = Program::new(&bus);
        let mut commands = "open_bus\n".to_string();
        for (signature, words) in &cases {
            let values: String = words.iter().map(|word| format!("{word}\u{1f}")).collect();
            let quoted = values.replace('\'', "'\\''");
            commands += &format!(
                "call_firewalld_with '{quoted}' /p an.interface set '{signature}' && echo \"$answer\"\n"
            );
        }
        assert_eq!(
            program.run(shell, &commands),
            "s \"set\"\n".repeat(cases.len()),
            "{shell:?}"
        );
        program.assert_clean();
        for (call, (signature, words)) in calls.lock().unwrap().iter().zip(&cases) {
            assert_eq!(call.signature, *signature);
            let wanted = packed(
                signature,
                words.iter().map(|word| word.clone().into_bytes()),
            );
            assert!(call.body == wanted, "{shell:?} {signature}");
        }
    }
}

#[test]
fn with_half_of_the_values_nothing_is_called() {
    let (bus, calls) = bus();
    let program = Program::new(&bus);
    let said = program.run(
        SHELLS[0],
        "open_bus\ncall /p i set as 2 a\ncall /p i set as 1 a b\ncall /p i set as x\ncall /p i set sb a maybe\ncall /p i set '(' a\n\
         call /p i set s \"two\nlines\"\ncall /p i hello",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 8, "{said}");
    assert!(
        lines[..6].iter().all(|line| line.starts_with("ok busctl ")),
        "{said}"
    );
    assert_eq!(lines[7], "ok s \"hello\"");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[test]
fn a_call_without_an_answer_ends_in_time_and_the_next_one_is_answered() {
    let (bus, _) = bus();
    for shell in SHELLS {
        let program = Program::new(&bus);
        let said = program.run(
            shell,
            "open_bus\ncall /p i silent\ncall /p i hello\ncall /p i garbage\ncall /p i hello",
        );
        assert_eq!(
            said,
            "failed Connection timed out\nok s \"hello\"\nfailed Connection reset by peer\nok s \"hello\"\n",
            "{shell:?}"
        );
    }
}

#[test]
fn a_signal_during_a_call_loses_no_answer() {
    let (bus, _) = bus();
    for shell in SHELLS {
        let program = Program::new(&bus);
        let said = program.run(
            shell,
            "trap 'echo signal' TERM\nopen_bus\n(sleep 0.2; kill -TERM $$; kill -TERM \"$bus\") &\ncall /p i slow\ncall /p i hello",
        );
        assert_eq!(said, "signal\nok s \"late\"\nok s \"hello\"\n", "{shell:?}");
    }
}

/// A part of a program in brackets that a signal ends: its answer comes, and nobody reads it. bash tells of every signal but this one.
#[test]
fn an_answer_that_nobody_has_read_is_not_taken_for_the_next_one() {
    let (bus, _) = bus();
    for shell in SHELLS {
        let program = Program::new(&bus);
        let said = program.run(
            shell,
            "open_bus\n(call /p i slow) &\ninside=$!\nsleep 0.2\nkill -PIPE \"$inside\"\nwait \"$inside\"\ncall /p i hello",
        );
        assert_eq!(said, "ok s \"hello\"\n", "{shell:?}");
    }
}

#[test]
fn where_the_process_has_ended_busctl_calls_and_a_call_under_way_is_not_known() {
    let (bus, _) = bus();
    for shell in SHELLS {
        let program = Program::new(&bus);
        let said = program.run(
            shell,
            "exec 2>/dev/null\nopen_bus\n(sleep 0.3; kill -9 \"$bus\") &\ncall /p i slow s word\ncall /p i hello",
        );
        assert_eq!(
            said,
            "failed the process that calls firewalld has ended, and whether it has called /p i slow s word  is not known\n\
             ok busctl --auto-start=no --timeout=2 call -- org.fedoraproject.FirewallD1 /p i hello\n",
            "{shell:?}"
        );
    }
}

#[test]
fn where_it_cannot_be_started_busctl_calls() {
    let (bus, calls) = bus();
    for shell in SHELLS {
        let program = Program::new(&bus);
        for without in [
            "mkfifo() { false; }",
            "find_python() { false; }",
            "find_python() { python=/nowhere/python3; }",
            "find_python() { python=/bin/false; }",
            "bus_socket=/nowhere",
        ] {
            let said = program.run(shell, &format!("{without}\nopen_bus\ncall /p i hello"));
            assert!(
                said.starts_with("ok busctl "),
                "{shell:?} {without}: {said}"
            );
            program.assert_clean();
        }
    }
    assert!(calls.lock().unwrap().is_empty());
}

#[test]
fn where_nobody_listens_busctl_calls() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("bus");
    drop(UnixListener::bind(&socket).expect("a socket"));
    let program = Program {
        folder,
        bus: socket.display().to_string(),
    };
    let said = program.run(
        SHELLS[0],
        "open_bus\n[ -n \"$bus\" ] && echo open\ncall /p i hello",
    );
    assert!(said.starts_with("open\nok busctl "), "{said}");
}

/// The program is killed while a command of its own holds its pipes: the process does not wait for that.
#[test]
fn it_ends_with_the_program_that_has_started_it() {
    let (bus, _) = bus();
    for shell in SHELLS {
        let program = Program::new(&bus);
        let mut child = program
            .command(shell, "open_bus\ncall /p i long >/dev/null\nsleep 20 &\necho \"$bus $!\" >\"$live/../started\"\nwait")
            .spawn()
            .expect("a shell");
        let started = program.folder.path().join("started");
        let mut said = String::new();
        for _ in 0..200 {
            said = std::fs::read_to_string(&started).unwrap_or_default();
            if said.ends_with('\n') {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let (process, sleeping) = said.trim().split_once(' ').expect("two processes");
        child.kill().expect("it ends");
        child.wait().expect("its end");
        program.assert_clean();
        let proc = format!("/proc/{process}/exe");
        for _ in 0..100 {
            if !Path::new(&proc).exists() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        assert!(!Path::new(&proc).exists(), "{shell:?}");
        let status = Command::new("kill").arg(sleeping).status();
        assert!(status.expect("kill runs").success());
    }
}
