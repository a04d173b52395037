//! `--serial`, `--max-fail`, `--any-error-fatal` → the engine's rollout: the waves, and how many nodes of one may fail.

use std::ops::Range;

use crate::cli::args::WaveArgs;
use crate::cli::error::CliError;
use crate::cli::messages;
use crate::engine::Amount;
use crate::engine::Rollout;

/// Parses the arguments.
///
/// # Errors
///
/// `--serial` is not a list of wave sizes, or `--max-fail` not a number of nodes.
pub(super) fn rollout(waves: &WaveArgs) -> Result<Rollout, CliError> {
    let serial = match &waves.serial {
        Some(list) => list.split(',').map(wave).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let max_fail = match &waves.max_fail {
        Some(text) => Some(most(text)?),
        None if waves.any_error_fatal || !serial.is_empty() => Some(Amount::Count(0)),
        None => None,
    };
    Ok(Rollout {
        serial,
        max_fail,
        ..Rollout::default()
    })
}

/// Prints a note with the sizes of the waves in which a run would take `nodes` nodes, if there are several.
pub(super) fn note(rollout: &Rollout, nodes: usize) {
    let waves = rollout.waves(nodes);
    if waves.len() > 1 {
        messages::note(&format!(
            "a check reads all nodes at once; a run deploys them in {} waves: {}",
            waves.len(),
            sizes(&waves)
        ));
    }
}

/// Formats the sizes of the waves: `1, 4, 20, 15`.
fn sizes(waves: &[Range<usize>]) -> String {
    // A longer list would fill the line.
    const MOST: usize = 8;
    let sizes = waves.iter().take(MOST).map(|wave| wave.len().to_string());
    let text = sizes.collect::<Vec<_>>().join(", ");
    if waves.len() > MOST {
        text + ", …"
    } else {
        text
    }
}

fn wave(text: &str) -> Result<Amount, CliError> {
    let hint = "a wave is a count from 1 or a percentage from 1% to 100%; several are separated by commas: `--serial 1,10%,50%`";
    let wrong = |why: &str| CliError::new(format!("--serial: {why}")).hint(hint);
    match amount(text).map_err(|why| wrong(&why))? {
        Amount::Count(0) | Amount::Percent(0) => {
            Err(wrong(&format!("a wave of `{}` has no node", text.trim())))
        }
        amount => Ok(amount),
    }
}

fn most(text: &str) -> Result<Amount, CliError> {
    amount(text).map_err(|why| {
        CliError::new(format!("--max-fail: {why}")).hint(
            "how many nodes of a wave may fail: a count from 0 or a percentage from 0% to 100%, such as `--max-fail 10%`",
        )
    })
}

/// Parses `3` or `10%`.
fn amount(text: &str) -> Result<Amount, String> {
    let text = text.trim();
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if text.is_empty() {
        return Err("a number is missing".to_string());
    }
    // `parse` would also accept a sign.
    let number: Option<usize> = match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse().ok(),
        false => None,
    };
    match (number, percent) {
        (Some(count), false) => Ok(Amount::Count(count)),
        (Some(number), true) => u8::try_from(number)
            .ok()
            .filter(|percent| *percent <= 100)
            .map(Amount::Percent)
            .ok_or_else(|| format!("`{text}` is more than all nodes")),
        (None, _) => Err(format!("`{text}` is neither a count nor a percentage")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(serial: Option<&str>, max_fail: Option<&str>, fatal: bool) -> Option<Rollout> {
        let waves = WaveArgs {
            serial: serial.map(String::from),
            max_fail: max_fail.map(String::from),
            any_error_fatal: fatal,
        };
        rollout(&waves).ok()
    }

    #[test]
    fn counts_and_percentages_are_read() {
        use Amount::Count;
        use Amount::Percent;
        let serial = |text| read(Some(text), None, false).map(|r| r.serial);
        assert_eq!(
            serial("1, 10%,50%"),
            Some(vec![Count(1), Percent(10), Percent(50)])
        );
        assert_eq!(serial("100%"), Some(vec![Percent(100)]));
        for wrong in [
            "",
            ",",
            "1,",
            ",1",
            "0",
            "1,0",
            "0%",
            "-1",
            "+1",
            "101%",
            "999%",
            "1.5",
            "10 %",
            "%",
            "ten",
            "1;2",
            "99999999999999999999999",
        ] {
            assert_eq!(serial(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn many_waves_are_cut_short() {
        let rollout = read(Some("1,10%,50%"), None, false).unwrap();
        assert_eq!(sizes(&rollout.waves(40)), "1, 4, 20, 15");
        let waves = read(Some("2"), None, false).unwrap().waves(17);
        assert_eq!(sizes(&waves), "2, 2, 2, 2, 2, 2, 2, 2, …");
    }

    #[test]
    fn nothing_may_fail_in_waves_and_anything_without() {
        let most =
            |serial, max_fail, fatal| read(serial, max_fail, fatal).map(|rollout| rollout.max_fail);
        assert_eq!(most(None, None, false), Some(None));
        assert_eq!(most(None, None, true), Some(Some(Amount::Count(0))));
        assert_eq!(most(Some("1"), None, false), Some(Some(Amount::Count(0))));
        assert_eq!(
            most(Some("1"), Some("2"), false),
            Some(Some(Amount::Count(2)))
        );
        assert_eq!(
            most(None, Some("0%"), false),
            Some(Some(Amount::Percent(0)))
        );
        for wrong in ["", "-1", "101%", "some"] {
            assert_eq!(most(None, Some(wrong), false), None, "{wrong}");
        }
    }
}
