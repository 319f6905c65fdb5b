# SPDX-License-Identifier: MIT
"""How long a core was busy, and who kept it so.

Busy is what is left of the wall clock after idle time, which Linux keeps to the microsecond and prints to 10 ms: user,
system, interrupts and softirqs, whoever they were charged to. A tick would miss most of the softirqs and short wakes.
"""

import os
import pathlib
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
IDLE, IOWAIT, STEAL = 3, 4, 7
BACKGROUND_MAX = 0.1
FOREIGN_MAX = 0.25  # of the busy time; about 0.15 is what going idle and coming back costs


def idle_s(cpu):
    """Time the core did nothing for this machine: idle, or taken away by the hypervisor."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0] == f"cpu{cpu}":
            ticks = [int(word) for word in words[1:]]
            return (ticks[IDLE] + ticks[IOWAIT] + ticks[STEAL]) * TICK_S
    raise OSError(f"/proc/stat has no cpu{cpu}")


def runtime_s(pid):
    """Time the threads of a process ran, to the nanosecond."""
    total_ns = 0
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total_ns += int(path.read_text().split()[0])
    return total_ns / 1e9


def poller_us(pids):
    """(time on the CPU, time at work) of the SQPOLL threads of these processes; each thread serves many rings."""
    threads = {}
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/fdinfo").glob("*"):
            try:
                fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if line.startswith("Sq"))
            except FileNotFoundError:
                continue
            if int(fields.get("SqThread", -1)) > 0 and "SqTotalTime" in fields:
                threads[fields["SqThread"]] = (int(fields["SqTotalTime"]), int(fields["SqWorkTime"]))
    return [sum(column) for column in zip(*threads.values())] or [0, 0]


def background(cpus, seconds=0.5):
    """Complaints about CPUs that are busy before anything has been started."""
    before = [idle_s(cpu) for cpu in cpus]
    start = time.monotonic()
    time.sleep(seconds)
    wall = time.monotonic() - start
    busy = [1 - (idle_s(cpu) - idle) / wall for cpu, idle in zip(cpus, before)]
    return [f"CPU {cpu} was {share:.0%} busy before anything was started: stop what runs there, or trust no number"
            for cpu, share in zip(cpus, busy) if share > BACKGROUND_MAX]


class Meter:
    """Between start() and stop(): wall, busy and the server's own time on `cpu`, and the pollers' work."""

    def __init__(self, cpu, server_pid, poller_pids=()):
        self.cpu, self.server_pid, self.poller_pids = cpu, server_pid, poller_pids
        self.before = self.sample()

    def sample(self):
        return (time.monotonic(), idle_s(self.cpu), runtime_s(self.server_pid), *poller_us(self.poller_pids))

    def stop(self):
        wall, idle, runtime, total, work = (after - before for before, after in zip(self.before, self.sample()))
        # The server's own time is exact: in a short run of a core that is nearly idle, 10 ms steps may say less.
        return Usage(wall, max(runtime, wall - idle), runtime, work / total if total else None)


class Usage:
    def __init__(self, wall_s, busy_s, server_s, poller_busy):
        self.wall_s, self.busy_s, self.server_s, self.poller_busy = wall_s, busy_s, server_s, poller_busy

    @property
    def busy(self):
        """Share of the wall clock."""
        return self.busy_s / self.wall_s

    @property
    def foreign(self):
        """Share of the busy time in which the server did not run: interrupts, switches, and whoever else was there."""
        return max(0.0, 1 - self.server_s / self.busy_s) if self.busy_s else 0.0
