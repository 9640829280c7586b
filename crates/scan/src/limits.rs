//! Every bound of the scanner, with its unit and its reason.
//!
//! Hostile or broken sources must cost bounded time and memory: a scan that meets one of these limits stops with a
//! doubt and the compile is preprocessed by the compiler, which has limits of its own.

/// Nesting of includes. GCC stops at 200 (`-fmax-include-depth`), Clang too.
pub const INCLUDE_DEPTH_MAX: u32 = 200;

/// Files entered in one scan, counting every time that a file is entered again: some 0.2 s of work. The largest real
/// units seen, with files that include themselves for every number of a range, enter some ten thousand.
pub const INCLUDES_MAX: u32 = 100_000;

/// Directives looked at in one scan. The largest real units seen need some 2 million.
pub const DIRECTIVES_MAX: u64 = 30_000_000;

/// Tokens produced by macro expansion in one directive; bounds its memory, at 12 bytes each.
pub const LINE_TOKENS_MAX: u64 = 2_000_000;

/// Tokens produced by macro expansion in one scan.
pub const EXPANSION_TOKENS_MAX: u64 = 60_000_000;

/// Nesting of macro calls inside macro arguments, and of parentheses in a condition; bounds the stack.
pub const NESTING_MAX: u32 = 200;

/// Definitions that a macro is remembered to possibly have after conditions with unknown values.
pub const ALTERNATIVES_MAX: usize = 8;

/// Ways that one computed include is tried when macros in it have several possible definitions.
pub const COMPUTED_WAYS_MAX: usize = 16;

/// Conditions of unknown value that are listed in an answer.
pub const UNKNOWN_NOTED_MAX: usize = 1000;

/// Bytes of one source file. Larger ones (generated tables) are a doubt.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// Bytes kept between scans, roughly; everything is forgotten when there are more.
pub const MEMORY_BYTES_MAX: usize = 224 << 20;

/// Macros read and changed that are listed in one scan, at 12 bytes each: the largest real units need some 200,000. A
/// scan that needs more remembers no headers from there on.
pub const LOG_EVENTS_MAX: usize = 4_000_000;

/// Places looked at and files used that are listed in one scan, at some 16 bytes each. The answer of a scan that needs
/// more is not remembered.
pub const TRAIL_STEPS_MAX: usize = 2_000_000;

/// Bytes of remembered visits of headers. Beyond it those go that were not of use lately.
pub const VISITS_BYTES_MAX: usize = 32 << 20;

/// Visits remembered of one header: for different macros, or found in different ways.
pub const VISITS_PER_HEADER_MAX: usize = 8;

/// Visits of one header that are remembered whether or not they are of use.
pub const VISITS_MADE_FREELY: u32 = 8;

/// Of visits that are likely to be of no use, every so many is remembered all the same.
pub const VISITS_LEFT_OUT: u32 = 16;

/// Directives and includes that a visit must have taken to be remembered: less is followed as fast as compared.
pub const VISIT_STEPS_MIN: u64 = 24;

/// Names looked for in vain in an unchanged directory before it is read.
pub const VAIN_LOOKS: u32 = 24;

/// Names in a directory of which use is made, at 8 bytes each.
pub const LISTED_NAMES_MAX: usize = 4096;

const _: () = assert!(
    FILE_BYTES_MAX < u32::MAX as u64,
    "offsets into a file are 32 bits wide"
);
