//! A system bus of the test's own, which speaks the protocol of D-Bus (the specification, version 1) as far as the look needs it. What it answers
//! is given as busctl prints it.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

/// A call of a method.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub interface: String,
    pub method: String,
    /// The type of its arguments, and the bytes of their values.
    pub signature: String,
    pub body: Vec<u8>,
    /// The arguments, where all of them are texts.
    pub arguments: Vec<String>,
}

/// What is answered to a call.
pub enum Reply {
    /// A value, as busctl prints it: `s "running"`.
    Value(String),
    /// The text of an error.
    Error(String),
    /// These bytes, instead of a message.
    Bytes(Vec<u8>),
    /// Nothing, ever.
    Silence,
}

/// A text as busctl prints it.
pub fn text(value: &str) -> Reply {
    Reply::Value(format!("s \"{value}\""))
}

/// The bus, and its socket.
pub struct Bus {
    folder: TempDir,
}

impl Bus {
    /// A bus that answers so; `Hello` it answers itself.
    pub fn new(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let folder = TempDir::new().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("bus")).expect("a socket");
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                // Whoever asks may have heard enough.
                thread::spawn(move || serve(stream, &*answer));
            }
        });
        Bus { folder }
    }

    /// Where it listens.
    pub fn socket(&self) -> String {
        self.folder.path().join("bus").display().to_string()
    }
}

fn serve(mut stream: UnixStream, answer: &dyn Fn(&Call) -> Reply) -> Option<()> {
    let line = line(&mut stream)?;
    assert!(line.starts_with("\0AUTH EXTERNAL "), "{line:?}");
    stream
        .write_all(b"OK 0123456789abcdef0123456789abcdef\r\n")
        .ok()?;
    assert_eq!(self::line(&mut stream)?, "BEGIN\r\n");
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head).ok()?;
        assert_eq!((head[0], head[1], head[3]), (b'l', 1, 1), "{head:?}");
        // Nothing that does not run is started.
        assert_eq!(head[2], 2, "{head:?}");
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let (length, serial, fields) = (number(4) as usize, number(8), number(12) as usize);
        let mut rest = vec![0; fields.next_multiple_of(8) + length];
        stream.read_exact(&mut rest).ok()?;
        let call = call(&rest[..fields], &rest[fields.next_multiple_of(8)..]);
        let reply = match call.method.as_str() {
            "Hello" => text(":1.7"),
            _ => answer(&call),
        };
        let message = match reply {
            Reply::Value(text) => message(2, serial, &text),
            Reply::Error(text) => message(3, serial, &format!("s \"{text}\"")),
            Reply::Bytes(bytes) => bytes,
            Reply::Silence => continue,
        };
        // A signal is no answer.
        let mut sent = self::message(4, serial, "s \":1.7\"");
        sent.extend(message);
        stream.write_all(&sent).ok()?;
    }
}

fn line(stream: &mut UnixStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte).ok()?;
        line.push(byte[0]);
    }
    String::from_utf8(line).ok()
}

/// Reads a call; every value in its head is a text, or a signature of one byte's length.
fn call(fields: &[u8], body: &[u8]) -> Call {
    let text = |bytes: &[u8], at: usize| {
        let at = at.next_multiple_of(4);
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(bytes[at + 4 + length], 0);
        let text = String::from_utf8(bytes[at + 4..at + 4 + length].to_vec());
        (text.expect("a text"), at + 5 + length)
    };
    let mut call = Call {
        path: String::new(),
        interface: String::new(),
        method: String::new(),
        signature: String::new(),
        body: body.to_vec(),
        arguments: Vec::new(),
    };
    let mut at = 0;
    while at < fields.len() {
        at = at.next_multiple_of(8);
        let (code, kind) = (fields[at], fields[at + 2]);
        if kind == b'g' {
            assert_eq!(code, 8);
            let end = at + 5 + fields[at + 4] as usize;
            call.signature = String::from_utf8(fields[at + 5..end].to_vec()).expect("a signature");
            at = end + 1;
            continue;
        }
        let (word, after) = text(fields, at + 4);
        at = after;
        match code {
            1 => call.path = word,
            2 => call.interface = word,
            3 => call.method = word,
            6 => {}
            _ => panic!("field {code}"),
        }
    }
    if call.signature.bytes().all(|kind| kind == b's') {
        let mut at = 0;
        for _ in 0..call.signature.len() {
            let (word, after) = text(body, at);
            call.arguments.push(word);
            at = after;
        }
        assert_eq!(at, body.len());
    }
    call
}

