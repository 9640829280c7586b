//! The host list: what each token means, what is said of a broken one, and
//! that stock's client counts the same slots.

use std::process::Command;

use stock::{
    Version,
    hosts::{HostKind, HostList},
};

/// Parses a list that is all right, and shows its hosts in normal form.
#[track_caller]
fn check(list: &str, hosts: &[&str]) -> HostList {
    let list = HostList::parse(list);
    assert_eq!(list.errors, []);
    assert_eq!(
        list.hosts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        hosts
    );
    list
}

/// Parses a list with one broken token between two good ones.
#[track_caller]
fn check_error(token: &str, text: &str) {
    let list = HostList::parse(&format!("good/1 {token} fine/2"));
    let names: Vec<_> = list.hosts.iter().map(|h| h.name()).collect();
    assert_eq!(names, ["good", "fine"], "the others stay usable");
    let [error] = list.errors.as_slice() else {
        panic!("{:?}", list.errors)
    };
    let place = format!("host list, line 1, column 8: `{token}`: ");
    assert_eq!(error.to_string(), place + text);
    assert_eq!(error.offset, 7);
}

#[test]
fn tokens_of_every_form() {
    check("angry", &["angry"]);
    check("angry/9 angry=9", &["angry/9", "angry/9"]);
    check("angry:4200", &["angry:4200"]);
    check(
        "angry/9:4200 angry:4200/9",
        &["angry/9:4200", "angry/9:4200"],
    );
    check("angry:3632,lzo", &["angry,lzo"]);
    check("angry/9,cpp,lzo,down", &["angry/9,lzo,cpp,down"]);
    check(
        "127.0.0.1/2 [::1]/3:44 [fe80::1%eth0]",
        &["127.0.0.1/2", "[::1]/3:44", "[fe80::1%eth0]"],
    );
    check("@angry me@angry/3,lzo", &["@angry", "me@angry/3,lzo"]);
    check(
        "me@angry/3:/usr/bin/distccd,lzo",
        &["me@angry/3:/usr/bin/distccd,lzo"],
    );
    check(
        "a,auth b,auth= c,auth=host@REALM,lzo",
        &["a,auth", "b,auth", "c,lzo,auth=host@REALM"],
    );
    check(
        "build_box-1.example.org. büro",
        &["build_box-1.example.org.", "büro"],
    );
}

#[test]
fn localhost_needs_no_server_only_in_its_plain_form() {
    let list = check(
        "localhost localhost/5 localhost/5,lzo localhost:3632 localhost,lzo localhost=5 localhostx",
        &[
            "localhost",
            "localhost/5",
            "localhost/5",
            "localhost:3632",
            "localhost:3632,lzo",
            "localhost:3632/5",
            "localhostx",
        ],
    );
    let local: Vec<_> = list.hosts.iter().map(|h| h.is_local()).collect();
    assert_eq!(local, [true, true, true, false, false, false, false]);
}

#[test]
fn hosts_know_their_defaults() {
    let list = check(
        "localhost a b/10,lzo c,lzo,cpp u@d",
        &["localhost", "a", "b/10,lzo", "c,lzo,cpp", "u@d"],
    );
    assert_eq!(
        list.hosts.iter().map(|h| h.slots()).collect::<Vec<_>>(),
        [2, 4, 10, 4, 4]
    );
    assert_eq!(list.total_slots(), 24);
    let protocols: Vec<_> = list.hosts.iter().map(|h| h.protocol()).collect();
    use Version::{V1, V2, V3};
    assert_eq!(protocols, [V1, V1, V2, V3, V1]);
    let identities: Vec<_> = list.hosts.iter().map(|h| h.identity()).collect();
    assert_eq!(
        identities,
        [
            "localhost",
            "tcp_a_3632",
            "tcp_b_3632",
            "tcp_c_3632",
            "ssh_d"
        ]
    );
    assert_eq!(list.hosts[2].text, "b/10,lzo");
    assert_eq!((list.local_slots(), list.local_cpp_slots()), (4, 8));
}

#[test]
fn options_of_the_list_and_comments() {
    let list = check(
        "# all\n --randomize\t--localslots=3#x\n--localslots_cpp/9 +zeroconf\x0c@angry,lzo#x y z\r\nb",
        &["@angry,lzo", "b"],
    );
    assert!(list.randomize && list.zeroconf);
    assert_eq!((list.localslots, list.localslots_cpp), (Some(3), Some(9)));
    let HostKind::Ssh {
        user: None,
        name,
        command: None,
    } = &list.hosts[0].kind
    else {
        panic!("{:?}", list.hosts[0])
    };
    assert_eq!(name, "angry");
    check("", &[]);
    check(" \n\t# nothing\n", &[]);
}

#[test]
fn protocols_of_a_host_exclude_each_other() {
    check_error(
        "angry,native,stock",
        "`,stock` and `,native` exclude each other",
    );
    check_error(
        "me@angry,native",
        "hosts behind ssh only speak distcc's protocol, `,native` cannot be used",
    );
}

