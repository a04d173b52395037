//! What a plain scalar means.

use serde_yaml::Value;
use serde_yaml::value::Tag;
use serde_yaml::value::TaggedValue;

/// A string that is never a template: `!unsafe`.
pub(super) fn unsafe_value(text: &str) -> Value {
    Value::Tagged(Box::new(TaggedValue {
        tag: Tag::new("unsafe"),
        value: Value::from(text),
    }))
}

/// Reads a plain scalar as PyYAML does (`resolver.py` and `constructor.py`), whose YAML is 1.1: `yes` is true, `0644` is octal, `12:30` is 750, and `1e5`
/// without a point and a sign is a text.
///
/// Two things stay the text that the user sees: dates, which Ansible makes into Python's dates, and numbers of more than 64 bits.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::from(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::from(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::from(f64::NAN),
        _ => {}
    }
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (Sign::Minus, &text[1..]),
        Some(b'+') => (Sign::Plus, &text[1..]),
        _ => (Sign::None, text),
    };
    let begins = unsigned.bytes().next();
    let number = match begins {
        Some(b'0'..=b'9') => {
            integer(sign, unsigned).or_else(|| float(unsigned).and_then(|n| signed(sign, n)))
        }
        // `.5` is a number, `-.5` is not.
        Some(b'.') if sign == Sign::None => float(unsigned).map(Value::from),
        _ => None,
    };
    number.unwrap_or_else(|| Value::from(text))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    Plus,
    Minus,
}

fn signed(sign: Sign, number: f64) -> Option<Value> {
    let number = if sign == Sign::Minus { -number } else { number };
    number.is_finite().then(|| Value::from(number))
}

fn integer(sign: Sign, text: &str) -> Option<Value> {
    let digits = text.replace('_', "");
    let radix = |prefix: &str, radix: u32| {
        let written = text.strip_prefix(prefix)?;
        let digits = written.replace('_', "");
        let fits = !written.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        fits.then(|| u64::from_str_radix(&digits, radix).ok())?
    };
    let number = if text.starts_with("0b") {
        radix("0b", 2)?
    } else if text.starts_with("0x") {
        radix("0x", 16)?
    } else if digits == "0" {
        0
    } else if text.starts_with('0') {
        radix("0", 8)?
    } else if text.contains(':') {
        sexagesimal(text)?
    } else if all_digits(&digits) {
        digits.parse().ok()?
    } else {
        return None;
    };
    match sign {
        Sign::Minus => 0_i64.checked_sub_unsigned(number).map(Value::from),
        _ => Some(Value::from(number)),
    }
}

/// `12:30:45`, in base sixty.
fn sexagesimal(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let first = parts.next()?.replace('_', "");
    let first = first.parse::<u64>().ok().filter(|_| all_digits(&first));
    parts.try_fold(first?, |sum, part| {
        sum.checked_mul(60)?.checked_add(below_sixty(part)?)
    })
}

fn below_sixty(text: &str) -> Option<u64> {
    let number = text.parse().ok().filter(|number| *number < 60);
    number.filter(|_| all_digits(text) && text.len() <= 2)
}

/// A number with a point, as PyYAML wants it: without one, `12e34` may as well be a hash. An exponent has a sign.
fn float(text: &str) -> Option<f64> {
    let (whole, rest) = text.split_once('.')?;
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(position) => (&rest[..position], Some(&rest[position + 1..])),
        None => (rest, None),
    };
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    if !digits(fraction) || (whole.is_empty() && !fraction.starts_with(|c: char| c != '_')) {
        return None;
    }
    if whole.contains(':') {
        let whole = sexagesimal(whole).filter(|_| exponent.is_none())?;
        let fraction: f64 = format!("0.{}0", fraction.replace('_', "")).parse().ok()?;
        // As large as a float holds exactly, and larger than any time.
        return u32::try_from(whole)
            .ok()
            .map(|whole| f64::from(whole) + fraction);
    }
    if !digits(whole) || exponent.is_some_and(|exponent| !is_exponent(exponent)) {
        return None;
    }
    let number = text.replace('_', "").parse::<f64>().ok();
    number.filter(|number| number.is_finite())
}

fn is_exponent(text: &str) -> bool {
    text.strip_prefix(['-', '+']).is_some_and(all_digits)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of Ansible's `DataLoader` (ansible-core 2.19.14), for the same texts.
    #[test]
    fn what_looks_like_a_number_to_ansible_is_one() {
        for (text, expected) in [
            ("0", Value::from(0u64)),
            ("00", Value::from(0u64)),
            ("+12", Value::from(12u64)),
            ("-12", Value::from(-12i64)),
            ("1_000", Value::from(1000u64)),
            ("1__0", Value::from(10u64)),
            ("1_", Value::from(1u64)),
            ("0644", Value::from(420u64)),
            ("0777", Value::from(511u64)),
            ("07_7", Value::from(63u64)),
            ("-017", Value::from(-15i64)),
            ("0x1f", Value::from(31u64)),
            ("0x1_F", Value::from(31u64)),
            ("-0x1f", Value::from(-31i64)),
            ("0b101", Value::from(5u64)),
            ("0b_1", Value::from(1u64)),
            ("-0b101", Value::from(-5i64)),
            ("12:30", Value::from(750u64)),
            ("12:5", Value::from(725u64)),
            ("12:30:45", Value::from(45045u64)),
            ("-1:30", Value::from(-90i64)),
            ("1_0:30", Value::from(630u64)),
            ("18446744073709551615", Value::from(u64::MAX)),
            ("-9223372036854775808", Value::from(i64::MIN)),
            ("1.5", Value::from(1.5)),
            ("-1.", Value::from(-1.0)),
            (".5", Value::from(0.5)),
            (".1_", Value::from(0.1)),
            ("1_.5", Value::from(1.5)),
            ("1_000.5", Value::from(1000.5)),
            ("1.5e-3", Value::from(0.0015)),
            ("1.5E+3", Value::from(1500.0)),
            ("1:30.", Value::from(90.0)),
            ("1:2:3.5", Value::from(3723.5)),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_to_ansible_is_a_text() {
        for text in [
            "08", "09", "0o17", "0o", "0b", "0b12", "0x", "_1", "1e5", "1.5e3", "1.e3", "1e+3",
            "12e34567", "1:60", "12:60", "22:80", "1:002", "00:00", "01:02", "0:0", "-.5", "+.5",
            "-", ".", "._1", "+", "--1", "+-1", "1.2.3", "2026-1-1", "y", "n", "tRue", "fe80::1",
        ] {
            assert_eq!(resolve(text), Value::from(text));
        }
    }

    /// These differ from Ansible: the manual's table of differences has them.
    #[test]
    fn dates_and_numbers_beyond_64_bits_stay_the_text_that_was_written() {
        for text in [
            "2026-01-01",
            "2026-01-01T10:00:00Z",
            "18446744073709551616",
            "-9223372036854775809",
        ] {
            assert_eq!(resolve(text), Value::from(text));
        }
    }

    #[test]
    fn booleans_are_those_of_ansible() {
        for text in ["yes", "On", "TRUE"] {
            assert_eq!(resolve(text), Value::Bool(true));
        }
        for text in ["no", "Off", "FALSE"] {
            assert_eq!(resolve(text), Value::Bool(false));
        }
        for text in ["", "~", "null"] {
            assert_eq!(resolve(text), Value::Null);
        }
    }
}
