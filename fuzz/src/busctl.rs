//! The words of `busctl call`.

use std::fmt::Write as _;

use fwdeploy::probe::fuzzing::Value;
use fwdeploy::probe::fuzzing::busctl;

use crate::cuts;
use crate::text;

/// The types that are asked for.
pub const SIGNATURES: [&str; 10] = [
    "b",
    "s",
    "o",
    "as",
    "a(sss)",
    "a(sssias)",
    "a(sas)",
    "(a(sss)a(sssias)a(sas))",
    "a{sv}",
    "a{sa{sas}}",
];

/// What was read can be written, and reads back the same. A text without its end is no answer.
pub fn law(data: &[u8]) {
    let Some((kind, answer)) = text(data, SIGNATURES.len() as u8) else {
        return;
    };
    let signature = SIGNATURES[usize::from(kind)];
    let Ok(value) = busctl(&answer, signature) else {
        return;
    };
    // Variants tell their own type, which a value does not keep.
    if !signature.contains('v') {
        let mut again = signature.to_string();
        write(&mut again, &value);
        assert_eq!(busctl(&again, signature).as_ref(), Ok(&value), "{again}");
    }
    let answer = answer.trim_end();
    if answer.ends_with('"') {
        for cut in cuts(answer) {
            assert!(busctl(cut, signature).is_err(), "read as whole: {cut}");
        }
    }
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Bool(yes) => _ = write!(out, " {yes}"),
        Value::Number(number) => _ = write!(out, " {number}"),
        Value::Text(text) => {
            out.push_str(" \"");
            for byte in text.bytes() {
                match byte {
                    b' '..=b'~' if byte != b'"' && byte != b'\\' => out.push(char::from(byte)),
                    _ => _ = write!(out, "\\{byte:03o}"),
                }
            }
            out.push('"');
        }
        Value::Array(values) => {
            _ = write!(out, " {}", values.len());
            values.iter().for_each(|value| write(out, value));
        }
        Value::Struct(values) => values.iter().for_each(|value| write(out, value)),
    }
}
