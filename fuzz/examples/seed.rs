//! Cuts the captures of real nodes into seeds, a folder for each target: `seed CAPTURES OUT`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::Path;

use fwdeploy::probe::fuzzing::busctl;
use fwdeploy_fuzz::busctl::SIGNATURES;
use fwdeploy_fuzz::guard;
use fwdeploy_fuzz::look;
use fwdeploy_fuzz::network::QUESTIONS;
use openssl::base64;

/// Seeds by target.
#[derive(Default)]
struct Seeds(BTreeMap<&'static str, BTreeSet<Vec<u8>>>);

impl Seeds {
    /// A seed for one kind of a target.
    fn add(&mut self, target: &'static str, (kind, kinds): (u8, u8), bytes: &[u8]) {
        // The lowest printable byte that chooses this kind.
        let first = (b'0'..).find(|byte| byte % kinds == kind);
        let mut seed = vec![first.expect("a byte for each kind"), b'.'];
        seed.extend(bytes);
        self.0.entry(target).or_default().insert(seed);
    }

    /// The same, and the same over and over.
    fn long(&mut self, target: &'static str, kind: (u8, u8), bytes: &[u8]) {
        self.add(target, kind, bytes);
        let all = self.0.entry(target).or_default();
        let last = all.iter().find(|seed| seed[2..] == *bytes);
        let mut again = last.expect("it was added").clone();
        again[1] = b'*';
        all.insert(again);
    }

    fn write(&self, out: &Path) {
        for (target, seeds) in &self.0 {
            let folder = out.join(target);
            fs::create_dir_all(&folder).expect("a folder for seeds");
            for seed in seeds {
                let mut hasher = DefaultHasher::new();
                seed.hash(&mut hasher);
                let name = format!("seed-{:016x}", hasher.finish());
                fs::write(folder.join(name), seed).expect("a seed is written");
            }
            println!("{target}: {} seeds", seeds.len());
        }
    }
}

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let [captures, out] = &args[..] else {
        panic!("usage: seed CAPTURES OUT");
    };
    let mut seeds = Seeds::default();
    for folder in fs::read_dir(captures).expect("a folder of captures") {
        let folder = folder.expect("an entry").path();
        for file in fs::read_dir(&folder).into_iter().flatten() {
            let path = file.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "stdout") {
                let frame = fs::read(&path).expect("a capture");
                // One whole look of each node is enough to begin with: they are long.
                let whole = path
                    .file_stem()
                    .is_some_and(|s| s == "others" || s == "edited");
                cut(&mut seeds, &frame, whole);
            }
        }
    }
    guards(&mut seeds, &Path::new(captures).join("guard"));
    by_hand(&mut seeds);
    seeds.write(Path::new(out));
}

/// The answers of one capture.
fn cut(seeds: &mut Seeds, frame: &[u8], whole: bool) {
    let mut built: Vec<u8> = Vec::new();
    let mut rest = frame;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        let words: Vec<&str> = head.split(' ').collect();
        let (name, code, length) = match words[..] {
            ["=", name, code, length] => (name, Some(code), length),
            ["!", name, length] => (name, None, length),
            _ => continue,
        };
        let length: usize = length.parse().expect("a length");
        let text = &rest[..length];
        rest = &rest[length + 1..];
        let Some(code) = code else { continue };
        if !built.is_empty() {
            built.push(look::BETWEEN);
        }
        built.extend(format!("{name} {code}\n").bytes());
        built.extend(text);
        if code == "0" {
            answer(seeds, name, text);
        }
    }
    if whole {
        seeds.add("look", (0, 2), frame);
        seeds.add("look", (1, 2), &built);
    }
}

