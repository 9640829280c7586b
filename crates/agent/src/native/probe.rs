//! The test compile that a toolchain has to pass on a worker before it is used there.
//!
//! A small source is compiled here once for each toolchain, and once on each worker. A worker that makes another object
//! of it, or none (a processor that lacks instructions, a kernel that is too old), is not used for that toolchain.
//!
//! It includes nothing, not even the header that GCC includes by itself, so that the compiler need not be asked what it
//! would find.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cmdline::Language;
use store::Digest;

use super::installed::Installed;
use super::prepare::{Order, Prepared, Preparer};
use super::whole::WhyNot;
use crate::inquiry::ask;
use crate::scanning::Scanning;
use crate::toolchain::{self, told_words};

/// Options besides those that decide about the toolchain: as much of the compiler as possible is to run.
const OPTIONS: &[&str] = &["-g", "-O2", "-c"];

/// Keeps the header out that GCC includes by itself. Headers that the compiler's configuration includes stay.
const ALONE: &str = "-nostdinc";

/// For C and Objective-C. In the latter, GCC takes no declaration in `for` unless it is told a standard.
const C_SOURCE: &str = "\
static const double weights[] = {0.1, 2.5e-3, 1e100};
struct pair { long a; const char *b; };
double farcc_probe(struct pair *p, unsigned n)
{
    double sum = 0;
    unsigned i;
    for (i = 0; i < n; i++)
        sum += weights[i % 3] * (double)p[i].a / (p[i].b ? 3 : 7);
    return sum;
}
";

/// For C++.
const CXX_SOURCE: &str = "\
template <typename T> struct box { T held; T half() const { return held / 2; } };
static double twice(double x) { if (x < 0) throw 1; return box<double>{x * 4}.half(); }
double farcc_probe(double x) { try { return twice(x); } catch (int) { return 0.1; } }
";

/// For assembler.
const ASSEMBLER_SOURCE: &str = "\
#define WORD 42
.globl farcc_probe
farcc_probe: .long WORD
";

/// A test compile and what has to come of it.
#[derive(Debug)]
pub(crate) struct Probe {
    /// For workers.
    pub(crate) prepared: Prepared,
    /// The object that this machine makes.
    pub(crate) object: Bytes,
}

/// Test compiles by toolchain, or why there is none.
pub(super) type Probes = HashMap<Digest, Result<Arc<Probe>, String>>;

impl Preparer {
    /// The test compile of a toolchain.
    ///
    /// # Errors
    /// It fails here.
    pub(super) fn probe(
        &mut self,
        scanning: &mut Scanning,
        order: &Order,
        installed: &Arc<Installed>,
    ) -> Result<Arc<Probe>, WhyNot> {
        let digest = installed.toolchain.digest();
        if let Some(known) = self.probes.get(&digest) {
            return known.clone().map_err(WhyNot::Probe);
        }
        let made = self.make_probe(scanning, order, installed);
        let made = made.map(Arc::new).map_err(|why| match why {
            WhyNot::Probe(why) => why,
            other => other.to_string(),
        });
        self.probes.insert(digest, made.clone());
        made.map_err(WhyNot::Probe)
    }

    fn make_probe(
        &mut self,
        scanning: &mut Scanning,
        order: &Order,
        installed: &Arc<Installed>,
    ) -> Result<Probe, WhyNot> {
        let failed = |error: io::Error| WhyNot::Probe(error.to_string());
        let (kind, text) = source(order.invocation.language());
        fs::create_dir_all(&self.probe_dir).map_err(failed)?;
        // Agents of other namespaces may use the directory at the same time, and have the same process id.
        let own = format!("{}-{}", sys::realm::current().pid_ns, std::process::id());
        let object = self.probe_dir.join(format!("probe-{own}.o"));
        let source = self.probe_dir.join(kind);
        if fs::read(&source).ok().as_deref() != Some(text.as_bytes()) {
            let draft = self.probe_dir.join(format!("draft-{own}"));
            fs::write(&draft, text).map_err(failed)?;
            fs::rename(&draft, &source).map_err(failed)?;
        }
        let is_alone = installed.toolchain.implied_includes().is_empty();
        let order = probe_order(order, is_alone, &source, &object)?;
        let prepared = if is_alone {
            let found = scanning.scan_alone(&order.compile());
            self.of_found(&order, &found, installed)?
        } else {
            self.of_scan(scanning, &order, installed)?
        };
        let object = compile_here(&order, &object)?;
        Ok(Probe { prepared, object })
    }
}

/// Name and text of the source.
fn source(language: Option<Language>) -> (&'static str, &'static str) {
    match language {
        Some(Language::C) => ("probe.c", C_SOURCE),
        Some(Language::ObjC) => ("probe.m", C_SOURCE),
        Some(Language::Cxx) => ("probe.cc", CXX_SOURCE),
        Some(Language::ObjCxx) => ("probe.mm", CXX_SOURCE),
        None => ("probe.S", ASSEMBLER_SOURCE),
    }
}

fn probe_order(
    order: &Order,
    is_alone: bool,
    source: &Path,
    object: &PathBuf,
) -> Result<Order, WhyNot> {
    let mut words = told_words(order.invocation.args());
    words.extend(OPTIONS.iter().map(OsString::from));
    words.extend(is_alone.then(|| ALONE.into()));
    if let Some(language) = order.invocation.language() {
        // `g++ -x c` would take the source for C++ by its name.
        words.extend(["-x".into(), language.name().into()]);
    }
    words.extend([source.into(), "-o".into(), object.into()]);
    let invocation = cmdline::parse(&words, order.invocation.driver(), &mut |_| None);
    let command = invocation
        .action()
        .map_err(|(why, _)| WhyNot::Probe(why.to_string()))?;
    Ok(Order {
        invocation: Arc::new(invocation),
        command,
        specs: None,
        ..order.clone()
    })
}

fn compile_here(order: &Order, object: &Path) -> Result<Bytes, WhyNot> {
    let failed = |error: io::Error| WhyNot::Probe(error.to_string());
    let mut command = toolchain::command(&order.call())?;
    let output = ask(&mut command, b"").map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        return Err(WhyNot::Probe(format!("{}: {said}", output.status)));
    }
    let bytes = fs::read(object).map_err(failed)?;
    // Nobody needs it any more; the next one replaces it anyhow.
    fs::remove_file(object).unwrap_or_default();
    Ok(bytes.into())
}
