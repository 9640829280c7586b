//! Spellings as numbers: identifiers, header names and literals are each kept once and compared as integers.

use crate::hash;

/// A spelling. Numbers below [`FIXED`]'s length are known at compile time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) u32);

/// A table of spellings.
#[derive(Debug)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    hashes: Vec<u32>,
    /// Open addressing, a power of two long; a name's number plus one, 0 where free.
    slots: Vec<u32>,
}

macro_rules! fixed {
    ($($constant:ident = $text:literal,)*) => {
        /// Spellings with a meaning of their own, in the order of their numbers.
        pub(crate) const FIXED: &[&str] = &[$($text),*];
        fixed!(@ 0u32; $($constant,)*);
    };
    (@ $n:expr; $head:ident, $($rest:ident,)*) => {
        #[allow(dead_code, reason = "some names only matter by their range")]
        pub(crate) const $head: Name = Name($n);
        fixed!(@ $n + 1; $($rest,)*);
    };
    (@ $n:expr;) => {};
}

fixed! {
    EMPTY = "",
    DEFINED = "defined",
    HAS_INCLUDE = "__has_include",
    HAS_INCLUDE_NEXT = "__has_include_next",
    HAS_EMBED = "__has_embed",
    HAS_ATTRIBUTE = "__has_attribute",
    HAS_CPP_ATTRIBUTE = "__has_cpp_attribute",
    HAS_C_ATTRIBUTE = "__has_c_attribute",
    HAS_BUILTIN = "__has_builtin",
    HAS_FEATURE = "__has_feature",
    HAS_EXTENSION = "__has_extension",
    HAS_DECLSPEC_ATTRIBUTE = "__has_declspec_attribute",
    HAS_WARNING = "__has_warning",
    HAS_CONSTEXPR_BUILTIN = "__has_constexpr_builtin",
    IS_IDENTIFIER = "__is_identifier",
    IS_TARGET_ARCH = "__is_target_arch",
    IS_TARGET_VENDOR = "__is_target_vendor",
    IS_TARGET_OS = "__is_target_os",
    IS_TARGET_ENVIRONMENT = "__is_target_environment",
    BUILDING_MODULE = "__building_module",
    FILE = "__FILE__",
    FILE_NAME = "__FILE_NAME__",
    BASE_FILE = "__BASE_FILE__",
    LINE = "__LINE__",
    INCLUDE_LEVEL = "__INCLUDE_LEVEL__",
    COUNTER = "__COUNTER__",
    DATE = "__DATE__",
    TIME = "__TIME__",
    TIMESTAMP = "__TIMESTAMP__",
    PRAGMA = "_Pragma",
    PRAGMA_MS = "__pragma",
    VA_ARGS = "__VA_ARGS__",
    VA_OPT = "__VA_OPT__",
    TRUE = "true",
    FALSE = "false",
    IDENTIFIER = "__identifier",
    OPEN = "(",
    CLOSE = ")",
    COMMA = ",",
    QUESTION = "?",
    COLON = ":",
    NOT = "!",
    TILDE = "~",
    PLUS = "+",
    MINUS = "-",
    TIMES = "*",
    DIVIDE = "/",
    MODULO = "%",
    OR_OR = "||",
    AND_AND = "&&",
    OR = "|",
    XOR = "^",
    AND = "&",
    EQUAL = "==",
    UNEQUAL = "!=",
    LESS = "<",
    GREATER = ">",
    LESS_EQUAL = "<=",
    GREATER_EQUAL = ">=",
    LEFT = "<<",
    RIGHT = ">>",
    HASH = "#",
    PASTE = "##",
    WORD_AND = "and",
    WORD_BITAND = "bitand",
    WORD_BITOR = "bitor",
    WORD_COMPL = "compl",
    WORD_NOT = "not",
    WORD_NOT_EQ = "not_eq",
    WORD_OR = "or",
    WORD_XOR = "xor",
}

/// First name that asks the compiler something, and the one after the last.
const QUESTIONS: std::ops::Range<u32> = HAS_ATTRIBUTE.0..FILE.0;

/// Names from the first of this range to the one before its end are built into the compiler.
const BUILT_IN: std::ops::Range<u32> = HAS_INCLUDE.0..VA_ARGS.0;

impl Name {
    /// Whether this is `__has_attribute` or another operator that only the compiler can answer.
    pub(crate) fn is_question(self) -> bool {
        QUESTIONS.contains(&self.0)
    }

    /// Whether the compiler may define this name without listing it among its macros.
    pub(crate) fn is_built_in(self) -> bool {
        BUILT_IN.contains(&self.0)
    }
}

impl Names {
    pub(crate) fn new() -> Self {
        let mut it = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            hashes: Vec::new(),
            slots: vec![0; 1 << 12],
        };
        for text in FIXED {
            it.intern(text.as_bytes());
        }
        it
    }

    /// The number of a spelling, new or not.
    pub(crate) fn intern(&mut self, text: &[u8]) -> Name {
        let hash = hash::bytes32(text);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                0 => break,
                slot => {
                    let index = slot - 1;
                    if self.hashes[index as usize] == hash && self.text(Name(index)) == text {
                        return Name(index);
                    }
                }
            }
            at = (at + 1) & mask;
        }
        let index = u32::try_from(self.ends.len()).expect("memory is bounded far below this");
        self.bytes.extend_from_slice(text);
        self.ends
            .push(u32::try_from(self.bytes.len()).expect("memory is bounded far below this"));
        self.hashes.push(hash);
        self.slots[at] = index + 1;
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        Name(index)
    }

    /// The spelling of a name.
    pub(crate) fn text(&self, name: Name) -> &[u8] {
        let index = name.0 as usize;
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + self.ends.len() * 8 + self.slots.len() * 4
    }

    fn grow(&mut self) {
        let len = self.slots.len() * 2;
        let mask = len - 1;
        let mut slots = vec![0; len];
        for (index, hash) in self.hashes.iter().enumerate() {
            let mut at = *hash as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = u32::try_from(index).expect("counted in 32 bits when it was made") + 1;
        }
        self.slots = slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_names_have_their_numbers() {
        let mut names = Names::new();
        for (index, text) in FIXED.iter().enumerate() {
            assert_eq!(names.intern(text.as_bytes()).0 as usize, index, "{text}");
        }
        assert_eq!(names.text(VA_OPT), b"__VA_OPT__");
        assert!(HAS_BUILTIN.is_question() && !HAS_INCLUDE.is_question() && !FILE.is_question());
        assert!(PRAGMA.is_built_in() && !DEFINED.is_built_in() && !VA_ARGS.is_built_in());
    }

    #[test]
    fn spellings_survive_growth() {
        let mut names = Names::new();
        let many: Vec<Name> = (0..20_000)
            .map(|n: u32| names.intern(n.to_string().as_bytes()))
            .collect();
        for (n, name) in many.iter().enumerate() {
            assert_eq!(names.text(*name), n.to_string().as_bytes());
            assert_eq!(names.intern(n.to_string().as_bytes()), *name);
        }
    }
}
