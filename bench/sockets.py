# SPDX-License-Identifier: MIT
"""A client of ordinary sockets, on the client's core, and what the application's core spends on what it asks for."""

import contextlib
import json
import time

from rig import servers, wrk
from rig.meter import Meter
from rig.process import last_lines
from rig.trouble import Failure

WARMUP_S = 0.3
OPEN_S = 60  # 10,000 connections on a busy machine


@contextlib.contextmanager
def load(network, roles, kind, size=64, connections=64, path="/", name="sockload"):
    """sockload with all its connections open, for the time of a `with`. At real-time priority as wrk is, and why."""
    with contextlib.ExitStack() as stack:
        process = network.client.start(
            stack, name, *wrk.priority(), servers.binary("sockload"), "--kind", kind, "--size", size, "--connections",
            connections, "--path", path, "--warmup", WARMUP_S, "--target", f"{network.server.ip4}:{servers.PORT}",
            cpu=roles.client)
        process.wait_for("connections open", OPEN_S)
        yield process


def report_of(process):
    """Exit status 1 stands for errors, which are counted; a run without a report is a failure."""
    process.stop()
    try:
        report = json.loads(process.out.read_text())
    except ValueError:
        raise Failure(f"{process.name}: no report: see its last lines" + last_lines(process.said())) from None
    if not report["ops"] and not report["errors"]:
        raise Failure(f"{process.name}: not one operation: see whether the server answers")
    return report


def measure(network, roles, server, seconds, **what):
    """The client goes on until the meter is read: a machine that is slow makes the time longer, not wrong."""
    network.client.receive_on(roles.client)
    with load(network, roles, **what) as client:
        time.sleep(WARMUP_S)
        meter = Meter(roles.app, server.process.pid, server.poller_pids())
        time.sleep(seconds)
        usage = meter.stop()
        report = report_of(client)
    server.check()
    return {
        "ops_per_s": report["ops_per_s"],
        "app_core_us_per_op": usage.busy * 1e6 / report["ops_per_s"] if report["ops"] else None,
        "server_us_per_op": usage.server_s / usage.wall_s * 1e6 / report["ops_per_s"] if report["ops"] else None,
        "poller_busy": usage.poller_busy,
        "p50_us": report["latency_us"]["p50"],
        "p99_us": report["latency_us"]["p99"],
        "errors": report["errors"],
    }


def resident_bytes(server):
    """Memory of the server's process, shared with the engine or its own, exactly."""
    with open(f"/proc/{server.process.pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise OSError(f"/proc/{server.process.pid}/smaps_rollup has no Rss")