#[test]
fn broken_tokens_say_which_rule_they_break() {
    let name = "the host's name is missing (write NAME[/JOBS][:PORT][,lzo], or USER@NAME for ssh)";
    for token in ["@", "mbp@", ":", ":4200", ",lzo", "/4", "[]"] {
        check_error(token, name);
    }
    let port = " must be a number from 1 to 65535 (write NAME:3632, or only NAME)";
    check_error("angry::", &format!("bad port ``: it{port}"));
    check_error("angry:0", &format!("bad port `0`: it{port}"));
    check_error("angry:65536", &format!("bad port `65536`: it{port}"));
    check_error("angry:80x", &format!("bad port `80x`: it{port}"));
    check_error("angry:80:90", "the port is given twice");
    let jobs = ": the number of jobs must be a number from 1 to 100000 \
        (write NAME/8 for 8 jobs at once; `,down` after a host disables it)";
    check_error("angry/0", &format!("bad multiplier `0`{jobs}"));
    check_error("angry/-1", &format!("bad multiplier `-1`{jobs}"));
    check_error("angry/+1", &format!("bad multiplier `+1`{jobs}"));
    check_error("angry/", &format!("bad multiplier ``{jobs}"));
    check_error(
        "angry/9999999999",
        &format!("bad multiplier `9999999999`{jobs}"),
    );
    check_error("--localslots=x", &format!("bad multiplier `x`{jobs}"));
    check_error("--localslots", &format!("bad multiplier ``{jobs}"));
    check_error("angry/4/5", "the number of jobs is given twice");
    check_error(
        "angry,cpp",
        "pump mode (`,cpp`) requires compression (`,lzo`) (write NAME,lzo,cpp)",
    );
    let options = " (options of a host are ,lzo ,cpp ,down and ,auth)";
    check_error(
        "angry,zstd",
        &format!("unrecognized option `,zstd`{options}"),
    );
    check_error("angry,lzo,", &format!("unrecognized option `,`{options}"));
    check_error(
        "angry,lzo:80",
        &format!("unrecognized option `,lzo:80`{options}"),
    );
    let v6 = " (write [2001:db8::1]/8:3632)";
    check_error("[::1", &format!("`[` is not closed{v6}"));
    check_error("[::zz]", &format!("`::zz` is not an IPv6 address{v6}"));
    check_error(
        "2001:db8::1/4",
        &format!("an IPv6 address needs brackets{v6}"),
    );
    let form = " (write NAME[/JOBS][:PORT][,OPTIONS])";
    check_error("[::1]x", &format!("`x` is not understood here{form}"));
    check_error(
        "angry;reboot",
        &format!("';' cannot be part of a host's name{form}"),
    );
    check_error(
        "@-oProxyCommand=x",
        &format!("'-' cannot be part of a host's name{form}"),
    );
    check_error("-lroot@angry", UNKNOWN);
    check_error("--randomise", UNKNOWN);
    check_error("+zeroconfig", UNKNOWN);
    check_error(
        "me@angry:",
        "the ssh command is missing after `:` (write USER@NAME:/usr/bin/distccd, or leave `:` out)",
    );
    check_error(
        "a/b@angry",
        "bad ssh user `a/b` (write USER@NAME, or @NAME for your own user)",
    );
    check_error("grpc://angry:8980", "`grpc://` is not supported yet");
    check_error("grpcs://angry", "`grpcs://` is not supported yet");
}

const UNKNOWN: &str = "unrecognized option of the list (options of the list are --randomize, \
    --localslots=N, --localslots_cpp=N and +zeroconf)";

#[test]
fn an_error_on_a_later_line_is_found_there() {
    let list = HostList::parse("# büro\r\ngood  bäd/0#x\n\tworse,x\n");
    let places: Vec<_> = list
        .errors
        .iter()
        .map(|e| (e.token.as_str(), e.offset, e.line, e.column))
        .collect();
    assert_eq!(places, [("bäd/0", 15, 2, 7), ("worse,x", 25, 3, 2)]);
}

/// Lists that stock takes too; `=` for `/` is not among them: the manual has
/// it, but stock 3.4 takes it for a part of the name.
const GOOD_LISTS: [&str; 8] = [
    "localhost a/10 b",
    "localhost/7 localhost:3632/7 localhost,lzo",
    "a/9:4200,lzo a:4200/9 [::1]/3:44 [::1]:44/3",
    "@angry/3:/usr/bin/distccd,lzo me@toothy,down",
    "--randomize a",
    "--localslots=3 --localslots_cpp=5 a/6#x y\nb # c\n\nd",
    "a,down b,lzo,cpp c,cpp,lzo",
    "a,auth=x,lzo b,auth",
];

#[test]
fn stocks_client_counts_the_same_slots() {
    let dir = tempfile::tempdir().unwrap();
    let stock = |list: &str, option: &str| {
        let output = Command::new("/usr/bin/distcc")
            .arg(option)
            .env("DISTCC_HOSTS", list)
            .env("DISTCC_DIR", dir.path())
            .output();
        output.map(|o| String::from_utf8(o.stdout).unwrap())
    };
    for text in GOOD_LISTS {
        let list = HostList::parse(text);
        assert_eq!(list.errors, []);
        let Ok(total) = stock(text, "-j") else {
            println!("skipped: stock distcc is not installed");
            return;
        };
        assert_eq!(list.total_slots().to_string(), total.trim(), "{text}");
        if !list.randomize {
            let shown = stock(text, "--show-hosts").unwrap();
            let ours: Vec<_> = list.hosts.iter().map(|h| h.text.as_str()).collect();
            assert_eq!(ours, shown.lines().collect::<Vec<_>>(), "{text}");
        }
    }
}
