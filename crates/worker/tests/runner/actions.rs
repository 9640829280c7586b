//! What actions see, write and are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use reapi::client::CallError;
use reapi::{Directory, OutputDirectoryFormat, OutputKind, Tree};
use store::Digest;

use crate::native::{Act, FUNCTION, connect, content, run, text};
use crate::server::{Server, Setup, check_ok, compile};

#[test]
fn an_action_runs_with_its_inputs_and_nothing_else() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let act = Act::sh("pwd; ls -A; cat in/a; env; ls out; echo done >out/b; echo oops >&2")
            .file("in/a", "hello\n")
            .env("X", "y z")
            .output("out/b");
        let result = act.succeeds(&client).await;
        let stdout = text(&client, &result.stdout).await;
        let mut lines: Vec<_> = stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "/build",
                "PATH=/usr/bin:/bin",
                "PWD=/build",
                "X=y z",
                "hello",
                "in",
                "out"
            ]
        );
        assert_eq!(text(&client, &result.stderr).await, "oops\n");
        assert_eq!(content(&client, &result, "out/b").await, b"done\n");
        let metadata = &result.metadata;
        let times = [
            metadata.queued,
            metadata.worker_start,
            metadata.input_fetch_start,
            metadata.input_fetch_completed,
            metadata.execution_start,
            metadata.execution_completed,
            metadata.output_upload_start,
            metadata.output_upload_completed,
            metadata.worker_completed,
        ];
        assert!(
            times.iter().all(Option::is_some) && times.is_sorted(),
            "{times:?}"
        );
        assert!(!metadata.worker.is_empty());
        let usage = metadata.usage.unwrap();
        assert!(usage.peak_memory_bytes > 0 && !usage.wall.is_zero());
    });
    let line = server.wait_for_log("COMPILE_OK exit:0");
    assert!(line.contains(" sh b action:blake3:"), "{line}");
}

#[test]
fn every_kind_of_output_is_told() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let script = "printf x >file; printf y >prog; chmod +x prog; ln -s nowhere/at/all link; \
            mkdir -p dir/sub/empty; printf z >dir/sub/f; printf w >dir/p; chmod +x dir/p; \
            ln -s ../file dir/l; mkdir dir/sub2; printf z >dir/sub2/f; mkdir dir/sub2/empty";
        let mut act = Act::sh(script);
        for path in ["file", "prog", "link", "dir", "missing", "in/missing"] {
            act = act.output(path);
        }
        let result = act.succeeds(&client).await;
        let files: Vec<_> = result.files.iter().collect();
        assert_eq!(files.len(), 2);
        assert_eq!((&*files[0].path, files[0].is_executable), ("file", false));
        assert_eq!((&*files[1].path, files[1].is_executable), ("prog", true));
        assert_eq!(files[1].digest, Digest::of(FUNCTION, b"y"));
        assert!(files[1].properties.is_empty());
        let [link] = &result.symlinks[..] else {
            panic!("{result:?}")
        };
        assert_eq!(
            (&*link.path, &*link.target, link.kind),
            ("link", "nowhere/at/all", OutputKind::Any)
        );
        let [dir] = &result.directories[..] else {
            panic!("{result:?}")
        };
        assert!(dir.is_topologically_sorted && dir.root.is_none());
        let tree = client.download(&dir.tree.unwrap()).await.unwrap();
        let tree = Tree::decode(FUNCTION, &tree).unwrap();
        // The two directories below are the same, and so is what is in them.
        assert_eq!((dir.path.as_str(), tree.children.len()), ("dir", 2));
        assert_eq!(tree.root.directories.len(), 2);
        assert_eq!(tree.root.symlinks[0].target, "../file");
        assert!(tree.root.files[0].is_executable);

        act.command.directory_format = OutputDirectoryFormat::TreeAndDirectory;
        let result = act.succeeds(&client).await;
        let root = result.directories[0].root.unwrap();
        assert_eq!(root, tree.root_digest);
        let directory = client.download(&root).await.unwrap();
        let directory = Directory::decode(FUNCTION, &directory).unwrap();
        client
            .download(&directory.directories[0].digest)
            .await
            .unwrap();
    });
}

