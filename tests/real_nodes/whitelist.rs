//! The whitelist holds, and stays.

use crate::One;
use crate::lab::wait_until;
use crate::name;
use crate::on_every_node;

on_every_node!(the_whitelist_holds_and_stays);

fn the_whitelist_holds_and_stays(suite: &str, backend: &str) {
    let one = One::up(&name("w", suite, backend), suite, backend);
    assert!(
        one.lab
            .reaches("n1/cybex", &one.lab.peer("peer2"), crate::PORT),
        "before the first run the container reaches anybody, or the test proves nothing"
    );
    one.run_changes();
    one.assert_enforced("after the first run");

    let said = one.lab.fwdeploy("run", &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("changed=0"), "{}", said.out);
    one.assert_enforced("after a second run");

    one.lab.sh(
        "n1",
        "systemctl reset-failed docker; systemctl restart docker",
    );
    one.assert_enforced("after Docker restarted");
    assert!(one.holds(), "after Docker restarted");

    one.lab.lab("reboot", &["n1"]);
    // Services count as started before Docker has made its last rule.
    wait_until("the node is as wanted after its reboot", || {
        one.lab.fwdeploy("run", &["--check"]).code == 0
    });
    one.assert_enforced("after the node rebooted");

    // Docker puts its rules back in the background; while it does, `--check` truly says drift.
    one.lab.sh("n1", "firewall-cmd --reload && sleep 3");
    if !one.holds() {
        let said = one.lab.fwdeploy("run", &["--check"]);
        assert!(said.out.contains("DOCKER-USER"), "{}", said.out);
        one.run_changes();
        assert!(one.holds());
    }
    one.assert_enforced("after somebody reloaded firewalld");
}
