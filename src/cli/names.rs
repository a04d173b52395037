//! DNS names of peers → their addresses, asked for side by side once a run, beside those that are pinned.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::cli::warning::Warning;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::LOCK_FILE;
use crate::inventory::Located;
use crate::inventory::Location;
use crate::model::host_name::Addresses;
use crate::model::host_name::HostName;
use crate::model::host_name::Names;
use crate::model::host_name::NotAPeer;
use crate::model::host_name::addresses_of_peer;
use crate::report::json::Moved;

/// How long all names of a run may take. The system's resolver gives up on one name after about as long (resolv.conf(5)).
const PATIENCE: Duration = Duration::from_secs(10);

/// How many names are asked for at a time.
const AT_A_TIME: usize = 32;

/// What the resolver says about a name: its addresses, or why there are none.
type Answer = Result<Vec<IpAddr>, String>;

/// Asks for the addresses of a name.
pub(super) type Ask = fn(&HostName) -> Answer;

/// Where the addresses of names come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lookup {
    /// From the resolver, as a run needs them.
    Asked(Ask),
    /// From the pins. A name that is not among them has no addresses, and a warning says so.
    Pinned,
    /// The same without a warning, for a command that shows nothing of it.
    PinnedQuietly,
}

/// Names that are wanted, in the order in which they are listed.
#[derive(Default)]
pub(super) struct Wanted {
    names: Vec<WantedName>,
    places: BTreeMap<HostName, usize>,
}

struct WantedName {
    name: HostName,
    /// Where it is listed first.
    location: Location,
    /// How many nodes list it.
    nodes: usize,
}

