//! From a command line to an action: find what the compile reads, put the input root together, name it by its digest.
//!
//! An action's input root mirrors this machine: source, headers and toolchain lie at the paths that they have here, and
//! the compiler runs with that root as `/`. So nothing in the command line, in debug information, in messages or in
//! dependency files has to be rewritten.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cmdline::{ActionCommand, Family, Invocation};
use reapi::{Action, Command, MerkleTree, OutputKind, OutputPath, Platform, RelativePath};
use scan::{Doubt, FileUse, Why};
use store::{Digest, DigestFunction};

use super::inputs::{Inputs, Named, below_root, pwd, relative};
use super::installed::Installed;
use super::places::{Placed, Places};
use super::probe::{Probe, Probes};
use super::reads::Reads;
use super::whole::WhyNot;
use crate::scanning::{Compile, Found, Scanning};
use crate::toolchain::{Call, Sources, Toolchain, Toolchains};

/// Asks for the input root as `/`.
const ROOT_PROPERTY: (&str, &str) = ("InputRootAbsolutePath", "/");

/// Variables that change what a compiler writes, besides those that the toolchain decides about. Nothing else travels.
/// Sorted.
const VARIABLES: &[&str] = &[
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "GCC_COLORS",
    "GCC_URLS",
    "OBJCPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "PWD",
    "SOURCE_DATE_EPOCH",
    "TERM_URLS",
];

/// Tells the time zone, for `__TIME__`.
const TIME_ZONE_VARIABLE: &str = "TZ";

/// Where the time zone is kept where the variable does not tell it.
const TIME_ZONE_FILE: &str = "/etc/localtime";

/// Options that load plugins, which are parts of the toolchain.
const PLUGINS: &[&str] = &["-fpass-plugin=", "-fplugin="];

/// One compile.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The compiler as it was called.
    pub(crate) compiler: OsString,
    /// Where it is; absolute.
    pub(crate) compiler_path: PathBuf,
    /// The command line, without native options.
    pub(crate) invocation: Arc<Invocation>,
    /// What a worker runs.
    pub(crate) command: ActionCommand,
    /// With this file GCC takes what is native in the command for what it means here.
    pub(crate) specs: Option<PathBuf>,
    /// The real path of the working directory.
    pub(crate) cwd: PathBuf,
    /// The environment, as far as the shim forwards it.
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl Order {
    /// The compile as the scanner knows it.
    pub(super) fn compile(&self) -> Compile<'_> {
        Compile {
            compiler: &self.compiler,
            compiler_path: &self.compiler_path,
            invocation: &self.invocation,
            cwd: &self.cwd,
            env: &self.env,
        }
    }

    /// The compile as toolchains know it.
    pub(super) fn call(&self) -> Call<'_> {
        Call {
            compiler: &self.compiler,
            compiler_path: &self.compiler_path,
            args: self.invocation.args(),
            cwd: &self.cwd,
            env: &self.env,
            sources: self
                .invocation
                .language()
                .map_or(Sources::Assembler, Sources::Of),
        }
    }
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Here.
    Bytes(Bytes),
    /// In a file of this machine, which may have changed since.
    File(PathBuf),
    /// The same of one that no other compile reads: the source.
    OwnFile(PathBuf),
}

/// A compile that a worker can run.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The action's name.
    pub(crate) digest: Digest,
    /// Its encoding.
    pub(crate) action: Bytes,
    /// The command and its encoding.
    pub(crate) command: (Digest, Bytes),
    /// The input root.
    pub(crate) root: Arc<MerkleTree>,
    /// Files besides the toolchain's.
    pub(crate) files: Vec<Arc<Placed>>,
    /// A precompiled header is among them.
    pub(crate) uses_precompiled: bool,
    /// The text that takes the place of the source, if it was preprocessed here.
    pub(crate) text: Option<(Digest, Bytes)>,
    /// The toolchain.
    pub(crate) installed: Arc<Installed>,
    /// How the command names each output, and how the user does.
    pub(crate) outputs: Vec<(String, OsString)>,
    /// What it is meant to read, and who says what it has read; nothing where it reads one text.
    pub(crate) reads: Option<Reads>,
    /// What a worker has to pass before it gets this.
    pub(crate) probe: Option<Arc<Probe>>,
    /// The result may be used again: it does not depend on the time.
    pub(crate) may_be_kept: bool,
}

