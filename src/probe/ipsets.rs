//! Our address sets: in firewalld's files and memory (over D-Bus), in the kernel (`ipset save`), and in firewalld's tables (`nft -j`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::model::ipset::IpSet;
use crate::model::ipset::IpSets;
use crate::model::ipset::PREFIX;
use crate::model::ipset::SetViews;
use crate::model::ipset::is_ours;
use crate::model::state::Observed;
use crate::probe::busctl::Value;
use crate::probe::firewalld::ask;
use crate::probe::networking::whole;
use crate::probe::nft_json::each_object;
use crate::probe::sections::Answers;

/// The kinds that ours have.
const KINDS: [&str; 2] = ["hash:net", "hash:ip,port"];

/// Reads all of it.
pub fn sets(answers: &Answers) -> SetViews {
    let others = |question: &str| -> BTreeSet<String> {
        let mut names = names(answers, question).unwrap_or_default();
        names.retain(|name| !is_ours(name));
        names.into_iter().collect()
    };
    SetViews {
        usable: Observed::from(usable(answers)),
        permanent: Observed::from(of_firewalld(answers, "permanent-sets", "permanent-set:")),
        runtime: Observed::from(of_firewalld(answers, "runtime-sets", "set:")),
        kernel: Observed::from(whole(answers, "sets").and_then(saved)),
        nft: Observed::from(whole(answers, "nft-rules").and_then(in_nft)),
        permanent_others: others("permanent-sets"),
        runtime_others: others("runtime-sets"),
    }
}

/// Whether firewalld has found an ipset that works, and that knows the kinds.
fn usable(answers: &Answers) -> Result<bool, String> {
    let properties = ask(answers, "firewalld-properties", "a{sv}")?;
    let types = properties.entry("IPSetTypes").and_then(Value::texts);
    let types = types.unwrap_or_default();
    let knows = |kind: &&str| types.iter().any(|known| known == *kind);
    Ok(properties.entry("IPSet") == Some(&Value::Bool(true)) && KINDS.iter().all(knows))
}

fn names(answers: &Answers, question: &str) -> Result<Vec<String>, String> {
    let names = ask(answers, question, "as")?.texts();
    names.ok_or_else(|| "the names of its ipsets cannot be read".to_string())
}

fn of_firewalld(answers: &Answers, question: &str, each: &str) -> Result<IpSets, String> {
    let names = names(answers, question)?;
    let ours = names.into_iter().filter(|name| is_ours(name));
    ours.map(|name| {
        let settings = ask(answers, &format!("{each}{name}"), "(ssssa{ss}as)")?;
        let set = settings_of(&settings).ok_or_else(|| format!("ipset {name} cannot be read"))?;
        Ok((name, set))
    })
    .collect()
}

fn settings_of(settings: &Value) -> Option<IpSet> {
    let [_, _, _, kind, options, entries] = settings.members()? else {
        return None;
    };
    let pair = |pair: &Value| match pair.members()? {
        [key, value] => Some((key.text()?.to_string(), value.text()?.to_string())),
        _ => None,
    };
    let options: Vec<(String, String)> =
        options.array()?.iter().map(pair).collect::<Option<_>>()?;
    let entries = entries.texts()?;
    Some(IpSet::read(
        kind.text()?,
        options
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
        entries.iter().map(String::as_str),
    ))
}

/// Whether an option is what the kernel does by itself.
fn is_default((key, value): &(&str, &str)) -> bool {
    matches!(*key, "hashsize" | "bucketsize" | "initval")
        || matches!((*key, *value), ("family", "inet") | ("maxelem", "65536"))
}

/// The kind, the options and the entries of a set.
type Saved<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<&'a str>);

