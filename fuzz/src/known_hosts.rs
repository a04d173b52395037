//! known_hosts, which is no node's answer, but tells a node from another.

use std::path::Path;

use fwdeploy::transport::known_hosts::HostKey;
use fwdeploy::transport::known_hosts::HostKeyStatus;
use fwdeploy::transport::known_hosts::KnownHosts;
use openssl::base64;

use crate::input;

/// A key that is known stands in the file; no line is lost without a word.
pub fn law(data: &[u8]) {
    let Some((kind, file)) = input(data, 2) else {
        return;
    };
    let mut known = KnownHosts::default();
    known.add(Path::new("known_hosts"), &file);
    let lines = || file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let told = lines().filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    assert!(known.malformed().len() <= told.count());
    let (address, port) = [("gw", 22), ("gw", 2222)][usize::from(kind)];
    known.algorithms(address, port);
    // The first keys of the file, presented by a node.
    let words = lines().flat_map(|line| line.split(u8::is_ascii_whitespace).nth(2));
    for word in words.take(4).chain([&file[..file.len().min(256)]]) {
        for blob in [decoded(word).unwrap_or_default(), word.to_vec()] {
            let Some(key) = HostKey::from_blob(blob) else {
                continue;
            };
            let _ = (key.fingerprint(), key.algorithm());
            if known.check(address, port, &key) == HostKeyStatus::Known {
                // Base64 can be written in more than one way.
                let words = lines().flat_map(|line| line.split(u8::is_ascii_whitespace));
                let mut blobs = words.filter_map(decoded);
                assert!(
                    blobs.any(|blob| blob == key.blob()),
                    "known, and not in the file: {}",
                    key.to_base64()
                );
            }
        }
    }
}

fn decoded(word: &[u8]) -> Option<Vec<u8>> {
    base64::decode_block(str::from_utf8(word).ok()?).ok()
}
