//! The answers that have a form of their own: files, settings, records, units, the machine.

use fwdeploy::probe::fuzzing::Side;
use fwdeploy::probe::fuzzing::files;
use fwdeploy::probe::fuzzing::records;
use fwdeploy::probe::fuzzing::settings;
use fwdeploy::probe::fuzzing::system;
use fwdeploy::probe::fuzzing::unit;

use crate::cuts;
use crate::frame::answers;
use crate::frame::frame;
use crate::text;

/// What ends with a word is nothing without it.
pub fn law(data: &[u8]) {
    let Some((kind, text)) = text(data, 5) else {
        return;
    };
    match kind {
        0 => {
            let read = |text: &str| files(&answers(&frame(&[("files", text)])));
            ends(&text, |text| read(text).map(drop));
        }
        1 => {
            let read = |text: &str| {
                settings(
                    &answers(&frame(&[
                        ("default-zone", "s \"public\"\n"),
                        ("active-zones", "a{sa{sas}} 0\n"),
                        ("settings", text),
                        ("runtime-zone:public", "a{sv} 1 \"target\" s \"default\"\n"),
                    ])),
                    Side::Runtime,
                    "public",
                )
            };
            ends(&text, |text| read(text).map(drop));
        }
        2 => {
            if let Ok(records) = records(&answers(&frame(&[("records", &text)]))) {
                let lines = || text.lines().filter(|line| !line.is_empty());
                let told = lines().filter(|line| line.starts_with("snapshot "));
                assert!(records.snapshots.len() <= told.count());
                let before: Vec<&str> = lines()
                    .take_while(|line| !line.starts_with("last "))
                    .collect();
                assert!(records_of(&before.join("\n")).is_err(), "read as whole");
            }
        }
        3 => drop(unit(Ok(&text), "docker.service")),
        _ => {
            let all = ["os", "kernel", "systemd", "iptables", "tools", "connection"];
            let mut told: Vec<(&str, &str)> = all.map(|name| (name, text.as_str())).to_vec();
            told.extend([("uid", "0\n"), ("ssh-interface", text.as_str())]);
            system(&answers(&frame(&told))).expect("all that is needed was told");
        }
    }
}

fn records_of(text: &str) -> Result<(), String> {
    records(&answers(&frame(&[("records", text)]))).map(drop)
}

fn ends(text: &str, read: impl Fn(&str) -> Result<(), String>) {
    if read(text).is_ok() {
        for cut in cuts(text) {
            assert!(read(cut).is_err(), "read as whole: {cut}");
        }
    }
}
