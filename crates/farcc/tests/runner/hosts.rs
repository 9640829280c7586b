//! The host list as scripts and people see it; stock's client is the judge where it is installed.

use crate::space::{Answer, Space};
use std::fs;
use std::process::Command;

const STOCK: &str = "/usr/bin/distcc";

fn stock(space: &Space, option: &str, hosts: Option<&str>) -> Option<Answer> {
    let is_stock = fs::read(STOCK).is_ok_and(|program| {
        let mark = b"Martin Pool";
        program.windows(mark.len()).any(|window| window == mark)
    });
    is_stock.then(|| {
        let mut command = Command::new(STOCK);
        command
            .arg(option)
            .env_clear()
            .env("DISTCC_DIR", space.path("distcc"));
        if let Some(hosts) = hosts {
            command.env("DISTCC_HOSTS", hosts);
        }
        Answer::of(&mut command)
    })
}

#[test]
fn show_hosts_and_slots_answer_as_stock_does() {
    let space = Space::new();
    let lists = [
        "a b/4 localhost",
        "localhost/10 b a,lzo",
        "--localslots=3 a b/2,lzo @foo user@h/3:ssh",
        "[::1]:40 c=4 d:77/3 e/2:70,lzo,cpp # comment\nf",
        "a,down",
        "",
        "# nothing",
    ];
    for list in lists {
        for (command, option) in [("show-hosts", "--show-hosts"), ("slots", "-j")] {
            let mut farcc = space.command("farcc", &[command]);
            let ours = Answer::of(farcc.env("DISTCC_HOSTS", list));
            assert_eq!(ours.code, Some(0));
            if let Some(stock) = stock(&space, option, Some(list)) {
                assert_eq!(ours.stdout, stock.stdout, "{option} {list}");
                assert_eq!(ours.stderr.is_empty(), stock.stderr.is_empty(), "{list}");
            }
        }
    }
}

#[test]
fn the_file_in_distcc_dir_is_read() {
    let space = Space::new();
    fs::write(space.path("distcc/hosts"), "box1/3 # mine\nbox2\n").unwrap();
    let ours = space.run("farcc", &["show-hosts"]).success();
    assert_eq!(ours.stdout, "box1/3\nbox2\n");
    if let Some(stock) = stock(&space, "--show-hosts", None) {
        assert_eq!(ours.stdout, stock.stdout);
    }
}

#[test]
fn an_empty_list_is_complained_about_in_stocks_words() {
    let space = Space::new();
    let ours = Answer::of(
        space
            .command("farcc", &["show-hosts"])
            .env("DISTCC_HOSTS", ""),
    );
    for words in [
        "$DISTCC_HOSTS contained no hosts; can't distribute work",
        "Failed to get host list",
    ] {
        assert!(ours.stderr.contains(words), "{ours:?}");
        if let Some(stock) = stock(&space, "--show-hosts", Some("")) {
            assert!(stock.stderr.contains(words), "{stock:?}");
        }
    }
}

#[test]
fn a_broken_entry_does_not_cost_the_others() {
    let space = Space::new();
    let mut farcc = space.command("farcc", &["show-hosts"]);
    let ours = Answer::of(farcc.env("DISTCC_HOSTS", "box1 box2,zip box3/0 box4"));
    assert_eq!((ours.code, ours.stdout.as_str()), (Some(0), "box1\nbox4\n"));
    assert!(ours.stderr.contains("`box2,zip`"), "{}", ours.stderr);
    let mut farcc = space.command("farcc", &["hosts"]);
    let ours = Answer::of(farcc.env("DISTCC_HOSTS", "box1 box2,zip"));
    assert_eq!(ours.code, Some(106));
    assert!(ours.stdout.contains("error: host list, line 1, column 6"));
}

#[test]
fn good_lists_are_shown_to_people() {
    let space = Space::new();
    let mut farcc = space.command("farcc", &["hosts"]);
    let ours = Answer::of(farcc.env("DISTCC_HOSTS", "box1/16,lzo")).success();
    assert!(ours.stdout.contains("16 jobs, port 3632, compressed"));
}
