//! Installed headers, of which the kernel tells changes: every kind of change is seen by the next compile.
//!
//! A change shows something only if what was there before is relied upon without another look. So there are two
//! compiles before each: one that sees what the last change has left, and one when that is old enough. Where the
//! directories cannot be watched (`/` is an overlay, say), headers are looked at each time, and this shows nothing.

use std::process::Command;

use super::with_worker;
use e2e::programs;
use e2e::run::run;

const SOURCE: &str = "#include <farcc_part/part.h>\n#include <string.h>\n\
                      #if __has_include(<farcc_more.h>)\n#include <farcc_more.h>\n#endif\n\
                      const char *words[] = {PART, MORE};\n";

/// `/usr/local/include` with nothing but what is put there. Each change is compiled twice, the second time when
/// all that the first has read is old enough to be relied upon, and then here. The first argument is the client: by its
/// name alone, `PATH` leads to another distcc.
const PREPARE: &str = r#"
set -e
distcc=$1
here=/usr/local/include
check() {
    "$distcc" gcc -g -DMORE='""' -c a.c -o out/first.o
    made=$(stat -c %.9Z out/first.o | tr -d .)
    while [ $(($(date +%s%N) - made)) -lt 100000000 ]; do :; done
    "$distcc" gcc -g -DMORE='""' -c a.c -o out/second.o
    gcc -g -DMORE='""' -c a.c -o out/local.o
    cmp out/first.o out/local.o && cmp out/second.o out/local.o && echo "$1 ok"
}
mount -t tmpfs none $here
mkdir $here/farcc_part
echo '#define PART "new"' > $here/farcc_part/part.h
check new
"#;

/// Kinds of changes.
const CHANGES: &[(&str, &str)] = &[
    (
        "written",
        r#"echo '#define PART "written"' > $here/farcc_part/part.h"#,
    ),
    (
        "grown",
        r#"printf '#undef PART\n#define PART "grown"\n' >> $here/farcc_part/part.h"#,
    ),
    (
        "replaced",
        r#"echo '#define PART "renamed"' > $here/x; mv $here/x $here/farcc_part/part.h"#,
    ),
    (
        "appeared",
        r#"printf '#undef MORE\n#define MORE "more"\n' > $here/farcc_more.h"#,
    ),
    (
        "directory",
        r#"mv $here/farcc_part $here/old; mkdir $here/farcc_part
           echo '#define PART "directory"' > $here/farcc_part/part.h"#,
    ),
    (
        "shadowed",
        r#"printf '#include_next <string.h>\n#undef PART\n#define PART "string"\n' > $here/string.h"#,
    ),
    ("not shadowed", "rm $here/string.h"),
    ("vanished", "rm $here/farcc_more.h"),
    (
        "linked",
        r#"mkdir $here/unseen; echo '#define PART "linked"' > $here/unseen/other.h
           ln -f $here/unseen/other.h $here/farcc_part/part.h"#,
    ),
    (
        "written by its other name",
        r#"echo '#define PART "other"' > $here/unseen/other.h"#,
    ),
    // So that what is to come is of a header that is relied upon.
    ("of one name again", "rm $here/unseen/other.h"),
    (
        "mounted",
        r#"mkdir over; cp -r $here/farcc_part over/; echo '#define PART "over"' > over/farcc_part/part.h
           mount --bind over $here"#,
    ),
    (
        "written where it is mounted from",
        r#"echo '#define PART "from"' > over/farcc_part/part.h"#,
    ),
    ("unmounted", "umount $here"),
    (
        "file mounted",
        r#"echo '#define PART "file"' > p.h; mount --bind p.h $here/farcc_part/part.h"#,
    ),
    (
        "file written where it is mounted from",
        r#"echo '#define PART "same"' > p.h"#,
    ),
];

#[test]
fn every_change_of_an_installed_header_is_seen() {
    let mut namespace = Command::new("unshare");
    let root = rustix::process::getuid().is_root();
    let options: &[&str] = if root {
        &["--mount"]
    } else {
        &["-Ur", "--mount"]
    };
    if !programs::have("unshare") || run(namespace.args(options).arg("true")).code() != 0 {
        return;
    }
    let (workspace, _worker) = with_worker();
    workspace.write("a.c", SOURCE);
    let mut script = PREPARE.to_owned();
    for (name, change) in CHANGES {
        script.push_str(&format!("{change}\ncheck '{name}'\n"));
    }
    let mut command = workspace.command("/usr/bin/unshare");
    command.args(options).args(["sh", "-c", &script, "sh"]);
    command.arg(programs::distcc());
    let outcome = run(command.env("DISTCC_VERBOSE", "1"));
    for name in CHANGES.iter().map(|(name, _)| name) {
        let ok = format!("{name} ok");
        assert!(
            outcome.stdout.lines().any(|line| line == ok),
            "{name}: {outcome:#?}"
        );
    }
    let lines = outcome.stderr.lines();
    let remote = lines.filter(|line| line.contains("(farcc)") && line.ends_with(" completed ok"));
    assert_eq!(remote.count(), 2 * (CHANGES.len() + 1), "{outcome:#?}");
    // What looks at the headers again would hide that a change was not seen.
    assert!(!outcome.stderr.contains("preprocessed"), "{outcome:#?}");
}
