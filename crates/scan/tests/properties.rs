//! Promises of the scanner, held against random programs, random changes and mutated sources.

use scan::check;

fn random(rng: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

#[test]
fn a_scanner_can_be_given_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<scan::Scanner>();
    is_send::<scan::Scan>();
}

fn check_programs(seeds: std::ops::Range<u64>) {
    let (mut scans, mut visits) = (0, 0);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let mut rng = fastrand::Rng::with_seed(seed);
        let len = rng.usize(10..1500);
        let data = random(&mut rng, len);
        match std::panic::catch_unwind(|| check::program(&data)) {
            Ok(remembered) => {
                scans += u64::from(remembered.scans);
                visits += u64::from(remembered.visits);
            }
            Err(_) => panic!("seed {seed}"),
        }
    }
    // What is never remembered is not tested here.
    assert!(scans > count, "{scans} answers were remembered");
    assert!(
        visits > 4 * count,
        "{visits} visits of headers were remembered"
    );
}

#[test]
fn remembering_changes_no_answer() {
    check_programs(0..250);
}

/// For long runs: `cargo test --release -p scan -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn remembering_changes_no_answer_of_many() {
    check_programs(1000..21_000);
}

#[test]
fn mutated_sources_never_break_the_scanner() {
    let pieces: &[&[u8]] = &[
        b"#",
        b"include",
        b"define X",
        b"if",
        b"elif",
        b"else\n",
        b"endif\n",
        b"(",
        b")",
        b"\\\n",
        b"/*",
        b"*/",
        b"//",
        b"\"",
        b"'",
        b"R\"(",
        b")\"",
        b"\n",
        b"X",
        b"##",
        b"__VA_ARGS__",
        b"__VA_OPT__(",
        b"...",
        b",",
        b"<",
        b">",
        b"main.c",
        b"__has_include(",
        b"__FILE__",
        b"defined",
        b"1",
        b"?",
        b":",
        b"/",
        b"pragma once\n",
        b"pragma push_macro(\"X\")\n",
        b"embed",
        b".incbin \\\"main.c\\\"",
        b"#include __FILE__\n",
        b"#define X(a,b...) a##b #a X\n",
        b"\xff",
        b"\0",
        b"_Pragma(\"push_macro(\\\"X\\\")\")",
        b"0x",
        b"9999999999999999999",
    ];
    for seed in 0..3000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut data = Vec::new();
        for _ in 0..rng.usize(1..60) {
            data.extend_from_slice(pieces[rng.usize(..pieces.len())]);
            if rng.bool() {
                data.push(b" \n#"[rng.usize(..3)]);
            }
        }
        let result = std::panic::catch_unwind(|| check::bytes(&data));
        assert!(
            result.is_ok(),
            "seed {seed}: {}",
            String::from_utf8_lossy(&data)
        );
    }
}

#[test]
fn hostile_sources_take_bounded_time() {
    // Each would run for ages, or overflow the stack, without a limit.
    let nested = format!("#if {}1\n#endif\n", "(".repeat(100_000));
    let unary = format!("#if {}1\n#endif\n", "!".repeat(100_000));
    let ternary = format!("#if {}1\n#endif\n", "1?1:".repeat(50_000));
    let mut doubling = String::from("#define X0 1+1\n");
    for n in 1..64 {
        doubling.push_str(&format!("#define X{n} X{}+X{}\n", n - 1, n - 1));
    }
    doubling.push_str("#if X63\n#endif\n");
    let mut calls = String::from("#define F(x) x\n#if ");
    calls.push_str(&"F(".repeat(20_000));
    calls.push_str(&")".repeat(20_000));
    calls.push('\n');
    let itself = "#include __FILE__\n#include \"main.c\"\n".to_owned();
    let deep = "#if 1\n".repeat(200_000);
    let unsure =
        "#if __has_builtin(x)\n#include \"main.c\"\n#define Y 1\n#endif\n#include \"main.c\"\n"
            .to_owned();
    for text in [
        nested, unary, ternary, doubling, calls, itself, deep, unsure,
    ] {
        check::bytes(text.as_bytes());
    }
}
