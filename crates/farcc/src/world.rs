//! What a program is given when it starts: its name, arguments and environment.
//!
//! Read once, in `main`, and handed down, so that everything below can be tested with any
//! environment while other tests run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Name, arguments and environment of a program.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The name that the program was called by: `argv[0]`.
    pub program: OsString,
    /// The arguments after it.
    pub args: Vec<OsString>,
    /// The environment.
    pub vars: Vec<(OsString, OsString)>,
}

impl World {
    /// Name, arguments and environment of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut args = std::env::args_os();
        Self {
            program: args.next().unwrap_or_default(),
            args: args.collect(),
            vars: std::env::vars_os().collect(),
        }
    }

    /// The value of a variable, if it is set.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        let found = self.vars.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_os_str())
    }

    /// The value of a variable as a path, if it is set and not empty.
    #[must_use]
    pub fn path_var(&self, name: &str) -> Option<PathBuf> {
        self.var(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// Gives a variable a value.
    pub fn set_var(&mut self, name: &str, value: impl Into<OsString>) {
        self.vars.retain(|(key, _)| key != name);
        self.vars.push((name.into(), value.into()));
    }

    /// The last part of the name that the program was called by.
    #[must_use]
    pub fn program_name(&self) -> String {
        let name = Path::new(&self.program).file_name();
        name.unwrap_or_default().to_string_lossy().into_owned()
    }
}
