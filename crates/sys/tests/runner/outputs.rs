//! What comes back from jobs.

use sys::sandbox::{Output, WalkLimits, Writable};

use crate::Test;
use crate::world::{Job, World, text};

pub(crate) const TESTS: &[Test] = &[(
    "outputs_come_back_as_what_they_are",
    outputs_come_back_as_what_they_are,
)];

fn outputs_come_back_as_what_they_are() {
    let world = World::new();
    let tree = world.tree("1/tree", &[("a", b"a")]);
    let job = Job::shell(
        "echo o > made/o; mkdir -p d/e; echo x > d/e/x; ln -s ../a d/l; ln -s /etc l; mkfifo p",
    )
    .in_tree(&tree, Writable::All)
    .outputs(&[
        "/build/made/o",
        "/build/d",
        "/build/l",
        "/build/p",
        "/build/none",
        "/build/no/ne",
    ]);
    let outcome = world.finish(&job);
    let mut outputs = outcome.outputs.into_iter();
    let mut next = || outputs.next().unwrap();
    assert_eq!(text(next().into_file().unwrap()), "o\n");
    let Output::Directory(dir) = next() else {
        panic!()
    };
    let mut limits = WalkLimits {
        entries_max: 3,
        depth_max: 1,
    };
    assert_eq!(dir.names(&mut limits).unwrap(), ["e", "l"]);
    assert!(matches!(dir.open("l".as_ref()), Output::Link(target) if target.as_os_str() == "../a"));
    let Output::Directory(inner) = dir.open("e".as_ref()) else {
        panic!()
    };
    assert_eq!(inner.names(&mut limits).unwrap(), ["x"]);
    assert_eq!(text(inner.open("x".as_ref()).into_file().unwrap()), "x\n");
    assert_eq!(
        inner.names(&mut limits).unwrap_err().to_string(),
        "it holds too many files"
    );
    assert!(matches!(next(), Output::Link(target) if target.as_os_str() == "/etc"));
    assert!(matches!(next(), Output::Other(_)));
    assert!(matches!(next(), Output::Missing));
    assert!(matches!(next(), Output::Missing));
}
