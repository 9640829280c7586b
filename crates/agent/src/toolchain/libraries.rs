//! Which shared libraries a program needs: its loader is asked (`ld.so --list`, what `ldd` does).
//!
//! Only the loader knows where it looks (directories built into it, its cache, `RPATH`, `RUNPATH`, `LD_LIBRARY_PATH`,
//! variants for better processors), and its answer is right by definition. It maps the program and runs nothing of it.
//!
//! A variant for better processors (`glibc-hwcaps`) is replaced by the library for all of them where there is one:
//! another machine may not have this processor.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::why::NoToolchain;
use super::{Call, variable};
use crate::inquiry;

/// The variable that leads loaders to other directories.
pub(super) const SEARCH_VARIABLE: &str = "LD_LIBRARY_PATH";

/// Libraries that the kernel provides, by the beginning of their names.
const FROM_KERNEL: &[&str] = &["linux-gate", "linux-vdso"];

/// The directory of variants.
const VARIANTS: &str = "glibc-hwcaps";

/// Libraries that a program or another library needs, all levels of them, the loader included.
///
/// # Errors
/// One is missing, or the loader does not say.
pub(super) fn of(
    call: &Call<'_>,
    program: &Path,
    loader: &Path,
) -> Result<Vec<PathBuf>, NoToolchain> {
    let mut command = Command::new(loader);
    command
        .arg("--list")
        .arg(program)
        .current_dir(call.cwd)
        .env_clear()
        .env("LC_ALL", "C");
    if let Some(dirs) = variable(call.env, SEARCH_VARIABLE) {
        command.env(SEARCH_VARIABLE, dirs);
    }
    let refusal = |said: &[u8]| NoToolchain::Loader {
        loader: loader.to_owned(),
        program: program.to_owned(),
        said: String::from_utf8_lossy(said).into_owned(),
    };
    let output =
        inquiry::ask(&mut command, b"").map_err(|error| NoToolchain::unreadable(loader, error))?;
    let listed = read(&output.stdout).map_err(|library| NoToolchain::NoLibrary {
        program: program.to_owned(),
        library,
    })?;
    if !output.status.success() {
        return Err(refusal(&output.stderr));
    }
    if let Some(path) = listed.iter().find(|path| path.is_relative()) {
        return Err(refusal(
            format!("{} is relative to the working directory", path.display()).as_bytes(),
        ));
    }
    let mut libraries: Vec<PathBuf> = listed.into_iter().map(common).collect();
    libraries.push(loader.to_owned());
    Ok(libraries)
}

/// Reads the loader's list: `name => path (address)` or `path (address)`.
///
/// # Errors
/// The name of a library that is missing.
fn read(list: &[u8]) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in list.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        let arrow = memchr::memmem::find(line, b" => ");
        let (name, path) = match arrow {
            Some(at) => (&line[..at], &line[at + 4..]),
            None => (line, line),
        };
        if FROM_KERNEL
            .iter()
            .any(|known| name.starts_with(known.as_bytes()))
        {
            continue;
        }
        if arrow.is_some() && path.starts_with(b"not found") {
            return Err(String::from_utf8_lossy(name).into_owned());
        }
        let Some(address) = memchr::memmem::rfind(path, b" (0x") else {
            continue;
        };
        let path = &path[..address];
        if path.contains(&b'/') {
            paths.push(OsString::from_vec(path.to_vec()).into());
        }
    }
    Ok(paths)
}

/// The library for all processors, if a variant has one beside it.
fn common(path: PathBuf) -> PathBuf {
    let variant = path.parent();
    let variants = variant.and_then(Path::parent);
    match (variants, path.file_name()) {
        (Some(dir), Some(name)) if dir.file_name() == Some(OsStr::new(VARIANTS)) => {
            let common = dir.with_file_name(name);
            if common.is_file() { common } else { path }
        }
        _ => path,
    }
}

/// The value of [`SEARCH_VARIABLE`] without the directories that none of the libraries comes from.
pub(super) fn reduced(dirs: &OsStr, libraries: &[PathBuf]) -> OsString {
    let kept = dirs
        .as_bytes()
        .split(|byte| matches!(byte, b':' | b';'))
        .filter(|dir| {
            let dir = Path::new(OsStr::from_bytes(dir));
            dir.is_absolute() && libraries.iter().any(|path| path.starts_with(dir))
        });
    OsString::from_vec(kept.collect::<Vec<_>>().join(&b':'))
}

/// The file with the search path of musl's loader; glibc has a cache instead.
pub(super) fn search_file(loader: &Path) -> Option<PathBuf> {
    let name = loader.file_name()?.to_str()?;
    let machine = name.strip_prefix("ld-musl-")?.strip_suffix(".so.1")?;
    Some(format!("/etc/ld-musl-{machine}.path").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_loaders() {
        let list = b"\tlinux-vdso.so.1 (0x00007f5)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\
            \tliba.so => /opt/with (0x1)/liba.so (0x7)\n\t/lib64/ld-linux-x86-64.so.2 (0x0)\n";
        let expect = [
            "/lib/x/libc.so.6",
            "/opt/with (0x1)/liba.so",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(read(list).unwrap(), expect.map(PathBuf::from));
        assert_eq!(
            read(b"\tlibx.so.1 => not found\n").unwrap_err(),
            "libx.so.1"
        );
        assert!(read(b"\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn variants_for_better_processors() {
        let temp = tempfile::tempdir().unwrap();
        let variant = temp.path().join("glibc-hwcaps/x86-64-v3/liba.so");
        std::fs::create_dir_all(variant.parent().unwrap()).unwrap();
        assert_eq!(common(variant.clone()), variant);
        std::fs::write(temp.path().join("liba.so"), "").unwrap();
        assert_eq!(common(variant), temp.path().join("liba.so"));
    }

    #[test]
    fn search_variables() {
        let libraries = ["/opt/lib/liba.so", "/lib/libc.so"].map(PathBuf::from);
        let check = |dirs, expect| assert_eq!(reduced(OsStr::new(dirs), &libraries), expect);
        check("/opt/lib:/usr/games:rel:", "/opt/lib");
        check("/nothing", "");
        assert_eq!(
            search_file(Path::new("/lib/ld-musl-x86_64.so.1")),
            Some("/etc/ld-musl-x86_64.path".into())
        );
        assert_eq!(search_file(Path::new("/lib64/ld-linux-x86-64.so.2")), None);
    }
}
