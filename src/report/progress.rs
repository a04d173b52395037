//! One thread that owns the screen. All other threads send it events.
//!
//! A bar that draws itself needs a thread of its own, and two threads that draw make a screen flicker; so this thread draws all of
//! them, at most eight times a second, and prints results above them.

use std::io::Write;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SendError;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::engine::Event;
use crate::engine::EventSink;
use crate::report::Purpose;
use crate::report::bars::Bars;
use crate::report::lines::Plain;
use crate::report::lines::lines;
use crate::report::output::Stdout;
use crate::report::redact::redacted;
use crate::report::screen::AtWork;
use crate::report::screen::FleetProgress;
use crate::report::style::sanitize;
use crate::report::summary::Summary;
use crate::report::text;

pub use crate::report::output::print;
pub use crate::report::screen::Screen;
pub use crate::report::screen::Show;
pub use crate::report::screen::Verbosity;

/// Between two drawings: fast enough to look alive, slow enough for a serial console.
const TICK: Duration = Duration::from_millis(125);

/// The thread that owns the screen.
pub struct Progress {
    handle: Handle,
    thread: JoinHandle<()>,
}

/// The sender for all other threads.
#[derive(Clone)]
pub struct Handle(Sender<Message>);

enum Message {
    Event(Event),
    Note(String),
    Answer(String),
    Ask(Box<dyn FnOnce() + Send>),
    End,
}

impl Progress {
    /// Starts the thread.
    pub fn start(show: Show) -> Self {
        let (sender, receiver) = mpsc::channel();
        Progress {
            handle: Handle(sender),
            thread: thread::spawn(move || Ui::new(show).run(&receiver)),
        }
    }

    /// A way to the thread.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Shows the remaining events, removes the bars, and waits until that is done.
    pub fn finish(self) {
        let _ = self.handle.0.send(Message::End);
        // A panic there has already been printed; the answer matters more than the bars.
        let _ = self.thread.join();
    }
}

impl EventSink for Handle {
    fn emit(&self, event: Event) {
        let _ = self.0.send(Message::Event(event));
    }
}

impl Handle {
    /// Prints a line to stderr, above the bars.
    pub fn note(&self, text: impl Into<String>) {
        let _ = self.0.send(Message::Note(text.into()));
    }

    /// Standard output, for what is written while nodes are at work. What comes once the screen is gone is written all the same.
    pub fn output(&self) -> Stdout {
        let sender = self.0.clone();
        Stdout::shown_by(move |text| {
            let sent = sender.send(Message::Answer(text));
            if let Err(SendError(Message::Answer(text))) = sent {
                print(&text);
            }
        })
    }

    /// Lets a person answer something while nothing else is drawn; `None` if the screen is gone.
    pub fn ask<T: Send + 'static>(&self, ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = mpsc::channel();
        let ask = Box::new(move || {
            let _ = sender.send(ask());
        });
        self.0.send(Message::Ask(ask)).ok()?;
        receiver.recv().ok()
    }
}

struct Ui {
    show: Show,
    fleet: FleetProgress,
    bars: Option<Bars>,
    drawn: Instant,
    /// Text to be printed above the bars at the next drawing, so that all of it costs one redraw.
    pending: Vec<Text>,
}

enum Text {
    Answer(String),
    Journey(String),
}

impl Text {
    fn print(&self) {
        match self {
            Text::Answer(text) => print(text),
            Text::Journey(text) => {
                let _ = writeln!(anstream::stderr().lock(), "{}", redacted(text));
            }
        }
    }
}

impl Ui {
    fn new(show: Show) -> Self {
        let bars = match show.screen {
            Screen::Terminal => Bars::new(&show),
            Screen::Lines => None,
        };
        Ui {
            fleet: FleetProgress {
                nodes: show.nodes.len(),
                others: show.others.len(),
                wave: None,
                at_work: Vec::new(),
                done: Summary::default(),
                begun: Instant::now(),
            },
            bars,
            drawn: Instant::now(),
            pending: Vec::new(),
            show,
        }
    }

