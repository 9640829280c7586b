//! Actions as a client of C compiles sends them, around a command that does nothing.

use bytes::Bytes;
use reapi::{Action, Command, Entry, InputRoot, OutputKind, OutputPath, Platform, RelativePath};
use store::{Digest, DigestFunction};

pub(super) const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// Files of an input tree: what a C unit of a desktop library reads, toolchain included.
pub(super) const FILES: usize = 400;

/// Directories that they are in.
const DIRECTORIES: usize = 60;

/// Blobs with their names.
pub(super) type Blobs = Vec<(Digest, Bytes)>;

/// An action: its name, and all that it consists of.
pub(super) struct Made {
    pub(super) action: Digest,
    pub(super) blobs: Blobs,
}

/// What an action is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Makes it different from all others.
    pub(super) number: usize,
    /// Files in its tree.
    pub(super) files: usize,
    /// How many of them only it has.
    pub(super) own: usize,
}

/// The output's path, from the input root.
pub(super) const OUTPUT: &str = "work/out/result";

/// What the command of an action writes to it.
pub(super) fn content(number: usize) -> String {
    format!("result of {number}")
}

/// Makes an action whose input root is its `/`.
pub(super) fn make(program: &[u8], shape: Shape) -> Result<Made, String> {
    let failed = |error: reapi::MerkleProblem| error.to_string();
    let mut blobs = Blobs::new();
    let mut put = |bytes: Vec<u8>| {
        let digest = Digest::of(FUNCTION, &bytes);
        blobs.push((digest, bytes.into()));
        digest
    };
    let mut root = InputRoot::new();
    let file = |digest, is_executable| Entry::File {
        digest,
        is_executable,
    };
    root.add("bin/cc", file(put(program.to_vec()), true))
        .map_err(failed)?;
    for i in 0..shape.files {
        // Those of its own are spread over all directories.
        let is_own = shape.own > 0 && i % (shape.files / shape.own) == 0;
        let owner = if is_own { shape.number } else { usize::MAX };
        let text = format!("/* header {i} of {owner} */\n").repeat(100);
        let dir = i % DIRECTORIES;
        let path = format!("usr/include/lib{}/d{dir}/h{i}.h", dir % 7);
        root.add(&path, file(put(text.into_bytes()), false))
            .map_err(failed)?;
    }
    let words = ["/bin/cc", "out/result", &content(shape.number)];
    let resolved = RelativePath::new(OUTPUT).map_err(|problem| problem.to_string())?;
    let command = Command {
        arguments: words.map(str::to_owned).to_vec(),
        working_directory: RelativePath::new("work").map_err(|problem| problem.to_string())?,
        outputs: vec![OutputPath {
            path: "out/result".into(),
            resolved,
            kind: OutputKind::Any,
        }],
        ..Command::default()
    };
    let command = put(command.encode());
    let tree = root.build(FUNCTION).map_err(failed)?;
    let action = Action {
        command,
        input_root: tree.digest(),
        timeout: None,
        do_not_cache: false,
        salt: Vec::new(),
        platform: Platform {
            properties: vec![("InputRootAbsolutePath".into(), "/".into())],
        },
    };
    let action = put(action.encode());
    tree.walk(&mut |directory| {
        blobs.push((directory.digest(), directory.encoded()));
        true
    });
    Ok(Made { action, blobs })
}
