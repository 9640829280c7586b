//! Why the agent keeps a compile on this machine, beyond what the command line says (`cmdline::WhyLocal`).
//!
//! Codes are for scripts and never change; sentences are for people and fit after "runs locally: ".

use wire::event::LocalReason;

macro_rules! reasons {
    ($($variant:ident, $code:literal, $sentence:literal;)*) => {
        /// A reason of the agent's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Why {
            $(#[doc = $sentence] $variant,)*
        }

        impl Why {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub(crate) fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// One sentence for people.
            pub(crate) fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

reasons! {
    CommentsMissed, "comments-missed", "the host warned of what a comment may have turned off, and comments had been dropped; it is repeated here";
    CompilerRefused, "compiler-refused", "every host said a short while ago that it does not run this compiler";
    DirectoryUnknown, "directory-unknown", "the preprocessed source does not name its directory, which belongs into debug information";
    HostsCooling, "hosts-cooling-down", "every host failed a short while ago and is left alone for now";
    HostsFailed, "hosts-failed", "the hosts it was tried on failed";
    InstallFailed, "install-failed", "the result could not be put in place";
    Internal, "internal", "memory or files for the job are exhausted";
    Listed, "localhost-listed", "the host list names this machine, and it was the best choice";
    MissingInput, "missing-input", "a worker's compiler did not find a file that it may find here";
    NativeUnknown, "native-unknown", "the compiler did not say what `native` means on this machine";
    NoHosts, "no-hosts", "no host can be used";
    OtherTree, "other-tree", "the agent sees other files in the job's directory";
    HeaderFailed, "header-failed", "the precompiled header could not be made on the host; what then becomes of an earlier one the compiler here decides";
    PrecompiledFailed, "precompiled-failed", "the compile failed on the host with a precompiled header, which may be of no use there; it is repeated here";
    PreprocessorFailed, "preprocessor-failed", "the preprocessor failed, so the compile will fail here too and say why";
    NotNative, "not-native", "no host that speaks the Remote Execution API is left, and others cannot run it";
    RemoteFailed, "remote-failed", "the compile failed on the host and is repeated here";
    SourceReadOnce, "source-read-once", "the source is a pipe or a device, which can be read only once";
    SourceUnreadable, "source-unreadable", "the preprocessed source could not be read";
    TextMessages, "text-messages", "the compiler spoke about preprocessed text, which it words otherwise than about the source";
    TerminalDiffers, "terminal-differs", "the compiler's messages may look different on this terminal";
    TooLarge, "too-large", "the preprocessed source is larger than a server accepts";
    UnexpectedRead, "unexpected-read", "a worker's compiler read a file that the scan had not found; it is repeated here";
}

impl From<Why> for LocalReason {
    fn from(why: Why) -> Self {
        Self {
            code: why.code().to_owned(),
            sentence: why.sentence().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_differ_from_the_command_lines() {
        let mut codes: Vec<_> = Why::ALL.iter().map(|why| why.code()).collect();
        codes.extend(cmdline::WhyLocal::ALL.iter().map(|why| why.code()));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        for why in Why::ALL {
            assert!(!why.sentence().ends_with('.'));
        }
    }
}
