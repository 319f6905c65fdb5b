# SPDX-License-Identifier: MIT
"""The machine: which CPU plays which role, and what a reader of the numbers must know of it."""

import os
import pathlib
import platform

from .trouble import Failure

CONGESTION_CONTROL = "cubic"


class Roles:
    """The application's core, the service's, the client's: the first CPUs we may use. On two the latter are one."""

    def __init__(self):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise Failure(f"CPU {allowed[0]}: the only one this process may use, but application and service need one "
                          "each: give this machine a second CPU (taskset -pc $$ shows what is allowed)")
        self.app, self.service = allowed[:2]
        self.client = allowed[2] if len(allowed) > 2 else self.service

    @property
    def client_shares(self):
        return self.client == self.service

    def describe(self):
        client = f"CPU {self.service}: poller and client" if self.client_shares else \
            f"CPU {self.service}: poller, CPU {self.client}: client"
        return f"CPU {self.app}: application, {client}"


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Hardware", "cpu model"):
            return value.strip()
    return platform.machine()


def describe(roles):
    return {
        "kernel": platform.release(),
        "cpu_model": cpu_model(),
        "cpus": os.cpu_count(),
        "app_cpu": roles.app,
        "service_cpu": roles.service,
        "client_cpu": roles.client,
        "congestion_control": CONGESTION_CONTROL,
    }


def headline(machine, roles):
    return (f"Linux {machine['kernel']}, {machine['cpu_model']}, {machine['cpus']} CPUs; {roles.describe()}; "
            f"congestion control {machine['congestion_control']}")
