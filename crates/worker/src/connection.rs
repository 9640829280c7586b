//! The first moments of a connection: may this client speak, and what does it speak?

use std::rc::Rc;

use stock::exit::ExitCode;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::client::Client;
use crate::limits;
use crate::refusal::{HEADER_BYTES, Refusal};
use crate::server::{Phase, Server};
use crate::stats::Ending;
use crate::stock_job;

/// What clients speak, told by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// That of distcc 3.4.
    Stock,
}

impl Protocol {
    /// The protocol of these first bytes, of which there are at least [`HEADER_BYTES`] unless the
    /// client has hung up.
    fn of(head: &[u8]) -> Option<Protocol> {
        head.starts_with(b"DIST").then_some(Protocol::Stock)
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(server: Rc<Server>, mut client: Client) {
    server.stats.accepted();
    server
        .log
        .debug(format_args!("connection from {}", client.peer));
    if !server.allow.admits(client.peer.ip()) {
        return turn_away(&server, client).await;
    }
    let mut head = Vec::with_capacity(HEADER_BYTES);
    let silence = server.io_time_max;
    tokio::select! {
        read = timeout(silence, read_head(&mut client, &mut head)) => {
            if read.is_err() {
                server.log.info(format_args!("{}: nothing came for {silence:?}", client.peer));
            }
        }
        // Its client goes elsewhere.
        () = server.reached(Phase::Draining) => return,
    }
    match Protocol::of(&head) {
        Some(Protocol::Stock) => stock_job::serve(&server, client, head).await,
        None if head.is_empty() => {
            // A port scan, or a load balancer's question whether somebody is there.
            server
                .log
                .debug(format_args!("{} said nothing", client.peer));
            server.stats.ended(Ending::Disconnected);
        }
        None => {
            let (peer, found) = (client.peer, head.escape_ascii());
            let hint = match head[0] {
                b'*' => {
                    ": a client that wants GSSAPI authentication, remove `,auth` from its host list"
                }
                0x16 => ": a TLS client?",
                _ => "",
            };
            server.log.warning(format_args!(
                "{peer} does not speak distcc: \"{found}\"{hint}"
            ));
            server.stats.ended(Ending::BadRequest);
            client.linger().await;
        }
    }
}

/// Reads the first bytes; fewer if the client hangs up, or says something else.
async fn read_head(client: &mut Client, head: &mut Vec<u8>) {
    let mut buffer = [0; HEADER_BYTES];
    while head.len() < HEADER_BYTES {
        let missing = HEADER_BYTES - head.len();
        match client.reader.read(&mut buffer[..missing]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
        }
        if !b"DIST".starts_with(&head[..head.len().min(4)]) {
            return;
        }
    }
}

/// Tells a client whose address is not allowed so, in its own protocol.
async fn turn_away(server: &Server, mut client: Client) {
    let peer = client.peer;
    let address = peer
        .ip()
        .map_or_else(|| peer.to_string(), |ip| ip.to_canonical().to_string());
    let why =
        format!("{address} is not allowed to use this server: start it with --allow {address}");
    let refusal = Refusal::bad_request(ExitCode::AccessDenied, why);
    server
        .log
        .warning(format_args!("{peer} refused: {refusal}"));
    server.stats.ended(Ending::BadRequest);
    let Ok(_one_of_few) = server.strangers.try_acquire() else {
        return;
    };
    let mut head = Vec::with_capacity(HEADER_BYTES);
    let _silent = timeout(limits::STRANGER_TIME_MAX, read_head(&mut client, &mut head)).await;
    if let Some(answer) = refusal.encode(&head, &server.name) {
        let _gone = client.send(&[answer], limits::STRANGER_TIME_MAX).await;
        client.linger().await;
    }
}
