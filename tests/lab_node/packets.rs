//! Which packets get through while steps are executed.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::model::Family;
use fwdeploy::model::state::DirectChain;
use fwdeploy::plan::Action;

use crate::chain::places;
use crate::node::LAB;
use crate::node::Node;
use crate::node::SUBNET;
use crate::node::Taken;
use crate::node::assert_same;
use crate::node::on_every_node;
use crate::node::peer;
use crate::plans::bands;
use crate::plans::cidr;
use crate::plans::latch;
use crate::plans::own;
use crate::plans::permanent;
use crate::plans::unlatch;

/// Sends a datagram after the other from ever new ports, each with the time at which it was sent, until its input is closed.
const BLAST: &str = r#"
import socket, sys, threading, time
reader = threading.Thread(target=sys.stdin.read, daemon=True)
reader.start()
while reader.is_alive():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(str(time.time_ns()).encode(), (sys.argv[1], int(sys.argv[2])))
    t = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    t.setblocking(False)
    t.connect_ex((sys.argv[1], int(sys.argv[2]) + 1))
    s.close()
    t.close()
"#;

/// Receives until its input is closed, then prints when the datagrams were sent that came, and `tcp TIME` for each connection's first packet.
const RECEIVE: &str = r#"
import socket, sys, threading, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
s.bind(("0.0.0.0", int(sys.argv[1])))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
print("ready", flush=True)
seen = []
def tcp():
    while True:
        p = raw.recv(100)
        if p[9] == 6 and int.from_bytes(p[22:24], "big") == int(sys.argv[1]) + 1 and p[33] & 2:
            seen.append(f"tcp {time.time_ns()}")
threading.Thread(target=tcp, daemon=True).start()
reader = threading.Thread(target=sys.stdin.read, daemon=True)
reader.start()
s.settimeout(0.2)
while reader.is_alive():
    try:
        seen.append(f"udp {s.recv(64).decode()}")
    except TimeoutError:
        pass
# Not before: a full pipe would hold us, and with us the times.
print("\n".join(seen))
"#;

/// Answers what it is sent, for one connection.
const ECHO: &str = r#"
import socket
s = socket.create_server(("0.0.0.0", 6000))
print("ready", flush=True)
c, _ = s.accept()
while b := c.recv(64):
    c.sendall(b)
"#;

/// Talks over one connection until its input is closed.
const TALK: &str = r#"
import socket, sys, threading, time
reader = threading.Thread(target=sys.stdin.read, daemon=True)
reader.start()
c = socket.create_connection((sys.argv[1], 6000), 5)
c.settimeout(5)
while reader.is_alive():
    c.sendall(b"x")
    assert c.recv(64)
    time.sleep(0.01)
"#;

/// The time of day: what a process of the node can compare with ours.
pub(crate) fn clock() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_nanos()
}

fn at_peer(peer: &str, words: &[&str]) -> Child {
    let mut child = LAB
        .peer_command(peer, "python3")
        .arg("-c")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // One byte at a time: what follows is for the caller.
    let mut line = Vec::new();
    let stdout = child.stdout.as_mut().unwrap();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    assert_eq!(line, b"ready\n");
    child
}

/// Closes the input of one of these programs, which ends it, however long the node has taken.
fn stop(child: &mut Child) {
    drop(child.stdin.take());
}

