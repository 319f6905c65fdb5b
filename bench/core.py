# SPDX-License-Identifier: MIT
"""One application core, with and without a dedicated core beside it, under a client that takes no core: xdpload.

Keep-alive connections, one request outstanding on each. The server's interface is steered by XDP in all cases: to the
application's core, or for libapp direct to the dedicated one. The client is an XDP program on the far end of the veth:
it runs where the server's packets are sent, and takes about 0.3 µs of that core per packet.
"""

import contextlib
import json
import operator
import time

from rig import servers
from rig.meter import FOREIGN_MAX, Meter, background
from rig.process import last_lines
from rig.site import SIZES, Site, size_name
from rig.table import merge, percent, show
from rig.trouble import Failure

NAMES = ("epoll", "uring", "local", "direct")
CONNECTIONS = 64
WARMUP_S = 1
FULL = (4, 4)  # rounds, seconds; an even number: A B C D, D C B A
QUICK = (1, 1)
COUNTS = ("errors", "stalled", "lost", "retransmits")
MARGIN_S = 0.25  # the cores are watched for so much less than the load lasts, on each side


def start_load(network, roles, stack, size, seconds, warmup_s):
    xdpload = network.client.start(
        stack, "xdpload", servers.binary("xdpload"), "--iface", network.client.ifname, "--target",
        f"{network.server.ip4}:{servers.PORT}", "--path", f"/{size}", "--connections", CONNECTIONS, "--duration",
        seconds + 2 * MARGIN_S, "--warmup", warmup_s, "--cpu", roles.client, "--json", cpu=roles.client)
    wait_attached(network, xdpload)
    return xdpload


def wait_attached(network, xdpload, timeout_s=10):
    """The load begins when its XDP program is there."""
    end = time.monotonic() + timeout_s
    while "prog/xdp" not in network.client.run("ip", "link", "show", "dev", network.client.ifname):
        xdpload.check()
        if time.monotonic() > end:
            raise Failure(f"xdpload: no XDP program on {network.client.ifname} after {timeout_s} s: "
                          "see its last lines" + last_lines(xdpload.said()))
        time.sleep(0.02)


def finish_load(xdpload, name, size, seconds):
    """xdpload exits 1 for errors too: they are counted, a run without a report is not."""
    out = xdpload.wait(seconds + 30)
    try:
        report = json.loads(out)
    except ValueError:
        raise Failure(f"xdpload: no report for {name}, {size_name(size)}: see its last lines" +
                      last_lines(xdpload.said())) from None
    if not report["requests"]:
        raise Failure(f"xdpload: not one response from {name}, {size_name(size)}: see its last lines" +
                      last_lines(xdpload.said()))
    return report


def measure(network, roles, name, size, seconds, server, warmup_s=WARMUP_S):
    with contextlib.ExitStack() as stack:
        xdpload = start_load(network, roles, stack, size, seconds, warmup_s)
        time.sleep(warmup_s + MARGIN_S)
        meter = Meter(roles.app, server.process.pid, server.poller_pids())
        time.sleep(seconds)
        usage = meter.stop()
        report = finish_load(xdpload, name, size, seconds)
    server.check()
    return {
        "requests_per_s": report["requests_per_s"],
        "app_core_idle": 1 - usage.busy,
        "app_core_us_per_request": usage.busy * 1e6 / report["requests_per_s"],
        "server_us_per_request": usage.server_s / usage.wall_s * 1e6 / report["requests_per_s"],
        "app_core_foreign": usage.foreign,
        "service_core_busy": usage.poller_busy,
        "p50_us": report["latency_us"]["p50"],
        "p99_us": report["latency_us"]["p99"],
        "errors": report["errors"] + report["resets"],
        "stalled": report["stalled"],
        "lost": report["lost"],
        "retransmits": report["retransmits"],
    }


def make_rows(samples):
    rows = [{"name": name, "file_bytes": size, "connections": CONNECTIONS, "rounds": len(each), **merge(each, COUNTS)}
            for (name, size), each in samples.items()]
    base = {row["file_bytes"]: row["requests_per_s"] for row in rows if row["name"] == "epoll"}
    for row in rows:
        row["of_epoll"] = round(row["requests_per_s"] / base[row["file_bytes"]], 4)
    return rows


def target(name, value, relation, wanted):
    holds = {">=": operator.ge, "<=": operator.le, "==": operator.eq}[relation](value, wanted)
    return {"name": name, "value": value, "relation": relation, "target": wanted, "holds": holds}


def make_targets(rows):
    direct = next(row for row in rows if row["name"] == "direct" and row["file_bytes"] == SIZES[0])
    errors = sum(row["errors"] + row["lost"] for row in rows)
    small = size_name(SIZES[0])
    return [
        target(f"direct requests/s over epoll, {small}", direct["of_epoll"], ">=", 0.90),
        target(f"direct app core idle, {small}", direct["app_core_idle"], ">=", 0.75),
        target("errors and lost connections, all runs", errors, "==", 0),
    ]


def doubt(name, sample):
    """A core that does everything has softirqs outside the server and says nothing; with direct others have filled it."""
    saturated = sample["app_core_idle"] < 0.01 and name != "direct"
    if saturated or sample["app_core_foreign"] <= FOREIGN_MAX:
        return ""
    return f"; {sample['app_core_foreign']:.0%} of its busy time was not the server's"


def run(network, roles, quick, say):
    """(rows, targets)"""
    servers.check_built(NAMES)
    rounds, seconds = QUICK if quick else FULL
    site = Site(network.folder)
    samples = {(name, size): [] for size in SIZES for name in NAMES}
    network.client.receive_on(roles.client)
    for text in background((roles.app, roles.service)):
        say(f"note: {text}")
    for number in range(rounds):
        # There and back again: what drifts with time hits all alike.
        for name in NAMES if number % 2 == 0 else reversed(NAMES):
            for size in SIZES:
                with servers.serving(network, roles, name, site, xdp=True) as server:
                    sample = measure(network, roles, name, size, seconds, server)
                samples[name, size].append(sample)
                say(f"  round {number + 1} of {rounds}: {servers.label(name):16} {size_name(size):7} "
                    f"{sample['requests_per_s']:9,.0f}/s, app core {sample['app_core_idle']:4.0%} idle"
                    + doubt(name, sample))
    rows = make_rows(samples)
    return rows, make_targets(rows)


def print_rows(rows):
    titles = ("server", "file", "requests/s", "of epoll", "app core idle", "app core µs/request", "poller busy",
              "p50 µs", "p99 µs", "errors", "stalled", "lost")
    show(titles, [(servers.label(row["name"]), size_name(row["file_bytes"]), f"{row['requests_per_s']:,.0f}",
                   percent(row["of_epoll"]), percent(row["app_core_idle"]), f"{row['app_core_us_per_request']:.2f}",
                   percent(row["service_core_busy"]), f"{row['p50_us']:,.0f}", f"{row['p99_us']:,.0f}",
                   *(str(row[key]) for key in COUNTS[:3])) for row in rows])