/// What nft has listed of a guard, wholly and each set by itself: a whole list is long.
fn guards(seeds: &mut Seeds, folder: &Path) {
    let kinds = guard::QUESTIONS.len() as u8;
    for file in fs::read_dir(folder).expect("a folder of captures") {
        let path = file.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let listed = fs::read_to_string(&path).expect("a capture");
        seeds.add("guard", (0, kinds), format!("{listed}end\n").as_bytes());
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        for object in listed["nftables"].as_array().expect("a list") {
            let one = serde_json::json!({ "nftables": [object] });
            seeds.add("guard", (0, kinds), format!("{one}\nend\n").as_bytes());
        }
    }
    let sum = "0".repeat(64);
    let files = format!("{sum}  /etc/fwdeploy/guard.nft\nenabled\nmasked\nchanged\n");
    seeds.long("guard", (1, kinds), files.as_bytes());
    for version in [
        "nftables v1.0.6 (Lester Gooch #5)\n",
        "nftables v0.9.8 (E.D.S.)\n",
    ] {
        seeds.add("guard", (2, kinds), version.as_bytes());
    }
}

/// An answer is a seed for whoever reads it.
fn answer(seeds: &mut Seeds, name: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let signature = text.split(' ').next().unwrap_or_default();
    if let Some(kind) = SIGNATURES.iter().position(|s| *s == signature) {
        seeds.add("busctl", (kind as u8, SIGNATURES.len() as u8), bytes);
    }
    let question = match name {
        "routes-ipv6" => "routes-ipv4",
        _ if name.starts_with("set:") => "set:x",
        other => other,
    };
    if let Some(kind) = QUESTIONS.iter().position(|q| *q == question) {
        seeds.add("network", (kind as u8, QUESTIONS.len() as u8), bytes);
    }
    match name {
        "iptables-save" | "ip6tables-save" | "other-save" => {
            seeds.add("tables", (0, 1), bytes);
            for line in text.lines().filter_map(|line| line.strip_prefix("-A ")) {
                let rule = line.split_once(' ').map_or("", |(_, rule)| rule);
                seeds.add("rules", (0, 5), rule.as_bytes());
                seeds.add("rules", (3, 5), rule.as_bytes());
            }
        }
        "permanent-rich" | "runtime-rich" => {
            let rules = busctl(&text, "as").ok().and_then(|value| value.texts());
            for rule in rules.unwrap_or_default() {
                seeds.add("rules", (1, 5), rule.as_bytes());
                seeds.add("rules", (2, 5), rule.as_bytes());
            }
        }
        "docker-networks" => seeds.add("docker", (0, 4), bytes),
        "docker-containers" => seeds.add("docker", (1, 4), bytes),
        "docker-firewall" => seeds.add("docker", (2, 4), bytes),
        "docker-told" => seeds.add("docker", (3, 4), bytes),
        "files" => {
            seeds.add("small", (0, 5), bytes);
            files(seeds, &text);
        }
        "settings" => seeds.add("small", (1, 5), bytes),
        "records" => seeds.add("small", (2, 5), bytes),
        "firewalld-unit" | "docker-unit" => seeds.add("small", (3, 5), bytes),
        "os" | "systemd" | "ssh-interface" | "tools" => seeds.add("small", (4, 5), bytes),
        _ => {}
    }
}

/// firewalld's files, out of the one answer that has them all.
fn files(seeds: &mut Seeds, text: &str) {
    for file in text.split("\n=").skip(1) {
        let (path, lines) = file.split_once('\n').unwrap_or((file, ""));
        let lines: Vec<&str> = lines
            .lines()
            .map(|l| l.strip_prefix(' ').unwrap_or(l))
            .collect();
        let kind = match path {
            _ if path.ends_with("/direct.xml") => 0,
            _ if path.contains("/zones/") => 1,
            _ if path.contains("/policies/") => 2,
            _ if path.contains("/services/") => 3,
            _ => continue,
        };
        seeds.add("xml", (kind, 4), lines.join("\n").as_bytes());
    }
}