fn in_container(node: &Node, words: &[&str]) -> Child {
    let pid = node.sh("docker inspect -f '{{.State.Pid}}' one");
    let mut all = vec!["nsenter", "-t", pid.trim(), "-n", "--", "python3", "-c"];
    all.extend(words);
    let mut command = node.command(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Runs a plan while the container continuously opens flows to an unlisted host, and talks to a peer over one connection.
/// `latched` is the step that sets the latch. Returns what got through before, and after, that step.
pub(crate) fn under_fire(node: &Node, actions: &[Action], latched: usize) -> (usize, usize, Taken) {
    let stranger = peer("peer2").to_string();
    let friend = peer("peer1").to_string();
    let mut receiver = at_peer("peer2", &[RECEIVE, "9000"]);
    let mut echo = at_peer("peer1", &[ECHO]);
    let mut talk = in_container(node, &[TALK, &friend]);
    let mut blast = in_container(node, &[BLAST, &stranger, "9000"]);
    std::thread::sleep(Duration::from_millis(700));
    let (began, now) = (Instant::now(), clock());
    let taken = node.take(actions);
    let closed = now + (taken.done[&latched] - began).as_nanos();
    // What the last step has left open would show now.
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        blast.try_wait().unwrap().is_none(),
        "the fire ended before the plan"
    );
    stop(&mut blast);
    blast.wait().unwrap();
    stop(&mut talk);
    let talk = talk.wait().unwrap();
    assert!(talk.success(), "{}: the open connection died", node.name);
    echo.wait().unwrap();
    // What is still on its way arrives.
    std::thread::sleep(Duration::from_secs(1));
    stop(&mut receiver);
    let (mut before, mut after) = (0, 0);
    for line in BufReader::new(receiver.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (kind, sent) = line.split_once(' ').unwrap();
        match sent.parse::<u128>().unwrap() > closed {
            true => {
                after += 1;
                eprintln!(
                    "   {kind} {:?} after",
                    Duration::from_nanos((sent.parse::<u128>().unwrap() - closed) as u64)
                );
            }
            false => before += 1,
        }
    }
    receiver.wait().unwrap();
    (before, after, taken)
}

/// The jump first, where it is not: as the planner does it.
pub(crate) fn jump_first(node: &Node) -> Option<Action> {
    let before = places(node);
    (before != [0]).then_some(Action::PlaceJump {
        family: Family::V4,
        before,
        after: vec![0],
    })
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn nothing_leaks_from_the_moment_the_latch_is_on() {
    on_every_node(|node| {
        let start = node.everything();
        let mut actions = vec![latch(), own(Family::V4)];
        actions.extend(jump_first(node));
        actions.extend(bands().into_iter().map(Action::AddRule));
        actions.push(unlatch());
        let (before, after, taken) = under_fire(node, &actions, 0);
        let latched = taken.done[&(actions.len() - 1)] - taken.done[&0];
        eprintln!("   {before} before, {after} after; latched for {latched:?}");
        assert!(
            before > 50,
            "{}: the fire was too weak: {before}",
            node.name
        );
        assert_eq!(after, 0, "{}", node.name);
        node.take_back(&actions);
        assert_same(&start, &node.everything(), node);
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_reload_under_the_latch_leaks_nothing_and_costs_docker_no_rule() {
    on_every_node(|node| {
        let v4 = Family::V4;
        // Docker before 28 also writes the rules of deleted networks (moby#50445), so it takes longer.
        node.sh("for n in 1 2 3 4 5 6 7 8; do docker network create z$n && docker network rm z$n; done >/dev/null");
        let before = permanent(vec![], vec![]);
        let write = Action::SetPermanentDirect {
            before: before.clone(),
            after: permanent(vec![DirectChain::ours(v4)], bands()),
        };
        let reload = Action::Reload {
            subnets: vec![cidr(SUBNET)],
        };
        let docker = dockers(&node.kernel());
        node.take(&[latch(), own(v4)]);
        // The chain must be firewalld's or empty for the reload to load it; as the planner would have it.
        node.take(&[own(v4).undo(), unlatch()]);
        let actions = [write.clone(), latch(), reload.clone(), unlatch()];
        let (before, after, taken) = under_fire(node, &actions, 1);
        eprintln!(
            "   {before} before, {after} after; reload took {:?}",
            taken.done[&2] - taken.done[&1]
        );
        assert_eq!(after, 0, "{}", node.name);
        assert_same(&docker, &dockers(&node.kernel()), node);
        assert_eq!(places(node), [0]);
        assert_eq!(
            node.chain(v4)
                .iter()
                .filter(|r| r.contains("fwdeploy:"))
                .count(),
            5
        );
        let taken = node.take(&[latch(), reload.clone(), unlatch()]);
        eprintln!("   and again {:?}", taken.time);
        assert_same(&docker, &dockers(&node.kernel()), node);
        assert_eq!(places(node), [0]);
        node.take(&[write.undo(), reload]);
        assert_same(&docker, &dockers(&node.kernel()), node);
        assert_eq!(places(node), [0]);
    });
}

/// Docker's own rules, in alphabetical order.
pub(crate) fn dockers(kernel: &str) -> String {
    let mut table = "";
    let mut rules = Vec::new();
    for line in kernel.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        }
        let about = ["DOCKER", "docker0", "br-chain", "172.30.0.", "172.17."];
        if line.starts_with("-A ")
            && !line.contains("DOCKER-USER")
            && about.iter().any(|a| line.contains(a))
        {
            // Docker before 28 gives deleted networks their rules back too (moby#50445).
            if line
                .split(' ')
                .any(|w| w.starts_with("br-") && w != "br-chain")
            {
                continue;
            }
            // firewalld's own, about zones that Docker's devices are in.
            let chain = line.split(' ').nth(1).unwrap();
            if chain.starts_with("DOCKER")
                || ["FORWARD", "PREROUTING", "POSTROUTING", "OUTPUT"].contains(&chain)
            {
                rules.push(format!("{table} {line}"));
            }
        }
    }
    rules.sort();
    rules.join("\n")
}
