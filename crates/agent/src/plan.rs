//! What a job asks for: understood from its command line, or why it must stay on this machine.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use cmdline::{Invocation, Mode, Placement, WhyLocal};
use wire::event::LocalReason;
use wire::{JobRequest, LogLevel};

use crate::compilers::{Compilers, Expanded};
use crate::exchange::{FilesJob, Text};
use crate::native;
use crate::scanning::{Order, ScanService, WhyText};
use crate::settings::Settings;
use crate::why::Why;

/// A reason to stay on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    /// Code and sentence.
    pub(crate) reason: LocalReason,
    /// How loudly to say so. Probes and links are nobody's concern.
    pub(crate) level: LogLevel,
    /// It only preprocesses, so the preprocessors' number limits it.
    pub(crate) preprocesses: bool,
}

impl From<Why> for Local {
    fn from(why: Why) -> Self {
        Self {
            reason: why.into(),
            level: LogLevel::Info,
            preprocesses: false,
        }
    }
}

/// Longer response files are not read, in bytes: the words of one would not fit into an exec.
const RESPONSE_FILE_BYTES_MAX: u64 = 16 << 20;

/// The first two lines of a preprocessed text fit, in bytes: two paths.
const HEAD_BYTES: usize = 2 * 4096 + 64;

/// Variables that make GCC write a dependency file whose target depends on how it is called.
const DEPENDENCY_VARIABLES: &[&str] = &["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"];

/// What a command line asks for, and who may do it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The command line, understood.
    pub(crate) invocation: Arc<Invocation>,
    /// Whether a server that speaks distcc's protocol may run it.
    pub(crate) stock: Result<(), Local>,
    /// Whether a worker may run it.
    pub(crate) native: Result<(), Local>,
}

/// Reads the command line.
pub(crate) fn understand(job: &JobRequest, compilers: &Compilers) -> Asked {
    let cwd = Path::new(&job.cwd);
    let mut read =
        |name: &OsStr| sys::plain_file::read(&cwd.join(name), RESPONSE_FILE_BYTES_MAX).ok();
    let invocation = cmdline::parse(&job.args, compilers.driver(job), &mut read);
    let lists_dependencies = DEPENDENCY_VARIABLES
        .iter()
        .any(|name| job.var(name).is_some());
    let lost = |placement| match placement {
        Placement::Distributable if lists_dependencies => {
            Placement::Local(WhyLocal::DependencyFileLost)
        }
        other => other,
    };
    let twice = || {
        if is_read_once(cwd, &invocation) {
            return Err(Local::from(Why::SourceReadOnce));
        }
        Ok(())
    };
    let stock = match lost(invocation.where_to()) {
        Placement::Distributable => twice(),
        Placement::Local(why) => Err(local(&invocation, why, invocation.explain())),
    };
    let native = match invocation.action() {
        Ok(_) if lists_dependencies => Err(local(&invocation, WhyLocal::DependencyFileLost, None)),
        Ok(_) => twice(),
        Err((why, word)) => {
            let sentence = word.map(|word| format!("{why} (`{}`)", word.display()));
            Err(local(&invocation, why, sentence))
        }
    };
    Asked {
        invocation: Arc::new(invocation),
        stock,
        native,
    }
}

fn local(invocation: &Invocation, why: WhyLocal, sentence: Option<String>) -> Local {
    let level = match why {
        WhyLocal::Configure | WhyLocal::Link | WhyLocal::Informational | WhyLocal::NoSource => {
            LogLevel::Debug
        }
        _ => LogLevel::Info,
    };
    Local {
        reason: LocalReason {
            code: why.code().to_owned(),
            sentence: sentence.unwrap_or_else(|| why.to_string()),
        },
        level,
        preprocesses: invocation.mode() == Mode::Preprocess,
    }
}

/// The invocation with `-march=native` and its relatives replaced by what they mean here; `None` where there are none.
///
/// # Errors
/// The compiler does not say.
pub(crate) async fn expand(
    job: &JobRequest,
    invocation: &Invocation,
    compilers: &Compilers,
) -> Result<Option<Expanded>, Local> {
    if invocation.native_options().is_empty() {
        return Ok(None);
    }
    let expanded = compilers.expand_native(job, invocation).await;
    Ok(Some(expanded.ok_or(Why::NativeUnknown)?))
}

