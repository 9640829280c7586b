//! What a compiler says of itself: its macros, where it looks for headers, which questions it answers.
//!
//! Nothing here runs a compiler. [`MACROS`] and [`SEARCH`] say how to ask one (the caller adds the options of
//! [`crate::Options::told`] and the language, runs it and may keep the output for as long as the compiler and those
//! options are the same), and [`Toolchain::new`] reads the answers. [`crate::AtOnce`] puts all questions into one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::names::{FIXED, Name};
use crate::parsed::Target;
use crate::value;

/// Words that make a compiler print its macros on standard output. Headers are kept out of it, since GCC and glibc
/// have one that is always included.
pub const MACROS: &[&str] = &["-E", "-dM", "-nostdinc", "-"];

/// Words that make a compiler print its search path on standard error, in the C locale, and on standard output the
/// names of [`search_input`] that it knows.
pub const SEARCH: &[&str] = &["-E", "-P", "-v", "-"];

/// Compilers differ in a few rules of searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// GCC.
    Gcc,
    /// Clang.
    Clang,
}

/// A compiler with given options and language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    pub(crate) family: Family,
    pub(crate) macros: Vec<u8>,
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) built_ins: Vec<Vec<u8>>,
    /// Value of `__cplusplus`.
    pub(crate) cxx: Option<u64>,
    /// Value of `__STDC_VERSION__`, or 0.
    pub(crate) c: u64,
    /// A strict `-std=`.
    pub(crate) strict: bool,
    /// Whether the compile is for a hosted environment.
    pub(crate) hosted: bool,
}

/// Why a compiler's answers cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAnswer {
    /// No list of directories in its verbose output.
    NoSearchPath,
    /// No macros.
    NoMacros,
}

/// What the compiler is given on standard input with [`SEARCH`]: names that it may know without listing them.
#[must_use]
pub fn search_input() -> Vec<u8> {
    let mut text = String::new();
    for (name, _) in built_in_names() {
        text.push_str(&format!("#ifdef {name}\n@ \"{name}\"\n#endif\n"));
    }
    text.into_bytes()
}

pub(crate) fn built_in_names() -> impl Iterator<Item = (&'static str, Name)> {
    (0u32..)
        .zip(FIXED)
        .map(|(index, name)| (*name, Name(index)))
        .filter(|(_, name)| name.is_built_in())
}

impl Toolchain {
    /// Reads what a compiler printed: `macros` on standard output with [`MACROS`], `built_ins` and `search` on
    /// standard output and standard error with [`SEARCH`].
    ///
    /// # Errors
    ///
    /// When the output has no macros or no search path in it.
    pub fn new(macros: &[u8], built_ins: &[u8], search: &[u8]) -> Result<Self, BadAnswer> {
        let mut known = Vec::new();
        for line in built_ins.split(|&b| b == b'\n') {
            if let Some(name) = line
                .strip_prefix(b"@ \"")
                .and_then(|rest| rest.strip_suffix(b"\""))
            {
                known.push(name.to_vec());
            }
        }
        Self::of_parts(macros.to_vec(), known, search_path(search))
    }

    /// A compiler that has not been asked: without macros, and it looks nowhere for headers. For sources that include
    /// nothing, in compiles with `-nostdinc`.
    #[must_use]
    pub fn without_answers() -> Self {
        Self {
            family: Family::Gcc,
            macros: Vec::new(),
            dirs: Vec::new(),
            built_ins: Vec::new(),
            cxx: None,
            c: 0,
            strict: false,
            hosted: false,
        }
    }

    /// From what is macros alone, the names that are known besides, and the search path.
    pub(crate) fn of_parts(
        macros: Vec<u8>,
        built_ins: Vec<Vec<u8>>,
        dirs: Option<Vec<PathBuf>>,
    ) -> Result<Self, BadAnswer> {
        let find = |name: &str| memchr::memmem::find(&macros, name.as_bytes());
        if find("#define ").is_none() {
            return Err(BadAnswer::NoMacros);
        }
        let family = match find("#define __clang__ ") {
            Some(_) => Family::Clang,
            None => Family::Gcc,
        };
        let value = |name: &str| {
            let start = find(&format!("#define {name} "))?;
            let line = macros[start..].split(|&b| b == b'\n').next()?;
            value::number(line.rsplit(|&b| b == b' ').next()?).map(|int| int.bits)
        };
        Ok(Self {
            family,
            dirs: dirs.ok_or(BadAnswer::NoSearchPath)?,
            built_ins,
            cxx: value("__cplusplus"),
            c: value("__STDC_VERSION__").unwrap_or(0),
            strict: value("__STRICT_ANSI__").is_some(),
            hosted: value("__STDC_HOSTED__") == Some(1),
            macros,
        })
    }

