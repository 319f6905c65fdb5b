# SPDX-License-Identifier: MIT
"""Two network namespaces joined by a veth pair, whose receive work lands on the CPU of the end that receives.

    client namespace                        server namespace
    cl0 10.77.0.2  fd77::2  <── veth ──>  sv0 10.77.0.1  fd77::1

A veth processes packets where they are sent. So that each end pays for its own, RPS moves the client's packets to the
client's CPU, and the server's to the application's core (stock kernel), unless XDP steers them to the service core.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile

from .machine import CONGESTION_CONTROL
from .process import Process, run
from .trouble import step


class End:
    """One namespace with its end of the pair."""

    def __init__(self, netns, ifname, ip4, ip6, folder):
        self.netns, self.ifname, self.ip4, self.ip6, self.folder = netns, ifname, ip4, ip6, folder

    def argv(self, *command, cpu=None, unprivileged=False):
        """nsenter, not `ip netns exec`: that one hides the BPF file system."""
        user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"] if unprivileged else []
        pin = [] if cpu is None else ["taskset", "--cpu-list", cpu]
        return ["nsenter", f"--net=/run/netns/{self.netns}", "setpriv", *user, "--pdeathsig=KILL", *pin, *command]

    def run(self, *command, cpu=None, **kwargs):
        return run(*self.argv(*command, cpu=cpu), **kwargs)

    def start(self, stack, name, *command, **kwargs):
        """A background program that ends with the stack."""
        with step():
            process = Process(self.argv(*command, **kwargs), self.folder, name)
            stack.callback(process.stop)
        return process

    def receive_on(self, cpu):
        """Receive processing by RPS on this CPU, or (None) where the packet comes in."""
        mask = 0 if cpu is None else 1 << cpu
        words = [f"{mask >> shift & 0xffffffff:08x}" for shift in range((os.cpu_count() - 1) // 32 * 32, -1, -32)]
        # sysfs shows the interfaces of the namespace that mounted it: here we need `ip netns exec`, which mounts one.
        run("ip", "netns", "exec", self.netns, "sh", "-c", 'echo "$1" >"$2"', "sh", ",".join(words),
            f"/sys/class/net/{self.ifname}/queues/rx-0/rps_cpus", why="RPS is needed: take a kernel with CONFIG_RPS")


class Network:
    """Its folder and BPF file system are there for all who run in it. Made and removed by joined()."""

    def __init__(self, tag):
        self.tag = f"{tag}-{os.getpid()}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))
        self.bpffs = self.folder / "bpffs"
        self.server = End(f"{self.tag}-s", "sv0", "10.77.0.1", "fd77::1", self.folder)
        self.client = End(f"{self.tag}-c", "cl0", "10.77.0.2", "fd77::2", self.folder)
        self.ends = (self.server, self.client)

    def up(self):
        self.folder.chmod(0o755)  # servers run as nobody
        self.bpffs.mkdir()
        run("mount", "-t", "bpf", self.tag, self.bpffs, why="run as root, on a kernel with CONFIG_BPF_SYSCALL")
        for end in self.ends:
            run("ip", "netns", "add", end.netns, why="run as root, outside containers that forbid namespaces")
        run("ip", "link", "add", self.server.ifname, "netns", self.server.netns, "type", "veth",
            "peer", "name", self.client.ifname, "netns", self.client.netns, why="load the kernel module veth")
        # A redirect by XDP loses the partial checksum that a veth peer leaves to the receiver.
        self.client.run("ethtool", "-K", self.client.ifname, "tx", "off")
        for end in self.ends:
            end.run("sysctl", "-qw", f"net.ipv6.conf.{end.ifname}.accept_dad=0")
            for command in (("link", "set", "lo", "up"), ("link", "set", end.ifname, "up"),
                            ("addr", "add", f"{end.ip4}/24", "dev", end.ifname, "noprefixroute"),
                            ("addr", "add", f"{end.ip6}/64", "dev", end.ifname, "nodad", "noprefixroute")):
                end.run("ip", *command)
            # Not by sysctl: only the first namespace may choose what tcp_allowed_congestion_control does not list.
            for net in (f"{end.ip4.rsplit('.', 1)[0]}.0/24", f"{end.ip6.rsplit('::', 1)[0]}::/64"):
                end.run("ip", "route", "add", net, "dev", end.ifname, "congctl", CONGESTION_CONTROL,
                        why="load the kernel module tcp_cubic")

    def down(self):
        """Whatever of it is there; the BPF file system holds the last reference to links, programs and maps."""
        if os.path.ismount(self.bpffs):
            run("umount", self.bpffs)
        for end in self.ends:
            if os.path.exists(f"/run/netns/{end.netns}"):
                run("ip", "netns", "del", end.netns)
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def joined(tag):
    """A network for the time of a `with`."""
    network = None
    try:
        with step():
            network = Network(tag)
        network.up()
        yield network
    finally:
        if network:
            with step():
                network.down()
