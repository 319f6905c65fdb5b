#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The XDP programs alone: nanoseconds per packet on each path, and packets per second, beside xdp-filter and nftables.

The kernel runs each program many times on the same frames (BPF_PROG_TEST_RUN), in rounds that take turns. That warms
the caches and leaves the driver out: it compares programs, and is no promise for a network card. An empty program shows what the
test run itself costs. The column "alone" is without it, of the least of all rounds: whatever else the machine does
only adds.
Live frames are handed on: to the dedicated CPU, or to the stack.
"""

import contextlib
import json
import os
import socket
import statistics
import time

import bpf
import frames
from rig import servers
from rig.process import last_lines
from rig.table import show
from rig.trouble import Failure

PORT = 8080
OTHER_PORT = 22
FRAME_CNT = 16
FULL = (40, 160_000, 5, 400_000)  # rounds and packets of a test run, rounds and packets of live frames
QUICK = (3, 20_000, 1, 50_000)
PASS, DROP, REDIRECT = 2, 1, 4
TOTAL = ("limit", "add", "IF", "--rate", "100000000/s", "--burst", "1000000")
PER_SOURCE = (*TOTAL, "--per-source")
SEARCH = ("allow", "add", "IF", "0.0.0.0/0")  # touches every block, so that no source is decided by its block alone
LISTS = {"1": 1, "1k": 1000, "100k": 100_000}


class Path:
    """A program on frames: what is measured, and what it must answer."""

    def __init__(self, name, what, program, packets, verdict, once=False):
        self.name, self.what, self.program, self.frames, self.verdict = name, what, program, packets, verdict
        self.once = once  # it changes the frame: run by run, each of which costs more of its own

    def measure(self, packets):
        """Nanoseconds per packet."""
        if not self.once:
            return bpf.nanoseconds(self.program, self.frames, packets // len(self.frames))
        runs = packets // len(self.frames) // 20
        return statistics.mean(bpf.nanoseconds(self.program, self.frames, 1) for _ in range(runs))

    def check(self):
        for frame in self.frames:
            got = bpf.verdict(self.program, frame)
            if got != self.verdict:
                raise Failure(f"{self.name}: {self.what}: verdict {got} instead of {self.verdict}: mend the benchmark")


class Bench:
    """Devices in the server's namespace, each with its own programs."""

    def __init__(self, network, roles, say):
        self.network, self.roles, self.say = network, roles, say
        self.devices = 0
        self.paths = []

    def device(self):
        self.devices += 1
        name = f"x{self.devices}"
        self.network.server.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"y{self.devices}")
        for end in (name, f"y{self.devices}"):
            self.network.server.run("ip", "link", "set", end, "up")
        return name

    def link(self, device):
        return json.loads(self.network.server.run("ip", "-j", "link", "show", "dev", device))[0]

    def program_on(self, device):
        return bpf.open_program(self.link(device)["xdp"]["prog"]["id"])

    def loader(self, *args):
        return self.network.server.run(servers.binary("sidecore-loader"), *args, "--bpffs", self.network.bpffs)

    def attached(self, program):
        """A program of our own, on a device of its own."""
        ifindex = self.link(self.device())["ifindex"]
        with bpf.within(self.network.server.netns):
            bpf.attach(program, ifindex)
        return program

    def pins(self, device):
        return next(self.network.bpffs.glob(f"sidecore/*/{self.link(device)['ifindex']}"))

    def list_file(self, count, hosts):
        path = self.network.folder / "list"
        path.write_text("\n".join(frames.text(prefix, hosts) for prefix in frames.prefixes(count)) + "\n")
        return path

    def sidecore(self, *settings, cpu=None):
        """A device with these commands behind attach; "IF" stands for it. On the service CPU unless another is given."""
        device = self.device()
        cpu = self.roles.service if cpu is None else cpu
        self.loader("attach", device, "--cpus", cpu, "--no-fifo", "--service", f"tcp/{PORT}")
        for words in settings:
            self.loader(*[device if word == "IF" else word for word in words])
        return device

    def add(self, *args, **kwargs):
        self.paths.append(Path(*args, **kwargs))


