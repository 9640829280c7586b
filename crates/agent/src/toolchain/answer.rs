//! What a compiler says of itself when it is asked for what it would run (`-v -###`).
//!
//! GCC names its programs, the specs files that it read and the directories in which it looks for programs; Clang its
//! configuration files, its inner commands and the GCC whose headers it uses. Reading that text is pure; asking is in
//! `ask`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use cmdline::Family;

/// An answer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) family: Family,
    /// `12.2.0`.
    pub(super) version: String,
    /// The whole line that tells it.
    pub(super) version_text: String,
    /// GCC: as the driver that answers was called. Another program than the one asked means that one is a wrapper.
    pub(super) called: Option<OsString>,
    /// Specs files (GCC) and configuration files (Clang) that were read.
    pub(super) configured_by: Vec<PathBuf>,
    /// Clang: the GCC installation that it takes headers from.
    pub(super) gcc_installation: Option<PathBuf>,
    /// Clang: where it believes to be installed.
    pub(super) installed_in: Option<PathBuf>,
    /// GCC: directories in which it looks for programs.
    pub(super) program_dirs: Vec<PathBuf>,
    /// GCC: directories in which it looks for libraries, and for specs files.
    pub(super) library_dirs: Vec<PathBuf>,
    /// The commands that it would run, each with the program first.
    pub(super) commands: Vec<Vec<OsString>>,
}

/// Reads what a compiler printed on standard error. `None` if that is neither GCC's nor Clang's.
pub(super) fn read(stderr: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(stderr);
    let (family, version_text) = text.lines().find_map(version_line)?;
    let mut it = Answer {
        family,
        version: version_of(version_text),
        version_text: version_text.trim().to_owned(),
        called: None,
        configured_by: Vec::new(),
        gcc_installation: None,
        installed_in: None,
        program_dirs: Vec::new(),
        library_dirs: Vec::new(),
        commands: commands(stderr),
    };
    for line in stderr.split(|&byte| byte == b'\n') {
        it.line(line);
    }
    Some(it)
}

impl Answer {
    fn line(&mut self, line: &[u8]) {
        let path = |prefix: &str| line.strip_prefix(prefix.as_bytes()).map(to_path);
        if let Some(path) = path("Reading specs from ").or_else(|| path("Configuration file: ")) {
            self.configured_by.push(path);
        } else if let Some(path) = path("COLLECT_GCC=") {
            self.called = Some(path.into_os_string());
        } else if let Some(path) = path("Selected GCC installation: ") {
            self.gcc_installation = Some(path);
        } else if let Some(path) = path("InstalledDir: ") {
            self.installed_in = Some(path);
        } else if let Some(dirs) = line.strip_prefix(b"COMPILER_PATH=") {
            self.program_dirs = to_paths(dirs);
        } else if let Some(dirs) = line.strip_prefix(b"LIBRARY_PATH=") {
            self.library_dirs = to_paths(dirs);
        }
    }

    /// Adds what the same compiler says for another language.
    pub(super) fn merge(&mut self, other: Self) {
        let add = |list: &mut Vec<PathBuf>, more: Vec<PathBuf>| {
            for path in more {
                if !list.contains(&path) {
                    list.push(path);
                }
            }
        };
        add(&mut self.configured_by, other.configured_by);
        add(&mut self.program_dirs, other.program_dirs);
        add(&mut self.library_dirs, other.library_dirs);
        self.commands.extend(other.commands);
    }

    /// Options that the compiler gives to its inner programs by itself and that add files to every source.
    pub(super) fn implied_includes(&self) -> Vec<OsString> {
        let mut implied = Vec::new();
        for pair in self.commands.iter().flat_map(|words| words.windows(2)) {
            let is_include = pair[0] == "-include" || pair[0] == "-imacros";
            if is_include && !implied.chunks(2).any(|known| known == pair) {
                implied.extend_from_slice(pair);
            }
        }
        implied
    }
}

/// Reads the directories of headers that a compiler prints on standard error for `-v -E`.
pub(super) fn header_dirs(stderr: &[u8]) -> Vec<PathBuf> {
    let lines = stderr.split(|&byte| byte == b'\n');
    let from_start = lines.skip_while(|line| !line.starts_with(b"#include <...>"));
    let dirs = from_start.skip(1).map_while(|line| line.strip_prefix(b" "));
    dirs.map(to_path).collect()
}

