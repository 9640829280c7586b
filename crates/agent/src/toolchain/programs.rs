//! Which programs take part in a compile: the driver, and what it says that it runs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::answer::Answer;
use super::call::Compiler;
use super::elf::{self, Head};
use super::places::Places;
use super::search_path::search;
use super::why::NoToolchain;
use super::{Call, path_variable};

/// The programs of a toolchain.
#[derive(Debug)]
pub(super) struct Programs {
    /// Each with what its head says, by the path that it is run by here.
    pub(super) heads: BTreeMap<PathBuf, Head>,
    /// For which machine the driver is.
    pub(super) machine: &'static str,
    /// All programs as `PATH` or the compiler spells them.
    pub(super) spelled: Vec<PathBuf>,
}

impl Programs {
    /// Collects the programs, puts them into their places and notes what would be found before them.
    ///
    /// # Errors
    /// One of them is not a program that can be taken along.
    pub(super) fn collect(
        call: &Call<'_>,
        compiler: &Compiler,
        answer: &Answer,
        places: &mut Places,
    ) -> Result<Self, NoToolchain> {
        let mut it = Self {
            heads: BTreeMap::new(),
            machine: elf::read(&compiler.path)?.machine,
            spelled: vec![compiler.name_in_root.clone().into()],
        };
        it.driver(call, compiler, places)?;
        // A wrapper in ELF format: what it runs answers under its own path.
        if let Some(called) = answer
            .called
            .as_deref()
            .filter(|&name| name != compiler.argv0)
        {
            it.program(call, answer, called, places)?;
        }
        let mut seen: Vec<&OsStr> = Vec::new();
        for name in answer.commands.iter().filter_map(|words| words.first()) {
            if !seen.contains(&name.as_os_str()) {
                seen.push(name);
                it.program(call, answer, name, places)?;
            }
        }
        Ok(it)
    }

    fn driver(
        &mut self,
        call: &Call<'_>,
        compiler: &Compiler,
        places: &mut Places,
    ) -> Result<(), NoToolchain> {
        self.add(&compiler.path, places)?;
        match &compiler.link {
            Some(link) => places.made_link(link, &compiler.path)?,
            None => {
                places.program(&call.cwd.join(&compiler.name_in_root))?;
            }
        }
        compiler
            .misses
            .iter()
            .for_each(|miss| places.relied.on(miss));
        Ok(())
    }

    /// A program by the name that it is run by: a path, or a name to be found in `PATH`. A name that is not found is a
    /// part of the compiler that is not installed.
    fn program(
        &mut self,
        call: &Call<'_>,
        answer: &Answer,
        name: &OsStr,
        places: &mut Places,
    ) -> Result<(), NoToolchain> {
        let base = Path::new(name).file_name().unwrap_or(name);
        let search_path = path_variable(call.env);
        let path = if name.as_bytes().contains(&b'/') {
            PathBuf::from(name)
        } else {
            let found = search(search_path, call.cwd, name, |_| true);
            found.misses.iter().for_each(|miss| places.relied.on(miss));
            match found.hit {
                Some(hit) => hit,
                None => {
                    absent_before(answer, base, None, places);
                    return Ok(());
                }
            }
        };
        absent_before(answer, base, path.parent(), places);
        self.add(&call.cwd.join(&path), places)?;
        self.spelled.push(path);
        Ok(())
    }

    fn add(&mut self, path: &Path, places: &mut Places) -> Result<(), NoToolchain> {
        if !self.heads.contains_key(path) {
            let head = elf::read(path)?;
            places.program(path)?;
            self.heads.insert(path.to_owned(), head);
        }
        Ok(())
    }

    /// Whether a part of GCC or of the binutils takes part, which speaks the user's language; Clang does not.
    pub(super) fn speak(&self, answer: &Answer) -> bool {
        let is_clang = |words: &Vec<OsString>| {
            let mode = words.get(1).map_or(OsStr::new(""), OsString::as_os_str);
            mode == "-cc1" || mode == "-cc1as"
        };
        !answer.commands.iter().all(is_clang)
    }
}

/// The driver looks for its programs in these directories first.
fn absent_before(answer: &Answer, name: &OsStr, end: Option<&Path>, places: &mut Places) {
    for dir in &answer.program_dirs {
        // They are written with a slash at the end.
        if end.is_some_and(|end| end.components().eq(dir.components())) {
            break;
        }
        places.relied.on(&dir.join(name));
    }
}
