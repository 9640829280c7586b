//! `Command`: arguments, environment, and which outputs are wanted.
//!
//! Clients up to version 2.0 say for each output whether it is a file or a directory; later ones
//! give paths only, and some send both. Here there is one list; [`OutputKind`] tells what was said.

use super::platform::Platform;
use crate::invalid::{In, Invalid, Problem};
use crate::limits::{ARGUMENTS_MAX, OUTPUTS_MAX, VARIABLES_MAX};
use crate::path::RelativePath;
use crate::wire::{Malformed, Value, put_bytes, put_element, put_message, put_number};

const COMMAND: In = In("Command");
const VARIABLE: In = In("Command.EnvironmentVariable");

/// What a client expects to find at an output's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// A file; from `output_files`.
    File,
    /// A directory; from `output_directories`.
    Directory,
    /// Either; from `output_paths`.
    Any,
}

/// Something that the command may write and the client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPath {
    /// As the client wrote it, relative to the working directory. Results name the output so.
    pub path: String,
    /// Where that leads, from the input root.
    pub resolved: RelativePath,
    /// What is expected there.
    pub kind: OutputKind,
}

/// How a directory among the outputs is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum OutputDirectoryFormat {
    /// As one [`Tree`](crate::Tree).
    #[default]
    TreeOnly,
    /// As the digest of its root's [`Directory`](crate::Directory).
    DirectoryOnly,
    /// As both.
    TreeAndDirectory,
}

/// What to run, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The program and its arguments. The program is a path, or a name that is looked for in
    /// the action's own `PATH`.
    pub arguments: Vec<String>,
    /// The environment, `(name, value)`; names are unique.
    pub environment: Vec<(String, String)>,
    /// What the client wants of what the command wrote.
    pub outputs: Vec<OutputPath>,
    /// Where the command runs.
    pub working_directory: RelativePath,
    /// What clients before version 2.2 ask of the machine; later ones say it in the action too.
    pub platform: Platform,
    /// Names of properties wanted for each output, such as `mtime`.
    pub output_properties: Vec<String>,
    /// How directories among the outputs are told.
    pub directory_format: OutputDirectoryFormat,
}

/// Outputs as they were sent, before it is known where the command runs.
#[derive(Default)]
struct Outputs<'a> {
    files: Vec<&'a str>,
    directories: Vec<&'a str>,
    paths: Vec<&'a str>,
}

impl Command {
    /// Reads and checks an encoded command.
    ///
    /// # Errors
    /// Not a command; no arguments; a path that leads out of the input root; a zero byte where
    /// the kernel would end the text; a variable twice; more of something than its limit.
    pub fn decode(bytes: &[u8]) -> Result<Command, Invalid> {
        let mut command = Command::default();
        let mut outputs = Outputs::default();
        let (mut working_directory, mut platform) = ("", None);
        for field in COMMAND.fields(bytes) {
            let (number, value) = field?;
            match number {
                1 => {
                    let argument = text("arguments", value)?;
                    push(
                        "arguments",
                        &mut command.arguments,
                        argument.into(),
                        ARGUMENTS_MAX,
                    )?;
                }
                2 => {
                    let bytes = COMMAND.at("environment_variables", value.bytes())?;
                    let (list, variable) = (&mut command.environment, decode_variable(bytes)?);
                    push("environment_variables", list, variable, VARIABLES_MAX)?;
                }
                3 => push_path("output_files", &mut outputs.files, value)?,
                4 => push_path("output_directories", &mut outputs.directories, value)?,
                5 => {
                    let value = Platform::decode(COMMAND.at("platform", value.bytes())?)?;
                    COMMAND.once("platform", &mut platform, value)?;
                }
                6 => working_directory = COMMAND.at("working_directory", value.text())?,
                7 => push_path("output_paths", &mut outputs.paths, value)?,
                8 => {
                    let name = text("output_node_properties", value)?.into();
                    let list = &mut command.output_properties;
                    push("output_node_properties", list, name, OUTPUTS_MAX)?;
                }
                9 => command.directory_format = decode_format(value)?,
                _ => {}
            }
        }
        if command.arguments.is_empty() {
            return COMMAND.at("arguments", Err(Problem::Missing));
        }
        let working_directory = RelativePath::new(working_directory);
        command.working_directory = COMMAND.at("working_directory", working_directory)?;
        command.outputs = outputs.resolve(&command.working_directory)?;
        command.platform = platform.unwrap_or_default();
        check_unique(&command.environment)?;
        Ok(command)
    }