def add_sidecore(bench):
    """Returns the device whose programs have no module on."""
    unlisted = frames.unlisted(LISTS["100k"], FRAME_CNT)
    to_service = [frames.tcp(source, PORT) for source in unlisted]
    to_other = [frames.tcp(source, OTHER_PORT) for source in unlisted]
    plain = bench.sidecore()
    bench.add("sidecore", "pass: no service", bench.program_on(plain), to_other, PASS)
    bench.add("sidecore", "steer", bench.program_on(plain), to_service, REDIRECT)
    checked = bench.sidecore(("screen", "IF", "--validity", "on"))
    bench.add("sidecore", "steer, validity", bench.program_on(checked), to_service, REDIRECT)
    for kind in ("addresses", "prefixes"):
        for label, count in LISTS.items():
            device = bench.sidecore(("deny", "import", "IF", bench.list_file(count, kind == "addresses")))
            listed = [frames.tcp(source, PORT) for source in frames.listed(count, FRAME_CNT)]
            bench.add("sidecore", f"drop: {label} {kind}", bench.program_on(device), listed, DROP)
            bench.add("sidecore", f"pass: {label} {kind}", bench.program_on(device), to_other, PASS)
            bench.add("sidecore", f"steer, {label} {kind}", bench.program_on(device), to_service, REDIRECT)
    add_limits(bench, to_service)
    add_cookies(bench, to_service)
    import_list = ("deny", "import", "IF", bench.list_file(LISTS["100k"], False))
    everything = (("screen", "IF", "--validity", "on", "--options", "drop", "--fragments", "drop"),
                  ("syn", "IF", "--mode", "auto"), PER_SOURCE, import_list, ("deny", "add", "IF", "192.0.2.1"),
                  ("service", "add", "IF", "udp/53", "--xsk"))
    for what, settings in (("100k prefixes", (import_list,)), ("all modules", everything)):
        searching = bench.sidecore(*settings, SEARCH)
        bench.add("sidecore", f"steer, {what}, searched", bench.program_on(searching), to_service, REDIRECT)
    bench.add("sidecore", "steer, all modules", bench.program_on(bench.sidecore(*everything)), to_service, REDIRECT)
    trie = bpf.open_inner_map(bpf.open_pin(bench.pins(device) / "lists"), 1)  # the set that the first import fills
    bench.add("bare", "LPM lookup among 100k", bench.attached(bpf.load_lpm(trie)), to_service, PASS)
    return plain, device


def add_limits(bench, packets):
    """Of packets that are on their dedicated CPU already, and so meet limits here: a program of a CPU map takes no test run."""
    for what, settings in (("local", ()), ("local, limit on the total", (TOTAL,)), ("local, limit per source", (PER_SOURCE,))):
        device = bench.sidecore(*settings, cpu=bench.roles.app)
        bench.add("sidecore", what, bench.program_on(device), packets, PASS)


def add_cookies(bench, packets):
    """Somebody listens; see run(). A SYN that was answered is none any more, so each run gets a fresh one."""
    guarded = bench.sidecore(("syn", "IF", "--mode", "auto"))
    bench.add("sidecore", "steer, no flood", bench.program_on(guarded), packets, REDIRECT)
    flooded, server = bench.device(), bench.network.server
    server.run("ip", "link", "set", flooded, "address", frames.MAC)
    server.run("ip", "addr", "add", f"{frames.dotted(frames.LISTENER)}/32", "dev", flooded)
    server.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    bench.loader("attach", flooded, "--cpus", bench.roles.service, "--no-fifo", "--service", f"tcp/{PORT}", "--syn", "on")
    syns = [frames.tcp(packet[26:30], PORT, frames.SYN, target=frames.LISTENER) for packet in packets]
    bench.add("sidecore", "answer: SYN cookie", bench.program_on(flooded), syns, REDIRECT, once=True)


