//! Installed headers, of which the kernel tells changes: every kind of change is seen by the next compile.

use std::process::Command;

use super::with_worker;
use e2e::programs;
use e2e::run::run;

const SOURCE: &str = "#include <farcc_part/part.h>\n#include <string.h>\n\
                      #if __has_include(<farcc_more.h>)\n#include <farcc_more.h>\n#endif\n\
                      const char *words[] = {PART, MORE};\n";

/// `/usr/local/include` with nothing but what is put there. Each change is compiled twice, the second time when
/// the header is old enough to be relied upon, and then here.
const PREPARE: &str = r#"
set -e
here=/usr/local/include
check() {
    distcc gcc -g -DMORE='""' -c a.c -o out/first.o
    changed=$(stat -c %.9Z $here/farcc_part/part.h | tr -d .)
    while [ $(($(date +%s%N) - changed)) -lt 100000000 ]; do :; done
    distcc gcc -g -DMORE='""' -c a.c -o out/second.o
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
        r#"printf '#include_next <string.h>\n#undef MORE\n#define MORE "string"\n' > $here/string.h"#,
    ),
    ("vanished", "rm $here/farcc_more.h $here/string.h"),
    (
        "mounted",
        r#"cp -r $here/farcc_part out/; echo '#define PART "over"' > out/farcc_part/part.h
           mount --bind out $here"#,
    ),
    ("unmounted", "umount $here"),
    (
        "file mounted",
        r#"echo '#define PART "file"' > out/p.h; mount --bind out/p.h $here/farcc_part/part.h"#,
    ),
    (
        "file written where it is mounted from",
        r#"echo '#define PART "same"' > out/p.h"#,
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
    command.args(options).args(["sh", "-c", &script]);
    let outcome = run(command.env("DISTCC_VERBOSE", "1"));
    for name in CHANGES.iter().map(|(name, _)| name) {
        let line = format!("{name} ok\n");
        assert!(outcome.stdout.contains(&line), "{name}: {outcome:#?}");
    }
    let remote = outcome.stderr.matches(" completed ok").count();
    assert_eq!(remote, 2 * (CHANGES.len() + 1), "{outcome:#?}");
}
