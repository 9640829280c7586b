//! Random programs of directives.

/// Choices made by bytes; when they are used up, always the first.
#[derive(Debug)]
pub(super) struct Dice<'a> {
    pub(super) data: &'a [u8],
}

impl Dice<'_> {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        match self.data.split_first() {
            Some((&first, rest)) => {
                self.data = rest;
                first as usize % sides
            }
            None => 0,
        }
    }

    pub(super) fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.roll(choices.len())]
    }
}

/// Headers of a random program, in the order in which they may include each other.
pub(super) const HEADERS: usize = 8;
const DIRS: [&str; 3] = ["d0", "d1", "d2"];
const MACROS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

/// What programs ask of the compiler with `__has_builtin`.
pub(super) const OPERANDS: [&str; 3] = ["__builtin_expect", "__builtin_none", "__builtin_memcpy"];

/// A command line for the programs of [`tree`].
pub const ARGS: &[&str] = &[
    "-Id0",
    "-iquote",
    "d1",
    "-isystem",
    "d2",
    "-Imissing",
    "-DB=2",
    "-DG(x)=x+1",
    "-c",
    "main.c",
];

/// A random program: `main.c` and headers in some directories. Every header is in the last one, so that an include
/// always finds something.
#[must_use]
pub fn tree(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut dice = Dice { data };
    let mut files = vec![("main.c".to_owned(), source(&mut dice, None).into_bytes())];
    for header in 0..HEADERS {
        for dir in DIRS {
            if dir == DIRS[2] || dice.roll(4) == 1 {
                files.push((
                    format!("{dir}/h{header}.h"),
                    source(&mut dice, Some(header)).into_bytes(),
                ));
            }
        }
    }
    files.push(("d2/sub/h.h".to_owned(), b"#include \"../h7.h\"\n".to_vec()));
    files
}

/// The text of one file; `header` is its number.
pub(super) fn source(dice: &mut Dice<'_>, header: Option<usize>) -> String {
    let mut text = String::new();
    let guard = dice.roll(4);
    if let (Some(number), 1) = (header, guard) {
        text.push_str(&format!("#ifndef H{number}\n#define H{number}\n"));
    } else if header.is_some() && guard == 2 {
        text.push_str("#pragma once\n");
    }
    lines(dice, header.map_or(0, |number| number + 1), 3, &mut text);
    if header.is_some() && guard == 1 {
        text.push_str("#endif\n");
    }
    text
}

fn lines(dice: &mut Dice<'_>, first: usize, depth: usize, out: &mut String) {
    for _ in 0..1 + dice.roll(6) {
        let name = dice.of(&MACROS);
        let line = match dice.roll(12) {
            0 | 1 => format!("#define {name} {}\n", body(dice)),
            2 => format!("#undef {name}\n"),
            3 if depth > 0 => {
                conditional(dice, first, depth, out);
                continue;
            }
            4 if depth > 0 => {
                let word = dice.of(&["ifdef", "ifndef"]);
                out.push_str(&format!("#{word} {name}\n"));
                lines(dice, first, depth - 1, out);
                out.push_str("#else\n");
                lines(dice, first, depth - 1, out);
                "#endif\n".to_owned()
            }
            5..=8 if first < HEADERS => {
                let header = first + dice.roll(HEADERS - first);
                include(dice, header)
            }
            9 => {
                let word = dice.of(&["push_macro", "pop_macro"]);
                format!("#pragma {word}(\"{name}\")\n")
            }
            _ => text_line(dice).to_owned(),
        };
        out.push_str(&line);
    }
}

fn conditional(dice: &mut Dice<'_>, first: usize, depth: usize, out: &mut String) {
    out.push_str(&format!("#if {}\n", expression(dice, 2)));
    lines(dice, first, depth - 1, out);
    if dice.roll(2) == 1 {
        out.push_str(&format!("#elif {}\n", expression(dice, 2)));
        lines(dice, first, depth - 1, out);
    }
    if dice.roll(2) == 1 {
        out.push_str("#else\n");
        lines(dice, first, depth - 1, out);
    }
    out.push_str("#endif\n");
}