#[test]
fn outputs_in_the_old_way_are_of_the_kind_that_was_asked_for() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let script = "mkdir d; printf x >f; ln -s f fl; ln -s d dl";
        let good = Act::sh(script)
            .output_of_kind("f", OutputKind::File)
            .output_of_kind("fl", OutputKind::File)
            .output_of_kind("d", OutputKind::Directory)
            .output_of_kind("dl", OutputKind::Directory);
        let result = good.succeeds(&client).await;
        assert_eq!((result.files.len(), result.directories.len()), (1, 1));
        assert_eq!(result.symlinks.len(), 2);
    });
}

#[test]
fn how_a_command_ends_is_told() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let ends = async |act: Act| {
            let result = act.ask(&client).await.unwrap().result;
            (result.exit_code, text(&client, &result.stderr).await)
        };
        assert_eq!(ends(Act::sh("exit 7")).await, (7, String::new()));
        assert_eq!(ends(Act::sh("kill -SEGV $$")).await.0, 139);
        let (code, why) = ends(Act::new(["no-such-program"])).await;
        assert_eq!(code, 127);
        assert!(why.contains("no-such-program"), "{why}");
        let (code, why) = ends(Act::new(["./x"]).file("x", "")).await;
        assert_eq!(code, 127, "{why}");
        let long = Act::sh("seq 100000; seq 50000 >&2").ask(&client).await;
        let long = long.unwrap().result;
        assert!(text(&client, &long.stdout).await.ends_with("\n100000\n"));
        assert!(text(&client, &long.stderr).await.ends_with("\n50000\n"));
        // A failed command's outputs are of use too.
        let act = Act::sh("printf x >a; exit 1").output("a");
        let result = act.ask(&client).await.unwrap().result;
        assert_eq!((result.exit_code, result.files.len()), (1, 1));
    });
    server.wait_for_log("COMPILE_ERROR exit:7 sig:0");
    server.wait_for_log("COMPILE_ERROR exit:0 sig:11");
}

#[test]
fn programs_are_found_as_the_specification_says() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let script = "#!/bin/sh\necho here in $(pwd)\n";
        let tool = |program: &str| {
            Act::new([program])
                .program("bin/tool", script)
                .directory("w")
        };
        let says = async |act: Act| act.says(&client).await;
        assert_eq!(says(tool("bin/tool")).await, "here in /build\n");
        assert_eq!(
            says(tool("../bin/tool").cwd("w")).await,
            "here in /build/w\n"
        );
        assert_eq!(says(tool("/build/bin/tool")).await, "here in /build\n");
        let mut by_path = tool("tool");
        by_path.command.environment = vec![("PATH".into(), "/usr/bin:/bin:/build/bin".into())];
        assert_eq!(says(by_path).await, "here in /build\n");
    });
}

#[test]
fn the_input_root_is_where_it_was_asked_for() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let place = "/home/user/project";
        let act = Act::sh("pwd; cat ../project/a; ls -A / | grep home")
            .file("a", "x\n")
            .property("InputRootAbsolutePath", place);
        assert_eq!(act.says(&client).await, format!("{place}\nx\nhome\n"));
        // The whole root, entered by a program that needs nothing.
        let (program, _dir) = static_program(
            "#include <stdio.h>\n#include <unistd.h>\n\
             int main() { char b[99]; puts(getcwd(b, 99)); \
             FILE *f = fopen(\"out/x\", \"w\"); if (!f) return 1; fputs(\"made\", f); fclose(f); \
             if (fopen(\"other\", \"w\")) return 2; if (fopen(\"/tmp/x\", \"w\") == 0) return 3; \
             return access(\"/usr\", F_OK) == 0; }",
        );
        let act = Act::new(["/bin/prog"])
            .program("bin/prog", program)
            .cwd("work")
            .at_root();
        let mut act = act.output("work/out/x");
        act.command.outputs[0].path = "out/x".into();
        let result = act.succeeds(&client).await;
        assert_eq!(text(&client, &result.stdout).await, "/work\n");
        assert_eq!(content(&client, &result, "out/x").await, b"made");
    });
}

