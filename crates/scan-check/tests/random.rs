//! Random programs of directives: the scanner's set is the compiler's.

use scan_check::random::compare;

fn bytes(seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let len = rng.usize(50..1500);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

fn check(compiler: &str, seeds: std::ops::Range<u64>) {
    let folder = tempfile::tempdir().expect("a folder for the programs");
    let outcome =
        compare(compiler, seeds.clone(), folder.path(), &bytes).expect("the compiler runs");
    assert_eq!(outcome.wrong, [], "of {} programs", outcome.compared);
    let total = seeds.end - seeds.start;
    assert!(
        outcome.compared as u64 * 2 > total,
        "most programs compile: {} of {total}",
        outcome.compared
    );
    assert!(
        outcome.files > outcome.compared * 3,
        "programs have several files"
    );
}

#[test]
fn gcc_reads_what_was_found() {
    check("gcc", 0..60);
}

#[test]
fn clang_reads_what_was_found() {
    check("clang", 1000..1040);
}

/// For long runs: `cargo test -p scan-check -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn many_programs() {
    check("gcc", 10_000..12_000);
    check("clang", 20_000..21_000);
}