fn version_line(line: &str) -> Option<(Family, &str)> {
    if line.starts_with("gcc version ") {
        Some((Family::Gcc, line))
    } else if line.contains("clang version ") {
        Some((Family::Clang, line))
    } else {
        None
    }
}

/// `12.2.0` of `gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)`.
fn version_of(line: &str) -> String {
    let (_, rest) = line.split_once("version ").unwrap_or(("", line));
    rest.split_whitespace().next().unwrap_or("").to_owned()
}

fn commands(stderr: &[u8]) -> Vec<Vec<OsString>> {
    cmdline::native::inner_commands(stderr)
        .map(|words| words.into_iter().map(OsString::from_vec).collect())
        .collect()
}

fn to_path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

fn to_paths(bytes: &[u8]) -> Vec<PathBuf> {
    let dirs = bytes.split(|&byte| byte == b':');
    let mut paths = Vec::new();
    for dir in dirs.filter(|dir| !dir.is_empty()).map(to_path) {
        if !paths.contains(&dir) {
            paths.push(dir);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn gcc() {
        let text = b"Reading specs from /usr/lib/gcc/x/12/specs\nCOLLECT_GCC=/opt/cc.real\nTarget: x\n\
            gcc version 12.2.0 (Debian 12.2.0-14+deb12u1) \nCOLLECT_GCC_OPTIONS='-v'\n \
            /usr/lib/gcc/x/12/cc1 -quiet -include /etc/forced.h \"-mtune=generic\" /dev/null -o /tmp/x.s\n \
            as --64 -o null.o /tmp/x.s\nCOMPILER_PATH=/usr/lib/gcc/x/12/:/usr/lib/gcc/x/12/:/usr/lib/gcc/\n\
            LIBRARY_PATH=/lib/\n";
        let it = read(text).unwrap();
        assert_eq!(it.family, Family::Gcc);
        assert_eq!(it.version, "12.2.0");
        assert_eq!(
            it.version_text,
            "gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)"
        );
        assert_eq!(it.called, Some("/opt/cc.real".into()));
        assert_eq!(it.configured_by, [Path::new("/usr/lib/gcc/x/12/specs")]);
        assert_eq!(it.program_dirs.len(), 2);
        assert_eq!(it.commands.len(), 2);
        assert_eq!(it.commands[1][0], "as");
        assert_eq!(it.implied_includes(), ["-include", "/etc/forced.h"]);
    }

    #[test]
    fn clang() {
        let text = b"Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu\nInstalledDir: /usr/bin\n\
            Configuration file: /etc/clang/clang.cfg\nSelected GCC installation: /usr/bin/../lib/gcc/x/12\n \
            (in-process)\n \"/usr/lib/llvm-14/bin/clang\" \"-cc1\" \"-o\" \"null.o\"\n";
        let it = read(text).unwrap();
        assert_eq!(it.family, Family::Clang);
        assert_eq!(it.version, "14.0.6");
        assert_eq!(it.installed_in.as_deref(), Some(Path::new("/usr/bin")));
        assert_eq!(it.configured_by, [Path::new("/etc/clang/clang.cfg")]);
        assert_eq!(
            it.gcc_installation.as_deref(),
            Some(Path::new("/usr/bin/../lib/gcc/x/12"))
        );
        assert_eq!(
            it.commands,
            [["/usr/lib/llvm-14/bin/clang", "-cc1", "-o", "null.o"]]
        );
    }

    #[test]
    fn directories_of_headers() {
        let text = b"ignoring x\n#include \"...\" search starts here:\n#include <...> search starts here:\n \
            /usr/lib/gcc/include\n /usr/include\nEnd of search list.\n x\n";
        assert_eq!(
            header_dirs(text),
            ["/usr/lib/gcc/include", "/usr/include"].map(PathBuf::from)
        );
        assert!(header_dirs(b"nothing").is_empty());
    }

    #[test]
    fn others() {
        assert_eq!(read(b"tcc version 0.9.27 (x86_64 Linux)\n"), None);
        assert_eq!(read(b""), None);
    }
}
