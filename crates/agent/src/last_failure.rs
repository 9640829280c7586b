//! The last compile that failed on a worker for a file that it did not have, or that read one there that the scan had not
//! found, kept for whoever looks into it: either the source is wrong, or the scanner missed a file.

use std::io;

use wire::Destination;

use crate::job::Job;
use crate::native::{Answer, Manifest, Prepared};

/// The name of the file in the agent's directory, one for each user.
#[must_use]
pub fn last_failure_name() -> String {
    format!("last-failure-{}.txt", sys::realm::user_id())
}

/// Keeps everything that is needed to try it again. `what` the compile did, for a sentence.
pub(crate) fn keep(job: &Job, action: &Prepared, answer: &Answer, what: &str) -> io::Result<()> {
    let path = job.settings.dir.join(last_failure_name());
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, text(job, action, answer, what))?;
    std::fs::rename(&temporary, &path)
}

fn text(job: &Job, action: &Prepared, answer: &Answer, what: &str) -> String {
    let request = &job.request;
    let words = std::iter::once(&request.compiler).chain(&request.args);
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let messages = answer
        .outputs
        .iter()
        .filter(|output| output.destination == Destination::Stderr);
    let messages: String = messages
        .map(|output| String::from_utf8_lossy(&output.bytes))
        .collect();
    let mut inputs: Vec<_> = action
        .files
        .iter()
        .map(|file| format!("  {} {}\n", file.digest, file.way.place.display()))
        .collect();
    inputs.sort_unstable();
    inputs.dedup();
    format!(
        "{} {what}, and was compiled here instead.\n\
         If it compiles here, this is a bug of farcc; what follows helps to find it.\n\n\
         asked for: {}\nin: {}\n\n{}\nmessages there:\n{messages}\ninputs:\n{}",
        job.file,
        words.join(" "),
        request.cwd.display(),
        Manifest::of(action).text(),
        inputs.concat()
    )
}
