//! Files of firewalld that are edited by hand: reported, never overwritten, never loaded without review; and no report without an edit.

use fwdeploy::model::Desired;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::node::probe_script;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::plan;
use fwdeploy::probe::observe;

use crate::One;
use crate::failures::assert_said;
use crate::harness::lab::Lab;
use crate::harness::said::wait_until;
use crate::name;
use crate::on_two_nodes;

fn looked(lab: &Lab) -> NodeState {
    let said = lab.try_sh("n1", &probe_script(None));
    observe(said.out.as_bytes(), said.err.as_bytes()).expect("the look is whole")
}

/// The findings about edited files.
fn told(state: &NodeState) -> Vec<String> {
    let plan = plan(state, &Desired::default(), &Allowed::default());
    let found = plan
        .findings
        .into_iter()
        .filter(|f| f.code == FindingCode::EditedByHand);
    found.map(|f| f.text).collect()
}

/// The files that are not understood.
fn unread(state: &NodeState) -> Vec<String> {
    let files = state.files.known().expect("the files were read");
    let things = [&files.zones, &files.policies, &files.services];
    let things = things.into_iter().flat_map(|all| all.values());
    let mut out: Vec<String> = things
        .filter_map(|file| Some(format!("{}: {}", file.path, file.says.as_result().err()?)))
        .collect();
    if let Observed::Unreadable(why) = &files.direct.says {
        out.push(why.clone());
    }
    assert!(files.default_zone.says.known().is_some());
    out
}

