//! What a plain scalar means.

use serde_yaml::Value;

/// Reads a plain scalar.
///
/// Booleans are those of YAML 1.1, because Ansible's users write `yes` and mean it. Numbers are decimal, or hexadecimal with `0x`, or octal with `0o`.
/// What YAML 1.1 and 1.2 read differently (`0644`, `1_000`, `12:30:45`, `1e5`, `2026-01-01`) stays the text that the user sees, and so does a number
/// of more than 64 bits.
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
    integer(text)
        .or_else(|| float(text))
        .unwrap_or_else(|| Value::from(text))
}

fn integer(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |digits: &str, radix| -> Option<Value> {
        let only_digits = digits.chars().all(|digit| digit.is_digit(radix));
        u64::from_str_radix(digits, radix)
            .ok()
            .filter(|_| only_digits)
            .map(Value::from)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if !all_digits(unsigned) || (unsigned.len() > 1 && unsigned.starts_with('0')) {
        return None;
    }
    if text.starts_with('-') {
        return text.parse::<i64>().ok().map(Value::from);
    }
    unsigned.parse::<u64>().ok().map(Value::from)
}

/// A number with a point, as PyYAML wants it: without one, `12e34` may as well be a hash.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, rest) = unsigned.split_once('.')?;
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent
        .is_none_or(|exponent| all_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    if !digits(whole) || !digits(fraction) || !exponent || whole.len() + fraction.len() == 0 {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(Value::from)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_number_is_one() {
        for (text, expected) in [
            ("0", Value::from(0u64)),
            ("+12", Value::from(12u64)),
            ("-12", Value::from(-12i64)),
            ("0x1f", Value::from(31u64)),
            ("0o17", Value::from(15u64)),
            ("18446744073709551615", Value::from(u64::MAX)),
            ("1.5", Value::from(1.5)),
            ("-1.", Value::from(-1.0)),
            (".5", Value::from(0.5)),
            ("1.5e-3", Value::from(0.0015)),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    #[test]
    fn what_the_versions_of_yaml_disagree_about_stays_text() {
        for text in [
            "0644",
            "1_000",
            "12:30:45",
            "1e5",
            "12e34567",
            "2026-01-01",
            "18446744073709551616",
            "0x",
            "-",
            ".",
            "+",
            "1.2.3",
            "y",
            "n",
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
