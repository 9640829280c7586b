//! How much of everything, and why.

/// Most arguments of a command. The kernel's limit is on their bytes; this is far above any
/// compile or link without a response file.
pub(crate) const ARGUMENTS_MAX: usize = 200_000;

/// Most environment variables of a command. Builds have about a hundred.
pub(crate) const VARIABLES_MAX: usize = 10_000;

/// Most outputs of a command. Code generators are known to have thousands.
pub(crate) const OUTPUTS_MAX: usize = 100_000;

/// Longest encoded directory, in bytes: some hundred thousand entries.
pub const DIRECTORY_BYTES_MAX: u64 = 16 << 20;

/// Longest encoded tree of an output directory, in bytes: some six hundred thousand entries.
pub const TREE_BYTES_MAX: u64 = 64 << 20;

/// Most fields of a message of a call. A digest has about 70 bytes, so that a message of the
/// greatest length holds some 60,000 of them.
pub(crate) const MESSAGE_FIELDS_MAX: usize = 65_536;

/// Longest message of a call, in bytes: what gRPC libraries take if nobody tells them otherwise,
/// so that no client sends more and none is surprised by our answers.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// What a batch may hold, in bytes of blobs: a message less room for what is around them.
pub(crate) const BATCH_BYTES_MAX: usize = MESSAGE_BYTES_MAX - (64 << 10);

/// Calls that one connection may have open. An execution is open while it waits and runs, and
/// Bazel puts a hundred on one connection.
pub(crate) const STREAMS_MAX: u32 = 256;

/// Bytes that a client may send in one call before it must wait for us to read, and on a
/// connection. The latter is the sum of the former: otherwise calls that wait for their turn
/// could keep the others from their data for ever.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 128 << 10;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MAX;

/// Longest headers of a call, in bytes. Real ones have some 500; clients add identifications.
pub(crate) const HEADERS_BYTES_MAX: u32 = 32 << 10;

/// How often a silent client is asked whether it is there, and how long it has to answer, in
/// seconds: a job whose client's machine vanished is killed within the sum.
pub(crate) const PING_INTERVAL_SECS: u64 = 20;
pub(crate) const PING_TIMEOUT_SECS: u64 = 20;

/// How long a new connection may be without a call, and one that had some, in seconds. gRPC
/// clients connect again by themselves when they need to.
pub(crate) const FIRST_CALL_SECS: u64 = 120;
pub(crate) const IDLE_SECS: u64 = 3600;

/// How often idleness is looked at, in seconds.
pub(crate) const IDLE_CHECK_SECS: u64 = 30;

/// Longest message of calls that carry no blobs and no lists of digests, in bytes.
pub(crate) const SMALL_MESSAGE_BYTES_MAX: usize = 256 << 10;