def add_xdp_filter(bench):
    """Debian's xdp-filter; its pins are in a BPF file system of their own, gone with the shell."""
    unlisted = [frames.tcp(source, OTHER_PORT) for source in frames.unlisted(LISTS["100k"], FRAME_CNT)]
    for label in ("1", "1k"):
        device = bench.device()
        addresses = (frames.text(prefix, True) for prefix in frames.prefixes(LISTS[label]))
        script = "".join(f"xdp-filter ip -m src {address}\n" for address in addresses)
        bench.network.server.run(
            "unshare", "--mount", "sh", "-ec", f"mount -t bpf bpf /sys/fs/bpf\n"
            f"xdp-filter load -m native -f ipv4 -p allow {device}\n{script}", timeout_s=60,
            why="xdp-filter of Debian's xdp-tools is compared with: run ./run deps")
        listed = [frames.tcp(source, PORT) for source in frames.listed(LISTS[label], FRAME_CNT)]
        bench.add("xdp-filter", f"drop: {label} addresses", bench.program_on(device), listed, DROP)
        bench.add("xdp-filter", f"pass: {label} addresses", bench.program_on(device), unlisted, PASS)


@contextlib.contextmanager
def xdp_bench(bench):
    """xdp-bench redirect-cpu, if this kernel takes its programs: it names a tracepoint that comes and goes."""
    device = bench.device()
    with contextlib.ExitStack() as stack:
        process = bench.network.server.start(
            stack, "xdp-bench", "unshare", "--mount", "sh", "-c",
            f"mount -t bpf bpf /sys/fs/bpf; exec xdp-bench redirect-cpu -c {bench.roles.service} -p l4-hash -r pass {device}")
        end = time.monotonic() + 5
        while process.popen.poll() is None and time.monotonic() < end:
            if "prog" in bench.link(device).get("xdp", {}):
                break
            time.sleep(0.05)
        if process.popen.poll() is None:
            packets = [frames.tcp(source, PORT) for source in frames.unlisted(LISTS["100k"], FRAME_CNT)]
            bench.add("xdp-bench", "redirect-cpu, l4-hash", bench.program_on(device), packets, REDIRECT)
        else:
            bench.say("note: xdp-bench redirect-cpu does not run on this kernel:" + last_lines(process.said()))
        yield


def measure_runs(bench, rounds, packets):
    """Nanoseconds per packet of each path, every round in the other order."""
    paths = bench.paths
    for path in paths:
        path.check()
    samples = {path: [] for path in paths}
    for number in range(rounds):
        for path in paths if number % 2 == 0 else reversed(paths):
            samples[path].append(path.measure(packets))
    return samples


class Live:
    """Packets per second where they end, one core sending them."""

    def __init__(self, bench, device, program, packets, arrived=None):
        self.program, self.frame, self.arrived = program, packets[0], arrived
        self.ifindex = bench.link(device)["ifindex"]

    def measure(self, cnt):
        before = self.arrived() if self.arrived else 0
        seconds = bpf.live(self.program, self.frame, cnt, self.ifindex)
        return (self.arrived() - before if self.arrived else cnt) / seconds / 1e6


def deny_by_nftables(bench, count):
    device = bench.device()
    ruleset = bench.network.folder / "ruleset"
    elements = ", ".join(map(frames.text, frames.prefixes(count)))
    ruleset.write_text("table netdev bench {\n"
                       f" set deny {{ type ipv4_addr; flags interval; elements = {{ {elements} }} }}\n"
                       f" chain in {{ type filter hook ingress device {device} priority 0;\n"
                       "  ip saddr @deny counter drop\n }\n}\n")
    bench.network.server.run("nft", "-f", ruleset, timeout_s=120, why="nftables is compared with: run ./run deps")
    return device


def nft_dropped(bench):
    rules = json.loads(bench.network.server.run("nft", "-j", "list", "chain", "netdev", "bench", "in"))["nftables"]
    rule = next(entry["rule"] for entry in rules if "rule" in entry)
    return next(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)


def arrived(bench, device):
    found = json.loads(bench.loader("status", device, "--json"))["attachments"][0]
    return found["counters"]["arrived"]