fn body(dice: &mut Dice<'_>) -> String {
    match dice.roll(5) {
        0 | 1 => dice.roll(4).to_string(),
        2 => format!("({})", dice.of(&MACROS)),
        3 => format!("G({})", dice.of(&MACROS)),
        _ => dice
            .of(&["(1 ? 2 : 3)", "-1", "(2u)", "0x10", "'a'"])
            .to_owned(),
    }
}

fn expression(dice: &mut Dice<'_>, depth: usize) -> String {
    let name = dice.of(&MACROS);
    if depth == 0 {
        return match dice.roll(7) {
            0 => dice.roll(3).to_string(),
            1 => format!("defined {name}"),
            2 => format!("!defined({name})"),
            3 => format!("G({name})"),
            4 => {
                let header = dice.of(&["\"h1.h\"", "<h2.h>", "<none.h>", "\"d0/h3.h\""]);
                format!("__has_include({header})")
            }
            5 => {
                let operand = dice.of(&OPERANDS);
                format!("__has_builtin({operand})")
            }
            _ => name.to_owned(),
        };
    }
    let left = expression(dice, depth - 1);
    let right = expression(dice, depth - 1);
    match dice.roll(4) {
        0 => left,
        1 => format!("({left} && {right})"),
        2 => format!("({left} || !({right}))"),
        _ => {
            let operator = dice.of(&["==", "<", ">=", "+", "-", "*", "&", "|", "^", "<<", "!="]);
            // Compilers differ in what a shift by more than the width gives.
            let mask = if operator == "<<" { " & 63" } else { "" };
            format!("({left}) {operator} (({right}){mask})")
        }
    }
}

fn include(dice: &mut Dice<'_>, header: usize) -> String {
    match dice.roll(14) {
        0..=3 => format!("#include \"h{header}.h\"\n"),
        4..=6 => format!("#include <h{header}.h>\n"),
        7 => format!("#define I <h{header}.h>\n#include I\n#undef I\n"),
        8 => format!(
            "#define S(x) #x\n#define T(x) S(x)\n#define N h{header}.h\n#include T(N)\n#undef N\n#undef S\n#undef T\n"
        ),
        9 => format!(
            "#define P(x, y) x##y\n#define Q(x) <P(h, x).h>\n#include Q({header})\n#undef P\n#undef Q\n"
        ),
        10 => format!("  # /* comment */ inc\\\nlude /**/ \"h{header}.h\" // more\n"),
        11 => format!("%:include \"sub/../h{header}.h\"\n"),
        12 => "#include \"sub/h.h\"\n".to_owned(),
        _ => {
            format!("#if __has_include_next(<h{header}.h>)\n#include_next <h{header}.h>\n#endif\n")
        }
    }
}

fn text_line(dice: &mut Dice<'_>) -> &'static str {
    dice.of(&[
        "int x;\n",
        "/* don't */ int q = 1'000; // isn't\n",
        "/* a comment\n#include \"none.h\"\n*/ int y;\n",
        "// a comment \\\n#include \"none.h\"\n",
        "char *s = \"\\\n#include none\";\n",
        "char c = '\"';\n",
        "#if 0\nits /* a comment\n#endif */\n#include \"none.h\"\n#endif\n",
        "int z; /*\n*/ #include \"none.h\"\n",
        "int d = 1;\r\n",
        "#define M(x) #x \\\n x include\n#undef M\n",
        "#line 7 \"other.c\"\n",
        "char *r = R\"(\n#define A 7\n)\";\n",
        "int w; ??/\n#define C 5\n",
        "// a comment ??/\n#define D 4\n",
        "\u{c} \t\n",
    ])
}
