//! What goes wrong has its own words, and leaves the node as it was.

use crate::One;
use crate::harness::said::Said;
use crate::harness::said::wait_until;
use crate::harness::shell::print_firewalld;
use crate::harness::shell::print_guard;

/// Prints everything the packet filter and Docker hold, but for counters and times.
pub const STATE: &str = concat!(
    print_guard!(),
    "iptables-save | grep -v '^[#:]'; ip6tables-save | grep -v '^[#:]'; nft list tables | sort;\n",
    print_firewalld!("public"),
    "docker network ls --format '{{.Name}} {{.ID}}'; docker inspect -f '{{.Name}}{{range $name, $place := .NetworkSettings.Networks}} {{$name}} {{$place.IPAddress}}{{end}}' $(docker ps -aq)"
);

pub fn assert_said(said: &Said, what: &str, code: i32, words: &[&str]) {
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, code, "{what}: {all}");
    for word in words {
        assert!(all.contains(word), "{what}: `{word}` is not in {all}");
    }
    assert!(all.contains("hint:"), "{what}: no hint in {all}");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn each_trouble_has_its_own_message_and_hint() {
    let one = One::up("trouble", "bookworm", "nftables");
    let lab = &one.lab;
    let troubles: &[(&str, &str, &str, &[&str])] = &[
        (
            "firewalld stopped",
            "systemctl stop firewalld",
            "systemctl start firewalld",
            &["firewalld is not running"],
        ),
        (
            "Docker stopped",
            "systemctl stop docker.socket docker",
            "systemctl reset-failed docker; systemctl start docker",
            &["ocker", "not running"],
        ),
        (
            "firewalld hangs",
            "systemctl kill -s STOP firewalld",
            "systemctl kill -s CONT firewalld",
            &["timed out"],
        ),
        (
            "Docker hangs",
            "systemctl kill -s STOP docker",
            "systemctl kill -s CONT docker",
            &["timed out"],
        ),
        (
            "no busctl",
            "mv /usr/bin/busctl /usr/bin/busctl.away",
            "mv /usr/bin/busctl.away /usr/bin/busctl",
            &["busctl"],
        ),
        (
            "no docker",
            "mv /usr/bin/docker /usr/bin/docker.away",
            "mv /usr/bin/docker.away /usr/bin/docker",
            &["docker is not installed"],
        ),
    ];
    for (what, breaks, mends, words) in troubles {
        lab.sh("n1", breaks);
        let run = lab.fwdeploy("run", &[]);
        let check = lab.fwdeploy("run", &["--check"]);
        lab.sh("n1", mends);
        assert_said(&run, what, 2, words);
        assert_said(&check, what, 1, words);
    }
    wait_until("Docker answers again", || {
        lab.try_sh("n1", "docker ps").code == 0
    });

    let as_user = |user: &str, more: &str| {
        one.inventory(
            "[10.0.0.1]",
            &format!("        ansible_user: {user}\n        ansible_become: true\n{more}"),
        );
        lab.fwdeploy("run", &["--check"])
    };
    assert_said(&as_user("nosudo", ""), "no sudo rights", 1, &["sudo"]);
    assert_said(
        &as_user("sudoer", ""),
        "sudo wants a password",
        1,
        &["password", "-K"],
    );
    assert_said(
        &as_user(
            "sudoer",
            "        ansible_become_password: not-the-password\n",
        ),
        "wrong sudo password",
        1,
        &["password"],
    );
    let wrong = as_user(
        "sudoer",
        "        ansible_become_password: not-the-password\n",
    );
    assert!(!format!("{}{}", wrong.out, wrong.err).contains("not-the-password"));
    for (user, more) in [
        ("ops", ""),
        (
            "sudoer",
            "        ansible_become_password: lab-sudo-password\n",
        ),
    ] {
        let said = as_user(user, more);
        assert_eq!(
            said.code, 2,
            "{user} can judge the node: {}{}",
            said.out, said.err
        );
    }
    one.inventory("[10.0.0.1]", "        ansible_user: ops\n");
    assert_said(
        &lab.fwdeploy("run", &["--check"]),
        "not root",
        1,
        &["become"],
    );
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_step_that_fails_puts_the_node_back() {
    let one = One::up("back", "trixie", "nftables");
    let lab = &one.lab;
    // The permanent rules are written first; the zone's file cannot be written, so the second step fails.
    lab.sh(
        "n1",
        "cp -a /etc/firewalld/zones /tmp/zones && mount -t tmpfs none /etc/firewalld/zones && cp -a /tmp/zones/. /etc/firewalld/zones && mount -o remount,ro /etc/firewalld/zones",
    );
    let before = lab.sh("n1", STATE);
    let said = lab.fwdeploy("run", &[]);
    assert_said(
        &said,
        "a zone that cannot be written",
        2,
        &["step 3", "as it was"],
    );
    assert_eq!(lab.sh("n1", STATE), before);
    lab.sh("n1", "umount /etc/firewalld/zones");

    // Everything is done and the container cannot be attached, so everything before it is rolled back.
    lab.sh("n1", "mv /usr/bin/docker /usr/bin/docker.real && printf '#!/bin/sh\\ncase \"$1 $2 $3\" in \"network connect --ip\") echo no such luck >&2; exit 1 ;; esac\\nexec /usr/bin/docker.real \"$@\"\\n' > /usr/bin/docker && chmod +x /usr/bin/docker");
    let said = lab.fwdeploy("run", &[]);
    assert_said(
        &said,
        "a container that cannot be attached",
        2,
        &["no such luck", "as it was"],
    );
    lab.sh("n1", "mv /usr/bin/docker.real /usr/bin/docker");
    assert_eq!(lab.sh("n1", STATE), before);
    one.run_changes();
    one.assert_enforced("after the trouble was over");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_network_with_another_subnet_is_made_anew_only_on_request() {
    let one = One::up("subnet", "bullseye", "nftables");
    let lab = &one.lab;
    lab.sh(
        "n1",
        "docker network create --subnet 172.25.0.0/16 cybex
        docker network connect --ip 172.25.0.7 --alias witness cybex cybex",
    );
    lab.lab("container", &["n1", "wallet", "--network", "cybex"]);
    let before = lab.sh("n1", STATE);
    let said = lab.fwdeploy("run", &[]);
    assert_said(
        &said,
        "another subnet",
        2,
        &[
            "172.25.0.0/16",
            "cybex (172.25.0.7)",
            "wallet",
            "--replace-network",
        ],
    );
    assert_eq!(lab.sh("n1", STATE), before);
    let said = lab.fwdeploy("run", &["--replace-network", "--diff"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    one.assert_enforced("on the network made anew");
    let places = lab.sh(
        "n1",
        "docker inspect -f '{{json .NetworkSettings.Networks}}' cybex wallet",
    );
    assert!(
        places.contains("172.20.0.2") && places.contains("witness"),
        "{places}"
    );
    assert!(!places.contains("172.25."), "{places}");
}

/// Hundreds of rules go in by one reload with the latch on; what the reload loses is put back.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn hundreds_of_peers_go_in_by_one_reload() {
    for (lab, suite) in [("bulkold", "bookworm"), ("bulknew", "forky")] {
        let one = One::up(lab, suite, "nftables");
        let lab = &one.lab;
        lab.sh(
            "n1",
            "docker network create --subnet 172.20.0.0/16 cybex
            docker network disconnect bridge cybex
            docker network connect --ip 172.20.0.2 cybex cybex
            docker network create other",
        );
        let rules = "iptables-save | grep -v '^[#:]' | grep -v DOCKER-USER | sort";
        let before = lab.sh("n1", rules);
        let mut peers: Vec<String> = (1..=200).map(|n| format!("198.51.100.{n}")).collect();
        peers.push(lab.peer("peer1"));
        one.inventory(&format!("[{}]", peers.join(", ")), "");
        let said = lab.fwdeploy("run", &["--diff"]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(said.out.contains("(reload)"), "{}", said.out);
        assert_eq!(lab.sh("n1", rules), before, "Docker's own rules");
        one.assert_enforced("after one reload");
        assert!(one.holds());
    }
}
