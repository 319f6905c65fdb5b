#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows what Sidecore frees on an application's core: the same web server on epoll, on libapp alone, and on libapp with
a poller on a dedicated core. Needs root: it makes two network namespaces. Leaves nothing behind but build/demo.json."""

import argparse
import contextlib
import json
import os
import statistics
import sys
import time

from rig import machine, servers, wrk
from rig.meter import FOREIGN_MAX, Meter, background
from rig.network import joined
from rig.site import SIZES, Site, size_name
from rig.table import merge, percent, show
from rig.trouble import Failure, guarded

NAMES = ("epoll", "local", "direct")
ONE_CONNECTION = ("epoll", "direct")
CONNECTIONS = 64


def parse_options():
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, metavar="N",
                        help="length of each measurement (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N",
                        help="measurements of each kind, whose medians are shown (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print what goes into demo.json, and nothing else")
    options = parser.parse_args()
    for name in ("seconds", "rounds"):
        if not 1 <= getattr(options, name) <= 600:
            parser.error(f"--{name} {getattr(options, name)}: not from 1 to 600")
    return options


class Demo:
    """One run in one network: measures, round by round, and keeps every sample."""

    def __init__(self, options, roles, network):
        self.options, self.roles, self.network = options, roles, network
        self.site = Site(network.folder)
        self.samples = {(name, size): [] for name in NAMES for size in SIZES}
        self.places = {"": roles.client, "_client_on_app_core": roles.app}
        self.one_connection = {(name, place): [] for name in ONE_CONNECTION for place in self.places}
        self.background = []
        self.start = time.monotonic()

    def say(self, text):
        if not self.options.json:
            print(f"{time.monotonic() - self.start:5.1f} s  {text}", flush=True)

    def run(self):
        self.background = background((self.roles.app, self.roles.service))
        for number in range(self.options.rounds):
            # There and back again: what drifts with time hits all alike.
            for name in NAMES if number % 2 == 0 else reversed(NAMES):
                self.visit(number, name)

    def visit(self, number, name):
        with servers.serving(self.network, self.roles, name, self.site, xdp=False) as server:
            if number == 0:
                self.introduce(name, server)
            rates = [self.measure(name, size, server) for size in SIZES]
            text = "".join(f"{size_name(size)} {rate:,.0f}/s, " for size, rate in zip(SIZES, rates))
            if name in ONE_CONNECTION:
                p50s = [self.measure_one(name, place, server) for place in self.places]
                text += f"one connection p50 {' or '.join(map(str, p50s))} µs, "
            self.say(f"{servers.label(name):14} round {number + 1} of {self.options.rounds}: {text[:-2]}")
            if name == "direct":
                self.check_steering()

    def introduce(self, name, server):
        """The bytes are right, over both families, and the server needs no rights."""
        for size in SIZES:
            for address in (self.network.server.ip4, self.network.server.ip6):
                self.site.check(self.network.client, self.roles.client, address, servers.PORT, size)
        uid, capabilities = server.rights()
        ready = server.process.said().split(": ", 1)[1].strip()
        self.say(f"{servers.label(name):14} uid {uid}, capabilities {capabilities:#x}, {ready}; "
                 "curl: both files right over IPv4 and IPv6")

    def load(self, path, connections, cpu, seconds):
        url = f"http://{self.network.server.ip4}:{servers.PORT}/{path}"
        with contextlib.ExitStack() as stack:
            return wrk.load(self.network, stack, cpu, url, connections, seconds)

    def measure(self, name, size, server):
        self.network.client.receive_on(self.roles.client)
        meter = Meter(self.roles.app, server.process.pid, server.poller_pids())
        result = self.load(size, CONNECTIONS, self.roles.client, self.options.seconds)
        usage = meter.stop()
        server.check()
        self.samples[name, size].append({
            "requests_per_s": result.requests_per_s,
            "p50_us": result.p50_us,
            "p99_us": result.p99_us,
            "errors": result.errors,
            "app_core_us_per_request": usage.busy_s * 1e6 / result.requests,
            "app_core_busy": usage.busy,
            "app_core_foreign": usage.foreign,
            "service_core_busy": usage.poller_busy,
        })
        return result.requests_per_s

    def measure_one(self, name, place, server):
        """Where the client runs decides: on the application's core epoll never wakes another, elsewhere it must."""
        self.network.client.receive_on(self.places[place])
        result = self.load(SIZES[0], 1, self.places[place], max(1, self.options.seconds - 1))
        server.check()
        self.one_connection[name, place].append(result)
        return result.p50_us

    def check_steering(self):
        local, arrived = servers.packets_steered(self.network)
        if not local + arrived:
            raise Failure("sidecore-loader: its program has seen no packet of the service: see sidecore-loader status")


