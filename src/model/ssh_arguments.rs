//! Arguments of the program `ssh`, as Ansible's variables hold them: `-o ProxyJump=bastion -o StrictHostKeyChecking=no`.

/// Options of one letter of ssh 10.0 that take a value.
const WITH_VALUE: &str = "bceilmopBDEFIJLOPQRSWw";

/// Those that take none.
const WITHOUT_VALUE: &str = "1246afgknqstvxACGKMNTVXYy";

/// A line of arguments of ssh, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshArguments {
    options: Vec<(String, String)>,
    config_file: Option<String>,
    others: Vec<String>,
}

/// What fwdeploy's own ssh client makes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It does what the option says.
    Heeded,
    /// It has nothing that the option could change.
    WithoutEffect,
    /// It cannot do what the option says, for this reason, and does not go on as if the option were not there.
    Refused(&'static str),
}

impl SshArguments {
    /// Takes a line apart, in the quoting of a shell, as Ansible does.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without a full stop.
    pub fn parse(line: &str) -> Result<Self, String> {
        let words = shlex::split(line).ok_or("a quote is not closed")?;
        let mut arguments = Self::default();
        let mut words = words
            .iter()
            .map(|word| word.trim())
            .filter(|w| !w.is_empty());
        while let Some(word) = words.next() {
            let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                return Err(format!("`{word}` is no option of ssh"));
            };
            for (at, letter) in letters.char_indices() {
                if WITHOUT_VALUE.contains(letter) {
                    arguments.flag(letter);
                    continue;
                }
                if !WITH_VALUE.contains(letter) {
                    return Err(format!("ssh has no option `-{letter}`"));
                }
                let attached = &letters[at + letter.len_utf8()..];
                let value = match attached {
                    "" => words.next().ok_or(format!("`-{letter}` has no value"))?,
                    _ => attached,
                };
                arguments.letter(letter, value)?;
                break;
            }
        }
        Ok(arguments)
    }

    fn flag(&mut self, letter: char) {
        match letter {
            '4' => self.push("addressfamily", "inet"),
            '6' => self.push("addressfamily", "inet6"),
            letter => self.others.push(format!("-{letter}")),
        }
    }

    fn letter(&mut self, letter: char, value: &str) -> Result<(), String> {
        match letter {
            'o' => {
                let (keyword, value) = value
                    .trim_start()
                    .split_once(|c: char| c == '=' || c.is_whitespace())
                    .ok_or(format!("`-o {value}` has no value: write `-o NAME=VALUE`"))?;
                let value = value.trim().trim_start_matches('=').trim();
                if value.is_empty() {
                    return Err(format!("`-o {keyword}=` has no value"));
                }
                self.push(keyword, value);
            }
            'J' => self.push("proxyjump", value),
            'i' => self.push("identityfile", &format!("\"{value}\"")),
            'l' => self.push("user", value),
            'p' => self.push("port", value),
            'F' => self.config_file = Some(value.to_owned()),
            letter => self.others.push(format!("-{letter}")),
        }
        if let Some(port) = self.options.last().filter(|(name, _)| name == "port")
            && !port.1.parse::<u16>().is_ok_and(|port| port > 0)
        {
            return Err(format!("`{}` is no port", port.1));
        }
        Ok(())
    }

    /// Adds an option, such as `Port` and `2222`. The first of a name counts, as with ssh.
    pub fn push(&mut self, keyword: &str, value: &str) {
        self.options
            .push((keyword.to_ascii_lowercase(), value.to_owned()));
    }

    /// Adds everything of another line.
    pub fn extend(&mut self, other: &SshArguments) {
        self.options.extend(other.options.iter().cloned());
        self.others.extend(other.others.iter().cloned());
        self.config_file = other.config_file.clone().or(self.config_file.take());
    }

    /// The options in their order, names in lower case.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        let options = self.options.iter();
        options.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of an option, without quotes.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut named = self.options().filter(|(option, _)| *option == name);
        named.next().map(|(_, value)| unquoted(value))
    }

    /// The file of `-F`, the last one counts.
    pub fn config_file(&self) -> Option<&str> {
        self.config_file.as_deref()
    }

    /// What is no `-o` option, such as `-C`, `-A` or `-L`.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.others.iter().map(String::as_str)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each option as it is called, with what becomes of it.
    pub fn uses(&self) -> impl Iterator<Item = (String, Use)> {
        let options = self.options();
        let options = options.map(|(name, value)| (spelling(name), use_of(name, unquoted(value))));
        let others = self.others();
        options.chain(others.map(|other| (other.to_owned(), use_of_flag(other))))
    }
}