    /// Whether both say the same, in whatever order they list macros.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let sorted = |macros: &[u8]| {
            let mut lines: Vec<_> = macros.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort_unstable();
            lines.join(&b'\n')
        };
        let ordered = |it: &Self| Self {
            macros: sorted(&it.macros),
            ..it.clone()
        };
        ordered(self) == ordered(other)
    }

    /// Where the compiler looks for headers by itself, as it says.
    #[must_use]
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Whose rules of searching hold.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }
}

/// The directories of a verbose output; `None` if it has no list of them.
pub(crate) fn search_path(verbose: &[u8]) -> Option<Vec<PathBuf>> {
    let mut inside = false;
    let mut seen = false;
    let mut dirs = Vec::new();
    for line in verbose.split(|&b| b == b'\n') {
        if line.starts_with(b"#include <...>") {
            (inside, seen) = (true, true);
        } else if line.starts_with(b"End of search list") {
            inside = false;
        } else if inside
            && !line.ends_with(b" (framework directory)")
            && let Some(dir) = line.strip_prefix(b" ")
        {
            dirs.push(PathBuf::from(OsString::from_vec(dir.to_vec())));
        }
    }
    seen.then_some(dirs)
}

/// A question that only the compiler can answer, as in `__has_builtin(__builtin_expect)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// `__has_builtin`.
    pub operator: String,
    /// `__builtin_expect`.
    pub operand: String,
}

/// Bits of an answer: attributes are dated like 202311.
pub(crate) const ANSWER_BITS: u32 = 20;

/// What the compiler is given on standard input, with `-E -P -`, to answer questions. [`answers`] reads the output.
#[must_use]
pub fn questions_input(questions: &[Question]) -> Vec<u8> {
    let mut text = String::new();
    for (index, Question { operator, operand }) in questions.iter().enumerate() {
        for bit in 0..ANSWER_BITS {
            text.push_str(&format!(
                "#if ({operator}({operand}) >> {bit}) & 1\n@ {index} {bit}\n#endif\n"
            ));
        }
    }
    text.into_bytes()
}

/// The answers to `count` questions, in their order. Only to be used when the compiler succeeded.
#[must_use]
pub fn answers(count: usize, output: &[u8]) -> Vec<u64> {
    let mut answers = vec![0; count];
    for line in String::from_utf8_lossy(output).lines() {
        let Some(rest) = line.strip_prefix("@ ") else {
            continue;
        };
        let mut numbers = rest.split(' ').map(str::parse::<usize>);
        if let (Some(Ok(index)), Some(Ok(bit))) = (numbers.next(), numbers.next())
            && let Some(answer) = answers.get_mut(index)
        {
            *answer |= 1u64 << bit.min(63);
        }
    }
    answers
}

/// Macros that `#pragma GCC target` can make a compiler define or undefine, by prefix. Sorted.
pub(crate) const TARGET_PREFIXES: &[&str] = &[
    "__3dNOW",
    "__ABM__",
    "__ADX__",
    "__AES__",
    "__ALTIVEC__",
    "__AMX",
    "__APX",
    "__ARM_FEATURE_",
    "__ARM_NEON",
    "__AVX",
    "__BMI",
    "__CLDEMOTE__",
    "__CLFLUSHOPT__",
    "__CLWB__",
    "__CLZERO__",
    "__CMPCCXADD__",
    "__CRC32__",
    "__CRYPTO__",
    "__ENQCMD__",
    "__F16C__",
    "__FMA",
    "__FSGSBASE__",
    "__FXSR__",
    "__GFNI__",
    "__HRESET__",
    "__KL__",
    "__LWP__",
    "__LZCNT__",
    "__MMX",
    "__MOVDIR",
    "__MWAIT",
    "__PCLMUL__",
    "__PCONFIG__",
    "__PKU__",
    "__POPCNT__",
    "__PREFETCH",
    "__PRFCHW__",
    "__PTWRITE__",
    "__RDPID__",
    "__RDRND__",
    "__RDSEED__",
    "__RTM__",
    "__SERIALIZE__",
    "__SGX__",
    "__SHA",
    "__SHSTK__",
    "__SM3__",
    "__SM4__",
    "__SSE",
    "__SSSE3__",
    "__TBM__",
    "__TSXLDTRK__",
    "__UINTR__",
    "__VAES__",
    "__VEC__",
    "__VPCLMULQDQ__",
    "__VSX__",
    "__WAITPKG__",
    "__WBNOINVD__",
    "__WIDEKL__",
    "__XOP__",
    "__XSAVE",
];

