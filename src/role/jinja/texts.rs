//! Filters of texts and paths.

use minijinja::Environment;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;
use openssl::hash::MessageDigest;
use openssl::hash::hash;

use crate::role::jinja::arguments::Arguments;
use crate::role::jinja::arguments::add_filter;
use crate::role::jinja::arguments::elements;
use crate::role::jinja::methods;
use crate::role::jinja::python::error;
use crate::role::jinja::python::kind;
use crate::role::jinja::python::text;

pub(super) fn install(environment: &mut Environment<'static>) {
    add_filter(environment, "lower", |_, value, _| {
        Ok(Value::from(text(value)?.to_lowercase()))
    });
    add_filter(environment, "upper", |_, value, _| {
        Ok(Value::from(text(value)?.to_uppercase()))
    });
    add_filter(environment, "capitalize", |_, value, _| {
        let all = text(value)?;
        let mut letters = all.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string());
        Ok(Value::from(
            first.unwrap_or_default() + &letters.as_str().to_lowercase(),
        ))
    });
    add_filter(environment, "title", |_, value, _| {
        Ok(Value::from(title(&text(value)?)))
    });
    add_filter(environment, "trim", |_, value, arguments| {
        let all = text(value)?;
        Ok(Value::from(match arguments.text(0, "chars")? {
            Some(letters) => all.trim_matches(|c| letters.contains(c)).to_string(),
            None => all.trim().to_string(),
        }))
    });
    add_filter(environment, "wordcount", |_, value, _| {
        let all = text(value)?;
        let word = |c: char| c.is_alphanumeric() || c == '_';
        Ok(Value::from(
            all.split(|c| !word(c))
                .filter(|part| !part.is_empty())
                .count(),
        ))
    });
    add_filter(environment, "replace", |state, value, arguments| {
        let old = text(&arguments.need(0, "old")?)?;
        let new = text(&arguments.need(1, "new")?)?;
        let most = arguments.int(2, "count")?;
        let all = text(value)?;
        let most = most
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(usize::MAX);
        let times = all.matches(&old).count().min(most);
        state.consume_fuel((times.saturating_mul(new.len()) / 64) as u64)?;
        Ok(Value::from(all.replacen(&old, &new, most)))
    });
    add_filter(environment, "split", |state, value, arguments| {
        let separator = arguments.get(0, "sep")?;
        let most = arguments.get(1, "maxsplit")?;
        if value.kind() != ValueKind::String {
            return Err(error(format!(
                "`split` takes a text, and this is {}",
                kind(value)
            )));
        }
        let separator = separator.unwrap_or_else(|| Value::from(()));
        if separator.as_str().is_some_and(str::is_empty) {
            return Err(error("`split` takes no empty separator"));
        }
        let most = most.unwrap_or_else(|| Value::from(-1));
        methods::call(state, value, "split", &[separator, most])
    });
    add_filter(environment, "quote", |_, value, _| {
        let written = if value.is_none() {
            String::new()
        } else {
            text(value)?
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
        Ok(Value::from(
            if !written.is_empty() && written.chars().all(is_plain) {
                written
            } else {
                format!("'{}'", written.replace('\'', "'\"'\"'"))
            },
        ))
    });
    add_filter(environment, "b64encode", |_, value, arguments| {
        let url_safe = arguments.flag(1, "urlsafe", false)?;
        is_utf8(arguments)?;
        let made = openssl::base64::encode_block(text(value)?.as_bytes());
        Ok(Value::from(if url_safe {
            made.replace('+', "-").replace('/', "_")
        } else {
            made
        }))
    });
    add_filter(environment, "b64decode", |_, value, arguments| {
        let url_safe = arguments.flag(1, "urlsafe", false)?;
        is_utf8(arguments)?;
        let mut written = text(value)?;
        if url_safe {
            written = written.replace('-', "+").replace('_', "/");
        }
        let bytes = openssl::base64::decode_block(&written).ok();
        let made = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        made.map(Value::from)
            .ok_or_else(|| error("`b64decode`: this is not the base64 of a text"))
    });
    add_filter(environment, "hash", |state, value, arguments| {
        let kind = arguments.text(0, "hashtype")?;
        digest(state, value, kind.as_deref().unwrap_or("sha1"))
    });
    add_filter(environment, "md5", |state, value, _| {
        digest(state, value, "md5")
    });
    add_filter(environment, "sha1", |state, value, _| {
        digest(state, value, "sha1")
    });
    add_filter(environment, "checksum", |state, value, _| {
        digest(state, value, "sha1")
    });
    add_filter(environment, "basename", |_, value, _| {
        let path = text(value)?;
        Ok(Value::from(
            path.rsplit_once('/')
                .map_or(path.as_str(), |(_, name)| name),
        ))
    });
    add_filter(environment, "dirname", |_, value, _| {
        let path = text(value)?;
        let Some(at) = path.rfind('/') else {
            return Ok(Value::from(""));
        };
        let head = path[..at].trim_end_matches('/');
        Ok(Value::from(if head.is_empty() {
            &path[..=at]
        } else {
            head
        }))
    });
    add_filter(environment, "splitext", |_, value, _| {
        let path = text(value)?;
        let start = path.rfind('/').map_or(0, |at| at + 1);
        let name = &path[start..];
        // The dots in front of a hidden file's name begin no ending.
        let hidden = name.len() - name.trim_start_matches('.').len();
        let at = name[hidden..]
            .rfind('.')
            .map_or(path.len(), |at| start + hidden + at);
        Ok([&path[..at], &path[at..]].into_iter().collect())
    });
    add_filter(environment, "normpath", |_, value, _| {
        Ok(Value::from(normalized(&text(value)?)))
    });
    add_filter(environment, "path_join", |state, value, _| {
        let parts = match value.as_str() {
            Some(path) => return Ok(Value::from(path)),
            None => elements(state, value, "path_join")?,
        };
        let mut joined = String::new();
        for part in parts {
            let part = text(&part)?;
            if part.starts_with('/') {
                joined = part;
            } else {
                if !joined.is_empty() && !joined.ends_with('/') {
                    joined.push('/');
                }
                joined.push_str(&part);
            }
        }
        Ok(Value::from(joined))
    });
}

