//! Byte strings that are looked for in every file, prepared once.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A byte string to look for.
pub(crate) struct Needle(LazyLock<Finder<'static>>);

impl Needle {
    /// Where it is found first.
    pub(crate) fn find(&self, src: &[u8]) -> Option<usize> {
        self.0.find(src)
    }

    /// What comes after each of its places.
    pub(crate) fn each_rest<'a>(&'a self, src: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let len = self.0.needle().len();
        self.0.find_iter(src).map(move |at| &src[at + len..])
    }

    pub(crate) fn is_in(&self, src: &[u8]) -> bool {
        self.find(src).is_some()
    }
}

macro_rules! needles {
    ($($name:ident = $text:literal,)*) => {
        $(
            #[doc = concat!("`", stringify!($text), "`")]
            pub(crate) static $name: Needle = Needle(LazyLock::new(|| Finder::new($text)));
        )*
    };
}

needles! {
    COMMENT = b"/*",
    LINE_COMMENT = b"//",
    RAW_STRING = b"R\"",
    DATE = b"__DATE__",
    TIME = b"__TIME",
    WHOLE_TIME = b"__TIME__",
    TIMESTAMP = b"__TIMESTAMP__",
    INC = b".inc",
    INCBIN = b".incbin",
    INCLUDE = b".include",
    PRAGMA = b"_Pragma",
}
