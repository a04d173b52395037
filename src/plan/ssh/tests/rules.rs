//! Rich rules, policies, direct rules and passthroughs.

use super::*;

#[test]
fn rich_rules_are_asked_in_their_order() {
    let rule = |text: &'static str| move |h: &mut Held| h.rich.push(RichText::new(text));
    for shuts in [
        r#"rule family="ipv4" source address="192.0.2.0/24" reject"#,
        r#"rule family="ipv4" source NOT address="203.0.113.0/24" drop"#,
        r#"rule priority="-5" family="ipv4" source address="192.0.2.7" service name="ssh" log prefix="x" limit value="3/m" reject type="tcp-reset""#,
        r#"rule port port="20-30" protocol="tcp" drop"#,
        r#"rule protocol value="tcp" drop"#,
        r#"rule family="ipv4" destination address="198.51.100.1" drop"#,
        r#"rule family="ipv4" forward-port port="22" protocol="tcp" to-port="22" to-addr="172.20.0.2""#,
        r#"rule family="ipv4" source ipset="bad" drop"#,
        r#"rule family="ipv4" source mac="00:11:22:33:44:55" drop"#,
        r#"rule source-port port="40000" protocol="tcp" drop"#,
        r#"rule something-new value="1" drop"#,
    ] {
        assert_lost(rule(shuts), &["rich rule", "of zone `public` refuses it"]);
    }
    for keeps in [
        r#"rule family="ipv6" reject"#,
        r#"rule family="ipv4" source address="192.0.2.8" reject"#,
        r#"rule family="ipv4" source NOT address="192.0.2.7" drop"#,
        r#"rule priority="5" family="ipv4" source address="192.0.2.7" drop"#,
        r#"rule service name="http" drop"#,
        r#"rule port port="22" protocol="udp" drop"#,
        r#"rule family="ipv4" source address="192.0.2.7" log prefix="x""#,
        r#"rule family="ipv4" icmp-block name="echo-request""#,
        r#"rule family="ipv4" source address="192.0.2.7" service name="http" accept"#,
    ] {
        assert_kept(rule(keeps));
    }
    let shut = |h: &mut Held| h.zone("public", &[("target", "DROP")]);
    assert_kept(|h| {
        shut(h);
        rule(r#"rule family="ipv4" source address="192.0.2.7" service name="ssh" accept"#)(h);
    });
    assert_lost(
        |h| {
            shut(h);
            rule(r#"rule service name="ssh" accept limit value="1/m""#)(h);
        },
        &["target"],
    );
    assert_kept(|h| {
        rule(r#"rule priority="-10" service name="ssh" accept"#)(h);
        rule(r#"rule priority="-5" family="ipv4" source address="192.0.2.7" drop"#)(h);
    });
}

#[test]
fn policies_stand_before_the_zone_or_behind_it() {
    assert_lost(
        |h| h.policy(&[("target", "DROP"), ("priority", "-1")]),
        &["policy `guard`", "`DROP`"],
    );
    assert_lost(
        |h| {
            h.policy(&[
                ("priority", "-1"),
                ("rich_rules", "rule service name=\"ssh\" reject"),
            ])
        },
        &["policy `guard`", "rich rule"],
    );
    assert_kept(|h| h.policy(&[("target", "DROP"), ("priority", "-1"), ("disable", "yes")]));
    // A policy of one zone may be left out by firewalld: that it opens does not count, that it shuts does.
    let of_public = |target: &'static str| {
        move |h: &mut Held| {
            h.zone("public", &[("target", "default"), ("services", "ssh")]);
            h.policy(&[("target", target), ("priority", "-1")]);
            let guard = h.settings.policies.get_mut("guard").unwrap();
            guard.remove("ingress_zones");
            guard.add("ingress_zones", "public");
        }
    };
    assert_lost(of_public("DROP"), &["policy `guard`", "perhaps"]);
    assert_lost(
        |h| {
            of_public("ACCEPT")(h);
            h.zone("public", &[("target", "default")]);
        },
        &["zone `public`"],
    );
    assert_kept(|h| h.policy(&[("target", "CONTINUE"), ("priority", "-1")]));
    assert_kept(|h| h.policy(&[("target", "DROP"), ("priority", "10")]));
    assert_kept(|h| {
        h.zone("public", &[("target", "default")]);
        h.policy(&[("services", "ssh"), ("priority", "10")]);
    });
}

#[test]
fn direct_rules_stand_before_every_zone() {
    let rule = |chain: &'static str, text: &'static str| move |h: &mut Held| h.rule(chain, text);
    for (chain, text) in [
        ("INPUT", "-p tcp --dport 22 -j DROP"),
        ("INPUT_direct", "-s 192.0.2.7 -j REJECT"),
        ("OUTPUT", "-p tcp --sport 22 -j DROP"),
    ] {
        assert_lost(rule(chain, text), &["direct rule", text, "refuses it"]);
    }
    for (chain, text) in [
        ("INPUT", "-p tcp -m recent --name bad --rcheck -j DROP"),
        ("INPUT", "-j f2b-sshd"),
        ("INPUT", "-p tcp --sport 1024:65535 -j DROP"),
        ("somewhere", "-p tcp --dport 22 -m mark --mark 1 -j DROP"),
        ("INPUT", "-s \"not read"),
    ] {
        assert_lost(rule(chain, text), &["direct rule", "perhaps"]);
    }
    for (chain, text) in [
        ("INPUT", "-p tcp --dport 80 -j DROP"),
        ("INPUT", "-s 203.0.113.0/24 -j DROP"),
        ("INPUT", "-i eth1 -j DROP"),
        ("INPUT", "-p tcp --dport 22 -j LOG"),
        ("FORWARD", "-p tcp --dport 22 -j DROP"),
        ("DOCKER-USER", "-j DROP"),
    ] {
        assert_kept(rule(chain, text));
    }
    // The accept that only runtime holds.
    let accept = "-p tcp --dport 22 -j ACCEPT";
    let shut = with(|h| h.zone("public", &[("target", "DROP")]));
    let mut open = shut.clone();
    open.rule("INPUT", accept);
    assert!(lost_to(22, &open, &shut).unwrap().contains("zone `public`"));
    assert_eq!(lost_to(22, &open, &open), None);
}

#[test]
fn passthroughs_are_read_as_the_rules_that_they_add() {
    let pass = |text: &'static str| {
        move |h: &mut Held| {
            let args = text.split(' ').map(String::from).collect();
            h.direct
                .passthroughs
                .push(crate::model::rule::Passthrough::new("ipv4", args));
        }
    };
    for text in [
        "-I INPUT 1 -s 192.0.2.7 -j REJECT",
        "-t filter -A INPUT -p tcp --dport 22 -j DROP",
        "-w 5 --insert=INPUT -s 192.0.2.7 -j REJECT",
        "-IINPUT -s 192.0.2.7 -j REJECT",
        "-P INPUT DROP",
        "-A INPUT -j",
    ] {
        assert_lost(pass(text), &["passthrough", text]);
    }
    for text in [
        "-t mangle -A FORWARD -s 192.0.2.7 -j DROP",
        "-t nat -A POSTROUTING -j MASQUERADE",
        "-I INPUT -p tcp --dport 80 -j DROP",
        "-N other",
    ] {
        assert_kept(pass(text));
    }
}
