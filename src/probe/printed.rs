//! How a node's own iptables prints rules, as `node/printed.sh` reports it.

use std::collections::BTreeMap;

use crate::model::net::Family;
use crate::model::state::KernelRule;
use crate::model::state::Printed;

/// Reads how the rules of one family are printed, in the order in which they were queried. Each has a result: a rule without an
/// answer has the reason.
pub fn printed(
    stdout: &[u8],
    family: Family,
    rules: &[Vec<String>],
) -> BTreeMap<Vec<String>, Printed> {
    let text = String::from_utf8_lossy(stdout);
    let whole = text.lines().any(|line| line == "fwdeploy-printed end");
    let mut told: BTreeMap<usize, Vec<KernelRule>> = BTreeMap::new();
    let mut refused: BTreeMap<usize, String> = BTreeMap::new();
    let mut in_general = "its answer was cut off".to_string();
    if whole {
        in_general = "it did not answer".to_string();
    }
    for line in text.lines() {
        if let Some(why) = line.strip_prefix("! ") {
            in_general = why.to_string();
        }
        let Some(line) = line
            .strip_prefix(family.name())
            .and_then(|line| line.strip_prefix(' '))
        else {
            continue;
        };
        if let Some(line) = line.strip_prefix("-A fwdeploy-") {
            let (number, rule) = line.split_once(' ').unwrap_or((line, ""));
            if let Ok(number) = number.parse() {
                let lines = told.entry(number).or_default();
                lines.push(KernelRule::new(rule));
            }
        } else if let Some((number, why)) = line
            .strip_prefix("! ")
            .and_then(|line| line.split_once(' '))
            && let Ok(number) = number.parse()
        {
            refused.insert(number, why.to_string());
        }
    }
    let answer = |number: usize| match (told.get(&number), refused.get(&number)) {
        (Some(lines), None) if whole => Printed::Lines(lines.clone()),
        (_, Some(why)) => Printed::Unknown(why.clone()),
        _ => Printed::Unknown(refused.get(&0).unwrap_or(&in_general).clone()),
    };
    (1..)
        .zip(rules)
        .map(|(number, args)| (args.clone(), answer(number)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<Vec<String>> {
        ["a", "b", "c"].map(|word| vec![word.to_string()]).to_vec()
    }

    fn read(text: &str) -> Vec<Printed> {
        printed(text.as_bytes(), Family::V4, &rules())
            .into_values()
            .collect()
    }

    #[test]
    fn each_rule_has_its_lines_or_a_reason() {
        let told = read(
            "hello\nfwdeploy-printed 1\nipv4 -A fwdeploy-1 -s 10.0.0.1/32 -j DROP\nipv4 -A fwdeploy-1 -s 10.0.0.2/32 -j DROP\n\
             ipv4 ! 2 Set nope doesn't exist.\nipv6 -A fwdeploy-3 -j DROP\n! no room\nfwdeploy-printed end\n",
        );
        let lines = ["-s 10.0.0.1/32 -j DROP", "-s 10.0.0.2/32 -j DROP"];
        assert_eq!(told[0], Printed::Lines(lines.map(KernelRule::new).to_vec()));
        assert_eq!(told[1], Printed::Unknown("Set nope doesn't exist.".into()));
        assert_eq!(told[2], Printed::Unknown("no room".into()));
    }

    #[test]
    fn an_answer_that_is_cut_off_tells_nothing() {
        let told = read("fwdeploy-printed 1\nipv4 -A fwdeploy-1 -s 10.0.0.1/32 -j DROP\n");
        assert_eq!(told[0], Printed::Unknown("its answer was cut off".into()));
        let none = read(
            "fwdeploy-printed 1\nipv4 ! 0 iptables-restore is not installed\nfwdeploy-printed end\n",
        );
        assert_eq!(
            none[2],
            Printed::Unknown("iptables-restore is not installed".into())
        );
    }

    #[test]
    fn any_bytes_are_an_answer() {
        for bytes in [&b"\xff\xfe"[..], b"ipv4 -A fwdeploy-", b"ipv4 ! ", b""] {
            assert_eq!(printed(bytes, Family::V4, &rules()).len(), 3);
        }
    }
}
