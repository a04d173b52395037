//! What happens on the way as lines: without a terminal, and for `-v`.

use crate::engine::Event;
use crate::engine::Stage;
use crate::report::screen::Verbosity;
use crate::report::style::sanitize;

/// An answer with more lines than this is only counted under `-v`: a reading has thousands.
const LINES: usize = 40;

/// The lines for an event, without the end of the last; `None` for an event that is not printed.
///
/// With bars the stages are shown there; `plain` is whether they are printed as lines.
pub(super) fn lines(event: &Event, verbosity: Verbosity, plain: Plain) -> Option<String> {
    let verbose = verbosity > Verbosity::Quiet;
    match event {
        // Bars show it as long as it lasts.
        Event::Wave(wave) => (verbose || plain == Plain::Lines).then(|| wave.to_string()),
        Event::BudgetExceeded(exceeded) => Some(format!(
            "{exceeded}: finishing the nodes at work, starting no others"
        )),
        Event::TakingBack(nodes) => Some(format!(
            "the run failed: rolling back {} that it has changed",
            match nodes.len() {
                1 => "1 node".to_string(),
                n => format!("{n} nodes"),
            }
        )),
        Event::Stage { node, stage } => {
            let worth = verbose
                || plain == Plain::Lines
                    && match stage {
                        Stage::Connecting
                        | Stage::Looking
                        | Stage::Verifying
                        | Stage::Confirming
                        | Stage::Purging => false,
                        Stage::Applying { step, .. } => *step == 1,
                        Stage::RollingBack | Stage::Waiting | Stage::Settling => true,
                    };
            worth.then(|| format!("{}: {stage}", sanitize(node)))
        }
        Event::Sent { node, script } => match verbosity {
            Verbosity::Quiet => None,
            Verbosity::Steps => Some(format!(
                "{}: sent a script of {} lines",
                sanitize(node),
                script.lines().count()
            )),
            Verbosity::Everything => Some(format!(
                "{}: sent a script\n{}",
                sanitize(node),
                indented(&sanitize(node), '<', script)
            )),
        },
        Event::Answered {
            node,
            status,
            stdout,
            stderr,
        } => verbose.then(|| {
            let node = sanitize(node);
            let mut text = match status {
                Ok(status) => format!("{node}: answered with status {status}"),
                Err(why) => format!("{node}: no answer: {}", sanitize(why)),
            };
            for (mark, said) in [('>', stdout), ('!', stderr)] {
                let count = said.lines().count();
                if count == 0 {
                    continue;
                }
                text.push('\n');
                if count > LINES && verbosity != Verbosity::Everything {
                    text.push_str(&format!(
                        "{node} {mark} {count} lines, {} bytes",
                        said.len()
                    ));
                } else {
                    text.push_str(&indented(&node, mark, said));
                }
            }
            text
        }),
        Event::Finished(_) => None,
    }
}

/// Whether stages are printed as lines because there are no bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// They are.
    Lines,
    /// Bars show them.
    Bars,
}

fn indented(node: &str, mark: char, text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{node} {mark} {}", sanitize(line)))
        .collect();
    lines.join("\n")
}