/// A program that needs no library.
fn static_program(source: &str) -> (Vec<u8>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (c, program) = (dir.path().join("p.c"), dir.path().join("p"));
    fs::write(&c, source).unwrap();
    let mut gcc = Process::new("gcc");
    gcc.arg("-static").arg("-o").arg(&program).arg(&c);
    assert!(gcc.status().unwrap().success());
    (fs::read(program).unwrap(), dir)
}

/// What `ldd` says that a program needs, and itself.
fn with_libraries(program: &Path, files: &mut Vec<PathBuf>) {
    files.push(program.to_path_buf());
    let ldd = Process::new("ldd").arg(program).output().unwrap();
    for line in String::from_utf8(ldd.stdout).unwrap().lines() {
        let line = line.split(" => ").last().unwrap().trim();
        let path = line.split(' ').next().unwrap();
        if path.starts_with('/') {
            files.push(PathBuf::from(path));
        }
    }
}

/// A file with all links on the way to it, at the paths that they have here.
fn mirror(mut act: Act, path: &Path, done: &mut std::collections::HashSet<PathBuf>) -> Act {
    let mut here = PathBuf::from("/");
    let mut parts = path.components();
    parts.next();
    while let Some(part) = parts.next() {
        here.push(part);
        if fs::symlink_metadata(&here).unwrap().is_symlink() {
            let target = fs::read_link(&here).unwrap();
            if done.insert(here.clone()) {
                let name = here.strip_prefix("/").unwrap().to_str().unwrap();
                act = act.link(name, target.to_str().unwrap());
            }
            let real = here.parent().unwrap().join(target).join(parts.as_path());
            let mut plain = PathBuf::from("/");
            for part in real.components().skip(1) {
                match part {
                    std::path::Component::ParentDir => drop(plain.pop()),
                    part => plain.push(part),
                }
            }
            return mirror(act, &plain, done);
        }
    }
    if done.insert(here.clone()) {
        let name = here.strip_prefix("/").unwrap().to_str().unwrap();
        act = act.program(name, fs::read(&here).unwrap());
    }
    act
}

#[test]
fn a_compiler_that_was_sent_makes_the_object_of_a_local_compile() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("a.c");
    let text_of_source = "#include <stdio.h>\nint main(void) { puts(__FILE__); return 0; }\n";
    fs::write(&source, text_of_source).unwrap();
    let gcc = fs::canonicalize("/usr/bin/gcc").unwrap();
    let ask = |args: &[&str]| {
        let output = Process::new(&gcc).args(args).arg(&source).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let mut files = Vec::new();
    with_libraries(&gcc, &mut files);
    for program in ["cc1", "as"] {
        let path = ask(&[&format!("-print-prog-name={program}")]);
        let path = path.trim();
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/usr/bin/{path}")
        };
        with_libraries(Path::new(&path), &mut files);
    }
    let dependencies = ask(&["-O2", "-M"]);
    let dependencies = dependencies.split_once(':').unwrap().1.replace('\\', " ");
    files.extend(dependencies.split_whitespace().map(PathBuf::from));
    let mut act = Act::new([gcc.to_str().unwrap(), "-g", "-O2", "-c", "a.c", "-o", "a.o"]);
    let mut done = std::collections::HashSet::new();
    for file in files {
        // With `..` as the compiler says it, the directories on the way have to be there.
        if file.components().any(|part| part.as_os_str() == "..") {
            let above = file.parent().unwrap();
            let above = above.strip_prefix("/").unwrap().to_str().unwrap();
            let first = above.split("/..").next().unwrap();
            act = act.directory(first);
            act = mirror(act, &fs::canonicalize(&file).unwrap(), &mut done);
        } else {
            act = mirror(act, &file, &mut done);
        }
    }
    let cwd = dir
        .path()
        .strip_prefix("/")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    act = act
        .at_root()
        .cwd(&cwd)
        .env("PWD", dir.path().to_str().unwrap());
    act = act.output(&format!("{cwd}/a.o"));
    act.command.outputs[0].path = "a.o".into();
    let made = run(async {
        let client = connect(&server).await;
        let result = act.succeeds(&client).await;
        content(&client, &result, "a.o").await
    });
    let local = Process::new(&gcc)
        .args(["-g", "-O2", "-c", "a.c", "-o", "a.o"])
        .current_dir(dir.path())
        .env("PWD", dir.path())
        .status()
        .unwrap();
    assert!(local.success());
    assert!(
        made == fs::read(dir.path().join("a.o")).unwrap(),
        "another object"
    );
    let line = server.wait_for_log("COMPILE_OK");
    assert!(line.contains(" a.c action:"), "{line}");
}

