//! Docker's side as others have left it: subnets that hide the node's own networks, settings of others on a network, containers that
//! are restarting, networks with the same name, defaults of the daemon, and ways out that pass no rule.
//!
//! How each is caused is in tests/it/docker_side.rs, where the same kinds are cases without a node.

use crate::One;
use crate::PORT;
use crate::harness::said::Said;
use crate::name;
use crate::on_two_nodes;

on_two_nodes!(what_others_have_made_of_docker_is_kept_or_told);

/// A run or a check that must end with this code and say these words.
#[track_caller]
fn said(one: &One, args: &[&str], code: i32, words: &[&str]) -> String {
    let Said {
        code: ended,
        out,
        err,
        ..
    } = one.lab.fwdeploy("run", args);
    assert_eq!(ended, code, "{args:?}: {out}{err}");
    for word in words {
        assert!(out.contains(word), "`{word}` is not in {out}{err}");
    }
    out
}

/// The same of a container that ends again and again: between two starts it runs, for a moment.
#[track_caller]
fn until_said(one: &One, args: &[&str], code: i32, words: &[&str]) {
    crate::harness::said::wait_until(&format!("{words:?} is said"), || {
        let said = one.lab.fwdeploy("run", args);
        said.code == code && words.iter().all(|word| said.out.contains(word))
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_subnet_that_would_cut_ssh_changes_nothing() {
    let one = One::up("shadow", "forky", "nftables");
    let lab = &one.lab;
    let peers = format!("[{}]", lab.peer("peer1"));
    let node = lab.address("n1");
    let lan = node.rsplit_once('.').unwrap().0.to_string();
    // A road to others, a tunnel, IPv6.
    lab.sh("n1", "ip link add wan1 type veth peer name wan2 && ip link set wan2 up && ip address add 172.29.7.9/24 dev wan1 && ip link set wan1 up && ip address add fd00:9::7/64 dev wan1 && ip route add 10.99.0.0/16 via 172.29.7.1");
    for (subnet, more, code) in [
        (format!("{lan}.0/24"), "", "locks-out"),
        (format!("{lan}.0/30"), "", "locks-out"),
        ("10.64.0.0/10".to_string(), "", "locks-out"),
        ("172.29.7.0/24".to_string(), "", "locks-out"),
        ("172.29.7.8/29".to_string(), "", "subnet-shadows"),
        ("10.99.4.0/22".to_string(), "", "route-shadowed"),
        (
            "172.20.0.0/16".to_string(),
            "        cybex_subnet6: fd00:9::/64\n        cybex_address6: fd00:9::2\n",
            "subnet-shadows",
        ),
    ] {
        let address = subnet.rsplit_once('.').unwrap().0;
        let address = match subnet.as_str() {
            "172.29.7.8/29" => "172.29.7.10".to_string(),
            _ => format!("{address}.2"),
        };
        one.inventory(
            &peers,
            &format!("        cybex_subnet: {subnet}\n        cybex_address: {address}\n{more}"),
        );
        if code == "route-shadowed" {
            said(&one, &["--check"], 2, &[code]);
            continue;
        }
        let out = said(
            &one,
            &[],
            2,
            &[
                "refused",
                code,
                &subnet.replace("172.20.0.0/16", "fd00:9::/64"),
            ],
        );
        assert!(
            out.contains("changed=0") || !out.contains("changed=1"),
            "{out}"
        );
    }
    let networks = lab.sh("n1", "docker network ls --format '{{.Name}}' | sort | tr '\\n' ' '; ls /var/lib/fwdeploy 2>/dev/null || true");
    assert_eq!(networks.trim(), "bridge host none");
}

/// What a snapshot records of Docker, asked over its socket by the node's Python, and by the docker command.
const BY_SOCKET_AND_BY_COMMAND: &str = r#"
docker network create --label 'a=b c/d' --label e= --subnet 172.31.5.0/24 --gateway 172.31.5.1 --ip-range 172.31.5.128/25 --aux-address r1=172.31.5.200 \
    --opt com.docker.network.bridge.name=br-side side >/dev/null
docker network create --ipv6 --subnet fd00:5::/64 v6 >/dev/null; docker network create --internal inside >/dev/null
docker run -d --name many -p 8081:80 -p 9100-9102:9100-9102/udp --network side --ip 172.31.5.9 --network-alias foo fwdeploy-lab:latest >/dev/null
docker network connect --alias x.y --alias b --ip6 fd00:5::77 v6 many
docker run -d --name linked --link many:uno --network side fwdeploy-lab:latest >/dev/null
docker create --name idle --expose 99 fwdeploy-lab:latest >/dev/null
docker run -d --name none --network none fwdeploy-lab:latest >/dev/null; docker run -d --name hosty --network host fwdeploy-lab:latest >/dev/null
(
    for library in /var/lib/fwdeploy/snapshots/*/library.sh; do . "$library"; break; done
    each() {
        read_docker || echo "no answer: $answer"
        printf '%s\n' "$picture" "== $layout" "== $bridges"
        read_picture || echo "no answer: $answer"
        printf '%s\n' "$picture"
        container_layout
        bridge_networks
    }
    ask_engine picture || echo "the socket is not asked: $?"
    each >/run/by-socket
    ask_engine() { return 3; }
    each >/run/by-command
)
docker rm -f many linked idle none hosty >/dev/null; docker network rm side v6 inside >/dev/null
diff /run/by-socket /run/by-command
grep -c . /run/by-socket
"#;

fn what_others_have_made_of_docker_is_kept_or_told(suite: &str, backend: &str) {
    let one = One::up(&name("kind", suite, backend), suite, backend);
    let lab = &one.lab;
    let peer = lab.peer("peer1");
    let stranger = lab.peer("peer2");

    // Defaults of the daemon, which Docker 20.10 does not know: settings that contradict the role are set explicitly, others are accepted.
    let has_defaults = suite == "forky";
    if has_defaults {
        lab.sh("n1", r#"printf '{"default-network-opts":{"bridge":{"com.docker.network.enable_ipv6":"true","com.docker.network.driver.mtu":"1400","com.docker.network.bridge.enable_ip_masquerade":"false","com.docker.network.bridge.gateway_mode_ipv4":"routed"}}}' >/etc/docker/daemon.json; systemctl reset-failed docker; systemctl restart docker"#);
        crate::harness::said::wait_until("the container is back", || {
            lab.try_sh("n1", "docker inspect -f '{{.State.Running}}' cybex")
                .out
                .trim()
                == "true"
        });
    }
    one.run_changes();
    assert!(one.holds());
    one.assert_enforced("with defaults of the daemon's");
    if has_defaults {
        let options = lab.sh(
            "n1",
            "docker network inspect -f '{{.EnableIPv6}} {{json .Options}}' cybex",
        );
        lab.sh(
            "n1",
            "rm /etc/docker/daemon.json; systemctl reset-failed docker; systemctl restart docker",
        );
        assert!(
            options.starts_with("false")
                && options.contains("\"com.docker.network.driver.mtu\":\"1400\""),
            "{options}"
        );
    }

    // A network of Compose that must be recreated, with everything that Compose has set, and each endpoint as it was.
    lab.sh("n1", "docker rm -f cybex >/dev/null; docker network rm cybex >/dev/null
        docker network create --subnet 172.20.0.0/24 --ip-range 172.20.0.128/25 --aux-address nas=172.20.0.9 --attachable --label com.docker.compose.project=chain --label 'note=it'\"'\"'s $(id)' -o com.docker.network.driver.mtu=1300 -o com.docker.network.bridge.name=br-own cybex >/dev/null
        docker run -d --name cybex --restart always --network cybex --ip 172.20.0.2 --network-alias seed fwdeploy-lab:latest sh -c 'for p in 5000 8090; do while :; do echo hi | nc -l -p $p; done & done; wait' >/dev/null
        docker run -d --name db --network cybex --ip 172.20.0.7 --network-alias store --link cybex:witness fwdeploy-lab:latest sleep 100000 >/dev/null
        docker run -d --name loop --restart always --network cybex --ip 172.20.0.8 fwdeploy-lab:latest false >/dev/null
        docker create --name old --network cybex --ip 172.20.0.6 fwdeploy-lab:latest sleep 9 >/dev/null");
    until_said(
        &one,
        &["--replace-network", "--check"],
        1,
        &["container-restarting", "docker stop loop"],
    );
    lab.sh("n1", "docker stop loop >/dev/null");
    said(&one, &["--replace-network"], 0, &[]);
    assert!(one.holds());
    let kept = lab.sh("n1", "docker network inspect -f '{{json .Labels}} {{json .Options}} {{json .IPAM.Config}} {{.Attachable}}' cybex
        for c in cybex db loop old; do docker inspect -f '{{with .NetworkSettings.Networks.cybex}}{{.IPAMConfig.IPv4Address}} {{.Aliases}} {{.Links}}{{end}}' $c; done; ip -br link show br-own");
    for word in [
        "\"com.docker.compose.project\":\"chain\"",
        "it's $(id)",
        "\"com.docker.network.driver.mtu\":\"1300\"",
        "\"IPRange\":\"172.20.0.128/25\"",
        "\"nas\":\"172.20.0.9\"",
        "] true",
        "172.20.0.2 [seed",
        "172.20.0.7 [store",
        "cybex:witness",
        "172.20.0.8",
        "172.20.0.6",
        "br-own",
    ] {
        assert!(kept.contains(word), "`{word}` is not in {kept}");
    }

    // A container that ends again and again, at its place: nothing is done, and a run is no failure.
    lab.sh("n1", "docker rm -f loop old >/dev/null; docker rename cybex cybex_old; docker stop -t 0 cybex_old >/dev/null
        docker run -d --name cybex --restart always --network cybex --ip 172.20.0.2 fwdeploy-lab:latest false >/dev/null");
    until_said(
        &one,
        &[],
        0,
        &["container-restarting", "address-claimed", "cybex_old"],
    );
    lab.sh("n1", "docker rm -f cybex >/dev/null; docker rename cybex_old cybex; docker start cybex >/dev/null");
    assert!(one.holds());
    one.assert_enforced("after a container that ended again and again");

    // A relay, and a network that is internal in name only: it is on the wire, and reaches the unlisted host.
    let node = lab.address("n1");
    let lan = node.rsplit_once('.').expect("an address").0;
    lab.sh("n1", &format!("docker network connect bridge db; docker network create -d macvlan --internal -o parent=host0 --subnet {lan}.0/24 wire >/dev/null; docker network connect --ip {lan}.200 wire cybex"));
    assert!(lab.reaches("n1/cybex", &stranger, PORT));
    said(&one, &["--check"], 2, &["relay", "second-network", "wire"]);
    lab.sh("n1", "docker network disconnect wire cybex; docker network rm wire >/dev/null; docker rm -f db >/dev/null");

    // Names: what Docker asks for from the node passes no rule.
    let asked = lab.lab("listen", &["peer2", "53"]);
    let queries = |what: &str| {
        std::fs::write(&asked, "").expect("the listener's file");
        lab.sh(
            "n1",
            "timeout 9 docker exec cybex nslookup who.example. 127.0.0.11 >/dev/null 2>&1 || :",
        );
        let count = std::fs::read_to_string(&asked)
            .expect("a file")
            .lines()
            .count();
        eprintln!("   {suite}: {what}: {count} queries reached the stranger");
        count
    };
    lab.sh(
        "n1",
        &format!(
            "echo 'nameserver {stranger}' >/etc/resolv.conf; docker restart -t 0 cybex >/dev/null"
        ),
    );
    let leaves = suite == "forky";
    assert_eq!(queries("a server beyond the node") > 0, leaves);
    let out = said(&one, &["--check"], 0, &[]);
    assert_eq!(out.contains("dns-leaves"), leaves, "{out}");
    // A resolver of the node's own forwards what it is asked.
    lab.sh("n1", &format!("cat >/tmp/forward.py <<'EOF'
import socket
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); here.bind(('127.0.0.1', 53))
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True: out.sendto(here.recv(4096), ('{stranger}', 53))
EOF
        systemd-run -q --unit forward python3 /tmp/forward.py; echo 'nameserver 127.0.0.1' >/etc/resolv.conf; docker restart -t 0 cybex >/dev/null; sleep 1"));
    assert!(queries("a resolver on the node") > 0);
    said(&one, &["--check"], 0, &["dns-leaves", "127.0.0.1"]);
    // A server that it was given is asked by the container itself.
    lab.sh("n1", &format!("docker rm -f cybex >/dev/null; docker run -d --name cybex --restart always --network cybex --ip 172.20.0.2 --dns {stranger} fwdeploy-lab:latest sleep 100000 >/dev/null"));
    assert_eq!(queries("a server of its own"), 0);
    let out = said(&one, &["--check"], 0, &[]);
    assert!(!out.contains("dns-leaves"), "{out}");
    assert!(lab.reaches("n1/cybex", &peer, PORT));

    // An address that Docker assigns to no container, and two networks of one name, which Docker 20.10 lets a program create.
    lab.sh("n1", "docker rm -f cybex >/dev/null; docker network rm cybex >/dev/null; docker network create --subnet 172.20.0.0/16 --aux-address nas=172.20.0.2 -o com.docker.network.bridge.name=br-cybex cybex >/dev/null; docker create --name cybex --network cybex --ip 172.20.0.2 fwdeploy-lab:latest sleep 9 >/dev/null");
    said(&one, &[], 2, &["address-reserved", "nas"]);
    if suite == "bookworm" {
        lab.sh("n1", r#"docker rm cybex >/dev/null; python3 - <<'EOF'
import socket
body = b'{"Name":"cybex","CheckDuplicate":false,"IPAM":{"Config":[{"Subnet":"172.21.0.0/16"}]}}'
s = socket.socket(socket.AF_UNIX); s.connect('/var/run/docker.sock')
s.sendall(b'POST /v1.40/networks/create HTTP/1.0\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
assert b' 201 ' in s.recv(4096)
EOF"#);
        let ids = lab.sh("n1", "docker network ls -q --no-trunc --filter name=cybex");
        let ids: Vec<&str> = ids.split_whitespace().collect();
        assert_eq!(ids.len(), 2);
        said(
            &one,
            &["--replace-network"],
            2,
            &["network-twice", ids[0], ids[1]],
        );
        lab.sh("n1", &format!("docker network rm {}", ids[0]));
    }

    let lines = lab.sh("n1", BY_SOCKET_AND_BY_COMMAND);
    // Less would not be every kind.
    assert!(
        lines.trim().parse::<usize>().is_ok_and(|count| count > 40),
        "{lines}"
    );
}
