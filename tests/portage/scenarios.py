"""What real Portage does with stock distcc and with ours, as facts for the test to judge.

Each scenario builds with `emerge` or `ebuild` and tells how the build ended, what it printed, and
which compiles the server did, by the names in its log. The server counts, because it cannot be
fooled by a client that says one thing and does another. Runs inside the machine that gentoo.py
makes: everything is at its place in the file system, as root installs it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAKE_CONF = Path("/etc/portage/make.conf")
TMPDIR = Path("/var/tmp/portage")  # the builds' folders
DISTCC_DIR = TMPDIR / ".distcc"  # Portage's default
PAIR = ("app-test/left", "app-test/right")
SERVER_LOG = Path("/var/tmp/distccd.log")
STOCK_SERVER = "/usr/bin/stock-distccd"
SERVER_HOST = "127.0.0.1/8"
# How long one build, and one start of the server, may take, in seconds.
BUILD_SECONDS = 60
START_SECONDS = 10
MONITOR_PAUSE = 0.1  # between two looks of the monitor, in seconds
EMERGE_OPTIONS = ["--oneshot", "--nodeps"]
ALL_SANDBOXES_OFF = (
    "-ipc-sandbox -mount-sandbox -network-sandbox -pid-sandbox -sandbox -usersandbox"
)
# FEATURES of builds of the same package, in this order.
BUILDS = {
    "mount_sandbox": "distcc mount-sandbox",
    "as_root": "distcc -userpriv",
    "as_portage_again": "distcc",
    "as_root_again": "distcc -userpriv",
    "no_sandboxes": f"distcc {ALL_SANDBOXES_OFF}",
    "default_after_all": "distcc",
    "ccache_first": "ccache distcc",
    "ccache_second": "ccache distcc",
}
CLIENT_LOG = Path("/var/log/distcc/client.log")
DOCUMENTED_SETTINGS = f"""
CFLAGS="-O2 -march=native"
CXXFLAGS="${{CFLAGS}}"
DISTCC_DIR="/var/cache/distcc"
DISTCC_LOG="{CLIENT_LOG}"
DISTCC_VERBOSE="1"
"""
# `… COMPILE_OK exit:0 sig:0 core:0 ret:0 time:23ms gcc a.c`, and ` action:DIGEST` of what was sent as sources
SUMMARY = re.compile(
    r"client: \S+ (\w+) exit:-?\d+ .* time:\S+ \S+ (\S+)(?: action:\S+)?$", re.MULTILINE
)


def run_all(sources, programs, only):
    template = (sources / "make.conf.in").read_text()
    facts = {}
    if not only and os.access("/usr/bin/distcc", os.X_OK):
        facts["stock"] = with_stock(template)
    if programs != "-":
        install_ours(programs)
        facts["ours"] = with_ours(template, only)
    return facts


def with_stock(template):
    """The control: what Portage and stock distcc do on their own."""
    facts = {}
    with Server("nobody"):
        # In this order: after failing to connect stock keeps away from a server for a minute.
        facts["networked"] = Scenario(template, "distcc -network-sandbox").build()
        facts["default"] = Scenario(template, "distcc").build()
    shutil.rmtree(DISTCC_DIR)
    return facts


def install_ours(programs):
    if os.access("/usr/bin/distccd", os.X_OK):
        shutil.copy("/usr/bin/distccd", STOCK_SERVER)
    for old in ("distcc", "distccd", "distccmon-text", "lsdistcc", "pump", "distcc-pump"):
        Path("/usr/bin", old).unlink(missing_ok=True)
    shutil.rmtree("/usr/lib/distcc", ignore_errors=True)
    said = run(f"{programs}/farcc", "util", "install", "--prefix", "/usr")
    if not os.access("/usr/bin/distccmon-text", os.X_OK):
        sys.exit("farcc does not install itself: " + said)


def with_ours(template, only):
    """All of them, one after the other in one DISTCC_DIR; or only those that are named."""
    facts = {}

    def see(name, look):
        if not only or name in only:
            facts[name] = look()

    def scenario(features, hosts=SERVER_HOST, variant=""):
        return Scenario(template, features, hosts, variant)

    with Server("distcc"):
        see("default", lambda: scenario("distcc").emerge("app-test/units"))
        see("info", lambda: {"output": run("emerge", "--info")})
        for name, features in BUILDS.items():
            # Both sides know the results of other builds; ccache shall know its own.
            variant = "ccache" if features.startswith("ccache") else name
            see(name, scenario(features, variant=variant).build)
        see("as_documented", lambda: as_documented(template))
        # Fewer slots than jobs: two agents have to share them through the lock files.
        see("pair", lambda: scenario("distcc", "127.0.0.1/4").emerge_watched(*PAIR))
    if os.access(STOCK_SERVER, os.X_OK):
        with Server("nobody", STOCK_SERVER):
            see("stock_server", scenario("distcc").build)
    see("no_server", scenario("distcc").build)
    facts["left_running"] = strangers()
    return facts


def as_documented(template):
    """What docs/gentoo.md says beyond the defaults: hosts from /etc/distcc, a log, -march=native."""
    said = run("distcc-config", "--set-hosts", SERVER_HOST)
    CLIENT_LOG.parent.mkdir(exist_ok=True)
    shutil.chown(CLIENT_LOG.parent, "portage", "portage")
    scenario = Scenario(template, "distcc", hosts=None)
    scenario.make_conf += DOCUMENTED_SETTINGS
    facts = scenario.build()
    Path("/etc/distcc/hosts").unlink()
    return {**facts, "config": said, "log": CLIENT_LOG.read_text()}


class Scenario:
    """One build with its own make.conf."""

    def __init__(self, template, features, hosts=SERVER_HOST, variant=""):
        option = f" -DSCENARIO_{variant}" if variant else ""
        self.make_conf = template.replace("@FEATURES@", features).replace("@VARIANT@", option)
        if hosts:
            self.make_conf += f'DISTCC_HOSTS="{hosts}"\n'

    def build(self):
        """Compiles app-test/units, phases one by one in one process, installing nothing."""
        ebuild = "/var/db/repos/gentoo/app-test/units/units-1.ebuild"
        return self.finish(self.start("ebuild", ebuild, "clean", "compile"))

    def emerge(self, package):
        return self.finish(self.start("emerge", *EMERGE_OPTIONS, package))

    def start(self, *command):
        """Output goes to a file: a daemon that holds on to it cannot keep anybody waiting."""
        MAKE_CONF.write_text(self.make_conf)
        for path in [*TMPDIR.glob("facts.*"), *TMPDIR.glob("program.out")]:
            path.unlink()
        self.log_start = SERVER_LOG.stat().st_size if SERVER_LOG.exists() else 0
        self.started = time.monotonic()
        self.output = tempfile.TemporaryFile("w+")
        return subprocess.Popen(
            ["timeout", "--kill-after=5", str(BUILD_SECONDS), *command],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    def emerge_watched(self, *packages):
        """Packages at once, and what our monitor outside of their sandboxes shows meanwhile."""
        # Portage would give files that are there to the group; new ones must be right by themselves.
        shutil.rmtree(DISTCC_DIR / "lock", ignore_errors=True)
        options = [*EMERGE_OPTIONS, "--jobs=2", "--jobs-tmpdir-require-free-gb=0"]
        emerge = self.start("emerge", *options, *packages)
        seen, looks, agent_variables = [], [], set()
        while emerge.poll() is None:
            lines = run("distccmon-text", DISTCC_DIR=str(DISTCC_DIR)).splitlines()
            lines = [line for line in lines if line.strip()]
            seen += [line for line in lines if line not in seen]
            looks.append(" ; ".join(line.strip() for line in lines))
            agent_variables |= variables_of_agents()
            time.sleep(MONITOR_PAUSE)
        agents = {"agent_variables": sorted(agent_variables)}
        return {**self.finish(emerge), "seen": seen, "looks": looks, **agents}

    def finish(self, process):
        process.wait()
        self.output.seek(0)
        with SERVER_LOG.open() as log:
            log.seek(self.log_start)
            server_said = log.read()
        jobs = SUMMARY.findall(server_said)
        # Each toolchain is tried on a worker first.
        jobs = [(outcome, name) for outcome, name in jobs if not name.startswith("probe.")]
        return {
            "status": process.returncode,
            "output": self.output.read(),
            "remote": sorted(name for outcome, name in jobs if outcome == "COMPILE_OK"),
            "not_ok": sorted(" ".join(job) for job in jobs if job[0] != "COMPILE_OK"),
            "server": server_said,
            "seconds": round(time.monotonic() - self.started, 1),
            "phases": phase_facts(),
        }


def phase_facts():
    """What the ebuild wrote down in each phase; see its function `facts`."""
    facts = {}
    for path in TMPDIR.glob("facts.*"):
        lines = path.read_text().splitlines()
        facts[path.suffix[1:]] = dict(line.split("=", 1) for line in lines)
    program = TMPDIR / "program.out"
    if program.exists():
        facts["program"] = program.read_text().strip()
    return facts


class Server:
    """distccd as Gentoo's init script starts it, for one network."""

    def __init__(self, user, program="/usr/bin/distccd"):
        self.command = [program, "--user", user, "--daemon", "--no-detach"]
        self.command += ["--port", "3632", "--log-level", "info", "--log-stderr"]
        self.command += ["--allow", "127.0.0.0/8", "-N", "15", "--jobs", "8"]

    def __enter__(self):
        with SERVER_LOG.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": "/var/tmp"},
                process_group=0,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", 3632), timeout=1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("distccd does not start: " + SERVER_LOG.read_text())
                time.sleep(0.05)

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        # Stock leaves without its children; as first process of the namespace we inherit them.
        try:
            while True:
                os.waitpid(-self.process.pid, 0)
        except ChildProcessError:
            pass


def variables_of_agents():
    """Names of the environment's variables of all running agents."""
    names = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes().startswith(b"/usr/bin/farcc\0agent\0"):
                environment = (path / "environ").read_text(errors="replace")
                names |= {variable.split("=")[0] for variable in environment.split("\0")}
        except OSError:
            continue
    return names - {""}


def strangers():
    """Command lines of processes that should not be there any more."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            state = (path / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if int(path.name) != os.getpid() and state != "Z":
            found.append(b" ".join(words).decode(errors="replace").strip())
    return sorted(found)


def run(*command, **variables):
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
    )
    return done.stdout
