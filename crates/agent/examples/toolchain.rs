//! Prints what a compiler needs, and what it costs to find out: `toolchain COMPILER [WORD...]`.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::ffi::OsString;
use std::time::{Duration, Instant};

use agent::scanning::find_compiler;
use agent::toolchain::{Call, NoToolchain, Sources, Toolchains};
use store::DigestFunction;

/// How often a known toolchain is asked for.
const CHECKS: u32 = 10_000;

fn main() -> Result<(), NoToolchain> {
    let mut args = std::env::args_os().skip(1);
    let compiler = args.next().unwrap_or_else(|| OsString::from("gcc"));
    let args: Vec<OsString> = args.collect();
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = find_compiler(&compiler, &search);
    let path = found.map_or_else(|| compiler.clone().into(), |(path, _)| path);
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let call = Call {
        compiler: &compiler,
        compiler_path: &path,
        args: &args,
        cwd: &std::env::current_dir().unwrap_or_default(),
        env: &env,
        sources: Sources::Any,
    };
    let toolchains = Toolchains::new(DigestFunction::Sha256, None);
    let start = Instant::now();
    let toolchain = toolchains.identify(&call)?;
    println!("found in {:?}", start.elapsed());
    for entry in toolchain.entries() {
        println!("{entry}");
    }
    println!("program {}", toolchain.program().display());
    for (name, value) in toolchain.env() {
        println!("variable {}={}", name.display(), value.display());
    }
    println!(
        "machine {}, {}",
        toolchain.machine(),
        toolchain.version_text()
    );
    println!("{toolchain}");
    let start = processor_time();
    for _ in 0..CHECKS {
        drop(toolchains.identify(&call)?);
    }
    println!(
        "checked in {:?} of processor time",
        (processor_time() - start) / CHECKS
    );
    Ok(())
}

/// Of this thread, by the kernel's accounting.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}
