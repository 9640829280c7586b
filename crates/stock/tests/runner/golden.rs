//! The captures of stock distcc 3.4 talking to itself: what is in them, and
//! that encoding it again gives the same bytes.

use stock::{
    Body, Input, Limits, Packed, Progress, Reply, ReplyDecoder, Request, RequestDecoder, SentFile,
    Version,
};

use crate::{capture, captures};

fn request(name: &str) -> Request<Packed> {
    let mut decoder = RequestDecoder::new(Limits::DEFAULT);
    let bytes = capture("request", name);
    assert_eq!(decoder.feed(&bytes), Ok(Progress::Done { unused: 0 }));
    decoder.finish().unwrap()
}

fn reply(version: Version, name: &str) -> Reply<Packed> {
    let mut decoder = ReplyDecoder::new(version, Limits::DEFAULT);
    let bytes = capture("reply", name);
    assert_eq!(decoder.feed(&bytes), Ok(Progress::Done { unused: 0 }));
    decoder.finish().unwrap()
}

fn words(argv: &[Vec<u8>]) -> String {
    String::from_utf8(argv.join(&b' ')).unwrap()
}

const PREPROCESSED: &str = "# 0 \"a.c\"\n# 0 \"<built-in>\"\n# 0 \"<command-line>\"\n\
    # 1 \"/usr/include/stdc-predef.h\" 1 3 4\n# 0 \"<command-line>\" 2\n# 1 \"a.c\"\nint x;\n";

#[test]
fn every_capture_encodes_to_itself() {
    for (name, bytes) in captures("request") {
        assert_eq!(request(&name).encode().unwrap(), bytes, "{name}");
    }
    for (name, bytes) in captures("reply") {
        let number = u32::from(name.as_bytes()[1] - b'0');
        let version = Version::from_number(number).unwrap();
        assert_eq!(reply(version, &name).encode().unwrap(), bytes, "{name}");
    }
}

#[test]
fn plain_requests_are_built_byte_for_byte_as_stock_builds_them() {
    let argv = ["x86_64-linux-gnu-gcc", "-O1", "-c", "a.c", "-o", "a.o"];
    let mut ours = stock::request::encode_head(Version::V1, &argv, PREPROCESSED.len()).unwrap();
    ours.extend_from_slice(PREPROCESSED.as_bytes());
    assert_eq!(ours, capture("request", "v1_ok.c2s"));
}

#[test]
fn version_2_carries_the_same_text_compressed() {
    let request = request("v2_ok.c2s").unpack(&Limits::DEFAULT).unwrap();
    assert_eq!(request.version, Version::V2);
    assert_eq!(
        words(&request.argv),
        "x86_64-linux-gnu-gcc -O1 -c a.c -o a.o"
    );
    assert_eq!(request.input, Input::Preprocessed(PREPROCESSED.into()));
}

#[test]
fn version_3_carries_files_and_links() {
    let request = request("v3_ok.c2s").unpack(&Limits::DEFAULT).unwrap();
    assert_eq!(
        request.cwd.as_deref(),
        Some(b"/home/user/project".as_slice())
    );
    assert_eq!(
        words(&request.argv),
        "x86_64-linux-gnu-gcc -O1 -g -MD -c b.c -o b.o -MT b.o"
    );
    let Input::Files(files) = request.input else {
        panic!("no files")
    };
    let file = |name: &str, content: &str| SentFile {
        name: name.into(),
        body: Body::File(content.into()),
    };
    assert_eq!(files.len(), 6);
    assert_eq!(
        files[0],
        file("/home/user/project/b.c", "#include \"h.h\"\nint b = H;\n")
    );
    assert_eq!(files[1], file("/home/user/project/h.h", "#define H 7\n"));
    assert_eq!(files[4].name, b"/usr/include");
    let Body::Link(target) = &files[4].body else {
        panic!("not a link")
    };
    assert!(target.starts_with(b"../../..") && target.ends_with(b"/usr/include"));
    assert_eq!(
        files[5],
        file("/home/user/project/forcing_technique_271828", "")
    );
}

#[test]
fn replies_of_success_and_failure_are_understood() {
    let plain = reply(Version::V1, "v1_ok.s2c")
        .unpack(&Limits::DEFAULT)
        .unwrap();
    assert_eq!(plain.wait_status, 0);
    assert!(plain.stderr.is_empty() && plain.stdout.is_empty() && plain.deps.is_none());
    assert!(plain.object.starts_with(b"\x7fELF"));

    let compressed = reply(Version::V2, "v2_ok.s2c")
        .unpack(&Limits::DEFAULT)
        .unwrap();
    assert_eq!(
        compressed.object, plain.object,
        "version 2 brings the same object"
    );

    let failed = reply(Version::V2, "v2_fail.s2c")
        .unpack(&Limits::DEFAULT)
        .unwrap();
    assert_eq!(failed.ended(), stock::Ended::Exit(1));
    assert!(
        failed
            .stderr
            .starts_with(b"s.c:1:8: error: expected declaration")
    );
    assert!(failed.object.is_empty());

    let files = reply(Version::V3, "v3_ok.s2c")
        .unpack(&Limits::DEFAULT)
        .unwrap();
    let deps = String::from_utf8(files.deps.unwrap()).unwrap();
    assert_eq!(deps, "b.o: b.c /usr/include/stdc-predef.h h.h\n");
}
