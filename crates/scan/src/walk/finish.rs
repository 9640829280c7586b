//! The end of a scan: from what is kept between scans to what callers see.

use std::sync::Arc;

use super::{UseIndex, Walk};
use crate::files::Found;
use crate::parsed::Parsed;
use crate::reads::Reading;
use crate::report::{FileUse, Scan, UnknownCondition, Why};

impl Walk<'_> {
    pub(super) fn finish(mut self) -> Scan {
        let mut of_file: Option<(usize, Option<Arc<Parsed>>)> = None;
        let uses = std::mem::take(&mut self.uses);
        let mut files = Vec::with_capacity(uses.len());
        for it in &uses {
            let node = it.node;
            let from = it.from.map(UseIndex::get);
            let line = match from {
                Some(from) if it.spot > 0 => {
                    if of_file.as_ref().is_none_or(|known| known.0 != from) {
                        of_file = Some((from, self.parsed_of(from, &uses[from])));
                    }
                    line_of(&of_file, it.spot)
                }
                _ => 0,
            };
            files.push(FileUse {
                name: self.scanner.tree.name(node),
                from,
                line,
                why: it.why,
                stamp: match self.scanner.tree.look(node, self.files) {
                    Found::File(stamp) => Some(stamp),
                    _ => None,
                },
            });
        }
        for it in std::mem::take(&mut self.unknown) {
            if let Some(from) = uses.get(it.file) {
                of_file = Some((it.file, self.parsed_of(it.file, from)));
            }
            let line = line_of(&of_file, it.spot);
            let file = it.file;
            self.out.unknown.push(UnknownCondition { file, line });
        }
        self.out.files = files;
        self.out
    }

    /// A file of the set, as it is now.
    fn parsed_of(&mut self, index: usize, it: &super::Use) -> Option<Arc<Parsed>> {
        let reading = match it.why {
            _ if index == 0 => self.reading,
            Why::Assembler => Reading::Assembler,
            _ => Reading::Source,
        };
        let parsed = self.scanner.parsed(self.files, it.node, self.mode, reading);
        parsed.ok()
    }
}

/// The line of a directive, by its number from 1.
fn line_of(of_file: &Option<(usize, Option<Arc<Parsed>>)>, spot: u32) -> u32 {
    let lines = of_file.as_ref().and_then(|known| known.1.as_ref());
    let line = lines.and_then(|parsed| parsed.lines.get((spot as usize).checked_sub(1)?));
    line.copied().unwrap_or(0)
}
