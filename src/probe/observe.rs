//! All answers together: the node as it is seen.

use crate::model::ipset::SetViews;
use crate::model::rule::Target;
use crate::model::state::Daemon;
use crate::model::state::Firewall;
use crate::model::state::Firewalld;
use crate::model::state::Kernel;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::System;
use crate::model::state::Tables;
use crate::probe::docker;
use crate::probe::files;
use crate::probe::firewalld;
use crate::probe::firewalld_nft;
use crate::probe::guard;
use crate::probe::ipsets;
use crate::probe::iptables;
use crate::probe::records;
use crate::probe::sections::Answers;
use crate::probe::sections::FrameError;
use crate::probe::settings;
use crate::probe::settings::Side;
use crate::probe::system;

/// The table of fwdeploy's latch.
const LATCH: &str = "table inet fwdeploy_latch";

/// The comment of the latch's rules where there is no nft.
const LATCH_RULE: &str = "fwdeploy:latch";

/// The table of firewalld's nftables backend.
const FIREWALLD: &str = "table inet firewalld";

/// What firewalld's iptables backend has in INPUT, from 0.6 to 2.5.
const OWN_JUMP: &str = "-j INPUT_direct";

/// Why a reading has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The answer is not whole.
    #[error("the node's answer cannot be read: {frame}{}", said_at_the_end(.said))]
    Frame {
        /// What is wrong with it.
        frame: String,
        /// The last line on stderr, often the shell's own reason; empty if there is none.
        said: String,
    },
    /// A question without which nothing else can be judged has no answer.
    #[error("the node did not report its `{question}`: {why}")]
    System {
        /// The question.
        question: &'static str,
        /// Why it has no answer.
        why: String,
    },
}

fn said_at_the_end(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(" (`{said}`)"),
    }
}

/// Parses a node's answer to a reading.
///
/// # Errors
/// [`ProbeError`] if the answer is cut off or garbled, or does not even contain the user. A single question without an answer
/// is no error: its value is [`Observed::Unreadable`].
pub fn observe(stdout: &[u8], stderr: &[u8]) -> Result<NodeState, ProbeError> {
    let answers = Answers::parse(stdout).map_err(|frame: FrameError| ProbeError::Frame {
        frame: frame.to_string(),
        said: last_line(stderr),
    })?;
    let mut system =
        system::system(&answers).map_err(|(question, why)| ProbeError::System { question, why })?;
    system.firewalld_daemon = firewalld::daemon(&answers);
    system.docker_daemon = docker::daemon(&answers);
    system.settling = settling(&answers);
    let of_firewalld = Of(&system.firewalld_daemon, "firewalld");
    let of_docker = Of(&system.docker_daemon, "docker");
    let mut state = NodeState {
        firewalld: of_firewalld.observed(|| firewalld(&answers)),
        zone: of_firewalld.observed(|| firewalld::zone(&answers)),
        permanent: Firewall {
            direct: of_firewalld.observed(|| firewalld::permanent_direct(&answers)),
            rich: of_firewalld.observed(|| firewalld::permanent_rich(&answers)),
            settings: of_firewalld.observed(|| {
                settings::settings(&answers, Side::Permanent, &firewalld::zone(&answers)?)
            }),
        },
        files: of_firewalld.observed(|| files::files(&answers)),
        runtime: Firewall {
            direct: of_firewalld.observed(|| firewalld::runtime_direct(&answers)),
            rich: of_firewalld.observed(|| firewalld::runtime_rich(&answers)),
            settings: of_firewalld.observed(|| {
                settings::settings(&answers, Side::Runtime, &firewalld::zone(&answers)?)
            }),
        },
        kernel: Kernel {
            v4: Observed::from(tables(&answers, "iptables-save")),
            v6: Observed::from(tables(&answers, "ip6tables-save")),
            split: Observed::from(split(&answers)),
            latch: Observed::from(latch(&answers, &system)),
            ip_forward: Observed::from(ip_forward(&answers)),
            guard: guard::state(&answers),
            backend: firewalld_nft::backend(&answers).map(Observed::from),
        },
        sets: match of_firewalld.0.trouble(of_firewalld.1) {
            Some(_) => SetViews::default(),
            None => ipsets::sets(&answers),
        },
        docker: of_docker.observed(|| docker::docker(&answers)),
        records: Observed::from(records::records(&answers)),
        system,
    };
    with_its_own_zone(&mut state);
    Ok(state)
}

