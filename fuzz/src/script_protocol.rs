//! The script protocol with a login shell, sudo and a script.

use fwdeploy::model::Secret;
use fwdeploy::transport::Privilege;
use fwdeploy::transport::fuzzing::Talk;

use crate::input;

const PASSWORD: &str = "pass-word";
const SCRIPT: &str = "the-script";

/// Bytes of an input that stand for what nobody can guess: the marks of this protocol.
const BEGIN: u8 = 1;
const END: u8 = 2;
const PROMPT: u8 = 3;
/// What follows is on the other output.
const TURN: u8 = 4;
/// What follows comes in another piece.
const PIECE: u8 = 5;

/// The password goes to sudo's own prompt and once, the script to a shell that has greeted, and a status is one that the
/// script's end told; in whatever pieces it comes.
pub fn law(data: &[u8]) {
    let Some((kind, said)) = input(data, 6) else {
        return;
    };
    let root = Privilege::Sudo {
        user: "root".to_string(),
    };
    let privilege = if kind % 3 == 0 {
        &Privilege::AsIs
    } else {
        &root
    };
    let password = (kind % 3 == 2).then(|| Secret::new(PASSWORD));
    let asks = password.is_some();
    let Some(mut talk) = Talk::new(SCRIPT, privilege, password) else {
        return;
    };
    let words = talk.arguments();
    let greeting = words.last().expect("a program");
    let nonce = greeting
        .split("fwdeploy-begin-")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .expect("a nonce");
    let begin = format!("fwdeploy-begin-{nonce}\n").into_bytes();
    let end = format!("fwdeploy-end-{nonce} ").into_bytes();
    let prompt = format!("fwdeploy-sudo-{nonce}").into_bytes();

    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streamed = Vec::new();
    let (mut typed, mut told) = (0, 0);
    let mut on_stdout = true;
    let mut piece: Vec<u8> = Vec::new();
    for byte in said.iter().copied().chain([PIECE]) {
        match byte {
            BEGIN => piece.extend(&begin),
            END => piece.extend(&end),
            PROMPT => piece.extend(&prompt),
            TURN | PIECE => {
                if on_stdout {
                    stdout.extend(&piece);
                    streamed.extend(talk.hear_stdout(&piece));
                } else {
                    stderr.extend(&piece);
                    talk.hear_stderr(&piece);
                }
                piece.clear();
                // What is sent is sent whole, in answer to one piece.
                let new = talk.take();
                typed += count(&new, PASSWORD.as_bytes());
                told += count(&new, SCRIPT.as_bytes());
                assert!(typed <= usize::from(asks), "typed {typed} times");
                if !new.is_empty() || said.len() < 4096 {
                    let asked = find(&stderr, &prompt).is_some();
                    assert!(typed == 0 || asked, "typed, and nobody asked");
                    let greeted = find(&stdout, &begin).is_some();
                    assert_eq!(told, usize::from(greeted));
                }
                if talk.is_over() {
                    break;
                }
                on_stdout ^= byte == TURN;
            }
            other => piece.push(other),
        }
    }
    let status = [None, Some(0), Some(1), Some(127)][usize::from(kind / 3) * 2 % 4];
    let answer = talk.conclude(status, kind < 3);
    let expected = find(&stdout, &begin).and_then(|at| {
        let script = &stdout[at + begin.len()..];
        let at = find(script, &end)?;
        let counted = &script[at + end.len()..];
        // A status has few digits.
        let line = &counted[..find(&counted[..counted.len().min(16)], b"\n")?];
        let status: i32 = str::from_utf8(line).ok()?.parse().ok()?;
        Some((script[..at].to_vec(), status))
    });
    match (answer, expected) {
        (Ok(output), expected) => {
            assert_eq!(output.stdout, streamed);
            assert_eq!(Some((output.stdout, output.status)), expected);
        }
        (Err(error), None) => {
            let _ = (error.to_string(), error.hint());
        }
        (Err(error), Some(expected)) => panic!("{error}, and it said {expected:?}"),
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

fn count(text: &[u8], mark: &[u8]) -> usize {
    match find(text, mark) {
        Some(at) => 1 + count(&text[at + mark.len()..], mark),
        None => 0,
    }
}
