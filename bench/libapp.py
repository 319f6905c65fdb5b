# SPDX-License-Identifier: MIT
"""What each operation of libapp costs the application's core, direct against local against epoll, side by side.

Operations are a client's of ordinary sockets on the service core; requests are of `bench core`'s client, which takes no core.
"""

import contextlib
import time

import core
import sockets
from rig import servers
from rig.meter import background
from rig.site import SIZES, Site, size_name
from rig.table import merge, show

NAMES = ("epoll", "local", "direct")
SPIN = ("epoll", "local", "direct", "direct, spinning")
CHURN = ("epoll", "local", "epoll2", "direct")
CONNECTIONS = 64
SPARE = 240  # connections a server may have beyond the idle ones
SPIN_US = 1000
LIBRARY_BYTES_MAX = 256


class Plan:
    """How much is measured. Whatever a target asks of is measured more than once."""

    def __init__(self, quick):
        self.seconds, self.rounds = (0.1, 1) if quick else (0.8, 4)
        self.sizes = (64,) if quick else (64, 1024, 16384, 131072, 1 << 20)
        self.connections = (1000,) if quick else (1, 8, 1000, 10000)
        self.idle = 1000 if quick else 10000
        self.request_warmup_s = 0.2 if quick else 1


class Run:
    """Keeps every sample under what it is of: (server, operation, bytes, connections)."""

    def __init__(self, network, roles, plan, say):
        self.network, self.roles, self.plan, self.say = network, roles, plan, say
        self.site = Site(network.folder)
        self.samples = {}

    def add(self, name, operation, size, connections, sample):
        self.samples.setdefault((operation, size, connections, name), []).append(sample)
        cost = sample["app_core_us_per_op"]
        self.say(f"  {label(name):24} {operation:22} {size_name(size):>7} {connections:6} connections "
                 f"{sample['ops_per_s']:9,.0f}/s" + (f", {cost:9.2f} µs of the app core each" if cost else ""))

    def serving(self, name, *options, web=False, conns=None):
        engine, *flavour = name.split(", ")
        options = [*options, *(("--spin-us", SPIN_US) if flavour else ())]
        if engine.startswith("epoll"):
            program = "httpd_epoll" if web else "ops_epoll"
        else:
            program = "httpd" if web else "ops_libapp"
            options += ["--conns", conns or self.plan.idle + SPARE]
        options += ["--root", self.site.root] if web else []
        return servers.serving(self.network, self.roles, engine, self.site, xdp=True, command=(program, options))

    def measure(self, name, server, operation, size, connections, kind):
        sample = sockets.measure(self.network, self.roles, server, self.plan.seconds, kind=kind, size=size or 1,
                                 connections=connections, path=f"/{SIZES[0]}")
        if name == "epoll2":  # has no core that is the application's alone
            sample.update(app_core_us_per_op=None, server_us_per_op=None)
        self.add(name, operation, size, connections, sample)

    def there_and_back(self, names):
        """(round, name): what drifts with time hits all alike."""
        for number in range(self.plan.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                yield number, name

    # --- what is measured -------------------------------------------------------------------------------------------

    def operations(self):
        for name in NAMES:
            with self.serving(name) as server:
                for size in self.plan.sizes:
                    self.measure(name, server, "send", size, CONNECTIONS, "send")
                    self.measure(name, server, "receive", size, CONNECTIONS, "receive")
                    self.measure(name, server, "round trip", size, CONNECTIONS, "echo")
                for connections in self.plan.connections:
                    self.measure(name, server, "round trip", 64, connections, "echo")
            with self.serving(name, "--accept-only") as server:
                self.measure(name, server, "accept, close", 0, CONNECTIONS, "accept")

    def requests(self):
        """Alone, and with idle connections beside them."""
        for _, name in self.there_and_back(NAMES):
            with self.serving(name, web=True) as server:
                for size in SIZES:
                    self.request(name, server, size, "request")
                with sockets.load(self.network, self.roles, "idle", connections=self.plan.idle, name="idle") as idle:
                    self.request(name, server, SIZES[0], f"request, {self.plan.idle:,} idle")
                    idle.check()

    def request(self, name, server, size, operation):
        self.network.client.receive_on(self.roles.client)
        sample = core.measure(self.network, self.roles, name, size, self.plan.seconds, server,
                              self.plan.request_warmup_s)
        self.add(name, operation, size, CONNECTIONS, {
            "ops_per_s": sample["requests_per_s"],
            "app_core_us_per_op": sample["app_core_us_per_request"],
            "server_us_per_op": sample["server_us_per_request"],
            "poller_busy": sample["service_core_busy"],
            "p50_us": sample["p50_us"],
            "p99_us": sample["p99_us"],
            "errors": sample["errors"] + sample["lost"],
        })

    def one_connection(self):
        for _, name in self.there_and_back(SPIN):
            with self.serving(name) as server:
                self.measure(name, server, "round trip, alone", 128, 1, "echo")

    def churn(self):
        for _, name in self.there_and_back(CHURN):
            with self.serving(name, web=True) as server:
                self.measure(name, server, "connection, request", SIZES[0], CONNECTIONS, "churn")

    def memory(self):
        """(bytes per idle connection, by engine): what a session with room for them has more than one without, all told.

        The server keeps nothing of its own for a connection.
        """
        result = {}
        for name in ("local", "direct"):
            small, large = (self.resident(name, idle) for idle in (0, self.plan.idle))
            result[name] = (large - small) / self.plan.idle
            self.say(f"  {label(name):24} memory of an idle connection {result[name]:.0f} bytes")
        return result

    def resident(self, name, idle):
        with self.serving(name, conns=idle + SPARE) as server:
            with sockets.load(self.network, self.roles, "echo"):
                time.sleep(1)  # entries of the queues and buffers have been used
            with contextlib.ExitStack() as stack:
                if idle:
                    stack.enter_context(sockets.load(self.network, self.roles, "idle", connections=idle))
                return sockets.resident_bytes(server)


def label(name):
    engine, *flavour = name.split(", ")
    return ", ".join([servers.label(engine), *flavour])


def make_rows(samples):
    return [{"name": name, "operation": operation, "bytes": size, "connections": connections, "rounds": len(each),
             **merge(each, ("errors",))} for (operation, size, connections, name), each in samples.items()]


def make_targets(rows, memory, idle):
    value = {(row["operation"], row["bytes"], row["name"]): row for row in rows}

    def ratio(operation, size, name, base, key):
        return round(value[operation, size, name][key] / value[operation, size, base][key], 4)

    small, large = SIZES
    alone, crowded = "request", f"request, {idle:,} idle"
    targets = [core.target(f"direct over epoll, app core µs per request, {size_name(size)}",
                           ratio(alone, size, "direct", "epoll", "app_core_us_per_op"), "<=", 0.1) for size in SIZES]
    for key, wanted in (("p50_us", 0.5), ("p99_us", 1)):
        targets.append(core.target(f"direct, spinning, over epoll, one connection, {key[:3]}",
                                   ratio("round trip, alone", small, "direct, spinning", "epoll", key), "<=", wanted))
    for name in ("local", "direct"):
        share = value[crowded, small, name]["ops_per_s"] / value[alone, small, name]["ops_per_s"]
        targets.append(core.target(f"{name}, requests/s with {idle:,} idle connections over without", round(share, 4),
                                   ">=", 0.95))
    for name, base in (("local", "epoll"), ("direct", "epoll2")):
        targets.append(core.target(f"{name} over {servers.label(base)}, connections/s of one request",
                                   ratio("connection, request", small, name, base, "ops_per_s"), ">=", 0.9))
    targets += [core.target(f"{name}, library memory of an idle connection, bytes", round(size), "<=",
                            LIBRARY_BYTES_MAX) for name, size in memory.items()]
    targets.append(core.target("errors and lost connections, all runs", sum(row["errors"] for row in rows), "==", 0))
    return targets


def run(network, roles, quick, say):
    """(rows, targets)"""
    servers.check_built(NAMES)
    plan = Plan(quick)
    bench = Run(network, roles, plan, say)
    for text in background((roles.app, roles.service)):
        say(f"note: {text}")
    bench.operations()
    bench.requests()
    bench.one_connection()
    bench.churn()
    memory = bench.memory()
    rows = make_rows(bench.samples)
    return rows, make_targets(rows, memory, plan.idle)


def print_rows(rows):
    """One line for each operation: the servers beside each other, and how many times less direct costs than epoll."""
    operations = {}
    for row in rows:
        operations.setdefault((row["operation"], row["bytes"], row["connections"]), {})[row["name"]] = row
    costs, rates = [], []
    for (operation, size, connections), by_name in operations.items():
        lead = (operation, size_name(size) if size else "—", f"{connections:,}")
        cost = {name: row["app_core_us_per_op"] for name, row in by_name.items()}
        costs.append((*lead, *(f"{cost[name]:,.2f}" if cost.get(name) else "—" for name in NAMES),
                      f"{cost['epoll'] / cost['direct']:.1f}" if cost["direct"] else "—"))
        for name, row in by_name.items():
            rates.append((f"{lead[0]}, {lead[1]}" if size else lead[0], label(name), lead[2],
                          f"{row['ops_per_s']:,.0f}", f"{row['ops_per_s'] / by_name['epoll']['ops_per_s']:.0%}",
                          f"{row['p50_us']:,.0f}", f"{row['p99_us']:,.0f}",
                          "—" if row["server_us_per_op"] is None else f"{row['server_us_per_op']:,.2f}",
                      "—" if row["poller_busy"] is None else f"{row['poller_busy']:.0%}", str(row["errors"])))
    print("\nApplication core µs per operation:")
    show(("operation", "bytes", "connections", *(label(name) for name in NAMES), "epoll : direct"), costs)
    print("Operations per second, and the client's latency:")
    show(("operation", "server", "connections", "per second", "of epoll", "p50 µs", "p99 µs", "server µs",
          "poller busy", "errors"),
         rates)
