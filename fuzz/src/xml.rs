//! firewalld's files.

use fwdeploy::model::direct_xml;
use fwdeploy::probe::fuzzing::direct_file;
use fwdeploy::probe::fuzzing::ipset_file;
use fwdeploy::probe::fuzzing::policy_file;
use fwdeploy::probe::fuzzing::service_file;
use fwdeploy::probe::fuzzing::xml;
use fwdeploy::probe::fuzzing::zone_file;

use crate::cuts;
use crate::text;

/// A file that is cut off is no file, and direct.xml reads back from what is written of it.
pub fn law(data: &[u8]) {
    let Some((kind, file)) = text(data, 5) else {
        return;
    };
    let read = match kind {
        0 => direct_file(&file).map(|direct| {
            let written = direct_xml::file(&direct);
            assert_eq!(direct_file(&written).as_ref(), Ok(&direct), "{written}");
        }),
        1 => zone_file(&file).map(drop),
        2 => policy_file(&file).map(drop),
        3 => service_file(&file).map(drop),
        _ => ipset_file(&file).map(drop),
    };
    let root = xml(&file);
    assert!(read.is_err() || root.is_ok(), "read, though it is no XML");
    // What may stand behind the root is nothing that could be missing.
    if let (Ok(_), Some(end)) = (root, file.rfind("</")) {
        for cut in cuts(&file[..end]) {
            assert!(xml(cut).is_err() || is_whole(cut), "read as whole: {cut}");
        }
    }
}

/// Whether the last end of an element may be in a comment behind the root.
fn is_whole(cut: &str) -> bool {
    cut.contains("</") || cut.contains("/>")
}
