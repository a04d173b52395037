//! Bytes of a node that is not yet known, and of an agent.

use fwdeploy::transport::fuzzing::agent_answer;
use fwdeploy::transport::fuzzing::said;
use fwdeploy::transport::known_hosts::Certificate;
use fwdeploy::transport::known_hosts::HostKey;

use crate::input;

/// The host keys that this side takes.
const HOST_KEYS: &str = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512";
/// SSH_AGENTC_REQUEST_IDENTITIES, and its answer.
const LIST: u8 = 11;
const LISTED: u8 = 12;
/// What libssh2 has room for.
const ROOM: usize = 8192 - 4;

/// What is cut off tells nothing else than the whole; what a person or libssh2 gets is what they can take.
pub fn law(data: &[u8]) {
    let Some((kind, bytes)) = input(data, 3) else {
        return;
    };
    match kind {
        0 => node(&bytes),
        1 => agent(bytes.into_owned()),
        _ => certificate(&bytes),
    }
}

/// Some places at which bytes are cut off.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let length = bytes.len();
    let sum = bytes
        .iter()
        .fold(7usize, |sum, b| sum.wrapping_mul(31) + usize::from(*b));
    let all = [length.wrapping_sub(1), length / 2, sum, sum / 7];
    all.into_iter()
        .filter(move |_| length > 0)
        .map(move |place| place % length)
}

fn node(bytes: &[u8]) {
    let whole = said(bytes, HOST_KEYS);
    if let Some(words) = &whole.words {
        assert!(!words.chars().any(char::is_control), "{words:?}");
        assert!(words.chars().count() < 300, "{words}");
    }
    for place in places(bytes) {
        let cut = said(&bytes[..place], HOST_KEYS);
        assert!(cut.lacking.is_none() || cut.lacking == whole.lacking);
    }
}

fn agent(answer: Vec<u8>) {
    let wanted = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[7; 32]].concat();
    let wanted = HostKey::from_blob(wanted);
    let has_wanted = wanted.as_ref().is_some_and(|key| {
        let blob = key.blob();
        answer.windows(blob.len()).any(|window| window == blob)
    });
    let length = answer.len();
    let Ok(list) = agent_answer(&[LIST], answer, wanted.as_ref()) else {
        return;
    };
    if list.first() != Some(&LISTED) {
        return;
    }
    assert!(list.len() <= ROOM, "{} bytes", list.len());
    assert!(list.len() <= 3 * length, "{} bytes of {length}", list.len());
    let mut rest = &list[5..];
    let mut count = 0;
    while !rest.is_empty() {
        let blob = part(&mut rest).expect("a key");
        let comment = part(&mut rest).expect("a comment");
        let comment = str::from_utf8(comment).expect("a comment is text");
        assert!(!comment.chars().any(char::is_control), "{comment:?}");
        if wanted.as_ref().is_some_and(|key| key.blob() == blob) {
            assert!(has_wanted);
        }
        count += 1;
    }
    assert_eq!(list[1..5], u32::to_be_bytes(count));
    // What was read reads back, and not without its end.
    let again = agent_answer(&[LIST], list.clone(), wanted.as_ref());
    assert_eq!(again.as_ref(), Ok(&list));
    for place in places(&list) {
        let cut = list[..place].to_vec();
        assert!(agent_answer(&[LIST], cut, wanted.as_ref()).is_err());
    }
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    let part = rest.get(4..)?.get(..length)?;
    *rest = &rest[4 + length..];
    Some(part)
}

fn certificate(bytes: &[u8]) {
    let Some(key) = HostKey::from_blob(bytes.to_vec()) else {
        return;
    };
    let Some(read) = Certificate::read(&key) else {
        return;
    };
    assert!(Certificate::is_one(&key));
    let authority = read.authority.blob();
    let found = bytes.windows(authority.len()).any(|it| it == authority);
    assert!(found, "an authority that is not in the certificate");
    assert_ne!(read.key.algorithm(), key.algorithm());
    for place in places(bytes) {
        let cut = HostKey::from_blob(bytes[..place].to_vec());
        let cut = cut.and_then(|key| Certificate::read(&key));
        assert!(cut.is_none() || cut.as_ref() == Some(&read), "another one");
    }
}