/// Whether the place of each option goes into the output, and what stands for a native option has another one.
///
/// GCC's driver gives `--param` of `-march=native` to the compiler before the other options, and one that is told to it
/// after them. With debug information (`DW_AT_producer`) and `-flto` that can be seen in the object.
fn is_recorded_in_order(given: &Invocation, expanded: &Invocation) -> bool {
    let starts = |it: &Invocation, start: &[u8]| {
        let mut words = it.args().iter().map(|word| word.as_bytes());
        words.any(|word| word.starts_with(start))
    };
    starts(expanded, b"--param") && (given.debug_info() || starts(given, b"-flto"))
}

/// The compile for a worker, if it may run it: with nothing that means another processor there, and `more` words at its
/// end.
///
/// # Errors
/// Why a worker may not run it after all.
pub(crate) fn worker_order(
    job: &JobRequest,
    given: &Arc<Invocation>,
    expanded: Option<&Expanded>,
    more: &[OsString],
) -> Result<native::Order, Local> {
    let specs = expanded.and_then(|expanded| expanded.specs.clone());
    // With a specs file it is the command line as it was given.
    let in_its_place = expanded.filter(|_| specs.is_none());
    let differs = in_its_place.is_some() || !more.is_empty();
    if (differs && given.records_command_line())
        || in_its_place.is_some_and(|expanded| is_recorded_in_order(given, &expanded.invocation))
    {
        let why = WhyLocal::CommandLine;
        return Err(local(given, why, None));
    }
    let invocation = expanded.map_or(given, |expanded| &expanded.invocation);
    let told = if specs.is_some() { given } else { invocation };
    let mut command = told.action().map_err(|(why, _)| local(told, why, None))?;
    command.argv.extend_from_slice(more);
    Ok(native::Order {
        compiler: job.compiler.clone(),
        compiler_path: job.compiler_path.clone().into(),
        invocation: Arc::clone(invocation),
        command,
        specs,
        cwd: job.cwd.clone().into(),
        env: job.env.clone(),
    })
}

/// The compile of a text for workers.
#[derive(Debug)]
pub(crate) struct TextOrder {
    /// What a worker runs.
    pub(crate) order: Arc<native::Order>,
    /// What the shim's preprocessor is called with.
    pub(crate) preprocess: Vec<OsString>,
}

/// The compile of its preprocessed text for a worker.
///
/// # Errors
/// Why it would not be that of the source.
pub(crate) fn text_order(given: &Invocation, order: &native::Order) -> Result<TextOrder, Local> {
    let text_action = |invocation: &Invocation| {
        invocation.text_action().map_err(|(why, word)| {
            let sentence = word.map(|word| format!("{why} (`{}`)", word.display()));
            local(invocation, why, sentence)
        })
    };
    let of_given = text_action(given)?;
    // Only workers have to be told what `native` means here.
    let command = match &order.specs {
        Some(_) => of_given.command,
        None => text_action(&order.invocation)?.command,
    };
    Ok(TextOrder {
        order: Arc::new(native::Order {
            command,
            ..order.clone()
        }),
        preprocess: of_given.preprocess,
    })
}