/// Every file of the distribution's as a file of one's own, and every kind of setting that firewalld writes.
const EVERYTHING: &str = r##"
for kind in zones policies services; do
    mkdir -p /etc/firewalld/$kind
    cp -n /usr/lib/firewalld/$kind/*.xml /etc/firewalld/$kind/ 2>/dev/null
done
firewall-cmd -q --reload
# Forks of one process: each firewall-cmd of its own takes a fifth of a second for its modules alone.
words() { printf '%s\037' -q --permanent "$@" >>/run/words; echo >>/run/words; }
permanent() { words "$@"; }
permanent --new-zone=work2
permanent --new-ipset=friends --type=hash:net
permanent --new-service=chat
permanent --zone=work2 --set-target=DROP
permanent --zone=home --set-target=%%REJECT%%
permanent --zone=work2 --add-service=ssh --add-service=http
permanent --zone=work2 --add-port=80/tcp --add-port=81-90/tcp --add-port=7000-7002/udp --add-port=9/sctp
permanent --zone=work2 --add-protocol=gre --add-protocol=esp
permanent --zone=work2 --add-source-port=99/udp --add-source-port=1000-2000/tcp
permanent --zone=work2 --add-icmp-block=echo-request --add-icmp-block=redirect
permanent --zone=work2 --add-icmp-block-inversion
permanent --zone=work2 --add-masquerade
permanent --zone=work2 --add-forward
permanent --zone=work2 --add-forward-port=port=80:proto=tcp:toport=8080 --add-forward-port=port=22-24:proto=tcp:toaddr=10.0.0.1 --add-forward-port=port=25:proto=udp:toport=26:toaddr=fd00::1
permanent --zone=work2 --add-interface=eth7
permanent --zone=work2 --add-source=198.51.100.0/24 --add-source=2001:db8::/32 --add-source=00:11:22:aa:bb:cc --add-source=ipset:friends
permanent --zone=work2 --set-description='a <b> & "c"'
permanent --zone=work2 --set-ingress-priority=-7
permanent --zone=work2 --set-egress-priority=8
permanent --service=chat --add-port=7000-7002/tcp --add-port=7000/udp
permanent --service=chat --add-protocol=ah
permanent --service=chat --add-source-port=53/udp
permanent --service=chat --add-module=nf_conntrack_netbios_ns --add-module=ftp
permanent --service=chat --add-helper=ftp
permanent --service=chat --add-include=ssh
permanent --service=chat --set-destination=ipv4:224.0.0.251
permanent --service=chat --set-destination=ipv6:ff02::fb
permanent --new-policy=guard
permanent --policy=guard --add-ingress-zone=work2 --add-ingress-zone=home
permanent --policy=guard --add-egress-zone=HOST
permanent --policy=guard --set-target=REJECT
permanent --policy=guard --set-priority=-150
permanent --policy=guard --add-service=ssh
permanent --policy=guard --add-port=80/tcp
permanent --policy=guard --add-icmp-block=echo-reply
permanent --policy=guard --add-rich-rule='rule priority="7" source ipset="friends" icmp-type name="echo-request" drop'
permanent --new-policy=plain
permanent --policy=plain --add-ingress-zone=ANY
permanent --policy=plain --add-egress-zone=HOST
permanent --policy=plain --add-disable
for zone in public work2; do
    rich() { permanent --zone=$zone --add-rich-rule="$1"; }
    rich 'rule family="ipv4" source address="192.0.2.1" forward-port port="5000" protocol="tcp" to-port="5001" to-addr="172.20.0.2"'
    rich 'rule family="ipv4" source address="192.0.2.1" destination address="172.20.0.2/32" accept'
    rich 'rule family="ipv4" source NOT address="192.0.2.50" service name="ssh" log prefix="no:  " level="info" limit value="3/minute" reject type="icmp-host-prohibited"'
    rich 'rule family="ipv4" source not address="192.0.2.51" destination not address="192.0.2.0/24" audit limit value="1/h" drop limit value="2/d"'
    rich 'rule priority="-5" family="ipv6" source address="2001:db8::/32" port port="22" protocol="tcp" accept limit value="10/s"'
    rich 'rule priority="0" family="ipv4" source address="10.0.0.7" drop'
    rich 'rule priority="32000" family="ipv4" log prefix="last" level="debug" limit value="1/m"'
    rich 'rule family="ipv4" port port="1000-2000" protocol="udp" mark set="0x10/0xff"'
    rich 'rule family="ipv4" source-port port="53" protocol="udp" mark set=7 limit value="3/m"'
    rich 'rule source mac="aa:bb:cc:dd:ee:ff" protocol value="icmp" accept'
    rich 'rule source ipset="friends" service name="http" log audit accept'
    rich 'rule source NOT ipset="friends" service name="http" drop'
    rich 'rule icmp-block name="redirect"'
    rich 'rule icmp-type name="echo-request" accept'
    rich 'rule family="ipv4" source address="10.1.0.0/16" masquerade'
    rich 'rule family="ipv4" forward-port port="8081-8082" protocol="tcp" to-port="80-81"'
    rich 'rule family="ipv4" destination ipset="friends" tcp-mss-clamp value="1200"'
    rich 'rule tcp-mss-clamp'
    rich 'rule tcp-mss-clamp value="pmtu" log prefix="x"'
    rich 'rule service name="ssh" nflog group="2" prefix="a" queue-size="3" limit value="4/m" accept'
    rich 'rule service name="ssh" nflog group="0" accept'
    rich 'rule service name="https" accept limit value="4/m" burst="6"'
done
direct() { words --direct "$@"; }
direct --add-chain ipv4 filter DOCKER-USER
direct --add-chain eb filter OTHERS
direct --add-rule ipv4 filter DOCKER-USER 0 -m comment --comment "it's <a> & \"b\" # c \\ d" -j ACCEPT
direct --add-rule ipv6 mangle FORWARD -3 -m comment --comment '' -j RETURN
direct --add-rule eb filter OTHERS 3 -p ARP -j ACCEPT
direct --add-passthrough ipv4 -t raw -A PREROUTING -s 192.0.2.9 -m comment --comment "é" -j ACCEPT
cat >/run/all.py <<'END'
import os, sys, traceback
import firewall.client, firewall.command
program = "/usr/bin/firewall-cmd"
with open(program, encoding="utf-8") as file:
    code_of_it = compile(file.read(), program, "exec")
for line in open("/run/words", encoding="utf-8"):
    sys.argv = [program] + line.rstrip("\n").split("\x1f")[:-1]
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            print("not here:", *sys.argv[3:], flush=True)
        continue
    code = 1
    try:
        exec(code_of_it, {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    os._exit(1 if code else 0)
END
LC_ALL=C.UTF-8 python3 -Es /run/all.py
"##;

fn what_nobody_edited_is_as_firewalld_tells_it(suite: &str, backend: &str) {
    let lab = Lab::up(
        &name("edsame", suite, backend),
        &[&format!("n1={suite}:{backend}")],
        0,
    );
    let assert_same = |when: &str| {
        let state = looked(&lab);
        assert_eq!(unread(&state), Vec::<String>::new(), "{when}");
        assert_eq!(told(&state), Vec::<String>::new(), "{when}");
        state
    };
    let state = assert_same("on a fresh node");
    let fresh = state.files.known().expect("the files").zones.len();
    let said = lab.sh("n1", EVERYTHING);
    eprintln!("{said}");
    let state = assert_same("as firewalld has just written it");
    let files = state.files.known().expect("the files");
    assert!(files.zones.len() > fresh + 5, "{:?}", files.zones.keys());
    assert!(files.services.len() > 100 && files.policies.len() > 1);
    let work = files.zones["work2"].says.known().unwrap().as_ref().unwrap();
    assert!(work.all("rules_str").count() > 12, "{work:?}");
    lab.sh(
        "n1",
        "firewall-cmd -q --reload || firewall-cmd --check-config",
    );
    assert_same("as firewalld has read it");
}

/// firewalld writes its files alike with both backends.
macro_rules! on_every_generation {
    ($test:ident) => {
        mod $test {
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bullseye() {
                super::$test("bullseye", "nftables");
            }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn bookworm() {
                super::$test("bookworm", "nftables");
            }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn trixie() {
                super::$test("trixie", "nftables");
            }
            #[test]
            #[ignore = "needs root and the lab: make lab"]
            fn forky() {
                super::$test("forky", "nftables");
            }
        }
    };
}
on_every_generation!(what_nobody_edited_is_as_firewalld_tells_it);

/// Edits the zone's file and direct.xml, whether or not they are there.
const EDIT: &str = r##"
edit() {
    zone=/etc/firewalld/zones/public.xml direct=/etc/firewalld/direct.xml
    [ -e $zone ] || cp /usr/lib/firewalld/zones/public.xml $zone
    [ -e $direct ] || printf '<?xml version="1.0" encoding="utf-8"?>\n<direct>\n</direct>\n' >$direct
    sed -i "/edited/d; s|</zone>|$1 <!-- edited -->\n</zone>|" $zone
    sed -i "/edited/d; s|</direct>|$2 <!-- edited -->\n</direct>|" $direct
}
"##;
/// firewalld before 2.5 reads a file five seconds after it was last touched. So it is touched repeatedly.
const KEEP_TOUCHING: &str = "touch /run/editing
    while [ -e /run/editing ]; do
        touch -c /etc/firewalld/zones/public.xml /etc/firewalld/direct.xml
        sleep 1
    done </dev/null >/dev/null 2>&1 &";
const PORT: &str = r#"<port port="9100" protocol="tcp"/>"#;
const DROP: &str = r#"<rule ipv="ipv4" table="filter" chain="INPUT" priority="0">-s 198.51.100.66/32 -j DROP</rule>"#;

fn an_edit_is_neither_written_over_nor_loaded_unseen(suite: &str, backend: &str) {
    let one = One::up(&name("edhand", suite, backend), suite, backend);
    let lab = &one.lab;
    let files = || {
        lab.sh(
            "n1",
            "cd /etc/firewalld && cat zones/public.xml direct.xml && firewall-cmd --zone=public --list-all && firewall-cmd --direct --get-all-rules",
        )
    };
    let edited = |zone: &str, direct: &str| {
        lab.sh("n1", &format!("{EDIT}\nedit '{zone}' '{direct}'"));
        files()
    };
    lab.sh("n1", KEEP_TOUCHING);
    for flags in [&[][..], &["--reload", "always", "--allow-pending"]] {
        let before = edited(PORT, DROP);
        let said = lab.fwdeploy("run", flags);
        let names = [
            "[edited-by-hand]",
            "port `9100/tcp`",
            "198.51.100.66/32",
            "load it with `firewall-cmd --reload`",
        ];
        assert_said(&said, "an edit", 2, &names);
        assert_eq!(files(), before, "{flags:?}");
    }
    let node = lab.address("n1");
    let (network, _) = node.rsplit_once('.').expect("an IPv4 address");
    let shut = format!(
        r#"<rule family="ipv4"><source address="{network}.1"/><service name="ssh"/><reject/></rule>"#
    );
    let before = edited(&shut, DROP);
    let said = lab.fwdeploy("run", &[]);
    let names = [
        "[edited-by-hand]",
        "do not reload firewalld yet",
        "service name=\"ssh\"",
    ];
    assert_said(&said, "an edit that shuts ssh", 2, &names);
    assert_eq!(files(), before);

    edited(PORT, DROP);
    lab.sh("n1", "firewall-cmd -q --reload");
    wait_until("Docker has its rules again", || {
        lab.fwdeploy("run", &["--check"]).code == 2
    });
    one.run_changes();
    one.assert_enforced("after somebody's edit was loaded");
    let now = files();
    for text in ["9100", "198.51.100.66"] {
        assert_eq!(now.matches(text).count(), 2, "{text} in {now}");
    }

    // Nothing has to be written: the edit is reported, and a command that writes anyway is refused.
    let more = PORT.replace("9100", "9101");
    let before = edited(&format!("{PORT}{more}"), DROP);
    let said = lab.fwdeploy("run", &["--check"]);
    assert_said(
        &said,
        "an edit of a node in order",
        0,
        &["[edited-by-hand]", "port `9100-9101/tcp`"],
    );
    edited(&format!("{PORT}{more}"), DROP);
    let said = lab.fwdeploy("drill", &["--confirm-timeout", "15"]);
    assert_said(&said, "a drill", 2, &["[edited-by-hand]"]);
    edited(&format!("{PORT}{more}"), DROP);
    let said = lab.fwdeploy("rollback", &[]);
    assert_said(&said, "a rollback", 2, &["[edited-by-hand]"]);
    assert_eq!(files(), before);
    // firewalld 1.3 reads it by and by, 2.5 does not.
    lab.sh("n1", "rm /run/editing");
    let is_told = || {
        let said = lab.fwdeploy("run", &["--check"]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        format!("{}{}", said.out, said.err).contains("[edited-by-hand]")
    };
    if suite == "forky" {
        lab.sh("n1", "sleep 8");
        assert!(is_told());
    } else {
        wait_until("firewalld has read what was edited", || !is_told());
    }
}

/// firewalld gets changes without a pause, and writes its files while they are read.
const KEEP_WRITING: &str = "touch /run/writing
    while [ -e /run/writing ]; do
        for change in add remove; do
            firewall-cmd -q --permanent --zone=public --$change-port=9100/tcp
            firewall-cmd -q --permanent --direct --$change-rule ipv4 filter INPUT 0 -s 198.51.100.66 -j DROP
        done
    done </dev/null >/dev/null 2>&1 &";

fn what_firewalld_is_just_writing_is_no_edit(suite: &str, backend: &str) {
    let lab = Lab::up(
        &name("edrace", suite, backend),
        &[&format!("n1={suite}:{backend}")],
        0,
    );
    lab.sh("n1", KEEP_WRITING);
    let mut met = 0;
    for _ in 0..25 {
        let state = looked(&lab);
        assert_eq!(told(&state), Vec::<String>::new());
        met += usize::from(state.files.known().is_none());
    }
    lab.sh("n1", "rm /run/writing");
    assert!(met > 0, "no look met a write");
}

/// A reload that fails leaves firewalld in state FAILED; direct.xml is repaired by hand, and a rule is added to it.
fn a_recovery_loads_what_was_mended_by_hand(suite: &str, backend: &str) {
    let one = One::up(&name("edmend", suite, backend), suite, backend);
    let lab = &one.lab;
    lab.sh(
        "n1",
        &format!(
            "firewall-cmd -q --permanent --direct --add-rule ipv4 filter FORWARD 0 -j NOWHERE
            ! firewall-cmd -q --reload 2>/dev/null
            sed -i '/NOWHERE/d; s|</direct>|{DROP}</direct>|' /etc/firewalld/direct.xml"
        ),
    );
    let said = lab.fwdeploy("run", &["--recover", "--diff"]);
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, 0, "{all}");
    assert!(all.contains("was in state FAILED and runs again"), "{all}");
    assert!(!all.contains("[set-aside]"), "{all}");
    for view in ["", "--permanent"] {
        let rules = lab.sh(
            "n1",
            &format!("firewall-cmd {view} --direct --get-all-rules"),
        );
        assert!(rules.contains("198.51.100.66"), "{view} {rules}");
        assert!(!rules.contains("NOWHERE"), "{view} {rules}");
    }
    one.assert_enforced("after a recovery that loaded what was mended by hand");
    assert!(one.holds());
}

on_two_nodes!(
    what_firewalld_is_just_writing_is_no_edit,
    an_edit_is_neither_written_over_nor_loaded_unseen,
    a_recovery_loads_what_was_mended_by_hand,
);
