//! A run that is cut off, locked out or met by another one: the node ends as it was, and is said to.

use std::thread;

use crate::One;
use crate::lab::wait_until;

/// What is ours on a node, and what it hangs on.
const STATE: &str = "iptables-save -t filter | grep -v '^[#:]'; nft list tables; \
    firewall-cmd --direct --get-all-chains; firewall-cmd --direct --get-all-rules | sort; \
    firewall-cmd --permanent --direct --get-all-chains; firewall-cmd --permanent --direct --get-all-rules | sort; \
    firewall-cmd --zone=public --list-all; firewall-cmd --permanent --zone=public --list-all; \
    docker network ls --format '{{.Name}}'; docker inspect -f '{{.HostConfig.NetworkMode}}' $(docker ps -aq)";

/// Puts a docker in the place of docker that also does something else at `docker network create` and `rm`.
fn docker_that(create: &str, rm: &str) -> String {
    format!(
        "mv /usr/bin/docker /usr/bin/docker.real && printf '%s\\n' '#!/bin/sh' 'case \"$1 $2\" in' \
         '\"network create\") {create} ;;' '\"network rm\") {rm} ;;' 'esac' 'exec /usr/bin/docker.real \"$@\"' \
         > /usr/bin/docker && chmod +x /usr/bin/docker"
    )
}

const DOCKER_AGAIN: &str = "mv /usr/bin/docker.real /usr/bin/docker";

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_run_that_is_cut_off_locked_out_or_not_alone_leaves_the_node_as_it_was() {
    let one = One::up("cut", "bookworm", "nftables");
    let lab = &one.lab;
    let before = lab.sh("n1", STATE);

    // The step at work goes on for a while after its connection is gone.
    lab.sh(
        "n1",
        &docker_that("pkill -f sshd:.root@notty; sleep 4", ":"),
    );
    let said = lab.fwdeploy("run", &[]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("[step-lost]"), "{}", said.out);
    assert!(said.out.contains("as it was before"), "{}", said.out);
    lab.sh("n1", DOCKER_AGAIN);
    assert_eq!(lab.sh("n1", STATE), before);

    // Nobody can come in again once the network is made, until it is gone.
    let drop = |flag: &str| format!("iptables -w {flag} INPUT -p tcp --dport 22 --syn -j DROP");
    lab.sh("n1", &docker_that(&drop("-I"), &drop("-D")));
    let said = lab.fwdeploy("run", &["-T", "2"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("[no-way-back-in]"), "{}", said.out);
    assert!(said.out.contains("as it was before"), "{}", said.out);
    lab.sh("n1", DOCKER_AGAIN);
    assert_eq!(lab.sh("n1", STATE), before);

    // Two operators at a time: the second leaves the node to the first.
    lab.sh("n1", &docker_that("sleep 6", ":"));
    thread::scope(|scope| {
        let first = scope.spawn(|| lab.fwdeploy("run", &[]));
        wait_until("the first run is at work", || {
            lab.try_sh("n1", "pgrep -f 'sleep 6'").code == 0
        });
        let second = lab.fwdeploy("run", &[]);
        assert_eq!(second.code, 2, "{}{}", second.out, second.err);
        assert!(second.out.contains("[busy]"), "{}", second.out);
        let first = first.join().expect("no panic");
        assert_eq!(first.code, 0, "{}{}", first.out, first.err);
    });
    lab.sh("n1", DOCKER_AGAIN);
    one.assert_enforced("after two operators");
}
