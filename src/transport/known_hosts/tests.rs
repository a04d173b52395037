use std::process::Command;
use std::thread;

use openssl::base64::encode_block;
use proptest::prelude::*;
use tempfile::tempdir;

use super::*;

fn key(algorithm: &str, body: &[u8]) -> HostKey {
    let mut blob = u32::try_from(algorithm.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    blob.extend_from_slice(algorithm.as_bytes());
    blob.extend_from_slice(body);
    HostKey::from_blob(blob).unwrap()
}

fn ed(body: &[u8]) -> HostKey {
    key("ssh-ed25519", body)
}

/// An RSA key of 1,024 bits.
fn rsa(body: &[u8]) -> HostKey {
    rsa_of(1024, body)
}

fn rsa_of(bits: usize, body: &[u8]) -> HostKey {
    let mut modulus = vec![0; bits.div_ceil(8)];
    modulus[0] = 1 << ((bits - 1) % 8);
    let end = modulus.len() - body.len();
    modulus[end..].copy_from_slice(body);
    let mut numbers = vec![0, 0, 0, 3, 1, 0, 1];
    numbers.extend(u32::try_from(modulus.len() + 1).unwrap().to_be_bytes());
    numbers.push(0);
    numbers.extend(modulus);
    key("ssh-rsa", &numbers)
}

fn line(hosts: &str, key: &HostKey) -> String {
    format!(
        "{hosts} {} {} a comment\n",
        key.algorithm(),
        key.to_base64()
    )
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("kh"), text.as_bytes());
    known
}

fn at(line: usize) -> FileLine {
    FileLine {
        path: "kh".into(),
        line,
    }
}

const UNKNOWN: HostKeyStatus = HostKeyStatus::Unknown { authority: None };

#[test]
fn a_node_is_known_by_its_name_its_aliases_and_its_port() {
    let known = known(&line("web1,10.0.0.1,[web1]:2222", &ed(b"a")));
    for (address, port) in [("web1", 22), ("WEB1", 22), ("10.0.0.1", 22), ("web1", 2222)] {
        assert_eq!(
            known.check(address, port, &ed(b"a")),
            HostKeyStatus::Known,
            "{address}:{port}"
        );
    }
    assert_eq!(known.check("web2", 22, &ed(b"a")), UNKNOWN);
}

#[test]
fn a_bare_name_vouches_for_other_ports_and_accuses_none() {
    let known = known(&line("web1", &ed(b"a")));
    assert_eq!(known.check("web1", 2222, &ed(b"a")), HostKeyStatus::Known);
    assert_eq!(known.check("web1", 2222, &ed(b"b")), UNKNOWN);
}

#[test]
fn a_bare_name_vouches_for_nobody_where_the_port_has_a_key_of_its_own() {
    let text = line("gw", &ed(b"bare")) + &line("[gw]:2222", &ed(b"port"));
    let status = HostKeyStatus::Changed {
        known: at(2),
        algorithm: "ssh-ed25519".to_owned(),
    };
    assert_eq!(known(&text).check("gw", 2222, &ed(b"bare")), status);
    assert_eq!(
        known(&text).check("gw", 2222, &ed(b"port")),
        HostKeyStatus::Known
    );
    assert_eq!(
        known(&text).check("gw", 2200, &ed(b"bare")),
        HostKeyStatus::Known
    );
    let wild = line("*", &ed(b"bare")) + &line("[gw]:*", &rsa(b"port"));
    // A `*` is a name with any port, too.
    assert_eq!(
        known(&wild).check("gw", 2222, &ed(b"bare")),
        HostKeyStatus::Known
    );
}

#[test]
fn an_rsa_key_that_can_be_forged_is_no_key() {
    let short = rsa_of(1023, b"a");
    assert!(short.is_too_short() && !rsa(b"a").is_too_short());
    assert!(key("ssh-rsa", b"").is_too_short());
    let known = known(&line("web1", &short));
    assert_eq!(known.malformed(), [at(1)]);
    assert_eq!(known.check("web1", 22, &short), UNKNOWN);
}

#[test]
fn what_openssh_reads_is_read_and_what_it_ignores_is_ignored() {
    let (key, other) = (ed(b"a"), rsa(b"r"));
    let (blob, rsa_blob) = (key.to_base64(), other.to_base64());
    let reads = [
        format!("web1 ssh-ed25519 {blob}\r"),
        format!("\t web1\t \tssh-ed25519\t{blob}\0rest"),
    ];
    for text in &reads {
        assert_eq!(
            known(text).check("web1", 22, &key),
            HostKeyStatus::Known,
            "{text:?}"
        );
    }
    let revoked = known(&format!("@revoked * rsa-sha2-512 {rsa_blob}\n"));
    assert!(matches!(
        revoked.check("web1", 22, &other),
        HostKeyStatus::Revoked { .. }
    ));
    let salt = encode_block(b"ten bytes.");
    let long = "a".repeat(1023);
    let ignores = [
        format!("web1\x0cssh-ed25519 {blob}"),
        format!("@revoked @cert-authority web1 ssh-ed25519 {blob}"),
        format!("|1|{salt}|{} ssh-ed25519 {blob}", encode_block(&[0; 20])),
        format!("web1,{long} ssh-ed25519 {blob}"),
        format!("web1 ED25519 {blob}"),
        format!("web1 ssh-ed25519 {}", blob.trim_end_matches('=')),
    ];
    for text in &ignores {
        assert_eq!(known(text).check("web1", 22, &key), UNKNOWN, "{text:?}");
    }
}

