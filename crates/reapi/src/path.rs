//! Names and paths that strangers send: what is one, and where it leads.
//!
//! A [`Name`] is one entry of a directory, a [`RelativePath`] leads from the input root to
//! something below it. Neither can hold anything that a file system would take for a way out:
//! `..`, an absolute path or a zero byte. Symbolic links may point anywhere; following them inside
//! the input root only is the sandbox's business.

use std::fmt;
use std::sync::Arc;

/// Longest name of a directory's entry, in bytes: what file systems hold.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest path and longest target of a symbolic link, in bytes: what the kernel takes, less the
/// final zero byte.
pub const PATH_BYTES_MAX: usize = 4095;

/// Why a text is no name or no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// An empty name.
    #[error("is empty")]
    Empty,
    /// More than a name.
    #[error("`{}` contains a `/`", .0.escape_debug())]
    Slash(String),
    /// `.` or `..` as a name.
    #[error("`{0}` is no name")]
    Dots(String),
    /// A zero byte.
    #[error("`{}` contains a zero byte", .0.escape_debug())]
    Zero(String),
    /// Starts with `/`.
    #[error("`{}` is absolute; it must be relative", .0.escape_debug())]
    Absolute(String),
    /// Leads out of the input root.
    #[error("`{}` leads out of the input root", .0.escape_debug())]
    Escapes(String),
    /// Over the limit.
    #[error("has {bytes} bytes, more than {bytes_max}")]
    TooLong {
        /// How many.
        bytes: usize,
        /// How many may be.
        bytes_max: usize,
    },
}

fn check_length(text: &str, bytes_max: usize) -> Result<(), PathProblem> {
    let bytes = text.len();
    if bytes > bytes_max {
        return Err(PathProblem::TooLong { bytes, bytes_max });
    }
    Ok(())
}

/// The name of one entry of a directory. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// Empty, `.`, `..`, with a `/` or a zero byte, or over [`NAME_BYTES_MAX`].
    pub fn new(text: &str) -> Result<Name, PathProblem> {
        check_length(text, NAME_BYTES_MAX)?;
        match text {
            "" => Err(PathProblem::Empty),
            "." | ".." => Err(PathProblem::Dots(text.into())),
            _ if text.contains('/') => Err(PathProblem::Slash(text.into())),
            _ if text.contains('\0') => Err(PathProblem::Zero(text.into())),
            _ => Ok(Name(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A way from the input root to something below it, or to the root itself: `""`, `a`, `a/b`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelativePath(Box<str>);

impl RelativePath {
    /// The input root itself.
    #[must_use]
    pub fn root() -> RelativePath {
        RelativePath::default()
    }

    /// Resolves what a client wrote. `.`, repeated and final slashes are tolerated, as is `..` as
    /// long as it does not lead out of the root.
    ///
    /// # Errors
    /// Absolute, leading out, with a zero byte, or with a name or as a whole too long.
    pub fn new(text: &str) -> Result<RelativePath, PathProblem> {
        RelativePath::root().join(text)
    }

    /// Resolves what a client wrote relative to this directory.
    ///
    /// # Errors
    /// As of [`RelativePath::new`].
    pub fn join(&self, text: &str) -> Result<RelativePath, PathProblem> {
        check_length(text, PATH_BYTES_MAX)?;
        if text.starts_with('/') {
            return Err(PathProblem::Absolute(text.into()));
        }
        if text.contains('\0') {
            return Err(PathProblem::Zero(text.into()));
        }
        let mut parts: Vec<&str> = self.parts().collect();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    let parent = parts.pop();
                    parent.ok_or_else(|| PathProblem::Escapes(text.into()))?;
                }
                _ => {
                    check_length(part, NAME_BYTES_MAX)?;
                    parts.push(part);
                }
            }
        }
        let path = parts.join("/");
        check_length(&path, PATH_BYTES_MAX)?;
        Ok(RelativePath(path.into()))
    }

    /// The text, without `.`, `..` and empty parts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names on the way, from the root down.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Whether this is the input root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the target of a symbolic link, which may lead anywhere.
pub(crate) fn check_target(target: &str) -> Result<(), PathProblem> {
    check_length(target, PATH_BYTES_MAX)?;
    if target.is_empty() {
        return Err(PathProblem::Empty);
    }
    if target.contains('\0') {
        return Err(PathProblem::Zero(target.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_part_of_a_path() {
        for good in ["a", "...", "ä", "a b", ".x", "a\n", "-"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "/", "a\0", "a/"] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        assert!(Name::new(&"a".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(Name::new(&"a".repeat(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn paths_stay_below_the_root() {
        let check = |base: &str, text: &str| {
            let base = RelativePath::new(base).unwrap();
            base.join(text).map(|path| path.as_str().to_owned()).ok()
        };
        assert_eq!(check("", "a/b").as_deref(), Some("a/b"));
        assert_eq!(check("", "./a//b/").as_deref(), Some("a/b"));
        assert_eq!(check("a/b", "../c").as_deref(), Some("a/c"));
        assert_eq!(check("a/b", "../..").as_deref(), Some(""));
        assert_eq!(check("a/b", "../../.."), None);
        assert_eq!(check("", ".."), None);
        assert_eq!(check("", "/a"), None);
        assert_eq!(check("", "a\0"), None);
        assert_eq!(check("", &"a/".repeat(PATH_BYTES_MAX)), None);
    }

    #[test]
    fn targets_may_lead_anywhere() {
        for good in ["..", "/a", "../../x", "."] {
            assert_eq!(check_target(good), Ok(()));
        }
        assert!(check_target("").is_err());
        assert!(check_target("a\0").is_err());
    }
}