impl Prepared {
    /// The toolchain's name, as refusals are kept by it.
    pub(crate) fn toolchain(&self) -> String {
        self.installed.toolchain.digest().to_string()
    }

    /// Bytes of the compile's own files, without the toolchain.
    pub(crate) fn bytes(&self) -> u64 {
        let text = self.text.iter().map(|(digest, _)| digest.size_bytes);
        let files = self.files.iter().map(|placed| placed.digest.size_bytes);
        text.chain(files).sum()
    }
}

/// Prepares compiles, with everything that is remembered between them.
#[derive(Debug)]
pub(crate) struct Preparer {
    pub(super) function: DigestFunction,
    pub(super) places: Places,
    installed: HashMap<Digest, Arc<Installed>>,
    pub(super) probes: Probes,
    /// Where the sources of test compiles are.
    pub(super) probe_dir: PathBuf,
    /// The last input root: the next is likely to share most of its directories.
    last_root: Option<Arc<MerkleTree>>,
}

impl Preparer {
    /// Sources of test compiles are put into `probe_dir`, which is made when it is needed.
    pub(crate) fn new(function: DigestFunction, probe_dir: PathBuf) -> Self {
        Self {
            function,
            places: Places::new(function),
            installed: HashMap::new(),
            probes: Probes::new(),
            probe_dir,
            last_root: None,
        }
    }

    /// Prepares a compile.
    ///
    /// # Errors
    /// Why it cannot go to a worker as it is.
    pub(crate) fn prepare(
        &mut self,
        scanning: &mut Scanning,
        toolchains: &Toolchains,
        order: &Order,
    ) -> Result<Prepared, WhyNot> {
        let installed = self.toolchain(toolchains, order)?;
        self.of_scan(scanning, order, &installed)
    }

    /// Prepares what a scan finds.
    pub(super) fn of_scan(
        &mut self,
        scanning: &mut Scanning,
        order: &Order,
        installed: &Arc<Installed>,
    ) -> Result<Prepared, WhyNot> {
        let found = scan(scanning, order, &installed.toolchain)?;
        self.of_found(order, &found, installed)
    }

    /// Prepares what was found.
    pub(super) fn of_found(
        &mut self,
        order: &Order,
        found: &Found,
        installed: &Arc<Installed>,
    ) -> Result<Prepared, WhyNot> {
        match self.put_together(order, found, installed) {
            // Links that were remembered may be out of date: look once more, at everything.
            Err(WhyNot::Inputs(super::inputs::NoInputs::Tree(_))) => {
                self.places.forget();
                self.put_together(order, found, installed)
            }
            outcome => outcome,
        }
    }

    /// Adds the test compile that a worker has to pass first.
    ///
    /// # Errors
    /// It fails here.
    pub(crate) fn prove(
        &mut self,
        scanning: &mut Scanning,
        order: &Order,
        prepared: &mut Prepared,
    ) -> Result<(), WhyNot> {
        let installed = Arc::clone(&prepared.installed);
        prepared.probe = Some(self.probe(scanning, order, &installed)?);
        Ok(())
    }