/// `firewall-cmd --set-default-zone` changes firewalld's memory and its file, but up to 1.3 not what firewalld reports of its file. A
/// file that has what firewalld has in force is no edit.
fn with_its_own_zone(state: &mut NodeState) {
    let (Some(files), Some(runtime), Some(permanent)) = (
        state.files.known(),
        state.runtime.settings.known(),
        state.permanent.settings.known_mut(),
    ) else {
        return;
    };
    if files.default_zone.says.known() == Some(&runtime.default_zone) {
        permanent.default_zone.clone_from(&runtime.default_zone);
    }
}

/// Why the node is still changing.
fn settling(answers: &Answers) -> Option<String> {
    // A firewalld that is on the bus may still be loading (its unit is of type simple since 2.4).
    if firewalld::firewalld(answers).is_ok_and(|firewalld| firewalld.state == "INIT") {
        return Some("firewalld is starting".to_string());
    }
    let told = answers.get("settling").ok()?.trim();
    (!told.is_empty()).then(|| told.to_string())
}

/// A daemon with its name: a missing answer has the daemon's trouble as its reason.
struct Of<'a>(&'a Daemon, &'static str);

impl Of<'_> {
    fn observed<T>(&self, read: impl FnOnce() -> Result<T, String>) -> Observed<T> {
        match self.0.trouble(self.1) {
            Some(trouble) => Observed::Unreadable(trouble),
            None => Observed::from(read()),
        }
    }
}

fn tables(answers: &Answers, name: &str) -> Result<Tables, String> {
    iptables::parse(answers.get(name)?)
}

/// The other backend is not queried if it is not installed, or was never used.
fn split(answers: &Answers) -> Result<bool, String> {
    if answers.was_skipped("other-save") {
        return Ok(false);
    }
    Ok(iptables::has_chain(&tables(answers, "other-save")?))
}

/// A table of nft, or rules in the mangle table where there is no nft.
fn latch(answers: &Answers, system: &System) -> Result<bool, String> {
    let closed = |tables: &Tables| {
        let rules = tables.chain("mangle", "FORWARD").map(|c| &c.rules);
        let mut rules = rules.into_iter().flatten();
        rules.any(|line| {
            let rule = line.rule.as_ref();
            rule.is_some_and(|r| {
                r.comment.as_deref() == Some(LATCH_RULE) && r.target == Target::Drop
            })
        })
    };
    if system.nft && has_table(answers, LATCH)? {
        return Ok(true);
    }
    // A node without IPv6 has no tables for it, and no latch in them.
    let v6 = tables(answers, "ip6tables-save").is_ok_and(|tables| closed(&tables));
    Ok(v6 || closed(&tables(answers, "iptables-save")?))
}

/// Whether nft has that table.
fn has_table(answers: &Answers, name: &str) -> Result<bool, String> {
    let tables = answers.get("nft-tables")?;
    if let Some(line) = tables.lines().find(|line| !line.starts_with("table ")) {
        return Err(format!("`{line}` is not a table of nft"));
    }
    Ok(tables.lines().any(|line| line.trim() == name))
}

/// Whether the kernel holds firewalld's rules: its table with the one backend, its chain in INPUT with the other.
fn in_kernel(answers: &Answers, backend: &str) -> Result<bool, String> {
    if backend == "nftables" {
        return has_table(answers, FIREWALLD);
    }
    let tables = tables(answers, "iptables-save")?;
    let input = tables.chain("filter", "INPUT");
    Ok(input.is_some_and(|chain| chain.rules.iter().any(|line| line.text == OWN_JUMP)))
}

fn firewalld(answers: &Answers) -> Result<Firewalld, String> {
    let firewalld = firewalld::firewalld(answers)?;
    Ok(Firewalld {
        in_kernel: Observed::from(in_kernel(answers, &firewalld.backend)),
        ..firewalld
    })
}

fn ip_forward(answers: &Answers) -> Result<bool, String> {
    match answers.get("ip_forward")?.trim() {
        "0" => Ok(false),
        // 2 and up are on as well: the kernel takes any number.
        number if number.parse::<u32>().is_ok() => Ok(true),
        other => Err(format!("`{other}` is not a value of net.ipv4.ip_forward")),
    }
}

fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or_default().to_string()
}
