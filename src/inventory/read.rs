//! Variables, rendered → typed values, each mistake at its place.

use std::net::IpAddr;
use std::net::Ipv6Addr;

use serde_yaml::Value;

use super::document::kind;
use super::error::InputError;
use super::error::shown;
use super::location::Located;
use super::vars::Var;

/// Longest name of a firewalld zone: `FWDI_ZONE_allow` must fit into 28 characters (`max_zone_name_len` in firewalld's `core/base.py`).
const MAX_ZONE: usize = 17;

/// Returns a text: no list, nothing that a terminal would obey.
pub(super) fn text(name: &str, var: &Var) -> Result<Located<String>, InputError> {
    let error = |message: String| InputError::at(var.location(), message);
    let text = match var.value() {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        Value::Tagged(tagged) if tagged.value.is_string() => {
            tagged.value.as_str().unwrap_or_default().to_owned()
        }
        other => {
            let error =
                error(format!("`{name}` takes a string")).label(format!("this is {}", kind(other)));
            return Err(match other {
                Value::Bool(_) | Value::Number(_) => error.hint("put the value into quotes"),
                _ => error,
            });
        }
    };
    if let Some(control) = text.chars().find(|character| character.is_control()) {
        return Err(error(format!(
            "`{name}` holds the control character U+{:04X}",
            u32::from(control)
        )));
    }
    if text.trim().is_empty() {
        return Err(error(format!("`{name}` is empty")));
    }
    Ok(Located::new(text, var.location()))
}

/// Returns a text of one word: a user's name.
pub(super) fn word(name: &str, var: &Var) -> Result<Located<String>, InputError> {
    let word = text(name, var)?;
    let allowed = |character: char| character.is_alphanumeric() || "_.-@$+\\".contains(character);
    let odd = word.value.chars().find(|character| !allowed(*character));
    match odd {
        Some(odd) => Err(InputError::at(
            var.location(),
            format!("`{}` is not allowed in `{name}`", shown(&odd.to_string())),
        )),
        None if word.value.starts_with('-') => Err(InputError::at(
            var.location(),
            format!("`{name}` does not begin with `-`"),
        )),
        None => Ok(word),
    }
}

/// Returns a boolean in one of Ansible's spellings.
pub(super) fn boolean(name: &str, var: &Var) -> Result<Located<bool>, InputError> {
    let value = match var.value() {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::Null => None,
        // `module_utils/parsing/convert_bool.py` of Ansible.
        _ => match text(name, var)?.value.to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
            _ => None,
        },
    };
    let value = value.ok_or_else(|| {
        InputError::at(var.location(), format!("`{name}` takes `true` or `false`"))
            .label("neither of them")
    })?;
    Ok(Located::new(value, var.location()))
}

/// Returns a number of peers, or `None` for `never`.
pub(super) fn ipset_threshold(name: &str, var: &Var) -> Result<Located<Option<usize>>, InputError> {
    let written = match var.value() {
        Value::Number(number) => number.to_string(),
        _ => text(name, var)?.value,
    };
    if written == "never" {
        return Ok(Located::new(None, var.location()));
    }
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    match written.parse::<u32>().map(usize::try_from) {
        Ok(Ok(number)) if digits => Ok(Located::new(Some(number), var.location())),
        _ => {
            let message = format!("`{}` is not a value of `{name}`", shown(&written));
            let error = InputError::at(var.location(), message);
            Err(error.label("a number of peers, or `never`, is expected"))
        }
    }
}

/// Returns a TCP port.
pub(super) fn port(name: &str, var: &Var) -> Result<Located<u16>, InputError> {
    let written = match var.value() {
        Value::Number(number) => number.to_string(),
        Value::String(_) | Value::Tagged(_) => text(name, var)?.value,
        other => {
            let error = InputError::at(var.location(), format!("`{name}` takes a port"));
            return Err(error.label(format!("this is {}", kind(other))));
        }
    };
    let digits = written.bytes().all(|byte| byte.is_ascii_digit()) && !written.starts_with('0');
    match written.parse::<u16>() {
        Ok(port) if digits => Ok(Located::new(port, var.location())),
        _ => {
            let message = format!("`{}` is not a port", shown(&written));
            let error = InputError::at(var.location(), message);
            Err(error.label("a port is a number from 1 to 65535"))
        }
    }
}

/// Returns what one can connect to: an address or a host's name.
pub(super) fn host(name: &str, var: &Var) -> Result<Located<String>, InputError> {
    let host = text(name, var)?;
    let error = |message: String| InputError::at(var.location(), message);
    let value = host.value.as_str();
    let not_one = || {
        error(format!(
            "`{}` is neither an address nor a host name",
            shown(value)
        ))
    };
    let scoped = value.split_once('%').map_or(value, |(address, _)| address);
    if value.parse::<IpAddr>().is_ok()
        || (value.contains('%') && scoped.parse::<Ipv6Addr>().is_ok())
    {
        return Ok(host);
    }
    if value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(error(format!("`{}` is not an IPv4 address", shown(value)))
            .label("four numbers from 0 to 255 are expected"));
    }
    if value.contains('@') {
        return Err(not_one().hint("set the user with `ansible_user`"));
    }
    if value.starts_with('[') {
        return Err(not_one().hint("write the address without brackets"));
    }
    if value.contains(':') {
        return Err(not_one().hint("set the port with `ansible_port`"));
    }
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    if !value.chars().all(allowed) || value.starts_with(['-', '.']) || value.len() > 253 {
        return Err(not_one());
    }
    Ok(host)
}

/// Returns an address that others see a node under.
pub(super) fn address(name: &str, var: &Var) -> Result<Located<IpAddr>, InputError> {
    let text = text(name, var)?;
    let error = |message: String| InputError::at(var.location(), message);
    match text.value.parse::<IpAddr>() {
        Ok(address) if is_seen(address) => Ok(Located::new(address, var.location())),
        Ok(address) => Err(error(format!(
            "{address} is not an address that other nodes see"
        ))),
        Err(_) => {
            let error = error(format!("`{}` is not an IP address", shown(&text.value)));
            Err(if text.value.contains('/') {
                error.hint("write one address, not a network")
            } else {
                error.label("firewalls know addresses, not names")
            })
        }
    }
}

/// Returns whether others can see a node under this address.
pub(super) fn is_seen(address: IpAddr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// Returns the name of a firewalld zone.
pub(super) fn zone(name: &str, var: &Var) -> Result<Located<String>, InputError> {
    let zone = text(name, var)?;
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if zone.value.len() > MAX_ZONE
        || !zone.value.chars().all(allowed)
        || zone.value.starts_with('-')
    {
        let error = InputError::at(
            var.location(),
            format!(
                "`{}` is not the name of a firewalld zone",
                shown(&zone.value)
            ),
        );
        return Err(error.label(format!("at most {MAX_ZONE} letters, digits, `_` and `-`")));
    }
    Ok(zone)
}
