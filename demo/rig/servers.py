# SPDX-License-Identifier: MIT
"""The servers that are compared, each with what it needs: a poller, steering, receive processing on the right core."""

import contextlib
import json
import os
import pathlib
import shutil
import time

from .process import run
from .trouble import Failure

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SIDECORE_BUILD") or REPO / "build").resolve()
PORT = 8080

# name: (as a reader knows it, web server, its options)
SERVERS = {
    "epoll": ("epoll", "httpd_epoll", []),
    "epoll2": ("epoll, both cores", "httpd_epoll", ["--workers", 2]),
    "uring": ("io_uring inline", "httpd_uring", []),
    "local": ("libapp local", "httpd", ["--engine", "local"]),
    "direct": ("libapp direct", "httpd", ["--engine", "direct"]),
}


def label(name):
    return SERVERS[name][0]


def binary(name):
    path = BUILD / "bin" / name
    if not path.exists():
        raise Failure(f"{path}: not there: run ./run build first")
    return path


def check_built(names):
    """Before anything is made: all that these servers need."""
    for program in {"sidecore-loader", "sidecore-ringsvc", *(SERVERS[name][1] for name in names)}:
        binary(program)


class Server:
    """A server that runs: its process, the processes that own its pollers, the steering it is served by."""

    def __init__(self, network, process, broker):
        self.network, self.process, self.broker = network, process, broker

    def poller_pids(self):
        """ringsvc's engines: they are its children, and own the rings."""
        if not self.broker:
            return []
        children = pathlib.Path(f"/proc/{self.broker.pid}/task/{self.broker.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def check(self):
        for process in filter(None, (self.process, self.broker)):
            process.check()

    def rights(self):
        """(uid, effective capabilities) of the server, as the kernel has them."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return int(fields["Uid"].split()[1]), int(fields["CapEff"], 16)


def loader(network, *args):
    return network.server.run(binary("sidecore-loader"), *args, "--bpffs", network.bpffs)


@contextlib.contextmanager
def steered(network, cpus):
    """XDP moves the packets of the service to the CPUs of this list, the stock kernel moves none."""
    try:
        network.server.receive_on(None)
        loader(network, "attach", network.server.ifname, "--cpus", cpus, "--mode", "native", "--service",
               f"tcp/{PORT}")
        yield
    finally:
        if list(network.bpffs.iterdir()):
            loader(network, "detach", network.server.ifname)


def packets_steered(network):
    """(met on the right CPU already, redirected to it) since the attach."""
    report = json.loads(loader(network, "status", network.server.ifname, "--json"))
    services = report["attachments"][0]["services"]
    return sum(s["local"] for s in services), sum(s["arrived"] for s in services)


def start_ringsvc(network, stack, cpu):
    """Restarted for each visit: nothing is left of the one before. Runs as root; its engines take the server's uid."""
    socket = network.folder / "ringsvc.sock"
    broker = network.server.start(stack, "ringsvc", binary("sidecore-ringsvc"), "--cpus", cpu, "--socket", socket,
                                  cpu=cpu)
    broker.wait_for("ready")
    return broker, ["--socket", socket]


def public_copy(network, program):
    """The server runs as nobody, who may not be let into the folder this repository lies in."""
    copy = network.folder / program
    if not copy.exists():
        shutil.copy(binary(program), copy)
        copy.chmod(0o755)
    return copy


def wait_port_free(network, timeout_s=2):
    """The sockets of a ring end a little after the process that had it: the kernel closes them in the background."""
    end = time.monotonic() + timeout_s
    while network.server.run("ss", "-H", "-l", "-t", "-n", f"sport = :{PORT}").strip():
        if time.monotonic() > end:
            raise Failure(f"port {PORT}: still listened on {timeout_s} s after its server ended: see whether a program "
                          "of an earlier run is left")
        time.sleep(0.01)


def cores(name, roles):
    """(where the server runs, where its packets are received)"""
    if name == "epoll2":
        return (f"{roles.app},{roles.service}",) * 2
    return roles.app, roles.service if name == "direct" else roles.app


@contextlib.contextmanager
def serving(network, roles, name, site, xdp, command=None):
    """One server for the time of a `with`, pinned to the application's core, its packets to the core that serves them.

    xdp: steered by XDP, else by RPS. The dedicated core of `direct` cannot do without.
    command: another program that takes the same options, and more options, in place of a web server for `site`.
    """
    _, program, options = SERVERS[name]
    program, more = command or (program, ["--root", site.root])
    cpus, receive_cpus = cores(name, roles)
    with contextlib.ExitStack() as stack:
        broker, extra = None, []
        if name == "direct":
            broker, extra = start_ringsvc(network, stack, roles.service)
        if xdp or name == "direct":
            stack.enter_context(steered(network, receive_cpus))
        else:
            network.server.receive_on(receive_cpus)
        wait_port_free(network)
        process = network.server.start(stack, program, public_copy(network, program), *options, *extra,
                                       "--address", "::", "--port", PORT, *more, cpu=cpus, unprivileged=True)
        process.wait_for("listening on")
        yield Server(network, process, broker)
        process.check()
