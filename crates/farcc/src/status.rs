//! `farcc status`: agent, hosts and jobs at one glance.

use std::fmt::Write as _;
use std::time::SystemTime;

use stock::state::STATE_DIR;

use crate::agent_socket::{AgentSocket, distcc_dir};
use crate::error::Error;
use crate::exit::Exit;
use crate::world::World;
use crate::{hosts, report};

/// Prints where the agent is, what the host list says and what runs.
///
/// # Errors
/// Standard output cannot be written, or the agent's directory cannot be reached.
pub(crate) fn show(world: &World) -> Result<Exit, Error> {
    let socket = AgentSocket::new(world)?;
    let state = match socket.connect_if_alive()? {
        Some(_) => "runs",
        None => "does not run; the first compile starts it",
    };
    let mut text = format!("agent {state}\n  {}\n", socket.path().display());
    let (source, list) = hosts::find(world, &mut |error| {
        report::error("farcc", &error);
    });
    text.push_str(&hosts::table(&source, &list, hosts::processors()));
    text.push_str(&jobs(world));
    report::print(&text)?;
    Ok(Exit::Success)
}

fn jobs(world: &World) -> String {
    let dir = distcc_dir(world).unwrap_or_default().join(STATE_DIR);
    let mut on_error = |error| report::warning("farcc", &format!("{error}"));
    match monitor::text::round(&dir, SystemTime::now(), &mut on_error) {
        Ok(rows) => {
            let rows = String::from_utf8_lossy(&rows);
            let rows = rows.trim_end();
            let mut text = format!("{} jobs now\n", rows.lines().count());
            if !rows.is_empty() {
                let _ = writeln!(text, "{rows}");
            }
            text
        }
        Err(error) => format!("jobs unknown: {error}\n"),
    }
}
