//! The story of one identification: from a command line to the list of everything that its compiler needs.
//!
//! Asked once, the compiler names its programs and what configures it; the loader names their libraries; the rest
//! (locale, character sets, the loader's cache, what Clang looks at) is known from how these programs work. Every file
//! is then hashed. What was relied upon is noted on the way, before it is read, so that a change shows however late it
//! comes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cmdline::Family;
use store::Digest;

use super::answer::Answer;
use super::call::Compiler;
use super::digests::Digests;
use super::manifest::{self, Content, Entry, Node};
use super::places::{Place, Places};
use super::programs::Programs;
use super::relied::Relied;
use super::why::NoToolchain;
use super::words::Words;
use super::{
    Call, Toolchain, ask, call, clang, elf, ld_cache, libraries, locale, path_variable,
    search_path, variable,
};

/// Most bytes of all files together. The largest compilers with all their libraries have half a gigabyte.
const BYTES_MAX: u64 = 4 << 30;

/// Variables that change what a compiler does in ways that nobody follows here.
const REFUSED_VARIABLES: &[&str] = &["CCC_OVERRIDE_OPTIONS", "LOCPATH"];

/// Variables that lead GCC to its programs. They keep their values in a root.
const KEPT_VARIABLES: &[&str] = &["COMPILER_PATH", "GCC_EXEC_PREFIX"];

/// Finds out what a compile's compiler is made of, and what that answer relies on; the latter also if there is none.
pub(super) fn identify(
    call: &Call<'_>,
    words: &Words,
    digests: &Digests,
) -> (Result<Toolchain, NoToolchain>, Relied) {
    let mut places = Places::new();
    places.relied.on(&call.cwd.join(call.compiler_path));
    match collect(call, words, &mut places) {
        Err(why) => (Err(why), places.finish().1),
        Ok(parts) => {
            let (places, relied) = places.finish();
            (finish(parts, places, &relied, digests), relied)
        }
    }
}

/// What is known of a toolchain besides its places.
struct Parts {
    compiler: Compiler,
    answer: Answer,
    machine: &'static str,
    env: Vec<(OsString, OsString)>,
}

fn collect(call: &Call<'_>, words: &Words, places: &mut Places) -> Result<Parts, NoToolchain> {
    if let Some(word) = &words.refused {
        return Err(NoToolchain::Option { word: word.clone() });
    }
    let refused = |name: &&&str| variable(call.env, name).is_some();
    if let Some(name) = REFUSED_VARIABLES.iter().find(refused) {
        return Err(NoToolchain::Variable { name });
    }
    let compiler = call::find(call)?;
    // A script would be run by the question.
    elf::read(&compiler.path)?;
    let answer = ask::ask(call, &compiler, words)?;
    let programs = Programs::collect(call, &compiler, &answer, places)?;
    let plugins = plugins(call, words, &compiler, &answer, places)?;
    let libraries = add_libraries(call, &programs, &plugins, places)?;
    match answer.family {
        Family::Gcc => gcc(call, &compiler, words, &answer, places)?,
        Family::Clang => clang::collect(&answer, places)?,
    }
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    for name in KEPT_VARIABLES {
        env.extend(variable(call.env, name).map(|value| ((*name).into(), value.to_owned())));
    }
    let kept = |name: &str, value: OsString| (!value.is_empty()).then(|| (name.into(), value));
    let path = path_variable(call.env);
    env.extend(kept("PATH", search_path::reduced(path, &programs.spelled)));
    let dirs = variable(call.env, libraries::SEARCH_VARIABLE).unwrap_or_default();
    env.extend(kept(
        libraries::SEARCH_VARIABLE,
        libraries::reduced(dirs, &libraries),
    ));
    if programs.speak(&answer) {
        env.extend(language(call, words, &programs, &libraries, places)?);
    }
    Ok(Parts {
        compiler,
        answer,
        machine: programs.machine,
        env,
    })
}

/// What GCC's driver reads and looks at.
fn gcc(
    call: &Call<'_>,
    compiler: &Compiler,
    words: &Words,
    answer: &Answer,
    places: &mut Places,
) -> Result<(), NoToolchain> {
    for specs in &answer.configured_by {
        places.program(&call.cwd.join(specs))?;
    }
    let header_dirs = ask::header_dirs(call, compiler, words);
    let dirs = answer.program_dirs.iter().chain(&answer.library_dirs);
    for dir in dirs.chain(&header_dirs) {
        places.dir_if_any(&call.cwd.join(dir));
    }
    for dir in &answer.library_dirs {
        places.relied.on(&call.cwd.join(dir).join("specs"));
    }
    Ok(())
}

