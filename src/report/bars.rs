//! A bar for the fleet, and a line for each of the nodes that are longest at work.

use std::io;
use std::time::Duration;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

use crate::report::progress::Fleet;
use crate::report::progress::Show;
use crate::report::summary::duration;

/// More lines than this nobody reads while they change.
const LINES: usize = 8;

/// A longer name is cut, so that its stage stays in sight.
const NAME: usize = 32;

pub(super) struct Bars {
    all: MultiProgress,
    nodes: Vec<ProgressBar>,
    fleet: ProgressBar,
    most: usize,
    width: usize,
}

impl Bars {
    /// Bars on stderr; `None` if it cannot show them.
    pub(super) fn new(show: &Show) -> Option<Self> {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        if all.is_hidden() {
            return None;
        }
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} nodes{wide_msg}").ok()?;
        let fleet = all.add(ProgressBar::new(show.nodes.len() as u64));
        fleet.set_style(style.progress_chars("=> "));
        let longest = show.nodes.iter().map(|n| n.chars().count()).max();
        Some(Bars {
            all,
            nodes: Vec::new(),
            fleet,
            // One line stays for the fleet, one for the cursor.
            most: LINES.min(show.forks).min(height().saturating_sub(2)),
            width: longest.unwrap_or(0).min(NAME),
        })
    }

    pub(super) fn draw(&mut self, fleet: &Fleet) {
        self.make_room(fleet);
        for (at, bar) in self.nodes.iter().enumerate() {
            let text = match fleet.at_work.get(at) {
                Some(work) => {
                    let name: String = work.node.chars().take(NAME).collect();
                    let width = self.width;
                    let seconds = work.since.elapsed().as_secs();
                    format!(
                        "{name:<width$}  {:>4}  {}",
                        format!("{seconds} s"),
                        work.stage
                    )
                }
                None => String::new(),
            };
            // An unchanged message would be drawn all the same.
            if bar.message() != text {
                bar.set_message(text);
            }
        }
        self.fleet.set_position(fleet.done.nodes as u64);
        let mut text = String::new();
        let words = fleet.done.words();
        if !words.is_empty() {
            text.push_str(&format!(": {words}"));
        }
        let hidden = fleet.at_work.len().saturating_sub(self.nodes.len());
        if hidden > 0 {
            text.push_str(&format!(", {hidden} more at work"));
        }
        let whole = Duration::from_secs(fleet.begun.elapsed().as_secs());
        if whole.as_secs() >= 10 {
            text.push_str(&format!(" ({})", duration(whole)));
        }
        if self.fleet.message() != text {
            self.fleet.set_message(text);
        }
    }

    /// Lines only ever grow while nodes wait: a place that is free for a moment is not worth a jump of the whole screen.
    fn make_room(&mut self, fleet: &Fleet) {
        let needed = fleet.at_work.len().min(self.most);
        while self.nodes.len() < needed {
            let bar = self
                .all
                .insert_before(&self.fleet, ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            self.nodes.push(bar);
        }
        while self.nodes.len() > needed && fleet.waiting() == 0 {
            if let Some(bar) = self.nodes.pop() {
                self.all.remove(&bar);
            }
        }
    }

    /// Does something while no bar is on the screen.
    pub(super) fn suspend(&self, f: impl FnOnce()) {
        self.all.suspend(f);
    }

    pub(super) fn clear(&mut self) {
        self.fleet.finish_and_clear();
        for bar in &self.nodes {
            bar.finish_and_clear();
        }
        let _ = self.all.clear();
    }
}

/// The terminal's lines; a small one's where it doesn't say.
fn height() -> usize {
    rustix::termios::tcgetwinsize(io::stderr())
        .ok()
        .map(|size| usize::from(size.ws_row))
        .filter(|rows| *rows > 0)
        .unwrap_or(24)
}
