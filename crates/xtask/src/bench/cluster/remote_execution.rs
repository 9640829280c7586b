//! Other clients of the Remote Execution API, set up as their authors mean them to be.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use e2e::foreign;

use super::ninja;
use super::units::Unit;

/// siso's rule for compiles: remote, with its own scanner for headers. Files of the system are not sent.
const SISO_CONFIG: &str = r#"
load("@builtin//struct.star", "module")
load("@builtin//encoding.star", "json")

def init(ctx):
    config = {
        "platforms": {"default": {"OSFamily": "linux"}},
        "rules": [{
            "name": "compile",
            "action": "cc",
            "remote": True,
            "platform_ref": "default",
            "use_system_input": True,
            "timeout": "10m",
        }],
    }
    return module("config", step_config = json.encode(config), filegroups = {}, handlers = {})
"#;

/// Makes the project one of siso's.
pub(super) fn configure_siso(project: &Path, units: &[Unit], dir: &Path) -> Result<(), String> {
    if units.iter().any(|unit| unit.cwd != dir) {
        return Err("siso cannot build this: its commands all run in one directory".into());
    }
    let write = |path: &str, text: &str| {
        let path = project.join(path);
        let above = path.parent().map_or(Ok(()), fs::create_dir_all);
        above
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    write(".sisoroot", "")?;
    write("build/config/siso/main.star", SISO_CONFIG)
}

/// siso, which reads Ninja's files itself.
pub(super) fn siso(command: &mut Command, dir: &Path, address: SocketAddr, jobs: usize) {
    command
        .arg(foreign::newest("siso"))
        .args(["ninja", "-C"])
        .arg(dir)
        .args(["-f", ninja::FILE, "-reapi_address", &address.to_string()])
        .args(["-reapi_insecure", "-reapi_instance=", "-project="])
        .args(["-reapi_max_retries", "1", "-strict_remote"])
        .args(["-remote_jobs", &jobs.to_string()])
        .env("RBE_service_no_security", "true");
}

/// recc's settings.
pub(super) fn recc(command: &mut Command, project: &Path, address: SocketAddr) {
    command
        .env("RECC_SERVER", format!("http://{address}"))
        .env("RECC_PROJECT_ROOT", project);
}