    pub(super) fn toolchain(
        &mut self,
        toolchains: &Toolchains,
        order: &Order,
    ) -> Result<Arc<Installed>, WhyNot> {
        let toolchain = toolchains.identify(&order.call())?;
        let installed = match self.installed.get(&toolchain.digest()) {
            Some(known) if Arc::ptr_eq(&known.toolchain, &toolchain) => {
                return Ok(Arc::clone(known));
            }
            // The same files, called in another way.
            Some(known) => Arc::new(Installed {
                toolchain,
                tree: Arc::clone(&known.tree),
                files: Arc::clone(&known.files),
            }),
            None => Arc::new(Installed::new(toolchain, self.function)?),
        };
        self.installed
            .insert(installed.toolchain.digest(), Arc::clone(&installed));
        Ok(installed)
    }

    fn put_together(
        &mut self,
        order: &Order,
        found: &Found,
        installed: &Arc<Installed>,
    ) -> Result<Prepared, WhyNot> {
        let mut inputs = Inputs::new();
        let named = Named {
            cwd: &order.cwd,
            pwd: pwd(&order.env, &order.cwd),
            named: &order.command.named,
        };
        inputs.gather(&mut self.places, found, named)?;
        inputs.reads = Reads::new(order, found);
        let dates = found.scan.dates;
        let tells_time = dates.date || dates.time;
        let mut prepared = self.finish(order, inputs, installed, tells_time)?;
        prepared.uses_precompiled = precompiled(found).is_some();
        Ok(prepared)
    }

    /// Makes an action of inputs that are complete but for the outputs' directories.
    pub(super) fn finish(
        &mut self,
        order: &Order,
        mut inputs: Inputs,
        installed: &Arc<Installed>,
        tells_time: bool,
    ) -> Result<Prepared, WhyNot> {
        if let Some(specs) = &order.specs {
            inputs.needed_at(&mut self.places, specs)?;
        }
        if tells_time {
            inputs.file_at(&mut self.places, Path::new(TIME_ZONE_FILE))?;
        }
        let mut outputs = Vec::with_capacity(order.command.outputs.len());
        for name in &order.command.outputs {
            outputs.extend(output(&mut inputs, &mut self.places, &order.cwd, name)?);
        }
        let mut command = command(order, &installed.toolchain, &outputs, tells_time)?;
        if let Some(reads) = &mut inputs.reads {
            reads.ask(&mut command)?;
        }
        let command = command.encode();
        let command: Bytes = command.into();
        let command_digest = Digest::of(self.function, &command);
        let root = inputs
            .root
            .build_over(&installed.tree, self.last_root.as_ref())
            .map_err(super::inputs::NoInputs::from)?;
        self.last_root = Some(Arc::clone(&root));
        let may_be_kept = !tells_time || has(&order.env, "SOURCE_DATE_EPOCH");
        let action = Action {
            command: command_digest,
            input_root: root.digest(),
            timeout: None,
            do_not_cache: !may_be_kept,
            salt: Vec::new(),
            platform: platform(),
        };
        let action: Bytes = action.encode().into();
        Ok(Prepared {
            digest: Digest::of(self.function, &action),
            action,
            command: (command_digest, command),
            root,
            files: inputs.files,
            uses_precompiled: false,
            reads: inputs.reads,
            probe: None,
            text: None,
            installed: Arc::clone(installed),
            outputs,
            may_be_kept,
        })
    }
}

fn scan(scanning: &mut Scanning, order: &Order, toolchain: &Toolchain) -> Result<Found, WhyNot> {
    let implied;
    let invocation = if toolchain.implied_includes().is_empty() {
        &order.invocation
    } else {
        implied = order.invocation.with_words(toolchain.implied_includes());
        &implied
    };
    let found = scanning.scan(&Compile {
        invocation,
        ..order.compile()
    })?;
    let precompiled = precompiled(&found).map(|file| file.spelled().display().to_string());
    let mut doubts = found.scan.doubts.iter();
    if let Some(doubt) = doubts.find(|doubt| !is_about_toolchain(doubt)) {
        // No text is what a compile with a precompiled header reads.
        let doubt = precompiled.map_or_else(|| doubt.clone(), Doubt::Precompiled);
        return Err(WhyNot::Doubt(doubt));
    }
    if let (Some(file), Family::Clang) = (precompiled, order.invocation.driver().family) {
        return Err(WhyNot::Precompiled(file));
    }
    if found.scan.dates.timestamp {
        return Err(WhyNot::Timestamp);
    }
    Ok(found)
}

