//! Bytes and open files together over a Unix socket (`SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Most files in one message; the kernel's own limit is 253.
pub const FDS_PER_MESSAGE_MAX: usize = 64;

const ANCILLARY_BYTES: usize = rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE_MAX));

/// Sends bytes and, with the first of them, open files. Returns how many bytes went; the files
/// have gone if that is not zero. Never raises `SIGPIPE`.
///
/// # Errors
/// What `sendmsg` says; [`io::ErrorKind::WouldBlock`] on a non-blocking socket.
pub fn send_with_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many files for one message",
        ));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(sent)
}

/// Sends all bytes on a blocking socket, the files with the first.
///
/// # Errors
/// What `sendmsg` says.
pub fn send_all_with_fds(
    socket: impl AsFd,
    mut bytes: &[u8],
    mut fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match send_with_fds(&socket, bytes, fds) {
            Ok(sent) => {
                bytes = &bytes[sent..];
                fds = &[];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives bytes and whatever open files come with them, which are closed on exec. Returns the
/// number of bytes; zero at the end of the stream.
///
/// # Errors
/// What `recvmsg` says; [`io::ErrorKind::WouldBlock`] on a non-blocking socket or after its
/// receive timeout.
pub fn recv_with_fds(
    socket: impl AsFd,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            fds.extend(passed);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_file_arrives_with_its_bytes() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut file = crate::memory_file("test").unwrap();
        file.write_all(b"contents").unwrap();
        send_all_with_fds(&ours, b"frame", &[file.as_fd()]).unwrap();
        drop(ours);

        let mut fds = Vec::new();
        let mut buffer = [0; 16];
        assert_eq!(recv_with_fds(&theirs, &mut buffer, &mut fds).unwrap(), 5);
        assert_eq!(fds.len(), 1);
        let mut arrived = std::fs::File::from(fds.remove(0));
        arrived.rewind().unwrap();
        let mut text = String::new();
        arrived.read_to_string(&mut text).unwrap();
        assert_eq!(text, "contents");
        assert_eq!(recv_with_fds(&theirs, &mut buffer, &mut fds).unwrap(), 0);
    }
}
