#!/usr/bin/python3
"""A Gentoo machine for a test, on top of the Debian one that runs it, gone without a trace.

Real Portage needs root, a user and a group `portage`, files in /etc/portage and /var/db/repos, the
masquerade links in /usr/lib/distcc and programs in /usr/bin. None of that belongs on a developer's
machine. So this enters namespaces of its own (mount, PID, network, IPC, UTS), lays a writable
tmpfs over the whole file system, makes that the root and changes what it likes. When the first
process of the PID namespace ends, the kernel ends all others and frees mounts and files. The
network namespace has only its own loopback, so distccd can have its usual port.

Portage comes from PyPI (`requirements.txt`), installed into a virtual environment in WORK before
the network is left. Gentoo's sandbox program is in neither PyPI nor Debian: `sandbox/` stands in.

    gentoo.py WORK PROGRAMS [SCENARIO...]

prints what the scenarios saw (see scenarios.py), one fact per line: its name, a tab, its value with
line ends written as `\\n`; the items of a list are lines of one value. WORK is an empty folder that
user `portage` can enter; PROGRAMS holds `distcc` and `farcc`, or is `-` for stock alone.
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Wall clock for all that happens inside, in seconds: a hang must not outlive the test.
INSIDE_SECONDS = 150
STEP_SECONDS = 60  # for one step of the preparation
PORTAGE_ID = 250  # as in Gentoo's baselayout
DISTCC_ID = 240
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# Where Portage from PyPI looks for make.globals when told that its prefix is empty.
PORTAGE_SHARE = "/share"


def main():
    if sys.argv[1] == "--inside":
        inside(Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
        return
    work, programs = Path(sys.argv[1]).resolve(), sys.argv[2]
    install_portage(work)
    if programs != "-":
        programs = str(Path(programs).resolve())
    namespaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
    # Nothing of the caller's environment reaches Portage.
    environment = {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": f"{work}/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": "dumb",
        "PORTAGE_OVERRIDE_EPREFIX": "",
        "NOCOLOR": "true",
    }
    # All ends with the test, however that ends.
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--propagation", "private"]
    command += ["/usr/bin/python3", "-B", __file__, "--inside", str(work), programs, *sys.argv[3:]]
    os.execvpe(command[0], command, environment)


def install_portage(work):
    """Portage in a virtual environment of the system's Python, which is what Portage's scripts run."""
    venv = work / "venv"
    run("/usr/bin/python3", "-m", "venv", venv)
    pip = [venv / "bin/pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "--no-compile", "--requirement", HERE / "requirements.txt")
    os.chmod(work, 0o755)


def inside(work, programs, only):
    """First process of the new PID namespace."""
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(INSIDE_SECONDS)
    repository = work / "gentoo"
    shutil.copytree(HERE, repository)
    own_root(work / "root")
    loopback_up()
    become_gentoo(work)
    sys.path.insert(0, str(repository))
    import scenarios

    print_facts("", scenarios.run_all(repository, programs, only))
    sys.stdout.flush()


def print_facts(name, value):
    if isinstance(value, dict):
        for key, part in value.items():
            print_facts(f"{name}/{key}" if name else key, part)
        return
    if isinstance(value, list):
        value = "\n".join(value)
    escaped = str(value).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    print(name, escaped, sep="\t")


def give_up(_signal, _frame):
    sys.stderr.write(f"nothing came of it within {INSIDE_SECONDS} s\n")
    # As first process of the namespace this ends all others.
    os._exit(1)


def own_root(base):
    """A writable copy of everything in memory becomes `/`; changes are seen by nobody else."""
    base.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", base)
    for name in ("upper", "work", "merged"):
        (base / name).mkdir()
    layers = f"lowerdir=/,upperdir={base}/upper,workdir={base}/work"
    root = base / "merged"
    run("mount", "-t", "overlay", "-o", layers, "overlay", root)
    run("mount", "-t", "proc", "none", root / "proc")
    for name in ("sys", "dev"):
        run("mount", "--rbind", f"/{name}", root / name)
    for name, mode in (("dev/shm", "1777"), ("run", "755"), ("var/tmp", "1777")):
        run("mount", "-t", "tmpfs", "-o", f"mode={mode}", "none", root / name)
    old = root / "mnt/left"
    old.mkdir()
    os.chdir(root)
    # Not chroot: a process in a chroot may not make user namespaces, as our server does.
    run("pivot_root", ".", old.relative_to(root))
    os.chdir("/")
    run("umount", "--lazy", "/mnt/left")


def loopback_up():
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def become_gentoo(work):
    add_user("portage", PORTAGE_ID)
    add_user("distcc", DISTCC_ID)
    os.symlink(f"{work}/venv/share", PORTAGE_SHARE)
    if not shutil.which("gtar"):
        os.symlink("tar", "/usr/bin/gtar")
    os.makedirs("/var/cache/distfiles", exist_ok=True)
    repository = Path("/var/db/repos/gentoo")
    shutil.rmtree(repository, ignore_errors=True)
    shutil.copytree(work / "gentoo/repo", repository)
    defaults = (work / "gentoo/make.defaults.in").read_text()
    chost = output("gcc", "-dumpmachine").strip()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[chost.split("-")[0]]
    profile = repository / "profiles/default"
    (profile / "make.defaults").write_text(defaults.replace("@CHOST@", chost).replace("@ARCH@", arch))
    shutil.rmtree("/etc/portage", ignore_errors=True)
    os.mkdir("/etc/portage")
    os.symlink(profile, "/etc/portage/make.profile")
    library = ["-shared", "-fPIC", "-O2", "-o", "/usr/lib/libsandbox.so"]
    run("gcc", *library, work / "gentoo/sandbox/libsandbox.c")
    shutil.copy(work / "gentoo/sandbox/sandbox", "/usr/bin/sandbox")


def add_user(name, number):
    """Also when the machine has one of that name: the number must be known and free."""
    for path, line in (
        ("/etc/passwd", f"{name}:x:{number}:{number}::/var/empty:/bin/false"),
        ("/etc/group", f"{name}:x:{number}:"),
    ):
        kept = [old for old in Path(path).read_text().splitlines() if old.split(":")[0] != name]
        Path(path).write_text("\n".join([*kept, line, ""]))


def run(*command):
    command = [str(word) for word in command]
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=STEP_SECONDS)


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