/// What no capture holds.
fn by_hand(seeds: &mut Seeds) {
    for said in [
        "Welcome!\r\narmed 12\nstep 0 begin\nstep 0 done\nstep 1 begin\nstep 1 done\nend\nlogout\n",
        "armed 3\naside 4 why not\nstep 0 begin\nstep 0 failed 1\n| no:\n| \n|\n| step 1 done\nend\n",
        "arm failed 75\n| somebody is at work\nend\n",
        "step 0 begin\nstep 0 done\nstep 1 failed 143\n| stopped by SIGTERM ahead of this step\nend\n",
    ] {
        seeds.add("steps", (0, 3), said.as_bytes());
    }
    for said in [
        "Welcome!\ndisarmed 7\nend\n",
        "gone 7\noutcome=restored\nended=2026-01-01T00:00:00Z\nwhy=timer\nhow=in place\ntrouble=\nend\n",
        "gone 7\noutcome=restored\nwhy=now\nremark=container a is gone since\nremark=b=c\nend\n",
        "gone 7\noutcome=confirmed\nend\n",
        "still 7\noutcome=failed\ntrouble=a\ntrouble=b\nend\n",
    ] {
        seeds.add("steps", (1, 3), said.as_bytes());
    }
    for said in [
        "Welcome!\nipv4 -A fwdeploy-1 -s 192.0.2.1/32 -j DROP\nipv4 -A fwdeploy-1 -j DROP\nipv6 ! 2 no such match\nfwdeploy-printed end\n",
        "ipv4 ! 0 no namespace\nfwdeploy-printed end\n",
        "! unshare is not installed\nfwdeploy-printed end\n",
    ] {
        seeds.add("steps", (2, 3), said.as_bytes());
    }
    for kind in 0..6 {
        for said in [
            &b"Welcome!\n\x01out\n\x04\x01err\n\x04put\n\x020\n"[..],
            b"\x04[sudo] lecture\n\x03\x04\x01out\x05\x0212\n\x05rest",
            b"\x04\x03\x04\x04Sorry, try again.\n\x03",
            b"\x04sudo: a password is required\n",
            b"\x04sudo: sorry, you must have a tty to run sudo\n",
            b"\x04env: 'sudo': No such file or directory\n",
            b"fwdeploy-begin-00\n\x01fwdeploy-end-00 0\n\x02",
        ] {
            seeds.add("script_protocol", (kind, 6), said);
        }
    }
    seeds.long("script_protocol", (2, 6), b"\x04\x03\x05\x04a");
    seeds.long("script_protocol", (0, 6), b"a\x05");
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([7; 32]);
    let key = format!("ssh-ed25519 {}", base64::encode_block(&blob));
    blob[50] = 8;
    let other = format!("ssh-ed25519 {}", base64::encode_block(&blob));
    for line in [
        format!("gw {key}\n"),
        format!("# gw\n[gw]:2222,10.0.0.* {key} a comment\ngw {other}\n"),
        format!("@revoked * {other}\n*,!gw {key}\n@cert-authority g? {key}\n"),
        format!("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= {key}\n"),
        "garbled\n\u{e9} ssh-rsa AAAA\n".to_string(),
    ] {
        seeds.long("known_hosts", (0, 2), line.as_bytes());
        seeds.add("known_hosts", (1, 2), line.as_bytes());
    }
    for value in [
        "10.0.0.1",
        "10.0.0.0/8",
        "2001:db8::/32",
        "192.0.2.1:5000",
        "5000/tcp",
        "1-65535",
    ] {
        seeds.add("rules", (4, 5), value.as_bytes());
    }
    seeds.long(
        "rules",
        (0, 5),
        b"-m comment --comment \"it's \\\"x\\\"\" -j ACCEPT ",
    );
    seeds.long(
        "rules",
        (1, 5),
        b"rule family=\"ipv4\" source NOT address=\"192.0.2.1\" drop ",
    );
    seeds.long(
        "rules",
        (2, 5),
        b"rule tcp-mss-clamp value=None log limit value=\"3/minute\" ",
    );
    seeds.long(
        "rules",
        (2, 5),
        b"ports=1-5/tcp\nports=3-9/tcp\nmodules=nf_conntrack_ftp\n",
    );
    seeds.long(
        "tables",
        (0, 1),
        b"*filter\n:A - [0:0]\n[1:2] -A A -s 10.0.0.1 -j A\nCOMMIT\n",
    );
    seeds.long("xml", (0, 4), b"<direct><rule ipv='ipv4' table='filter' chain='X' priority='0'>-j &quot;D R&quot;</rule></direct>");
    seeds.long("xml", (1, 4), b"<zone><rule family='ipv4'><source address='192.0.2.1' invert='yes'/><port port='1' protocol='tcp'/><log prefix='x'><limit value='1/m'/></log><accept/></rule></zone>");
    seeds.long("small", (0, 5), b"zone:public /a\n=/a\n <zone>\nend\n");
    seeds.long("small", (1, 5), b"zone public\nend\n");
    seeds.long(
        "small",
        (2, 5),
        b"snapshot 1\noutcome=armed\nlast 1\narmed 1\nmissing x\n",
    );
    seeds.long("docker", (0, 4), b"{}\n");
    network(seeds);
    greeting(seeds);
    seeds.long("busctl", (3, 10), b"as 1 \"\\303\\251\" ");
}

