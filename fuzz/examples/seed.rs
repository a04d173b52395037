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
use fwdeploy_fuzz::look;
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

/// An answer is a seed for whoever reads it.
fn answer(seeds: &mut Seeds, name: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let signature = text.split(' ').next().unwrap_or_default();
    if let Some(kind) = SIGNATURES.iter().position(|s| *s == signature) {
        seeds.add("busctl", (kind as u8, SIGNATURES.len() as u8), bytes);
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
        seeds.add("steps", (0, 2), said.as_bytes());
    }
    for said in [
        "Welcome!\ndisarmed 7\nend\n",
        "gone 7\noutcome=restored\nended=2026-01-01T00:00:00Z\nwhy=timer\nhow=in place\ntrouble=\nend\n",
        "gone 7\noutcome=confirmed\nend\n",
        "still 7\noutcome=failed\ntrouble=a\ntrouble=b\nend\n",
    ] {
        seeds.add("steps", (1, 2), said.as_bytes());
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
            seeds.add("dialogue", (kind, 6), said);
        }
    }
    seeds.long("dialogue", (2, 6), b"\x04\x03\x05\x04a");
    seeds.long("dialogue", (0, 6), b"a\x05");
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
    seeds.long("busctl", (3, 10), b"as 1 \"\\303\\251\" ");
}
