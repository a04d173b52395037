//! What a node tells of its network: listeners, routing, addresses, sets, tables of nft.

use fwdeploy::model::state::Observed;
use fwdeploy::model::step::Test;
use fwdeploy::probe::fuzzing::Side;
use fwdeploy::probe::fuzzing::backend;
use fwdeploy::probe::fuzzing::networking;
use fwdeploy::probe::fuzzing::resolvers;
use fwdeploy::probe::fuzzing::routing;
use fwdeploy::probe::fuzzing::settings;

use crate::cuts;
use crate::frame::answers;
use crate::frame::frame;
use crate::text;

/// The questions, in the order of the kinds.
pub const QUESTIONS: [&str; 11] = [
    "listeners",
    "routing",
    "sets",
    "nft-rules",
    "other-save",
    "other6-save",
    "addresses",
    "routes-ipv4",
    "resolvers",
    "firewalld-nft",
    "set:x",
];

/// An answer that is cut off is unreadable, and no answer holds more than its text, or than there is room for.
pub fn law(data: &[u8]) {
    let Some((kind, text)) = text(data, QUESTIONS.len() as u8) else {
        return;
    };
    let question = QUESTIONS[usize::from(kind)];
    if !is_whole(question, &text) {
        return;
    }
    let ends_itself = !matches!(question, "other-save" | "other6-save" | "set:x");
    // firewalld's texts end with a quote, tables with their last word.
    if !ends_itself && !text.trim_end().ends_with(['"', 'T']) {
        return;
    }
    let text = text.trim_end();
    for cut in cuts(text) {
        // A line within the answer may be the word that ends one.
        let last = cut.lines().next_back().unwrap_or_default();
        let may_end = match question {
            "other-save" | "other6-save" => {
                matches!(last.trim(), "COMMIT" | "") || last.starts_with('#')
            }
            _ => ends_itself && matches!(last, "end" | "more"),
        };
        assert!(may_end || !is_whole(question, cut), "read as whole: {cut}");
    }
}

/// Whether the answer to this question, and to it alone, can be read.
fn is_whole(question: &str, text: &str) -> bool {
    if question == "set:x" {
        return is_known_set(text);
    }
    let mut told = vec![(question, text)];
    if question != "listeners" {
        // Without this question none of its kind was asked.
        told.push(("listeners", "end\n"));
    }
    if question == "routes-ipv4" {
        told.push(("routes-ipv6", text));
    } else {
        told.extend([("routes-ipv4", "end\n"), ("routes-ipv6", "end\n")]);
    }
    for other in ["addresses", "other-save", "other6-save"] {
        if other != question {
            told.push((other, if other == "addresses" { "end\n" } else { "" }));
        }
    }
    let frame = frame(&told);
    let answers = answers(&frame);
    let lines = text.lines().count();
    match question {
        "addresses" | "routes-ipv4" => match routing(&answers) {
            Observed::Known(routing) => {
                assert!(routing.addresses.len() + routing.routes.len() <= 2 * lines);
                true
            }
            Observed::Unreadable(_) => false,
        },
        "resolvers" => is_known(&resolvers(&answers)),
        "firewalld-nft" => match backend(&answers).expect("it was asked") {
            Ok(backend) => {
                assert!(backend.forwards.len() + backend.doubled.len() <= lines);
                for rule in backend.forwards.iter().filter_map(|f| f.rule.as_ref()) {
                    serde_json::to_string(&rule.to_string()).expect("a rule can be told");
                }
                true
            }
            Err(_) => false,
        },
        _ => {
            let network = networking(&answers);
            serde_json::to_string(&network).expect("it can be told");
            match question {
                "listeners" => is_known(&network.listeners),
                "routing" => is_known(&network.routing),
                "sets" => is_known(&network.sets),
                "nft-rules" => {
                    if let Observed::Known(tables) = &network.nft {
                        let chains = tables.iter().flat_map(|table| table.chains.values());
                        let tests = chains.flat_map(|chain| &chain.steps).flat_map(|s| &s.tests);
                        let held: usize = tests.map(held).sum();
                        assert!(held <= 2_000_000 + text.len(), "{held} are held");
                    }
                    is_known(&network.nft)
                }
                _ => is_known(&network.other),
            }
        }
    }
}

fn is_known<T>(observed: &Observed<T>) -> bool {
    matches!(observed, Observed::Known(_))
}

/// How many values a condition holds.
fn held(test: &Test) -> usize {
    match test {
        Test::Source(_, ranges) | Test::Destination(_, ranges) => ranges.count(),
        Test::In(_, names) | Test::Out(_, names) | Test::Protocol(_, names) => names.len(),
        Test::SourcePort(_, ports) | Test::DestinationPort(_, ports) => ports.len(),
        _ => 1,
    }
}

/// Whether all that is in firewalld's set `x` is known.
fn is_known_set(text: &str) -> bool {
    let zone = "a{sv} 2 \"target\" s \"default\" \"sources\" as 1 \"ipset:x\"\n";
    let frame = frame(&[
        ("default-zone", "s \"public\"\n"),
        ("active-zones", "a{sa{sas}} 0\n"),
        ("settings", "zone public\nend\n"),
        ("runtime-zone:public", zone),
        ("set:x", text),
    ]);
    let answers = answers(&frame);
    let settings = settings(&answers, Side::Runtime, "public");
    let settings = settings.expect("a set alone makes no settings unreadable");
    !settings.sets["x"].more
}
