//! What is counted.

use std::fs;
use std::path::Path;

use fwdeploy::inventory::Inventory;
use fwdeploy::model::Desired;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::Port;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::plan;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::compile;
use fwdeploy::probe::observe;
use fwdeploy::report::render;
use fwdeploy::role::Policy;
use fwdeploy::role::Roles;

/// A piece of work at two sizes.
pub struct Work {
    /// What is done, and with what.
    pub name: &'static str,
    /// The smaller size.
    pub few: usize,
    /// The larger one.
    pub many: usize,
    /// Makes everything ready, and returns what is counted.
    pub prepare: fn(usize) -> Box<dyn FnMut()>,
}

/// All of it. The program is not optimised, and valgrind takes fifty times as long: all of it together takes two or three minutes.
pub const WORK: [Work; 8] = [
    Work {
        name: "load an inventory of hosts",
        few: 1_000,
        many: 10_000,
        prepare: load,
    },
    Work {
        name: "resolve a role with peers",
        few: 100,
        many: 1_000,
        prepare: resolve,
    },
    Work {
        name: "resolve a role on hosts that share its peers",
        few: 100,
        many: 1_000,
        prepare: share,
    },
    Work {
        name: "compile a policy with peers",
        few: 100,
        many: 1_000,
        prepare: compile_one,
    },
    Work {
        name: "plan the first run with peers",
        few: 500,
        many: 5_000,
        prepare: plan_first,
    },
    Work {
        // The larger one has five megabytes.
        name: "read iptables-save with rules",
        few: 4_000,
        many: 40_000,
        prepare: read_saved,
    },
    Work {
        name: "read the answer of a node with peers",
        few: 50,
        many: 500,
        prepare: read_answer,
    },
    Work {
        // Each node is the peer of all others: the size is the number of pairs.
        name: "check and render a mesh with pairs of nodes",
        few: 100,
        many: 1_600,
        prepare: mesh,
    },
];

/// An address for each number; neighbours are in one network.
fn address(number: usize) -> String {
    format!(
        "10.{}.{}.{}",
        number / 16_384,
        number / 128 % 128,
        number % 128 + 1
    )
}

