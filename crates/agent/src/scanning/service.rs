//! The agent's scanner: a thread of its own that scans and packs for one job after the other.
//!
//! A scan takes milliseconds in which the event loop must not stand still, and what the scanner knows is worth most
//! when all jobs share it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use cmdline::Invocation;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::parcel::{Packer, Parcel};
use super::why_text::{self, WhyText};
use super::{Compile, Scanning};

/// How long a job waits for its scan: beyond that, preprocessing is surely faster.
const SCAN_TIMEOUT: Duration = Duration::from_secs(30);

/// What has to be known of a compile to scan it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) compiler: OsString,
    pub(crate) compiler_path: PathBuf,
    pub(crate) invocation: Arc<Invocation>,
    pub(crate) cwd: PathBuf,
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Directories and files that its options name.
    pub(crate) named: Vec<OsString>,
}

type Answer = Result<Parcel, WhyText>;

/// The scanner's thread, started when the first job needs it.
#[derive(Debug, Default)]
pub(crate) struct ScanService {
    orders: std::cell::OnceCell<mpsc::Sender<(Order, oneshot::Sender<Answer>)>>,
}

impl ScanService {
    /// Everything that a server needs to preprocess and compile.
    ///
    /// # Errors
    /// Why the compile has to be preprocessed here.
    pub(crate) async fn parcel(&self, order: Order) -> Answer {
        let orders = self.orders.get_or_init(start);
        let (sender, answer) = oneshot::channel();
        orders
            .send((order, sender))
            .map_err(|_| WhyText::NoAnswer)?;
        match timeout(SCAN_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(WhyText::NoAnswer),
        }
    }
}

/// The thread ends when nobody can order any more.
fn start() -> mpsc::Sender<(Order, oneshot::Sender<Answer>)> {
    let (sender, orders) = mpsc::channel::<(Order, oneshot::Sender<Answer>)>();
    std::thread::spawn(move || {
        let (mut scanning, mut packer) = (Scanning::new(), Packer::default());
        for (order, answer) in orders {
            // A job that is gone needs no answer.
            if !answer.is_closed() {
                let parcel = serve(&mut scanning, &mut packer, &order);
                drop(answer.send(parcel));
            }
        }
    });
    sender
}

fn serve(scanning: &mut Scanning, packer: &mut Packer, order: &Order) -> Answer {
    let found = scanning.scan(&Compile {
        compiler: &order.compiler,
        compiler_path: &order.compiler_path,
        invocation: &order.invocation,
        cwd: &order.cwd,
        env: &order.env,
    })?;
    why_text::check(&found, &order.named)?;
    Ok(packer.pack(&found, &order.cwd, &order.named)?)
}
