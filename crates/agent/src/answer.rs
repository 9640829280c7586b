//! What becomes of a host's answer: outputs for the shim, or a second try here.
//!
//! A compile that failed on a stock host may have failed because of that host (another compiler, a full disk), so it is
//! repeated here, and what the local compiler says counts. The host is not blamed: most such failures are the user's.

use std::fs::File;
use std::io::{self, Write};

use cmdline::Invocation;
use place::Event;
use stock::reply::{Ended, Reply};
use wire::{Destination, LogLevel, OutputFile, ToAgent, ToShim};

use crate::dispatch::{Order, Ticket};
use crate::distribute::Plan;
use crate::job::{Inbox, Job, become_compiler};
use crate::native::{Answer, Kept};
use crate::why::Why;

/// Least status that a shell gives a program killed by a signal.
const SIGNAL_STATUS_MIN: u8 = 128;

/// Hands an answer to the shim and sees the job to its end.
///
/// # Errors
/// The shim is gone.
pub(crate) async fn deliver(
    job: &Job,
    mut ticket: Ticket,
    inbox: &mut Inbox,
    plan: &Plan<'_>,
    reply: Reply,
    host: &str,
) -> io::Result<()> {
    let (invocation, source) = (plan.invocation, &plan.source);
    let (cwd, comments) = (&job.request.cwd, &job.agent.comments);
    if job.settings.fallback
        && !plan.keeps_comments
        && comments.were_missed(cwd, invocation, &reply)
    {
        return stay_after_all(job, &mut ticket, Why::CommentsMissed).await;
    }
    if reply.wait_status == 0 {
        job.log(
            LogLevel::Info,
            format!("compile {source} on {host} completed ok"),
        );
    } else if is_repeated(job, reply.ended()) {
        job.log(LogLevel::Info, format!("compile {source} on {host} failed"));
        job.log(
            LogLevel::Warning,
            format!("remote compilation of '{source}' failed, retrying locally"),
        );
        return stay_after_all(job, &mut ticket, Why::RemoteFailed).await;
    } else {
        job.log(
            LogLevel::Error,
            format!("compile {source} on {host} failed"),
        );
    }

    let Ok((outputs, files)) = outputs(&reply, invocation) else {
        return stay_after_all(job, &mut ticket, Why::Internal).await;
    };
    let wait_status = i32::from_ne_bytes(reply.wait_status.to_ne_bytes());
    drop(reply);
    hand_over(job, inbox, wait_status, outputs, &files).await
}

/// Gives the shim what it has to put in place, and waits for its end.
async fn hand_over(
    job: &Job,
    inbox: &mut Inbox,
    wait_status: i32,
    outputs: Vec<OutputFile>,
    files: &[File],
) -> io::Result<()> {
    let message = ToShim::Finish {
        wait_status,
        log: job.take_log(),
        outputs,
    };
    job.writer.send(&message, files).await?;
    job.ended.borrow_mut().wait_status = Some(wait_status);
    // The end of the connection says that all is in place.
    while let Some((message, _)) = inbox.recv().await {
        if let ToAgent::InstallFailed(why) = message {
            job.log(LogLevel::Warning, why);
            job.note_local(Why::InstallFailed.into());
            job.ended.borrow_mut().wait_status = None;
            // The shim is the compiler now; its end is the end of the job.
            job.leave_alone();
        }
    }
    Ok(())
}

/// Hands a worker's answer to the shim and sees the job to its end. Same compiler, same files: what it says counts.
///
/// # Errors
/// The shim is gone.
pub(crate) async fn deliver_worked(
    job: &Job,
    mut ticket: Ticket,
    inbox: &mut Inbox,
    source: &str,
    answer: Answer,
    host: &str,
) -> io::Result<()> {
    let how = if answer.wait_status == 0 {
        "completed ok"
    } else {
        "failed"
    };
    job.log(LogLevel::Info, format!("compile {source} on {host} {how}"));
    let Ok((outputs, files)) = answer.files() else {
        return stay_after_all(job, &mut ticket, Why::Internal).await;
    };
    let wait_status = answer.wait_status;
    drop(answer);
    hand_over(job, inbox, wait_status, outputs, &files).await
}

/// Hands a kept result to the shim and sees the job to its end.
///
/// # Errors
/// The shim is gone.
pub(crate) async fn deliver_kept(job: &Job, inbox: &mut Inbox, kept: Kept) -> io::Result<()> {
    job.note_queued();
    job.note_kept();
    job.log(
        LogLevel::Info,
        format!("{}: known from an earlier compile", job.file),
    );
    hand_over(job, inbox, 0, kept.outputs, &kept.files).await
}

fn is_repeated(job: &Job, ended: Ended) -> bool {
    let by_signal = match ended {
        Ended::Signal(_) => true,
        Ended::Exit(code) => code >= SIGNAL_STATUS_MIN,
    };
    job.settings.fallback && (by_signal || !job.settings.skip_local_retry)
}

async fn stay_after_all(job: &Job, ticket: &mut Ticket, why: Why) -> io::Result<()> {
    ticket.tell(Event::NeedsLocal { job: job.id });
    loop {
        if let Order::RunLocal { slot, .. } = ticket.next_order().await {
            return become_compiler(job, slot, why.into()).await;
        }
    }
}

/// Everything that a local compile would have written, as open files.
fn outputs(reply: &Reply, invocation: &Invocation) -> io::Result<(Vec<OutputFile>, Vec<File>)> {
    let mut all = Vec::new();
    if reply.wait_status == 0 {
        // Where the preprocessor ran here, it has written this file.
        if let (Some(deps), Some(dependency)) = (&reply.deps, invocation.dependency()) {
            all.push((Destination::File(dependency.file.clone()), deps));
        }
        let output = invocation.output().unwrap_or_default();
        // An object of no bytes is an object too: the file is made, or emptied.
        all.push((Destination::File(output.to_owned()), &reply.object));
    }
    for (destination, bytes) in [
        (Destination::Stdout, &reply.stdout),
        (Destination::Stderr, &reply.stderr),
    ] {
        if !bytes.is_empty() {
            all.push((destination, bytes));
        }
    }
    let mut outputs = Vec::with_capacity(all.len());
    let mut files = Vec::with_capacity(all.len());
    for (destination, bytes) in all {
        let mut file = sys::memory_file("output")?;
        file.write_all(bytes)?;
        outputs.push(OutputFile {
            destination,
            len: bytes.len() as u64,
        });
        files.push(file);
    }
    Ok((outputs, files))
}
