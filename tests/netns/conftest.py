# SPDX-License-Identifier: MIT
"""A private network of two namespaces for each test that asks for the fixture `lab`, and what can be put into it."""

import itertools
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from tools import Ringsvc, Site, wait_until

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SIDECORE_BUILD", REPO / "build")).resolve()
SERIAL = itertools.count()


class Host:
    """One namespace and its end of the veth pair."""

    def __init__(self, netns, ifname, ip4, ip6):
        self.netns, self.ifname, self.ip4, self.ip6 = netns, ifname, ip4, ip6
        self.processes = []

    def argv(self, *command):
        """The command line that runs command here. nsenter, not `ip netns exec`: that one hides /sys/fs/bpf."""
        return ["nsenter", f"--net=/run/netns/{self.netns}", *map(str, command)]

    def run(self, *command, check=True, timeout=30, **kwargs):
        """Run command here to its end; returns CompletedProcess with text stdout and stderr."""
        done = subprocess.run(self.argv(*command), capture_output=True, text=True, timeout=timeout, **kwargs)
        if check and done.returncode:
            raise AssertionError(f"{self.netns}: {' '.join(map(str, command))}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def popen(self, *command, **kwargs):
        """Start command here; the lab ends it at teardown if the test has not. The pid is the command's own."""
        process = subprocess.Popen(self.argv(*command), **{"text": True, **kwargs})
        self.processes.append(process)
        return process

    def pids(self):
        """Every process in this namespace, whoever started it."""
        out = subprocess.run(["ip", "netns", "pids", self.netns], capture_output=True, text=True, check=False).stdout
        return [int(pid) for pid in out.split()]

    @property
    def inode(self):
        """The namespace's inode, which names its directory of pins."""
        return os.stat(f"/run/netns/{self.netns}").st_ino

    def link(self):
        """`ip -j -d link show` of this end, as a dict."""
        return json.loads(self.run("ip", "-j", "-d", "link", "show", "dev", self.ifname).stdout)[0]

    def xdp_id(self):
        """Id of the XDP program on this end, 0 if none, or if a test has removed the device."""
        gone = self.run("ip", "link", "show", "dev", self.ifname, check=False).returncode
        return 0 if gone else self.link().get("xdp", {}).get("prog", {}).get("id", 0)

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe and not pipe.closed:
                    pipe.close()


class Lab:
    """Two namespaces joined by a veth pair, and a bpffs of its own; the fixture `lab` gives one to each test.

    lab.server, lab.client  Host objects: .netns .ifname .ip4 .ip6 .inode .run(*cmd) .popen(*cmd) .pids() .link() .xdp_id()
                            server is 10.77.0.1 / fd00:77::1 on `sv0`, client 10.77.0.2 / fd00:77::2 on `cl0`; other
                            labs may use the same addresses, namespaces keep them apart. lo is up in both.
    lab.bpffs               pathlib.Path of a bpffs mounted for this lab alone: give it to --bpffs
    lab.dir                 pathlib.Path of an empty directory for sockets, documents, logs
    lab.bin(name)           path of a built program: $SIDECORE_BUILD/bin/name, default <repo>/build/bin/name
    lab.loader(*args)       runs `sidecore-loader ARGS --bpffs lab.bpffs` in the server's namespace -> CompletedProcess
    lab.status()            `sidecore-loader status sv0 --json`, parsed

    The client's `ethtool -K tx off` is done: a cpumap redirect drops the partial checksums of a veth peer. An XDP
    program on sv0 or `ethtool -K sv0 gro on` is needed before XDP_TX or redirect from cl0 can reach sv0 (and the
    other way round): without NAPI on the receiving end a veth drops redirected frames.

    Teardown ends what popen() started, then fails the test if a process, namespace, pin or XDP program is left. So stop
    a daemon, do not abandon it: a process somebody else forked into the namespace and that outlives its parent by 3 s
    is a leak and fails the test. `build/bin` must be there; without root every test that uses a lab is skipped.
    """

    def __init__(self):
        tag = f"sclab-{os.getpid()}-{next(SERIAL)}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{tag}-"))
        self.bpffs = self.dir / "bpffs"
        self.server = Host(f"{tag}-s", "sv0", "10.77.0.1", "fd00:77::1")
        self.client = Host(f"{tag}-c", "cl0", "10.77.0.2", "fd00:77::2")
        self.hosts = (self.server, self.client)

    def up(self):
        self.bpffs.mkdir()
        sh("mount", "-t", "bpf", "sclab", self.bpffs)
        for host in self.hosts:
            sh("ip", "netns", "add", host.netns)
        sh("ip", "link", "add", self.server.ifname, "netns", self.server.netns, "type", "veth",
           "peer", "name", self.client.ifname, "netns", self.client.netns)
        self.client.run("ethtool", "-K", self.client.ifname, "tx", "off")
        for host in self.hosts:
            host.run("sysctl", "-qw", f"net.ipv6.conf.{host.ifname}.accept_dad=0")
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "link", "set", host.ifname, "up")
            host.run("ip", "addr", "add", f"{host.ip4}/24", "dev", host.ifname)
            host.run("ip", "addr", "add", f"{host.ip6}/64", "dev", host.ifname, "nodad")

    def bin(self, name):
        path = BUILD / "bin" / name
        if not path.exists():
            pytest.fail(f"{path}: not built; run make first, or set SIDECORE_BUILD")
        return path

    def loader(self, *args, check=True, **kwargs):
        return self.server.run(self.bin("sidecore-loader"), *args, "--bpffs", self.bpffs, check=check, **kwargs)

    def status(self):
        return json.loads(self.loader("status", self.server.ifname, "--json").stdout)

    def down(self):
        """Remove everything, then say what had to be left or should not have been there."""
        wrong, programs = [], []
        for host in self.hosts:
            host.stop()
        for host in self.hosts:
            if not wait_until(lambda h=host: not h.pids(), 3):
                wrong += [f"process left in {host.netns}: {describe(pid)}" for pid in host.pids()]
                for pid in host.pids():
                    os.kill(pid, signal.SIGKILL)
            if os.path.exists(f"/run/netns/{host.netns}"):
                programs.append(host.xdp_id())
        if os.path.ismount(self.bpffs):
            sh("umount", self.bpffs)  # the last reference to its pins: links, programs and maps go with it
        for host in self.hosts:
            if os.path.exists(f"/run/netns/{host.netns}"):
                sh("ip", "netns", "del", host.netns)
        shutil.rmtree(self.dir)
        names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        wrong += [f"namespace left: {host.netns}" for host in self.hosts if host.netns in names.split()]
        for program in filter(None, programs):
            if not wait_until(lambda p=program: not program_exists(p)):
                wrong.append(f"XDP program {program} left after its namespace")
        assert not wrong, "; ".join(wrong)