/// A value without the double quotes around it.
pub fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// The options that are heeded, as OpenSSH spells them.
const HEEDED: [&str; 24] = [
    "AddressFamily",
    "BatchMode",
    "CertificateFile",
    "ConnectTimeout",
    "GlobalKnownHostsFile",
    "HashKnownHosts",
    "HostKeyAlias",
    "HostName",
    "IdentitiesOnly",
    "IdentityAgent",
    "IdentityFile",
    "KbdInteractiveAuthentication",
    "ChallengeResponseAuthentication",
    "PasswordAuthentication",
    "Port",
    "PreferredAuthentications",
    "ProxyCommand",
    "ProxyJump",
    "PubkeyAuthentication",
    "ServerAliveCountMax",
    "ServerAliveInterval",
    "StrictHostKeyChecking",
    "User",
    "UserKnownHostsFile",
];

/// Those that cannot matter: what they are about does not happen here, or without them it is only stricter.
const WITHOUT_EFFECT: [&str; 51] = [
    "AddKeysToAgent",
    "CanonicalDomains",
    "CanonicalizeFallbackLocal",
    "CanonicalizeHostname",
    "CanonicalizeMaxDots",
    "CanonicalizePermittedCNAMEs",
    "CheckHostIP",
    "ClearAllForwardings",
    "Compression",
    "ConnectionAttempts",
    "ControlMaster",
    "ControlPath",
    "ControlPersist",
    "EnableEscapeCommandline",
    "EnableSSHKeysign",
    "EscapeChar",
    "ExitOnForwardFailure",
    "FingerprintHash",
    "ForwardAgent",
    "ForwardX11",
    "ForwardX11Timeout",
    "ForwardX11Trusted",
    "GatewayPorts",
    "GSSAPIAuthentication",
    "GSSAPIDelegateCredentials",
    "HostbasedAcceptedAlgorithms",
    "HostbasedAuthentication",
    "IgnoreUnknown",
    "IPQoS",
    "LogLevel",
    "LogVerbose",
    "NoHostAuthenticationForLocalhost",
    "NumberOfPasswordPrompts",
    "ObscureKeystrokeTiming",
    "PermitLocalCommand",
    "PermitRemoteOpen",
    "RekeyLimit",
    "RequestTTY",
    "SecurityKeyProvider",
    "SendEnv",
    "SetEnv",
    "StdinNull",
    "StreamLocalBindMask",
    "StreamLocalBindUnlink",
    "SyslogFacility",
    "Tag",
    "TCPKeepAlive",
    "UpdateHostKeys",
    "VerifyHostKeyDNS",
    "VisualHostKey",
    "XAuthLocation",
];

const ALGORITHMS: &str = "the algorithms are chosen here";
const FORWARD: &str = "nothing is forwarded here";
const ADDRESS: &str = "the connection would leave from another address";

/// Those that would be missed, with the reason.
const REFUSED: [(&str, &str); 20] = [
    ("BindAddress", ADDRESS),
    ("BindInterface", ADDRESS),
    ("CASignatureAlgorithms", ALGORITHMS),
    ("Ciphers", ALGORITHMS),
    ("DynamicForward", FORWARD),
    ("HostKeyAlgorithms", ALGORITHMS),
    ("KexAlgorithms", ALGORITHMS),
    ("KnownHostsCommand", "host keys are read from files only"),
    ("LocalCommand", "no command runs on this machine"),
    ("LocalForward", FORWARD),
    ("MACs", ALGORITHMS),
    ("PKCS11Provider", "keys on smart cards are not read"),
    (
        "ProxyUseFdpass",
        "no socket is taken over from a proxy command",
    ),
    ("PubkeyAcceptedAlgorithms", ALGORITHMS),
    ("PubkeyAcceptedKeyTypes", ALGORITHMS),
    ("RemoteCommand", "fwdeploy runs its own commands"),
    ("RemoteForward", FORWARD),
    ("RequiredRSASize", ALGORITHMS),
    ("RevokedHostKeys", "a revoked host key would be accepted"),
    ("Tunnel", FORWARD),
];

/// An option as OpenSSH spells it.
fn spelling(name: &str) -> String {
    let refused = REFUSED.iter().map(|(known, _)| known);
    let mut all = HEEDED.iter().chain(&WITHOUT_EFFECT).chain(refused);
    let known = all.find(|known| known.eq_ignore_ascii_case(name));
    known.map_or_else(|| name.to_owned(), |known| (*known).to_owned())
}

