//! What firewalld's zones, forwards and policies do to the whitelisted is seen and named, and only that.

use crate::One;
use crate::PORT;
use crate::harness::said::wait_until;
use crate::name;
use crate::on_two_nodes;

/// Something that an operator may have done, and whether the peer still gets in and is still reached.
struct Case {
    what: &'static str,
    setup: &'static str,
    undo: &'static str,
    code: &'static str,
    comes_in: bool,
    is_reached: bool,
}

/// PEER, STRANGER and NET are replaced by addresses.
fn cases(backend: &str) -> Vec<Case> {
    let case = |what, setup, undo, code, comes_in, is_reached| Case {
        what,
        setup,
        undo,
        code,
        comes_in,
        is_reached,
    };
    let last_word = backend == "nftables";
    vec![
        case(
            "a source of zone trusted",
            "firewall-cmd -q --zone=trusted --add-source=PEER",
            "firewall-cmd -q --zone=trusted --remove-source=PEER",
            "peer-in-other-zone",
            false,
            true,
        ),
        case(
            "a network of zone internal",
            "firewall-cmd -q --zone=internal --add-source=NET",
            "firewall-cmd -q --zone=internal --remove-source=NET",
            "peer-in-other-zone",
            false,
            true,
        ),
        case(
            "somebody else's source",
            "firewall-cmd -q --zone=trusted --add-source=STRANGER",
            "firewall-cmd -q --zone=trusted --remove-source=STRANGER",
            "",
            true,
            true,
        ),
        case(
            "a rich rule of priority -5 that forwards the port",
            "firewall-cmd -q --add-rich-rule='rule priority=-5 family=ipv4 forward-port port=5000 protocol=tcp to-port=1'",
            "firewall-cmd -q --remove-rich-rule='rule priority=-5 family=ipv4 forward-port port=5000 protocol=tcp to-port=1'",
            "forward-taken",
            false,
            true,
        ),
        case(
            "a rich rule that drops the peer, which is about the node itself only",
            "firewall-cmd -q --add-rich-rule='rule priority=-5 family=ipv4 source address=PEER drop'",
            "firewall-cmd -q --remove-rich-rule='rule priority=-5 family=ipv4 source address=PEER drop'",
            "",
            true,
            true,
        ),
        case(
            "the bridge in zone internal",
            "firewall-cmd -q --zone=internal --change-interface=br-cybex",
            "firewall-cmd -q --zone=docker --change-interface=br-cybex",
            if last_word {
                "refused-by-firewalld"
            } else {
                ""
            },
            true,
            !last_word,
        ),
        case(
            "an address set with the peer, and a policy that refuses what Docker's zone sends",
            "firewall-cmd -q --permanent --new-ipset=friends --type=hash:net && firewall-cmd -q --permanent --ipset=friends --add-entry=PEER \
             && firewall-cmd -q --permanent --zone=work --add-source=ipset:friends && firewall-cmd -q --permanent --new-policy=shut \
             && firewall-cmd -q --permanent --policy=shut --add-ingress-zone=docker && firewall-cmd -q --permanent --policy=shut --add-egress-zone=ANY \
             && firewall-cmd -q --permanent --policy=shut --set-target=REJECT && firewall-cmd -q --reload && sleep 3",
            "firewall-cmd -q --permanent --zone=work --remove-source=ipset:friends && firewall-cmd -q --permanent --delete-ipset=friends \
             && firewall-cmd -q --permanent --delete-policy=shut && firewall-cmd -q --reload && sleep 3",
            "peer-in-other-zone",
            false,
            !last_word,
        ),
        case(
            "the interface in another zone",
            "firewall-cmd -q --zone=internal --change-interface=host0",
            "firewall-cmd -q --zone=public --change-interface=host0",
            "peer-in-other-zone",
            false,
            true,
        ),
    ]
}

fn what_decides_beside_the_whitelist_is_named(suite: &str, backend: &str) {
    let one = One::up(&name("zone", suite, backend), suite, backend);
    let lab = &one.lab;
    one.run_changes();
    one.assert_enforced("to begin with");
    let (node, peer) = (lab.address("n1"), lab.peer("peer1"));
    let (network, _) = node.rsplit_once('.').expect("an IPv4 address");
    let codes = [
        "peer-in-other-zone",
        "forward-taken",
        "refused-by-firewalld",
    ];
    for case in cases(backend) {
        let filled = |script: &str| {
            let script = script.replace("PEER", &peer);
            let script = script.replace("STRANGER", &lab.peer("peer2"));
            script.replace("NET", &format!("{network}.96/27"))
        };
        lab.sh("n1", &filled(case.setup));
        // A reload by another tool undoes some of the whitelist; that is not tested here.
        let said = lab.fwdeploy("run", &[]);
        assert_eq!(said.code, 0, "{}: {}{}", case.what, said.out, said.err);
        let comes_in = lab.reaches("peer1", &node, PORT);
        let is_reached = lab.reaches("n1/cybex", &peer, PORT);
        assert_eq!(
            (comes_in, is_reached),
            (case.comes_in, case.is_reached),
            "{}, with packets",
            case.what
        );
        let said = lab.fwdeploy("run", &["--check"]);
        let told: Vec<&str> = codes
            .into_iter()
            .filter(|code| said.out.contains(&format!("[{code}]")))
            .collect();
        assert_eq!(
            !told.is_empty(),
            !(comes_in && is_reached),
            "{}: {}",
            case.what,
            said.out
        );
        assert!(
            case.code.is_empty() || told.contains(&case.code),
            "{}: {}",
            case.what,
            said.out
        );
        lab.sh("n1", &filled(case.undo));
    }
    wait_until("a run brings the node back", || {
        lab.fwdeploy("run", &[]).code == 0
    });
    one.assert_enforced("in the end");
}

on_two_nodes!(what_decides_beside_the_whitelist_is_named);