def doubts(runs):
    """A saturated core has softirqs outside the server; what an idle one does besides, others do."""
    return [f"{servers.label(run['name'])}, {size_name(run['file_bytes'])}: {run['app_core_foreign']:.0%} of the time "
            "the application's core was busy it did not run the server: the µs per request contain that"
            for run in runs if run["name"] == "direct" and run["app_core_foreign"] > FOREIGN_MAX]


def report(demo, about):
    runs = [{"name": name, "file_bytes": size, "connections": CONNECTIONS, "rounds": len(samples),
             **merge(samples, {"errors"})}
            for (name, size), samples in demo.samples.items()]
    cost = {(run["name"], run["file_bytes"]): run["app_core_us_per_request"] for run in runs}
    return {
        "machine": about,
        "runs": runs,
        "app_core_ratio": {str(size): round(cost["epoll", size] / cost["direct", size], 2) for size in SIZES},
        "one_connection": {f"{name}_p50_us{place}": statistics.median(one.p50_us for one in results)
                           for (name, place), results in demo.one_connection.items()},
        "errors": sum(run["errors"] for run in runs) +
                  sum(one.errors for results in demo.one_connection.values() for one in results),
        "notes": demo.background + doubts(runs),
    }


def print_table(runs):
    titles = ("server", "file", "requests/s", "p50 µs", "p99 µs", "errors", "app core µs/request", "app core busy",
              "poller busy")
    show(titles, [(servers.label(run["name"]), size_name(run["file_bytes"]), f"{run['requests_per_s']:,.0f}",
                   f"{run['p50_us']:,.0f}", f"{run['p99_us']:,.0f}", str(run["errors"]),
                   f"{run['app_core_us_per_request']:.2f}", percent(run["app_core_busy"]),
                   percent(run["service_core_busy"])) for run in runs])


def times_less(ratio):
    return f"{ratio:.1f} times less" if ratio >= 1 else f"{1 / ratio:.1f} times more"


def print_meaning(result, roles):
    small, large = (times_less(result["app_core_ratio"][str(size)]) for size in SIZES)
    cost = {run["name"]: run["app_core_us_per_request"] for run in result["runs"] if run["file_bytes"] == SIZES[0]}
    one = {key: f"{value:.0f} µs" for key, value in result["one_connection"].items()}
    print(f"With its network work on CPU {roles.service}, a request costs the application's core "
          f"{cost['direct']:.2f} µs instead of {cost['epoll']:.2f}: {small} ({large} for {size_name(SIZES[1])}).")
    if roles.client_shares:
        print(f"wrk shares CPU {roles.service} with the poller here and takes about half of it: requests/s of libapp "
              "direct are a lower bound; `./run bench core` has a client that takes none.")
    print(f"One connection, {size_name(SIZES[0])}: p50 {one['direct_p50_us']} instead of {one['epoll_p50_us']} with "
          f"the client on CPU {roles.client}; on the application's CPU {roles.app}, where epoll wakes no other core, "
          f"{one['direct_p50_us_client_on_app_core']} instead of {one['epoll_p50_us_client_on_app_core']}.")
    for note in result["notes"]:
        print(f"note: {note}")


def main():
    options = parse_options()
    if os.geteuid():
        raise Failure("needs root to make network namespaces: run sudo ./run demo")
    servers.check_built(NAMES)
    roles = machine.Roles()
    about = machine.describe(roles)
    if not options.json:
        print(machine.headline(about, roles), flush=True)
    os.sched_setaffinity(0, {roles.client})  # this program too stays off the application's core
    with joined("sidecore-demo") as network:
        demo = Demo(options, roles, network)
        demo.run()
    result = report(demo, about)
    path = servers.BUILD / "demo.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if options.json:
        print(path.read_text(), end="")
    else:
        print_table(result["runs"])
        print_meaning(result, roles)
        print(f"Written to {os.path.relpath(path)}")
    if result["errors"]:
        raise Failure(f"wrk: {result['errors']} errors: see the column of errors, and build/demo.json")


if __name__ == "__main__":
    sys.exit(guarded("demo", main))