/// A message of a type with the value, as busctl prints it, in answer to a call.
fn message(kind: u8, answers: u32, printed: &str) -> Vec<u8> {
    let (signature, values) = printed.split_once(' ').unwrap_or((printed, ""));
    let body = packed(signature, words(values));
    let mut fields = vec![5, 1, b'u', 0];
    fields.extend(answers.to_le_bytes());
    fields.extend([8, 1, b'g', 0, signature.len() as u8]);
    fields.extend(signature.as_bytes());
    fields.push(0);
    let mut out = vec![b'l', kind, 1, 1];
    for number in [body.len() as u32, 9, fields.len() as u32] {
        out.extend(number.to_le_bytes());
    }
    out.extend(fields);
    pad(&mut out, 8);
    out.extend(body);
    out
}

/// The bytes of values of this type.
pub fn packed(signature: &str, mut words: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut rest = signature;
    while !rest.is_empty() {
        rest = value(rest, &mut words, &mut body);
    }
    assert!(words.next().is_none(), "{signature}");
    body
}

/// The words that busctl prints: texts without their quotes and escapes, and all others as they are.
fn words(printed: &str) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = printed.as_bytes();
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        if rest[0] != b'"' {
            let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            return Some(word.to_vec());
        }
        let (mut word, mut at) = (Vec::new(), 1);
        while rest[at] != b'"' {
            let byte = match &rest[at..] {
                [b'\\', digits @ ..] if digits[0].is_ascii_digit() => {
                    at += 3;
                    let octal = std::str::from_utf8(&digits[..3]).unwrap();
                    u8::from_str_radix(octal, 8).unwrap()
                }
                [b'\\', letter, ..] => {
                    at += 1;
                    let named = b"abtnvfr".iter().position(|b| b == letter);
                    named.map_or(*letter, |n| n as u8 + 7)
                }
                [byte, ..] => *byte,
                [] => unreachable!(),
            };
            word.push(byte);
            at += 1;
        }
        rest = &rest[at + 1..];
        Some(word)
    })
}

fn pad(out: &mut Vec<u8>, width: usize) {
    out.resize(out.len().next_multiple_of(width), 0);
}

fn width(kind: u8) -> usize {
    match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

/// Writes a value of the first type of the signature, and returns the rest of the signature.
fn value<'s>(
    signature: &'s str,
    words: &mut dyn Iterator<Item = Vec<u8>>,
    out: &mut Vec<u8>,
) -> &'s str {
    let kind = signature.as_bytes()[0];
    let mut rest = &signature[1..];
    pad(out, width(kind));
    let mut word = || words.next().expect("a word");
    let parsed = |word: Vec<u8>| -> i128 {
        let text = String::from_utf8(word).expect("a number");
        text.parse().expect("a number")
    };
    match kind {
        b's' | b'o' => {
            let word = word();
            out.extend((word.len() as u32).to_le_bytes());
            out.extend(word);
            out.push(0);
        }
        b'g' => {
            let word = word();
            out.push(word.len() as u8);
            out.extend(word);
            out.push(0);
        }
        b'v' => {
            let inner = String::from_utf8(word()).expect("a signature");
            out.push(inner.len() as u8);
            out.extend(inner.as_bytes());
            out.push(0);
            assert_eq!(value(&inner, words, out), "");
        }
        b'b' => out.extend(u32::from(word() == b"true").to_le_bytes()),
        b'i' | b'u' => out.extend((parsed(word()) as u32).to_le_bytes()),
        b'x' | b't' => out.extend((parsed(word()) as u64).to_le_bytes()),
        b'a' => {
            let count = parsed(word());
            let length_at = out.len();
            out.extend([0; 4]);
            pad(out, width(rest.as_bytes()[0]));
            let begin = out.len();
            for _ in 0..count {
                value(rest, words, out);
            }
            let length = (out.len() - begin) as u32;
            out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
            return &rest[one(rest)..];
        }
        b'(' | b'{' => {
            while !rest.starts_with([')', '}']) {
                rest = value(rest, words, out);
            }
            return &rest[1..];
        }
        _ => panic!("type {signature}"),
    }
    rest
}

/// The length of the first type of a signature.
fn one(signature: &str) -> usize {
    let arrays = signature.bytes().take_while(|b| *b == b'a').count();
    let mut depth = 0;
    for (at, byte) in signature.bytes().enumerate().skip(arrays) {
        match byte {
            b'(' | b'{' => depth += 1,
            b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("type {signature}")
}
