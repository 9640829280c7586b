//! A task's steps, each announced, timed and listed at the end.

use std::time::{Duration, Instant};

/// What has been done so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    error: Option<String>,
}

impl Steps {
    /// Runs a step. A failure is told at once and again at the end; later steps run all the same.
    pub(crate) fn run<T>(
        &mut self,
        name: &str,
        step: impl FnOnce() -> Result<T, String>,
    ) -> Option<T> {
        println!("==> {name}");
        let start = Instant::now();
        let (value, error) = match step() {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = &error {
            println!("==> {name}: FAILED: {error}");
        }
        self.done.push(Step {
            name: name.to_owned(),
            took: start.elapsed(),
            error,
        });
        value
    }

    /// Prints all steps; an error if one failed.
    pub(crate) fn finish(self) -> Result<(), String> {
        println!();
        for step in &self.done {
            let verdict = if step.error.is_none() { "ok" } else { "FAILED" };
            let seconds = step.took.as_secs_f64();
            println!("{:<44} {verdict:<6} {seconds:7.1} s", step.name);
        }
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|step| step.error.is_some())
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = failed.iter().map(|step| step.name.as_str()).collect();
        Err(format!("failed: {}", names.join(", ")))
    }
}
