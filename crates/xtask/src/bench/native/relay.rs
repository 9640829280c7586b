//! Counts what a client sends: it connects to the relay, and the relay to the server.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A running relay; it ends when dropped.
#[derive(Debug)]
pub(in crate::bench) struct Relay {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a free port of loopback.
    pub(in crate::bench) fn start(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (sent, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counter, over) = (Arc::clone(&sent), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // A connection that cannot be made ends, as the client will notice.
                let _unserved = join(client, server, &counter);
            }
        });
        Ok(Self {
            address,
            sent,
            is_over,
            thread: Some(thread),
        })
    }

    /// In the form of the host list.
    pub(in crate::bench) fn host(&self) -> String {
        format!("127.0.0.1:{}/4", self.address.port())
    }

    /// Bytes that went to the server so far.
    pub(in crate::bench) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread.
        let _woken = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ended = thread.join();
        }
    }
}

fn join(client: TcpStream, server: u16, counter: &Arc<AtomicU64>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (answers_from, answers_to) = (server.try_clone()?, client.try_clone()?);
    let counter = Arc::clone(counter);
    std::thread::spawn(move || copy(client, server, Some(&counter)));
    std::thread::spawn(move || copy(answers_from, answers_to, None));
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, counter: Option<&AtomicU64>) {
    use std::io::{Read, Write};
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(counter) = counter {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Either side may be gone by now.
    let _closed = to.shutdown(Shutdown::Write);
}
