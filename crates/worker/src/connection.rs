//! The first moments of a connection: may this client speak, and what does it speak?

use std::rc::Rc;

use reapi::Refused;
use stock::exit::ExitCode;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::client::{Client, Peer};
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
    /// The Remote Execution API, over HTTP/2.
    Native,
}

/// How each protocol begins.
const PROTOCOLS: &[(&[u8], Protocol)] = &[
    (b"DIST", Protocol::Stock),
    (b"PRI * HTTP/2", Protocol::Native),
];

/// What else is heard on this port, and what to say about it.
const STRANGERS: &[(&[u8], &str)] = &[
    (
        b"*",
        ": a client that wants GSSAPI authentication, remove `,auth` from its host list",
    ),
    (
        b"GET ",
        ": a web browser? The page of statistics (--stats) has its own port",
    ),
    (
        b"\x16\x03",
        ": a client that wants TLS; this server speaks without: use grpc://, not grpcs://, or a \
         tunnel",
    ),
];

impl Protocol {
    /// The protocol of these first bytes, of which there are at least [`HEADER_BYTES`] unless the
    /// client has hung up.
    fn of(head: &[u8]) -> Option<Protocol> {
        let known = PROTOCOLS.iter().find(|(begin, _)| head.starts_with(begin));
        known.map(|(_, protocol)| *protocol)
    }
}

/// Could these bytes become a known protocol's first ones?
fn is_beginning(head: &[u8]) -> bool {
    PROTOCOLS
        .iter()
        .any(|(begin, _)| head.starts_with(begin) || begin.starts_with(head))
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
        Some(Protocol::Native) => native(&server, client, head).await,
        None if head.is_empty() => {
            // A port scan, or a load balancer's question whether somebody is there.
            server
                .log
                .debug(format_args!("{} said nothing", client.peer));
            server.stats.ended(Ending::Disconnected);
        }
        None => {
            let (peer, found) = (client.peer, head.escape_ascii());
            let stranger = STRANGERS.iter().find(|(begin, _)| head.starts_with(begin));
            let hint = stranger.map_or("", |(_, hint)| hint);
            server.log.warning(format_args!(
                "{peer} speaks neither distcc nor REAPI: \"{found}\"{hint}"
            ));
            server.stats.ended(Ending::BadRequest);
            client.linger().await;
        }
    }
}

/// Serves a client of the Remote Execution API, or tells it why it is not served.
async fn native(server: &Server, client: Client, head: Vec<u8>) {
    let peer = client.peer;
    let why = match (&server.native, peer) {
        (Ok(native), Peer::Address(address)) => {
            let stream = client.into_stream(head);
            return native.connection(server, stream, address).await;
        }
        (Ok(_), Peer::Standard) => "it is not offered through ssh or inetd",
        (Err(why), _) => why,
    };
    let why = format!("this server does not serve remote execution: {why}");
    server.log.warning(format_args!("{peer} refused: {why}"));
    server.stats.ended(Ending::BadRequest);
    let refused = reapi::refuse_connection(client.into_stream(head), Refused::NotOffered(why));
    let _enough = timeout(limits::LINGER_TIME_MAX, refused).await;
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
        if !is_beginning(head) {
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
    if Protocol::of(&head) == Some(Protocol::Native) {
        let refused = Refused::NotAllowed(refusal.text);
        let refused = reapi::refuse_connection(client.into_stream(head), refused);
        let _enough = timeout(limits::LINGER_TIME_MAX, refused).await;
        return;
    }
    if let Some(answer) = refusal.encode(&head, &server.name) {
        let _gone = client.send(&[answer], limits::STRANGER_TIME_MAX).await;
        client.linger().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_by_their_first_bytes() {
        assert_eq!(Protocol::of(b"DIST00000001"), Some(Protocol::Stock));
        assert_eq!(Protocol::of(b"PRI * HTTP/2.0\r\n"), Some(Protocol::Native));
        for other in ["", "DIS", "PRI * HTTP/1", "GET / HTTP/1.1", "\x16\x03\x01"] {
            assert_eq!(Protocol::of(other.as_bytes()), None, "{other}");
        }
        for begin in [
            "",
            "D",
            "DIST",
            "DIST00",
            "P",
            "PRI * HTTP/2",
            "PRI * HTTP/2.",
        ] {
            assert!(is_beginning(begin.as_bytes()), "{begin}");
        }
        for other in ["X", "DIXT", "PRIX", "GET "] {
            assert!(!is_beginning(other.as_bytes()), "{other}");
        }
    }
}