pub(crate) fn use_of(name: &str, value: &str) -> Use {
    let is = |known: &&&str| known.eq_ignore_ascii_case(name);
    if HEEDED.iter().any(|known| is(&known)) {
        return Use::Heeded;
    }
    if WITHOUT_EFFECT.iter().any(|known| is(&known)) {
        return Use::WithoutEffect;
    }
    let harmless = ["no", "none", "false"].contains(&value.to_ascii_lowercase().as_str());
    match REFUSED.iter().find(|(known, _)| is(&known)) {
        Some(_) if harmless => Use::WithoutEffect,
        Some((_, why)) => Use::Refused(why),
        None => Use::Refused("it is not known here"),
    }
}

fn use_of_flag(flag: &str) -> Use {
    match flag {
        // Compression, quiet, verbose, agent and X11 forwarding or none of them, terminals, control sockets, log files, escapes.
        "-C" | "-q" | "-v" | "-A" | "-a" | "-X" | "-x" | "-Y" | "-T" | "-t" | "-K" | "-k"
        | "-M" | "-S" | "-E" | "-e" | "-n" | "-y" | "-2" => Use::WithoutEffect,
        "-b" | "-B" => Use::Refused(ADDRESS),
        "-c" | "-m" => Use::Refused(ALGORITHMS),
        "-D" | "-L" | "-R" | "-W" | "-w" | "-g" => Use::Refused(FORWARD),
        "-I" => Use::Refused("keys on smart cards are not read"),
        _ => Use::Refused("it changes what ssh does, and fwdeploy has its own way"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Vec<(String, String)> {
        SshArguments::parse(line).unwrap().options
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn every_way_to_write_an_option_is_the_same_option() {
        for line in [
            "-o Port=22",
            "-oPort=22",
            "-o 'Port 22'",
            "-o 'Port = 22'",
            "-o \"port=22\"",
            "-p 22",
            "-p22",
            "-Cp 22",
            "-vvp22",
        ] {
            assert_eq!(options(line), [pair("port", "22")], "{line}");
        }
        assert_eq!(
            options("-J a,b -i '/a b' -l eva -4"),
            [
                pair("proxyjump", "a,b"),
                pair("identityfile", "\"/a b\""),
                pair("user", "eva"),
                pair("addressfamily", "inet"),
            ]
        );
        let arguments = SshArguments::parse("-o Port=1 -o Port=2 -F one -F two").unwrap();
        assert_eq!(arguments.value("port"), Some("1"));
        assert_eq!(arguments.config_file(), Some("two"));
        let proxy = SshArguments::parse("-o ProxyCommand=\"ssh -W %h:%p -q bastion\"").unwrap();
        assert_eq!(proxy.value("proxycommand"), Some("ssh -W %h:%p -q bastion"));
    }

    #[test]
    fn what_is_no_argument_is_refused() {
        for (line, why) in [
            ("-o 'Port", "quote is not closed"),
            ("bastion", "`bastion` is no option"),
            ("-", "`-` is no option"),
            ("-J", "`-J` has no value"),
            ("-o Port", "write `-o NAME=VALUE`"),
            ("-o Port=", "has no value"),
            ("-p x", "`x` is no port"),
            ("-p 0", "`0` is no port"),
            ("-Z", "no option `-Z`"),
        ] {
            let error = SshArguments::parse(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn each_option_is_heeded_without_effect_or_refused_with_a_reason() {
        let uses = |line: &str| {
            let arguments = SshArguments::parse(line).unwrap();
            arguments.uses().collect::<Vec<_>>()
        };
        for line in ["-J x", "-o userknownhostsfile=/dev/null", "-i k"] {
            assert!(
                uses(line).iter().all(|(_, it)| *it == Use::Heeded),
                "{line}"
            );
        }
        for line in [
            "-C -o ControlMaster=auto -o ControlPersist=60s",
            "-A",
            "-o ProxyUseFdpass=no",
            "-q -vvv",
        ] {
            let all = uses(line);
            assert!(
                all.iter().all(|(_, it)| *it == Use::WithoutEffect),
                "{line}"
            );
        }
        for line in ["-o ciphers=aes128-cbc", "-L 1:a:2", "-o Nonsense=1", "-N"] {
            let all = uses(line);
            assert!(
                all.iter().all(|(_, it)| matches!(it, Use::Refused(_))),
                "{line}"
            );
        }
        assert_eq!(uses("-o ciphers=x")[0].0, "Ciphers");
    }
}