    fn run(mut self, receiver: &Receiver<Message>) {
        if self.bars.is_none() {
            self.say(Text::Journey(self.opening()));
        }
        loop {
            let wait = TICK.saturating_sub(self.drawn.elapsed());
            match receiver.recv_timeout(wait) {
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => self.draw(),
            }
        }
        self.draw();
        if let Some(bars) = &mut self.bars {
            bars.clear();
        }
    }

    fn draw(&mut self) {
        self.drawn = Instant::now();
        let texts = std::mem::take(&mut self.pending);
        if let Some(bars) = &mut self.bars {
            bars.draw(&self.fleet);
            if !texts.is_empty() {
                bars.suspend(|| texts.iter().for_each(Text::print));
            }
        }
    }

    /// Prints immediately, or above the bars when they are drawn next.
    fn say(&mut self, text: Text) {
        match self.bars {
            Some(_) => self.pending.push(text),
            None => text.print(),
        }
    }

    fn opening(&self) -> String {
        let verb = match self.show.purpose {
            Purpose::Run => "deploying to",
            Purpose::Check => "checking",
            Purpose::Facts | Purpose::Status | Purpose::Peers | Purpose::Refused => "reading",
            Purpose::Rollback => "rolling back",
            Purpose::RollbackCheck => "checking the rollback of",
            Purpose::Drill => "drilling",
            Purpose::Remove => "removing fwdeploy from",
            Purpose::RemoveCheck => "checking the removal from",
        };
        let (nodes, others) = (self.show.nodes.len(), self.show.others.len());
        let mut text = match nodes {
            1 => format!("{verb} 1 node"),
            n => format!("{verb} {n} nodes"),
        };
        if others > 0 {
            text.push_str(&format!(", reading {others} without a role"));
        }
        let largest = nodes.max(others);
        if largest > 1 {
            text.push_str(&format!(", {} at a time", self.show.forks.min(largest)));
        }
        text
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.event(event),
            Message::Note(text) => self.say(Text::Journey(sanitize(&text))),
            Message::Answer(text) => self.say(Text::Answer(text)),
            Message::Ask(ask) => match &self.bars {
                Some(bars) => bars.suspend(ask),
                None => ask(),
            },
            Message::End => {}
        }
    }

    fn event(&mut self, event: Event) {
        let plain = match self.bars {
            Some(_) => Plain::Bars,
            None => Plain::Lines,
        };
        // If all nodes have been started, none is left out.
        let vain = matches!(event, Event::BudgetExceeded(_)) && self.fleet.waiting() == 0;
        if !vain && let Some(text) = lines(&event, self.show.verbosity, plain) {
            self.say(Text::Journey(text));
        }
        match event {
            Event::Stage { node, stage } => {
                let stage = stage.to_string();
                match self.fleet.at_work.iter_mut().find(|w| w.node == node) {
                    Some(at_work) => at_work.stage = stage,
                    None => self.fleet.at_work.push(AtWork {
                        node,
                        stage,
                        since: Instant::now(),
                    }),
                }
            }
            Event::Finished(outcome) => {
                self.fleet.at_work.retain(|w| w.node != outcome.node);
                self.fleet.done.add(outcome.verdict);
                if plain == Plain::Lines {
                    self.say(Text::Journey(format!(
                        "{}: {} ({} of {})",
                        sanitize(&outcome.node),
                        outcome.verdict,
                        self.fleet.done.nodes,
                        self.fleet.all()
                    )));
                }
                if let Some(diff) = self.show.outcomes {
                    let text = text::node(&outcome, diff);
                    if !text.is_empty() {
                        self.say(Text::Answer(text));
                    }
                }
            }
            Event::Wave(wave) => self.fleet.wave = Some(wave),
            Event::TakingBack(nodes) => {
                for (_, verdict) in nodes {
                    self.fleet.done.remove(verdict);
                }
            }
            Event::BudgetExceeded(_) | Event::Sent { .. } | Event::Answered { .. } => {}
        }
    }
}
