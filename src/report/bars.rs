//! A bar for the fleet, and above it a line for each of the nodes that have been at work longest.
//!
//! To indicatif all of it is one bar of several lines: each tick then draws once, whatever has changed. Separate bars
//! would all be redrawn whenever one of them changes, which is nine times the bytes.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressState;
use indicatif::ProgressStyle;

use crate::report::screen::AtWork;
use crate::report::screen::FleetProgress;
use crate::report::screen::Show;
use crate::report::style::sanitize;
use crate::report::summary::duration;

/// More lines than this cannot be read while they change.
const LINES: usize = 8;

/// A longer name is cut, so that its stage stays visible.
const NAME: usize = 32;

/// The fleet's bar with its count and what separates them, at most.
const BAR: usize = 44;

pub(super) struct Bars {
    bar: ProgressBar,
    texts: Arc<Mutex<Texts>>,
    /// Which node has which line. A node keeps its line until it is done, because moving lines cannot be read.
    lines: Vec<Option<String>>,
    most: usize,
    width: usize,
}

#[derive(Default)]
struct Texts {
    nodes: String,
    fleet: String,
}

impl Bars {
    /// Bars on stderr; `None` if it cannot show them.
    pub(super) fn new(show: &Show) -> Option<Self> {
        // The caller of `draw` limits the rate; a drawing that is left out here would show an old state.
        let target = ProgressDrawTarget::stderr_with_hz(60);
        if target.is_hidden() {
            return None;
        }
        let texts: Arc<Mutex<Texts>> = Arc::default();
        let key = |part: fn(&Texts) -> &str| {
            let texts = Arc::clone(&texts);
            move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let texts = texts.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = out.write_str(part(&texts));
            }
        };
        let style = ProgressStyle::with_template("{nodes}[{bar:22}] {pos}/{len} nodes{fleet}")
            .ok()?
            .with_key("nodes", key(|texts| &texts.nodes))
            .with_key("fleet", key(|texts| &texts.fleet))
            // A track, so that the bar is visible before the first node is done.
            .progress_chars("=>-");
        let bar = ProgressBar::with_draw_target(
            Some((show.nodes.len() + show.others.len()) as u64),
            target,
        );
        bar.set_style(style);
        let names = show.nodes.iter().chain(&show.others);
        let longest = names.map(|n| n.chars().count()).max();
        Some(Bars {
            bar,
            texts,
            lines: Vec::new(),
            // One line stays for the fleet, one for the cursor.
            most: LINES.min(show.forks).min(size().0.saturating_sub(2)),
            width: longest.unwrap_or(0).min(NAME),
        })
    }

    pub(super) fn draw(&mut self, fleet: &FleetProgress) {
        self.assign(fleet);
        let (_, columns) = size();
        let mut nodes = String::new();
        for line in &self.lines {
            let work = fleet
                .at_work
                .iter()
                .find(|w| Some(&w.node) == line.as_ref());
            let text = work.map_or_else(String::new, |work| self.line(work));
            nodes.push_str(&cut(&text, columns));
            nodes.push('\n');
        }
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.nodes = nodes;
        texts.fleet = self.counts(fleet).within(columns.saturating_sub(BAR));
        drop(texts);
        let done = fleet.done.nodes as u64;
        self.bar.update(|state| state.set_pos(done));
    }

    fn line(&self, work: &AtWork) -> String {
        let name: String = sanitize(&work.node).chars().take(NAME).collect();
        let width = self.width;
        let seconds = format!("{} s", work.since.elapsed().as_secs());
        format!("{name:<width$}  {seconds:>5}  {}", work.stage)
    }

    fn counts(&self, fleet: &FleetProgress) -> Counts {
        let hidden = fleet.at_work.len().saturating_sub(self.lines.len());
        let whole = Duration::from_secs(fleet.begun.elapsed().as_secs());
        Counts {
            wave: fleet.wave.map(|wave| format!(" ({wave})")),
            done: fleet.done.words(),
            hidden: (hidden > 0).then(|| format!("{hidden} more at work")),
            elapsed: (whole.as_secs() >= 10).then(|| format!(" ({})", duration(whole))),
        }
    }

    /// Frees the lines of nodes that are done, and assigns them to the nodes without a line that have been at work longest.
    fn assign(&mut self, fleet: &FleetProgress) {
        for line in &mut self.lines {
            let at_work = |node: &String| fleet.at_work.iter().any(|w| w.node == *node);
            *line = line.take().filter(at_work);
        }
        // Lines are removed only when no node waits: a line that is free for a moment does not justify a jump of the whole screen.
        let needed = fleet.at_work.len().min(self.most);
        if fleet.waiting() == 0 {
            self.lines.retain(Option::is_some);
        }
        if self.lines.len() < needed {
            self.lines.resize(needed, None);
        }
        for work in &fleet.at_work {
            if !self.lines.iter().any(|l| l.as_ref() == Some(&work.node))
                && let Some(free) = self.lines.iter_mut().find(|line| line.is_none())
            {
                *free = Some(work.node.clone());
            }
        }
    }

    /// Does something while no bar is on the screen.
    pub(super) fn suspend(&self, f: impl FnOnce()) {
        self.bar.suspend(f);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// The text after the fleet's bar: ` (wave 2 of 4, 10 nodes): 3 changed, 1 failed, 12 more at work (41 s)`.
#[derive(Clone, Default)]
struct Counts {
    wave: Option<String>,
    done: String,
    hidden: Option<String>,
    elapsed: Option<String>,
}

impl Counts {
    fn text(&self) -> String {
        let words: Vec<&str> = [Some(self.done.as_str()), self.hidden.as_deref()]
            .into_iter()
            .flatten()
            .filter(|words| !words.is_empty())
            .collect();
        let mut text = self.wave.clone().unwrap_or_default();
        if !words.is_empty() {
            let _ = write!(text, ": {}", words.join(", "));
        }
        text.push_str(self.elapsed.as_deref().unwrap_or_default());
        text
    }

    /// As much of it as fits, in whole words: the least important part is dropped first.
    fn within(mut self, columns: usize) -> String {
        let less: [fn(&mut Counts); 4] = [
            |counts| counts.wave = None,
            |counts| counts.hidden = None,
            |counts| counts.elapsed = None,
            |counts| counts.done.clear(),
        ];
        for drop in less {
            if self.text().chars().count() <= columns {
                break;
            }
            drop(&mut self);
        }
        self.text()
    }
}

/// A line that fits; a line that is cut ends with `…`.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_string();
    }
    let mut short: String = text.chars().take(columns.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The terminal's lines and columns; those of a small one if it does not report them.
fn size() -> (usize, usize) {
    rustix::termios::tcgetwinsize(io::stderr())
        .ok()
        .map(|size| (usize::from(size.ws_row), usize::from(size.ws_col)))
        .filter(|(rows, columns)| *rows > 0 && *columns > 0)
        .unwrap_or((24, 80))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        Counts {
            wave: Some(" (wave 2 of 4, 10 nodes)".to_string()),
            done: "28 changed, 3 failed".to_string(),
            hidden: Some("12 more at work".to_string()),
            elapsed: Some(" (41 s)".to_string()),
        }
    }

    /// Tried with the line cut to the columns: it ended in `12 more at w`.
    #[test]
    fn what_has_no_room_is_left_out_whole() {
        let all = " (wave 2 of 4, 10 nodes): 28 changed, 3 failed, 12 more at work (41 s)";
        let shown: Vec<String> = [80, 69, 46, 36, 29, 28, 21, 0]
            .map(|columns| counts().within(columns))
            .to_vec();
        assert_eq!(
            shown,
            [
                all,
                ": 28 changed, 3 failed, 12 more at work (41 s)",
                ": 28 changed, 3 failed, 12 more at work (41 s)",
                ": 28 changed, 3 failed (41 s)",
                ": 28 changed, 3 failed (41 s)",
                ": 28 changed, 3 failed",
                "",
                "",
            ]
        );
        for columns in 0..100 {
            let text = counts().within(columns);
            assert!(text.chars().count() <= columns, "{columns}: {text}");
        }
        assert_eq!(Counts::default().within(80), "");
        assert_eq!(cut("verifying over a new connection", 10), "verifying…");
        assert_eq!(cut("looking", 7), "looking");
    }
}
