//! Why a compile is preprocessed here although its host takes files.

use std::ffi::OsString;
use std::path::Path;

use scan::{Doubt, FileUse, Unfollowed, Why};

use super::parcel::NoParcel;
use super::{AskError, Found};

/// A reason; its text fits after "is preprocessed here: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum WhyText {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Parcel(#[from] NoParcel),
    #[error("the files that it reads are not certain: {0}")]
    Doubt(String),
    #[error("__DATE__, __TIME__ or __TIMESTAMP__ would be the host's")]
    Dates,
    #[error("a precompiled header takes part")]
    Precompiled,
    #[error("CPATH or a relative of it is set, which hosts do not know")]
    SearchVariables,
    #[error("{0} is included by an absolute name")]
    Absolute(String),
    #[error("a stock server would misunderstand `{0}`")]
    Word(String),
    #[error("compressed debug information cannot be looked at")]
    CompressedDebug,
    #[error("debug information names the directory by another path than a host would")]
    Directory,
    #[error("the target of its dependency file needs quoting")]
    Target,
    #[error("the include scanner does not answer")]
    NoAnswer,
}

/// Whether a server that preprocesses makes of these files what a compile here does.
/// `named` are the directories and files that options name.
pub(super) fn check(found: &Found, named: &[OsString]) -> Result<(), WhyText> {
    let scan = &found.scan;
    if let Some(doubt) = scan.doubts.first() {
        return Err(WhyText::Doubt(describe(doubt)));
    }
    if found.has_search_variables {
        return Err(WhyText::SearchVariables);
    }
    if scan.dates.date || scan.dates.time || scan.dates.timestamp {
        return Err(WhyText::Dates);
    }
    if scan.files.iter().any(|file| file.why == Why::Precompiled) {
        return Err(WhyText::Precompiled);
    }
    match absolute_include(found, named) {
        Some(file) => Err(WhyText::Absolute(file.spelled().display().to_string())),
        None => Ok(()),
    }
}

/// A file that is included by an absolute name, which a stock server would open at its own place. Such a file is in
/// none of the directories where one is found by a relative name.
fn absolute_include<'a>(found: &'a Found, named: &[OsString]) -> Option<&'a FileUse> {
    found.scan.files.iter().find(|file| {
        let is_included = matches!(file.why, Why::Included(_) | Why::Assembler);
        let spelled = file.spelled();
        if !is_included || !spelled.is_absolute() || found.is_system(file.path()) {
            return false;
        }
        let from = file.from.and_then(|from| found.scan.files.get(from));
        let beside = from.and_then(|from| from.spelled().parent());
        let dirs = named.iter().map(Path::new).chain(beside);
        !dirs
            .filter(|dir| dir.is_absolute())
            .any(|dir| spelled.starts_with(dir))
    })
}

/// A doubt in words.
#[must_use]
pub fn describe(doubt: &Doubt) -> String {
    match doubt {
        Doubt::Source => "not exactly one source in a known language".to_owned(),
        Doubt::ResponseFile => "a response file cannot be read".to_owned(),
        Doubt::Option(option) => format!("`{option}` makes the compiler read other files"),
        Doubt::Missing(name) => format!("{name} is not there"),
        Doubt::Unreadable(name) => format!("{name} cannot be read"),
        Doubt::Computed(place) => format!("an include in {place} has a name made by macros"),
        Doubt::Precompiled(name) => format!("{name} is a directory of precompiled headers"),
        Doubt::Unfollowed(what, place) => {
            let what = match what {
                Unfollowed::Modules => "modules",
                Unfollowed::PragmaOperator => "a _Pragma that changes macros",
                Unfollowed::AssemblerOperand => "an assembler directive with a computed file name",
                Unfollowed::PchPreprocess => "a precompiled header",
            };
            format!("{what} in {place}")
        }
        Doubt::Limit(limit) => format!("the limit of {limit} was reached"),
    }
}