#[test]
fn missing_blobs_are_all_named() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let act = Act::sh("cat a b/c").file("a", "1").file("b/c", "2");
        let (action, blobs) = act.blobs();
        let inputs = [b"1", b"2"].map(|content| Digest::of(FUNCTION, content));
        let others = blobs.iter().filter(|(digest, _)| !inputs.contains(digest));
        client.upload(others.cloned().collect()).await.unwrap();
        let asked = client.execute(&action, &Default::default(), |_| {}).await;
        let Err(CallError::Missing(mut missing)) = asked else {
            panic!("{asked:?}")
        };
        let mut expected = inputs.to_vec();
        missing.sort_unstable();
        expected.sort_unstable();
        assert_eq!(missing, expected);
        assert_eq!(act.says(&client).await, "12");
    });
    server.wait_for_log("2 input blobs are missing");
}

#[test]
fn a_property_that_this_worker_has_not_is_named() {
    let server = Setup::new()
        .args("--property container-image=docker://x")
        .start();
    run(async {
        let client = connect(&server).await;
        let ask = async |name, value| Act::sh("exit 0").property(name, value).ask(&client).await;
        assert!(ask("container-image", "docker://x").await.is_ok());
        assert!(ask("OSFamily", "Linux").await.is_ok());
        let error = ask("container-image", "docker://y").await.unwrap_err();
        assert!(
            error.to_string().contains("container-image=docker://y"),
            "{error}"
        );
    });
}

#[test]
fn a_root_of_the_administrators_replaces_this_machines() {
    let setup = Setup::new();
    let root = setup.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    let (program, _dir) = static_program(
        "#include <stdio.h>\n#include <unistd.h>\nint main() \
         { puts(\"special\"); return access(\"/usr\", F_OK) == 0; }",
    );
    let tool = root.join("bin/tool");
    fs::write(&tool, program).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let server = setup.args(&format!("--root {}", root.display())).start();
    run(async {
        let client = connect(&server).await;
        assert_eq!(Act::new(["/bin/tool"]).says(&client).await, "special\n");
    });
}

#[test]
fn both_protocols_are_served_at_once() {
    let server = Setup::new().args("-j 2").start();
    run(async {
        let client = connect(&server).await;
        let acts: Vec<_> = (0..4)
            .map(|i| Act::sh(&format!("sleep 0.0{i}; echo {i}")))
            .collect();
        let acts = acts.iter().map(|act| act.says(&client));
        let stock = tokio::task::spawn_blocking({
            let stream = server.connect();
            move || {
                use std::io::Write;
                let request = compile(stock::Version::V1, "gcc -c a.c -o a.o", b"int x;\n");
                let mut stream = stream;
                stream.write_all(&request.pack().encode().unwrap()).unwrap();
                crate::server::answer(stream, stock::Version::V1)
            }
        });
        for (i, act) in acts.enumerate() {
            assert_eq!(act.await, format!("{i}\n"));
        }
        check_ok(&stock.await.unwrap());
    });
}

#[test]
fn a_server_without_native_clients_says_so_in_their_language() {
    let server = Setup::new().args("--no-native").start();
    run(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port));
        let stream = stream.await.unwrap();
        let caller = Default::default();
        let client = reapi::client::Client::connect(stream, "worker", &caller, FUNCTION).await;
        let error = client.unwrap_err().to_string();
        assert!(error.contains("--no-native"), "{error}");
    });
    server.check_alive();
}

#[test]
fn a_client_that_is_not_allowed_is_told_so_in_its_language() {
    let server = Setup::new().args("--allow 192.0.2.1").start();
    run(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port));
        let stream = stream.await.unwrap();
        let caller = Default::default();
        let client = reapi::client::Client::connect(stream, "worker", &caller, FUNCTION).await;
        let error = client.unwrap_err().to_string();
        assert!(error.contains("127.0.0.1 is not allowed"), "{error}");
    });
}
