//! The tokens of ssh_config(5), which `ssh -G` leaves as they are: `%h`, `%r`, `~`, `${NAME}`.

use std::env;
use std::path::PathBuf;

use openssl::sha::sha1;
use rustix::process::getuid;
use rustix::system::uname;

use crate::transport::system_user::system_user;

/// What the tokens stand for.
pub(super) struct Tokens<'a> {
    /// The name as it was asked for.
    pub(super) original: &'a str,
    /// The name that is connected to.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The user to log in as; `None` is the user who runs this program.
    pub(super) user: Option<&'a str>,
    pub(super) alias: Option<&'a str>,
    /// The jump hosts.
    pub(super) jump: &'a str,
}

impl Tokens<'_> {
    /// Replaces the tokens in a text.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            let Some(token) = rest.next() else {
                return Err(format!("`{text}` ends with a `%`: write `%%`"));
            };
            let Some(value) = self.value(token) else {
                return Err(format!(
                    "`%{token}` in `{text}` is no token that is known here"
                ));
            };
            expanded.push_str(&value);
        }
        Ok(expanded)
    }

    fn value(&self, token: char) -> Option<String> {
        let this = || uname().nodename().to_string_lossy().into_owned();
        let own = || system_user().unwrap_or_default();
        let remote = || self.user.map_or_else(own, str::to_owned);
        Some(match token {
            '%' => "%".to_owned(),
            'h' => self.host.to_owned(),
            'n' => self.original.to_owned(),
            'k' => self.alias.unwrap_or(self.original).to_owned(),
            'p' => self.port.to_string(),
            'r' => remote(),
            'u' => own(),
            'd' => home()?,
            'i' => getuid().as_raw().to_string(),
            'l' => this(),
            'L' => this().split('.').next().unwrap_or_default().to_owned(),
            'j' => self.jump.to_owned(),
            'C' => {
                let all = format!(
                    "{}{}{}{}{}",
                    this(),
                    self.host,
                    self.port,
                    remote(),
                    self.jump
                );
                sha1(all.as_bytes())
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect()
            }
            _ => return None,
        })
    }

    /// A path with its tokens, its `~` and its `${NAME}` replaced.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let mut text = self.expand(text)?;
        while let Some((before, rest)) = text.split_once("${") {
            let Some((name, after)) = rest.split_once('}') else {
                return Err(format!("`{text}`: `${{` has no `}}`"));
            };
            let value = env::var(name).map_err(|_| format!("`{text}`: {name} is not set"))?;
            if value.contains("${") || text.len() > 4096 {
                return Err(format!("`{text}`: the value of {name} is no path"));
            }
            text = format!("{before}{value}{after}");
        }
        Ok(at_home(&text))
    }

    /// Whether names can be put into a shell's line, as ssh 9.6 and later ask of them.
    pub(super) fn check_for_shell(&self) -> Result<(), String> {
        let harmless = |text: &str| {
            !text.starts_with('-')
                && !text.contains(|c: char| {
                    c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}".contains(c)
                })
        };
        let user = self.user.unwrap_or_default();
        for name in [
            self.host,
            self.original,
            user,
            self.alias.unwrap_or_default(),
        ] {
            if !harmless(name) {
                return Err(format!(
                    "`{}` has characters that a `ProxyCommand` may not get",
                    name.escape_debug()
                ));
            }
        }
        Ok(())
    }
}

fn home() -> Option<String> {
    env::var("HOME").ok().filter(|home| !home.is_empty())
}

/// A path with its `~` replaced by the home directory.
pub(super) fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_and_unknown_ones_named() {
        let tokens = Tokens {
            original: "web",
            host: "web.example",
            port: 2222,
            user: Some("eva"),
            alias: None,
            jump: "gw",
        };
        assert_eq!(
            tokens.expand("nc %h %p # %n %k %r %j 100%%").unwrap(),
            "nc web.example 2222 # web web eva gw 100%"
        );
        assert!(tokens.expand("%Z").unwrap_err().contains("`%Z`"));
        assert!(tokens.expand("50%").unwrap_err().contains("write `%%`"));
        assert_eq!(
            tokens.path("/keys/%r@%h").unwrap(),
            PathBuf::from("/keys/eva@web.example")
        );
        assert!(tokens.path("${FWDEPLOY_NO_SUCH_VARIABLE}").is_err());
        tokens.check_for_shell().unwrap();
        for host in ["-oX", "a;b", "a b", "$(x)", "a`b", "a\nb"] {
            let tokens = Tokens { host, ..tokens };
            assert!(tokens.check_for_shell().is_err(), "{host:?}");
        }
    }
}