fn is_utf8(arguments: &Arguments) -> Result<(), Error> {
    match arguments.text(0, "encoding")? {
        Some(encoding) if !["utf-8", "utf8"].contains(&encoding.to_lowercase().as_str()) => {
            Err(error("texts are UTF-8: no other `encoding` is known"))
        }
        _ => Ok(()),
    }
}

/// Jinja's title case: a letter is large after a blank, a hyphen or a bracket.
fn title(text: &str) -> String {
    let mut made = String::new();
    let mut is_first = true;
    for c in text.chars() {
        if is_first {
            made.extend(c.to_uppercase());
        } else {
            made.extend(c.to_lowercase());
        }
        is_first = c.is_whitespace() || "-({[<".contains(c);
    }
    made
}

fn digest(state: &State, value: &Value, kind: &str) -> Result<Value, Error> {
    let algorithm = match kind {
        "md5" => MessageDigest::md5(),
        "sha1" => MessageDigest::sha1(),
        "sha224" => MessageDigest::sha224(),
        "sha256" => MessageDigest::sha256(),
        "sha384" => MessageDigest::sha384(),
        "sha512" => MessageDigest::sha512(),
        _ => {
            return Err(error(
                "`hash` knows md5, sha1, sha224, sha256, sha384 and sha512",
            ));
        }
    };
    let written = text(value)?;
    state.consume_fuel(written.len() as u64 / 64)?;
    let bytes = hash(algorithm, written.as_bytes());
    let bytes = bytes.map_err(|_| error(format!("libcrypto does not make `{kind}`")))?;
    Ok(Value::from(
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>(),
    ))
}

/// Python's `os.path.normpath`.
fn normalized(path: &str) -> String {
    let root = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else if path.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        let is_up = part == "..";
        if is_up && parts.last().is_some_and(|last| *last != "..") {
            parts.pop();
        } else if !is_up || root.is_empty() {
            parts.push(part);
        }
    }
    let made = format!("{root}{}", parts.join("/"));
    if made.is_empty() {
        ".".to_string()
    } else {
        made
    }
}
