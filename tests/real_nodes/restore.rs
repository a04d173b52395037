//! Rollbacks across an address, a subnet, configuration behind links, and with a node's data in a
//! snapshot; and what cannot be restored, which is refused before anything is changed.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::One;
use crate::assert_nothing_left;
use crate::name;

/// One test for the oldest and one for the newest generation, with another backend each.
macro_rules! on_the_oldest_and_the_newest {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bullseye_iptables() { super::$test("bullseye", "iptables"); }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn forky_nftables() { super::$test("forky", "nftables"); }
        })+
    };
}

on_the_oldest_and_the_newest!(
    a_rollback_that_loses_its_controller_is_wholly_taken_back,
    configuration_behind_links_comes_back,
    what_cannot_be_brought_back_is_refused_and_nothing_of_a_node_is_run,
);

/// Rules, addresses and networks: what must never be of two states.
const STATE: &str = "iptables-save | grep '^-A DOCKER-USER'; cat /etc/firewalld/direct.xml /etc/firewalld/zones/public.xml; \
    docker network ls --format '{{.Name}}' | sort; docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}} {{.Options}}' cybex 2>&1; \
    docker inspect -f '{{range $name, $place := .NetworkSettings.Networks}}{{$name}} {{$place.IPAddress}} {{end}}' cybex; \
    ls -l /etc/firewalld | grep -o ' [^ ]* -> .*'; ls -A /etc/firewalld /etc/firewalld/zones";

impl One {
    fn standing(&self) -> String {
        self.lab.sh("n1", &format!("{{ {STATE}; }}; true"))
    }

    fn address_of_cybex(&self) -> String {
        let said = self.lab.try_sh(
            "n1",
            "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' cybex",
        );
        said.out.trim().to_string()
    }

    fn with(&self, variables: &str) {
        let peer = self.lab.peer("peer1");
        self.inventory(&format!("[{peer}]"), variables);
    }

    fn changes(&self, args: &[&str]) {
        let said = self.lab.fwdeploy("run", args);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }

