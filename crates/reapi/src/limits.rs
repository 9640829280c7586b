//! How much of everything, and why.

/// Most arguments of a command. The kernel's limit is on their bytes; this is far above any
/// compile or link without a response file.
pub(crate) const ARGUMENTS_MAX: usize = 200_000;

/// Most environment variables of a command. Builds have about a hundred.
pub(crate) const VARIABLES_MAX: usize = 10_000;

/// Most outputs of a command. Code generators are known to have thousands.
pub(crate) const OUTPUTS_MAX: usize = 100_000;

/// Longest encoded action, in bytes: two digests, properties and a salt.
pub(crate) const ACTION_BYTES_MAX: u64 = 256 << 10;

/// Longest encoded command, in bytes: the kernel takes some 2 MiB of arguments and environment.
pub(crate) const COMMAND_BYTES_MAX: u64 = 8 << 20;

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

/// Bytes of an answer that are handed to HTTP/2 at once, and that it holds for a call until the
/// client takes them.
pub(crate) const ANSWER_PIECE_BYTES: usize = 64 << 10;
pub(crate) const SEND_BUFFER_BYTES: usize = 128 << 10;

/// Bytes that the other side may put into one frame of HTTP/2, either way. Each frame of an object was seen to take
/// four system calls, and the usual 16 KiB make many of them. Not more, because nothing else gets through while a frame
/// is on its way.
pub(crate) const FRAME_BYTES: u32 = 64 << 10;

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

/// Calls with messages of full length that one connection may have at work; the others wait.
/// With [`STREAM_CALLS_MAX`] it bounds what a client can make us hold.
pub(crate) const BATCH_CALLS_MAX: usize = 8;

/// Streams of blobs, either way, that one connection may have at work; the others wait.
pub(crate) const STREAM_CALLS_MAX: usize = 8;

/// Bytes of outputs that may be on their way inside of execution results of one connection.
/// Inlining is a favour: when this is used up, clients fetch the blobs.
pub(crate) const CONNECTION_INLINE_BYTES_MAX: usize = 16 << 20;

/// Bytes of outputs inside of one result.
pub(crate) const INLINE_BYTES_MAX: usize = 1 << 20;

/// How long a client may pause in the middle of what it sends, in seconds.
pub(crate) const REQUEST_PAUSE_SECS: u64 = 60;

/// Bytes of a blob that are read or written at once; smaller pieces are not worth another
/// thread's time.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
pub(crate) const INLINE_WORK_BYTES_MAX: usize = 64 << 10;

/// What the blobs of one batch may become when they are unpacked, in bytes.
pub(crate) const BATCH_UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// Shortest blob that is worth compressing, in bytes.
pub(crate) const COMPRESS_BYTES_MIN: usize = 1 << 10;

/// Uploads that broke off and wait to be resumed: how many, and how long, in seconds.
pub(crate) const PARKED_UPLOADS_MAX: usize = 64;
pub(crate) const PARKED_UPLOAD_SECS: u64 = 120;

/// Directories of one tree that are walked. Bigger ones are refused.
pub(crate) const TREE_DIRECTORIES_MAX: usize = 500_000;

/// Directories in one message of a tree, if the client does not say, and their bytes.
pub(crate) const TREE_PAGE_MAX: usize = 1000;
pub(crate) const TREE_PAGE_BYTES_MAX: usize = 1 << 20;

/// How long an execution goes on without anybody waiting for it, in milliseconds: after its
/// client gave the call up, which some do to ask again at once; and after its connection broke,
/// when the client has to connect first.
pub(crate) const GRACE_AFTER_RESET_MS: u64 = 1_000;
pub(crate) const GRACE_AFTER_DISCONNECT_MS: u64 = 15_000;

/// How long a finished execution can be asked for, in seconds, and how many are kept for that.
/// As long its outputs cannot be evicted.
pub(crate) const FINISHED_SECS: u64 = 30;
pub(crate) const FINISHED_MAX: usize = 1024;

/// How long an execution waits for blobs that its own client is still sending, in seconds.
pub(crate) const UPLOAD_WAIT_SECS: u64 = 120;

/// Longest text that a client says about itself and that is kept, in bytes.
pub(crate) const CLIENT_TEXT_BYTES_MAX: usize = 256;

/// Least time between two messages of a watched status, and most, in milliseconds.
pub(crate) const STATUS_INTERVAL_MIN_MS: u64 = 100;
pub(crate) const STATUS_INTERVAL_MAX_MS: u64 = 5_000;

const _: () = assert!(BATCH_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () = assert!(INLINE_BYTES_MAX < MESSAGE_BYTES_MAX / 2);
const _: () = assert!(CONNECTION_INLINE_BYTES_MAX >= INLINE_BYTES_MAX);
const _: () = assert!(TREE_PAGE_BYTES_MAX < MESSAGE_BYTES_MAX / 2);
