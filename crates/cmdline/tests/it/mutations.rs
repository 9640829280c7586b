//! Command lines nobody would write: nothing panics, and what is distributable stays so on a server.

use fastrand::Rng;

/// Pieces of command lines: options of every kind of the table, and operands.
const PIECES: &str = "-c -S -E -o x.o -o y.o -oz.o - -- a.c b.cc c.CPP d.i e.o f.s g.h /dev/null sub/x.c .c -x c c++ none \
    objective-c assembler -xc -I inc -Iinc -iquote inc -DX -D X -include -imacros -MD -MMD -MF m.d -MT t -MQ t$ -MP -MG -M -MM \
    -Wp,-MD,w.d -Wp,-DX -Wp, -Wp,-MD -Xpreprocessor -DY -Wa,--noexecstack -Wa,-al -Wl,-x -lfoo -L/x -g -g0 -g3 -O2 -Os \
    -gsplit-dwarf -march=native -mtune=native -mcpu=native -march=x86-64 -flto -flto=auto -specs=f --specs=f -fplugin=p -B -Bx \
    -wrapper w -save-temps --coverage -fprofile-use=/p -Xclang -mllvm -load -target-feature +avx -fsyntax-only -### --help \
    --param x=1 -std=c11 @rsp @gone =rsp -emit-llvm -dM -dA -da -fdump-tree-all -fopt-info-vec=f -arch x86_64 -target t -z now \
    -framework F -T s -fnew=/p -fnew -unknown --unknown -ffile-prefix-map=/a=b -fworking-directory -fno-working-directory \
    -pipe -pthread -static -Xassembler --noexecstack -mllvm -inline-threshold=3 -Xlinker -object-file-name=q -xx -x";

/// A random command line, compiler first. Most would be hopeless; many are made nearly right.
pub(crate) fn random_words(seed: u64) -> Vec<String> {
    let pieces: Vec<&str> = PIECES.split_whitespace().collect();
    let mut rng = Rng::with_seed(seed);
    let compiler = rng
        .choice(["gcc", "g++", "clang", "clang++-14", "cc"])
        .unwrap();
    let mut words = vec![compiler.to_string()];
    for _ in 0..rng.usize(0..9) {
        words.push(rng.choice(&pieces).unwrap().to_string());
    }
    if rng.bool() {
        words.extend(["-c".into(), "main.c".into()]);
    }
    words
}

#[test]
fn random_command_lines() {
    let mut distributable = 0_u32;
    for seed in 0..60_000 {
        let words = random_words(seed);
        let mut data = words.join("\n").into_bytes();
        let mut rng = Rng::with_seed(seed);
        if rng.u8(0..4) == 0 {
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(0..data.len());
                data[at] = rng.u8(..);
            }
        }
        let caught = std::panic::catch_unwind(|| cmdline::check::argv(&data));
        assert!(
            caught.is_ok(),
            "seed {seed}: {:?}",
            String::from_utf8_lossy(&data)
        );
        let args: Vec<_> = words[1..].iter().map(Into::into).collect();
        let driver = cmdline::Driver::guess(&[std::ffi::OsStr::new(&words[0])]);
        let it = cmdline::parse(&args, driver, &mut |_| None);
        distributable += u32::from(it.where_to() == cmdline::Placement::Distributable);
    }
    assert!(
        distributable > 3_000,
        "only {distributable} lines were worth trying"
    );
}
