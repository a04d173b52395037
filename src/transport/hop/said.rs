//! What the arguments alone say, where there is no configuration of ssh's to ask about.

use std::time::Duration;

use crate::model::SshArguments;
use crate::transport::HostKeyChecking;

/// Which addresses of a name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Family {
    Any,
    Inet,
    Inet6,
}

/// Which methods of login may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) struct Methods {
    pub(in crate::transport) keys: bool,
    pub(in crate::transport) interactive: bool,
    pub(in crate::transport) password: bool,
}

/// What was said of a connection. `None` is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) hostname: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) identity_files: Option<Vec<String>>,
    pub(super) identities_only: bool,
    pub(super) identity_agent: Option<String>,
    pub(super) certificate_files: Vec<String>,
    pub(super) proxy: Option<SaidProxy>,
    pub(super) user_known_hosts: Option<Vec<String>>,
    pub(super) global_known_hosts: Option<Vec<String>>,
    pub(super) host_key_alias: Option<String>,
    pub(super) hashes_names: bool,
    pub(super) checking: Option<HostKeyChecking>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) keepalive: Option<Duration>,
    pub(super) unanswered: Option<u32>,
    pub(super) family: Family,
    pub(super) methods: Option<Methods>,
    pub(super) batch: bool,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            hostname: None,
            port: None,
            user: None,
            identity_files: None,
            identities_only: false,
            identity_agent: None,
            certificate_files: Vec::new(),
            proxy: None,
            user_known_hosts: None,
            global_known_hosts: None,
            host_key_alias: None,
            hashes_names: false,
            checking: None,
            connect_timeout: None,
            keepalive: None,
            unanswered: None,
            family: Family::Any,
            methods: None,
            batch: false,
        }
    }
}

/// `ProxyJump` or `ProxyCommand`, whichever is first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SaidProxy {
    Jump(String),
    Command(String),
}

impl Said {
    /// What the arguments say; the first of a name counts, except for files of keys.
    pub(super) fn of_arguments(arguments: &SshArguments) -> Result<Self, String> {
        let value = |name: &str| arguments.value(name);
        let all = |name: &str| -> Vec<String> {
            let named = arguments.options().filter(|(option, _)| *option == name);
            named
                .map(|(_, value)| crate::model::ssh_arguments::unquoted(value).to_owned())
                .collect()
        };
        let list = |name: &str| -> Result<Option<Vec<String>>, String> {
            let line = arguments.options().find(|(option, _)| *option == name);
            let Some((_, line)) = line else {
                return Ok(None);
            };
            let words = shlex::split(line).ok_or(format!("`{name}`: a quote is not closed"))?;
            Ok(Some(words))
        };
        let flag = |name: &str| -> Result<Option<bool>, String> {
            match value(name).map(str::to_ascii_lowercase).as_deref() {
                None => Ok(None),
                Some("yes" | "true") => Ok(Some(true)),
                Some("no" | "false") => Ok(Some(false)),
                Some(other) => Err(format!("`{name}` is `{other}`, and not yes or no")),
            }
        };
        let identity_files = all("identityfile");
        Ok(Self {
            hostname: value("hostname").map(str::to_owned),
            port: match value("port") {
                Some(port) => Some(port.parse().map_err(|_| format!("`{port}` is no port"))?),
                None => None,
            },
            user: value("user").map(str::to_owned),
            identity_files: (!identity_files.is_empty()).then_some(identity_files),
            identities_only: flag("identitiesonly")?.unwrap_or(false),
            identity_agent: value("identityagent").map(str::to_owned),
            certificate_files: all("certificatefile"),
            proxy: arguments
                .options()
                .find_map(|(name, value)| {
                    let value = crate::model::ssh_arguments::unquoted(value);
                    let proxy = match name {
                        "proxyjump" => SaidProxy::Jump(value.to_owned()),
                        "proxycommand" => SaidProxy::Command(value.to_owned()),
                        _ => return None,
                    };
                    Some((!value.eq_ignore_ascii_case("none")).then_some(proxy))
                })
                .flatten(),
            user_known_hosts: list("userknownhostsfile")?,
            global_known_hosts: list("globalknownhostsfile")?,
            // ssh compares names in lower case.
            host_key_alias: value("hostkeyalias").map(str::to_ascii_lowercase),
            hashes_names: flag("hashknownhosts")?.unwrap_or(false),
            checking: match value("stricthostkeychecking") {
                Some(word) => checking(word)?,
                None => None,
            },
            connect_timeout: seconds("connecttimeout", value("connecttimeout"))?,
            keepalive: seconds("serveraliveinterval", value("serveraliveinterval"))?,
            unanswered: match value("serveralivecountmax") {
                Some(count) => {
                    Some(count.parse().map_err(|_| {
                        format!("`ServerAliveCountMax` is `{count}`, and no number")
                    })?)
                }
                None => None,
            },
            family: match value("addressfamily") {
                Some(word) => family(word)?,
                None => Family::Any,
            },
            methods: {
                let interactive = flag("kbdinteractiveauthentication")?
                    .or(flag("challengeresponseauthentication")?);
                let keys = flag("pubkeyauthentication");
                let password = flag("passwordauthentication")?;
                methods(
                    keys?,
                    interactive,
                    password,
                    value("preferredauthentications"),
                )
            },
            batch: flag("batchmode")?.unwrap_or(false),
        })
    }
}

