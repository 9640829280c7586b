//! The few signals that farcc's small programs handle.

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// Signals by which a user or `make` ends a compile.
const ENDING: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Longer times are cut: 68 years.
const SECONDS_MAX: i32 = i32::MAX;

static CHILD_PID: AtomicI32 = AtomicI32::new(0);

/// Interrupts blocking system calls of the thread that made it with `EINTR` once its time is
/// over, again every 10 ms, until dropped: a call that begins just after the first signal is
/// interrupted too.
#[derive(Debug)]
pub struct Alarm {
    timer: libc::timer_t,
    end: Instant,
}

impl Alarm {
    /// Starts a timer for the calling thread.
    ///
    /// # Errors
    /// What `sigaction`, `timer_create` or `timer_settime` say.
    pub fn after(delay: Duration) -> io::Result<Self> {
        extern "C" fn ring(_: i32) {}
        set_handler(libc::SIGALRM, ring as *const () as libc::sighandler_t)?;
        let end = Instant::now() + delay;
        let alarm = Self {
            timer: thread_timer(libc::SIGALRM)?,
            end,
        };
        let time = libc::itimerspec {
            it_value: timespec(delay.max(Duration::from_millis(1))),
            it_interval: timespec(Duration::from_millis(10)),
        };
        // SAFETY: the timer was made above; `time` is valid; the old value is not asked for.
        check(unsafe {
            libc::timer_settime(alarm.timer, 0, &raw const time, std::ptr::null_mut())
        })?;
        Ok(alarm)
    }

    /// Whether the time is over.
    #[must_use]
    pub fn has_rung(&self) -> bool {
        Instant::now() >= self.end
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the timer was made by `thread_timer` and is deleted once.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// A timer that sends a signal to the calling thread only.
fn thread_timer(signal: i32) -> io::Result<libc::timer_t> {
    // SAFETY: `sigevent` is plain data for which zero is a valid value.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = signal;
    event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_nonzero().get();
    let mut timer = std::ptr::null_mut();
    // JUSTIFICATION: no safe wrapper offers timers per thread.
    // SAFETY: both pointers are to valid values of this frame.
    check(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) })?;
    Ok(timer)
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        // How wide this is depends on the C library.
        tv_sec: duration.as_secs().try_into().unwrap_or(SECONDS_MAX.into()),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// While it lives, a signal that ends this process first kills the given child.
#[derive(Debug)]
pub struct KillChildFirst(());

impl KillChildFirst {
    /// Arms the handlers. Signals that are ignored stay ignored, as `nohup` expects.
    ///
    /// # Errors
    /// What `sigaction` says.
    pub fn arm(pid: u32) -> io::Result<Self> {
        extern "C" fn end(signal: i32) {
            let pid = CHILD_PID.load(Ordering::Relaxed);
            if pid > 0 {
                // SAFETY: `kill` is async-signal-safe; the pid is of a child not yet waited for.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            // SAFETY: `signal` and `raise` are async-signal-safe.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // SAFETY: as above. The signal is delivered when the handler returns.
            unsafe { libc::raise(signal) };
        }
        CHILD_PID.store(i32::try_from(pid).unwrap_or(0), Ordering::Relaxed);
        for signal in ENDING {
            if !is_ignored(signal)? {
                set_handler(signal, end as *const () as libc::sighandler_t)?;
            }
        }
        Ok(Self(()))
    }
}

impl Drop for KillChildFirst {
    fn drop(&mut self) {
        CHILD_PID.store(0, Ordering::Relaxed);
        for signal in ENDING {
            if matches!(is_ignored(signal), Ok(false)) {
                drop(set_handler(signal, libc::SIG_DFL));
            }
        }
    }
}

/// Lets this process wait for its children even if whoever started it ignores `SIGCHLD`, in which
/// case the kernel would forget them as they end.
///
/// # Errors
/// What `sigaction` says.
pub fn keep_children_waitable() -> io::Result<()> {
    set_handler(libc::SIGCHLD, libc::SIG_DFL)
}

/// While it lives, the ending signals wait: what is being written gets whole.
#[derive(Debug)]
pub struct Hold(libc::sigset_t);

impl Hold {
    /// Blocks `SIGINT`, `SIGTERM` and `SIGHUP` for this thread.
    #[must_use]
    pub fn new() -> Self {
        let mut block = empty_set();
        for signal in ENDING {
            // SAFETY: `block` is an initialised set and the signal number is valid.
            unsafe { libc::sigaddset(&raw mut block, signal) };
        }
        let mut before = empty_set();
        // SAFETY: both pointers are to valid sets.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const block, &raw mut before) };
        Self(before)
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by the kernel in `new`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}

/// While it lives, a write beyond the limit of a file's size (`ulimit -f`) is an error of that write
/// rather than the end of this process.
#[derive(Debug)]
pub struct FileSizeIsAnError {
    restore: bool,
}

impl FileSizeIsAnError {
    /// Ignores `SIGXFSZ`.
    ///
    /// # Errors
    /// What `sigaction` says.
    pub fn new() -> io::Result<Self> {
        let restore = !is_ignored(libc::SIGXFSZ)?;
        set_handler(libc::SIGXFSZ, libc::SIG_IGN)?;
        Ok(Self { restore })
    }
}

impl Drop for FileSizeIsAnError {
    fn drop(&mut self) {
        if self.restore {
            // The compiler that this process may become would not know what to do with the error.
            drop(set_handler(libc::SIGXFSZ, libc::SIG_DFL));
        }
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    unsafe { set.assume_init() }
}

fn set_handler(signal: i32, handler: libc::sighandler_t) -> io::Result<()> {
    let action = libc::sigaction {
        sa_sigaction: handler,
        sa_mask: empty_set(),
        // Without SA_RESTART, so that blocking calls return.
        sa_flags: 0,
        sa_restorer: None,
    };
    // JUSTIFICATION: no safe wrapper installs handlers.
    // SAFETY: the action is fully initialised; the handlers above only call async-signal-safe
    // functions and touch atomics.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null new action `sigaction` only writes the current one.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: written by the successful call above.
    Ok(unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

fn check(result: i32) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