    /// Begins `command`, and kills its controller as soon as that holds.
    fn killed_when(&self, command: &str, args: &[&str], mut holds: impl FnMut() -> bool) {
        let inventory = self.lab.home().join("inventory.yml");
        let known_hosts = self.lab.known_hosts();
        let mut all = vec![command, inventory.to_str().expect("a plain path")];
        all.extend(["--known-hosts", &known_hosts]);
        all.extend(args);
        let mut child = self.lab.command(&all);
        // `nsenter` becomes the program, so this is its process.
        let mut child = child
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("fwdeploy runs");
        while child.try_wait().expect("a process").is_none() && !holds() {
            sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    fn is_held(&self) -> bool {
        self.lab
            .try_sh("n1", "test -L /var/lib/fwdeploy/armed")
            .code
            == 0
    }

    fn last_outcome(&self) -> String {
        self.lab.sh("n1", "cd /var/lib/fwdeploy/snapshots; sed -n 's/^outcome=//p' $(ls | sort -n | tail -n 1)/about | tail -n 1")
    }
}

fn a_rollback_that_loses_its_controller_is_wholly_taken_back(suite: &str, backend: &str) {
    let one = One::up(&name("wba", suite, backend), suite, backend);
    one.with("        cybex_address: 172.20.0.2\n");
    one.changes(&[]);
    for (variables, there) in [
        ("        cybex_address: 172.20.0.9\n", "172.20.0.9"),
        (
            "        cybex_subnet: 172.29.0.0/16\n        cybex_address: 172.29.0.3\n",
            "172.29.0.3",
        ),
    ] {
        let open = one.standing();
        let from = one.address_of_cybex();
        one.with(variables);
        one.changes(&["--replace-network"]);
        assert_eq!(one.address_of_cybex(), there);
        let closed = one.standing();
        one.killed_when("rollback", &["--confirm-timeout", "25"], || {
            one.address_of_cybex() == from
        });
        assert_nothing_left(&one.lab, "after a kill");
        let outcome = one.last_outcome();
        let expected = match outcome.trim() {
            "restored" => &closed,
            // The kill came behind the confirmation.
            "confirmed" => &open,
            other => panic!("the rollback is {other}"),
        };
        assert_eq!(&one.standing(), expected, "{outcome}");
        if outcome.trim() == "restored" {
            assert!(one.holds(), "as wanted as before the rollback");
            one.assert_enforced("after a rollback that was taken back");
        } else {
            one.changes(&["--replace-network"]);
        }
    }
    // A difference that cannot be restored is reported: the container no longer exists.
    one.with("        cybex_subnet: 172.29.0.0/16\n        cybex_address: 172.29.0.4\n");
    one.killed_when("run", &["--confirm-timeout", "12"], || {
        one.address_of_cybex() == "172.29.0.4"
    });
    if one.is_held() {
        one.lab.sh("n1", "docker rm -f cybex");
        assert_nothing_left(&one.lab, "after a kill");
        let said = one.lab.fwdeploy("status", &[]);
        assert!(
            said.out
                .contains("but not completely as before: container cybex no longer exists"),
            "{}",
            said.out
        );
    }
}

fn configuration_behind_links_comes_back(suite: &str, backend: &str) {
    let one = One::up(&name("wbl", suite, backend), suite, backend);
    let lab = &one.lab;
    lab.sh(
        "n1",
        "mkdir -p '/srv/f w' && cd /etc/firewalld && mv zones '/srv/f w/zones' && ln -s '/srv/f w/zones' zones && \
         printf '<?xml version=\"1.0\" encoding=\"utf-8\"?>\\n<direct>\\n</direct>\\n' > '/srv/f w/d.xml' && chmod 640 '/srv/f w/d.xml' && \
         ln -s '/srv/f w/d.xml' direct.xml && firewall-cmd -q --reload",
    );
    let (open, real) = (
        one.standing(),
        "cd '/srv/f w'; stat -c '%n %a %U' d.xml zones/*; cat d.xml zones/*; ls -A . zones",
    );
    let before = lab.sh("n1", real);
    one.changes(&[]);
    assert!(
        lab.sh("n1", "cat /etc/firewalld/direct.xml")
            .contains("fwdeploy:")
    );
    let said = lab.fwdeploy("rollback", &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(lab.sh("n1", real), before, "the content behind the links");
    let kept = |state: &str| -> Vec<String> {
        state
            .lines()
            .filter(|l| l.contains("->"))
            .map(String::from)
            .collect()
    };
    assert_eq!(kept(&one.standing()), kept(&open), "a link stays a link");

    // A plug that is pulled in the middle.
    one.killed_when("run", &["--confirm-timeout", "60"], || {
        one.is_held() && lab.try_sh("n1", "grep -q fwdeploy: '/srv/f w/d.xml'").code == 0
    });
    assert!(one.is_held());
    lab.lab("kill", &["n1"]);
    lab.lab("start", &["n1"]);
    assert_nothing_left(&one.lab, "after a kill");
    assert_eq!(lab.sh("n1", real), before, "after a pulled plug");
    assert_eq!(kept(&one.standing()), kept(&open));
    assert_eq!(one.last_outcome().trim(), "restored");
    assert!(!one.standing().contains("fwdeploy:"), "{}", one.standing());
}

fn what_cannot_be_brought_back_is_refused_and_nothing_of_a_node_is_run(suite: &str, backend: &str) {
    let one = One::up(&name("wbr", suite, backend), suite, backend);
    let lab = &one.lab;
    let open = one.standing();
    let zones = "/etc/firewalld/zones";
    for (spoil, mend, why) in [
        (format!("mkfifo {zones}/pipe"), format!("rm {zones}/pipe"), "neither a file nor a folder"),
        (format!("ln -s /nowhere {zones}/gone.xml"), format!("rm {zones}/gone.xml"), "leads to nothing"),
        (format!("ln {zones}/../firewalld.conf /root/twin"), "rm /root/twin".to_string(), "hard link"),
        (
            "printf '#!/bin/sh\\necho no tables today >&2\\nexit 3\\n' >/usr/local/sbin/ebtables-save; chmod +x /usr/local/sbin/ebtables-save".to_string(),
            "rm /usr/local/sbin/ebtables-save".to_string(),
            "no tables today",
        ),
    ] {
        lab.sh("n1", &spoil);
        let said = lab.fwdeploy("run", &[]);
        lab.sh("n1", &mend);
        assert_eq!(said.code, 2, "{}{}", said.out, said.err);
        for word in ["[not-armed]", "nothing was changed", why] {
            assert!(said.out.contains(word), "`{word}` is not in {}", said.out);
        }
        assert_eq!(one.standing(), open, "{why}");
    }

    // Names and labels of any kind are words.
    lab.sh(
        "n1",
        "docker network create --subnet 10.201.0.0/24 --label \"x=a\nsubnets=\\$(touch /tmp/pwned) #\" 'e v' >/dev/null; \
         docker network create --subnet 10.202.0.0/24 \"\nsubnets=\\$(touch /tmp/pwned)\n\" >/dev/null; \
         docker network create --subnet 10.203.0.0/24 -- -x >/dev/null",
    );
    one.changes(&[]);
    for _ in 0..2 {
        let said = lab.fwdeploy("rollback", &[]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }
    assert_eq!(lab.try_sh("n1", "ls /tmp/pwned").code, 2, "run as root");
    assert!(one.holds());
    one.assert_enforced("beside networks with such names");
}