/// Whether the toolchain holds what the scanner does not follow.
fn is_about_toolchain(doubt: &Doubt) -> bool {
    let is_plugin = |word: &String| PLUGINS.iter().any(|option| word.starts_with(option));
    matches!(doubt, Doubt::Option(word) if is_plugin(word))
}

/// A precompiled header that the compile may use.
fn precompiled(found: &Found) -> Option<&FileUse> {
    let mut files = found.scan.files.iter();
    files.find(|file| file.why == Why::Precompiled)
}

/// One output: how the command names it and how the user does. `None` for what is no file of the compile's own.
fn output(
    inputs: &mut Inputs,
    places: &mut Places,
    cwd: &Path,
    name: &OsStr,
) -> Result<Option<(String, OsString)>, WhyNot> {
    let path = cwd.join(name);
    if path == Path::new("/dev/null") {
        return Ok(None);
    }
    let (Some(parent), Some(last)) = (path.parent(), path.file_name()) else {
        return Err(WhyNot::Output(name.to_owned()));
    };
    let meta = fs::metadata(parent).ok().filter(fs::Metadata::is_dir);
    let meta = meta.ok_or_else(|| WhyNot::Output(name.to_owned()))?;
    let way = inputs.directory(places, parent, Some(&meta))?;
    let relative = relative(cwd, &way.place.join(last));
    let text = relative
        .to_str()
        .ok_or_else(|| WhyNot::Output(name.to_owned()))?;
    Ok(Some((text.to_owned(), name.to_owned())))
}

fn command(
    order: &Order,
    toolchain: &Toolchain,
    outputs: &[(String, OsString)],
    tells_time: bool,
) -> Result<Command, WhyNot> {
    let text = |word: &OsStr| -> Result<String, WhyNot> {
        let text = word.to_str().ok_or_else(|| WhyNot::Word(word.to_owned()))?;
        Ok(text.to_owned())
    };
    let mut arguments = vec![text(toolchain.program())?];
    let specs = order.specs.as_ref();
    let specs = specs.map(|path| cmdline::native_specs::option(path.as_os_str()));
    for word in specs.iter().chain(&order.command.argv) {
        arguments.push(text(word)?);
    }
    let mut environment = Vec::new();
    for (name, value) in toolchain.env() {
        environment.push((text(name)?, text(value)?));
    }
    for (name, value) in &order.env {
        let matters = VARIABLES
            .binary_search_by(|known| OsStr::new(known).cmp(name))
            .is_ok()
            || (tells_time && name == TIME_ZONE_VARIABLE);
        if matters {
            environment.push((text(name)?, text(value)?));
        }
    }
    let working_directory = RelativePath::new(below_root(&order.cwd)?)
        .map_err(|_| WhyNot::Word(order.cwd.clone().into()))?;
    let mut paths = Vec::with_capacity(outputs.len());
    for (path, name) in outputs {
        let resolved = working_directory
            .join(path)
            .map_err(|_| WhyNot::Output(name.clone()))?;
        paths.push(OutputPath {
            path: path.clone(),
            resolved,
            kind: OutputKind::File,
        });
    }
    Ok(Command {
        arguments,
        environment,
        outputs: paths,
        working_directory,
        platform: platform(),
        ..Command::default()
    })
}

fn platform() -> Platform {
    let (name, value) = ROOT_PROPERTY;
    Platform {
        properties: vec![(name.to_owned(), value.to_owned())],
    }
}

fn has(env: &[(OsString, OsString)], name: &str) -> bool {
    env.iter()
        .any(|(known, value)| known == name && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_sorted() {
        assert!(VARIABLES.is_sorted());
    }
}