/// Those of them that need no other registers than the general ones, by prefix. Sorted.
const GENERAL_PREFIXES: &[&str] = &[
    "__ABM__",
    "__ADX__",
    "__BMI",
    "__CLDEMOTE__",
    "__CLFLUSHOPT__",
    "__CLWB__",
    "__CLZERO__",
    "__CRC32__",
    "__ENQCMD__",
    "__FSGSBASE__",
    "__FXSR__",
    "__HRESET__",
    "__LWP__",
    "__LZCNT__",
    "__MOVDIR",
    "__MWAIT",
    "__PCONFIG__",
    "__PKU__",
    "__POPCNT__",
    "__PRFCHW__",
    "__PTWRITE__",
    "__RDPID__",
    "__RDRND__",
    "__RDSEED__",
    "__RTM__",
    "__SERIALIZE__",
    "__SGX__",
    "__SHSTK__",
    "__TBM__",
    "__TSXLDTRK__",
    "__UINTR__",
    "__WAITPKG__",
    "__WBNOINVD__",
    "__XSAVE",
];

/// Targets within which GCC's own headers for x86 (`immintrin.h`) ask what else there is, with the macros, by prefix, that
/// they leave as they were.
pub(crate) const TARGETS: &[(&str, &[&str])] = &[
    ("general-regs-only", GENERAL_PREFIXES),
    ("sse4.1", &["__SSE4_2__"]),
    ("avx512vl", &["__AVX512CD__"]),
    ("avx512fp16", &["__AVX512VL__"]),
];

/// What a pragma `GCC target ...` asks for.
pub(crate) fn target(pragma: &[u8]) -> Target {
    let words: Vec<u8> = pragma
        .iter()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    let name = words
        .strip_prefix(b"GCCtarget(\"")
        .and_then(|words| words.strip_suffix(b"\")"));
    let mut known = (0u8..).zip(TARGETS);
    known
        .find(|(_, (target, _))| Some(target.as_bytes()) == name)
        .map_or(Target::Other, |(index, _)| Target::Known(index))
}

/// The same for `#pragma GCC optimize`.
pub(crate) const OPTIMIZE_PREFIXES: &[&str] = &[
    "__FAST_MATH__",
    "__FINITE_MATH_ONLY__",
    "__FP_FAST",
    "__GCC_IEC_559",
    "__NO_INLINE__",
    "__NO_MATH_ERRNO__",
    "__NO_SIGNED_ZEROS__",
    "__NO_TRAPPING_MATH__",
    "__OPTIMIZE",
    "__PIC__",
    "__PIE__",
    "__RECIPROCAL_MATH__",
    "__ROUNDING_MATH__",
    "__SSP",
    "__SUPPORT_SNAN__",
    "__pic__",
    "__pie__",
];

/// Whether a name starts with one of the prefixes.
pub(crate) fn is_changed_by(prefixes: &[&str], name: &[u8]) -> bool {
    name.starts_with(b"__")
        && prefixes
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_compiler_are_read() {
        let search = b"ignoring x\n#include \"...\" search starts here:\n#include <...> search starts here:\n /usr/lib/x\n /usr/include\nEnd of search list.\n";
        let it =
            Toolchain::new(b"#define __GNUC__ 12\n", b"@ \"__has_builtin\"\n", search).unwrap();
        assert_eq!(it.family(), Family::Gcc);
        assert_eq!(
            it.dirs,
            [PathBuf::from("/usr/lib/x"), PathBuf::from("/usr/include")]
        );
        assert_eq!(it.built_ins, [b"__has_builtin"]);
        assert_eq!(
            Toolchain::new(b"", b"", search).unwrap_err(),
            BadAnswer::NoMacros
        );
        assert_eq!(
            Toolchain::new(b"#define A 1\n", b"", b"nothing").unwrap_err(),
            BadAnswer::NoSearchPath
        );
    }

    #[test]
    fn numbers_are_answered_bit_by_bit() {
        assert_eq!(
            answers(3, b"@ 0 0\n\n@ 2 1\n@ 2 3\nnoise\n@ 9 1\n"),
            [1, 0, 10]
        );
    }

    #[test]
    fn target_prefixes_are_sorted() {
        assert!(TARGET_PREFIXES.is_sorted() && OPTIMIZE_PREFIXES.is_sorted());
        let is_target = |name: &&str| is_changed_by(TARGET_PREFIXES, name.as_bytes());
        assert!(GENERAL_PREFIXES.is_sorted());
        assert!(TARGETS.iter().all(|(_, kept)| kept.iter().all(is_target)));
    }
}
