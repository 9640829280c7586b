//! What makes a compiler's messages the same as here: locale, catalogs of messages, character sets.
//!
//! GCC and the binutils ask the C library for two categories: `LC_CTYPE` (which decides whether quotes are `'` or `‘`)
//! and `LC_MESSAGES` (the language). Both come from `LC_ALL`, else the variable of the category, else `LANG`. In a root
//! they are named by the category's variable alone, and not at all where they are `C`, do not exist or make no
//! difference: then users with different settings share the results of their compiles.
//!
//! The C library looks for a locale in an archive first, which may hold hundreds of them, then in directories. A root
//! gets a directory in either case, with the same bytes. The places are those of glibc as distributions build it; a
//! locale that is found nowhere there counts as missing, as it would for the compiler.

mod archive;
mod catalogs;
mod charset;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::places::Places;
use super::variable;
use super::why::NoToolchain;

pub(super) use charset::modules;

/// Where locales are.
const LOCALES: &str = "/usr/lib/locale";

/// All of them in one file.
const ARCHIVE: &str = "/usr/lib/locale/locale-archive";

/// Other names of locales.
const ALIASES: &str = "/usr/share/locale/locale.alias";

/// Largest category that is read. The largest there is has 2.5 MB.
const CATEGORY_BYTES_MAX: u64 = 16 << 20;

/// A category, by its variable and by the file that holds it.
#[derive(Debug, Clone, Copy)]
struct Category {
    variable: &'static str,
    file: &'static str,
    /// Its number in the archive (`locale.h` of glibc).
    number: usize,
}

const CTYPE: Category = Category {
    variable: "LC_CTYPE",
    file: "LC_CTYPE",
    number: 0,
};

const MESSAGES: Category = Category {
    variable: "LC_MESSAGES",
    file: "LC_MESSAGES/SYS_LC_MESSAGES",
    number: 5,
};

/// What a compile's environment says about its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locale {
    /// Variables for the compile in a root.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Character sets need modules of the C library.
    pub(super) modules: bool,
}