/// `ipset save`.
fn saved(text: &str) -> Result<IpSets, String> {
    let mut out: BTreeMap<&str, Saved<'_>> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["create", name, kind, options @ ..] => {
                let pairs = options.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                out.insert(name, (*kind, pairs.collect(), Vec::new()));
            }
            ["add", name, entry] => {
                if let Some((_, _, entries)) = out.get_mut(name) {
                    entries.push(entry);
                }
            }
            // An entry with a timeout, a counter or `nomatch`.
            ["add", name, ..] => {
                if let Some((_, _, entries)) = out.get_mut(name) {
                    let rest = line.split_once(name).map_or("", |(_, rest)| rest.trim());
                    entries.push(rest);
                }
            }
            _ => return Err(format!("`{line}` is not a line of ipset")),
        }
    }
    let ours = out.into_iter().filter(|(name, _)| is_ours(name));
    let read = |(name, (kind, options, entries)): (&str, Saved<'_>)| {
        let told = options.into_iter().filter(|option| !is_default(option));
        (name.to_string(), IpSet::read(kind, told, entries))
    };
    Ok(ours.map(read).collect())
}

/// The sets in the tables of firewalld, by the family of the table.
fn in_nft(text: &str) -> Result<BTreeMap<String, IpSets>, String> {
    let mut out = BTreeMap::new();
    let quoted = format!("\"{PREFIX}");
    // Tables without any of our names, however long, are not read once more.
    for line in text.lines().filter(|line| line.contains(&quoted)) {
        each_object(line, |kind, set| {
            let (Some(name), Some(family)) = (set["name"].as_str(), set["family"].as_str()) else {
                return;
            };
            if kind != "set" || set["table"] != "firewalld" || !is_ours(name) {
                return;
            }
            let elements: Vec<String> = set["elem"]
                .as_array()
                .into_iter()
                .flatten()
                .flat_map(element)
                .collect();
            let sets: &mut IpSets = out.entry(family.to_string()).or_default();
            let read = IpSet::read("", Vec::new(), elements.iter().map(String::as_str));
            sets.insert(name.to_string(), read);
        })?;
    }
    Ok(out)
}

/// An element as firewalld writes the entry; what is not understood stays in nft's words.
fn element(value: &Json) -> Vec<String> {
    let net = |value: &Json| match value {
        Json::String(address) => Some(address.clone()),
        other => {
            let prefix = other.get("prefix")?;
            Some(format!("{}/{}", prefix["addr"].as_str()?, prefix["len"]))
        }
    };
    let known = net(value).or_else(|| {
        let parts = value.get("concat")?.as_array()?;
        let [address, protocol, port] = parts.as_slice() else {
            return None;
        };
        Some(format!(
            "{},{}:{}",
            net(address)?,
            protocol.as_str()?,
            port.as_u64()?
        ))
    });
    vec![known.unwrap_or_else(|| value.to_string())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As bookworm's ipset 7.17 and nft 1.0.6 print what firewalld 1.3.3 has made.
    #[test]
    fn a_set_is_the_same_in_every_view() {
        let kernel = saved(
            "create fwdeploy-in4-0 hash:net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x560ffbb0\n\
             add fwdeploy-in4-0 192.0.2.7\nadd fwdeploy-in4-0 198.51.100.0/24\n\
             create ban hash:ip family inet hashsize 1024 maxelem 65536\nadd ban 192.0.2.8 timeout 9\n",
        )
        .unwrap();
        let nft = in_nft(
            r#"{"nftables": [{"table": {"family": "inet", "name": "firewalld", "handle": 1}}, {"set": {"family": "inet", "name": "fwdeploy-in4-0", "table": "firewalld", "type": "ipv4_addr", "handle": 2, "flags": ["interval"], "elem": ["192.0.2.7", {"prefix": {"addr": "198.51.100.0", "len": 24}}]}}]}"#,
        )
        .unwrap();
        assert_eq!(kernel.len(), 1);
        let (one, other) = (&kernel["fwdeploy-in4-0"], &nft["inet"]["fwdeploy-in4-0"]);
        assert_eq!(one.entries, other.entries);
        assert!(one.odd.is_empty() && other.odd.is_empty());
        assert!(one.options.is_empty(), "{one:?}");
    }

    #[test]
    fn what_is_not_an_entry_of_ours_is_kept_in_its_words() {
        let sets =
            saved("create fwdeploy-x hash:net family inet\nadd fwdeploy-x 192.0.2.7 nomatch\n")
                .unwrap();
        let odd = &sets["fwdeploy-x"].odd;
        assert_eq!(
            odd.iter().next().map(String::as_str),
            Some("192.0.2.7 nomatch")
        );
        assert!(saved("hello\n").is_err());
    }
}
