//! The frame around answers, as `node/probe.sh` makes it.

use fwdeploy::probe::fuzzing::Answers;

/// A whole look with these answers: name, exit code, text.
pub fn whole<'a>(answers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut out = b"fwdeploy-probe 1 5\n".to_vec();
    for (head, text) in answers {
        out.extend(format!("= {head} {}\n", text.len()).bytes());
        out.extend(text);
        out.push(b'\n');
    }
    out.extend(b"fwdeploy-probe end\n");
    out
}

/// A look with answers to these questions, all of which went well.
pub fn frame(all: &[(&str, &str)]) -> Vec<u8> {
    let heads: Vec<String> = all.iter().map(|(name, _)| format!("{name} 0")).collect();
    let texts = all.iter().map(|(_, text)| text.as_bytes());
    whole(heads.iter().map(String::as_str).zip(texts))
}

/// The answers of such a look.
pub fn answers(frame: &[u8]) -> Answers<'_> {
    Answers::parse(frame).expect("a frame of ours is whole")
}
