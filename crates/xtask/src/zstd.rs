//! The project that demo and benchmarks build: zstd's library, from the package that carries it
//! in the Rust package registry, with a makefile and a small program that uses it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::corpus::{self, ZSTD};
use e2e::workspace::Workspace;

/// Flags as zstd's own makefile has them.
const FLAGS: &str = "-O3 -Wall -Ilib -DXXH_NAMESPACE=ZSTD_ -DZSTD_MULTITHREAD";

/// Where the project is in a workspace's `src`.
const DIR: &str = "zstd";

/// Compresses and decompresses a megabyte and compares.
const ROUND_TRIP: &str = r#"#include <stdio.h>
#include <string.h>
#include "zstd.h"

static unsigned char text[1 << 20], packed[1 << 21], back[1 << 20];

int main(void) {
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i * i >> 7);
    size_t packed_len = ZSTD_compress(packed, sizeof packed, text, sizeof text, 3);
    if (ZSTD_isError(packed_len))
        return 1;
    size_t back_len = ZSTD_decompress(back, sizeof back, packed, packed_len);
    if (back_len != sizeof text || memcmp(text, back, back_len))
        return 2;
    printf("zstd %s: %zu bytes to %zu and back\n", ZSTD_versionString(), back_len, packed_len);
    return 0;
}
"#;

/// The project, laid out in a workspace.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// C files, relative to it.
    pub(crate) units: Vec<String>,
    /// Lines of all its C files and headers.
    pub(crate) lines: usize,
}

impl Project {
    /// Fetches the sources and writes the makefile.
    pub(crate) fn lay_out(workspace: &Workspace) -> Result<Self, String> {
        let dir = workspace.src(DIR);
        corpus::copy(ZSTD, &dir)?;
        workspace.write(&format!("{DIR}/roundtrip.c"), ROUND_TRIP);
        let mut sources = Vec::new();
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", dir.display());
        walk(&dir.join("lib"), &mut sources).map_err(failed)?;
        sources.sort();
        let mut lines = 0;
        for path in &sources {
            lines += fs::read(path)
                .map_err(failed)?
                .split(|&byte| byte == b'\n')
                .count();
        }
        let mut units: Vec<String> = sources
            .iter()
            .filter(|path| has_extension(path, &["c"]))
            .filter_map(|path| Some(path.strip_prefix(&dir).ok()?.display().to_string()))
            .collect();
        units.push("roundtrip.c".into());
        workspace.write(&format!("{DIR}/Makefile"), &makefile(&units));
        Ok(Self { dir, units, lines })
    }

    /// What this is, for people.
    pub(crate) fn description(&self) -> String {
        format!(
            "{} (package {} {}): {} C files, {} lines",
            ZSTD.name,
            ZSTD.package,
            ZSTD.version,
            self.units.len(),
            self.lines
        )
    }

    /// `make` for it, with a compiler.
    pub(crate) fn make(&self, workspace: &Workspace, jobs: usize, compiler: &str) -> Command {
        let mut command = workspace.line(&format!("make -s -j{jobs} roundtrip"));
        command.arg(format!("CC={compiler}")).current_dir(&self.dir);
        command
    }

    /// Arguments that compile one unit.
    pub(crate) fn compile_args(unit: &str) -> Vec<String> {
        let words = FLAGS.split(' ').chain(["-c", unit, "-o"]);
        let mut args: Vec<String> = words.map(str::to_owned).collect();
        args.push(object(unit));
        args
    }

    /// All objects, relative to the directory.
    pub(crate) fn objects(&self) -> impl Iterator<Item = String> {
        self.units.iter().map(|unit| object(unit))
    }

    /// Takes what was made away and returns it.
    pub(crate) fn take_objects(&self) -> Result<Vec<Vec<u8>>, String> {
        let take = |name: String| {
            let path = self.dir.join(name);
            let failed = |error| format!("no object {}: {error}", path.display());
            let bytes = fs::read(&path).map_err(failed)?;
            fs::remove_file(&path).map_err(failed)?;
            Ok(bytes)
        };
        let objects: Result<Vec<_>, String> = self.objects().map(take).collect();
        let _absent_without_link = fs::remove_file(self.dir.join("roundtrip"));
        objects
    }
}

fn object(unit: &str) -> String {
    Path::new(unit).with_extension("o").display().to_string()
}

/// One object of zstd's is written in assembler; the compiler's driver takes it like the others.
fn makefile(units: &[String]) -> String {
    let objects: Vec<_> = units.iter().map(|unit| object(unit)).collect();
    let assembler = "lib/decompress/huf_decompress_amd64.o";
    format!(
        "CFLAGS = {FLAGS}\nroundtrip: {0} {assembler}\n\t$(CC) -o $@ $^ -lpthread\n\
         {assembler}: lib/decompress/huf_decompress_amd64.S\n\t$(CC) $(CFLAGS) -c $< -o $@\n",
        objects.join(" ")
    )
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.contains(&extension))
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if has_extension(&path, &["c", "h"]) {
            files.push(path);
        }
    }
    Ok(())
}