fn with_inventory(text: &str) -> Inventory {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yml");
    fs::write(&path, text).unwrap();
    Inventory::load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn hosts(count: usize) -> String {
    let lines = (0..count).map(|number| {
        let address = address(number);
        format!("    n{number}: {{ansible_host: {address}, ansible_port: 2222}}\n")
    });
    lines.collect()
}

fn load(size: usize) -> Box<dyn FnMut()> {
    let text = format!(
        "all:\n  vars: {{ansible_user: root}}\n  hosts:\n{}",
        hosts(size)
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yml");
    fs::write(&path, text).unwrap();
    Box::new(move || {
        let _folder = &folder;
        let inventory = Inventory::load(&path, &[]).unwrap();
        let roles = Roles::built_in();
        let resolver = roles.resolver(&inventory);
        let read = inventory
            .nodes()
            .filter(|node| node.connection(&resolver).is_ok());
        assert_eq!(read.count(), size);
    })
}

/// One node with this many peers in its role.
fn one(peers: usize) -> Inventory {
    let peers: Vec<String> = (0..peers).map(address).collect();
    with_inventory(&format!(
        "all:\n  hosts:\n    a:\n      ansible_host: 192.0.2.1\n      fwdeploy_roles: [cybex]\n      cybex_peers: [{}]\n",
        peers.join(", ")
    ))
}

fn policies(inventory: &Inventory) -> Vec<Policy> {
    let node = inventory.nodes().next().unwrap();
    let policies = Roles::built_in().resolve(inventory, node);
    policies.unwrap_or_else(|errors| panic!("{errors}"))
}

fn context() -> NodeContext {
    NodeContext {
        ipsets: fwdeploy::model::Ipsets::default(),
        node: "a".to_string(),
        zone: None,
        ssh_port: Port::new(22).unwrap(),
        today: "2027-01-31".parse().unwrap(),
    }
}

fn desired(peers: usize) -> Desired {
    let policies = policies(&one(peers));
    compile(&policies, &context()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn resolve(size: usize) -> Box<dyn FnMut()> {
    let inventory = one(size);
    Box::new(move || assert_eq!(policies(&inventory)[0].inbound[0].from.len(), size))
}

fn share(size: usize) -> Box<dyn FnMut()> {
    let inventory = with_inventory(&format!(
        "all:\n  vars: {{fwdeploy_roles: [cybex], cybex_peers: [192.0.2.1, 192.0.2.2]}}\n  hosts:\n{}",
        hosts(size)
    ));
    Box::new(move || {
        let roles = Roles::built_in();
        let resolver = roles.resolver(&inventory);
        for node in inventory.nodes() {
            let (policies, _) = resolver.resolve_shared(node).unwrap();
            assert_eq!(policies.len(), 1);
        }
    })
}

fn compile_one(size: usize) -> Box<dyn FnMut()> {
    let policies = policies(&one(size));
    Box::new(move || {
        let desired = compile(&policies, &context()).unwrap();
        assert!(desired.rules.len() > 2 * size);
    })
}

fn plan_first(size: usize) -> Box<dyn FnMut()> {
    let (state, desired) = (read(&answer("fresh")), desired(size));
    Box::new(move || {
        let plan = plan(&state, &desired, &Allowed::default());
        assert!(plan.changes().len() > 3 * size);
        plan.satisfied(&desired, &state);
    })
}

/// What a node has answered.
fn answer(situation: &str) -> String {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/bookworm-nftables");
    let file = captures.join(situation).with_extension("stdout");
    fs::read_to_string(file).unwrap()
}

fn read(answer: &str) -> NodeState {
    observe(answer.as_bytes(), &[]).unwrap()
}

/// The answer with another text for one question.
fn with(answer: &str, question: &str, change: impl FnOnce(&str) -> String) -> String {
    let start = answer.find(&format!("\n= {question} ")).expect(question) + 1;
    let (head, rest) = answer[start..].split_once('\n').unwrap();
    let fields: Vec<&str> = head.split(' ').collect();
    let length: usize = fields[3].parse().unwrap();
    let changed = change(&rest[..length]);
    format!(
        "{}= {question} 0 {}\n{changed}{}",
        &answer[..start],
        changed.len(),
        &rest[length..]
    )
}

/// The peer of the captured whitelist.
const PEER: &str = "203.0.113.1";

/// A part once more for each of these peers.
fn for_peers(part: &str, peers: usize) -> String {
    (0..peers)
        .map(|number| part.replace(PEER, &address(number)))
        .collect()
}

/// Each line about the peer once more for each of these peers.
fn with_lines(text: &str, peers: usize) -> String {
    let lines = text
        .split_inclusive('\n')
        .map(|line| match line.contains(PEER) {
            true => format!("{line}{}", for_peers(line, peers)),
            false => line.to_string(),
        });
    lines.collect()
}

/// The direct rules about the peer once more, in busctl's words. The rules of one family come in order of their priorities.
fn with_rules(text: &str, peers: usize) -> String {
    let of = |priority: u32| {
        text.find(&format!("\"ipv4\" \"filter\" \"DOCKER-USER\" {priority} "))
            .unwrap()
    };
    let (inbound, outbound, rest) = (of(100), of(200), of(900));
    // The number of rules is before the first.
    let head =
        text[..inbound].replacen(" 10 \"ipv4\"", &format!(" {} \"ipv4\"", 10 + 2 * peers), 1);
    let (inbound, outbound, rest) = (
        &text[inbound..outbound],
        &text[outbound..rest],
        &text[rest..],
    );
    let (more, more_out) = (for_peers(inbound, peers), for_peers(outbound, peers));
    format!("{head}{inbound}{more}{outbound}{more_out}{rest}")
}

fn with_rich(text: &str, peers: usize) -> String {
    let rule = text.trim_end().strip_prefix("as 1").unwrap();
    format!("as {}{rule}{}\n", peers + 1, for_peers(rule, peers))
}

/// The table of the guard as nft lists it, with this many peers.
fn guard_table(peers: usize) -> String {
    let set = |name: &str, element: &dyn Fn(&str) -> String| {
        let elements = (0..peers).map(|number| {
            let value = element(&address(number));
            format!("{{\"elem\": {{\"val\": {{\"concat\": [{value}, 6, 5000]}}, \"counter\": {{\"packets\": 1, \"bytes\": 60}}}}}}")
        });
        let elements: Vec<String> = elements.collect();
        format!(
            "{{\"set\": {{\"family\": \"inet\", \"name\": \"{name}\", \"table\": \"fwdeploy\", \"type\": [\"ipv4_addr\", \"ipv4_addr\", \"inet_proto\", \"inet_service\"], \"handle\": 9, \"flags\": [\"interval\"], \"elem\": [{}]}}}}",
            elements.join(", ")
        )
    };
    let inbound = set("inbound4", &|peer| format!("\"{peer}\", \"172.20.0.2\""));
    let outbound = set("outbound4", &|peer| format!("\"172.20.0.2\", \"{peer}\""));
    format!(
        "{{\"nftables\": [{{\"metainfo\": {{\"version\": \"1.0.6\", \"release_name\": \"Lester Gooch #5\", \"json_schema_version\": 1}}}}, {{\"table\": {{\"family\": \"inet\", \"name\": \"fwdeploy\", \"handle\": 1}}}}, {inbound}, {outbound}]}}\nend\n"
    )
}

fn read_saved(size: usize) -> Box<dyn FnMut()> {
    // A line for each direction.
    let answer = with(&answer("whitelisted"), "iptables-save", |text| {
        with_lines(text, size / 2)
    });
    assert!(answer.len() > size * 125);
    Box::new(move || {
        let state = read(&answer);
        let tables = state.kernel.v4.known().expect("iptables-save");
        let rules = &tables.tables["filter"]["DOCKER-USER"].rules;
        assert!(rules.len() > size);
    })
}

fn read_answer(size: usize) -> Box<dyn FnMut()> {
    let mut answer = answer("whitelisted");
    for question in ["iptables-save", "firewalld-nft"] {
        answer = with(&answer, question, |text| with_lines(text, size));
    }
    for question in ["permanent-direct", "runtime-rules"] {
        answer = with(&answer, question, |text| with_rules(text, size));
    }
    for question in ["permanent-rich", "runtime-rich"] {
        answer = with(&answer, question, |text| with_rich(text, size));
    }
    answer = with(&answer, "guard-table", |_| guard_table(size));
    Box::new(move || {
        let state = read(&answer);
        for direct in [&state.permanent.direct, &state.runtime.direct] {
            let direct = direct.known().expect("the direct rules");
            assert_eq!(direct.rules.len(), 10 + 2 * size);
        }
        let rich = state.runtime.rich.known().expect("the rich rules");
        assert_eq!(rich.len(), 1 + size);
        let guard = &state.kernel.guard.table;
        assert!(matches!(guard, Observed::Known(Some(_))), "{guard:?}");
    })
}

fn mesh(size: usize) -> Box<dyn FnMut()> {
    let nodes = size.isqrt();
    let inventory = with_inventory(&format!(
        "all:\n  vars:\n    fwdeploy_roles: [cybex]\n    cybex_fleet: \"{{{{ addresses('all') }}}}\"\n  hosts:\n{}",
        hosts(nodes)
    ));
    Box::new(move || {
        let roles = Roles::built_in();
        let resolver = roles.resolver(&inventory);
        for node in inventory.nodes() {
            let (policies, _) = resolver.resolve_shared(node).unwrap();
            let desired = compile(&policies, &context()).unwrap();
            let commands = render::commands(&desired);
            assert!(commands.lines().count() > 3 * (nodes - 1));
        }
    })
}