def sh(*command):
    """Run a set-up command on the machine itself; its stderr is the message when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def describe(pid):
    try:
        return f"{pid} ({pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode().strip()})"
    except OSError:
        return f"{pid} (gone)"


def program_exists(program):
    return not subprocess.run(["bpftool", "prog", "show", "id", str(program)], capture_output=True,
                              check=False).returncode


def pytest_configure():
    # A TERM must unwind the fixtures like Ctrl-C does, or namespaces stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A thousand connections have two ends.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Every process of this session carries it, so that test_residue.py can tell ours from others'.
    os.environ["SIDECORE_TEST_SESSION"] = str(os.getpid())


def pytest_collection_modifyitems(items):
    # What is left behind shows at the end.
    items.sort(key=lambda item: item.path.name == "test_residue.py")


@pytest.fixture
def lab():
    """A fresh Lab (see its docstring), gone without a trace after the test."""
    if os.geteuid():
        pytest.skip("needs root for network namespaces")
    made = Lab()
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture
def ringsvc(lab):
    """sidecore-ringsvc running in the lab; see tools.Ringsvc."""
    return Ringsvc(lab)


@pytest.fixture(scope="session")
def site():
    """Files of 128 bytes, 16 KiB and 100 MB, served as /small, /page and /big by who is given site.dir."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"sclab-{os.getpid()}-site-"))
    directory.chmod(0o755)
    yield Site(directory / "root", small=128, page=16384, big=100_000_000)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def small_site(site):
    """Only /small and /page, for servers that need not hold 100 MB."""
    yield Site(site.dir.parent / "small", small=128, page=16384)