/// A line of each kind that a node tells of its network.
fn network(seeds: &mut Seeds) {
    let nft = r#"{"nftables":[{"table":{"family":"inet","name":"t","handle":5}},{"chain":{"family":"inet","table":"t","name":"c","handle":1,"type":"filter","hook":"input","prio":-10,"policy":"accept"}},{"set":{"family":"inet","name":"ban","table":"t","type":"ipv4_addr","handle":2,"elem":[{"elem":{"val":"192.0.2.7","timeout":600}},{"prefix":{"addr":"198.51.100.0","len":24}},{"range":["203.0.113.1","203.0.113.9"]}]}},{"map":{"name":"m","elem":[["eth0",{"jump":{"target":"d"}}]]}},{"rule":{"chain":"c","handle":3,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@ban"}},{"counter":{"packets":0,"bytes":0}},{"drop":null}]}},{"rule":{"chain":"c","handle":4,"expr":[{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}]}},{"rule":{"chain":"c","handle":6,"expr":[{"match":{"op":"!=","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":{"set":[22,{"range":[80,90]}]}}},{"mangle":{"key":{"meta":{"key":"mark"}},"value":1}},{"vmap":{"key":{"meta":{"key":"iifname"}},"data":"@m"}}]}},{"rule":{"chain":"c","handle":7,"expr":[{"match":{"op":"==","left":{"fib":{"result":"type","flags":["daddr"]}},"right":"local"}},{"dnat":{"addr":"10.0.0.2","port":80}}]}}]}"#;
    let told = [
        (
            "listeners",
            "tcp   LISTEN 0      4096         [::]:5000       0.0.0.0:*    users:((\"docker-proxy\",pid=334,fd=4))\n",
        ),
        (
            "listeners",
            "udp    UNCONN     0      0    127.0.0.53%lo:53    *:*\n",
        ),
        (
            "routing",
            "rule4 5209:\tfrom all fwmark 0x80000/0xff0000 lookup main\nforwarding6 0\nstrict eth0\n",
        ),
        (
            "sets",
            "create ban hash:ip family inet hashsize 1024\nadd ban 192.0.2.7 timeout 59\nadd ban 192.0.2.0/24 nomatch\n",
        ),
        ("nft-rules", nft),
        (
            "addresses",
            "5: wg0@if2    inet 10.8.0.1 peer 10.8.0.2/32 scope global wg0\n2: eth0    inet6 2001:db8::1/64 scope global\n",
        ),
        (
            "routes-ipv4",
            "default via 192.0.2.1 dev eth0 proto dhcp\nblackhole 10.0.0.0/8\nlocal ::1 dev lo table local\ndefault \\ nexthop via inet6 fe80::1 dev eth0 weight 1\n",
        ),
        (
            "resolvers",
            "/etc/resolv.conf 127.0.0.53\n/run/systemd/resolve/resolv.conf fe80::1%eth0\n",
        ),
        (
            "firewalld-nft",
            "table ip\ntwice filter_INPUT\nbare nat_PREROUTING\nleads nat_PREROUTING nat_PRE_public\nforward nat_PRE_public ip saddr 192.0.2.0/24 tcp dport 80-81 dnat ip to 10.0.0.2:80\nforward x meta nfproto ipv6 udp dport 53 dnat to [fd00::1]:53\n",
        ),
    ];
    for (name, lines) in told {
        let kind = QUESTIONS.iter().position(|question| *question == name);
        let kind = (kind.expect("a question") as u8, QUESTIONS.len() as u8);
        let end = if lines.ends_with('\n') {
            "end\n"
        } else {
            "\nend\n"
        };
        seeds.long("network", kind, format!("{lines}{end}").as_bytes());
    }
    let set = r#"(ssssa{ss}as) "" "x" "" "hash:net" 1 "family" "inet" 2 "192.0.2.0/24" "10.0.0.1""#;
    seeds.add("network", (10, 11), set.as_bytes());
    for kind in [4, 5] {
        let tables = b"*filter\n:A - [0:0]\n-A A -s 10.0.0.1 -j A\nCOMMIT\n";
        seeds.add("network", (kind, 11), tables);
    }
}

