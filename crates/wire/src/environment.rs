//! The variables that a shim forwards with a job, each with its reason.
//!
//! Everything else stays with the shim, which runs preprocessor and local compiler itself.

/// Names forwarded when set. A name that ends in `*` stands for all that begin like it.
pub const FORWARDED: &[&str] = &[
    "CCC_OVERRIDE_OPTIONS",  // edits Clang's command line
    "COLORTERM",             // whether GCC writes links
    "COLUMNS",               // width of messages
    "COMPILER_PATH",         // where GCC finds its own programs
    "CPATH",                 // include search path
    "CPLUS_INCLUDE_PATH",    // include search path
    "C_INCLUDE_PATH",        // include search path
    "DEPENDENCIES_OUTPUT",   // GCC writes a dependency file there
    "DISTCC_*",              // settings; Portage lets no others through
    "FARCC_*",               // settings
    "GCC_COLORS",            // colours of GCC's messages
    "GCC_EXEC_PREFIX",       // where GCC finds its own programs
    "GCC_URLS",              // whether and how GCC writes links
    "HOME",                  // ~/.distcc/hosts
    "LANG",                  // language of messages
    "LANGUAGE",              // languages of messages
    "LC_ALL",                // language of messages
    "LC_CTYPE",              // quotes in messages
    "LC_MESSAGES",           // language of messages
    "LD_LIBRARY_PATH",       // where the compiler's programs find their libraries
    "LOCPATH",               // where languages are
    "OBJCPLUS_INCLUDE_PATH", // include search path
    "OBJC_INCLUDE_PATH",     // include search path
    "PATH",                  // where the compiler and its triple-prefixed twin are looked up
    "PWD",                   // GCC writes it into debug info where it names the cwd
    "SOURCE_DATE_EPOCH",     // __DATE__ and __TIME__
    "SSH_AUTH_SOCK",         // for @ssh hosts
    "SUNPRO_DEPENDENCIES",   // GCC writes a dependency file there
    "TERM",                  // colours of messages
    "TERM_URLS",             // whether and how GCC writes links
    "TMPDIR",                // where temporary files go
    "TZ",                    // __TIME__
];

/// Names that an agent is started with when set, by whoever starts it; as above. All others come
/// with each job: the agent must not keep what one build had (preloaded libraries, a jobserver,
/// a sandbox's settings).
pub const AGENT: &[&str] = &[
    "DISTCC_DIR",
    "FARCC_*",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
];

/// Whether a variable is forwarded with a job.
#[must_use]
pub fn is_forwarded(name: &[u8]) -> bool {
    is_among(FORWARDED, name)
}

/// Whether an agent is started with a variable.
#[must_use]
pub fn is_for_agent(name: &[u8]) -> bool {
    is_among(AGENT, name)
}

fn is_among(patterns: &[&str], name: &[u8]) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == pattern.as_bytes(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names_and_prefixes() {
        assert!(is_forwarded(b"PATH"));
        assert!(is_forwarded(b"DISTCC_HOSTS"));
        assert!(!is_forwarded(b"PATHX"));
        assert!(!is_forwarded(b"DISTCC"));
        assert!(!is_forwarded(b"LD_PRELOAD"));
        assert!(is_for_agent(b"FARCC_IDLE_SECONDS"));
        assert!(!is_for_agent(b"LD_PRELOAD"));
        assert!(!is_for_agent(b"DISTCC_HOSTS"));
    }

    #[test]
    fn lists_are_sorted() {
        assert!(FORWARDED.is_sorted());
        assert!(AGENT.is_sorted());
    }
}