    /// The canonical encoding. Outputs are named both in the old way and in the new one, since
    /// some servers know only the one and some only the other; an output of [`OutputKind::Any`]
    /// is a file in the old one.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        for argument in &self.arguments {
            put_element(&mut out, 1, argument.as_bytes());
        }
        let mut environment: Vec<_> = self.environment.iter().collect();
        environment.sort();
        for (name, value) in environment {
            put_message(&mut out, 2, |out| {
                put_bytes(out, 1, name.as_bytes());
                put_bytes(out, 2, value.as_bytes());
            });
        }
        for (number, wanted) in [
            (3, &[OutputKind::File, OutputKind::Any][..]),
            (4, &[OutputKind::Directory]),
        ] {
            for path in self.sorted_outputs(wanted) {
                put_element(&mut out, number, path.as_bytes());
            }
        }
        self.platform.put(&mut out, 5);
        put_bytes(&mut out, 6, self.working_directory.as_str().as_bytes());
        let all = [OutputKind::File, OutputKind::Directory, OutputKind::Any];
        for path in self.sorted_outputs(&all) {
            put_element(&mut out, 7, path.as_bytes());
        }
        for name in &self.output_properties {
            put_element(&mut out, 8, name.as_bytes());
        }
        put_number(&mut out, 9, self.directory_format as u64);
        out
    }

    fn sorted_outputs(&self, wanted: &[OutputKind]) -> Vec<&str> {
        let outputs = self.outputs.iter();
        let outputs = outputs.filter(|output| wanted.contains(&output.kind));
        let mut paths: Vec<_> = outputs.map(|output| output.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

impl Outputs<'_> {
    /// The specification: if there are paths, files and directories are ignored.
    fn resolve(self, working_directory: &RelativePath) -> Result<Vec<OutputPath>, Invalid> {
        let lists = if self.paths.is_empty() {
            vec![
                ("output_files", self.files, OutputKind::File),
                (
                    "output_directories",
                    self.directories,
                    OutputKind::Directory,
                ),
            ]
        } else {
            vec![("output_paths", self.paths, OutputKind::Any)]
        };
        let mut outputs = Vec::new();
        for (field, paths, kind) in lists {
            for path in paths {
                let resolved = COMMAND.at(field, working_directory.join(path))?;
                let path = path.into();
                outputs.push(OutputPath {
                    path,
                    resolved,
                    kind,
                });
            }
        }
        Ok(outputs)
    }
}

fn decode_format(value: Value<'_>) -> Result<OutputDirectoryFormat, Invalid> {
    Ok(match COMMAND.at("output_directory_format", value.i32())? {
        1 => OutputDirectoryFormat::DirectoryOnly,
        2 => OutputDirectoryFormat::TreeAndDirectory,
        // Unknown ones too: so says the specification.
        _ => OutputDirectoryFormat::TreeOnly,
    })
}

fn push<T>(field: &'static str, list: &mut Vec<T>, item: T, max: usize) -> Result<(), Invalid> {
    if list.len() >= max {
        let (max, unit) = (max as u64, "entries");
        return COMMAND.at(field, Err(Problem::TooMuch { max, unit }));
    }
    list.push(item);
    Ok(())
}

fn push_path<'a>(
    field: &'static str,
    list: &mut Vec<&'a str>,
    value: Value<'a>,
) -> Result<(), Invalid> {
    push(field, list, text(field, value)?, OUTPUTS_MAX)
}

/// Text for the kernel.
fn text<'a>(field: &'static str, value: Value<'a>) -> Result<&'a str, Invalid> {
    let text = COMMAND.at(field, value.text())?;
    if text.contains('\0') {
        return COMMAND.at(field, Err(Problem::Zero));
    }
    Ok(text)
}

fn decode_variable(bytes: &[u8]) -> Result<(String, String), Invalid> {
    let (mut name, mut content) = ("", "");
    for field in VARIABLE.fields(bytes) {
        let (number, value) = field?;
        let value = || -> Result<&str, Malformed> { value.text() };
        match number {
            1 => name = VARIABLE.at("name", value())?,
            2 => content = VARIABLE.at("value", value())?,
            _ => {}
        }
    }
    if name.is_empty() || name.contains(['=', '\0']) {
        return VARIABLE.at("name", Err(Problem::VariableName(name.into())));
    }
    if content.contains('\0') {
        return VARIABLE.at("value", Err(Problem::Zero));
    }
    Ok((name.into(), content.into()))
}

fn check_unique(environment: &[(String, String)]) -> Result<(), Invalid> {
    let mut names: Vec<&str> = environment.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => COMMAND.at(
            "environment_variables",
            Err(Problem::Duplicate(pair[0].into())),
        ),
        None => Ok(()),
    }
}
