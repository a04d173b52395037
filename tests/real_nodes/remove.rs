//! Removal: nothing of fwdeploy's is left on the node, packets pass as before the first run, and the way back works.

use crate::One;
use crate::PORT;
use crate::name;
use crate::on_two_nodes;

on_two_nodes!(a_removed_node_is_as_before_the_first_run);

/// Everything that a run could have left, as text.
const LEFT: &str = "nft list table inet fwdeploy 2>/dev/null; ls -d /etc/fwdeploy /etc/systemd/system/*fwdeploy* /etc/systemd/system/*/*fwdeploy* \
     /etc/firewalld/.fwdeploy 2>/dev/null; iptables-save | grep -i fwdeploy; ip6tables-save | grep -i fwdeploy; \
     firewall-cmd --direct --get-all-rules | grep fwdeploy; firewall-cmd --permanent --direct --get-all-rules | grep fwdeploy; \
     firewall-cmd --direct --get-all-chains | grep -e DOCKER-USER -e fwdeploy; firewall-cmd --permanent --direct --get-all-chains | grep -e DOCKER-USER -e fwdeploy; \
     firewall-cmd --list-rich-rules | grep 172.20.0; firewall-cmd --permanent --list-rich-rules | grep 172.20.0; :";

fn a_removed_node_is_as_before_the_first_run(suite: &str, backend: &str) {
    let one = One::up(&name("rm", suite, backend), suite, backend);
    let lab = &one.lab;
    let stranger = lab.peer("peer2");
    // Of somebody else's, in every view.
    let foreign = "firewall-cmd -q --permanent --add-rich-rule='rule family=ipv4 source address=203.0.113.9 drop'; \
        firewall-cmd -q --add-rich-rule='rule family=ipv4 source address=203.0.113.9 drop'; \
        firewall-cmd -q --permanent --direct --add-rule ipv4 filter INPUT 5 -s 203.0.113.8 -j DROP; \
        firewall-cmd -q --direct --add-rule ipv4 filter INPUT 5 -s 203.0.113.8 -j DROP";
    lab.sh("n1", foreign);
    let others = "firewall-cmd --list-rich-rules; firewall-cmd --permanent --list-rich-rules; firewall-cmd --direct --get-all-rules | grep -v DOCKER-USER; \
        firewall-cmd --permanent --direct --get-all-rules | grep -v DOCKER-USER; iptables-save -t nat | grep -v -e '^#' -e '^:'";
    let before = lab.sh("n1", others);
    assert!(before.contains("203.0.113.8") && before.contains("203.0.113.9"));
    one.run_changes();
    one.assert_enforced("before the removal");

    // Nothing is removed by a check, and the node stays closed.
    let said = lab.fwdeploy("remove", &["-l", "n1", "--check"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("OPENS this node"), "{}", said.out);
    assert!(one.holds(), "the check has changed nothing");

    let said = lab.fwdeploy("remove", &["-l", "n1"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(lab.sh("n1", LEFT).trim(), "", "{}", said.out);
    assert!(
        said.out.contains("not-removed"),
        "the network is in use: {}",
        said.out
    );
    let networks = lab.sh("n1", "docker network ls -q -f label=fwdeploy.created=true");
    assert!(!networks.trim().is_empty());
    // The jump to Docker's chain is there, and packets pass.
    let forward = lab.sh(
        "n1",
        "iptables-save -t filter | grep -c -e '-A FORWARD -j DOCKER-USER'",
    );
    assert_eq!(forward.trim(), "1");
    assert!(
        lab.reaches("n1/cybex", &stranger, PORT),
        "the way out is open"
    );
    // A reload of firewalld brings nothing back, and loses nothing of Docker's.
    lab.sh("n1", "firewall-cmd -q --reload; sleep 3");
    assert_eq!(lab.sh("n1", LEFT).trim(), "");
    assert!(
        lab.reaches("n1/cybex", &stranger, PORT),
        "also after a reload"
    );

    let said = lab.fwdeploy("remove", &["-l", "n1"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("changed=0"), "{}", said.out);

    // The removal is taken back as a run is, and done again.
    let said = lab.fwdeploy("rollback", &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    one.assert_enforced("after the rollback of the removal");
    let said = lab.fwdeploy("remove", &["-l", "n1"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(lab.sh("n1", LEFT).trim(), "", "{}", said.out);

    // Once the container is gone, the network goes, and the records if that is asked for.
    lab.sh("n1", "docker rm -f cybex >/dev/null");
    let said = lab.fwdeploy("remove", &["-l", "n1", "--purge"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let networks = lab.sh("n1", "docker network ls -q -f label=fwdeploy.created=true");
    assert_eq!(networks.trim(), "", "{}", said.out);
    assert_eq!(
        lab.sh("n1", "ls -d /var/lib/fwdeploy /run/fwdeploy 2>/dev/null; :")
            .trim(),
        ""
    );
    let others_now = lab.sh("n1", others);
    assert_eq!(comparable(&others_now), comparable(&before));

    // And the node can be deployed to again.
    lab.lab("container", &["n1", "cybex", "--restart", "always"]);
    one.run_changes();
    one.assert_enforced("after all");
}

/// The lines in order, without what Docker and firewalld have for containers that come and go.
fn comparable(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.retain(|line| !line.contains("172.20.") && !line.contains("172.17.0."));
    lines.sort_unstable();
    lines
}