#[test]
fn an_address_that_would_be_a_pattern_is_not_written_down() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kh");
    for address in ["*", "web?", "a,b", "a b", "!a", "[a]", "", "a\nb"] {
        assert!(
            append(&path, address, 22, &ed(b"a"), Spelling::Plain).is_err(),
            "{address:?}"
        );
    }
    assert!(!path.exists());
}

#[test]
fn a_name_with_a_port_says_nothing_about_port_22() {
    let known = known(&line("[web1]:2222", &ed(b"a")));
    assert_eq!(known.check("web1", 22, &ed(b"a")), UNKNOWN);
}

#[test]
fn wildcards_and_negations_hold_whatever_the_case() {
    let known = known(&line("*.Example.com,!bad.example.com,10.0.0.?", &ed(b"a")));
    for address in [
        "a.example.com",
        "A.EXAMPLE.COM",
        "x.y.example.com",
        "10.0.0.7",
    ] {
        assert_eq!(
            known.check(address, 22, &ed(b"a")),
            HostKeyStatus::Known,
            "{address}"
        );
    }
    for address in ["bad.example.com", "example.com", "10.0.0.77"] {
        assert_eq!(known.check(address, 22, &ed(b"a")), UNKNOWN, "{address}");
    }
}

#[test]
fn a_negation_alone_matches_nobody() {
    assert_eq!(
        known(&line("!web1", &ed(b"a"))).check("web2", 22, &ed(b"a")),
        UNKNOWN
    );
}

#[test]
fn another_key_is_changed_and_says_where_the_old_one_stands() {
    let known = known(&format!("# mine\n{}", line("web1", &ed(b"a"))));
    let status = HostKeyStatus::Changed {
        known: at(2),
        algorithm: "ssh-ed25519".to_owned(),
    };
    assert_eq!(known.check("web1", 22, &ed(b"b")), status);
}

#[test]
fn a_key_of_another_type_is_changed_too_and_names_that_type() {
    let known = known(&line("web1", &rsa(b"a")));
    let status = HostKeyStatus::Changed {
        known: at(1),
        algorithm: "ssh-rsa".to_owned(),
    };
    assert_eq!(known.check("web1", 22, &ed(b"b")), status);
}

#[test]
fn one_of_several_keys_is_enough() {
    let text = line("web1", &ed(b"old")) + &line("web1", &rsa(b"r")) + &line("web1", &ed(b"new"));
    assert_eq!(
        known(&text).check("web1", 22, &ed(b"new")),
        HostKeyStatus::Known
    );
    let status = HostKeyStatus::Changed {
        known: at(2),
        algorithm: "ssh-rsa".to_owned(),
    };
    assert_eq!(known(&text).check("web1", 22, &rsa(b"s")), status);
}

#[test]
fn a_revoked_key_is_revoked_wherever_else_it_stands() {
    let text = line("web1", &ed(b"a")) + &line("@revoked *", &ed(b"a"));
    let status = HostKeyStatus::Revoked { location: at(2) };
    assert_eq!(known(&text).check("web1", 22, &ed(b"a")), status);
    assert_eq!(known(&text).check("web9", 2222, &ed(b"a")), status);
    let text = line("@revoked web1", &ed(b"a"));
    let status = HostKeyStatus::Revoked { location: at(1) };
    assert_eq!(known(&text).check("web1", 2222, &ed(b"a")), status);
    assert_eq!(known(&text).check("web1", 22, &ed(b"b")), UNKNOWN);
}

#[test]
fn an_authority_vouches_for_no_plain_key() {
    let known = known(&line("@cert-authority *.example.com", &ed(b"ca")));
    let status = HostKeyStatus::Unknown {
        authority: Some(at(1)),
    };
    assert_eq!(known.check("a.example.com", 22, &ed(b"a")), status);
    assert_eq!(known.check("a.example.com", 22, &ed(b"ca")), status);
    assert_eq!(known.check("a.example.org", 22, &ed(b"a")), UNKNOWN);
}

