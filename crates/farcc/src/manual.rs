//! The manual pages of all programs.
//!
//! Synopsis and options come from clap; for programs that do not use clap (the shim must stay
//! small, `distccd` has distcc's own option rules) a clap command is written down here for this
//! purpose only. What clap has no place for follows as sections of text.

mod pages;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit::Exit;

/// One page: what clap says, then more sections.
pub(crate) struct Page {
    pub(crate) command: clap::Command,
    pub(crate) sections: &'static [Section],
}

/// A section of a page.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// Paragraphs, divided by empty lines. A paragraph `NAME: text` of a list becomes an entry.
    pub(crate) text: &'static str,
    pub(crate) is_list: bool,
}

/// Writes all pages into a directory.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(dir: &Path) -> Result<Exit, Error> {
    for (name, page) in pages() {
        let path = dir.join(name);
        fs::write(&path, page).map_err(Error::file("write", path))?;
    }
    Ok(Exit::Success)
}

/// All pages: file name and content in the man macro language.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = farcc_pages().map(|page| render(&page)).collect();
    all.extend(pages::other_programs().iter().map(render));
    all.sort();
    all
}

/// `farcc.1` and a page for each subcommand.
fn farcc_pages() -> impl Iterator<Item = Page> {
    let mut farcc = Cli::command();
    farcc.build();
    let subcommands: Vec<clap::Command> = farcc.get_subcommands().cloned().collect();
    let sections = pages::FARCC;
    [farcc]
        .into_iter()
        .chain(subcommands)
        .enumerate()
        .map(move |(index, command)| Page {
            command,
            sections: if index == 0 { sections } else { &[] },
        })
}

fn render(page: &Page) -> (String, String) {
    let command = &page.command;
    let name = command.get_display_name().unwrap_or(command.get_name());
    let name = name.to_owned();
    let man = Man::new(page.command.clone());
    // Written here because clap_mangen leaves an empty date out, which shifts what follows.
    let version = env!("CARGO_PKG_VERSION");
    let mut roff = format!(".TH {name} 1 \"\" \"farcc {version}\" \"farcc\"\n").into_bytes();
    let write_to_memory = "writing to memory does not fail";
    man.render_name_section(&mut roff).expect(write_to_memory);
    man.render_synopsis_section(&mut roff)
        .expect(write_to_memory);
    man.render_description_section(&mut roff)
        .expect(write_to_memory);
    if page.command.get_arguments().next().is_some() {
        man.render_options_section(&mut roff)
            .expect(write_to_memory);
    }
    if page.command.has_subcommands() {
        man.render_subcommands_section(&mut roff)
            .expect(write_to_memory);
    }
    if let Some(extra) = page.command.get_after_help() {
        let text = section_roff("NOTES", &extra.to_string(), Form::Verbatim);
        roff.extend_from_slice(text.as_bytes());
    }
    for section in page.sections {
        let form = if section.is_list {
            Form::List
        } else {
            Form::Text
        };
        roff.extend_from_slice(section_roff(section.title, section.text, form).as_bytes());
    }
    let roff = String::from_utf8(roff).expect("clap_mangen writes UTF-8");
    (format!("{name}.1"), roff)
}

#[derive(Clone, Copy)]
enum Form {
    /// Paragraphs.
    Text,
    /// Paragraphs `NAME: text`.
    List,
    /// Lines as they are.
    Verbatim,
}

fn section_roff(title: &str, text: &str, form: Form) -> String {
    let mut roff = format!(".SH {title}\n");
    match form {
        Form::Verbatim => {
            let _ = writeln!(roff, ".nf\n{}\n.fi", escape(text));
        }
        Form::Text => {
            for paragraph in text.split("\n\n") {
                let _ = writeln!(roff, ".PP\n{}", escape(paragraph.trim()));
            }
        }
        Form::List => {
            for entry in text.trim().split('\n') {
                let (name, meaning) = entry.split_once(": ").unwrap_or((entry, ""));
                let _ = writeln!(roff, ".TP\n\\fB{}\\fR\n{}", escape(name), escape(meaning));
            }
        }
    }
    roff
}

/// Text that roff shows as it is.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped.lines().map(|line| {
        if line.starts_with(['.', '\'']) {
            format!("\\&{line}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages in the repository are what this program writes: `farcc util man docs/man`.
    #[test]
    fn committed_pages_are_up_to_date() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man");
        let pages = pages();
        for (name, page) in &pages {
            let committed = fs::read_to_string(dir.join(name)).unwrap_or_default();
            assert_eq!(&committed, page, "{name}: run `farcc util man docs/man`");
        }
        assert_eq!(fs::read_dir(dir).unwrap().count(), pages.len());
    }

    #[test]
    fn roff_shows_text_as_it_is() {
        assert_eq!(escape(".a -b\n'c\\d"), "\\&.a \\-b\n\\&'c\\ed");
        let list = section_roff("ENV", "A: b c\nD: e", Form::List);
        assert_eq!(list, ".SH ENV\n.TP\n\\fBA\\fR\nb c\n.TP\n\\fBD\\fR\ne\n");
    }
}
