//! One compile, given as a command line: what `farcc scan-includes` and `farcc explain` look at.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use agent::scanning::{Compile, Found, Scanning, find_compiler};
use cmdline::Invocation;

use crate::error::Error;
use crate::world::World;

/// A command line with its compiler found and its options understood.
#[derive(Debug)]
pub(crate) struct OneCompile {
    /// The compiler as it is called.
    pub(crate) name: OsString,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The working directory.
    pub(crate) cwd: PathBuf,
    /// The words after the compiler.
    pub(crate) words: Vec<OsString>,
    /// What is asked for.
    pub(crate) invocation: Invocation,
}

impl OneCompile {
    /// Understands a command line. As for `distcc`, the compiler is `cc` where an option comes first.
    pub(crate) fn of(world: &World, words: &[OsString]) -> Result<Self, Error> {
        let starts_with_option = words
            .first()
            .is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
        let (name, args) = match words.split_first() {
            Some((name, args)) if !starts_with_option => (name.clone(), args),
            _ => ("cc".into(), words),
        };
        let search = world.var("PATH").unwrap_or_default();
        let (path, driver) = find_compiler(&name, search)
            .ok_or_else(|| Error::NoCompiler(name.to_string_lossy().into_owned()))?;
        let cwd = std::env::current_dir().map_err(Error::file("enter", "."))?;
        let mut read = |file: &OsStr| std::fs::read(cwd.join(file)).ok();
        let invocation = cmdline::parse(args, driver, &mut read);
        Ok(Self {
            name,
            path,
            cwd,
            words: args.to_vec(),
            invocation,
        })
    }

    /// The source, for messages.
    pub(crate) fn source(&self) -> String {
        let source = self.invocation.source().unwrap_or(&self.name);
        source.to_string_lossy().into_owned()
    }

    /// Finds the files that it reads.
    pub(crate) fn scan(&self, world: &World) -> Result<Found, Error> {
        let compile = Compile {
            compiler: &self.name,
            compiler_path: &self.path,
            invocation: &self.invocation,
            cwd: &self.cwd,
            env: &world.vars,
        };
        Ok(Scanning::new().scan(&compile)?)
    }

    /// Directories and files that its options name; what a host cannot be told of leaves them out.
    pub(crate) fn named(&self) -> Vec<OsString> {
        let command = self.invocation.files_command(self.cwd.as_os_str());
        command.map(|command| command.paths).unwrap_or_default()
    }
}
