//! Changes that others wrote permanently and did not load: a reload by fwdeploy must not activate them unnoticed.

use crate::One;
use crate::failures::STATE;
use crate::failures::assert_said;
use crate::harness::said::wait_until;
use crate::name;
use crate::on_two_nodes;

/// Changes that shut the controller out, and what takes them back; each is an argument list for `firewall-cmd --permanent`.
fn doors_that_close(controller: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let lists = |adds: &[&str], removes: &[&str]| {
        let filled = |list: &[&str]| {
            let list = list.iter();
            list.map(|line| line.replace("PEER", controller)).collect()
        };
        (filled(adds), filled(removes))
    };
    let rich = r#"--zone=public "--WHAT-rich-rule=rule family=ipv4 source address=PEER service name=ssh reject""#;
    let direct = "--direct --WHAT-rule ipv4 filter INPUT 0 -s PEER -p tcp --dport 22 -j DROP";
    let both = |line: &str| {
        lists(
            &[&line.replace("WHAT", "add")],
            &[&line.replace("WHAT", "remove")],
        )
    };
    vec![
        lists(
            &["--zone=public --remove-service=ssh"],
            &["--zone=public --add-service=ssh"],
        ),
        both("--zone=drop --WHAT-source=PEER"),
        both("--zone=drop --WHAT-interface=host0"),
        both(rich),
        both(direct),
        lists(
            &[
                "--new-policy=guard",
                "--policy=guard --add-ingress-zone=ANY",
                "--policy=guard --add-egress-zone=HOST",
                "--policy=guard --set-target=DROP",
            ],
            &["--delete-policy=guard"],
        ),
    ]
}

fn a_reload_that_would_shut_us_out_is_refused(suite: &str, backend: &str) {
    let one = One::up(&name("door", suite, backend), suite, backend);
    let lab = &one.lab;
    let permanent = |changes: &[String]| {
        for change in changes {
            lab.sh("n1", &format!("firewall-cmd -q --permanent {change}"));
        }
    };
    let node = lab.address("n1");
    let (network, _) = node.rsplit_once('.').expect("an IPv4 address");
    let reload = "firewall-cmd -q --reload";
    for (changes, undo) in doors_that_close(&format!("{network}.1")) {
        permanent(&changes);
        let before = lab.sh("n1", STATE);
        for flags in [&[][..], &["--allow-pending"]] {
            let said = lab.fwdeploy("run", &[&["--reload", "always"], flags].concat());
            assert_said(
                &said,
                &changes[0],
                2,
                &["[ssh-lost]", "[pending-permanent]"],
            );
        }
        assert_eq!(lab.sh("n1", STATE), before, "{changes:?}");
        // The finding was right: after a reload this peer is locked out.
        lab.sh("n1", reload);
        let said = lab.fwdeploy("run", &["--check", "-T", "2"]);
        assert_eq!(said.code, 4, "{changes:?}: {}{}", said.out, said.err);
        permanent(&undo);
        lab.sh("n1", reload);
        wait_until("Docker has its rules again", || {
            let said = lab.fwdeploy("run", &["--check"]);
            said.code == 2
        });
    }
}

fn what_is_harmless_is_told_and_loaded_on_request(suite: &str, backend: &str) {
    let one = One::up(&name("port", suite, backend), suite, backend);
    let lab = &one.lab;
    lab.sh(
        "n1",
        "permanent() { firewall-cmd -q --permanent --zone=public \"$1\"; }
        permanent --add-port=9100/tcp
        permanent --add-port=22/tcp
        permanent --remove-service=ssh",
    );
    let before = lab.sh("n1", STATE);
    let said = lab.fwdeploy("run", &["--reload", "always"]);
    let all = format!("{}{}", said.out, said.err);
    assert_said(
        &said,
        "a pending port",
        2,
        &["port `9100/tcp`", "[pending-permanent]", "--allow-pending"],
    );
    assert!(!all.contains("ssh-lost"), "{all}");
    assert_eq!(lab.sh("n1", STATE), before);
    let said = lab.fwdeploy("run", &["--reload", "always", "--allow-pending", "--diff"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("port `9100/tcp`"), "{}", said.out);
    assert!(said.out.contains("(reload)"), "{}", said.out);
    let ports = lab.sh("n1", "firewall-cmd --zone=public --list-ports");
    assert!(ports.contains("9100/tcp"), "{ports}");
    one.assert_enforced("after a reload that loaded what others had written");
    assert!(one.holds());
}

on_two_nodes!(
    a_reload_that_would_shut_us_out_is_refused,
    what_is_harmless_is_told_and_loaded_on_request
);
