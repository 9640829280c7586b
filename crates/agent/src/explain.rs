//! Answers of the agent to `farcc explain`: what it knows of an output, and what it would do with a command.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cmdline::Invocation;
use tokio::time::timeout;
use wire::{Explain, JobRequest};

use crate::native::Manifest;
use crate::plan;
use crate::serve::Agent;

/// A compile that is under way is waited for so long before what was earlier is told.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// The answer to a question.
pub(crate) async fn answer(agent: &Rc<Agent>, question: Explain) -> String {
    match question {
        Explain::Output(path) => {
            let path = PathBuf::from(path);
            // Who has just seen its client end asks before the agent has.
            let settled = timeout(SETTLE_MAX, agent.history.settled(&path)).await;
            let now = match settled {
                Ok(()) => String::new(),
                Err(_) => format!("{}: is being compiled now; before that:\n", path.display()),
            };
            let past = agent.history.explain(&path).unwrap_or_else(|| {
                format!(
                    "{}: the agent has not seen a compile of it since it was started\n",
                    path.display()
                )
            });
            now + &past
        }
        Explain::Command(request) => of_command(agent, &request).await,
    }
}

/// What a worker would be given for a command.
async fn of_command(agent: &Rc<Agent>, request: &JobRequest) -> String {
    let asked = plan::understand(request, &agent.compilers);
    if let Some(parts) = asked.invocation.parts() {
        return format!(
            "  workers get each of its {} sources as a compile of its own, if they can run all of them\n",
            parts.len()
        );
    }
    if let Err(local) = &asked.native {
        return format!("  no worker would get it: {}\n", local.reason.sentence);
    }
    let given = &asked.invocation;
    let order = match plan::expand(request, given, &agent.compilers).await {
        Ok(expanded) => plan::worker_order(request, given, expanded.as_ref(), &[]),
        Err(local) => Err(local),
    };
    let order = match order {
        Ok(order) => order,
        Err(local) => return format!("  no worker would get it: {}\n", local.reason.sentence),
    };
    let ready = match agent.preparer.prepare(Arc::new(order), true).await {
        Ok(ready) => ready,
        Err(why) => return format!("  workers would not get its sources: {why}\n"),
    };
    let manifest = Manifest::of(&ready.prepared);
    let mut text = manifest.text();
    if ready.kept.is_some() {
        text.push_str("  known      nothing would run: the result is in the cache\n");
    }
    if let Some(output) = output_of(request, given) {
        text.push_str(&agent.history.compare(&output, &manifest));
    }
    text
}

/// The file that a compile is known by: its first output.
pub(crate) fn output_of(request: &JobRequest, invocation: &Invocation) -> Option<PathBuf> {
    let outputs = invocation.outputs();
    let name = &outputs.first()?.path;
    Some(normal(&Path::new(&request.cwd).join(name)))
}

/// Without `.`, so that two spellings of one file meet.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}
