//! Runs scripts on a node over one connection, and sends them and their answers to the event sink if that is asked for.

use std::time::Duration;

use crate::engine::context::RunContext;
use crate::engine::event::Event;
use crate::engine::event::Transcript;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::stage::Stage;
use crate::transport::Connection;
use crate::transport::Output;
use crate::transport::RunError;

/// A connection to a job's node. It runs any script, so it is private to this folder.
pub(super) struct Exchange<'a> {
    pub(super) context: &'a RunContext<'a>,
    pub(super) job: &'a Job,
    connection: Box<dyn Connection>,
}

impl<'a> Exchange<'a> {
    /// Emits the stage and connects.
    pub(super) fn open(
        context: &'a RunContext<'a>,
        job: &'a Job,
        stage: &Stage,
    ) -> Result<Self, Box<Failure>> {
        context.emit_stage(job, stage.clone());
        let connection = context
            .transport
            .connect(&job.destination, context.stop.leave())
            .map_err(|error| Box::new(Failure::connect(stage.clone(), error)))?;
        Ok(Exchange {
            context,
            job,
            connection,
        })
    }

    /// Runs a script for at most `limit`. `on_stdout` gets its output in pieces as they arrive.
    pub(super) fn run(
        &mut self,
        script: &str,
        limit: Duration,
        on_stdout: &mut dyn FnMut(&[u8]),
    ) -> Result<Output, RunError> {
        let told = self.context.transcript == Transcript::On;
        if told {
            self.context.sink.emit(Event::Sent {
                node: self.job.node().to_string(),
                script: script.to_string(),
            });
        }
        let leave = self.context.stop.leave();
        let result = self.connection.run(script, limit, on_stdout, leave);
        if told {
            self.tell(&result);
        }
        result
    }

    fn tell(&self, result: &Result<Output, RunError>) {
        let (status, stdout, stderr) = match result {
            Ok(output) => (Ok(output.status), &*output.stdout, &*output.stderr),
            Err(error) => {
                let partial = error.partial();
                (
                    Err(error.to_string()),
                    partial.map_or(&[][..], |p| &p.stdout),
                    partial.map_or(&[][..], |p| &p.stderr),
                )
            }
        };
        self.context.sink.emit(Event::Answered {
            node: self.job.node().to_string(),
            status,
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
        });
    }
}

/// The end of what a script complained about, as `: …`, or nothing.
pub(super) fn tail(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    // Three lines say what broke; the rest is under `-v`.
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .rev()
        .take(3)
        .collect();
    lines.reverse();
    if lines.is_empty() {
        String::new()
    } else {
        format!(": {}", lines.join("; "))
    }
}