/// Puts the locale of a compile into its places. `programs` are those that speak.
///
/// # Errors
/// A file that is there cannot be read.
pub(super) fn collect(
    env: &[(OsString, OsString)],
    programs: &[PathBuf],
    places: &mut Places,
) -> Result<Locale, NoToolchain> {
    let mut it = Locale {
        env: Vec::new(),
        modules: false,
    };
    let mut locale = |category: Category, places: &mut Places| {
        let name = setting(env, category)?;
        match put(&name, category, places) {
            Ok(true) => {
                it.env.push((category.variable.into(), name.clone()));
                Some(Ok(name))
            }
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    };
    let ctype = locale(CTYPE, places).transpose()?;
    let messages = locale(MESSAGES, places).transpose()?;
    if let Some(ctype) = ctype {
        it.modules = charset::of_locale(&ctype);
    }
    if let Some(messages) = messages {
        // Only looked at in a language other than C.
        let languages = variable(env, "LANGUAGE").filter(|value| !value.is_empty());
        if let Some(languages) = languages {
            it.env.push(("LANGUAGE".into(), languages.to_owned()));
        }
        let names = languages.unwrap_or(&messages);
        it.modules |= catalogs::collect(names, programs, places)?;
    }
    Ok(it)
}

/// The locale of a category; `None` if it is the one that is built in.
fn setting(env: &[(OsString, OsString)], category: Category) -> Option<OsString> {
    let names = ["LC_ALL", category.variable, "LANG"];
    let set = |name| variable(env, name).filter(|value| !value.is_empty());
    let name = names.into_iter().find_map(set)?;
    // With a slash it is a path, which the C library takes only from trusted programs' callers; as if missing.
    let is_built_in = name == "C" || name == "POSIX" || name.as_bytes().contains(&b'/');
    (!is_built_in).then(|| name.to_owned())
}

/// Puts one category of a locale where the C library finds it under this name. Returns whether there is such a locale.
fn put(name: &OsStr, category: Category, places: &mut Places) -> Result<bool, NoToolchain> {
    for path in [ARCHIVE, ALIASES] {
        places.relied.on(Path::new(path));
    }
    let at = Path::new(LOCALES).join(name).join(category.file);
    if let Some(bytes) = archive::read(Path::new(ARCHIVE), name, category.number) {
        places.made(&at, bytes)?;
        return Ok(true);
    }
    let alias = alias(name);
    for name in variants(alias.as_deref().unwrap_or(name)) {
        let dir = Path::new(LOCALES).join(name);
        let file = dir.join(category.file);
        if !places.data_if_any(&file)? {
            continue;
        }
        if alias.is_some() {
            places.made(&at, bytes(&file)?)?;
        }
        return Ok(true);
    }
    // Newer versions of the C library have it inside.
    Ok(matches!(name.as_bytes(), b"C.UTF-8" | b"C.utf8"))
}

fn bytes(path: &Path) -> Result<Arc<[u8]>, NoToolchain> {
    let unreadable = |error| NoToolchain::unreadable(path, error);
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > CATEGORY_BYTES_MAX {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    fs::read(path).map(Arc::from).map_err(unreadable)
}

/// What a name stands for in the list of aliases.
fn alias(name: &OsStr) -> Option<OsString> {
    let text = fs::read(ALIASES).ok()?;
    let lines = text.split(|&byte| byte == b'\n');
    let mut rows = lines.map(|line| {
        let words = line.split(u8::is_ascii_whitespace);
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>()
    });
    rows.find_map(|row| match row[..] {
        [alias, value, ..] if alias == name.as_bytes() => Some(OsStr::from_bytes(value).to_owned()),
        _ => None,
    })
}

/// The parts of `language_TERRITORY.codeset@modifier`.
struct Parts<'a> {
    language: &'a str,
    territory: &'a str,
    codeset: &'a str,
    modifier: &'a str,
}

impl<'a> Parts<'a> {
    fn of(name: &'a str) -> Self {
        let (name, modifier) = name.split_once('@').unwrap_or((name, ""));
        let (name, codeset) = name.split_once('.').unwrap_or((name, ""));
        let (language, territory) = name.split_once('_').unwrap_or((name, ""));
        Self {
            language,
            territory,
            codeset,
            modifier,
        }
    }
}

/// The names under which the C library looks for a locale or its catalogs, the most exact first.
fn variants(name: &OsStr) -> Vec<OsString> {
    let Some(name) = name.to_str() else {
        return Vec::new();
    };
    let parts = Parts::of(name);
    let with = |sign: char, part: &str| match part {
        "" => String::new(),
        part => format!("{sign}{part}"),
    };
    let normal = normal_codeset(parts.codeset);
    let mut names = Vec::new();
    for modifier in [parts.modifier, ""] {
        for territory in [parts.territory, ""] {
            for codeset in [parts.codeset, &normal, ""] {
                let name = format!(
                    "{}{}{}{}",
                    parts.language,
                    with('_', territory),
                    with('.', codeset),
                    with('@', modifier)
                );
                if !names.contains(&OsString::from(&name)) {
                    names.push(name.into());
                }
            }
        }
    }
    names
}

/// `UTF-8` as `utf8`, `8859-1` as `iso88591`.
fn normal_codeset(codeset: &str) -> String {
    let letters: String = codeset
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let only_digits = !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_digit());
    if only_digits {
        format!("iso{letters}")
    } else {
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(text: &str) -> Vec<(OsString, OsString)> {
        text.split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn which_variable_counts() {
        let check = |text, category, expect: Option<&str>| {
            assert_eq!(
                setting(&env(text), category),
                expect.map(OsString::from),
                "{text}"
            );
        };
        check("LANG=de_DE.UTF-8", CTYPE, Some("de_DE.UTF-8"));
        check("LANG=de_DE.UTF-8 LC_MESSAGES=C", MESSAGES, None);
        check("LANG=de_DE.UTF-8 LC_MESSAGES=C", CTYPE, Some("de_DE.UTF-8"));
        check("LANG=de LC_CTYPE=fr LC_ALL=it", CTYPE, Some("it"));
        check("LANG=de LC_ALL=", CTYPE, Some("de"));
        check("", CTYPE, None);
        check("LC_ALL=POSIX LANG=de", MESSAGES, None);
    }

    #[test]
    fn names_of_one_locale() {
        let check = |name: &str, expect: &[&str]| assert_eq!(variants(OsStr::new(name)), expect);
        check(
            "de_DE.UTF-8",
            &[
                "de_DE.UTF-8",
                "de_DE.utf8",
                "de_DE",
                "de.UTF-8",
                "de.utf8",
                "de",
            ],
        );
        check("de_DE@euro", &["de_DE@euro", "de@euro", "de_DE", "de"]);
        assert_eq!(normal_codeset("8859-15"), "iso885915");
        assert_eq!(normal_codeset("ISO-8859-1"), "iso88591");
    }

    /// What the C library itself finds, it finds in our places too.
    #[test]
    fn a_locale_of_this_system() {
        let mut places = Places::new();
        let it = collect(&env("LC_ALL=C.UTF-8"), &[], &mut places).unwrap();
        assert_eq!(it.env, env("LC_CTYPE=C.UTF-8 LC_MESSAGES=C.UTF-8"));
        assert!(!it.modules);
        let none = collect(&env("LANG=xx_YY.UTF-8"), &[], &mut places).unwrap();
        assert_eq!(none.env, []);
    }
}
