//! An action whose source was preprocessed here: the text lies at the source's place, under its name.
//!
//! Which text that is, and which command compiles it, is `cmdline`'s to say (`Invocation::text_action`). Its input root
//! holds the toolchain, the text and the directories that the command line names, and no header.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use cmdline::Family;
use reapi::Entry;
use store::Digest;

use super::inputs::{Inputs, Named, below_root, pwd};
use super::prepare::{Order, Prepared, Preparer};
use super::whole::WhyNot;

/// What becomes the name of a file.
const FILE_NAMES: &[&[u8]] = &[b"__FILE", b"__builtin_FILE", b"__builtin_source_location"];

/// What the preprocessor wrote.
#[derive(Debug)]
pub(crate) struct TextFile {
    pub(crate) file: File,
    pub(crate) len: u64,
}

impl TextFile {
    fn read(&self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl Preparer {
    /// Prepares a compile of a text. The order's command is that for texts.
    ///
    /// # Errors
    /// Why it cannot go to a worker.
    pub(crate) fn prepare_text(
        &mut self,
        toolchains: &crate::toolchain::Toolchains,
        order: &Order,
        text: &TextFile,
    ) -> Result<Prepared, WhyNot> {
        let installed = self.toolchain(toolchains, order)?;
        if !installed.toolchain.implied_includes().is_empty() {
            return Err(WhyNot::Text(
                "a header that the compiler includes by itself",
            ));
        }
        let written = text
            .read()
            .map_err(|error| WhyNot::Unreadable(error.to_string()))?;
        look_for_what_differs(&written, order.invocation.driver().family)?;
        let text = Bytes::from(order.invocation.text_of(written));
        let digest = Digest::of(self.function, &text);

        let mut inputs = Inputs::new();
        inputs.named(
            &mut self.places,
            Named {
                cwd: &order.cwd,
                pwd: pwd(&order.env, &order.cwd),
                named: &order.command.named,
            },
        )?;
        let source = order.invocation.source().unwrap_or_default();
        let path = order.cwd.join(source);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(WhyNot::Word(source.to_owned()));
        };
        let way = inputs.directory(&mut self.places, parent, None)?;
        let place = way.place.join(name);
        let entry = Entry::File {
            digest,
            is_executable: false,
        };
        inputs
            .root
            .add(below_root(&place)?, entry)
            .map_err(super::inputs::NoInputs::from)?;

        let tells_time = has(&text, b"__DATE__") || has(&text, b"__TIME__");
        let mut prepared = self.finish(order, inputs, &installed, tells_time)?;
        prepared.text = Some((digest, text));
        Ok(prepared)
    }
}

/// Macros are still macros in a text. Some say what only this machine knows; and GCC, which does not expand them while
/// it writes such a text, does not see which `_Pragma` changes others.
fn look_for_what_differs(text: &[u8], family: Family) -> Result<(), WhyNot> {
    if has(text, b"__TIMESTAMP__") {
        return Err(WhyNot::Timestamp);
    }
    // Clang has one name for a header that is included under several, and another one while it writes a text.
    if family == Family::Clang && FILE_NAMES.iter().any(|name| has(text, name)) {
        return Err(WhyNot::Text("names of files (`__FILE__`)"));
    }
    let changes_macros = has(text, b"push_macro") || has(text, b"pop_macro");
    if family == Family::Gcc && changes_macros && has(text, b"_Pragma") {
        return Err(WhyNot::Text("a `_Pragma` that may change macros"));
    }
    Ok(())
}

fn has(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_mean_something_else_elsewhere_are_noticed() {
        let gcc = |text: &str| look_for_what_differs(text.as_bytes(), Family::Gcc);
        assert!(gcc("int x = __LINE__; _Pragma(\"GCC poison y\")").is_ok());
        assert!(gcc("#pragma push_macro(\"x\")").is_ok());
        assert!(matches!(
            gcc("char *t = __TIMESTAMP__;"),
            Err(WhyNot::Timestamp)
        ));
        let text = "_Pragma(\"push_macro(\\\"x\\\")\")";
        assert!(matches!(gcc(text), Err(WhyNot::Text(_))));
        let clang = |text: &str| look_for_what_differs(text.as_bytes(), Family::Clang);
        assert!(clang(text).is_ok());
        assert!(gcc("__FILE__").is_ok() && clang("__FILE__").is_err());
    }
}