def measure_live(bench, empty, plain, denying, rounds, packets):
    listed = [frames.tcp(frames.listed(LISTS["100k"], 1)[0], PORT)]
    unlisted = [frames.tcp(frames.unlisted(LISTS["100k"], 1)[0], PORT)]
    nft = deny_by_nftables(bench, LISTS["100k"])
    cases = {
        ("sidecore", "live: steer, arrived on the dedicated CPU"): Live(
            bench, plain, bench.program_on(plain), unlisted, lambda: arrived(bench, plain)),
        ("sidecore", "live: drop: 100k prefixes"): Live(bench, denying, bench.program_on(denying), listed),
        ("nftables", "live: drop: 100k prefixes"): Live(bench, nft, empty, listed, lambda: nft_dropped(bench)),
        ("stack", "live: pass, no route"): Live(bench, bench.device(), empty, unlisted),
    }
    samples = {key: [] for key in cases}
    with bpf.within(bench.network.server.netns):
        for number in range(rounds):
            for key in cases if number % 2 == 0 else reversed(cases):
                samples[key].append(cases[key].measure(packets))
    return samples


def make_rows(runs, lives):
    harness = {path.once: min(each) for path, each in runs.items() if path.name == "empty"}
    rows = [{"name": path.name, "path": path.what, "rounds": len(each), "ns": round(statistics.median(each), 2),
             "ns_min": round(min(each), 2), "ns_alone": round(min(each) - harness[path.once], 2), "mpps": None}
            for path, each in runs.items()]
    return rows + [{"name": name, "path": what, "rounds": len(each), "ns": None, "ns_min": None, "ns_alone": None,
                    "mpps": round(statistics.median(each), 3)} for (name, what), each in lives.items()]


def alone(rows, name, path):
    return next(row["ns_alone"] for row in rows if (row["name"], row["path"]) == (name, path))


def target(name, value, wanted):
    return {"name": name, "value": round(value, 2), "relation": "<=", "target": wanted, "holds": value <= wanted}


def make_targets(rows):
    lookup = alone(rows, "sidecore", "steer, 100k prefixes, searched") - alone(rows, "sidecore", "steer")
    bare = alone(rows, "bare", "LPM lookup among 100k")
    targets = [
        target("steering decision, ns", alone(rows, "sidecore", "steer"), 40),
        target("deny lookup among 100k, searched, over the bare LPM lookup", lookup / bare, 1.5),
        target("all modules on, ns", alone(rows, "sidecore", "steer, all modules"), 150),
    ]
    for path in ("drop: 1 addresses", "pass: 1 addresses", "drop: 1k addresses", "pass: 1k addresses"):
        ratio = alone(rows, "sidecore", path) / alone(rows, "xdp-filter", path)
        targets.append(target(f"over xdp-filter: {path}", ratio, 1))
    return targets


def run(network, roles, quick, say):
    """(rows, targets)"""
    servers.binary("sidecore-loader")
    rounds, packets, live_rounds, live_packets = QUICK if quick else FULL
    bench = Bench(network, roles, say)
    os.sched_setaffinity(0, {roles.app})  # steering is away from the CPU that runs
    empty = bench.attached(bpf.load_empty())
    for what, once in (("the test run itself", False), ("one by one", True)):
        bench.add("empty", what, empty, [frames.tcp(bytes([198, 51, 100, 7]), PORT)], PASS, once=once)
    plain, denying = add_sidecore(bench)
    add_xdp_filter(bench)
    with bpf.within(network.server.netns):
        listener = socket.create_server(("", PORT))
    with listener, xdp_bench(bench):
        runs = measure_runs(bench, rounds, packets)
    rows = make_rows(runs, measure_live(bench, empty, plain, denying, live_rounds, live_packets))
    return rows, make_targets(rows)


def print_rows(rows):
    def number(value, digits):
        return "—" if value is None else f"{value:.{digits}f}"
    show(("program", "path", "ns", "least", "alone", "Mpps"),
         [(row["name"], row["path"], number(row["ns"], 1), number(row["ns_min"], 1), number(row["ns_alone"], 1),
           number(row["mpps"], 2)) for row in rows])
