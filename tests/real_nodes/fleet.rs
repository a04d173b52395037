//! Many nodes at once, some of them in trouble; and a check that touches nothing.

use crate::One;
use crate::harness::lab::Lab;

#[test]
#[ignore = "needs root and the lab: make lab"]
fn three_of_six_are_done_and_three_are_explained() {
    let lab = Lab::up(
        "fleet",
        &[
            "n1=bullseye",
            "n2=bookworm",
            "n3=forky",
            "n4=bookworm",
            "n5=trixie",
        ],
        1,
    );
    lab.sh("n4", "systemctl stop firewalld");
    let known = std::fs::read_to_string(lab.known_hosts()).unwrap();
    let wrong = lab.address("n5");
    let right = lab.address("n1");
    // n5 presents a key that differs from the known one: n1's is in its place.
    let mut lines: Vec<String> = known
        .lines()
        .filter(|l| !l.starts_with(&wrong))
        .map(String::from)
        .collect();
    lines.extend(
        known
            .lines()
            .filter(|l| l.starts_with(&right))
            .map(|l| l.replacen(&right, &wrong, 1)),
    );
    let file = lab.home().join("known_hosts");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let network = right.rsplit_once('.').unwrap().0.to_string();
    let hosts: Vec<String> = ["n1", "n2", "n3", "n4", "n5"]
        .iter()
        .map(|n| format!("        {n}: {{ ansible_host: {} }}\n", lab.address(n)))
        .collect();
    let inventory = lab.inventory(&format!(
        "all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {{key}}\n  children:\n    chain:\n      vars:\n        fwdeploy_roles: [cybex]\n        cybex_peers: [{}]\n      hosts:\n{}        n6: {{ ansible_host: {network}.99 }}\n",
        lab.peer("peer1"),
        hosts.concat()
    ));
    let said: crate::harness::said::Said = lab
        .command(&[
            "run",
            inventory.to_str().unwrap(),
            "--known-hosts",
            file.to_str().unwrap(),
            "-T",
            "4",
        ])
        .output()
        .unwrap()
        .into();
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, 2, "{all}");
    let recap = |node: &str| {
        said.out
            .lines()
            .find(|l| l.starts_with(node) && l.contains("changed="))
            .unwrap_or_else(|| panic!("{node} is in the recap: {all}"))
            .to_string()
    };
    for node in ["n1", "n2", "n3"] {
        let line = recap(node);
        assert!(
            line.contains("failed=0")
                && line.contains("unreachable=0")
                && !line.contains("changed=0"),
            "{line}"
        );
    }
    assert!(recap("n4").contains("failed=1"), "{all}");
    assert!(
        recap("n5").contains("unreachable=1") || recap("n5").contains("failed=1"),
        "{all}"
    );
    assert!(recap("n6").contains("unreachable=1"), "{all}");
    assert!(all.contains("firewalld is not running"), "{all}");
    assert!(all.contains("host key"), "{all}");
    assert!(all.contains("99"), "{all}");
}

/// Files whose changes are not fwdeploy's: what sshd, PAM and systemd record of every login, and what firewalld, Docker and
/// the journal record over time.
const LISTING: &str = r"find /etc /var/lib /run -xdev -type f \
    ! -path '/run/log/*' ! -path '/run/systemd/*' ! -path '/run/udev/*' ! -path '/run/user/*' ! -path '/run/utmp' \
    ! -path '/var/lib/systemd/timers/*' ! -path '/run/motd*' ! -path '/run/sshd*' ! -path '/run/docker/containerd/*' \
    -printf '%p %s %T@ %m\n' | sort";

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_check_is_one_connection_and_changes_no_file() {
    let one = One::up("check", "trixie", "nftables");
    let lab = &one.lab;
    // The lab itself came in to see whether ssh answers.
    let (first, first_execs) = (lab.connections("n1"), execs(lab));
    for expected in [2, 0] {
        let before = (lab.connections("n1"), lab.sh("n1", LISTING));
        let said = lab.fwdeploy("run", &["--check"]);
        assert_eq!(said.code, expected, "{}{}", said.out, said.err);
        let after = (lab.connections("n1"), lab.sh("n1", LISTING));
        assert_eq!(after.0 - before.0, 1, "one connection");
        let changed: Vec<&str> = after
            .1
            .lines()
            .filter(|l| !before.1.lines().any(|b| b == *l))
            .collect();
        assert!(changed.is_empty(), "{changed:#?}");
        assert_eq!(
            before.1.lines().count(),
            after.1.lines().count(),
            "no file is gone"
        );
        if expected == 2 {
            one.run_changes();
        }
    }
    // Two checks with one exec each, and a run with its look, its apply, its second look and its confirmation.
    let since = (lab.connections("n1") - first, execs(lab) - first_execs);
    assert_eq!(since, (4, 6), "connections and execs");
}

/// How many commands sshd has run on the node.
fn execs(lab: &Lab) -> usize {
    let count = lab.sh("n1", "journalctl -q -b -t sshd -t sshd-session --no-pager -o cat | grep -c 'Starting session: command' || true");
    count.trim().parse().expect("a count")
}
