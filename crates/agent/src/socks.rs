//! SOCKS5 (RFC 1928), as much of it as leads out of Portage's network sandbox.
//!
//! There the proxy listens on a Unix socket, wants no authentication, and resolves the name itself on the other side of
//! the sandbox; so the name is always sent as it is written (address type 3). It does not relay a half-close: nobody
//! may shut down writing on such a connection.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Port of a proxy given without one, as Gentoo's distcc takes it.
const DEFAULT_PORT: u16 = 1080;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;
const TYPE_IPV4: u8 = 1;
const TYPE_NAME: u8 = 3;
const TYPE_IPV6: u8 = 4;

/// Where the proxy listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(String, u16),
}

impl Proxy {
    /// Reads `DISTCC_SOCKS_PROXY`: a path that starts with `/`, or `HOST[:PORT]`. Empty means none.
    pub(crate) fn parse(value: &OsStr) -> Result<Option<Self>, String> {
        if value.is_empty() {
            return Ok(None);
        }
        if value.as_bytes()[0] == b'/' {
            return Ok(Some(Self::Unix(value.into())));
        }
        let text = value.to_str().ok_or("not text")?;
        let (host, port) = match text.rsplit_once(':') {
            _ if text.ends_with(']') => (text, None),
            Some((host, _)) if host.contains(':') && !host.starts_with('[') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| format!("bad port `{port}`"))?,
            None => DEFAULT_PORT,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("the proxy's name is missing".to_owned());
        }
        Ok(Some(Self::Tcp(host.to_owned(), port)))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// Asks the proxy at the other end of `stream` to connect to `host`; afterwards the stream leads there.
///
/// # Errors
/// The proxy hung up, wants authentication, speaks something else, or could not connect; the text says which.
pub(crate) async fn connect_through(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
    port: u16,
) -> io::Result<()> {
    let name_len = u8::try_from(host.len()).map_err(|_| refuse("the name is too long"))?;
    stream.write_all(&[VERSION, 1, NO_AUTHENTICATION]).await?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice).await?;
    if choice[0] != VERSION {
        return Err(refuse("does not speak SOCKS 5"));
    }
    if choice[1] != NO_AUTHENTICATION {
        return Err(refuse("wants authentication"));
    }
    let mut request = vec![VERSION, CONNECT, 0, TYPE_NAME, name_len];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;

    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if head[1] != 0 {
        return Err(refuse(reply_text(head[1])));
    }
    let address_len = match head[3] {
        TYPE_IPV4 => 4,
        TYPE_IPV6 => 16,
        TYPE_NAME => usize::from(stream.read_u8().await?),
        _ => return Err(refuse("answered with an unknown type of address")),
    };
    let mut address_and_port = vec![0; address_len + 2];
    stream.read_exact(&mut address_and_port).await?;
    Ok(())
}

fn refuse(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

/// RFC 1928, section 6.
fn reply_text(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "connection not allowed",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unknown failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expect: &str) {
        let shown = match Proxy::parse(OsStr::new(value)) {
            Ok(None) => "none".to_owned(),
            Ok(Some(proxy)) => format!("{proxy:?}"),
            Err(why) => why,
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn all_forms_of_a_proxy() {
        check("", "none");
        check("/tmp/net.sock", "Unix(\"/tmp/net.sock\")");
        check("proxy", "Tcp(\"proxy\", 1080)");
        check("proxy:99", "Tcp(\"proxy\", 99)");
        check("[::1]:99", "Tcp(\"::1\", 99)");
        check("[::1]", "Tcp(\"::1\", 1080)");
        check("::1", "Tcp(\"::1\", 1080)");
        check("proxy:x", "bad port `x`");
        check(":1", "the proxy's name is missing");
    }

    async fn handshake(answers: &'static [u8]) -> (io::Result<()>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(1024);
        far.write_all(answers).await.unwrap();
        let result = connect_through(&mut near, "pc", 3632).await;
        drop(near);
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        (result, sent)
    }

    #[tokio::test]
    async fn any_address_type_is_skipped_in_the_reply() {
        let replies: [&[u8]; 3] = [
            &[5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80],
            &[5, 0, 5, 0, 0, 3, 2, b'a', b'b', 0, 80],
            &[
                5, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80,
            ],
        ];
        for reply in replies {
            let (result, sent) = handshake(reply).await;
            result.unwrap();
            assert_eq!(sent, [5, 1, 0, 5, 1, 0, 3, 2, b'p', b'c', 0x0e, 0x30]);
        }
    }

    #[tokio::test]
    async fn refusals_say_why() {
        for (reply, why) in [
            (&[5, 0xff][..], "wants authentication"),
            (&[4, 0], "does not speak SOCKS 5"),
            (&[5, 0, 5, 5, 0, 1], "connection refused"),
        ] {
            let (result, _) = handshake(reply).await;
            assert_eq!(result.unwrap_err().to_string(), why);
        }
    }
}