/// Plugins by their real names: Clang takes paths, GCC also the names of plugins in its own directory.
fn plugins(
    call: &Call<'_>,
    words: &Words,
    compiler: &Compiler,
    answer: &Answer,
    places: &mut Places,
) -> Result<Vec<PathBuf>, NoToolchain> {
    let mut found = Vec::new();
    for name in &words.plugins {
        let is_path = name.as_bytes().contains(&b'/') || name.as_bytes().ends_with(b".so");
        let path = if is_path || answer.family == Family::Clang {
            call.cwd.join(name)
        } else {
            let mut file = name.clone();
            file.push(".so");
            ask::plugin_dir(call, compiler, words)?.join(file)
        };
        places.program(&path)?;
        found.push(path);
    }
    Ok(found)
}

/// The libraries of all programs, the files that lead to them, and all their paths as the loader says them.
fn add_libraries(
    call: &Call<'_>,
    programs: &Programs,
    plugins: &[PathBuf],
    places: &mut Places,
) -> Result<Vec<PathBuf>, NoToolchain> {
    let mut all = BTreeSet::new();
    let mut loaders: BTreeSet<&Path> = BTreeSet::new();
    for (program, head) in &programs.heads {
        if let Some(loader) = &head.loader {
            loaders.insert(loader);
            all.extend(libraries::of(call, program, loader)?);
        }
    }
    for plugin in plugins {
        for loader in &loaders {
            all.extend(libraries::of(call, plugin, loader)?);
        }
    }
    for library in &all {
        places.program(library)?;
    }
    for loader in &loaders {
        if let Some(file) = libraries::search_file(loader) {
            places.data_if_any(&file)?;
        }
    }
    let cache = Path::new(ld_cache::PATH);
    places.relied.on(cache);
    let is_small = fs::metadata(cache).is_ok_and(|meta| meta.len() <= ld_cache::BYTES_MAX);
    if is_small && !loaders.is_empty() {
        let bytes = fs::read(cache).map_err(|error| NoToolchain::unreadable(cache, error))?;
        let is_needed = |path: &[u8]| all.contains(Path::new(std::ffi::OsStr::from_bytes(path)));
        if let Some(made) = ld_cache::reduced(&bytes, is_needed) {
            places.made(cache, Arc::from(made))?;
        }
    }
    Ok(all.into_iter().collect())
}

/// Locale, catalogs and character sets, and the variables that name them.
fn language(
    call: &Call<'_>,
    words: &Words,
    programs: &Programs,
    libraries: &[PathBuf],
    places: &mut Places,
) -> Result<Vec<(OsString, OsString)>, NoToolchain> {
    let speakers: Vec<PathBuf> = programs.heads.keys().cloned().collect();
    let locale = locale::collect(call.env, &speakers, places)?;
    let all_modules = words.charset || locale.modules;
    let is_c_library = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "libc.so.6");
    if (all_modules || !locale.env.is_empty())
        && let Some(c_library) = libraries.iter().find(is_c_library)
    {
        locale::modules(c_library, all_modules, places)?;
    }
    Ok(locale.env)
}

fn finish(
    parts: Parts,
    places: Vec<(PathBuf, Place)>,
    relied: &Relied,
    digests: &Digests,
) -> Result<Toolchain, NoToolchain> {
    let sizes = places.iter().map(|(path, place)| match place {
        Place::File => relied.stamp(path).map_or(0, |stamp| stamp.size),
        Place::Made(bytes) => bytes.len() as u64,
        Place::Link(_) | Place::Dir => 0,
    });
    let bytes: u64 = sizes.sum();
    if bytes > BYTES_MAX {
        return Err(NoToolchain::TooLarge {
            bytes,
            most: BYTES_MAX,
        });
    }
    let mut entries = Vec::with_capacity(places.len());
    for (path, place) in places {
        let node = node(&path, place, relied, digests)?;
        entries.push(Entry { path, node });
    }
    digests.keep();
    let is_file = |entry: &&Entry| matches!(entry.node, Node::File { .. });
    Ok(Toolchain {
        digest: manifest::identity(digests.function(), &entries),
        files: entries.iter().filter(is_file).count(),
        bytes,
        program: parts.compiler.name_in_root,
        env: parts.env,
        implied: parts.answer.implied_includes(),
        family: parts.answer.family,
        version: parts.answer.version,
        version_text: parts.answer.version_text,
        machine: parts.machine,
        entries,
    })
}

fn node(
    path: &Path,
    place: Place,
    relied: &Relied,
    digests: &Digests,
) -> Result<Node, NoToolchain> {
    Ok(match place {
        Place::Dir => Node::Dir,
        Place::Link(target) => Node::Link { target },
        Place::Made(bytes) => Node::File {
            digest: Digest::of(digests.function(), &bytes),
            executable: false,
            content: Content::Bytes(bytes),
        },
        Place::File => {
            let changing = || NoToolchain::Changing {
                path: path.to_owned(),
            };
            let stamp = relied.stamp(path).ok_or_else(changing)?;
            let metadata = fs::metadata(path).map_err(|_| changing())?;
            Node::File {
                digest: digests.of(path, stamp)?,
                executable: metadata.permissions().mode() & 0o111 != 0,
                content: Content::Disk,
            }
        }
    })
}
