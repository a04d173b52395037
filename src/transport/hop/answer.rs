//! What `ssh -G` prints: a keyword in lower case and its value on each line, defaults included.

use std::path::PathBuf;

use super::said::Family;
use super::said::Said;
use super::said::SaidProxy;
use super::said::checking;
use super::said::family;
use super::said::methods;
use super::said::seconds;
use super::tokens::at_home;
use crate::model::ssh_arguments::Use;
use crate::transport::ConnectOptions;

/// The key files of ssh 7.4 to 10.0 if nothing names one.
const DEFAULT_KEYS: [&str; 8] = [
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "id_xmss",
    "id_rsa_sk",
];

/// Options that would be missed; ssh prints them only if something sets them.
const MISSED: [&str; 6] = [
    "bindaddress",
    "bindinterface",
    "knownhostscommand",
    "pkcs11provider",
    "proxyusefdpass",
    "revokedhostkeys",
];

/// Reads the answer.
pub(super) fn read(text: &str) -> Result<Said, String> {
    let lines = || {
        text.lines()
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
    };
    let all = |name: &str| -> Vec<String> {
        let named = lines().filter(|(keyword, _)| keyword == name);
        named.map(|(_, value)| value.to_owned()).collect()
    };
    let value = |name: &str| lines().find(|(keyword, _)| keyword == name).map(|(_, v)| v);
    let flag = |name: &str| value(name).map(|word| matches!(word, "yes" | "true"));

    for (name, value) in lines() {
        if MISSED.contains(&name.as_str())
            && let Use::Refused(why) = crate::model::ssh_arguments::use_of(&name, value)
        {
            return Err(format!("ssh's configuration has `{name} {value}`: {why}"));
        }
    }
    let Some(hostname) = value("hostname") else {
        return Err("ssh -G did not say a host name".to_owned());
    };
    let port = value("port").and_then(|port| port.parse().ok());
    let default_user: Vec<String> = ["known_hosts", "known_hosts2"]
        .map(|name| at_home(&format!("~/.ssh/{name}")).display().to_string())
        .to_vec();
    let default_system: Vec<String> = ConnectOptions::system_known_hosts()
        .map(|path| path.display().to_string())
        .to_vec();
    let hosts = |name: &str, default: &[String]| {
        let named = value(name).map(paths)?;
        let whole = |name: &String| at_home(name).display().to_string();
        let is_default = named.iter().map(whole).eq(default.iter().cloned());
        (!is_default).then_some(named)
    };
    Ok(Said {
        hostname: Some(hostname.to_owned()),
        port,
        user: value("user").map(str::to_owned),
        identity_files: Some(all("identityfile")).filter(|files| !are_default(files)),
        identities_only: flag("identitiesonly").unwrap_or(false),
        identity_agent: value("identityagent").map(str::to_owned),
        certificate_files: all("certificatefile"),
        proxy: lines().find_map(|(name, value)| match name.as_str() {
            "proxyjump" if value != "none" => Some(SaidProxy::Jump(value.to_owned())),
            "proxycommand" if value != "none" => Some(SaidProxy::Command(value.to_owned())),
            _ => None,
        }),
        user_known_hosts: hosts("userknownhostsfile", &default_user),
        global_known_hosts: hosts("globalknownhostsfile", &default_system),
        host_key_alias: value("hostkeyalias").map(str::to_owned),
        hashes_names: flag("hashknownhosts").unwrap_or(false),
        checking: match value("stricthostkeychecking") {
            Some(word) => checking(word)?,
            None => None,
        },
        connect_timeout: seconds("connecttimeout", value("connecttimeout"))?,
        keepalive: seconds("serveraliveinterval", value("serveraliveinterval"))?,
        unanswered: value("serveralivecountmax").and_then(|count| count.parse().ok()),
        family: match value("addressfamily") {
            Some(word) => family(word)?,
            None => Family::Any,
        },
        methods: methods(
            // `unbound` and `host-bound` are ways of `yes`.
            value("pubkeyauthentication").map(|word| !matches!(word, "no" | "false")),
            flag("kbdinteractiveauthentication").or(flag("challengeresponseauthentication")),
            flag("passwordauthentication"),
            value("preferredauthentications"),
        ),
        batch: flag("batchmode").unwrap_or(false),
    })
}

/// Whether these are the files that ssh prints if none is configured.
fn are_default(files: &[String]) -> bool {
    let name = |file: &String| {
        let path = PathBuf::from(file);
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.filter(|name| at_home(file) == at_home(&format!("~/.ssh/{name}")))
    };
    files.is_empty()
        || files.len() >= 4
            && files
                .iter()
                .all(|file| name(file).is_some_and(|name| DEFAULT_KEYS.contains(&name.as_str())))
}

/// A list of paths with a blank between them. A path may hold blanks, too: a new one begins where a path or `none` can begin.
fn paths(line: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let begins = word.starts_with(['/', '~', '%', '$']) || word == "none";
        match paths.last_mut() {
            Some(last) if !begins => {
                last.push(' ');
                last.push_str(word);
            }
            _ => paths.push(word.to_owned()),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_blanks_stay_whole() {
        assert_eq!(paths("/a b/x /c"), ["/a b/x", "/c"]);
        assert_eq!(paths("~/a none"), ["~/a", "none"]);
        assert_eq!(paths("known"), ["known"]);
    }

    #[test]
    fn what_would_be_missed_is_refused() {
        for line in [
            "bindaddress 192.0.2.1",
            "revokedhostkeys /etc/ssh/revoked",
            "proxyusefdpass yes",
        ] {
            let error = read(&format!("hostname x\n{line}\n")).unwrap_err();
            assert!(error.contains(line), "{error}");
        }
        for line in ["proxyusefdpass no", "knownhostscommand none"] {
            read(&format!("hostname x\n{line}\n")).unwrap();
        }
        assert!(read("").is_err());
    }
}