/// Whether the source is a named pipe or the like. What a second look would not see again cannot
/// be preprocessed here and, should that fail, compiled.
fn is_read_once(cwd: &Path, invocation: &Invocation) -> bool {
    let source = invocation.source().unwrap_or_default();
    fs::metadata(cwd.join(source)).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// What hosts have to run: commands with the compiler's name first.
#[derive(Debug)]
pub(crate) struct HostCommands {
    /// On preprocessed text.
    pub(crate) text: Vec<Vec<u8>>,
    /// On source and headers.
    pub(crate) files: Result<FilesWords, WhyText>,
}

/// A command on source and headers.
#[derive(Debug)]
pub(crate) struct FilesWords {
    pub(crate) argv: Vec<Vec<u8>>,
    /// Directories and files that its options name.
    pub(crate) named: Vec<OsString>,
}

/// The commands for hosts, of an invocation without native options.
pub(crate) async fn host_commands(
    job: &JobRequest,
    invocation: &Invocation,
    settings: &Settings,
    compilers: &Compilers,
) -> HostCommands {
    let (name, more) = if settings.rewrite_names {
        compilers.name_for_hosts(job, invocation.args()).await
    } else {
        (job.compiler.clone(), Vec::new())
    };
    let whole = |argv: Vec<OsString>| {
        let words = [name.clone()].into_iter().chain(argv).chain(more.clone());
        words.map(OsString::into_vec).collect()
    };
    let files = may_send_files(job, invocation).and_then(|()| {
        let words = invocation.files_command(compilers_cwd(job));
        words.map_err(|word| WhyText::Word(word.to_string_lossy().into_owned()))
    });
    HostCommands {
        text: whole(invocation.server_argv(compilers_cwd(job))),
        files: files.map(|command| FilesWords {
            argv: whole(command.argv),
            named: command.paths,
        }),
    }
}

/// What stands against a host that preprocesses, as far as the command line tells.
fn may_send_files(job: &JobRequest, invocation: &Invocation) -> Result<(), WhyText> {
    let dependency = invocation.dependency();
    if dependency.is_some_and(|dependency| !dependency.is_rewritable()) {
        return Err(WhyText::Target);
    }
    if !invocation.debug_info() {
        return Ok(());
    }
    let compressed = |word: &OsString| {
        let word = word.as_bytes();
        word.starts_with(b"-gz") && word != b"-gz=none"
    };
    if invocation.args().iter().any(compressed) {
        return Err(WhyText::CompressedDebug);
    }
    // Clang is told the directory, GCC asks the system.
    if invocation.driver().family == cmdline::Family::Gcc && compilers_cwd(job) != job.cwd {
        return Err(WhyText::Directory);
    }
    Ok(())
}

/// Finds and packs what a host needs to preprocess by itself.
///
/// # Errors
/// Why it has to be preprocessed here.
pub(crate) async fn files_job(
    job: &JobRequest,
    invocation: &Arc<Invocation>,
    words: Result<FilesWords, WhyText>,
    scanner: &ScanService,
) -> Result<FilesJob, WhyText> {
    let words = words?;
    let order = Order {
        compiler: job.compiler.clone(),
        compiler_path: job.compiler_path.clone().into(),
        invocation: Arc::clone(invocation),
        cwd: job.cwd.clone().into(),
        env: job.env.clone(),
        named: words.named,
    };
    Ok(FilesJob {
        parcel: scanner.parcel(order).await?,
        argv: words.argv,
        cwd: job.cwd.as_bytes().to_vec(),
    })
}

/// The directory as the compiler would name it in debug information: `$PWD` if that is this directory.
fn compilers_cwd(job: &JobRequest) -> &OsStr {
    match job.var("PWD") {
        Some(pwd) if pwd.as_bytes().starts_with(b"/") && is_directory(pwd, job) => pwd,
        _ => &job.cwd,
    }
}

/// Whether the agent sees the job's directory at the place where the shim sees it.
pub(crate) fn same_tree(job: &JobRequest) -> bool {
    is_directory(&job.cwd, job)
}

fn is_directory(path: &OsStr, job: &JobRequest) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.dev() == job.cwd_dev && meta.ino() == job.cwd_ino)
}

/// The source as the command line names it, for messages.
pub(crate) fn source_name(invocation: &Invocation) -> String {
    let source = invocation.source().unwrap_or_default();
    source.to_string_lossy().into_owned()
}

/// The source, if it needs no preprocessing.
///
/// # Errors
/// Why it stays here after all.
pub(crate) fn own_text(job: &JobRequest, invocation: &Invocation) -> Result<Option<Text>, Local> {
    if !invocation.source_is_preprocessed() {
        return Ok(None);
    }
    let source = invocation.source().unwrap_or_default();
    let text = preprocessed_source(job, source)?;
    // Clang is told the directory.
    let is_gcc = invocation.driver().family == cmdline::Family::Gcc;
    if is_gcc && invocation.debug_info() && !names_directory(&text) {
        return Err(Why::DirectoryUnknown.into());
    }
    Ok(Some(text))
}

/// Whether a text begins as GCC's preprocessor writes it for debug information: `# 0 "a.c"`, `# 1 "/directory//"`.
fn names_directory(text: &Text) -> bool {
    let mut head = [0; HEAD_BYTES];
    let len = text.file.read_at(&mut head, 0).unwrap_or_default();
    let mut lines = head[..len].split(|&byte| byte == b'\n').skip(1);
    let second = lines.next().unwrap_or_default();
    second.starts_with(b"# 1 \"/") && second.ends_with(b"//\"")
}

fn preprocessed_source(job: &JobRequest, source: &OsStr) -> Result<Text, Local> {
    let open = || {
        let file = sys::plain_file::open(&Path::new(&job.cwd).join(source))?;
        let len = file.metadata()?.len();
        Ok::<_, std::io::Error>(Text { file, len })
    };
    open().map_err(|_| Why::SourceUnreadable.into())
}