/// An SSH string.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short one");
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A packet of SSH in clear.
fn packet(payload: &[u8]) -> Vec<u8> {
    string(&[&[4][..], payload, &[0; 4]].concat())
}

/// What a node says before it is known, what an agent answers, and a certificate.
fn greeting(seeds: &mut Seeds) {
    let lists = [
        "curve25519-sha256,diffie-hellman-group1-sha1",
        "ssh-rsa,ssh-ed25519",
        "chacha20-poly1305@openssh.com,aes128-cbc",
        "aes128-cbc,3des-cbc",
        "hmac-sha1",
        "hmac-sha1",
    ];
    let lists: Vec<u8> = lists
        .iter()
        .flat_map(|list| string(list.as_bytes()))
        .collect();
    let kexinit = packet(&[&[20][..], &[7; 16], &lists].concat());
    let bye = packet(&[&[1, 0, 0, 0, 2][..], &string(b"too many"), &string(b"")].concat());
    for said in [
        [
            b"Exceeded MaxStartups\r\nSSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            kexinit.clone(),
        ]
        .concat(),
        [b"SSH-2.0-x\n".to_vec(), kexinit, bye].concat(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[31m".to_vec(),
        b"SSH-1.5-old\n".to_vec(),
    ] {
        seeds.long("greeting", (0, 3), &said);
    }
    let key = [string(b"ssh-ed25519"), string(&[7; 32])].concat();
    let other = [string(b"ssh-ed25519"), string(&[8; 32])].concat();
    let listed = [
        vec![12, 0, 0, 0, 2],
        string(&other),
        string(b"a\xffb\x1b"),
        string(&key),
        string(b"eva"),
    ];
    for answer in [listed.concat(), vec![5], vec![12, 0, 0, 0, 0]] {
        seeds.add("greeting", (1, 3), &answer);
    }
    let entry = [string(&[]), string(b"x")].concat();
    let many = [vec![12, 0, 0, 0x10, 0], entry.repeat(0x1000)].concat();
    seeds.add("greeting", (1, 3), &many);
    let numbers = [0u8; 12];
    let certificate = [
        string(b"ssh-ed25519-cert-v01@openssh.com"),
        string(&[1; 32]),
        string(&[7; 32]),
        numbers.to_vec(),
        string(b"gw"),
        string(&string(b"gw")),
        vec![0; 16],
        string(b""),
        string(b""),
        string(b""),
        string(&other),
        string(&[9; 83]),
    ];
    seeds.add("greeting", (2, 3), &certificate.concat());
}