/// `None` if nothing is said about any of them.
pub(super) fn methods(
    keys: Option<bool>,
    interactive: Option<bool>,
    password: Option<bool>,
    preferred: Option<&str>,
) -> Option<Methods> {
    if keys.is_none() && interactive.is_none() && password.is_none() && preferred.is_none() {
        return None;
    }
    let listed = |name: &str| preferred.is_none_or(|list| list.split(',').any(|it| it == name));
    Some(Methods {
        keys: keys.unwrap_or(true) && listed("publickey"),
        interactive: interactive.unwrap_or(true) && listed("keyboard-interactive"),
        password: password.unwrap_or(true) && listed("password"),
    })
}

/// `StrictHostKeyChecking`. With `no`, ssh also goes on where the key has changed; here a changed key is always refused.
pub(super) fn checking(word: &str) -> Result<Option<HostKeyChecking>, String> {
    match word.to_ascii_lowercase().as_str() {
        "ask" => Ok(None),
        "yes" | "true" => Ok(Some(HostKeyChecking::Strict)),
        "no" | "false" | "off" | "accept-new" => Ok(Some(HostKeyChecking::AcceptNew)),
        other => Err(format!(
            "`StrictHostKeyChecking` is `{other}`, and not yes, accept-new, no or ask"
        )),
    }
}

pub(super) fn family(word: &str) -> Result<Family, String> {
    match word.to_ascii_lowercase().as_str() {
        "any" => Ok(Family::Any),
        "inet" => Ok(Family::Inet),
        "inet6" => Ok(Family::Inet6),
        other => Err(format!(
            "`AddressFamily` is `{other}`, and not any, inet or inet6"
        )),
    }
}

/// A time as ssh writes it: `10`, `30s`, `1m`, `1m30s`; `none` and zero are the default.
pub(super) fn seconds(name: &str, text: Option<&str>) -> Result<Option<Duration>, String> {
    let Some(text) = text.filter(|text| !text.eq_ignore_ascii_case("none")) else {
        return Ok(None);
    };
    let wrong = || format!("`{name}` is `{text}`, and no time");
    let mut total: u64 = 0;
    let mut number = String::new();
    for c in text.chars() {
        let unit = match c.to_ascii_lowercase() {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let value: u64 = number.parse().map_err(|_| wrong())?;
        total = value
            .checked_mul(unit)
            .and_then(|it| total.checked_add(it))
            .ok_or_else(wrong)?;
        number.clear();
    }
    if !number.is_empty() {
        let value: u64 = number.parse().map_err(|_| wrong())?;
        total = total.checked_add(value).ok_or_else(wrong)?;
    } else if text.is_empty() {
        return Err(wrong());
    }
    // A day is longer than anything here lasts, and adds to every clock without overflow.
    Ok((total > 0).then(|| Duration::from_secs(total.min(86_400))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_ssh_writes_them() {
        let read = |text| seconds("x", Some(text)).map(|it| it.map_or(0, |it| it.as_secs()));
        for (text, expected) in [
            ("10", 10),
            ("0", 0),
            ("none", 0),
            ("30s", 30),
            ("1m30s", 90),
            ("1h", 3600),
            ("1m5", 65),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "x",
            "s",
            "-1",
            "1y",
            "99999999999999999999",
            "9999999999999999999w",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_proxy_counts_also_if_it_is_none() {
        let proxy = |line: &str| {
            let arguments = SshArguments::parse(line).unwrap();
            Said::of_arguments(&arguments).unwrap().proxy
        };
        assert_eq!(
            proxy("-J a -o ProxyCommand=x"),
            Some(SaidProxy::Jump("a".to_owned()))
        );
        assert_eq!(
            proxy("-o ProxyCommand=x -J a"),
            Some(SaidProxy::Command("x".to_owned()))
        );
        assert_eq!(proxy("-o ProxyCommand=none -J a"), None);
        assert_eq!(proxy(""), None);
    }
}