impl Wanted {
    /// Adds the names of one node.
    pub(super) fn add(&mut self, names: impl IntoIterator<Item = Located<HostName>>) {
        let mut of_node = BTreeSet::new();
        for Located {
            value: name,
            location,
        } in names
        {
            // A peer may be listed for both directions.
            if !of_node.insert(name.clone()) {
                continue;
            }
            match self.places.get(&name) {
                Some(place) => self.names[*place].nodes += 1,
                None => {
                    self.places.insert(name.clone(), self.names.len());
                    self.names.push(WantedName {
                        name,
                        location,
                        nodes: 1,
                    });
                }
            }
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, none of which leads to an address yet.
    pub(super) fn unresolved(&self) -> Names {
        let none = |wanted: &WantedName| (wanted.name.clone(), BTreeSet::new());
        Names {
            current: self.names.iter().map(none).collect(),
            earlier: Addresses::new(),
        }
    }
}

impl WantedName {
    fn remark(&self, text: String) -> InputError {
        InputError::at(self.location.clone(), text)
    }

    fn warning(&self, error: InputError) -> Warning {
        Warning {
            error,
            nodes: Some(self.nodes),
            moved: None,
        }
    }
}

/// What names lead to, and what is to be said about it.
pub(super) struct Resolved {
    /// The addresses that count, and those that are pinned.
    pub(super) names: Names,
    /// Names that have moved, or that do not resolve.
    pub(super) warnings: Vec<Warning>,
}

/// The addresses of names as they are pinned. Nobody is asked.
pub(super) fn from_pins(wanted: &Wanted, pinned: &Addresses) -> Resolved {
    let mut names = wanted.unresolved();
    let mut warnings = Vec::new();
    for (name, addresses) in &mut names.current {
        if let Some(pinned) = pinned.get(name) {
            addresses.clone_from(pinned);
        }
    }
    for one in &wanted.names {
        if !pinned.contains_key(&one.name) {
            let error = one.remark(format!(
                "no run has used the name `{}` yet: its addresses are not known here",
                one.name
            ));
            warnings.push(one.warning(error.hint(format!(
                "`fwdeploy run --check` asks for them, and a run pins them in `{LOCK_FILE}`"
            ))));
        }
    }
    names.earlier.clone_from(pinned);
    Resolved { names, warnings }
}

/// Asks for the addresses of names, all side by side.
///
/// # Errors
/// A name leads to what is no peer, or to nothing and was never pinned.
pub(super) fn resolve(
    wanted: &Wanted,
    pinned: &Addresses,
    lock: &Path,
    ask: Ask,
) -> Result<Resolved, InputErrors> {
    resolve_within(wanted, pinned, lock, ask, PATIENCE)
}

fn resolve_within(
    wanted: &Wanted,
    pinned: &Addresses,
    lock: &Path,
    ask: Ask,
    patience: Duration,
) -> Result<Resolved, InputErrors> {
    let mut answers = ask_all(wanted, ask, patience);
    let mut errors = InputErrors::none();
    let mut warnings = Vec::new();
    let mut names = wanted.unresolved();
    for one in &wanted.names {
        let name = &one.name;
        let answer = answers.remove(name).unwrap_or_else(|| {
            let seconds = patience.as_secs();
            Err(format!("there was no answer within {seconds} s"))
        });
        let found = match answer.map(addresses_of_peer) {
            Ok(Ok(now)) => Ok(now),
            Ok(Err(why @ (NotAPeer::Special(_) | NotAPeer::TooMany))) => {
                errors.push(
                    one.remark(format!("the name `{name}` is refused: {why}"))
                        .hint("correct it in DNS, or list the peer's addresses"),
                );
                continue;
            }
            Ok(Err(why @ NotAPeer::Nothing)) => Err(why.to_string()),
            Err(why) => Err(why),
        };
        let now = match (found, pinned.get(name)) {
            (Ok(now), Some(old)) if now != *old => {
                warnings.push(moved(one, old, &now));
                now
            }
            (Ok(now), _) => now,
            (Err(why), Some(old)) => {
                warnings.push(lost(one, &why, old, lock));
                old.clone()
            }
            (Err(why), None) => {
                errors.push(not_found(one, &why));
                continue;
            }
        };
        names.current.insert(name.clone(), now);
    }
    names.earlier.clone_from(pinned);
    errors.or(Resolved { names, warnings })
}

fn moved(name: &WantedName, old: &BTreeSet<IpAddr>, new: &BTreeSet<IpAddr>) -> Warning {
    let error = name.remark(format!(
        "the name `{}` has moved from {} to {}",
        name.name,
        list(old),
        list(new)
    ));
    let texts = |addresses: &BTreeSet<IpAddr>| addresses.iter().map(ToString::to_string).collect();
    Warning {
        moved: Some(Moved {
            name: name.name.to_string(),
            from: texts(old),
            to: texts(new),
        }),
        ..name.warning(error.hint(
            "a run lets in what the name leads to now; list the addresses themselves if they must not change",
        ))
    }
}

fn lost(name: &WantedName, why: &str, old: &BTreeSet<IpAddr>, lock: &Path) -> Warning {
    let error = name.remark(format!(
        "the name `{}` does not resolve ({why}): its pinned addresses are used, {}",
        name.name,
        list(old)
    ));
    name.warning(error.hint(format!("they are in `{}`", lock.display())))
}

fn not_found(name: &WantedName, why: &str) -> InputError {
    name.remark(format!("the name `{}` does not resolve: {why}", name.name))
        .hint("check how it is written, or list the peer's addresses; no run has pinned any")
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// Asks for all names. Those without an answer in time are left out.
fn ask_all(wanted: &Wanted, ask: Ask, patience: Duration) -> BTreeMap<HostName, Answer> {
    let end = Instant::now() + patience;
    let names = wanted.names.iter().map(|wanted| wanted.name.clone());
    let queue = Arc::new(Mutex::new(VecDeque::from_iter(names)));
    let count = wanted.names.len();
    let (sender, receiver) = mpsc::channel();
    let mut answers = BTreeMap::new();
    for _ in 0..count.min(AT_A_TIME) {
        let (queue, sender) = (Arc::clone(&queue), sender.clone());
        // It is not waited for: the system's resolver cannot be interrupted.
        let started = thread::Builder::new().spawn(move || {
            loop {
                let next = queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(name) = next else { break };
                let answer = ask(&name);
                if sender.send((name, answer)).is_err() {
                    break;
                }
            }
        });
        // Those that have started take the others' names.
        if started.is_err() {
            break;
        }
    }
    drop(sender);
    while answers.len() < count {
        let left = end.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok((name, answer)) => drop(answers.insert(name, answer)),
            Err(_) => break,
        }
    }
    // Nobody asks for what nobody waits for.
    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    answers
}

/// Asks the system's resolver: /etc/hosts, DNS, and whatever else nsswitch.conf(5) names.
pub(super) fn ask_system(name: &HostName) -> Answer {
    match (name.as_str(), 0).to_socket_addrs() {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        Err(error) => {
            let text = error.to_string();
            let reason = text.strip_prefix("failed to lookup address information: ");
            Err(reason.unwrap_or(&text).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::location::Source;
    use crate::inventory::location::Span;

    fn wanted(names: &[&str]) -> Wanted {
        let source = Arc::new(Source::file("inventory.yml", names.join("\n")));
        let mut wanted = Wanted::default();
        let mut start = 0;
        let mut locate = |name: &&str| {
            let span = Span {
                start,
                end: start + name.len(),
            };
            start = span.end + 1;
            let location = Location::new(Arc::clone(&source), span);
            Located::new(name.parse().unwrap(), location)
        };
        let located: Vec<Located<HostName>> = names.iter().map(&mut locate).collect();
        wanted.add(located);
        wanted
    }

    fn pins(names: &[(&str, &str)]) -> Addresses {
        let pin = |(name, addresses): &(&str, &str)| {
            let addresses = addresses.split(' ').map(|one| one.parse().unwrap());
            (name.parse().unwrap(), addresses.collect())
        };
        names.iter().map(pin).collect()
    }

    /// What names lead to is in the name: `203-0-113-9.org` and `203-0-113-9.2001--7.org` have those addresses.
    fn answer(name: &HostName) -> Answer {
        let labels = name.as_str().split('.');
        let labels = labels.filter(|label| label.contains('-') || *label == "none");
        match name.as_str() {
            "slow.org" => {
                thread::sleep(Duration::from_secs(600));
                Ok(Vec::new())
            }
            "lost.org" => Err("Name or service not known".to_string()),
            "empty.org" => Ok(Vec::new()),
            "moved.org" => Ok(vec![[203, 0, 113, 9].into()]),
            "many.org" => Ok((0..=64).map(|last| [203, 0, 113, last].into()).collect()),
            "mapped.org" => Ok(vec!["::ffff:203.0.113.9".parse().unwrap()]),
            _ => Ok(labels
                .map(|label| label.replace('-', ".").parse().unwrap())
                .collect()),
        }
    }

    fn resolved(names: &[&str], pinned: &Addresses) -> Result<Resolved, InputErrors> {
        let lock = Path::new("inv/fwdeploy.lock");
        resolve_within(&wanted(names), pinned, lock, answer, Duration::from_secs(2))
    }

    fn messages(resolved: &Resolved) -> Vec<&str> {
        let warnings = resolved.warnings.iter();
        warnings.map(|warning| warning.error.message()).collect()
    }

    #[test]
    fn a_name_leads_to_what_the_resolver_says_and_a_moved_one_is_told_with_old_and_new() {
        let pinned = pins(&[
            ("moved.org", "203.0.113.8 2001:db8::8"),
            ("203-0-113-7.same.org", "203.0.113.7"),
            ("unused.org", "203.0.113.1"),
        ]);
        let names = [
            "moved.org",
            "203-0-113-7.same.org",
            "203-0-113-6.new.org",
            "mapped.org",
        ];
        let resolved = resolved(&names, &pinned).ok().unwrap();
        assert_eq!(
            messages(&resolved),
            ["the name `moved.org` has moved from 203.0.113.8, 2001:db8::8 to 203.0.113.9"]
        );
        let warning = &resolved.warnings[0];
        assert!(warning.error.to_string().starts_with("inventory.yml:1:1:"));
        let moved = warning.moved.as_ref().unwrap();
        assert_eq!(
            (&*moved.name, &*moved.to),
            ("moved.org", &["203.0.113.9".to_string()][..])
        );
        assert_eq!(moved.from, ["203.0.113.8", "2001:db8::8"]);
        let current = pins(&[
            ("moved.org", "203.0.113.9"),
            ("203-0-113-7.same.org", "203.0.113.7"),
            ("203-0-113-6.new.org", "203.0.113.6"),
            ("mapped.org", "203.0.113.9"),
        ]);
        assert_eq!(resolved.names.current, current);
        assert_eq!(resolved.names.earlier, pinned);
    }

    #[test]
    fn a_name_that_does_not_resolve_keeps_its_pinned_addresses_and_without_any_is_an_error() {
        let pinned = pins(&[
            ("lost.org", "203.0.113.8"),
            ("empty.org", "203.0.113.7"),
            ("slow.org", "203.0.113.6"),
        ]);
        let names = ["lost.org", "empty.org", "slow.org"];
        let kept = resolved(&names, &pinned).ok().unwrap();
        assert_eq!(kept.names.current, pinned);
        assert_eq!(
            messages(&kept),
            [
                "the name `lost.org` does not resolve (Name or service not known): its pinned addresses are used, 203.0.113.8",
                "the name `empty.org` does not resolve (it has no address): its pinned addresses are used, 203.0.113.7",
                "the name `slow.org` does not resolve (there was no answer within 2 s): its pinned addresses are used, 203.0.113.6",
            ]
        );
        assert!(
            kept.warnings[0]
                .error
                .hint_text()
                .unwrap()
                .contains("inv/fwdeploy.lock")
        );
        let errors = resolved(&names, &Addresses::new()).err().unwrap();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3);
        for (number, why) in [
            "Name or service not known",
            "it has no address",
            "no answer within 2 s",
        ]
        .iter()
        .enumerate()
        {
            let error = &errors[number];
            assert!(
                error.starts_with(&format!("inventory.yml:{}:1: ", number + 1)),
                "{error}"
            );
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_name_that_leads_to_no_peer_is_refused_also_if_it_is_pinned() {
        for name in [
            "127-0-0-1.org",
            "0-0-0-0.org",
            "224-0-0-1.org",
            "203-0-113-7.169-254-169-254.org",
            "many.org",
        ] {
            for pinned in [Addresses::new(), pins(&[(name, "203.0.113.8")])] {
                let errors = resolved(&[name], &pinned).err().unwrap();
                let text = errors.to_string();
                assert!(
                    text.contains(&format!("the name `{name}` is refused: ")),
                    "{text}"
                );
                assert!(text.starts_with("inventory.yml:1:1"), "{text}");
            }
        }
    }

    /// To see it fail: ask for one name after the other.
    #[test]
    fn names_are_asked_for_side_by_side_and_each_once() {
        static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        fn slow(name: &HostName) -> Answer {
            ASKED.lock().unwrap().push(name.to_string());
            thread::sleep(Duration::from_millis(200));
            answer(name)
        }
        let names: Vec<String> = (0..40).map(|n| format!("203-0-113-{n}.org")).collect();
        let all: Vec<&str> = names.iter().chain(&names).map(String::as_str).collect();
        let wanted = wanted(&all);
        let begun = Instant::now();
        let lock = Path::new(LOCK_FILE);
        let patience = Duration::from_secs(5);
        let found = resolve_within(&wanted, &Addresses::new(), lock, slow, patience);
        assert_eq!(found.ok().unwrap().names.current.len(), 40);
        assert!(begun.elapsed() < Duration::from_secs(4));
        let mut asked = ASKED.lock().unwrap().clone();
        asked.sort();
        let mut expected = names;
        expected.sort();
        assert_eq!(asked, expected);
    }

    #[test]
    fn pins_alone_ask_nobody_and_an_unknown_name_is_told() {
        let pinned = pins(&[("lost.org", "203.0.113.8"), ("other.org", "203.0.113.1")]);
        let found = from_pins(&wanted(&["lost.org", "slow.org"]), &pinned);
        let of = |name: &str| found.names.current[&name.parse().unwrap()].clone();
        assert_eq!(of("lost.org"), pinned[&"lost.org".parse().unwrap()]);
        assert!(of("slow.org").is_empty());
        assert_eq!(found.names.current.len(), 2);
        assert_eq!(
            messages(&found),
            ["no run has used the name `slow.org` yet: its addresses are not known here"]
        );
    }

    #[test]
    fn a_name_counts_the_nodes_that_list_it() {
        let mut all = wanted(&["a.org", "a.org", "b.org"]);
        let again = wanted(&["b.org"]);
        let location = again.names[0].location.clone();
        all.add([Located::new(again.names[0].name.clone(), location)]);
        let counts: Vec<(&str, usize)> = all
            .names
            .iter()
            .map(|one| (one.name.as_str(), one.nodes))
            .collect();
        assert_eq!(counts, [("a.org", 1), ("b.org", 2)]);
    }
}
