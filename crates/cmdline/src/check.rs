//! Entry for fuzzing and mutation tests: promises that must hold for every command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::{
    Driver, Input, Invocation, Language, Mode, OutputKind, Placement, Refusal, ServerCommand,
    parse, server_check,
};

/// The fuzz entry of this crate. `data` is a command line, words separated by NUL or newline; the first word is the
/// compiler, and a word `=NAME` defines the next word as the content of the response file `NAME`.
///
/// # Panics
/// When a promise is broken: parsing never panics; a distributable compile has one source and one output, its server
/// command passes the server's own check, and parsed again it is distributable, compiles the same language, makes
/// the same output and has nothing left to strip; the parts of a command are compiles of one source each.
pub fn argv(data: &[u8]) {
    let (words, files) = words_and_files(data);
    let Some((compiler, args)) = words.split_first() else {
        return;
    };
    let driver = Driver::guess(&[compiler]);
    let mut read = |name: &OsStr| {
        files
            .iter()
            .find(|(file, _)| file == name.as_bytes())
            .map(|(_, content)| content.clone())
    };
    let it = parse(args, driver, &mut read);
    assert_eq!(
        it.explain().is_none(),
        it.where_to() == Placement::Distributable
    );
    for input in [Input::Preprocessed, Input::Files] {
        if let Ok(command) = server_check(&words, input) {
            allowed_stays_allowed(&command, input);
        }
    }
    if it.where_to() == Placement::Distributable {
        distributable(compiler, &it);
    }
    parts_make_up_the_whole(&it);
}

/// Each part of a command with several sources is a compile of one of them.
fn parts_make_up_the_whole(it: &Invocation) {
    let Some(parts) = it.parts() else { return };
    assert_eq!(parts.len(), it.sources().len());
    for (words, source) in parts.iter().zip(it.sources()) {
        let part = parse(words, it.driver(), &mut |_| None);
        assert_eq!(part.sources(), std::slice::from_ref(source), "{words:?}");
        assert!(
            part.action().is_ok() && part.output().is_some(),
            "{words:?}"
        );
        assert_eq!(part.parts(), None);
    }
}

type File = (Vec<u8>, Vec<u8>);

fn words_and_files(data: &[u8]) -> (Vec<OsString>, Vec<File>) {
    let (mut words, mut files) = (Vec::new(), Vec::new());
    let mut pieces = data.split(|&b| b == 0 || b == b'\n');
    while let Some(piece) = pieces.next() {
        match piece.strip_prefix(b"=") {
            Some(name) => files.push((name.to_vec(), pieces.next().unwrap_or_default().to_vec())),
            None => words.push(OsStr::from_bytes(piece).to_os_string()),
        }
    }
    (words, files)
}

/// What a server makes of a command passes its own check and is not changed by it again.
fn allowed_stays_allowed(command: &ServerCommand, input: Input) {
    let again = server_check(&command.argv, input).expect("what a server made of a command passes");
    let name = command.language;
    assert_eq!(
        untold(&again.argv, Some(name)),
        untold(&command.argv, Some(name))
    );
    assert_eq!(again.language, command.language);
    assert_eq!(
        again.argv_for(OsStr::new("s"), OsStr::new("o")),
        command.argv_for(OsStr::new("s"), OsStr::new("o"))
    );
}

fn distributable(compiler: &OsStr, it: &Invocation) {
    let output = it
        .output()
        .expect("a distributable compile has an output")
        .to_os_string();
    assert_eq!(
        (it.sources().len(), it.outputs()[0].kind),
        (1, OutputKind::Main)
    );
    let preprocess = parse(&it.preprocess_argv(), it.driver(), &mut |_| None);
    assert_eq!(
        preprocess.mode(),
        Mode::Preprocess,
        "{:?}",
        preprocess.args()
    );

    let it = it.expand_native(&["-march=x86-64".into()]);
    let argv = it.server_argv(OsStr::new("/src"));
    let again = parse(&argv, it.driver(), &mut |_| None);
    assert_eq!(
        again.where_to(),
        Placement::Distributable,
        "{argv:?} {:?}",
        again.explain()
    );
    assert_eq!(
        (again.output(), again.language()),
        (Some(output.as_os_str()), it.language()),
        "{argv:?}"
    );
    let twice = again.server_argv(OsStr::new("/src"));
    assert_eq!(
        untold(&twice, it.language()),
        untold(&argv, it.language()),
        "nothing left to strip"
    );

    let mut command = vec![compiler.to_os_string()];
    command.extend(argv);
    let checked: Result<ServerCommand, Refusal> = server_check(&command, Input::Preprocessed);
    let checked =
        checked.unwrap_or_else(|refusal| panic!("distributable but {refusal}: {command:?}"));
    assert_eq!(Some(checked.language), it.language());
    assert_eq!(
        untold(&checked.argv, it.language()),
        untold(&command, it.language()),
        "nothing for a server to strip"
    );
}

/// The words without those that say the language: how it is told may change once the source has another name.
fn untold(words: &[OsString], language: Option<Language>) -> Vec<&OsString> {
    let name = language.map_or("", Language::preprocessed_name);
    words
        .iter()
        .filter(|word| *word != "-x" && *word != name)
        .collect()
}