#[test]
fn malformed_lines_are_counted_and_hide_nothing() {
    let good = line("web1", &ed(b"a"));
    let blob = ed(b"a").to_base64();
    let text = format!(
        "garbage\n@strange web1 ssh-ed25519 {blob}\nweb1 ssh-rsa {blob}\n|1|x|y ssh-ed25519 {blob}\n|2|a|b ssh-ed25519 {blob}\nweb1 ssh-ed25519 !!!\n\n  # a comment\n{good}"
    );
    let known = known(&text);
    assert_eq!(
        known
            .malformed()
            .iter()
            .map(|at| at.line)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(known.check("web1", 22, &ed(b"a")), HostKeyStatus::Known);
}

#[test]
fn several_files_count_together_and_a_missing_one_is_empty() {
    let folder = tempdir().unwrap();
    let (own, system) = (folder.path().join("own"), folder.path().join("system"));
    fs::write(&system, line("web1", &ed(b"a"))).unwrap();
    let known = KnownHosts::read(&[own, system]).unwrap();
    assert_eq!(known.check("web1", 22, &ed(b"a")), HostKeyStatus::Known);
    assert_eq!(
        KnownHosts::read(&[folder.path().to_owned()]).unwrap_err().0,
        folder.path()
    );
}

#[test]
fn lines_that_ssh_keygen_hashed_are_matched() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kh");
    let generated = folder.path().join("key");
    let keygen = |arguments: &[&str]| {
        assert!(
            Command::new("ssh-keygen")
                .args(arguments)
                .output()
                .unwrap()
                .status
                .success()
        );
    };
    keygen(&[
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-f",
        generated.to_str().unwrap(),
    ]);
    let public = fs::read_to_string(generated.with_extension("pub")).unwrap();
    let blob = base64::decode_block(public.split(' ').nth(1).unwrap()).unwrap();
    let key = HostKey::from_blob(blob).unwrap();
    fs::write(&path, line("Web1", &key) + &line("[web2]:2222", &key)).unwrap();
    keygen(&["-q", "-H", "-f", path.to_str().unwrap()]);
    assert!(fs::read_to_string(&path).unwrap().starts_with("|1|"));

    let known = KnownHosts::read(&[path]).unwrap();
    assert_eq!(known.malformed(), []);
    assert_eq!(known.check("web1", 22, &key), HostKeyStatus::Known);
    assert_eq!(known.check("WEB2", 2222, &key), HostKeyStatus::Known);
    assert_eq!(known.check("web2", 22, &key), UNKNOWN);
    assert!(matches!(
        known.check("web1", 22, &ed(b"b")),
        HostKeyStatus::Changed { .. }
    ));

    let output = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(&generated)
        .output()
        .unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains(&key.fingerprint())
    );
}

#[test]
fn appending_makes_what_is_missing_and_spoils_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let path = folder.path().join(".ssh/known_hosts");
    assert_eq!(
        append(&path, "Web1", 2222, &ed(b"a"), Spelling::Plain).unwrap(),
        UNKNOWN
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("[web1]:2222 ssh-ed25519 {}\n", ed(b"a").to_base64())
    );

    fs::write(&path, "# a comment without its end").unwrap();
    append(&path, "web1", 22, &ed(b"a"), Spelling::Plain).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("# a comment without its end\nweb1 ssh-ed25519 "),
        "{text}"
    );
    assert!(matches!(
        append(&path, "web1", 22, &ed(b"b"), Spelling::Plain).unwrap(),
        HostKeyStatus::Changed { .. }
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn twenty_threads_write_a_new_key_once() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kh");
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| append(&path, "web1", 22, &ed(b"a"), Spelling::Plain).unwrap());
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn known_types_of_the_name_with_its_port_are_listed_and_no_others() {
    let text = line("[web1]:2222", &rsa(b"r"))
        + &line("web1", &ed(b"a"))
        + &line("@cert-authority web1", &ed(b"ca"));
    assert_eq!(known(&text).algorithms("web1", 2222), ["ssh-rsa"]);
    assert_eq!(known(&text).algorithms("web1", 22), ["ssh-ed25519"]);
}

/// The plain meaning of a pattern, exponential and obviously right.
fn means(glob: &[u8], text: &[u8]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if means(rest, text) => true,
        (Some((b'*', _)), Some((_, text))) => means(glob, text),
        (Some((g, rest)), Some((t, text))) if *g == b'?' || g == t => means(rest, text),
        _ => false,
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), &bytes);
        known.check("web1", 2222, &ed(b"a"));
    }

    #[test]
    fn nothing_like_a_line_makes_the_reader_panic(
        marker in "(@revoked |@cert-authority |@)?",
        hosts in "[|!*?,a-z0-9\\[\\]:=]{0,30}",
        algorithm in "(ssh-ed25519|ssh-rsa|[a-z]{0,5})",
        blob in any::<Vec<u8>>(),
    ) {
        let text = format!("{marker}{hosts} {algorithm} {}\n", encode_block(&blob));
        known(&text).check("web1", 22, &ed(b"a"));
    }

    #[test]
    fn a_pattern_matches_what_it_means(glob in "[ab*?]{1,8}", text in "[ab]{0,8}") {
        let known = known(&line(&glob, &ed(b"a")));
        let status = known.check(&text, 22, &ed(b"a"));
        prop_assert_eq!(status == HostKeyStatus::Known, means(glob.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn every_known_key_can_be_written_and_read(body in any::<Vec<u8>>(), port in 1_u16..) {
        let name = lookup_name("web1", port);
        prop_assert_eq!(known(&line(&name, &ed(&body))).check("web1", port, &ed(&body)), HostKeyStatus::Known);
    }
}
